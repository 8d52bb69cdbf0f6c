/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shadowing of the first megabyte (the PAM registers of Intel's host bridges):
 * segments of 16 KiB from 0xc0000 and one of 64 KiB at 0xf0000 read from RAM or
 * from the firmware's ROM, and write to RAM or nowhere. What reads is a memory
 * slot; writes that a read-only slot turns away, and accesses where nothing is
 * mapped, come to handlers here.
 */
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "chipset.h"

#define START 0xc0000u
#define END 0x100000u
#define UNIT 0x4000u			/* the smallest segment */
#define UNITS ((END - START) / UNIT)
#define ROM_START 0xe0000u

#define READ_RAM 1
#define WRITE_RAM 2

struct shadow {
	struct board *b;
	const u8 *rom;
	u8 *ram;			/* of START */
	u8 mode[UNITS];			/* READ_RAM | WRITE_RAM; atomic */
	int slot[UNITS];		/* at the first unit of a run, else -1 */
};

/* --- accesses that no slot takes ------------------------------------------------- */

static u64 read(void *dev, u64 offset, unsigned int size)
{
	struct shadow *s = dev;
	u8 mode = __atomic_load_n(&s->mode[offset / UNIT], __ATOMIC_RELAXED);
	u64 v = ~0ULL;

	if (mode & READ_RAM)		/* its slot is being changed */
		memcpy(&v, s->ram + offset, size);
	else if (s->rom && START + offset >= ROM_START)
		memcpy(&v, s->rom + (START + offset - ROM_START), size);
	return v;
}

static void write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct shadow *s = dev;

	if (__atomic_load_n(&s->mode[offset / UNIT], __ATOMIC_RELAXED) & WRITE_RAM)
		memcpy(s->ram + offset, &value, size);
}

/* --- slots --------------------------------------------------------------------------- */

/* Units of one kind that a slot can hold together. */
static bool same_slot(const struct shadow *s, unsigned int a, unsigned int b)
{
	bool rom_a = START + a * UNIT >= ROM_START, rom_b = START + b * UNIT >= ROM_START;

	return s->mode[a] == s->mode[b] && (s->mode[a] & READ_RAM || rom_a == rom_b);
}

static void map_run(struct shadow *s, unsigned int first, unsigned int end)
{
	u64 gpa = START + first * UNIT, size = (end - first) * (u64)UNIT;
	u8 mode = s->mode[first];

	if (mode & READ_RAM)
		s->slot[first] = vm_map(s->b->vm, gpa, size, s->ram + first * UNIT,
					mode & WRITE_RAM ? 0 : VM_MAP_READONLY);
	else if (s->rom && gpa >= ROM_START)
		s->slot[first] = vm_map(s->b->vm, gpa, size,
					(void *)(s->rom + (gpa - ROM_START)), VM_MAP_READONLY);
}

static void map_all(struct shadow *s)
{
	unsigned int first = 0, end;

	for (; first < UNITS; first = end) {
		for (end = first + 1; end < UNITS && same_slot(s, first, end); end++)
			;
		map_run(s, first, end);
	}
}

static void unmap_all(struct shadow *s)
{
	unsigned int i;

	for (i = 0; i < UNITS; i++)
		if (s->slot[i] >= 0) {
			vm_unmap(s->b->vm, s->slot[i]);
			s->slot[i] = -1;
		}
}

void shadow_set(struct shadow *s, const u8 pam[7])
{
	u8 mode[UNITS];
	unsigned int i;

	for (i = 0; i < UNITS; i++) {
		/* register 0 has 0xf0000 in its upper half; 1 to 6 two segments each */
		if (i >= UNITS - 4)
			mode[i] = pam[0] >> 4 & 3;
		else
			mode[i] = pam[1 + i / 2] >> (i & 1) * 4 & 3;
	}
	if (!memcmp(mode, s->mode, sizeof(mode)))
		return;
	unmap_all(s);
	for (i = 0; i < UNITS; i++)
		__atomic_store_n(&s->mode[i], mode[i], __ATOMIC_RELAXED);
	map_all(s);
}

struct shadow *shadow_new(struct board *b, const u8 *rom)
{
	struct shadow *s = calloc(1, sizeof(*s));
	const struct bus_region r = { "shadow", START, END - START, 8, read, write, s };
	unsigned int i;

	if (!s) {
		error("out of memory");
		return NULL;
	}
	s->b = b;
	s->rom = rom;
	s->ram = memory_ptr(b->mem, START, END - START);
	for (i = 0; i < UNITS; i++) {
		s->slot[i] = -1;
		s->mode[i] = rom ? 0 : READ_RAM | WRITE_RAM;
	}
	if (!s->ram || bus_add(b->mmio, &r) < 0) {
		error("cannot set up the memory below 1 MiB");
		free(s);
		return NULL;
	}
	map_all(s);
	return s;
}

void shadow_free(struct shadow *s)
{
	free(s);
}
