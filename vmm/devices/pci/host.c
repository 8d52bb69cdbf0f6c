/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's side of PCI: the ways to the configuration space (mechanism 1 at
 * ports 0xcf8 and 0xcfc, PCI 3.0, 3.2.2.3.2; and the memory-mapped one of PCI
 * Express, ECAM), and the wires of INTx up to the chipset's PIRQs.
 */
#include <errno.h>
#include <stdlib.h>

#include "pci.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA 0xcfc
#define ADDRESS_ENABLE (1u << 31)
#define RESET_OFFSET 1			/* port 0xcf9 */

/* --- finding the device ------------------------------------------------------------ */

static struct pci_bus *find_bus(struct pci_host *h, unsigned int number)
{
	unsigned int i;

	if (number == 0)
		return h->bus[0];
	for (i = 1; i < h->buses; i++)
		if (h->bus[i]->bridge->config[PCI_SECONDARY_BUS] == number)
			return h->bus[i];
	return NULL;
}

struct pci_device *pci_find(struct pci_host *h, unsigned int bus, unsigned int devfn)
{
	struct pci_bus *b = find_bus(h, bus);

	return b ? b->dev[devfn] : NULL;
}

int pci_bus_add(struct pci_host *h, struct pci_bus *b, struct pci_device *bridge)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&h->lock);
	b->host = h;
	b->bridge = bridge;
	if (h->buses < PCI_BUSES_MAX) {
		h->bus[h->buses++] = b;
		err = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

void pci_bus_remove(struct pci_bus *b)
{
	struct pci_host *h = b->host;
	unsigned int i;

	pthread_mutex_lock(&h->lock);
	for (i = 0; i < h->buses; i++)
		if (h->bus[i] == b)
			h->bus[i--] = h->bus[--h->buses];
	pthread_mutex_unlock(&h->lock);
}

/* The hook runs without the lock: a device is only freed while no vCPU runs. */
static bool hook(struct pci_host *h, struct pci_device *d, unsigned int offset,
		 unsigned int size, u32 *value, bool write)
{
	bool done;

	if (!d || !d->config_access)
		return false;
	pthread_mutex_unlock(&h->lock);
	done = d->config_access(d, offset, size, value, write);
	pthread_mutex_lock(&h->lock);
	return done;
}

static u32 config_read(struct pci_host *h, unsigned int bus, unsigned int devfn,
		       unsigned int offset, unsigned int size)
{
	struct pci_device *d;
	u32 value = ~0u;

	pthread_mutex_lock(&h->lock);
	d = pci_find(h, bus, devfn);
	if (d && !hook(h, d, offset, size, &value, false))
		value = pci_config_read(d, offset, size);
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void config_write(struct pci_host *h, unsigned int bus, unsigned int devfn,
			 unsigned int offset, u32 value, unsigned int size)
{
	struct pci_device *d;

	pthread_mutex_lock(&h->lock);
	d = pci_find(h, bus, devfn);
	if (d && !hook(h, d, offset, size, &value, true))
		pci_config_write(d, offset, value, size);
	pthread_mutex_unlock(&h->lock);
}

/* --- mechanism 1 ------------------------------------------------------------------------ */

static bool is_reset(const struct pci_host *h, u64 offset, unsigned int size)
{
	return h->reset && offset == RESET_OFFSET && size == 1;
}

static u64 address_read(void *dev, u64 offset, unsigned int size)
{
	struct pci_host *h = dev;

	if (is_reset(h, offset, size))
		return h->reset->read(h->reset->dev, 0, 1);
	if (offset || size != 4)
		return ~0ULL;
	return __atomic_load_n(&h->address, __ATOMIC_RELAXED);
}

static void address_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct pci_host *h = dev;

	if (is_reset(h, offset, size))
		h->reset->write(h->reset->dev, 0, value, 1);
	else if (!offset && size == 4)
		__atomic_store_n(&h->address, (u32)value & ~3u, __ATOMIC_RELAXED);
}

static u64 data_read(void *dev, u64 offset, unsigned int size)
{
	struct pci_host *h = dev;
	u32 a = __atomic_load_n(&h->address, __ATOMIC_RELAXED);

	if (!(a & ADDRESS_ENABLE))
		return ~0ULL;
	return config_read(h, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) + (u32)offset, size);
}

static void data_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct pci_host *h = dev;
	u32 a = __atomic_load_n(&h->address, __ATOMIC_RELAXED);

	if (a & ADDRESS_ENABLE)
		config_write(h, a >> 16 & 0xff, a >> 8 & 0xff, (a & 0xfc) + (u32)offset,
			     (u32)value, size);
}

/* --- ECAM --------------------------------------------------------------------------------- */

static u64 ecam_read(void *dev, u64 offset, unsigned int size)
{
	return config_read(dev, offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, size);
}

static void ecam_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	config_write(dev, offset >> 20 & 0xff, offset >> 12 & 0xff, offset & 0xfff, (u32)value,
		     size);
}

void pci_host_ecam(struct pci_host *h, u64 base, u64 size)
{
	const struct bus_region r = { "ecam", base, size, 4, ecam_read, ecam_write, h };

	if (h->ecam == base && h->ecam_size == size)
		return;
	if (h->ecam_size)
		bus_remove(h->mmio, h->ecam, h);
	h->ecam_size = size && bus_add(h->mmio, &r) == 0 ? size : 0;
	h->ecam = base;
}

/* --- INTx ------------------------------------------------------------------------------------ */

/* The PIRQ of a device: through bridges the pins swizzle (PCI-to-PCI Bridge 1.2, 9.1). */
static unsigned int pirq_of(struct pci_device *d)
{
	unsigned int pin = (d->config[PCI_INTERRUPT_PIN] - 1u) & 3;

	while (d->bus->bridge) {
		pin = (pin + (d->devfn >> 3)) & 3;
		d = d->bus->bridge;
	}
	return d->bus->host->wiring.pirq(d->devfn >> 3, pin) % PCI_PIRQS;
}

void pci_update_intx(struct pci_device *d)
{
	struct pci_host *h = d->bus->host;
	unsigned int pirq = pirq_of(d);
	bool out;

	pthread_mutex_lock(&h->intx_lock);
	out = d->intx && !(pci_get16(d, PCI_COMMAND) & PCI_COMMAND_INTX_OFF);
	if (out != d->intx_out) {
		d->intx_out = out;
		h->levels[pirq] += out ? 1 : -1u;
		if (h->levels[pirq] == (out ? 1 : 0))
			h->wiring.set(h->wiring.ctx, pirq, out);
	}
	pthread_mutex_unlock(&h->intx_lock);
}

void pci_host_reroute(struct pci_host *h)
{
	unsigned int i;

	pthread_mutex_lock(&h->intx_lock);
	for (i = 0; i < PCI_PIRQS; i++)
		h->wiring.set(h->wiring.ctx, i, h->levels[i] != 0);
	pthread_mutex_unlock(&h->intx_lock);
}

void pci_set_pin(struct pci_device *d, u8 pin)
{
	d->config[PCI_INTERRUPT_PIN] = pin;
}

void pci_intx(struct pci_device *d, bool level)
{
	if (!d->bus || !d->config[PCI_INTERRUPT_PIN])
		return;
	__atomic_store_n(&d->intx, level, __ATOMIC_SEQ_CST);
	pci_update_intx(d);
}

/* --- life ------------------------------------------------------------------------------------- */

struct pci_host *pci_host_new(struct vm *vm, struct bus *ports, struct bus *mmio,
			      const struct pci_wiring *wiring, const struct bus_region *reset)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	struct pci_bus *root = calloc(1, sizeof(*root));
	const struct bus_region regions[] = {
		{ "pci-address", PORT_ADDRESS, 4, 4, address_read, address_write, h },
		{ "pci-data", PORT_DATA, 4, 4, data_read, data_write, h },
	};

	if (!h || !root) {
		free(h);
		free(root);
		return NULL;
	}
	h->vm = vm;
	h->ports = ports;
	h->mmio = mmio;
	h->wiring = *wiring;
	h->reset = reset;
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->intx_lock, NULL);
	pci_bus_add(h, root, NULL);
	if (bus_add(ports, &regions[0]) == 0 && bus_add(ports, &regions[1]) == 0)
		return h;
	pci_host_free(h);
	return NULL;
}

void pci_host_free(struct pci_host *h)
{
	if (!h)
		return;
	free(h->bus[0]);
	free(h);
}
