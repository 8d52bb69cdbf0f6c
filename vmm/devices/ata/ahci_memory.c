/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The structures of a SATA port in guest memory (AHCI 1.3.1, chapter 4): the
 * list of commands, the tables with what is sent and where data goes, and the
 * place for what the drive answers.
 */
#include <stdlib.h>
#include <string.h>

#include "ahci.h"

#define HEADER_SIZE 32
#define TABLE_PACKET 0x40
#define TABLE_REGIONS 0x80
#define REGION_SIZE 16
#define REGION_BYTES 0x3fffff

#define RECEIVED_PIO 0x20
#define RECEIVED_D2H 0x40
#define RECEIVED_DONE 0x58

#define FIS_D2H 0x34
#define FIS_PIO 0x5f
#define FIS_DONE 0xa1
#define FIS_INTERRUPT 0x40
#define FIS_TO_HOST 0x20

bool ahci_fetch(struct ahci_port *p, unsigned int slot, struct ahci_command *c)
{
	const struct guest_memory *m = p->h->b->mem;
	u64 at = p->clb + slot * HEADER_SIZE;
	u32 header[4];

	if (!memory_read(m, at, header, sizeof(header)))
		return false;
	c->flags = header[0];
	c->table = ((u64)header[3] << 32 | header[2]) & ~0x7fULL;
	p->slot[slot].header = at;
	return memory_read(m, c->table, c->fis, sizeof(c->fis)) &&
		memory_read(m, c->table + TABLE_PACKET, c->packet, sizeof(c->packet));
}

u32 ahci_pieces(struct ahci_port *p, struct ahci_slot *s, const struct ahci_command *c, u32 length)
{
	const struct guest_memory *m = p->h->b->mem;
	u32 count = c->flags >> 16, left = length, i, region[4];

	if (count > AHCI_PIECES_MAX)
		count = AHCI_PIECES_MAX;
	s->iov = calloc(count ? count : 1, sizeof(*s->iov));
	s->pieces = 0;
	if (!s->iov)
		return IS_BUS;
	for (i = 0; left && i < count; i++) {
		struct iovec *v = &s->iov[s->pieces];
		u32 bytes;

		if (!memory_read(m, c->table + TABLE_REGIONS + (u64)i * REGION_SIZE, region,
				 sizeof(region)))
			return IS_BUS;
		bytes = (region[3] & REGION_BYTES) + 1;
		v->iov_len = bytes < left ? bytes : left;
		v->iov_base = memory_ptr(m, (u64)region[1] << 32 | region[0], v->iov_len);
		if (!v->iov_base)
			return IS_BUS;
		left -= (u32)v->iov_len;
		s->pieces++;
	}
	return left ? IS_OVERFLOW : 0;
}

void ahci_moved(struct ahci_port *p, struct ahci_slot *s, u32 bytes)
{
	memory_write(p->h->b->mem, s->header + 4, &bytes, sizeof(bytes));
}

static void receive(struct ahci_port *p, unsigned int at, const u8 *fis, size_t size)
{
	if (p->cmd & CMD_FRE)
		memory_write(p->h->b->mem, p->fb + at, fis, size);
}

static void put_registers(u8 *fis, const struct ata_plan *plan)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		fis[4 + i] = (u8)(plan->lba >> (i * 8));
		fis[8 + i] = (u8)(plan->lba >> (24 + i * 8));
	}
	fis[12] = (u8)plan->count;
	fis[13] = (u8)(plan->count >> 8);
}

void ahci_send_d2h(struct ahci_port *p, const struct ata_plan *plan)
{
	u8 fis[20] = { FIS_D2H, FIS_INTERRUPT, plan->status, plan->error };

	put_registers(fis, plan);
	receive(p, RECEIVED_D2H, fis, sizeof(fis));
}

/* Data of a kind that a processor would fetch; it is all there, and so is the status after it. */
void ahci_send_pio(struct ahci_port *p, const struct ata_plan *plan)
{
	u8 fis[20] = { FIS_PIO, FIS_INTERRUPT | FIS_TO_HOST, ATA_GOOD | ATA_DRQ, plan->error };

	put_registers(fis, plan);
	fis[15] = plan->status;
	fis[16] = (u8)plan->length;
	fis[17] = (u8)(plan->length >> 8);
	receive(p, RECEIVED_PIO, fis, sizeof(fis));
}

/* Queued commands are done. */
void ahci_send_done(struct ahci_port *p, u8 status, u8 error, u32 slots)
{
	u8 fis[8] = { FIS_DONE, FIS_INTERRUPT, status & 0x77, error };

	memcpy(fis + 4, &slots, sizeof(slots));
	receive(p, RECEIVED_DONE, fis, sizeof(fis));
}
