/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compiled DSDTs of the machines with PCI. */
#ifndef VMM_BOOT_DSDT_DSDT_H
#define VMM_BOOT_DSDT_DSDT_H

#include "../../types.h"

extern const u8 *const dsdt_pc, *const dsdt_q35;
extern const size_t dsdt_pc_size, dsdt_q35_size;

#endif
