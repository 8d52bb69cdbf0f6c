/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI Express root port (PCI Express Base Specification, 7.5.1.3, 7.5.3) with
 * a slot that devices are plugged into while the system runs. A device that
 * comes is there at once, and the system hears of it. One that is to go is
 * asked for by the attention button: the system stops using it and switches the
 * slot's power off, and then it goes.
 *
 * Linux passes over what happens in the second after it switched the power off.
 * A device that comes then is announced again until the system has looked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "root_port.h"

#define VENDOR 0x1b36			/* the ids of QEMU's port, which stands for no real one */
#define DEVICE 0x000c

#define CAP_SIZE 0x3c
#define CAP_TYPE_ROOT_PORT (4 << 4)
#define CAP_SLOT (1 << 8)
#define LINK_CAP 0x0c
#define LINK_STATUS 0x12
#define SLOT_CAP 0x14
#define SLOT_CONTROL 0x18
#define SLOT_STATUS 0x1a
#define ROOT_CONTROL 0x1c

#define LINK_X1 (1 << 4 | 1)		/* one lane, 2.5 GT/s */
#define LINK_ACTIVE_CAP (1 << 20)
#define LINK_ACTIVE (1 << 13)

#define SLOT_BUTTON (1 << 0)
#define SLOT_POWER (1 << 1)
#define SLOT_SURPRISE (1 << 5)
#define SLOT_HOTPLUG (1 << 6)
#define SLOT_NO_COMPLETION (1 << 18)
#define SLOT_NUMBER_SHIFT 19

#define CONTROL_IRQ (1 << 5)
#define CONTROL_POWER_OFF (1 << 10)
#define CONTROL_LINK (1 << 12)
#define CONTROL_WRITABLE 0x1fff
#define CONTROL_EVENTS 0x1f		/* enables of the events with the same bits of the status */

#define STATUS_BUTTON (1 << 0)
#define STATUS_PRESENCE_CHANGED (1 << 3)
#define STATUS_PRESENT (1 << 6)
#define STATUS_LINK_CHANGED (1 << 8)
#define STATUS_W1C 0x011f

#define ANNOUNCE_NS (3 * NSEC / 2)
#define ANNOUNCE_MAX 4

struct root_port {
	struct device dev;		/* when the user made it */
	struct pci_device pci;
	struct pci_bus bus;
	struct board *b;
	char id[DEVICE_ID_MAX];
	u8 cap;
	bool off;			/* the system has switched the power off */
	bool irq;			/* the condition for an interrupt holds */
	struct timer *announce;
	unsigned int announced;
};

/* --- the slot: under host->lock ------------------------------------------------------ */

static u16 get(const struct root_port *p, unsigned int reg)
{
	return pci_get16(&p->pci, p->cap + reg);
}

static void put(struct root_port *p, unsigned int reg, u16 v)
{
	pci_put16(p->pci.config, p->cap + reg, v);
}

/* An interrupt for each event that is enabled and new. */
static void update_irq(struct root_port *p)
{
	u16 control = get(p, SLOT_CONTROL), status = get(p, SLOT_STATUS);
	bool event = status & control & CONTROL_EVENTS ||
		     (status & STATUS_LINK_CHANGED && control & CONTROL_LINK);
	bool irq = event && control & CONTROL_IRQ;

	if (pci_msi_enabled(&p->pci)) {
		if (irq && !p->irq)
			pci_msi_raise(&p->pci, 0);
	} else {
		pci_intx(&p->pci, irq);
	}
	p->irq = irq;
}

static void set_present(struct root_port *p, bool present)
{
	u16 status = get(p, SLOT_STATUS) & (u16)~STATUS_PRESENT;
	u16 link = get(p, LINK_STATUS) & (u16)~LINK_ACTIVE;

	put(p, SLOT_STATUS, (u16)(status | (present ? STATUS_PRESENT : 0) |
				  STATUS_PRESENCE_CHANGED | STATUS_LINK_CHANGED));
	put(p, LINK_STATUS, link | (present ? LINK_ACTIVE : 0));
	update_irq(p);
}

static struct pci_device *child(const struct root_port *p)
{
	return p->bus.dev[0];
}

static void plugged(struct pci_bus *bus, struct pci_device *d)
{
	struct root_port *p = bus->bridge->owner;

	(void)d;
	set_present(p, true);
	p->announced = 0;
	if (bus->host->running)
		timer_set(p->announce, monotonic_ns() + ANNOUNCE_NS);
}

/* Does the system know of the device? On the main thread. */
static void on_announce(void *arg)
{
	struct root_port *p = arg;

	pthread_mutex_lock(&p->bus.host->lock);
	if (child(p) && get(p, SLOT_CONTROL) & CONTROL_POWER_OFF &&
	    p->announced++ < ANNOUNCE_MAX) {
		put(p, SLOT_STATUS, get(p, SLOT_STATUS) | STATUS_PRESENCE_CHANGED |
		    STATUS_LINK_CHANGED);
		update_irq(p);
		timer_set(p->announce, monotonic_ns() + ANNOUNCE_NS);
	}
	pthread_mutex_unlock(&p->bus.host->lock);
}

static void unplugged(struct pci_bus *bus, struct pci_device *d)
{
	struct root_port *p = bus->bridge->owner;

	(void)d;
	set_present(p, false);
}

/* On the main thread. */
static void remove_child(void *arg)
{
	struct root_port *p = arg;
	struct device *d = NULL;

	pthread_mutex_lock(&p->bus.host->lock);
	if (child(p) && get(p, SLOT_CONTROL) & CONTROL_POWER_OFF)
		d = child(p)->device;
	pthread_mutex_unlock(&p->bus.host->lock);
	if (d && p->b->remove)
		p->b->remove(p->b, d);
}

static int eject(struct pci_bus *bus, struct pci_device *d)
{
	struct root_port *p = bus->bridge->owner;

	(void)d;
	if (get(p, SLOT_CONTROL) & CONTROL_POWER_OFF) {
		loop_call(p->b->loop, remove_child, p);	/* nobody uses it */
		return 0;
	}
	put(p, SLOT_STATUS, get(p, SLOT_STATUS) | STATUS_BUTTON);
	update_irq(p);
	return 0;
}

static void config_written(struct pci_device *pci, unsigned int offset, unsigned int size)
{
	struct root_port *p = pci->owner;
	bool off;

	if (offset >= p->cap + SLOT_STATUS + 2u ||
	    offset + size <= p->cap + (unsigned int)SLOT_CONTROL)
		return;
	update_irq(p);
	/* only its going off counts: an empty slot is off, too, when a device comes */
	off = get(p, SLOT_CONTROL) & CONTROL_POWER_OFF;
	if (off && !p->off && child(p))
		loop_call(p->b->loop, remove_child, p);
	p->off = off;
}

/* --- configuration space ----------------------------------------------------------------- */

static void add_bridge_registers(struct pci_device *d)
{
	d->config[PCI_HEADER_TYPE] = PCI_HEADER_BRIDGE;
	d->writable[PCI_PRIMARY_BUS] = 0xff;
	d->writable[PCI_SECONDARY_BUS] = 0xff;
	d->writable[PCI_SUBORDINATE_BUS] = 0xff;
	pci_put16(d->writable, PCI_BRIDGE_IO_BASE, 0xf0f0);
	pci_put32(d->writable, PCI_BRIDGE_MEMORY_BASE, 0xfff0fff0);
	pci_put32(d->config, PCI_BRIDGE_PREFETCH_BASE, 0x00010001);	/* 64-bit */
	pci_put32(d->writable, PCI_BRIDGE_PREFETCH_BASE, 0xfff0fff0);
	pci_put32(d->writable, PCI_BRIDGE_PREFETCH_BASE + 4, ~0u);
	pci_put32(d->writable, PCI_BRIDGE_PREFETCH_BASE + 8, ~0u);
	pci_put16(d->writable, PCI_BRIDGE_CONTROL, 0x005f);
	/* where an endpoint has its subsystem ids and ROM there are other registers */
	pci_put32(d->config, PCI_SUBSYSTEM_VENDOR, 0);
}

static void add_express(struct root_port *p, unsigned int number)
{
	struct pci_device *d = &p->pci;
	u8 at = pci_capability(d, PCI_CAP_EXPRESS, CAP_SIZE);

	p->cap = at;
	d->express = true;
	pci_put16(d->config, at + 2u, 2 | CAP_TYPE_ROOT_PORT | CAP_SLOT);
	pci_put32(d->config, at + 4u, 1 << 15);		/* role-based error reporting */
	pci_put16(d->writable, at + 8u, 0x78ef);
	pci_put16(d->w1c, at + 0x0au, 0x000f);
	pci_put32(d->config, at + (unsigned int)LINK_CAP, LINK_X1 | LINK_ACTIVE_CAP);
	pci_put16(d->writable, at + 0x10u, 0x0fff);
	put(p, LINK_STATUS, LINK_X1);
	pci_put32(d->config, at + (unsigned int)SLOT_CAP, SLOT_BUTTON | SLOT_POWER |
		  SLOT_SURPRISE | SLOT_HOTPLUG | SLOT_NO_COMPLETION | number << SLOT_NUMBER_SHIFT);
	pci_put16(d->writable, at + (unsigned int)SLOT_CONTROL, CONTROL_WRITABLE);
	pci_put16(d->w1c, at + (unsigned int)SLOT_STATUS, STATUS_W1C);
	pci_put16(d->writable, at + (unsigned int)ROOT_CONTROL, 0x001f);
}

/* --- life ---------------------------------------------------------------------------------- */

static struct root_port *make(struct board *b, const char *id)
{
	static const struct pci_ids ids = { VENDOR, DEVICE, 0, 0, 0x060400, 0 };
	struct root_port *p = calloc(1, sizeof(*p));

	if (!p) {
		error("out of memory");
		return NULL;
	}
	p->b = b;
	p->announce = timer_new(b->loop, on_announce, p);
	if (!p->announce) {
		error("%s: cannot create a timer", id);
		free(p);
		return NULL;
	}
	snprintf(p->id, sizeof(p->id), "%s", id);
	pci_init(&p->pci, p->id, &ids);
	p->pci.owner = p;
	p->pci.config_written = config_written;
	p->bus.plugged = plugged;
	p->bus.unplugged = unplugged;
	p->bus.eject = eject;
	pci_set_pin(&p->pci, 1);
	add_bridge_registers(&p->pci);
	add_express(p, b->pci->buses);
	pci_msi_init(&p->pci, 1);
	if (pci_bus_add(b->pci, &p->bus, &p->pci) == 0)
		return p;
	error("%s: there are too many PCI buses", id);
	timer_free(p->announce);
	free(p);
	return NULL;
}

struct root_port *root_port_new(struct board *b, const char *id, unsigned int slot,
				unsigned int fn)
{
	struct root_port *p = make(b, id);

	if (!p)
		return NULL;
	if (fn == 0)
		p->pci.config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTI;
	if (pci_plug_at(b->pci->bus[0], &p->pci, slot, fn) == 0)
		return p;
	root_port_free(p);
	return NULL;
}

void root_port_free(struct root_port *p)
{
	if (!p)
		return;
	loop_forget(p->b->loop, p);
	timer_free(p->announce);
	pci_bus_remove(&p->bus);
	pci_unplug(&p->pci);
	free(p);
}

static void destroy(struct device *d)
{
	root_port_free((struct root_port *)d);
}

static struct device *create(struct board *b, struct props *p)
{
	const char *id = props_string(p, "id", "");
	struct root_port *port;

	if (!b->pci || !b->pci->express) {
		error("pcie-port: this machine has no PCI Express: --machine q35 has");
		return NULL;
	}
	if (!*id) {
		error("pcie-port needs id=NAME, which bus= of devices names");
		return NULL;
	}
	port = make(b, id);
	if (!port)
		return NULL;
	if (pci_plug(b->pci, &port->pci, p) == 0 && props_finish(p) == 0)
		return &port->dev;
	root_port_free(port);
	return NULL;
}

const struct device_class pcie_port_class = {
	.name = "pcie-port",
	.summary = "PCI Express root port with a slot for hot-plug",
	.usage = "id=NAME[,addr=SLOT[.FUNCTION]]",
	.create = create,
	.destroy = destroy,
};
