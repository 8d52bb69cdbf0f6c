/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the device of an access. Regions are kept sorted, so a lookup is a
 * binary search of a few steps. Accesses are many and changes rare, so readers
 * take no lock: they search again when the table changed meanwhile (a sequence
 * lock), and work with a copy of the region.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "bus.h"

/* --- the sequence lock ------------------------------------------------------- */

static void change_begin(struct bus *b)
{
	u32 even;

	for (;;) {
		even = __atomic_load_n(&b->sequence, __ATOMIC_RELAXED) & ~1u;
		if (__atomic_compare_exchange_n(&b->sequence, &even, even + 1, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			break;
		sched_yield();
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void change_end(struct bus *b)
{
	__atomic_fetch_add(&b->sequence, 1, __ATOMIC_RELEASE);
}

static u32 search_begin(const struct bus *b)
{
	u32 s;

	while ((s = __atomic_load_n(&b->sequence, __ATOMIC_ACQUIRE)) & 1)
		sched_yield();
	return s;
}

static bool search_again(const struct bus *b, u32 sequence)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&b->sequence, __ATOMIC_RELAXED) != sequence;
}

/* --- the table ----------------------------------------------------------------- */

static int insert(struct bus *b, const struct bus_region *r)
{
	u32 i = 0;

	if (b->count == BUS_REGIONS_MAX)
		return -ENOSPC;
	while (i < b->count && b->region[i].base < r->base)
		i++;
	if (i > 0 && r->base - b->region[i - 1].base < b->region[i - 1].size)
		return -EEXIST;
	if (i < b->count && b->region[i].base - r->base < r->size)
		return -EEXIST;
	memmove(&b->region[i + 1], &b->region[i], (b->count - i) * sizeof(*r));
	b->region[i] = *r;
	b->count++;
	return 0;
}

int bus_add(struct bus *b, const struct bus_region *r)
{
	int err;

	if (!r->size || r->base + r->size - 1 < r->base)
		return -EINVAL;
	change_begin(b);
	err = insert(b, r);
	change_end(b);
	return err;
}

int bus_remove(struct bus *b, u64 base, const void *dev)
{
	int err = -ENOENT;
	u32 i;

	change_begin(b);
	for (i = 0; i < b->count && err; i++) {
		if (b->region[i].base != base || b->region[i].dev != dev)
			continue;
		b->count--;
		memmove(&b->region[i], &b->region[i + 1],
			(b->count - i) * sizeof(b->region[0]));
		err = 0;
	}
	change_end(b);
	return err;
}

/* Stays within the table whatever it holds: it may be changing. */
static bool search(const struct bus *b, u64 addr, struct bus_region *out)
{
	u32 lo = 0, hi = __atomic_load_n(&b->count, __ATOMIC_RELAXED);

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;
		const struct bus_region *r = &b->region[mid];

		if (addr < r->base) {
			hi = mid;
		} else if (addr - r->base >= r->size) {
			lo = mid + 1;
		} else {
			*out = *r;
			return true;
		}
	}
	return false;
}

bool bus_find(const struct bus *b, u64 addr, struct bus_region *r)
{
	bool found;
	u32 s;

	do {
		s = search_begin(b);
		found = search(b, addr, r);
	} while (search_again(b, s));
	return found;
}

/* --- accesses -------------------------------------------------------------------- */

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

/* The size of the next piece of an access of size bytes at addr; r: where it begins. */
static unsigned int piece(const struct bus_region *r, u64 addr, unsigned int size)
{
	u64 left = r->size - (addr - r->base);

	if (size <= r->width && size <= left)
		return size;
	if (size > r->width && !(addr % r->width) && !(size % r->width) && r->width <= left)
		return r->width;
	return 1;
}

void bus_access(const struct bus *b, u64 addr, void *data, unsigned int size, bool write)
{
	struct bus_region r;
	u8 *bytes = data;

	while (size) {
		unsigned int n = 1;

		if (bus_find(b, addr, &r)) {
			n = piece(&r, addr, size);
			access_region(&r, addr, bytes, n, write);
		} else if (!write) {
			*bytes = 0xff;
		}
		addr += n;
		bytes += n;
		size -= n;
	}
}
