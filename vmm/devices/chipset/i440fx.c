/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intel 440FX (datasheet 290549) as host bridge, PIIX3 (290550) as bridge to
 * ISA with the routing of the PIRQs A to D, and the power management function
 * of PIIX4 (290562). A PIRQ drives the ISA interrupt it is routed to. System
 * management mode is not there, and firmware is told so by DEVACTB.
 */
#include <stdlib.h>

#include "../../boot/acpi.h"
#include "../../error.h"
#include "../power/power.h"
#include "chipset.h"

#define PMC_DEVICE 0x1237
#define PMC_PAM0 0x59
#define PMC_SMRAM 0x72

#define ISA_DEVICE 0x7000
#define ISA_SLOT 1
#define ISA_PIRQA 0x60
#define PIRQ_OFF 0x80

#define PM_DEVICE 0x7113
#define PM_FUNCTION 3
#define PM_BASE 0x40
#define PM_DEVACTB 0x58
#define PM_REGMISC 0x80
#define PM_SMBASE 0x90
#define PM_SMHST 0xd2
#define PM_SIZE 64
#define DEVACTB_APMC (1 << 25)		/* set: somebody has set SMM up already */

#define GPE_PORT 0xafe0

struct i440fx {
	struct board *b;
	struct pci_device pmc, isa, power;
	struct acpi_pm *pm;
	struct shadow *shadow;
	u16 isa_level;			/* what PIRQs drive of the ISA interrupts */
	u8 pirqs;			/* PIRQs that are asserted */
};

static unsigned int pirq_of_pin(unsigned int slot, unsigned int pin)
{
	return (slot + pin + 3) % 4;	/* slot 1 begins with A */
}

/* Under intx_lock, as is all that it uses. */
static void set_pirq(void *ctx, unsigned int pirq, bool level)
{
	struct i440fx *p = ctx;
	u16 isa = 0, changed;
	unsigned int i;

	p->pirqs = (u8)((p->pirqs & ~(1 << pirq)) | level << pirq);
	for (i = 0; i < 4; i++)
		if (p->pirqs >> i & 1 && !(p->isa.config[ISA_PIRQA + i] & PIRQ_OFF))
			isa |= (u16)(1 << (p->isa.config[ISA_PIRQA + i] & 15));
	changed = isa ^ p->isa_level;
	p->isa_level = isa;
	for (i = 0; i < 16; i++)
		if (changed >> i & 1)
			vm_line(p->b->vm, i, isa >> i & 1);
}

/* --- the host bridge ----------------------------------------------------------------- */

static void pmc_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct i440fx *p = d->owner;

	if (offset < PMC_PAM0 + 7 && offset + size > PMC_PAM0)
		shadow_set(p->shadow, d->config + PMC_PAM0);
}

static int add_pmc(struct i440fx *p, const struct chipset_config *c)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, PMC_DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x060000, 2,
	};
	struct pci_device *d = &p->pmc;
	unsigned int i;

	pci_init(d, "i440fx", &ids);
	d->owner = p;
	d->config_written = pmc_written;
	d->writable[PMC_PAM0] = 0x30;
	for (i = 1; i < 7; i++)
		d->writable[PMC_PAM0 + i] = 0x33;
	d->writable[PMC_SMRAM] = 0x78;
	d->config[PMC_SMRAM] = 0x02;
	if (c->direct) {
		d->config[PMC_PAM0] = 0x30;
		for (i = 1; i < 7; i++)
			d->config[PMC_PAM0 + i] = 0x33;
	}
	return pci_plug_at(p->b->pci->bus[0], d, 0, 0);
}

/* --- the bridge to ISA ------------------------------------------------------------------ */

static void isa_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	if (offset < ISA_PIRQA + 4 && offset + size > ISA_PIRQA)
		pci_host_reroute(d->bus->host);
}

static int add_isa(struct i440fx *p, const struct chipset_config *c)
{
	static const u8 irq[4] = { 10, 10, 11, 11 };	/* as SeaBIOS chooses */
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, ISA_DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x060100, 0,
	};
	struct pci_device *d = &p->isa;
	unsigned int i;

	pci_init(d, "piix3", &ids);
	d->owner = p;
	d->config_written = isa_written;
	d->config[PCI_HEADER_TYPE] = PCI_HEADER_MULTI;
	d->config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	for (i = 0; i < 4; i++) {
		d->writable[ISA_PIRQA + i] = 0x8f;
		d->config[ISA_PIRQA + i] = c->direct ? irq[i] : PIRQ_OFF;
	}
	return pci_plug_at(p->b->pci->bus[0], d, ISA_SLOT, 0);
}

/* --- power management ------------------------------------------------------------------- */

static void update_pm(struct i440fx *p)
{
	bool on = p->power.config[PM_REGMISC] & 1;

	acpi_pm_map(p->pm, on ? pci_get16(&p->power, PM_BASE) & 0xffc0 : 0);
}

static void power_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	if ((offset < PM_BASE + 4 && offset + size > PM_BASE) ||
	    (offset <= PM_REGMISC && offset + size > PM_REGMISC))
		update_pm(d->owner);
}

static int add_power(struct i440fx *p, const struct chipset_config *c)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, PM_DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x068000, 3,
	};
	struct pci_device *d = &p->power;

	pci_init(d, "piix4-pm", &ids);
	d->owner = p;
	d->config_written = power_written;
	pci_set_pin(d, 1);
	d->config[PCI_INTERRUPT_LINE] = ACPI_SCI_IRQ;
	d->config[PM_BASE] = 1;
	pci_put16(d->writable, PM_BASE, 0xffc0);
	pci_put32(d->config, PM_DEVACTB, DEVACTB_APMC);
	d->writable[PM_REGMISC] = 1;
	d->config[PM_SMBASE] = 1;
	pci_put16(d->writable, PM_SMBASE, 0xfff0);
	d->writable[PM_SMHST] = 0x0f;
	if (c->direct) {
		pci_put16(d->config, PM_BASE, ACPI_PM_BASE | 1);
		d->config[PM_REGMISC] = 1;
		update_pm(p);
	}
	return pci_plug_at(p->b->pci->bus[0], d, ISA_SLOT, PM_FUNCTION);
}

/* --- life -------------------------------------------------------------------------------- */

static int set_up(struct i440fx *p, const struct chipset_config *c)
{
	static const struct acpi_pm_layout layout = { .size = PM_SIZE, .gpe_port = GPE_PORT };
	const struct pci_wiring wiring = { pirq_of_pin, set_pirq, p };
	const struct irq_line sci = board_line(p->b, ACPI_SCI_IRQ);

	p->b->pci = pci_host_new(p->b->vm, p->b->ports, p->b->mmio, &wiring, c->reset);
	if (!p->b->pci)
		return error("cannot create the PCI bus");
	p->pm = acpi_pm_new(p->b->ports, &p->b->power, &sci, &layout);
	if (!p->pm)
		return error("cannot create the power management block");
	p->shadow = shadow_new(p->b, c->rom);
	if (!p->shadow || add_pmc(p, c) < 0 || add_isa(p, c) < 0)
		return -1;
	return add_power(p, c);
}

struct i440fx *i440fx_new(struct board *b, const struct chipset_config *c)
{
	struct i440fx *p = calloc(1, sizeof(*p));

	if (!p) {
		error("out of memory");
		return NULL;
	}
	p->b = b;
	if (set_up(p, c) == 0)
		return p;
	i440fx_free(p);
	return NULL;
}

struct acpi_pm *i440fx_pm(struct i440fx *p)
{
	return p->pm;
}

void i440fx_free(struct i440fx *p)
{
	if (!p)
		return;
	acpi_pm_free(p->pm);
	shadow_free(p->shadow);
	pci_host_free(p->b->pci);
	p->b->pci = NULL;
	free(p);
}
