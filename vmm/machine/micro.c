/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine micro: no PCI, virtio devices at fixed places in memory, for the
 * quickest start. All of its low memory is RAM.
 */
#include "../devices/power/power.h"
#include "../devices/virtio/mmio.h"
#include "../error.h"
#include "machine.h"

static int create(struct machine *m)
{
	static const struct acpi_pm_layout layout = { .size = 12 };
	const struct irq_line sci = board_line(&m->board, ACPI_SCI_IRQ);

	m->acpi_pm = acpi_pm_new(&m->ports, &m->board.power, &sci, &layout);
	m->chipset = m->acpi_pm;
	if (!m->acpi_pm || reset_ports_add_control(m->reset_ports) < 0)
		return error("cannot create the power management block");
	acpi_pm_map(m->acpi_pm, ACPI_PM_BASE);
	if (!virtio_mmio_new(&m->board))
		return error("out of memory");
	return 0;
}

static void destroy(struct machine *m)
{
	acpi_pm_free(m->acpi_pm);
	virtio_mmio_free(m->board.virtio_mmio);
}

static void describe(struct machine *m, struct acpi_config *c)
{
	virtio_mmio_describe(m->board.virtio_mmio, c);
}

const struct machine_type machine_micro = {
	.name = "micro",
	.summary = "no PCI, virtio-mmio: the quickest start",
	.low_max = MEMORY_LOW_MAX,
	.create = create,
	.destroy = destroy,
	.describe = describe,
};
