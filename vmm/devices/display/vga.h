/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The standard VGA device: IBM's VGA with the extensions of Bochs' (linear
 * modes of 4 to 32 bits by the registers of "dispi"), PCI 1234:1111. Split in
 * registers (vga_regs.c, vga_dispi.c), the window at 0xa0000 (vga_memory.c),
 * drawing (vga_draw.c, vga_modes.c) and the PCI device (vga.c).
 *
 * Video memory holds the four planes side by side: byte p of each group of
 * four is plane p's. What is linear in a mode of 256 or more colours is so in
 * memory, too.
 */
#ifndef VMM_DEVICES_DISPLAY_VGA_H
#define VMM_DEVICES_DISPLAY_VGA_H

#include <pthread.h>

#include "../../display/display.h"
#include "../../types.h"

#define VGA_SEQ 8
#define VGA_GR 16
#define VGA_AR 32
#define VGA_CR 32
#define VGA_DAC 256

enum {
	DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK, DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT, DISPI_X, DISPI_Y, DISPI_MEMORY, DISPI_REGS,
};

#define DISPI_ENABLED 0x01
#define DISPI_GETCAPS 0x02
#define DISPI_8BIT_DAC 0x20
#define DISPI_NOCLEAR 0x80

/* All that the guest sets; plain data. */
struct vga_regs {
	u8 misc;
	u8 seq_index, seq[VGA_SEQ];
	u8 gr_index, gr[VGA_GR];
	u8 ar_index, ar[VGA_AR];	/* index bit 5: the screen is on */
	bool ar_data;			/* the next write at 0x3c0 is data */
	u8 cr_index, cr[VGA_CR];
	u8 status1;
	u8 dac[VGA_DAC][3], dac_mask;
	u8 dac_index, dac_part;		/* of the access under way */
	u8 dac_latch[3];
	bool dac_reads;
	u16 dispi_index, dispi[DISPI_REGS];
};

struct vga {
	pthread_mutex_t lock;		/* of what follows */
	struct vga_regs r;
	u32 latch;
	bool changed;			/* registers, since the last drawing */
	u64 *touched;			/* pages written through the window: a bit each */
	u8 *mem;
	u32 mem_size;			/* bytes, a power of two, at least 1 MiB */
};

#define VGA_PAGE 4096u

static inline bool vga_dispi_on(const struct vga_regs *r)
{
	return r->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

/* --- vga_regs.c: ports 0x3b0 to 0x3df; under the lock ------------------------------- */

void vga_reset(struct vga *v);
u8 vga_port_read(struct vga *v, unsigned int port);
void vga_port_write(struct vga *v, unsigned int port, u8 value);

/* --- vga_dispi.c; under the lock ------------------------------------------------------ */

u16 vga_dispi_read(struct vga *v, unsigned int index);
void vga_dispi_write(struct vga *v, unsigned int index, u16 value);

/* --- vga_memory.c: the window of 128 KiB at 0xa0000; under the lock ------------------- */

u8 vga_window_read(struct vga *v, u32 addr);
void vga_window_write(struct vga *v, u32 addr, u8 value);

/* --- vga_draw.c -------------------------------------------------------------------------- */

/*
 * Draws; r is a copy of the registers. Pages whose bit in dirty is clear have
 * not changed since the last time, unless it is NULL.
 */
void vga_draw(const struct vga *v, const struct vga_regs *r, const u64 *dirty, struct display *d);

/* --- vga_modes.c: one row of pixels of each kind of mode --------------------------------- */

/* The DAC's 256 colours as pixels. */
void vga_palette(const struct vga_regs *r, u32 palette[VGA_DAC]);
/* The 16 colours of attributes. */
void vga_palette16(const struct vga_regs *r, const u32 palette[VGA_DAC], u32 colour[16]);

/* Pixels from video memory on; whoever calls has checked that they lie within it. */
void vga_row_linear(u32 *row, const u8 *from, unsigned int n, unsigned int bpp,
		    const u32 palette[VGA_DAC]);

#endif
