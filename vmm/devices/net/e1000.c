/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of the network card (13 in the manual), which are plain memory
 * but for those with effects, and how it comes to be. Interrupts are INTx, and
 * not throttled: while one is pending the next costs nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/registry.h"
#include "../../error.h"
#include "e1000.h"

#define DEVICE 0x100e
#define BAR_SIZE 0x20000
#define IO_SIZE 0x40
#define STATUS_VALUE 0x80080383u	/* 1000 Mbit/s, full duplex, the link is up */
#define LENGTH_MASK 0xfff80u
#define TAIL_MASK 0xffffu

/* --- interrupts: under the lock ---------------------------------------------------- */

static void update_irq(struct e1000 *e)
{
	pci_intx(&e->pci, *e1000_reg(e, R_ICR) & *e1000_reg(e, R_IMS));
}

void e1000_interrupt(struct e1000 *e, u32 causes)
{
	*e1000_reg(e, R_ICR) |= causes;
	update_irq(e);
}

/* --- registers: under the lock ------------------------------------------------------- */

static void reset(struct e1000 *e)
{
	u32 mac[2] = { 0, 0 };

	memset(e->reg, 0, sizeof(e->reg));
	memcpy(mac, e->eeprom, 6);
	*e1000_reg(e, R_CTRL) = 0x00000a09;
	*e1000_reg(e, R_PBA) = 0x00100030;
	*e1000_reg(e, R_VET) = 0x8100;
	*e1000_reg(e, R_RAL) = mac[0];
	*e1000_reg(e, R_RAH) = mac[1] | RAH_VALID;
	e->eecd = e->wire_bits = 0;
	e->was_reset = true;
	update_irq(e);
}

static u32 read_register(struct e1000 *e, unsigned int at)
{
	u32 v;

	if (at / 4 >= E1000_REGISTERS)
		return 0;
	v = *e1000_reg(e, at);
	switch (at) {
	case R_STATUS:
		return STATUS_VALUE;
	case R_EECD:
		return e1000_eecd_read(e);
	case R_ICR:
		*e1000_reg(e, R_ICR) = 0;
		update_irq(e);
		return v;
	case R_IMC:
		return 0;
	}
	if (at >= R_STATISTICS && at < R_STATISTICS_END)
		*e1000_reg(e, at) = 0;	/* counters end with being read */
	return v;
}

static void write_control(struct e1000 *e, u32 v)
{
	if (v & CTRL_RESET) {
		reset(e);
		return;
	}
	if (v & CTRL_PHY_RESET)
		e1000_phy_reset(e);
	*e1000_reg(e, R_CTRL) = v & ~CTRL_PHY_RESET;
}

static void write_register(struct e1000 *e, unsigned int at, u32 v)
{
	if (at / 4 >= E1000_REGISTERS)
		return;
	switch (at) {
	case R_CTRL:
		write_control(e, v);
		return;
	case R_STATUS:
		return;
	case R_EECD:
		e1000_eecd_write(e, v);
		return;
	case R_EERD:
		e1000_eerd_write(e, v);
		return;
	case R_MDIC:
		e1000_mdic_write(e, v);
		return;
	case R_ICR:
		*e1000_reg(e, R_ICR) &= ~v;
		update_irq(e);
		return;
	case R_ICS:
		e1000_interrupt(e, v);
		return;
	case R_IMS:
		*e1000_reg(e, R_IMS) |= v;
		update_irq(e);
		return;
	case R_IMC:
		*e1000_reg(e, R_IMS) &= ~v;
		update_irq(e);
		return;
	case R_RDBAL:
	case R_TDBAL:
		v &= ~(E1000_DESCRIPTOR - 1);
		break;
	case R_RDLEN:
	case R_TDLEN:
		v &= LENGTH_MASK;
		break;
	case R_RDH:
	case R_RDT:
	case R_TDH:
	case R_TDT:
		v &= TAIL_MASK;
		break;
	}
	*e1000_reg(e, at) = v;
}

/* What a write to a register sets going, without the lock. */
static void after_write(struct e1000 *e, unsigned int at)
{
	if (at == R_TDT || at == R_TCTL)
		e1000_transmit(e);
	else if (at == R_RDT || at == R_RCTL)
		net_ready(e->net);
}

static u64 bar_read(void *dev, u64 offset, unsigned int size)
{
	struct e1000 *e = dev;
	u32 v;

	(void)size;
	pthread_mutex_lock(&e->lock);
	v = read_register(e, (unsigned int)offset & ~3u);
	pthread_mutex_unlock(&e->lock);
	return v >> (offset & 3) * 8;
}

/* The card takes whole registers. */
static void bar_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct e1000 *e = dev;

	if (size != 4 || offset & 3)
		return;
	pthread_mutex_lock(&e->lock);
	write_register(e, (unsigned int)offset, (u32)value);
	pthread_mutex_unlock(&e->lock);
	after_write(e, (unsigned int)offset);
}

/* Two ports: the number of a register, and the register. */
static u64 io_read(void *dev, u64 offset, unsigned int size)
{
	struct e1000 *e = dev;
	u32 v = 0;

	(void)size;
	pthread_mutex_lock(&e->lock);
	if (offset == 0)
		v = e->io_address;
	else if (offset == 4)
		v = read_register(e, e->io_address & ~3u);
	pthread_mutex_unlock(&e->lock);
	return v;
}

static void io_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct e1000 *e = dev;
	unsigned int at;

	if (size != 4)
		return;
	pthread_mutex_lock(&e->lock);
	at = e->io_address & ~3u;
	if (offset == 0)
		e->io_address = (u32)value & (BAR_SIZE - 1);
	else if (offset == 4)
		write_register(e, at, (u32)value);
	pthread_mutex_unlock(&e->lock);
	if (offset == 4)
		after_write(e, at);
}

/* --- life ------------------------------------------------------------------------------ */

static void destroy(struct device *d)
{
	struct e1000 *e = (struct e1000 *)d;

	if (e->net)
		net_connect(e->net, NULL, 0);
	pci_unplug(&e->pci);		/* nobody sets the timer any more */
	timer_free(e->later);
	if (e->net)
		registry_release(e->b->backends, e->net);
	pthread_mutex_destroy(&e->lock);
	pthread_mutex_destroy(&e->tx_lock);
	free(e);
}

static int find_net(struct e1000 *e, struct props *p)
{
	const char *name = props_string(p, "net", NULL), *mac = props_string(p, "mac", NULL);
	u8 address[6];

	if (!name) {
		props_missing(p, "net", "the id of a --net");
		return -1;
	}
	e->net = registry_claim(e->b->backends, "net", name);
	if (!e->net)
		return -1;
	memcpy(address, e->net->mac, sizeof(address));
	if (mac && net_parse_mac(address, mac) < 0)
		return -1;
	e1000_eeprom_fill(e, address);
	return 0;
}

/* What is left of a long ring. */
static void on_later(void *arg)
{
	e1000_transmit(arg);
}

static int create_all(struct e1000 *e, struct props *p)
{
	const struct bus_region bar = { .name = "e1000", .width = 4, .read = bar_read,
		.write = bar_write, .dev = e };
	const struct bus_region io = { .name = "e1000-io", .width = 4, .read = io_read,
		.write = io_write, .dev = e };
	const struct net_front front = { e1000_receive, e };

	if (!e->b->pci)
		return error("e1000: the machine has no PCI");
	if (find_net(e, p) < 0)
		return -1;
	e->later = timer_new(e->b->loop, on_later, e);
	if (!e->later)
		return error("e1000: cannot create a timer");
	pci_bar(&e->pci, 0, PCI_BAR_MEM32, BAR_SIZE, &bar);
	pci_bar(&e->pci, 1, PCI_BAR_IO, IO_SIZE, &io);
	pci_set_pin(&e->pci, 1);
	reset(e);
	e1000_phy_reset(e);
	if (pci_plug(e->b->pci, &e->pci, p) < 0)
		return -1;
	net_connect(e->net, &front, 0);
	return props_finish(p);
}

static struct device *create(struct board *b, struct props *p)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x020000, 2,
	};
	struct e1000 *e = calloc(1, sizeof(*e));

	if (!e) {
		error("out of memory");
		return NULL;
	}
	e->b = b;
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->tx_lock, NULL);
	pci_init(&e->pci, "e1000", &ids);
	e->pci.device = &e->dev;
	if (create_all(e, p) == 0)
		return &e->dev;
	destroy(&e->dev);
	return NULL;
}

static int unplug(struct device *d)
{
	return pci_request_unplug(&((struct e1000 *)d)->pci);
}

const struct device_class e1000_class = {
	.name = "e1000",
	.summary = "a network card, Intel 82540EM",
	.usage = "net=ID of a --net, mac=AA:BB:CC:DD:EE:FF",
	.create = create,
	.destroy = destroy,
	.unplug = unplug,
};
