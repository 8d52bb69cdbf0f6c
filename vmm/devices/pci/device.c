/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI device: its configuration space, its capabilities, and plugging it in
 * (PCI 3.0, chapter 6).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "pci.h"

#define FIRST_CAP 0x40
#define FIRST_EXT_CAP 0x100
#define SLOTS 32

void pci_init(struct pci_device *d, const char *name, const struct pci_ids *ids)
{
	unsigned int i;

	memset(d, 0, sizeof(*d));
	d->name = name;
	pthread_mutex_init(&d->msi_lock, NULL);
	d->next_cap = FIRST_CAP;
	d->next_ext_cap = FIRST_EXT_CAP;
	for (i = 0; i < PCI_BARS; i++)
		d->bar[i].slot = -1;
	pci_put16(d->config, PCI_VENDOR, ids->vendor);
	pci_put16(d->config, PCI_DEVICE, ids->device);
	pci_put16(d->config, PCI_SUBSYSTEM_VENDOR, ids->subsystem_vendor);
	pci_put16(d->config, PCI_SUBSYSTEM, ids->subsystem);
	pci_put32(d->config, PCI_REVISION, ids->class << 8 | ids->revision);
	pci_put16(d->writable, PCI_COMMAND, PCI_COMMAND_WRITABLE);
	pci_put16(d->w1c, PCI_STATUS, PCI_STATUS_W1C);
	d->writable[PCI_CACHE_LINE] = 0xff;
	d->writable[PCI_INTERRUPT_LINE] = 0xff;
}

/* --- the configuration space: under host->lock --------------------------------- */

u32 pci_config_read(struct pci_device *d, unsigned int offset, unsigned int size)
{
	u32 value = 0;

	if (offset + size > (d->express ? PCI_CONFIG_SIZE : PCI_CONFIG_LEGACY))
		return ~0u;
	memcpy(&value, d->config + offset, size);
	/* the pin's state shows whether or not it is let through */
	if (offset <= PCI_STATUS && PCI_STATUS < offset + size && d->intx)
		value |= PCI_STATUS_INTX << ((PCI_STATUS - offset) * 8);
	return value;
}

static bool touches(unsigned int offset, unsigned int size, unsigned int at, unsigned int n)
{
	return offset < at + n && at < offset + size;
}

void pci_config_write(struct pci_device *d, unsigned int offset, u32 value, unsigned int size)
{
	unsigned int i;

	if (offset + size > (d->express ? PCI_CONFIG_SIZE : PCI_CONFIG_LEGACY))
		return;
	for (i = 0; i < size; i++) {
		u8 v = (u8)(value >> (i * 8)), *byte = &d->config[offset + i];
		u8 mask = d->writable[offset + i];

		*byte = (u8)((*byte & ~mask) | (v & mask));
		*byte &= (u8)~(v & d->w1c[offset + i]);
	}
	if (touches(offset, size, PCI_COMMAND, 2))
		pci_update_intx(d);
	if (touches(offset, size, PCI_COMMAND, 2) || touches(offset, size, PCI_BAR0, 24) ||
	    touches(offset, size, PCI_ROM, 4))
		pci_remap(d->bus->host);
	if (d->msi)
		pci_msi_written(d, offset, size);
	if (d->msix)
		pci_msix_written(d, offset, size);
	if (d->config_written)
		d->config_written(d, offset, size);
}

/* --- capabilities ------------------------------------------------------------------ */

u8 pci_capability(struct pci_device *d, u8 id, u8 size)
{
	u8 at = d->next_cap;

	if (at + size > PCI_CONFIG_LEGACY)
		return 0;
	d->config[at] = id;
	d->config[at + 1] = d->config[PCI_CAPABILITIES];
	d->config[PCI_CAPABILITIES] = at;
	d->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	d->next_cap = (u8)align_up(at + size, 4);
	if (!d->next_cap)
		d->next_cap = 0xff;	/* full */
	return at;
}

u16 pci_ext_capability(struct pci_device *d, u16 id, u8 version, u16 size)
{
	u16 at = d->next_ext_cap;

	if (at + size > PCI_CONFIG_SIZE)
		return 0;
	d->express = true;
	pci_put32(d->config, at, id | (u32)version << 16);
	if (d->last_ext_cap)
		pci_put16(d->config, d->last_ext_cap + 2u, (u16)
			  (pci_get16(d, d->last_ext_cap + 2u) | at << 4));
	d->last_ext_cap = at;
	d->next_ext_cap = (u16)(at + size);
	return at;
}

void pci_express_endpoint(struct pci_device *d, bool integrated)
{
	u8 at = pci_capability(d, PCI_CAP_EXPRESS, 0x3c);

	if (!at)
		return;
	d->express = true;
	pci_put16(d->config, at + 0x02u, (u16)(2 | (integrated ? 9 : 0) << 4));
	pci_put32(d->config, at + 0x04u, 1 << 15);		/* role-based error reporting */
	pci_put16(d->writable, at + 0x08u, 0x78ef);		/* device control */
	pci_put16(d->config, at + 0x08u, 0x2810);
	pci_put16(d->w1c, at + 0x0au, 0x000f);
	if (!integrated) {
		pci_put32(d->config, at + 0x0cu, 0x11);		/* x1, 2.5 GT/s */
		pci_put16(d->writable, at + 0x10u, 0x0043);
		pci_put16(d->config, at + 0x12u, 0x11);
	}
}

/* --- on the bus --------------------------------------------------------------------- */

static int plug(struct pci_bus *b, struct pci_device *d, unsigned int devfn)
{
	int busy;

	pthread_mutex_lock(&b->host->lock);
	busy = b->dev[devfn] != NULL;
	if (!busy) {
		d->bus = b;
		d->devfn = (u8)devfn;
		b->dev[devfn] = d;
		if (b->plugged)
			b->plugged(b, d);
	}
	pthread_mutex_unlock(&b->host->lock);
	if (busy)
		return error("%s: PCI slot %x.%x is taken by %s", d->name, devfn >> 3, devfn & 7,
			     b->dev[devfn]->name);
	return 0;
}

int pci_plug_at(struct pci_bus *b, struct pci_device *d, unsigned int slot, unsigned int fn)
{
	return plug(b, d, slot << 3 | fn);
}

/* The first slot without function 0 or any other; -1 when there is none. */
static int free_slot(const struct pci_bus *b)
{
	unsigned int slot, fn;

	/* below a PCI Express port there is only slot 0 */
	for (slot = 0; slot < (b->bridge && b->bridge->express ? 1 : SLOTS); slot++) {
		for (fn = 0; fn < 8 && !b->dev[slot << 3 | fn]; fn++)
			;
		if (fn == 8)
			return (int)slot;
	}
	return -1;
}

/* The bus of that name; without one, where devices come to now. */
static struct pci_bus *find_bus(struct pci_host *h, const char *name)
{
	unsigned int i;

	for (i = 1; i < h->buses; i++) {
		struct pci_bus *b = h->bus[i];

		if (name ? !strcmp(b->bridge->name, name) :
			   h->running && b->eject && free_slot(b) >= 0)
			return b;
	}
	return name || h->running ? NULL : h->bus[0];
}

const char *pci_hotplug_bus(struct pci_host *h)
{
	struct pci_bus *b = h->running ? find_bus(h, NULL) : NULL;

	return b ? b->bridge->name : NULL;
}

int pci_plug(struct pci_host *h, struct pci_device *d, struct props *p)
{
	const char *addr = p ? props_string(p, "addr", NULL) : NULL;
	const char *name = p ? props_string(p, "bus", NULL) : NULL;
	struct pci_bus *b = find_bus(h, name);
	unsigned int slot, fn = 0;
	char rest;
	int place;

	if (!b && name)
		return error("%s: there is no PCI bus '%s'", d->name, name);
	if (!b || (h->running && !b->eject))
		return error("%s: no slot for hot-plug is free", d->name);
	if (addr) {
		place = sscanf(addr, "%x.%x%c", &slot, &fn, &rest);
		if ((place != 2 && (place != 1 || strchr(addr, '.'))) || slot >= SLOTS || fn > 7)
			return error("%s: addr=%s is no SLOT or SLOT.FUNCTION", d->name, addr);
		return plug(b, d, slot << 3 | fn);
	}
	place = free_slot(b);
	if (place < 0)
		return error("%s: no PCI slot is free", d->name);
	return plug(b, d, (unsigned int)place << 3);
}

int pci_request_unplug(struct pci_device *d)
{
	struct pci_host *h = d->bus->host;
	int err = -EOPNOTSUPP;

	pthread_mutex_lock(&h->lock);
	if (d->bus->eject && d->device)
		err = d->bus->eject(d->bus, d);
	pthread_mutex_unlock(&h->lock);
	return err;
}

void pci_unplug(struct pci_device *d)
{
	struct pci_host *h;

	if (d->bus) {
		h = d->bus->host;
		pthread_mutex_lock(&h->lock);
		d->intx = false;
		pci_update_intx(d);
		pci_unmap_bars(d);
		d->bus->dev[d->devfn] = NULL;
		if (d->bus->unplugged)
			d->bus->unplugged(d->bus, d);
		pci_remap(h);
		pthread_mutex_unlock(&h->lock);
	}
	pci_msix_fini(d);
	d->bus = NULL;
	free(d->doorbell);
	d->doorbell = NULL;
	d->doorbells = 0;
}
