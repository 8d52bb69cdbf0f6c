/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine pc: PCI, Intel 440FX with PIIX3. */
#include "../boot/dsdt/dsdt.h"
#include "../devices/chipset/chipset.h"
#include "../devices/power/power.h"
#include "start.h"
#include "windows.h"

#define GPE_PORT 0xafe0
#define GPE_LEN 4

static int create(struct machine *m)
{
	const struct chipset_config c = {
		.rom = start_shadow_rom(m),
		.reset = reset_ports_control(m->reset_ports),
		.direct = m->config->boot.kernel,
	};

	m->chipset = i440fx_new(&m->board, &c);
	if (!m->chipset)
		return -1;
	m->acpi_pm = i440fx_pm(m->chipset);
	return 0;
}

static void destroy(struct machine *m)
{
	i440fx_free(m->chipset);
}

static void describe(struct machine *m, struct acpi_config *c)
{
	c->dsdt = dsdt_pc;
	c->dsdt_size = dsdt_pc_size;
	c->gpe = GPE_PORT;
	c->gpe_len = GPE_LEN;
	c->level_irqs = 1 << 5 | 1 << 10 | 1 << 11;
	windows_describe(m, c);
}

const struct machine_type machine_pc = {
	.name = "pc",
	.summary = "PCI, as Intel's 440FX with PIIX3",
	.low_max = 3 * GIB,
	.hpet = true,
	.keyboard = true,
	.shadow = true,
	.create = create,
	.destroy = destroy,
	.assign = windows_assign,
	.describe = describe,
};
