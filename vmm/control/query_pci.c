/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * query-pci: the buses as the guest has set them up, in the form of QEMU's QAPI
 * schema (PciInfo). What the guest wrote is read under the lock of the host
 * bridge and only told, so nothing here is trusted.
 */
#include "../devices/pci/pci.h"
#include "state.h"

static const char *class_name(unsigned int class)
{
	static const char *const names[] = {
		NULL, "Storage controller", "Network controller", "Display controller",
		"Multimedia device", "Memory controller", "Bridge", "Communication controller",
		NULL, "Input device", NULL, NULL, "Serial bus controller",
	};
	unsigned int base = class >> 8;

	return base < ARRAY_SIZE(names) ? names[base] : NULL;
}

static u64 bar_address(const struct pci_device *d, unsigned int n)
{
	u32 low = pci_get32(d, PCI_BAR0 + 4 * n);

	if (d->bar[n].type & PCI_BAR_IO)
		return low & ~3u;
	if (d->bar[n].type & PCI_BAR_MEM64 && n < 5)
		return (low & ~15u) | (u64)pci_get32(d, PCI_BAR0 + 4 * n + 4) << 32;
	return low & ~15u;
}

static json_t *regions(const struct pci_device *d)
{
	json_t *all = json_array();
	unsigned int n;

	for (n = 0; n < PCI_BAR_ROM; n++) {
		const struct pci_bar *b = &d->bar[n];
		bool io = b->type & PCI_BAR_IO;

		if (!b->size)
			continue;
		json_array_append_new(all, json_pack("{s:i, s:s, s:I, s:I, s:b, s:b}",
				      "bar", (int)n, "type", io ? "io" : "memory", "address",
				      b->mapped ? (json_int_t)bar_address(d, n) : (json_int_t)-1,
				      "size", (json_int_t)b->size, "prefetch",
				      !io && b->type & PCI_BAR_PREFETCH, "mem_type_64",
				      !io && b->type & PCI_BAR_MEM64));
	}
	return all;
}

static json_t *devices(const struct pci_bus *bus, const struct pci_host *h, unsigned int number);

/* The bus behind a bridge, or NULL. */
static const struct pci_bus *behind(const struct pci_host *h, const struct pci_device *d)
{
	unsigned int i;

	for (i = 1; i < h->buses; i++)
		if (h->bus[i]->bridge == d)
			return h->bus[i];
	return NULL;
}

static json_t *bridge(const struct pci_host *h, const struct pci_device *d,
		      const struct pci_bus *below)
{
	unsigned int second = d->config[PCI_SECONDARY_BUS];

	return json_pack("{s:{s:i, s:i, s:i}, s:o}", "bus", "number", d->config[PCI_PRIMARY_BUS],
			 "secondary", (int)second, "subordinate", d->config[PCI_SUBORDINATE_BUS],
			 "devices", devices(below, h, second));
}

static json_t *device(const struct pci_host *h, const struct pci_device *d, unsigned int number)
{
	const struct pci_bus *below = behind(h, d);
	unsigned int class = pci_get32(d, PCI_REVISION) >> 16;
	const char *name = class_name(class);
	json_t *one = json_pack("{s:i, s:i, s:i, s:{s:i}, s:{s:i, s:i}, s:i, s:s, s:o}",
				"bus", (int)number, "slot", d->devfn >> 3, "function", d->devfn & 7,
				"class_info", "class", (int)class, "id",
				"vendor", pci_get16(d, 0), "device", pci_get16(d, 2),
				"irq_pin", d->config[PCI_INTERRUPT_PIN],
				"qdev_id", d->device ? d->device->id : below ? d->name : "",
				"regions", regions(d));

	if (one && name)
		json_object_set_new(json_object_get(one, "class_info"), "desc", json_string(name));
	if (one && below)
		json_object_set_new(one, "pci_bridge", bridge(h, d, below));
	return one;
}

/* Buses are only made below those that are there, so this ends. */
static json_t *devices(const struct pci_bus *bus, const struct pci_host *h, unsigned int number)
{
	json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bus->dev); i++)
		if (bus->dev[i])
			json_array_append_new(all, device(h, bus->dev[i], number));
	return all;
}

json_t *control_query_pci(struct qmp *q, json_t *arguments, struct qmp_error *e)
{
	struct machine *m = control_of(q)->machine;
	struct pci_host *h = m ? m->board.pci : NULL;
	json_t *all = json_array();

	(void)arguments, (void)e;
	if (!h)
		return all;
	pthread_mutex_lock(&h->lock);
	json_array_append_new(all, json_pack("{s:i, s:o}", "bus", 0, "devices",
					     devices(h->bus[0], h, 0)));
	pthread_mutex_unlock(&h->lock);
	return all;
}
