/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The identification of a monitor (VESA Enhanced EDID Standard, release A
 * revision 2: EDID 1.4): one block with a preferred timing, the range that it
 * takes and a name.
 */
#include <string.h>

#include "edid.h"

#define REFRESH 60
#define DPI 96
#define TIMING 54			/* the first of four descriptors of 18 bytes */
#define DESCRIPTOR 18

static void detailed_timing(u8 *d, unsigned int w, unsigned int h)
{
	/* blanking as a flat panel has it: little */
	unsigned int hblank = 160, vblank = 30, hfront = 48, hsync = 32, vfront = 3, vsync = 6;
	unsigned int mm_w = w * 254 / (DPI * 10), mm_h = h * 254 / (DPI * 10);
	unsigned int clock = (w + hblank) * (h + vblank) / 1000 * REFRESH / 10;

	if (clock > 0xffff)
		clock = 0xffff;		/* in units of 10 kHz */
	d[0] = (u8)clock;
	d[1] = (u8)(clock >> 8);
	d[2] = (u8)w;
	d[3] = (u8)hblank;
	d[4] = (u8)((w >> 8) << 4 | hblank >> 8);
	d[5] = (u8)h;
	d[6] = (u8)vblank;
	d[7] = (u8)((h >> 8) << 4 | vblank >> 8);
	d[8] = (u8)hfront;
	d[9] = (u8)hsync;
	d[10] = (u8)(vfront << 4 | vsync);
	d[12] = (u8)mm_w;
	d[13] = (u8)mm_h;
	d[14] = (u8)((mm_w >> 8 & 0xf) << 4 | (mm_h >> 8 & 0xf));
	d[17] = 0x1e;			/* separate sync, both positive */
}

static void text(u8 *d, u8 tag, const char *s)
{
	size_t n = strlen(s);

	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, s, n);
	d[5 + n] = '\n';
}

void edid_make(u8 e[EDID_SIZE], unsigned int width, unsigned int height)
{
	/* white and primaries of sRGB */
	static const u8 colours[10] = {
		0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54,
	};
	unsigned int i, sum = 0;

	memset(e, 0, EDID_SIZE);
	memset(e + 1, 0xff, 6);
	e[8] = 0x05;			/* manufacturer: AKV, five bits a letter */
	e[9] = 0x76;
	e[10] = 1;			/* product */
	e[17] = 33;			/* year of making since 1990 */
	e[18] = 1;			/* version 1.4 */
	e[19] = 4;
	e[20] = 0xa5;			/* digital, 8 bits a colour, DisplayPort */
	e[21] = (u8)(width * 254 / (DPI * 100));
	e[22] = (u8)(height * 254 / (DPI * 100));
	e[23] = 120;			/* gamma 2.2 */
	e[24] = 0x06;			/* sRGB, the first timing is the preferred one */
	memcpy(e + 25, colours, sizeof(colours));
	e[35] = 0x21;			/* 640x480 and 800x600 at 60 Hz */
	e[36] = 0x08;			/* 1024x768 at 60 Hz */
	memset(e + 38, 1, 16);		/* no standard timings */
	detailed_timing(e + TIMING, width, height);
	text(e + TIMING + DESCRIPTOR, 0xfc, "anykvm");
	e[TIMING + 2 * DESCRIPTOR + 3] = 0x10;	/* empty descriptors */
	e[TIMING + 3 * DESCRIPTOR + 3] = 0x10;
	for (i = 0; i < EDID_SIZE - 1; i++)
		sum += e[i];
	e[EDID_SIZE - 1] = (u8)-sum;
}
