/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory: page tables of four levels (or PAE's three) that map the
 * arenas where the host has them, descriptor tables that equal what Linux
 * gives its processes, and handlers for every vector, which halt.
 */
#include <string.h>

#include "guest.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_NX (1ull << 63)

u8 *guest_system, *guest_code[2];
static u64 next_table;
static u32 code16_base;

u64 guest_kernel_base(void)
{
	return opt.legacy ? KERNEL_BASE32 : KERNEL_BASE64;
}

static u64 new_table(void)
{
	u64 t = next_table;

	next_table += 4096;
	memset(guest_system + t, 0, 4096);
	return t;
}

static u64 *entry_at(u64 table, u64 linear, int level)
{
	return (u64 *)(guest_system + table) + (linear >> (12 + 9 * level) & 511);
}

static void map_page(u64 root, u64 linear, u64 gpa, u64 flags)
{
	u64 table = root, *e;
	int level;

	for (level = opt.legacy ? 2 : 3; level > 0; level--) {
		e = entry_at(table, linear, level);
		if (!*e)
			*e = new_table() | PTE_P | (opt.legacy && level == 2 ? 0 : PTE_W | PTE_U);
		table = *e & 0xffffffffff000;
	}
	*entry_at(table, linear, 0) = gpa | flags | PTE_P;
}

static void map_arena(u64 root, int i)
{
	u64 base = i ? HIGH_BASE : LOW_BASE, gpa = GPA_CODE + (u64)i * CODE_SIZE, off;

	for (off = 0; off < CODE_SIZE; off += 4096) {
		u64 in_window = off & (CODE_WINDOW - 1);

		if (in_window < CODE_USABLE)
			map_page(root, base + off, gpa + off, PTE_U | PTE_W);
		else if (in_window == CODE_EXIT)
			map_page(root, base + off, gpa + off, PTE_U);
	}
	for (off = 0; off < DATA_SIZE; off += 4096)
		map_page(root, base + DATA_OFFSET + off, guest_data_page(i, off),
			 PTE_U | PTE_NX | (off < DATA_RW_SIZE ? PTE_W : 0));
}

static void write_exits(int i)
{
	int w;

	for (w = 0; w < CODE_WINDOWS; w++) {
		u8 *p = guest_code[i] + w * CODE_WINDOW + CODE_EXIT;

		p[0] = 0xcd;
		p[1] = END_VECTOR;
	}
}

/* --- descriptors ---------------------------------------------------------------- */

static u64 descriptor(u32 base, u32 limit, u16 access)
{
	if (access & 0x8000)
		limit >>= 12;
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(access & 0xf0ff) << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

/* Access bytes and flags (G, D, L, AVL in the top nibble) of Linux's segments. */
static const struct {
	u16 selector, access;
} gdt[] = {
	{ 0x08, 0xc09b }, { 0x10, 0xa09b }, { 0x18, 0xc093 },
	{ 0x20, 0xc0fb }, { 0x28, 0xc0f3 }, { 0x30, 0xa0fb }, { 0x78, 0x00f5 },
};

struct ldt_entry {
	u16 selector, access;
	u32 base, limit;
};

static const struct ldt_entry ldt[] = {
	{ SEL_CODE16, 0x10fb, 0, 0xffff },
	{ SEL_DATA16, 0x10f3, LOW_BASE + DATA_OFFSET, 0xffff },
	{ SEL_FS_DATA, 0x50f3, LOW_BASE + DATA_OFFSET - 0x100, 0x1800 },
	{ SEL_GS_DOWN, 0x50f7, LOW_BASE + DATA_OFFSET, 0x7ff },
};

static void write_descriptors(void)
{
	u64 *g = (u64 *)(guest_system + GPA_GDT), *l = (u64 *)(guest_system + GPA_LDT);
	u64 tss = guest_kernel_base() + GPA_TSS;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gdt); i++)
		g[gdt[i].selector >> 3] = descriptor(0, 0xffffffff, gdt[i].access);
	g[SEL_TSS >> 3] = descriptor((u32)tss, 0x67, 0x008b);
	if (!opt.legacy)
		g[(SEL_TSS >> 3) + 1] = tss >> 32;
	for (i = opt.bits == 16 ? 0 : 1; i < ARRAY_SIZE(ldt); i++)
		l[ldt[i].selector >> 3] = descriptor(ldt[i].base, ldt[i].limit, ldt[i].access);
}

void guest_set_code16(u32 base)
{
	u64 *l = (u64 *)(guest_system + GPA_LDT);

	code16_base = base;
	l[SEL_CODE16 >> 3] = descriptor(base, 0xffff, 0x10fb);
}

static struct kvm_segment from_access(u16 selector, u16 access, u32 base, u32 limit)
{
	struct kvm_segment s = { 0 };

	s.selector = selector;
	s.base = base;
	s.limit = limit;
	s.type = access & 15;
	s.s = 1;
	s.dpl = access >> 5 & 3;
	s.present = 1;
	s.l = access >> 13 & 1;
	s.db = access >> 14 & 1;
	s.g = access >> 15 & 1;
	s.avl = access >> 12 & 1;
	return s;
}

struct kvm_segment guest_segment(u16 selector)
{
	struct kvm_segment none = { .unusable = 1 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gdt); i++)
		if (gdt[i].selector == (selector & ~7))
			if (!(selector & 4))
				return from_access(selector, gdt[i].access, 0, 0xffffffff);
	for (i = 0; i < ARRAY_SIZE(ldt); i++)
		if (ldt[i].selector == selector)
			return from_access(selector, ldt[i].access,
					   selector == SEL_CODE16 ? code16_base : ldt[i].base,
					   ldt[i].limit);
	return none;
}

/* --- interrupts ------------------------------------------------------------------- */

static void write_gate(int vector, u64 to)
{
	bool user = vector == 3 || vector == 4 || vector == END_VECTOR;
	u16 sel = opt.legacy ? SEL_KERNEL32 : SEL_KERNEL64;
	u64 g = (to & 0xffff) | (u64)sel << 16 | (user ? 0xeeull : 0x8eull) << 40 |
		(to >> 16 & 0xffff) << 48;
	u64 *idt = (u64 *)(guest_system + GPA_IDT);

	if (opt.legacy) {
		idt[vector] = g;
		return;
	}
	idt[vector * 2] = g;
	idt[vector * 2 + 1] = to >> 32;
}

static void write_interrupts(void)
{
	u64 base = guest_kernel_base(), stack = base + GPA_STACK_TOP;
	u16 ss = SEL_KERNELDS;
	int v;

	for (v = 0; v < 256; v++) {
		write_gate(v, base + GPA_HANDLERS + (u64)v * 16);
		guest_system[GPA_HANDLERS + v * 16] = 0xf4;
	}
	memcpy(guest_system + GPA_TSS + 4, &stack, opt.legacy ? 4 : 8);
	if (opt.legacy)
		memcpy(guest_system + GPA_TSS + 8, &ss, 2);
	guest_system[GPA_TSS + 0x66] = 0x68;	/* the I/O map begins after the limit */
}

u64 guest_build_memory(void)
{
	u64 root, gpa;
	int i;

	next_table = GPA_TABLES;
	root = new_table();
	for (i = 0; i < (opt.legacy ? 1 : 2); i++)
		map_arena(root, i);
	for (i = 0; i < 2; i++)
		write_exits(i);
	for (gpa = GPA_GDT; gpa < GPA_STACK_TOP; gpa += 4096)
		map_page(root, guest_kernel_base() + gpa, gpa, PTE_W);
	write_descriptors();
	write_interrupts();
	return root;
}
