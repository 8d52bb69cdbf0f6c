/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The counters that the KVM API keeps of the VM and its CPUs
 * (KVM_GET_STATS_FD), printed by name.
 */
#ifndef VMM_MACHINE_STATS_H
#define VMM_MACHINE_STATS_H

#include <stdio.h>

#include "machine.h"

/*
 * Prints every counter that is not zero, the sum over all CPUs and, when there
 * are several, each CPU's. A CPU's are those of its last return from KVM_RUN,
 * and none when they are not open (machine_refresh, cpu_open_stats). 0, or -1
 * after an error line.
 */
int stats_print(const struct machine *m, FILE *out);

#endif
