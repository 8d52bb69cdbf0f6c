/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Base address registers (PCI 3.0, 6.2.5). Where the guest puts a BAR and
 * enables decoding, its handlers go on the bus, its memory into a slot, and its
 * doorbells to KVM. A guest may put BARs on top of each other or of what is
 * there already: the one that was first keeps the place, and the other gets it
 * when it becomes free.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pci.h"

static unsigned int reg_of(unsigned int n)
{
	return n == PCI_BAR_ROM ? PCI_ROM : PCI_BAR0 + n * 4;
}

static void define(struct pci_device *d, unsigned int n, u8 type, u64 size)
{
	unsigned int reg = reg_of(n);
	u64 mask = ~(size - 1);

	d->bar[n].size = size;
	d->bar[n].type = type;
	d->config[reg] = type;
	pci_put32(d->writable, reg, (u32)mask);
	if (type & PCI_BAR_MEM64 && !(type & PCI_BAR_IO))
		pci_put32(d->writable, reg + 4, (u32)(mask >> 32));
	if (n == PCI_BAR_ROM)
		d->writable[reg] |= PCI_ROM_ENABLE;
}

void pci_bar(struct pci_device *d, unsigned int n, u8 type, u64 size, const struct bus_region *r)
{
	define(d, n, type, size);
	d->bar[n].region = *r;
	d->bar[n].region.size = size;
}

void pci_bar_memory(struct pci_device *d, unsigned int n, u8 type, u64 size, void *host,
		    unsigned int flags)
{
	define(d, n, type, size);
	d->bar[n].host = host;
	d->bar[n].map_flags = flags;
}

void pci_rom(struct pci_device *d, void *host, u64 size)
{
	pci_bar_memory(d, PCI_BAR_ROM, PCI_BAR_MEM32, size, host, VM_MAP_READONLY);
}

int pci_bar_slot(struct pci_device *d, unsigned int n)
{
	int slot;

	if (!d->bus)
		return -1;
	pthread_mutex_lock(&d->bus->host->lock);
	slot = d->bar[n].slot;
	pthread_mutex_unlock(&d->bus->host->lock);
	return slot;
}

/* --- doorbells ------------------------------------------------------------------- */

static int ring_at(struct pci_device *d, const struct pci_doorbell *b, bool on)
{
	const struct pci_bar *bar = &d->bar[b->bar];
	const struct vm_doorbell v = {
		.addr = bar->region.base + b->offset,
		.match = b->match,
		.size = b->size,
		.matched = b->matched,
		.port = bar->type & PCI_BAR_IO,
		.fd = b->fd,
	};

	return bar->mapped ? vm_doorbell(d->bus->host->vm, &v, on) : 0;
}

static void ring_all(struct pci_device *d, unsigned int bar, bool on)
{
	unsigned int i;

	for (i = 0; i < d->doorbells; i++)
		if (d->doorbell[i].bar == bar)
			ring_at(d, &d->doorbell[i], on);
}

int pci_doorbell_add(struct pci_device *d, const struct pci_doorbell *b)
{
	struct pci_host *h = d->bus->host;
	struct pci_doorbell *all;
	int err = -ENOMEM;

	pthread_mutex_lock(&h->lock);
	all = realloc(d->doorbell, (d->doorbells + 1) * sizeof(*all));
	if (all) {
		d->doorbell = all;
		err = ring_at(d, b, true);
		if (!err)
			all[d->doorbells++] = *b;
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

void pci_doorbell_remove(struct pci_device *d, int fd)
{
	struct pci_host *h = d->bus->host;
	unsigned int i;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < d->doorbells; i++)
		if (d->doorbell[i].fd == fd) {
			ring_at(d, &d->doorbell[i], false);
			d->doorbell[i--] = d->doorbell[--d->doorbells];
		}
	pthread_mutex_unlock(&h->lock);
}

/* --- mapping: under host->lock ------------------------------------------------------ */

/* Where the guest wants BAR n; 0: nowhere. */
static u64 wanted(const struct pci_device *d, unsigned int n)
{
	const struct pci_bar *b = &d->bar[n];
	u16 command = pci_get16(d, PCI_COMMAND);
	u64 addr = pci_get32(d, reg_of(n));

	if (!b->size)
		return 0;
	if (b->type & PCI_BAR_IO)
		return command & PCI_COMMAND_IO && addr + b->size <= 0x10000 ? addr & ~3ULL : 0;
	if (n == PCI_BAR_ROM && !(addr & PCI_ROM_ENABLE))
		return 0;
	if (!(command & PCI_COMMAND_MEMORY))
		return 0;
	if (b->type & PCI_BAR_MEM64)
		addr |= (u64)pci_get32(d, reg_of(n) + 4) << 32;
	addr &= ~(b->size - 1);
	return addr + b->size < addr ? 0 : addr;
}

static struct bus *bus_of(const struct pci_device *d, const struct pci_bar *b)
{
	return b->type & PCI_BAR_IO ? d->bus->host->ports : d->bus->host->mmio;
}

static void unmap(struct pci_device *d, unsigned int n)
{
	struct pci_bar *b = &d->bar[n];

	if (!b->mapped)
		return;
	ring_all(d, n, false);
	if (b->host)
		vm_unmap(d->bus->host->vm, b->slot);
	else
		bus_remove(bus_of(d, b), b->region.base, b->region.dev);
	b->slot = -1;
	b->mapped = false;
}

static void map(struct pci_device *d, unsigned int n, u64 addr)
{
	struct pci_bar *b = &d->bar[n];

	b->region.base = addr;
	if (b->host) {
		b->slot = vm_map(d->bus->host->vm, addr, b->size, b->host, b->map_flags);
		b->mapped = b->slot >= 0;
	} else {
		b->mapped = bus_add(bus_of(d, b), &b->region) == 0;
	}
	if (b->mapped)
		ring_all(d, n, true);
}

void pci_unmap_bars(struct pci_device *d)
{
	unsigned int n;

	for (n = 0; n < PCI_BARS; n++)
		unmap(d, n);
}

static void remap_device(struct pci_device *d, bool removing)
{
	unsigned int n;

	for (n = 0; n < PCI_BARS; n++) {
		struct pci_bar *b = &d->bar[n];
		u64 addr = wanted(d, n);

		if (removing && b->mapped && b->region.base != addr)
			unmap(d, n);
		else if (!removing && !b->mapped && addr)
			map(d, n, addr);
	}
}

/* Takes BARs from where they are not wanted any more, then maps what can be. */
void pci_remap(struct pci_host *h)
{
	unsigned int pass, i, devfn;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < h->buses; i++)
			for (devfn = 0; devfn < 256; devfn++)
				if (h->bus[i]->dev[devfn])
					remap_device(h->bus[i]->dev[devfn], pass == 0);
}

/* --- a start without firmware ---------------------------------------------------------- */

static bool take(u64 *next, u64 end, u64 size, u64 *addr)
{
	u64 at = align_up(*next, size);

	if (!end || at < *next || at + size < at || at + size > end)
		return false;
	*addr = at;
	*next = at + size;
	return true;
}

static void assign_bar(struct pci_device *d, unsigned int n, struct pci_windows *w)
{
	const struct pci_bar *b = &d->bar[n];
	u64 size = b->size, addr;
	bool ok;

	if (!size || n == PCI_BAR_ROM)
		return;
	if (b->type & PCI_BAR_IO) {
		ok = take(&w->io, w->io_end, size, &addr);
	} else {
		if (size < 0x1000)
			size = 0x1000;
		/* what is large and may be above 4 GiB goes there */
		ok = b->type & PCI_BAR_MEM64 && size > MIB &&
		     take(&w->mem64, w->mem64_end, size, &addr);
		if (!ok)
			ok = take(&w->mem, w->mem_end, size, &addr);
	}
	if (!ok)
		return;
	pci_put32(d->config, reg_of(n), (u32)addr | b->type);
	if (b->type & PCI_BAR_MEM64 && !(b->type & PCI_BAR_IO))
		pci_put32(d->config, reg_of(n) + 4, (u32)(addr >> 32));
	d->config[PCI_COMMAND] |= b->type & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

void pci_assign(struct pci_host *h, const struct pci_windows *windows)
{
	struct pci_windows w = *windows;
	unsigned int devfn, n;

	pthread_mutex_lock(&h->lock);
	for (devfn = 0; devfn < 256; devfn++)
		for (n = 0; h->bus[0]->dev[devfn] && n < PCI_BARS; n++)
			assign_bar(h->bus[0]->dev[devfn], n, &w);
	pci_remap(h);
	pthread_mutex_unlock(&h->lock);
}
