/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bochs' display interface ("dispi", VBE DISPI version 0xb0c5): a mode is a
 * width, a height and a number of bits, then the enable bit. The size of the
 * picture in memory may be larger, and the start of what is shown can move.
 * What does not fit video memory is refused by leaving the mode off.
 */
#include <string.h>

#include "vga.h"

#define ID_FIRST 0xb0c0
#define ID_LAST 0xb0c5
#define GR_GRAPHICS_64K 0x05		/* register 6: graphics, 64 KiB at 0xa0000 */
#define SEQ_CHAIN4_ALL 0x0e		/* register 4: linear, all memory */

/* Bytes of a row of virtual width. */
static u32 pitch(const u16 *d)
{
	u32 bits = d[DISPI_BPP] == 15 ? 16 : d[DISPI_BPP];

	return bits == 4 ? d[DISPI_VIRT_WIDTH] / 2u : d[DISPI_VIRT_WIDTH] * (bits / 8);
}

static bool bpp_ok(u16 bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Rows of virtual width that memory holds; at least those shown, or the mode does not fit. */
static bool set_virtual(struct vga *v)
{
	u16 *d = v->r.dispi;
	u32 bytes, rows;

	if (d[DISPI_VIRT_WIDTH] < d[DISPI_XRES])
		d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	bytes = pitch(d);
	if (!bytes)
		return false;
	rows = v->mem_size / bytes;
	d[DISPI_VIRT_HEIGHT] = (u16)(rows < 0xffff ? rows : 0xffff);
	return rows >= d[DISPI_YRES];
}

/* The VGA's registers as the mode needs them, for those that write to the window. */
static void set_vga(struct vga_regs *r)
{
	r->gr[5] = r->dispi[DISPI_BPP] == 4 ? 0 : 0x40;
	r->gr[6] = GR_GRAPHICS_64K;
	r->seq[2] = 0x0f;
	r->seq[4] = r->dispi[DISPI_BPP] == 4 ? 0x06 : SEQ_CHAIN4_ALL;
	r->cr[0x17] |= 3;
}

static void enable(struct vga *v, u16 value)
{
	u16 *d = v->r.dispi;
	bool on = value & DISPI_ENABLED, was = vga_dispi_on(&v->r);

	d[DISPI_ENABLE] = value;
	if (!on || was) {
		if (!on)
			d[DISPI_BANK] = 0;
		return;
	}
	d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	d[DISPI_X] = d[DISPI_Y] = d[DISPI_BANK] = 0;
	if (!d[DISPI_XRES] || !d[DISPI_YRES] || !bpp_ok(d[DISPI_BPP]) || !set_virtual(v) ||
	    d[DISPI_XRES] > DISPLAY_WIDTH_MAX || d[DISPI_YRES] > DISPLAY_HEIGHT_MAX) {
		d[DISPI_ENABLE] &= (u16)~DISPI_ENABLED;
		return;
	}
	set_vga(&v->r);
	if (!(value & DISPI_NOCLEAR))
		memset(v->mem, 0, (size_t)pitch(d) * d[DISPI_YRES]);
}

u16 vga_dispi_read(struct vga *v, unsigned int index)
{
	if (index >= DISPI_REGS)
		return 0;
	if (!(v->r.dispi[DISPI_ENABLE] & DISPI_GETCAPS))
		return v->r.dispi[index];
	switch (index) {
	case DISPI_XRES:
		return DISPLAY_WIDTH_MAX;
	case DISPI_YRES:
		return DISPLAY_HEIGHT_MAX;
	case DISPI_BPP:
		return 32;
	default:
		return v->r.dispi[index];
	}
}

void vga_dispi_write(struct vga *v, unsigned int index, u16 value)
{
	u16 *d = v->r.dispi;
	u16 old;

	v->changed = true;
	switch (index) {
	case DISPI_ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			d[index] = value;
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
		if (!vga_dispi_on(&v->r))	/* a mode that is on keeps its size */
			d[index] = value;
		break;
	case DISPI_ENABLE:
		enable(v, value);
		break;
	case DISPI_BANK:
		d[index] = (u16)(value & (v->mem_size / 0x10000 - 1));
		break;
	case DISPI_VIRT_WIDTH:
		old = d[index];
		d[index] = value;
		if (vga_dispi_on(&v->r) && !set_virtual(v)) {
			d[index] = old;
			set_virtual(v);
		}
		break;
	case DISPI_X:
	case DISPI_Y:
		d[index] = value;
		break;
	}
}
