/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SMBIOS tables (System Management BIOS reference specification 2.8, DSP0134):
 * an entry point with the 32-bit address of structures, each a fixed part and
 * its strings. A processor each has its socket.
 */
#include <stdio.h>
#include <string.h>

#include "smbios.h"

#define VERSION_MAJOR 2
#define VERSION_MINOR 8

#define HANDLE_BIOS 0
#define HANDLE_SYSTEM 0x100
#define HANDLE_CHASSIS 0x300
#define HANDLE_CPU 0x400
#define HANDLE_ARRAY 0x1000
#define HANDLE_MEMORY 0x1100
#define HANDLE_MAPPED 0x1300
#define HANDLE_BOOT 0x2000
#define HANDLE_END 0x7f00

#define DIMM_MAX (16 * GIB)	/* memory is told as modules of at most this size */
#define DIMMS_MAX 1024

struct build {
	struct smbios *s;
	u8 *start;		/* of the structure that is open */
	unsigned int structures, largest, strings;
	bool full;
};

/* --- structures ------------------------------------------------------------------- */

static void put(struct build *b, const void *p, size_t n)
{
	if (b->s->size + n > SMBIOS_SIZE_MAX) {
		b->full = true;
		return;
	}
	memcpy(b->s->tables + b->s->size, p, n);
	b->s->size += (u32)n;
}

/* A structure's fixed part, with zeroes, of which the caller fills in fields. */
static u8 *open_structure(struct build *b, u8 type, u8 length, u16 handle)
{
	static const u8 zero[256];

	b->start = b->s->tables + b->s->size;
	b->strings = 0;
	put(b, zero, length);
	if (b->full)
		return NULL;
	b->start[0] = type;
	b->start[1] = length;
	memcpy(b->start + 2, &handle, 2);
	return b->start;
}

/* Adds a string: its number. Strings come after all fields are filled in. */
static u8 add_string(struct build *b, const char *s)
{
	put(b, s, strlen(s) + 1);
	return (u8)++b->strings;
}

static void close_structure(struct build *b)
{
	unsigned int size;

	put(b, "\0", b->strings ? 1 : 2);
	if (b->full)
		return;
	size = (unsigned int)(b->s->tables + b->s->size - b->start);
	if (size > b->largest)
		b->largest = size;
	b->structures++;
}

static void put16(u8 *p, u16 v)
{
	memcpy(p, &v, 2);
}

static void put32(u8 *p, u32 v)
{
	memcpy(p, &v, 4);
}

/* --- the tables --------------------------------------------------------------------- */

static void bios_information(struct build *b)
{
	u8 *t = open_structure(b, 0, 24, HANDLE_BIOS);

	if (!t)
		return;
	put16(t + 6, 0xf000);
	t[10] = 1 << 3;			/* nothing is told of what it can do */
	t[19] = 1 << 4;			/* it is a virtual machine's */
	t[20] = t[21] = 0;
	t[22] = t[23] = 0xff;
	t[4] = add_string(b, "anykvm");
	t[5] = add_string(b, ANYKVM_VERSION);
	t[8] = add_string(b, "01/01/2024");
	close_structure(b);
}

static void system_information(struct build *b, const struct smbios_config *c)
{
	u8 *t = open_structure(b, 1, 27, HANDLE_SYSTEM);

	if (!t)
		return;
	t[24] = 6;	/* woken by the power switch */
	t[4] = add_string(b, "anykvm");
	t[5] = add_string(b, "Virtual machine");
	t[6] = add_string(b, c->machine);
	close_structure(b);
}

static void chassis(struct build *b)
{
	u8 *t = open_structure(b, 3, 22, HANDLE_CHASSIS);

	if (!t)
		return;
	t[5] = 1;			/* other */
	t[9] = t[10] = t[11] = 3;	/* safe */
	t[12] = 3;			/* no security */
	t[4] = add_string(b, "anykvm");
	close_structure(b);
}

static void processor(struct build *b, unsigned int i)
{
	u8 *t = open_structure(b, 4, 42, (u16)(HANDLE_CPU + i));
	char socket[16];

	if (!t)
		return;
	t[5] = 3;			/* a central processor */
	t[6] = 1;			/* of another family */
	t[24] = 0x41;			/* enabled, in its socket */
	t[25] = 1;
	put16(t + 26, 0xffff);		/* no cache is told of */
	put16(t + 28, 0xffff);
	put16(t + 30, 0xffff);
	t[35] = t[36] = t[37] = 1;	/* cores, enabled, threads */
	put16(t + 38, 1 << 2);		/* 64-bit */
	put16(t + 40, 1);
	snprintf(socket, sizeof(socket), "CPU %u", i);
	t[4] = add_string(b, socket);
	t[7] = add_string(b, "anykvm");
	close_structure(b);
}

static void memory_array(struct build *b, const struct smbios_config *c, unsigned int dimms)
{
	u8 *t = open_structure(b, 16, 23, HANDLE_ARRAY);
	u64 kib = c->memory / KIB;

	if (!t)
		return;
	t[4] = 1;
	t[5] = 3;			/* system memory */
	t[6] = 6;			/* with error correction */
	put32(t + 7, kib < 0x80000000 ? (u32)kib : 0x80000000);
	if (kib >= 0x80000000)
		memcpy(t + 15, &c->memory, 8);
	put16(t + 11, 0xfffe);
	put16(t + 13, (u16)dimms);
	close_structure(b);
}

static void memory_device(struct build *b, unsigned int i, u64 size)
{
	u8 *t = open_structure(b, 17, 40, (u16)(HANDLE_MEMORY + i));
	u64 mib = size / MIB;
	char name[16];

	if (!t)
		return;
	put16(t + 4, HANDLE_ARRAY);
	put16(t + 6, 0xfffe);
	put16(t + 8, 0xffff);		/* widths unknown */
	put16(t + 10, 0xffff);
	put16(t + 12, mib < 0x7fff ? (u16)mib : 0x7fff);
	if (mib >= 0x7fff)
		put32(t + 28, (u32)mib);
	t[14] = 9;			/* DIMM */
	t[18] = 7;			/* RAM */
	put16(t + 19, 2);
	snprintf(name, sizeof(name), "DIMM %u", i);
	t[16] = add_string(b, name);
	t[23] = add_string(b, "anykvm");
	close_structure(b);
}

static void mapped_range(struct build *b, unsigned int i, u64 start, u64 size)
{
	u8 *t = open_structure(b, 19, 31, (u16)(HANDLE_MAPPED + i));
	u64 first = start / KIB, last = (start + size) / KIB - 1, end = start + size - 1;

	if (!t)
		return;
	if (last <= 0xffffffff) {
		put32(t + 4, (u32)first);
		put32(t + 8, (u32)last);
	} else {
		put32(t + 4, ~0u);
		put32(t + 8, ~0u);
		memcpy(t + 15, &start, 8);
		memcpy(t + 23, &end, 8);
	}
	put16(t + 12, HANDLE_ARRAY);
	t[14] = 1;
	close_structure(b);
}

static void memory(struct build *b, const struct smbios_config *c)
{
	u64 dimm = DIMM_MAX, left = c->memory;
	unsigned int n, i;

	while (c->memory / dimm >= DIMMS_MAX / 8)
		dimm *= 2;
	n = (unsigned int)((c->memory + dimm - 1) / dimm);
	memory_array(b, c, n);
	for (i = 0; i < n; i++) {
		memory_device(b, i, left < dimm ? left : dimm);
		left -= left < dimm ? left : dimm;
	}
	mapped_range(b, 0, 0, c->low);
	if (c->high)
		mapped_range(b, 1, 4 * GIB, c->high);
}

/* --- the entry point ------------------------------------------------------------------ */

static u8 sum(const u8 *p, unsigned int n)
{
	u8 v = 0;

	while (n--)
		v = (u8)(v - *p++);
	return v;
}

static void entry_point(const struct build *b, u32 base)
{
	u8 *a = b->s->anchor;

	memset(a, 0, SMBIOS_ANCHOR_SIZE);
	memcpy(a, "_SM_", 4);
	a[5] = SMBIOS_ANCHOR_SIZE;
	a[6] = VERSION_MAJOR;
	a[7] = VERSION_MINOR;
	put16(a + 8, (u16)b->largest);
	memcpy(a + 16, "_DMI_", 5);
	put16(a + 22, (u16)b->s->size);
	put32(a + 24, base);
	put16(a + 28, (u16)b->structures);
	a[30] = VERSION_MAJOR << 4 | VERSION_MINOR;
	a[21] = sum(a + 16, 15);
	a[4] = sum(a, SMBIOS_ANCHOR_SIZE);
}

int smbios_make(struct smbios *s, const struct smbios_config *c, u32 base)
{
	struct build b = { .s = s };
	unsigned int i;
	u8 *t;

	s->size = 0;
	if (c->bios)
		bios_information(&b);
	system_information(&b, c);
	chassis(&b);
	for (i = 0; i < c->cpus; i++)
		processor(&b, i);
	memory(&b, c);
	t = open_structure(&b, 32, 11, HANDLE_BOOT);	/* the last start went well */
	if (t)
		close_structure(&b);
	t = open_structure(&b, 127, 4, HANDLE_END);
	if (t)
		close_structure(&b);
	if (b.full)
		return -1;
	entry_point(&b, base);
	return 0;
}
