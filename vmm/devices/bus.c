/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the device of an access. Regions are kept sorted, so a lookup is a
 * binary search of a few steps.
 */
#include <errno.h>
#include <string.h>

#include "bus.h"

int bus_add(struct bus *b, const struct bus_region *r)
{
	unsigned int i = 0;

	if (b->count == BUS_REGIONS_MAX)
		return -ENOSPC;
	while (i < b->count && b->region[i].base < r->base)
		i++;
	if (i > 0 && b->region[i - 1].base + b->region[i - 1].size > r->base)
		return -EEXIST;
	if (i < b->count && r->base + r->size > b->region[i].base)
		return -EEXIST;
	memmove(&b->region[i + 1], &b->region[i], (b->count - i) * sizeof(*r));
	b->region[i] = *r;
	b->count++;
	return 0;
}

const struct bus_region *bus_find(const struct bus *b, u64 addr)
{
	unsigned int lo = 0, hi = b->count;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct bus_region *r = &b->region[mid];

		if (addr < r->base)
			hi = mid;
		else if (addr - r->base >= r->size)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

static void access_region(const struct bus_region *r, u64 addr, u8 *data, unsigned int size,
			  bool write)
{
	u64 value = 0;

	if (write) {
		memcpy(&value, data, size);
		r->write(r->dev, addr - r->base, value, size);
	} else {
		value = r->read(r->dev, addr - r->base, size);
		memcpy(data, &value, size);
	}
}

void bus_access(const struct bus *b, u64 addr, void *data, unsigned int size, bool write)
{
	const struct bus_region *r = bus_find(b, addr);
	unsigned int i;
	u8 *bytes = data;

	if (r && size <= r->width && addr - r->base + size <= r->size) {
		access_region(r, addr, bytes, size, write);
		return;
	}
	for (i = 0; i < size; i++) {
		r = bus_find(b, addr + i);
		if (r)
			access_region(r, addr + i, bytes + i, 1, write);
		else if (!write)
			bytes[i] = 0xff;
	}
}
