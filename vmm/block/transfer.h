/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queues and the transfers that their requests are made of. */
#ifndef VMM_BLOCK_TRANSFER_H
#define VMM_BLOCK_TRANSFER_H

#include "image.h"
#include "uring.h"

#define INLINE_MAX (32 * MIB)

struct loop_entry;

struct block_queue {
	struct block *b;
	bool inline_writes;
	int wake;			/* eventfd: there are finished requests, or results */
	struct loop_entry *entry;
	pthread_mutex_t lock;		/* of all below */
	struct uring *uring;		/* or NULL */
	struct request_list finished;
	unsigned int inflight;
	bool draining;
};

/* Makes the queue's thread submit what is prepared and look for what is done. */
void queue_wake(struct block_queue *q);
/* Whether the calling thread is about to do that itself. */
bool queue_watched(const struct block_queue *q);
/* Whether the thread that submits makes a write of this length into the page cache itself. */
static inline bool queue_inline(const struct block_queue *q, u64 length)
{
	return q->inline_writes && length <= INLINE_MAX;
}

/* Has done() called, on a thread that may do that. */
void queue_finished(struct block_request *r);
/* Keeps a request that found the disk full; false when nobody would try it again. */
bool queue_hold(struct block_request *r, int err);

/* --- request.c -------------------------------------------------------------------- */

/* Sets a request on its way. */
void request_start(struct block_request *r);
/* Makes a tracked request the blocking way; the function of r->job. */
void request_run(struct pool_job *j);
/* One of r->pending parts ended. */
void request_part_done(struct block_request *r, int err);

/* --- transfer.c ------------------------------------------------------------------- */

/* Starts a transfer, or makes it. */
void transfer_start(struct block_io *io);
/* Submits what waits in the ring and takes results: whether there were any. */
bool transfer_results(struct block_queue *q);

#endif
