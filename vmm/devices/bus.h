/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus on which devices listen: regions of I/O ports and of guest-physical
 * memory, each with handlers. Regions are added while the machine is put
 * together; from then on the bus does not change and needs no lock. A device
 * locks itself: its handlers run on any vCPU's thread.
 */
#ifndef VMM_DEVICES_BUS_H
#define VMM_DEVICES_BUS_H

#include "../types.h"

#define BUS_REGIONS_MAX 64

struct bus_region {
	const char *name;
	u64 base, size;
	/* the widest access, in bytes, that the handlers take; wider ones are split */
	unsigned int width;
	u64 (*read)(void *dev, u64 offset, unsigned int size);
	void (*write)(void *dev, u64 offset, u64 value, unsigned int size);
	void *dev;
};

/* One address space: I/O ports, or memory. */
struct bus {
	struct bus_region region[BUS_REGIONS_MAX];	/* by ascending base */
	unsigned int count;
};

/* Adds a region: 0, -EEXIST when it overlaps another, -ENOSPC. */
int bus_add(struct bus *b, const struct bus_region *r);

/* The region that holds addr, or NULL. */
const struct bus_region *bus_find(const struct bus *b, u64 addr);

/*
 * An access of 1 to 8 bytes, little-endian in data. Where no device listens,
 * a read gives ones and a write is lost. An access that crosses the end of a
 * region, or is wider than its handlers take, is made byte by byte.
 */
void bus_access(const struct bus *b, u64 addr, void *data, unsigned int size, bool write);

#endif
