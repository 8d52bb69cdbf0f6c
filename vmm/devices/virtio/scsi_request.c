/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of the SCSI host (5.6.6.1): from a chain to a command, from what it
 * comes to to the image or to an answer, and back into the chain.
 */
#include <stdlib.h>
#include <string.h>

#include "scsi.h"

#define REQUESTS_MAX 1024		/* kept at a time */

enum { S_OK, S_OVERRUN, S_BAD_TARGET = 3 };

/* The queue whose notification this thread handles; it signals at the end. */
static __thread struct virtqueue *handled;

/* --- requests ----------------------------------------------------------------------------- */

static struct scsi_request *take(struct scsi_host *h, struct virtqueue *q)
{
	struct scsi_request *r;

	pthread_mutex_lock(&h->lock);
	r = h->free;
	if (r) {
		h->free = r->next;
	} else if (h->made < REQUESTS_MAX && (r = calloc(1, sizeof(*r)))) {
		h->made++;
		r->host = h;
		r->other = h->all;
		h->all = r;
	}
	pthread_mutex_unlock(&h->lock);
	if (r) {
		r->vq = q;
		r->chain.iov = r->iov;
		r->chain.max = ARRAY_SIZE(r->iov);
		r->sense_size = __atomic_load_n(&h->sense_size, __ATOMIC_ACQUIRE);
		r->cdb_size = __atomic_load_n(&h->cdb_size, __ATOMIC_ACQUIRE);
	}
	return r;
}

static void give_back(struct scsi_request *r)
{
	pthread_mutex_lock(&r->host->lock);
	r->next = r->host->free;
	r->host->free = r;
	pthread_mutex_unlock(&r->host->lock);
}

static u64 response_size(const struct scsi_request *r)
{
	return sizeof(struct scsi_response) + r->sense_size;
}

static u64 room_in(const struct scsi_request *r)
{
	return r->chain.in_len - response_size(r);
}

static u64 room_out(const struct scsi_request *r)
{
	return r->chain.out_len - sizeof(struct scsi_header) - r->cdb_size;
}

/* The end of a request: done bytes were moved of what the driver had room for. */
static void answer(struct scsi_request *r, u8 response, u64 done)
{
	struct scsi_response a = { .response = response };
	bool failed = response == S_OK && r->plan.action == SCSI_FAIL;
	u8 sense[SENSE_MAX] = { 0 };

	if (failed) {
		a.status = SCSI_CHECK_CONDITION;
		a.sense_len = SCSI_SENSE_SIZE;
		scsi_sense(r->plan.sense, sense);
	}
	a.residual = (u32)(room_in(r) + room_out(r) - done);
	virtq_write(&r->chain, 0, &a, sizeof(a));
	virtq_write(&r->chain, sizeof(a), sense, r->sense_size);
	virtqueue_push(r->vq, &r->chain, (u32)(response_size(r) + (room_in(r) ? done : 0)));
	if (handled != r->vq)
		virtqueue_signal(r->vq);
	give_back(r);
}

static void done(struct block_request *b, int err)
{
	struct scsi_request *r = (struct scsi_request *)b;
	bool moves = b->op == BLOCK_OP_READ || b->op == BLOCK_OP_WRITE;

	if (err)
		scsi_medium_error(&r->plan, b->op != BLOCK_OP_READ);
	answer(r, S_OK, moves && !err ? b->length : 0);
}

/* --- what commands come to ---------------------------------------------------------------- */

static void submit(struct scsi_request *r, enum block_op op, unsigned int flags)
{
	r->r.op = op;
	r->r.flags = flags;
	r->r.offset = r->plan.offset;
	r->r.length = r->plan.length;
	r->r.done = done;
	block_submit(r->lun->q, &r->r);
}

static void transfer(struct scsi_request *r, bool write)
{
	u64 at = write ? sizeof(struct scsi_header) + r->cdb_size : response_size(r);
	const int max = (int)ARRAY_SIZE(r->data);
	int n = write ? virtq_out(&r->chain, at, r->plan.length, r->data, max) :
		virtq_in(&r->chain, at, r->plan.length, r->data, max);

	if (n < 0) {
		answer(r, S_OVERRUN, 0);
		return;
	}
	r->r.iov = r->data;
	r->r.iovcnt = (unsigned int)n;
	submit(r, write ? BLOCK_OP_WRITE : BLOCK_OP_READ, r->plan.fua ? BLOCK_FUA : 0);
}

static void answer_data(struct scsi_request *r)
{
	u64 n = r->plan.length < room_in(r) ? r->plan.length : room_in(r);

	virtq_write(&r->chain, response_size(r), r->plan.data, n);
	answer(r, S_OK, n);
}

static void execute(struct scsi_request *r)
{
	switch (r->plan.action) {
	case SCSI_READ:
	case SCSI_WRITE:
		transfer(r, r->plan.action == SCSI_WRITE);
		break;
	case SCSI_FLUSH:
		r->plan.offset = r->plan.length = 0;
		submit(r, BLOCK_OP_FLUSH, 0);
		break;
	case SCSI_DISCARD:
		submit(r, BLOCK_OP_DISCARD, 0);
		break;
	case SCSI_ZERO:
		submit(r, BLOCK_OP_ZERO, r->plan.unmap ? BLOCK_UNMAP : 0);
		break;
	case SCSI_ANSWER:
		answer_data(r);
		break;
	default:
		answer(r, S_OK, 0);
	}
}

/* The parameters that came with a command. */
static void take_parameters(struct scsi_request *r)
{
	if (!virtq_read(&r->chain, sizeof(struct scsi_header) + r->cdb_size, r->plan.data,
			r->plan.length)) {
		answer(r, S_OVERRUN, 0);
		return;
	}
	scsi_parameters(&r->lun->unit, r->cdb, &r->plan);
	execute(r);
}

int scsi_lun_of(const u8 lun[8])
{
	u32 n = scsi_get16(lun + 2) & 0x3fff;

	if (lun[0] != 1 || lun[1] || scsi_get32(lun + 4))
		return -1;
	return n < SCSI_LUNS_MAX ? (int)n : SCSI_LUNS_MAX;
}

static void begin(struct scsi_host *h, struct scsi_request *r)
{
	struct scsi_header head;
	int n;

	memset(r->cdb, 0, sizeof(r->cdb));
	memset(&r->plan, 0, sizeof(r->plan));
	virtq_read(&r->chain, 0, &head, sizeof(head));
	virtq_read(&r->chain, sizeof(head), r->cdb,
		   r->cdb_size < SCSI_CDB_MAX ? r->cdb_size : SCSI_CDB_MAX);
	n = scsi_lun_of(head.lun);
	if (n < 0) {
		answer(r, S_BAD_TARGET, 0);
		return;
	}
	if (n == SCSI_LUNS_MAX || !h->lun[n].disk) {
		scsi_no_unit(r->cdb, h->luns, &r->plan);
		execute(r);
		return;
	}
	r->lun = &h->lun[n];
	scsi_command(&r->lun->unit, r->cdb, &r->plan);
	if (r->plan.action == SCSI_PARAMETERS)
		take_parameters(r);
	else
		execute(r);
}

static void commit_all(struct scsi_host *h)
{
	unsigned int i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (h->lun[i].disk)
			block_commit(h->lun[i].q);
}

void scsi_requests(struct scsi_host *h, struct virtqueue *q)
{
	struct scsi_request *r;

	handled = q;
	while ((r = take(h, q))) {
		if (!virtqueue_pop(q, &r->chain)) {
			give_back(r);
			break;
		}
		if (r->chain.out_len < sizeof(struct scsi_header) + r->cdb_size ||
		    r->chain.in_len < response_size(r)) {
			virtio_broken(&h->v, "a request of %llu bytes, with room for %llu",
				      (unsigned long long)r->chain.out_len,
				      (unsigned long long)r->chain.in_len);
			give_back(r);
			break;
		}
		begin(h, r);
	}
	commit_all(h);
	handled = NULL;
	virtqueue_signal(q);
}

void scsi_free_requests(struct scsi_host *h)
{
	struct scsi_request *r;

	while ((r = h->all)) {
		h->all = r->other;
		free(r);
	}
}
