/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A SATA port at work (AHCI 1.3.1, chapter 5): takes issued commands in their
 * order, has the drive say what they mean, moves the data between the disk and
 * guest memory, and reports the end. Queued commands run beside each other;
 * any other command runs alone.
 */
#include <stdlib.h>
#include <string.h>

#include "ahci.h"

#define FIS_H2D 0x27
#define FIS_IS_COMMAND 0x80
#define SLICE_NS 20000000ULL

static u32 bit(const struct ahci_slot *s)
{
	return 1u << (s - s->port->slot);
}

static void set_status(struct ahci_port *p, u8 status, u8 error)
{
	p->tfd = status | (u32)error << 8;
}

/* --- the end of a command: under the lock ---------------------------------------------- */

static void release(struct ahci_slot *s)
{
	free(s->iov);
	s->iov = NULL;
	s->pieces = 0;
	s->busy = false;
	s->port->running--;
	s->port->queued -= s->plan.queued;
}

/* The port stands still until the driver stops and starts it. */
static void halt(struct ahci_port *p, struct ahci_slot *s, u32 events)
{
	p->halted = true;
	p->cmd = (p->cmd & ~(31u << CMD_CCS_SHIFT)) | (u32)(s - p->slot) << CMD_CCS_SHIFT;
	ahci_event(p, events);
}

static void end_failed(struct ahci_port *p, struct ahci_slot *s)
{
	const struct ata_plan *plan = &s->plan;

	set_status(p, plan->status, plan->error);
	if (plan->queued) {
		p->drive.queue_error = true;
		p->drive.failed_tag = (u8)(s - p->slot);
		p->drive.failed_status = plan->status;
		p->drive.failed_error = plan->error;
		ahci_send_done(p, plan->status, plan->error, 0);
		halt(p, s, IS_TFE | IS_SDB);
		return;
	}
	ahci_send_d2h(p, plan);
	halt(p, s, IS_TFE | IS_D2H);
}

static void end_good(struct ahci_port *p, struct ahci_slot *s)
{
	const struct ata_plan *plan = &s->plan;

	if (plan->queued) {
		p->sact &= ~bit(s);
		ahci_send_done(p, plan->status, plan->error, bit(s));
		ahci_event(p, IS_SDB);
		return;
	}
	if (plan->kind == ATA_IN || plan->kind == ATA_READ || plan->kind == ATA_WRITE)
		ahci_moved(p, s, plan->length);
	p->ci &= ~bit(s);
	set_status(p, plan->status, plan->error);
	if (plan->pio && !plan->packet && (plan->kind == ATA_IN || plan->kind == ATA_READ)) {
		ahci_send_pio(p, plan);
		ahci_event(p, IS_PIO);
	} else {
		ahci_send_d2h(p, plan);
		ahci_event(p, IS_D2H);
	}
}

static void end(struct ahci_slot *s)
{
	struct ahci_port *p = s->port;

	if (s->generation != p->generation || p->halted)
		;	/* nobody waits for it any more */
	else if (s->plan.kind == ATA_FAIL)
		end_failed(p, s);
	else
		end_good(p, s);
	release(s);
}

/* --- requests of the disk: without the lock --------------------------------------------- */

static void done(struct block_request *r, int err);

/* The next range of a trim; false when there is none. */
static bool next_range(struct ahci_slot *s)
{
	int found;

	do
		found = ata_trim_range(&s->port->drive, &s->plan, s->range++, &s->r.offset,
				       &s->r.length);
	while (!found);
	return found > 0;
}

/* Has the disk do what is planned; false when that is nothing. */
static bool make_request(struct ahci_slot *s)
{
	struct ata_plan *plan = &s->plan;

	s->r.flags = 0;
	s->r.done = done;
	s->r.iov = s->iov;
	s->r.iovcnt = s->pieces;
	s->r.offset = plan->offset;
	s->r.length = plan->length;
	switch (plan->kind) {
	case ATA_READ:
		s->r.op = BLOCK_OP_READ;
		return true;
	case ATA_WRITE:
		s->r.op = BLOCK_OP_WRITE;
		s->r.flags = plan->fua ? BLOCK_FUA : 0;
		return true;
	case ATA_FLUSH:
		s->r.op = BLOCK_OP_FLUSH;
		return true;
	case ATA_TRIM:
		s->r.op = BLOCK_OP_DISCARD;
		s->r.iov = NULL;
		s->r.iovcnt = 0;
		return next_range(s);
	default:
		return false;
	}
}

static void done(struct block_request *r, int err)
{
	struct ahci_slot *s = (struct ahci_slot *)r;
	struct ahci_port *p = s->port;

	if (!err && s->plan.kind == ATA_TRIM && next_range(s)) {
		block_submit(p->queue, &s->r);
		return;
	}
	pthread_mutex_lock(&p->h->lock);
	if (err)
		ata_host_error(&p->drive, &s->plan);
	end(s);
	pthread_mutex_unlock(&p->h->lock);
	ahci_run(p);
}

/* --- beginning: under the lock ------------------------------------------------------------ */

static void take_registers(const u8 *fis, struct ata_taskfile *t)
{
	unsigned int i;

	*t = (struct ata_taskfile){
		.command = fis[2],
		.device = fis[7],
		.feature = (u16)(fis[3] | fis[11] << 8),
		.count = (u16)(fis[12] | fis[13] << 8),
	};
	for (i = 0; i < 3; i++)
		t->lba |= (u64)fis[4 + i] << (i * 8) | (u64)fis[8 + i] << (24 + i * 8);
}

/* The control register alone: the second of two resets the drive. */
static void take_control(struct ahci_port *p, struct ahci_slot *s, const u8 *fis)
{
	p->ci &= ~bit(s);
	if (fis[15] & ATA_CONTROL_RESET) {
		p->in_reset = true;
		set_status(p, ATA_BUSY, 0);
	} else if (p->in_reset) {
		p->in_reset = false;
		ata_reset(&p->drive);
		ahci_signature(p);
		ahci_event(p, IS_D2H);
	}
}

/* A bus error, or data that does not fit where it is to go. */
static void fail_bus(struct ahci_port *p, struct ahci_slot *s, u32 event)
{
	ata_fail(&s->plan, ATA_ABORTED);
	set_status(p, s->plan.status, s->plan.error);
	halt(p, s, event | IS_TFE);
}

/* Copies a small answer to the driver, or what a trim needs from him. */
static void copy(struct ahci_slot *s)
{
	u8 *data = s->plan.data;
	unsigned int i;

	for (i = 0; i < s->pieces; i++) {
		if (s->plan.kind == ATA_IN)
			memcpy(s->iov[i].iov_base, data, s->iov[i].iov_len);
		else
			memcpy(data, s->iov[i].iov_base, s->iov[i].iov_len);
		data += s->iov[i].iov_len;
	}
}

/* A command to the drive: true when its request is to be submitted. */
static bool begin(struct ahci_port *p, struct ahci_slot *s, const struct ahci_command *c,
		  const struct ata_taskfile *t)
{
	u32 event = 0;

	ata_plan(&p->drive, t, &s->plan);
	if (s->plan.kind == ATA_TAKE_PACKET)
		ata_packet(&p->drive, c->packet, &s->plan);
	s->busy = true;
	s->generation = p->generation;
	s->range = 0;
	p->running++;
	p->queued += s->plan.queued;
	if (s->plan.queued)
		p->ci &= ~bit(s);
	else
		set_status(p, ATA_BUSY | ATA_GOOD, 0);
	if (s->plan.length && s->plan.kind != ATA_FAIL && s->plan.kind != ATA_DONE)
		event = ahci_pieces(p, s, c, s->plan.length);
	if (event) {
		fail_bus(p, s, event);
		release(s);
		return false;
	}
	if (s->plan.kind == ATA_IN || s->plan.kind == ATA_TRIM)
		copy(s);
	if (make_request(s))
		return true;
	end(s);
	return false;
}

static bool is_queued(const struct ata_taskfile *t)
{
	return t->command == 0x60 || t->command == 0x61;
}

/* Starts what is in a slot: 1 when its request is to be submitted, -1 when it has to wait. */
static int start(struct ahci_port *p, struct ahci_slot *s)
{
	struct ahci_command c;
	struct ata_taskfile t;

	if (s->busy)
		return -1;
	if (!ahci_fetch(p, (unsigned int)(s - p->slot), &c) || c.fis[0] != FIS_H2D) {
		fail_bus(p, s, IS_BUS);
		return 0;
	}
	if (!(c.fis[1] & FIS_IS_COMMAND)) {
		if (p->running)
			return -1;
		take_control(p, s, c.fis);
		return 0;
	}
	take_registers(c.fis, &t);
	if (p->running && (!is_queued(&t) || p->queued != p->running))
		return -1;
	if (is_queued(&t) && (t.count >> 3 & 31) != (unsigned int)(s - p->slot)) {
		fail_bus(p, s, IS_BUS);		/* the tag is the slot's number */
		return 0;
	}
	return begin(p, s, &c, &t);
}

/* The slot after the last one that is issued, or NULL. */
static struct ahci_slot *next_slot(struct ahci_port *p)
{
	unsigned int last = p->cmd >> CMD_CCS_SHIFT & 31, i;

	for (i = 1; i <= AHCI_SLOTS; i++)
		if (p->ci >> ((last + i) % AHCI_SLOTS) & 1)
			return &p->slot[(last + i) % AHCI_SLOTS];
	return NULL;
}

/* The next slot whose request is to be submitted, or NULL; commands without one are done. */
static struct ahci_slot *start_next(struct ahci_port *p)
{
	while (p->device && p->cmd & CMD_ST && !p->halted && !p->stopping) {
		struct ahci_slot *s = next_slot(p);
		int r = s ? start(p, s) : -1;

		if (r < 0)
			break;
		p->cmd = (p->cmd & ~(31u << CMD_CCS_SHIFT)) |
			(u32)(s - p->slot) << CMD_CCS_SHIFT;
		if (r > 0)
			return s;
	}
	return NULL;
}

/* Writes may be made at once. After a while the rest is left to the end of one of these. */
void ahci_run(struct ahci_port *p)
{
	const u64 until = monotonic_ns() + SLICE_NS;
	struct ahci_slot *s;
	bool more;

	do {
		pthread_mutex_lock(&p->h->lock);
		s = start_next(p);
		more = s && s->plan.queued;
		pthread_mutex_unlock(&p->h->lock);
		if (s)
			block_submit(p->queue, &s->r);
	} while (more && monotonic_ns() < until);
}

/* --- stopping ---------------------------------------------------------------------------- */

void ahci_stop(struct ahci_port *p)
{
	pthread_mutex_lock(&p->drain);
	pthread_mutex_lock(&p->h->lock);
	p->stopping = true;
	p->generation++;
	pthread_mutex_unlock(&p->h->lock);
	if (p->queue)
		block_drain(p->queue);
	pthread_mutex_lock(&p->h->lock);
	p->stopping = p->halted = p->in_reset = false;
	p->ci = p->sact = 0;
	p->cmd &= ~(31u << CMD_CCS_SHIFT);
	pthread_mutex_unlock(&p->h->lock);
	pthread_mutex_unlock(&p->drain);
}

void ahci_signature(struct ahci_port *p)
{
	const struct ata_plan plan = {
		.status = p->drive.cd ? 0 : ATA_GOOD,
		.error = 1,
		.lba = ata_signature(&p->drive) >> 8,
		.count = ata_signature(&p->drive) & 0xff,
	};

	p->sig = ata_signature(&p->drive);
	set_status(p, plan.status, plan.error);
	ahci_send_d2h(p, &plan);
}
