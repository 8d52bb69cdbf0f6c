/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the guest turns the machine off or resets it: the ACPI fixed hardware,
 * the reset control register at 0xcf9 and the system control port at 0x92.
 */
#ifndef VMM_DEVICES_POWER_POWER_H
#define VMM_DEVICES_POWER_POWER_H

#include "../bus.h"
#include "../irq.h"

/* What a device asks of the machine; both only note the wish and return. */
struct power_ops {
	void (*off)(void *ctx);
	void (*reset)(void *ctx);
	void *ctx;
};

/* --- acpi_pm.c ----------------------------------------------------------------- */

#define ACPI_PM_BLOCK_MAX 128
#define ACPI_PM_EVT_OFFSET 0
#define ACPI_PM_CNT_OFFSET 4
#define ACPI_PM_TMR_OFFSET 8

/* What differs between chipsets. */
struct acpi_pm_layout {
	u8 size;	/* of the block: 12 to ACPI_PM_BLOCK_MAX, a multiple of 4 */
	u8 gpe;		/* offset of the general purpose event block in it, or 0 */
	u8 gpe_len;
	u16 gpe_port;	/* or its own place, of 4 bytes, or 0 */
};

struct acpi_pm;
/* NULL when there is no memory. It is not mapped yet. */
struct acpi_pm *acpi_pm_new(struct bus *ports, const struct power_ops *ops,
			    const struct irq_line *sci, const struct acpi_pm_layout *layout);
void acpi_pm_free(struct acpi_pm *pm);
/* Puts the block at ports from base on; 0: nowhere. Calls do not overlap. */
void acpi_pm_map(struct acpi_pm *pm, u16 base);
/* Where it is. */
u16 acpi_pm_base(const struct acpi_pm *pm);
/* The first value of a register byte that is only kept. */
void acpi_pm_set(struct acpi_pm *pm, unsigned int offset, u8 value);
/* Presses the power button: the guest is to shut down. From any thread. */
void acpi_pm_power_button(struct acpi_pm *pm);
/* A general purpose event happened. From any thread. */
void acpi_pm_gpe(struct acpi_pm *pm, unsigned int event);

/* --- reset_ports.c --------------------------------------------------------------- */

struct reset_ports;
struct reset_ports *reset_ports_new(struct bus *ports, const struct power_ops *ops);
void reset_ports_free(struct reset_ports *r);
/* Port 0xcf9 for who owns the ports around it, a region of one byte. */
const struct bus_region *reset_ports_control(const struct reset_ports *r);
/* Or puts it on the bus by itself: 0 or -errno. */
int reset_ports_add_control(struct reset_ports *r);

#endif
