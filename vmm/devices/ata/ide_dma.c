/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus master of the IDE controller (Programming Interface for Bus Master
 * IDE Controller, revision 1.0): a table of pieces of memory, of which the
 * driver gives the address, and a bit that starts the transfer.
 */
#include <stdlib.h>
#include <string.h>

#include "ide.h"

#define LAST_PIECE 0x80000000u

enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };

/* The pieces for `left` bytes: how many, or -1. */
static int pieces(struct ide_channel *c, u32 left)
{
	const struct guest_memory *m = c->ide->b->mem;
	u32 piece[2] = { 0, 0 };
	int n;

	for (n = 0; left && n < IDE_PIECES_MAX && !(piece[1] & LAST_PIECE); n++) {
		struct iovec *v = &c->iov[n];
		u32 bytes;

		if (!memory_read(m, c->bm_table + (u64)n * sizeof(piece), piece, sizeof(piece)))
			return -1;
		bytes = piece[1] & 0xfffe ? piece[1] & 0xfffe : 0x10000;
		v->iov_len = bytes < left ? bytes : left;
		v->iov_base = memory_ptr(m, piece[0] & ~1u, v->iov_len);
		if (!v->iov_base)
			return -1;
		left -= (u32)v->iov_len;
	}
	return left ? -1 : n;
}

static void copy_answer(struct ide_channel *c, int n)
{
	const u8 *from = c->plan.data;
	int i;

	for (i = 0; i < n; i++) {
		memcpy(c->iov[i].iov_base, from, c->iov[i].iov_len);
		from += c->iov[i].iov_len;
	}
}

void ide_dma_end(struct ide_channel *c, bool failed)
{
	free(c->iov);
	c->iov = NULL;
	c->bm_status &= (u8)~BM_ACTIVE;
	if (failed)
		c->bm_status |= BM_ERROR;
}

void ide_dma_run(struct ide_channel *c)
{
	int n = -1;

	if (c->phase != IDE_DMA || !(c->bm_command & BM_START))
		return;
	c->iov = calloc(IDE_PIECES_MAX, sizeof(*c->iov));
	if (c->iov)
		n = pieces(c, c->plan.length);
	if (n < 0) {
		ata_fail(&c->plan, ATA_ABORTED);
		ide_dma_end(c, true);
		ide_finish(c);
	} else if (c->plan.kind == ATA_IN) {
		copy_answer(c, n);
		ide_dma_end(c, false);
		ide_finish(c);
	} else {
		ide_request(c, c->iov, (unsigned int)n, c->plan.length);
	}
}

u32 ide_dma_read(struct ide_channel *c, unsigned int reg)
{
	if (reg == BM_COMMAND)
		return c->bm_command;
	if (reg == BM_STATUS)
		return c->bm_status;
	return reg >= BM_TABLE ? c->bm_table >> (reg - BM_TABLE) * 8 : 0;
}

void ide_dma_write(struct ide_channel *c, unsigned int reg, u32 value, unsigned int size)
{
	const unsigned int shift = (reg & 3) * 8;
	const u32 mask = (u32)((1ULL << size * 8) - 1) << shift;

	if (reg == BM_COMMAND) {
		const bool start = value & BM_START && !(c->bm_command & BM_START);

		c->bm_command = value & 0x09;
		if (start)
			c->bm_status |= BM_ACTIVE;
		else if (!(value & BM_START))
			c->bm_status &= (u8)~BM_ACTIVE;
		ide_dma_run(c);
	} else if (reg == BM_STATUS) {
		c->bm_status &= (u8)~(value & (BM_ERROR | BM_IRQ));
		c->bm_status = (u8)((c->bm_status & ~BM_DRIVES) | (value & BM_DRIVES));
	} else if (reg >= BM_TABLE) {
		c->bm_table = ((c->bm_table & ~mask) | (value << shift & mask)) & ~3u;
	}
}
