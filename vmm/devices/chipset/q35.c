/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intel Q35 (3 Series Express chipset, datasheet 316966) as host bridge and
 * ICH9 (I/O Controller Hub 9, datasheet 316972) as bridge to ISA: the window of
 * the configuration space (PCIEXBAR), PAM, the power management block
 * (PMBASE), and the routing of the PIRQs A to H. A PIRQ has an input of the
 * I/O APIC of its own, 16 to 23, and can be routed to an ISA interrupt.
 * System management mode is not there, and firmware is told so by SMI_EN.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../boot/acpi.h"
#include "../../error.h"
#include "../pci/root_port.h"
#include "../power/power.h"
#include "chipset.h"

#define MCH_DEVICE 0x29c0
#define MCH_PCIEXBAR 0x60
#define MCH_PAM0 0x90
#define MCH_SMRAM 0x9d
#define PCIEXBAR_ENABLE (1 << 0)
#define PCIEXBAR_LENGTH(v) ((v) >> 1 & 3)
#define PCIEXBAR_DIRECT 0xb0000000u	/* where it is put without firmware */

#define LPC_DEVICE 0x2918
#define LPC_SLOT 31
#define LPC_PMBASE 0x40
#define LPC_ACPI_CNTL 0x44
#define LPC_PIRQA 0x60
#define LPC_PIRQE 0x68
#define LPC_RCBA 0xf0
#define PIRQ_OFF 0x80
#define PM_SIZE 128
#define PM_GPE0 0x20
#define PM_GPE0_LEN 16
#define PM_SMI_EN 0x30
#define SMI_EN_APMC (1 << 5)		/* set: somebody has set SMM up already */

#define PORT_SLOT 28			/* where ICH9 has its root ports */
#define HOTPLUG_PORTS 4

#define PIRQ_GSI 16
#define ROTATING_SLOTS 25		/* slots below use E to H */

struct q35 {
	struct board *b;
	struct pci_device mch, lpc;
	struct root_port *port[HOTPLUG_PORTS];
	struct acpi_pm *pm;
	struct shadow *shadow;
	u16 isa_level;			/* what PIRQs drive of the ISA interrupts */
	u8 pirqs;			/* PIRQs that are asserted */
};

/* --- interrupts ------------------------------------------------------------------ */

static unsigned int pirq_of_pin(unsigned int slot, unsigned int pin)
{
	return slot < ROTATING_SLOTS ? (slot + pin) % 4 + 4 : pin;
}

static u8 route(const struct q35 *q, unsigned int pirq)
{
	return q->lpc.config[pirq < 4 ? LPC_PIRQA + pirq : LPC_PIRQE + pirq - 4];
}

/* Under intx_lock, as is all that it uses. */
static void set_pirq(void *ctx, unsigned int pirq, bool level)
{
	struct q35 *q = ctx;
	u16 isa = 0, changed;
	unsigned int i;

	if (level != (q->pirqs >> pirq & 1))
		vm_line(q->b->vm, PIRQ_GSI + pirq, level);
	q->pirqs = (u8)((q->pirqs & ~(1 << pirq)) | level << pirq);
	for (i = 0; i < PCI_PIRQS; i++)
		if (q->pirqs >> i & 1 && !(route(q, i) & PIRQ_OFF))
			isa |= (u16)(1 << (route(q, i) & 15));
	changed = isa ^ q->isa_level;
	q->isa_level = isa;
	for (i = 0; i < 16; i++)
		if (changed >> i & 1)
			vm_line(q->b->vm, i, isa >> i & 1);
}

/* --- the host bridge ----------------------------------------------------------------- */

static void update_ecam(struct q35 *q)
{
	static const u64 size[4] = { 256 * MIB, 128 * MIB, 64 * MIB, 0 };
	u32 low = pci_get32(&q->mch, MCH_PCIEXBAR);
	u64 n = size[PCIEXBAR_LENGTH(low)];
	u64 base = ((u64)pci_get32(&q->mch, MCH_PCIEXBAR + 4) << 32 | low) & ~(n - 1);

	pci_host_ecam(q->b->pci, base, low & PCIEXBAR_ENABLE && n ? n : 0);
}

static void mch_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct q35 *q = d->owner;

	if (offset < MCH_PCIEXBAR + 8 && offset + size > MCH_PCIEXBAR)
		update_ecam(q);
	if (offset < MCH_PAM0 + 7 && offset + size > MCH_PAM0)
		shadow_set(q->shadow, d->config + MCH_PAM0);
}

static int add_mch(struct q35 *q, const struct chipset_config *c)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, MCH_DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x060000, 0,
	};
	struct pci_device *d = &q->mch;
	unsigned int i;

	pci_init(d, "mch", &ids);
	d->owner = q;
	d->config_written = mch_written;
	pci_put32(d->writable, MCH_PCIEXBAR, 0xfc000007);
	pci_put32(d->writable, MCH_PCIEXBAR + 4, 0xf);
	d->writable[MCH_PAM0] = 0x30;
	for (i = 1; i < 7; i++)
		d->writable[MCH_PAM0 + i] = 0x33;
	d->writable[MCH_SMRAM] = 0x78;
	d->config[MCH_SMRAM] = 0x02;
	if (c->direct) {
		pci_put32(d->config, MCH_PCIEXBAR, PCIEXBAR_DIRECT | PCIEXBAR_ENABLE);
		d->config[MCH_PAM0] = 0x30;
		for (i = 1; i < 7; i++)
			d->config[MCH_PAM0 + i] = 0x33;
		update_ecam(q);
	}
	return pci_plug_at(q->b->pci->bus[0], d, 0, 0);
}

/* --- the bridge to ISA ------------------------------------------------------------------ */

static void update_pm(struct q35 *q)
{
	bool on = q->lpc.config[LPC_ACPI_CNTL] & 0x80;

	acpi_pm_map(q->pm, on ? pci_get16(&q->lpc, LPC_PMBASE) & 0xff80 : 0);
}

static void lpc_written(struct pci_device *d, unsigned int offset, unsigned int size)
{
	struct q35 *q = d->owner;

	if (offset < LPC_ACPI_CNTL + 4 && offset + size > LPC_PMBASE)
		update_pm(q);
	if (offset < LPC_PIRQE + 4 && offset + size > LPC_PIRQA)
		pci_host_reroute(d->bus->host);
}

static int add_lpc(struct q35 *q, const struct chipset_config *c)
{
	static const u8 isa[4] = { 10, 10, 11, 11 };	/* as SeaBIOS chooses */
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, LPC_DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x060100, 2,
	};
	struct pci_device *d = &q->lpc;
	unsigned int i;

	pci_init(d, "lpc", &ids);
	d->owner = q;
	d->config_written = lpc_written;
	d->config[PCI_HEADER_TYPE] = PCI_HEADER_MULTI;
	d->config[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	d->config[LPC_PMBASE] = 1;
	pci_put16(d->writable, LPC_PMBASE, 0xff80);
	d->writable[LPC_ACPI_CNTL] = 0x87;
	pci_put32(d->writable, LPC_RCBA, 0xffffc001);
	for (i = 0; i < 4; i++) {
		d->writable[LPC_PIRQA + i] = d->writable[LPC_PIRQE + i] = 0x8f;
		d->config[LPC_PIRQA + i] = d->config[LPC_PIRQE + i] =
			c->direct ? isa[i] : PIRQ_OFF;
	}
	if (c->direct) {
		pci_put16(d->config, LPC_PMBASE, ACPI_PM_BASE | 1);
		d->config[LPC_ACPI_CNTL] = 0x80;
		update_pm(q);
	}
	return pci_plug_at(q->b->pci->bus[0], d, LPC_SLOT, 0);
}

/* --- root ports, for hot-plug ---------------------------------------------------------- */

static int add_ports(struct q35 *q)
{
	char id[8];
	unsigned int i;

	for (i = 0; i < HOTPLUG_PORTS; i++) {
		snprintf(id, sizeof(id), "port%u", i);
		q->port[i] = root_port_new(q->b, id, PORT_SLOT, i);
		if (!q->port[i])
			return -1;
	}
	return 0;
}

/* --- life -------------------------------------------------------------------------------- */

static int set_up(struct q35 *q, const struct chipset_config *c)
{
	static const struct acpi_pm_layout layout = {
		.size = PM_SIZE, .gpe = PM_GPE0, .gpe_len = PM_GPE0_LEN,
	};
	const struct pci_wiring wiring = { pirq_of_pin, set_pirq, q };
	const struct irq_line sci = board_line(q->b, ACPI_SCI_IRQ);

	q->b->pci = pci_host_new(q->b->vm, q->b->ports, q->b->mmio, &wiring, c->reset);
	if (!q->b->pci)
		return error("cannot create the PCI bus");
	q->b->pci->express = true;
	q->pm = acpi_pm_new(q->b->ports, &q->b->power, &sci, &layout);
	if (!q->pm)
		return error("cannot create the power management block");
	acpi_pm_set(q->pm, PM_SMI_EN, SMI_EN_APMC);
	q->shadow = shadow_new(q->b, c->rom);
	if (!q->shadow || add_mch(q, c) < 0 || add_lpc(q, c) < 0)
		return -1;
	return add_ports(q);
}

struct q35 *q35_new(struct board *b, const struct chipset_config *c)
{
	struct q35 *q = calloc(1, sizeof(*q));

	if (!q) {
		error("out of memory");
		return NULL;
	}
	q->b = b;
	if (set_up(q, c) == 0)
		return q;
	q35_free(q);
	return NULL;
}

struct acpi_pm *q35_pm(struct q35 *q)
{
	return q->pm;
}

void q35_free(struct q35 *q)
{
	unsigned int i;

	if (!q)
		return;
	for (i = 0; i < HOTPLUG_PORTS; i++)
		root_port_free(q->port[i]);
	acpi_pm_free(q->pm);
	shadow_free(q->shadow);
	pci_host_free(q->b->pci);
	q->b->pci = NULL;
	free(q);
}
