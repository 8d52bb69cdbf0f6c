/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a machine starts: with firmware, which finds all it needs in fw_cfg, or
 * directly with a kernel, for which what firmware would leave is written here.
 */
#ifndef VMM_MACHINE_START_H
#define VMM_MACHINE_START_H

#include "machine.h"

/* Before the devices are made: the firmware's memory, fw_cfg. 0, or -1 after an error line. */
int start_prepare(struct machine *m);
/* After that: the kernel, or fw_cfg's contents. 0, or -1 after an error line. */
int start_load(struct machine *m);
void start_free(struct machine *m);

/* The last 128 KiB of the firmware, or NULL. */
const u8 *start_shadow_rom(const struct machine *m);

#endif
