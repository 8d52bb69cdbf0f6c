/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colours, and the rows of pixels of modes in which memory holds one pixel
 * after the other. Pixels of 15 and 16 bits are widened by repeating their
 * upper bits, as the DAC would.
 */
#include <string.h>

#include "vga.h"

#define AR_P54S 0x80			/* of the mode control register: bits 5 and 4 from 0x14 */

static u8 widen(u8 six)
{
	six &= 0x3f;
	return (u8)(six << 2 | six >> 4);
}

void vga_palette(const struct vga_regs *r, u32 palette[VGA_DAC])
{
	bool wide = r->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;
	unsigned int i;

	for (i = 0; i < VGA_DAC; i++) {
		const u8 *c = r->dac[i & r->dac_mask];

		if (wide)
			palette[i] = (u32)c[0] << 16 | (u32)c[1] << 8 | c[2];
		else
			palette[i] = (u32)widen(c[0]) << 16 | (u32)widen(c[1]) << 8 | widen(c[2]);
	}
}

void vga_palette16(const struct vga_regs *r, const u32 palette[VGA_DAC], u32 colour[16])
{
	unsigned int i, index;

	for (i = 0; i < 16; i++) {
		if (r->ar[0x10] & AR_P54S)
			index = (r->ar[i] & 0x0f) | (r->ar[0x14] & 0x0f) << 4;
		else
			index = (r->ar[i] & 0x3f) | (r->ar[0x14] & 0x0c) << 4;
		colour[i] = palette[index];
	}
}

static u32 from565(u16 p)
{
	u32 red = p >> 11, green = p >> 5 & 0x3f, blue = p & 0x1f;

	return (red << 3 | red >> 2) << 16 | (green << 2 | green >> 4) << 8 |
	       (blue << 3 | blue >> 2);
}

static u32 from555(u16 p)
{
	u32 red = p >> 10 & 0x1f, green = p >> 5 & 0x1f, blue = p & 0x1f;

	return (red << 3 | red >> 2) << 16 | (green << 3 | green >> 2) << 8 |
	       (blue << 3 | blue >> 2);
}

static void row16(u32 *row, const u8 *from, unsigned int n, u32 (*convert)(u16 p))
{
	unsigned int i;

	for (i = 0; i < n; i++)
		row[i] = convert((u16)(from[2 * i] | from[2 * i + 1] << 8));
}

void vga_row_linear(u32 *row, const u8 *from, unsigned int n, unsigned int bpp,
		    const u32 palette[VGA_DAC])
{
	unsigned int i;

	switch (bpp) {
	case 8:
		for (i = 0; i < n; i++)
			row[i] = palette[from[i]];
		break;
	case 15:
		row16(row, from, n, from555);
		break;
	case 16:
		row16(row, from, n, from565);
		break;
	case 24:
		for (i = 0; i < n; i++)
			row[i] = from[3 * i] | (u32)from[3 * i + 1] << 8 |
				 (u32)from[3 * i + 2] << 16;
		break;
	case 32:
		memcpy(row, from, n * sizeof(*row));
		for (i = 0; i < n; i++)
			row[i] &= 0xffffff;
		break;
	}
}
