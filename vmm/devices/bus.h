/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus on which devices listen: regions of I/O ports and of guest-physical
 * memory, each with handlers. Regions come and go at any time and from any
 * thread (the guest moves those of PCI devices); an access that began before a
 * region was removed may still reach its handlers. A device locks itself: its
 * handlers run on any vCPU's thread, without a lock of the bus.
 */
#ifndef VMM_DEVICES_BUS_H
#define VMM_DEVICES_BUS_H

#include "../types.h"

#define BUS_REGIONS_MAX 256

struct bus_region {
	const char *name;
	u64 base, size;
	/* the widest access, in bytes, that the handlers take; wider ones are split */
	unsigned int width;
	u64 (*read)(void *dev, u64 offset, unsigned int size);
	void (*write)(void *dev, u64 offset, u64 value, unsigned int size);
	void *dev;
};

/* One address space: I/O ports, or memory. All zero is an empty one. */
struct bus {
	u32 sequence;	/* odd while the table changes */
	u32 count;
	struct bus_region region[BUS_REGIONS_MAX];	/* by ascending base */
};

/* Adds a region: 0, -EEXIST when it overlaps another, -EINVAL (no bytes, or a wrap), -ENOSPC. */
int bus_add(struct bus *b, const struct bus_region *r);

/* Removes the region that begins at base and belongs to dev: 0, or -ENOENT. */
int bus_remove(struct bus *b, u64 base, const void *dev);

/* Copies the region that holds addr; false when there is none. */
bool bus_find(const struct bus *b, u64 addr, struct bus_region *r);

/*
 * An access of 1 to 8 bytes, little-endian in data. Where no device listens,
 * a read gives ones and a write is lost. An access that crosses the end of a
 * region, or is wider than its handlers take, is made in pieces: of the
 * handlers' width when it is aligned, else of single bytes.
 */
void bus_access(const struct bus *b, u64 addr, void *data, unsigned int size, bool write);

#endif
