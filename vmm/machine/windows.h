/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where PCI's BARs may be: between the end of low RAM and the interrupt
 * controllers, without what configuration space takes there, and above all RAM.
 */
#ifndef VMM_MACHINE_WINDOWS_H
#define VMM_MACHINE_WINDOWS_H

#include "machine.h"

/* Fills in the windows of c; its ecam fields are set. */
void windows_describe(struct machine *m, struct acpi_config *c);
/* Assigns BARs in those windows. */
void windows_assign(struct machine *m);

#endif
