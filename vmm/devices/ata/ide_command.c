/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of an IDE command (ATA/ATAPI-7 volume 2, chapter 11): data goes
 * through a buffer, a block at a time, which the driver is told of by DRQ and
 * an interrupt, or by the bus master in one go.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ide.h"

#define PACKET_COMMAND 1		/* the count register tells what a packet's phase is */
#define PACKET_IN 2
#define LIMIT_DEFAULT 0xfffe

static u8 wide(const struct ide_fifo *f, unsigned int which)
{
	return which ? f->before : f->now;
}

static void taskfile(const struct ide_drive *d, u8 command, struct ata_taskfile *t)
{
	unsigned int i, j;

	*t = (struct ata_taskfile){
		.command = command,
		.device = d->device_reg,
		.feature = (u16)(d->feature.now | d->feature.before << 8),
		.count = (u16)(d->count.now | d->count.before << 8),
	};
	for (i = 0; i < 2; i++)
		for (j = 0; j < 3; j++)
			t->lba |= (u64)wide(&d->lba[j], i) << (i * 24 + j * 8);
}

static void set_lba(struct ide_drive *d, u64 lba, u16 count)
{
	unsigned int j;

	for (j = 0; j < 3; j++)
		d->lba[j] = (struct ide_fifo){ (u8)(lba >> j * 8), (u8)(lba >> (24 + j * 8)) };
	d->count = (struct ide_fifo){ (u8)count, (u8)(count >> 8) };
}

void ide_signature(struct ide_drive *d)
{
	set_lba(d, ata_signature(&d->drive) >> 8, ata_signature(&d->drive) & 0xff);
	d->status = d->drive.cd ? 0 : ATA_GOOD;
	d->error = 1;
	d->device_reg = 0;
}

void ide_finish(struct ide_channel *c)
{
	struct ide_drive *d = c->active;

	if (c->plan.packet)
		d->count.now = (u8)c->plan.count;
	else if (c->plan.sets_lba)
		set_lba(d, c->plan.lba, c->plan.count);
	d->status = c->plan.status;
	d->error = c->plan.error;
	c->phase = IDE_IDLE;
	ide_interrupt(c);
}

/* --- data through the buffer ------------------------------------------------------- */

/* Offers the driver `size` bytes of the buffer. */
static void offer(struct ide_channel *c, enum ide_phase phase, u32 size, bool tell)
{
	struct ide_drive *d = c->active;

	c->phase = phase;
	c->at = 0;
	c->size = size;
	d->status = ATA_GOOD | ATA_DRQ;
	if (c->plan.packet) {
		d->count.now = PACKET_IN;
		d->lba[1].now = (u8)size;
		d->lba[2].now = (u8)(size >> 8);
	}
	if (tell)
		ide_interrupt(c);
}

/* Bytes of the next block. */
static u32 block(const struct ide_channel *c)
{
	u32 left = c->plan.length - c->moved;
	u32 most = c->plan.packet ? c->limit : c->plan.block;

	if (most > IDE_BUFFER)
		most = IDE_BUFFER;
	return left < most ? left : most;
}

static void read_block(struct ide_channel *c)
{
	c->vec = (struct iovec){ c->buffer, block(c) };
	ide_request(c, &c->vec, 1, block(c));
}

/* A small answer; packets may want it in pieces. */
static void offer_answer(struct ide_channel *c)
{
	memcpy(c->buffer, c->plan.data + c->moved, block(c));
	offer(c, IDE_IN, block(c), true);
}

static void packet_written(struct ide_channel *c);

void ide_buffer_done(struct ide_channel *c)
{
	struct ide_drive *d = c->active;

	if (c->phase == IDE_PACKET) {
		packet_written(c);
	} else if (c->phase == IDE_OUT) {
		c->vec = (struct iovec){ c->buffer, c->size };
		ide_request(c, &c->vec, 1, c->size);
	} else {
		c->moved += c->size;
		if (c->moved < c->plan.length && c->plan.kind == ATA_IN) {
			offer_answer(c);
		} else if (c->moved < c->plan.length) {
			read_block(c);
		} else if (c->plan.packet) {
			ide_finish(c);
		} else {
			c->phase = IDE_IDLE;
			d->status = c->plan.status;
		}
	}
}

/* --- requests of the disk ------------------------------------------------------------ */

static void done(struct block_request *r, int err);

void ide_request(struct ide_channel *c, const struct iovec *iov, unsigned int count, u32 length)
{
	const struct ata_plan *p = &c->plan;

	c->phase = IDE_BUSY;
	c->active->status = ATA_BUSY;
	c->r.op = p->kind == ATA_READ ? BLOCK_OP_READ :
		p->kind == ATA_WRITE ? BLOCK_OP_WRITE : BLOCK_OP_FLUSH;
	c->r.flags = p->kind == ATA_WRITE && p->fua ? BLOCK_FUA : 0;
	c->r.offset = p->offset + c->moved;
	c->r.length = length;
	c->r.iov = iov;
	c->r.iovcnt = count;
	c->r.done = done;
	c->begun = c->generation;
	c->submit = c->inflight = true;
}

/* The disk has done its part of a command. */
static void go_on(struct ide_channel *c)
{
	const u32 n = (u32)c->r.length;

	if (c->plan.kind == ATA_READ && c->plan.pio) {
		offer(c, IDE_IN, n, true);
		return;
	}
	c->moved += n;
	if (c->plan.kind == ATA_WRITE && c->plan.pio && c->moved < c->plan.length)
		offer(c, IDE_OUT, block(c), true);
	else
		ide_finish(c);
}

static void done(struct block_request *r, int err)
{
	struct ide_channel *c = (struct ide_channel *)r;

	pthread_mutex_lock(&c->lock);
	c->inflight = false;
	if (c->iov)
		ide_dma_end(c, err);
	if (c->begun == c->generation) {
		if (err) {
			ata_host_error(&c->active->drive, &c->plan);
			ide_finish(c);
		} else {
			go_on(c);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

void ide_leave(struct ide_channel *c)
{
	const bool submit = c->submit;
	struct block_queue *q = c->active ? c->active->queue : NULL;

	c->submit = false;
	pthread_mutex_unlock(&c->lock);
	if (!submit)
		return;
	block_submit(q, &c->r);
	block_commit(q);
}

/* --- the beginning --------------------------------------------------------------------- */

static void begin(struct ide_channel *c)
{
	struct ata_plan *p = &c->plan;

	c->moved = 0;
	switch (p->kind) {
	case ATA_IN:
	case ATA_READ:
	case ATA_WRITE:
		if (!p->pio) {
			c->phase = IDE_DMA;
			c->active->status = ATA_GOOD | ATA_DRQ;
			ide_dma_run(c);
		} else if (p->kind == ATA_IN) {
			offer_answer(c);
		} else if (p->kind == ATA_READ) {
			read_block(c);
		} else {
			offer(c, IDE_OUT, block(c), false);
		}
		break;
	case ATA_FLUSH:
		ide_request(c, NULL, 0, 0);
		break;
	case ATA_TAKE_PACKET:
		offer(c, IDE_PACKET, ATA_PACKET, false);
		c->active->count.now = PACKET_COMMAND;
		break;
	default:
		ide_finish(c);
	}
}

static void packet_written(struct ide_channel *c)
{
	struct ide_drive *d = c->active;

	/* how much the driver takes at once, of whole words */
	c->limit = (d->lba[1].now | (u32)d->lba[2].now << 8) & LIMIT_DEFAULT;
	if (!c->limit)
		c->limit = LIMIT_DEFAULT;
	ata_packet(&d->drive, c->buffer, &c->plan);
	if (c->plan.kind == ATA_READ && c->plan.pio) {
		c->limit &= ~(BLOCK_SECTOR - 1u);
		if (!c->limit)
			ata_fail(&c->plan, ATA_ABORTED);
	}
	begin(c);
}

void ide_command(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = &c->drive[c->selected];
	struct ata_taskfile t;

	c->active = d;
	d->error = 0;
	taskfile(d, command, &t);
	ata_plan(&d->drive, &t, &c->plan);
	begin(c);
}

/* Another thread may be about to submit the request. */
static void wait_for_disk(struct ide_channel *c)
{
	unsigned int i;

	pthread_mutex_unlock(&c->lock);
	for (i = 0; i < 2; i++)
		if (c->drive[i].queue)
			block_drain(c->drive[i].queue);
	sched_yield();
	pthread_mutex_lock(&c->lock);
}

void ide_reset(struct ide_channel *c)
{
	unsigned int i;

	pthread_mutex_lock(&c->drain);
	pthread_mutex_lock(&c->lock);
	c->generation++;
	c->phase = IDE_BUSY;		/* takes no command */
	c->drive[0].status = c->drive[1].status = ATA_BUSY;
	while (c->inflight)
		wait_for_disk(c);
	c->phase = IDE_IDLE;
	c->selected = 0;
	c->irq_pending = false;
	irq_set(&c->irq, false);
	for (i = 0; i < 2; i++) {
		ata_reset(&c->drive[i].drive);
		ide_signature(&c->drive[i]);
	}
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->drain);
}
