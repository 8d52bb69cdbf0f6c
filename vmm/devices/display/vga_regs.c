/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of the VGA (IBM VGA XGA Technical Reference, section 2): the
 * ports 0x3b0 to 0x3df. Timing registers are kept and mean only the size of
 * the picture; the retrace bits change with every look at them.
 */
#include <string.h>

#include "vga.h"

#define MISC_COLOUR 0x01		/* the CRT controller is at 0x3d4, not 0x3b4 */
#define AR_SCREEN_ON 0x20
#define CR_PROTECT 0x80			/* of register 0x11: registers 0 to 7 are read-only */
#define CR_OVERFLOW 7
#define CR_OVERFLOW_LINE_COMPARE 0x10
#define STATUS1_RETRACE 0x09		/* vertical, and display disabled */

/* Bits that there are. */
static const u8 seq_mask[VGA_SEQ] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0xff };
static const u8 gr_mask[VGA_GR] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

void vga_reset(struct vga *v)
{
	struct vga_regs *r = &v->r;

	memset(r, 0, sizeof(*r));
	r->misc = MISC_COLOUR;
	r->dac_mask = 0xff;
	r->gr[8] = 0xff;
	r->dispi[DISPI_ID] = 0xb0c5;
	r->dispi[DISPI_MEMORY] = (u16)(v->mem_size >> 16);
	v->latch = 0;
	v->changed = true;
}

/* --- attributes: one port for index and data, in turn --------------------------------- */

static void attribute_write(struct vga_regs *r, u8 value)
{
	unsigned int index = r->ar_index & 0x1f;

	if (!r->ar_data)
		r->ar_index = value & 0x3f;
	else if (index < 16)
		r->ar[index] = value & 0x3f;
	else if (index <= 0x14)
		r->ar[index] = value;
	r->ar_data = !r->ar_data;
}

static u8 attribute_read(const struct vga_regs *r)
{
	unsigned int index = r->ar_index & 0x1f;

	return index <= 0x14 ? r->ar[index] : 0;
}

/* --- the DAC: three bytes a colour ------------------------------------------------------ */

static void dac_start(struct vga_regs *r, u8 index, bool reads)
{
	r->dac_index = index;
	r->dac_part = 0;
	r->dac_reads = reads;
}

static void dac_write(struct vga_regs *r, u8 value)
{
	r->dac_latch[r->dac_part++] = value;
	if (r->dac_part < 3)
		return;
	memcpy(r->dac[r->dac_index++], r->dac_latch, 3);
	r->dac_part = 0;
}

static u8 dac_read(struct vga_regs *r)
{
	u8 value = r->dac[r->dac_index][r->dac_part++];

	if (r->dac_part == 3) {
		r->dac_part = 0;
		r->dac_index++;
	}
	return value;
}

/* --- the CRT controller ------------------------------------------------------------------ */

static void crtc_write(struct vga_regs *r, u8 value)
{
	unsigned int index = r->cr_index;
	u8 keep = 0;

	if (index >= VGA_CR)
		return;
	if (r->cr[0x11] & CR_PROTECT && index <= CR_OVERFLOW)
		keep = index == CR_OVERFLOW ? (u8)~CR_OVERFLOW_LINE_COMPARE : 0xff;
	r->cr[index] = (u8)((r->cr[index] & keep) | (value & ~keep));
}

/* --- ports ----------------------------------------------------------------------------------- */

/* The CRT controller's ports at 0x3b0 answer in place of those at 0x3d0. */
static bool here(const struct vga_regs *r, unsigned int port)
{
	if (port >= 0x3b0 && port <= 0x3bf)
		return !(r->misc & MISC_COLOUR);
	if (port >= 0x3d0)
		return r->misc & MISC_COLOUR;
	return true;
}

static u8 status1(struct vga_regs *r)
{
	r->ar_data = false;
	r->status1 ^= STATUS1_RETRACE;
	return r->status1;
}

u8 vga_port_read(struct vga *v, unsigned int port)
{
	struct vga_regs *r = &v->r;

	if (!here(r, port))
		return 0xff;
	switch (port) {
	case 0x3c0:
		return r->ar_index;
	case 0x3c1:
		return attribute_read(r);
	case 0x3c2:
		return 0x10;		/* a monitor is there */
	case 0x3c4:
		return r->seq_index;
	case 0x3c5:
		return r->seq[r->seq_index];
	case 0x3c6:
		return r->dac_mask;
	case 0x3c7:
		return r->dac_reads ? 3 : 0;
	case 0x3c8:
		return r->dac_index;
	case 0x3c9:
		return dac_read(r);
	case 0x3cc:
		return r->misc;
	case 0x3ce:
		return r->gr_index;
	case 0x3cf:
		return r->gr[r->gr_index];
	case 0x3b4:
	case 0x3d4:
		return r->cr_index;
	case 0x3b5:
	case 0x3d5:
		return r->cr_index < VGA_CR ? r->cr[r->cr_index] : 0;
	case 0x3ba:
	case 0x3da:
		return status1(r);
	default:
		return 0xff;
	}
}

void vga_port_write(struct vga *v, unsigned int port, u8 value)
{
	struct vga_regs *r = &v->r;

	if (!here(r, port))
		return;
	v->changed = true;
	switch (port) {
	case 0x3c0:
		attribute_write(r, value);
		break;
	case 0x3c2:
		r->misc = value & 0xef;
		break;
	case 0x3c4:
		r->seq_index = value % VGA_SEQ;
		break;
	case 0x3c5:
		r->seq[r->seq_index] = value & seq_mask[r->seq_index];
		break;
	case 0x3c6:
		r->dac_mask = value;
		break;
	case 0x3c7:
	case 0x3c8:
		dac_start(r, value, port == 0x3c7);
		break;
	case 0x3c9:
		dac_write(r, value);
		break;
	case 0x3ce:
		r->gr_index = value % VGA_GR;
		break;
	case 0x3cf:
		r->gr[r->gr_index] = value & gr_mask[r->gr_index];
		break;
	case 0x3b4:
	case 0x3d4:
		r->cr_index = value;
		break;
	case 0x3b5:
	case 0x3d5:
		crtc_write(r, value);
		break;
	}
}
