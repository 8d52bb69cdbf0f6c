/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The picture of a VGA: which kind of mode its registers make (IBM VGA XGA
 * Technical Reference, section 2), how large it is, and its rows. What blinks
 * (the cursor, characters) is shown without blinking, so that a picture of the
 * same memory is always the same.
 */
#include "vga.h"

#define AR_ON 0x20			/* of the index */
#define SEQ_OFF 0x20			/* register 1: screen off */
#define CHARS_MAX 256
#define ROW_MAX (DISPLAY_WIDTH_MAX + CHARS_MAX * 9)

/* A picture being drawn. */
struct picture {
	const struct vga *v;
	const struct vga_regs *r;
	struct display *d;
	unsigned int width, height;
	u32 palette[VGA_DAC], colour[16];
	u32 row[ROW_MAX];
};

static u32 start_address(const struct vga_regs *r)
{
	return (u32)r->cr[0x0c] << 8 | r->cr[0x0d];
}

/* Scan lines that are displayed. */
static unsigned int lines(const struct vga_regs *r)
{
	return (r->cr[0x12] | (r->cr[7] & 2) << 7 | (r->cr[7] & 0x40) << 3) + 1u;
}

/* The scan line after which the picture goes on from the start of memory. */
static unsigned int line_compare(const struct vga_regs *r)
{
	return r->cr[0x18] | (r->cr[7] & 0x10) << 4 | (r->cr[9] & 0x40) << 3;
}

static u32 planes_at(const struct vga *v, u32 offset)
{
	return *(const u32 *)(v->mem + ((u64)offset * 4 & (v->mem_size - 1)));
}

static bool page_dirty(const u64 *dirty, u64 page)
{
	return !dirty || dirty[page / 64] >> page % 64 & 1;
}

/* --- linear modes ---------------------------------------------------------------------- */

static bool range_dirty(const u64 *dirty, u64 at, u64 size)
{
	u64 page;

	for (page = at / VGA_PAGE; page <= (at + size - 1) / VGA_PAGE; page++)
		if (page_dirty(dirty, page))
			return true;
	return false;
}

static void draw_linear(struct picture *p, const u64 *dirty, u64 start, u64 pitch,
			unsigned int bpp)
{
	u64 size = (u64)p->width * ((bpp + 7) / 8), at = start;
	unsigned int y;

	for (y = 0; y < p->height && at + size <= p->v->mem_size; y++, at += pitch) {
		if (!range_dirty(dirty, at, size))
			continue;
		vga_row_linear(p->row, p->v->mem + at, p->width, bpp, p->palette);
		display_row(p->d, 0, y, p->row, p->width);
	}
}

/* --- modes of 2 and 16 colours, by planes --------------------------------------------- */

/* Eight pixels of one bit in each plane. */
static void put_planar(u32 *to, u32 planes, const u32 colour[16], u8 enable)
{
	int bit;

	for (bit = 7; bit >= 0; bit--) {
		u32 b = planes >> bit;

		*to++ = colour[((b & 1) | (b >> 7 & 2) | (b >> 14 & 4) | (b >> 21 & 8)) & enable];
	}
}

/* Eight pixels of two bits, as the CGA had them: four in plane 0, four in plane 1. */
static void put_cga(u32 *to, u32 planes, const u32 colour[16], u8 enable)
{
	int i;

	for (i = 0; i < 8; i++) {
		unsigned int shift = (unsigned int)(6 - i % 4 * 2) + (i < 4 ? 0 : 8);

		*to++ = colour[((planes >> shift & 3) | (planes >> (shift + 16) & 3) << 2) &
			       enable];
	}
}

/* The address bit that the row within a character replaces. */
static u32 interleave(const struct vga_regs *r, u32 addr, unsigned int scan)
{
	/* the chip's bit 13; in word mode addresses are shifted left by one */
	unsigned int bit = r->cr[0x17] & 0x40 ? 13 : 12;

	if (!(r->cr[0x17] & 1))
		addr = (addr & ~(1u << bit)) | (scan & 1) << bit;
	return addr;
}

static void draw_planes(struct picture *p, unsigned int chars)
{
	const struct vga_regs *r = p->r;
	unsigned int repeat = (r->cr[9] & 0x1f) + 1, doubled = r->cr[9] & 0x80 ? 2 : 1;
	unsigned int scans = r->cr[0x17] & 1 ? 1 : repeat;	/* rows that differ */
	unsigned int scale = doubled * (scans == 1 ? repeat : 1);
	unsigned int pan = r->ar[0x13] & 7, y, x;
	unsigned int split = (line_compare(r) + 1) / scale;
	u32 row = start_address(r);

	for (y = 0; y < p->height; y++) {
		if (y == split)
			row = 0;
		for (x = 0; x <= chars; x++) {
			u32 planes = planes_at(p->v, interleave(r, row + x, y % scans));

			if (r->gr[5] & 0x20)
				put_cga(p->row + x * 8, planes, p->colour, r->ar[0x12] & 0x0f);
			else
				put_planar(p->row + x * 8, planes, p->colour, r->ar[0x12] & 0x0f);
		}
		display_row(p->d, 0, y, p->row + pan, p->width);
		if (y % scans == scans - 1)
			row += r->cr[0x13] * 2u;
	}
}

/* --- text ---------------------------------------------------------------------------------- */

/* Where a font of plane 2 begins. */
static u32 font_offset(unsigned int map)
{
	return (map & 3) * 0x4000 + (map & 4 ? 0x2000 : 0);
}

static void put_glyph(const struct picture *p, u32 *to, u32 cell, unsigned int scan,
		      unsigned int width, bool cursor)
{
	const struct vga_regs *r = p->r;
	u8 ch = (u8)cell, attr = (u8)(cell >> 8), bits;
	unsigned int map = attr & 8 ? (r->seq[3] >> 2 & 3) | (r->seq[3] >> 3 & 4) :
			   (r->seq[3] & 3) | (r->seq[3] >> 2 & 4);
	u32 fg = p->colour[attr & 0x0f];
	u32 bg = p->colour[attr >> 4 & (r->ar[0x10] & 8 ? 7 : 15)];
	unsigned int i;

	bits = (u8)(planes_at(p->v, font_offset(map) + ch * 32u + scan) >> 16);
	if (cursor)
		bits = 0xff;
	for (i = 0; i < 8; i++)
		to[i] = bits & 0x80 >> i ? fg : bg;
	/* the ninth column continues line drawing characters */
	if (width == 9)
		to[8] = cursor || (bits & 1 && r->ar[0x10] & 4 && ch >= 0xc0 && ch <= 0xdf) ?
			fg : bg;
}

static bool at_cursor(const struct vga_regs *r, u32 addr, unsigned int scan)
{
	return addr == ((u32)r->cr[0x0e] << 8 | r->cr[0x0f]) && !(r->cr[0x0a] & 0x20) &&
	       scan >= (r->cr[0x0a] & 0x1fu) && scan <= (r->cr[0x0b] & 0x1fu);
}

static void draw_text(struct picture *p, unsigned int chars, unsigned int cell)
{
	const struct vga_regs *r = p->r;
	unsigned int high = (r->cr[9] & 0x1f) + 1, y, x, scan = 0;
	unsigned int split = line_compare(r) + 1;
	u32 row = start_address(r);

	for (y = 0; y < p->height; y++) {
		if (y == split) {
			row = 0;
			scan = 0;
		}
		for (x = 0; x < chars; x++)
			put_glyph(p, p->row + x * cell, planes_at(p->v, row + x), scan, cell,
				  at_cursor(r, row + x, scan));
		display_row(p->d, 0, y, p->row, p->width);
		if (++scan == high) {
			scan = 0;
			row += r->cr[0x13] * 2u;
		}
	}
}

/* --- the kind of mode ------------------------------------------------------------------------ */

/* Sets the size; where that makes the surface another, everything is to be drawn. */
static const u64 *set_size(struct picture *p, unsigned int width, unsigned int height,
			   const u64 *dirty)
{
	const struct surface *s;

	p->width = width;
	p->height = height;
	if (display_resize(p->d, width, height))
		dirty = NULL;
	s = display_surface(p->d);
	/* one that could not be made is drawn as far as there is a surface */
	p->width = s->width < width ? s->width : width;
	p->height = s->height < height ? s->height : height;
	return dirty;
}

static void draw_blank(struct picture *p)
{
	const struct surface *s = display_surface(p->d);
	unsigned int x, y;

	for (x = 0; x < s->width; x++)
		p->row[x] = 0;
	for (y = 0; y < s->height; y++)
		display_row(p->d, 0, y, p->row, s->width);
}

static void draw_dispi(struct picture *p, const u64 *dirty)
{
	const u16 *m = p->r->dispi;
	unsigned int bpp = m[DISPI_BPP], bytes = (bpp + 7) / 8;
	u64 pitch = (u64)m[DISPI_VIRT_WIDTH] * bytes;
	unsigned int x, y;

	dirty = set_size(p, m[DISPI_XRES], m[DISPI_YRES], dirty);
	if (bpp != 4) {
		draw_linear(p, dirty, m[DISPI_Y] * pitch + (u64)m[DISPI_X] * bytes, pitch, bpp);
		return;
	}
	/* eight pixels for each group of four bytes */
	for (y = 0; y < p->height; y++) {
		u32 at = (m[DISPI_Y] + y) * (m[DISPI_VIRT_WIDTH] / 8u) + m[DISPI_X] / 8u;

		for (x = 0; x * 8 < p->width; x++)
			put_planar(p->row + x * 8, planes_at(p->v, at + x), p->colour,
				   p->r->ar[0x12] & 0x0f);
		display_row(p->d, 0, y, p->row, p->width);
	}
}

static void draw_vga(struct picture *p, const u64 *dirty)
{
	const struct vga_regs *r = p->r;
	unsigned int chars = r->cr[1] + 1u, repeat = (r->cr[9] & 0x1f) + 1;
	unsigned int doubled = r->cr[9] & 0x80 ? 2 : 1, cell = r->seq[1] & 1 ? 8 : 9;
	unsigned int y = line_compare(r), split;

	if (!(r->gr[6] & 1)) {
		set_size(p, chars * cell, lines(r), NULL);
		draw_text(p, chars, cell);
	} else if (r->gr[5] & 0x40) {
		dirty = set_size(p, chars * 4, lines(r) / (doubled * repeat), dirty);
		split = (y + 1) / (doubled * repeat);
		if (split < p->height)
			p->height = split;
		draw_linear(p, dirty, start_address(r) * 4ULL, r->cr[0x13] * 8ULL, 8);
	} else {
		set_size(p, chars * 8, lines(r) / (doubled * (r->cr[0x17] & 1 ? repeat : 1)), NULL);
		draw_planes(p, chars);
	}
}

static bool any_dirty(const struct vga *v, const u64 *dirty)
{
	u32 i;

	for (i = 0; i < v->mem_size / VGA_PAGE / 64; i++)
		if (dirty[i])
			return true;
	return false;
}

void vga_draw(const struct vga *v, const struct vga_regs *r, const u64 *dirty, struct display *d)
{
	struct picture p = { .v = v, .r = r, .d = d };

	if (dirty && !any_dirty(v, dirty))
		return;
	vga_palette(r, p.palette);
	vga_palette16(r, p.palette, p.colour);
	if (!(r->ar_index & AR_ON) || (!vga_dispi_on(r) && r->seq[1] & SEQ_OFF))
		draw_blank(&p);
	else if (vga_dispi_on(r))
		draw_dispi(&p, dirty);
	else
		draw_vga(&p, dirty);
}
