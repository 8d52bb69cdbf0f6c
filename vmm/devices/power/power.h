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

struct acpi_pm;
/* NULL when there is no memory. */
struct acpi_pm *acpi_pm_new(struct bus *ports, const struct power_ops *ops);
void acpi_pm_free(struct acpi_pm *pm);

struct reset_ports;
struct reset_ports *reset_ports_new(struct bus *ports, const struct power_ops *ops);
void reset_ports_free(struct reset_ports *r);

#endif
