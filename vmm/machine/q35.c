/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine q35: PCI Express, Intel Q35 with ICH9. */
#include "../boot/dsdt/dsdt.h"
#include "../devices/chipset/chipset.h"
#include "../devices/power/power.h"
#include "start.h"
#include "windows.h"

#define GPE0_OFFSET 0x20
#define GPE0_LEN 16

static int create(struct machine *m)
{
	const struct chipset_config c = {
		.rom = start_shadow_rom(m),
		.reset = reset_ports_control(m->reset_ports),
		.direct = m->config->boot.kernel,
	};

	m->chipset = q35_new(&m->board, &c);
	if (!m->chipset)
		return -1;
	m->acpi_pm = q35_pm(m->chipset);
	return 0;
}

static void destroy(struct machine *m)
{
	q35_free(m->chipset);
}

static void describe(struct machine *m, struct acpi_config *c)
{
	c->dsdt = dsdt_q35;
	c->dsdt_size = dsdt_q35_size;
	c->gpe = (u16)(acpi_pm_base(m->acpi_pm) + GPE0_OFFSET);
	c->gpe_len = GPE0_LEN;
	c->ecam = m->board.pci->ecam;
	c->ecam_size = m->board.pci->ecam_size;
	c->level_irqs = 1 << 5 | 1 << 10 | 1 << 11;
	windows_describe(m, c);
}

const struct machine_type machine_q35 = {
	.name = "q35",
	.summary = "PCI Express, as Intel's Q35 with ICH9",
	.low_max = 2 * GIB,
	.hpet = true,
	.keyboard = true,
	.shadow = true,
	.create = create,
	.destroy = destroy,
	.assign = windows_assign,
	.describe = describe,
};
