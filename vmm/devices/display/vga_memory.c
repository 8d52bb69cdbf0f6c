/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The window of the VGA at 0xa0000 (IBM VGA XGA Technical Reference, section
 * 2): where it is, and the ways from a byte of it to the planes: linear
 * (chain 4, or a mode of dispi), odd and even bytes to two planes, or the four
 * planes at once with write modes, latches and masks.
 */
#include "vga.h"

#define SEQ_CHAIN4 0x08			/* register 4 */
#define SEQ_PLANAR 0x04			/* register 4; clear: odd/even */
#define GR_ODD_EVEN 0x10		/* register 5 */
#define GR_READ_COMPARE 0x08

/* The offset in the window that registers have open; false when it is not. */
static bool window(const struct vga_regs *r, u32 addr, u32 *offset)
{
	switch (r->gr[6] >> 2 & 3) {
	case 0:
		*offset = addr;
		return addr < 0x20000;
	case 1:
		*offset = addr;
		return addr < 0x10000;
	case 2:
		*offset = addr - 0x10000;
		return addr >= 0x10000 && addr < 0x18000;
	default:
		*offset = addr - 0x18000;
		return addr >= 0x18000 && addr < 0x20000;
	}
}

static u32 spread(u8 planes)
{
	return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) |
	       (planes & 4 ? 0xff0000u : 0) | (planes & 8 ? 0xff000000u : 0);
}

static u32 *group(struct vga *v, u32 offset)
{
	return (u32 *)(v->mem + ((u64)offset * 4 & (v->mem_size - 1)));
}

static void touch(struct vga *v, const void *at)
{
	u32 page = (u32)((const u8 *)at - v->mem) / VGA_PAGE;

	v->touched[page / 64] |= 1ULL << page % 64;
}

static void put(struct vga *v, u32 index, u8 value)
{
	u8 *at = v->mem + (index & (v->mem_size - 1));

	*at = value;
	touch(v, at);
}

/* --- reading ------------------------------------------------------------------------ */

static u8 read_compare(const struct vga *v)
{
	const u8 *gr = v->r.gr;
	u32 differ = (v->latch ^ spread(gr[2])) & spread(gr[7]);

	return (u8)~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

u8 vga_window_read(struct vga *v, u32 addr)
{
	const struct vga_regs *r = &v->r;
	bool linear = r->seq[4] & SEQ_CHAIN4;
	u32 offset;

	if (!window(r, addr, &offset))
		return 0xff;
	if (vga_dispi_on(r))
		offset += (u32)r->dispi[DISPI_BANK] << 16;
	if (linear)
		return v->mem[offset & (v->mem_size - 1)];
	if (r->gr[5] & GR_ODD_EVEN)
		return v->mem[((offset & ~1u) * 2 | (r->gr[4] & 2) | (offset & 1)) &
			      (v->mem_size - 1)];
	v->latch = *group(v, offset);
	if (r->gr[5] & GR_READ_COMPARE)
		return read_compare(v);
	return (u8)(v->latch >> (r->gr[4] & 3) * 8);
}

/* --- writing ------------------------------------------------------------------------- */

static u8 rotate(const struct vga_regs *r, u8 value)
{
	unsigned int n = r->gr[3] & 7;

	return (u8)(value >> n | value << (8 - n));
}

/* Combines with the latches as register 3 says, under the bit mask. */
static u32 combine(const struct vga *v, u32 value, u8 bits)
{
	u32 mask = bits * 0x01010101u;

	switch (v->r.gr[3] >> 3 & 3) {
	case 1:
		value &= v->latch;
		break;
	case 2:
		value |= v->latch;
		break;
	case 3:
		value ^= v->latch;
		break;
	}
	return (value & mask) | (v->latch & ~mask);
}

static u32 written(const struct vga *v, u8 value)
{
	const struct vga_regs *r = &v->r;
	u32 set;

	switch (r->gr[5] & 3) {
	case 0:
		set = spread(r->gr[1]);
		return combine(v, (rotate(r, value) * 0x01010101u & ~set) |
			       (spread(r->gr[0]) & set), r->gr[8]);
	case 1:
		return v->latch;
	case 2:
		return combine(v, spread(value & 0x0f), r->gr[8]);
	default:
		return combine(v, spread(r->gr[0]), r->gr[8] & rotate(r, value));
	}
}

void vga_window_write(struct vga *v, u32 addr, u8 value)
{
	const struct vga_regs *r = &v->r;
	u32 offset, mask, *at;

	if (!window(r, addr, &offset))
		return;
	if (vga_dispi_on(r))
		offset += (u32)r->dispi[DISPI_BANK] << 16;
	if (r->seq[4] & SEQ_CHAIN4) {
		if (r->seq[2] & 1u << (offset & 3))
			put(v, offset, value);
		return;
	}
	if (r->gr[5] & GR_ODD_EVEN && !(r->seq[4] & SEQ_PLANAR)) {
		/* even bytes to planes 0 and 2, odd ones to 1 and 3 */
		mask = r->seq[2] & (offset & 1 ? 0x0a : 0x05);
		if (mask & 3)
			put(v, (offset & ~1u) * 2 | (offset & 1), value);
		if (mask & 12)
			put(v, (offset & ~1u) * 2 | 2 | (offset & 1), value);
		return;
	}
	at = group(v, offset);
	mask = spread(r->seq[2] & 0x0f);
	*at = (*at & ~mask) | (written(v, value) & mask);
	touch(v, at);
}
