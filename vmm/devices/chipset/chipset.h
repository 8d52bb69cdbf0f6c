/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The chipsets: Intel Q35 with ICH9 and i440FX with PIIX3 and PIIX4's power
 * management, as far as firmware and systems look at them. A chipset is the
 * host bridge, the bridge to ISA with the routing of PCI's interrupts, the
 * power management block, and the shadowing of the first megabyte.
 */
#ifndef VMM_DEVICES_CHIPSET_CHIPSET_H
#define VMM_DEVICES_CHIPSET_CHIPSET_H

#include "../device.h"
#include "../pci/pci.h"

/* --- shadow.c: memory from 768 KiB to 1 MiB --------------------------------------- */

struct shadow;

/*
 * rom: the last 128 KiB of the firmware, which shows through where reads are
 * not shadowed, or NULL; then all is RAM at first. NULL after an error line.
 */
struct shadow *shadow_new(struct board *b, const u8 *rom);
void shadow_free(struct shadow *s);
/* Takes the seven PAM registers: two bits of reads and writes for each segment. */
void shadow_set(struct shadow *s, const u8 pam[7]);

/* --- the chipsets -------------------------------------------------------------------- */

/* What the machine wants of one; on the heap. */
struct chipset_config {
	const u8 *rom;			/* of shadow_new */
	const struct bus_region *reset;	/* port 0xcf9 */
	bool direct;			/* there is no firmware to set it up */
};

/* Each fills in b->pci. NULL after an error line. */
struct q35;
struct q35 *q35_new(struct board *b, const struct chipset_config *c);
void q35_free(struct q35 *q);
struct acpi_pm *q35_pm(struct q35 *q);

struct i440fx;
struct i440fx *i440fx_new(struct board *b, const struct chipset_config *c);
void i440fx_free(struct i440fx *p);
struct acpi_pm *i440fx_pm(struct i440fx *p);

#endif
