/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues: where requests come in, and where their done() is called; those that
 * are held because the host's disk is full.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../error.h"
#include "image.h"
#include "transfer.h"

#define DRAIN_MS 100
#define SLICE_NS 20000000ULL		/* of who does the work of the queue's loop */

/* The queue whose finished requests this thread is about to look for. */
static __thread struct block_queue *looking;

/* --- what is finished ---------------------------------------------------------------- */

void queue_wake(struct block_queue *q)
{
	const u64 one = 1;

	if (write(q->wake, &one, sizeof(one)) < 0)
		return;		/* the count is full: it wakes anyway */
}

bool queue_watched(const struct block_queue *q)
{
	return looking == q;
}

void queue_finished(struct block_request *r)
{
	struct block_queue *q = r->queue;
	bool first;

	pthread_mutex_lock(&q->lock);
	first = !q->finished.first;
	list_add(&q->finished, r);
	/* under the lock: once it is seen in the list, the queue may go away */
	if (first && !queue_watched(q))
		queue_wake(q);
	pthread_mutex_unlock(&q->lock);
}

static bool is_draining(struct block_queue *q)
{
	bool draining;

	pthread_mutex_lock(&q->lock);
	draining = q->draining;
	pthread_mutex_unlock(&q->lock);
	return draining;
}

/* Keeps a request that found the disk full; false when nobody would try it again. */
bool queue_hold(struct block_request *r, int err)
{
	struct block *b = r->queue->b;
	bool held, tell;

	pthread_mutex_lock(&b->lock);
	held = b->stop && !is_draining(r->queue);
	tell = held && !b->stopped;
	if (held) {
		r->err = err;
		list_add(&b->held, r);
		b->stopped = true;
	}
	pthread_mutex_unlock(&b->lock);
	if (tell)
		b->stop(b->stop_arg, err);
	return held;
}

/* --- the interface ------------------------------------------------------------------- */

static int check(const struct block_request *r)
{
	const struct node *n = r->queue->b->node;

	if (r->op != BLOCK_OP_READ && r->op != BLOCK_OP_FLUSH && !n->writable)
		return -EROFS;
	if (r->op == BLOCK_OP_FLUSH)
		return 0;
	if (r->offset > n->size || r->length > n->size - r->offset)
		return -EINVAL;
	if ((r->op == BLOCK_OP_READ || r->op == BLOCK_OP_WRITE) &&
	    span_all(r->iov, r->iovcnt).len != r->length)
		return -EINVAL;
	return 0;
}

void block_submit(struct block_queue *q, struct block_request *r)
{
	struct block_queue *before = looking;

	r->queue = q;
	r->parts = &r->part;
	r->nparts = 0;
	r->flushing = false;
	r->job.fn = request_run;
	if (r->op == BLOCK_OP_FLUSH)
		r->offset = r->length = 0;
	pthread_mutex_lock(&q->lock);
	q->inflight++;
	pthread_mutex_unlock(&q->lock);
	r->err = check(r);
	looking = q;
	if (r->err || (!r->length && r->op != BLOCK_OP_FLUSH) ||
	    (r->op == BLOCK_OP_FLUSH && !q->b->node->writable))
		queue_finished(r);
	else
		request_start(r);
	looking = before;
}

/* Under the lock. */
static struct block_request *take_finished(struct block_queue *q)
{
	struct block_request *r = q->finished.first;

	if (r)
		list_remove(&q->finished, r);
	return r;
}

static bool call_finished(struct block_queue *q, u64 until)
{
	struct block_request *r;

	pthread_mutex_lock(&q->lock);
	r = take_finished(q);
	pthread_mutex_unlock(&q->lock);
	if (!r)
		return false;
	do {
		r->done(r, r->err);
		/* under the lock: who drains the queue on another thread may free it then */
		pthread_mutex_lock(&q->lock);
		q->inflight--;
		if (q->draining)
			queue_wake(q);
		r = monotonic_ns() < until ? take_finished(q) : NULL;
		pthread_mutex_unlock(&q->lock);
	} while (r);
	return true;
}

/*
 * What done() submits may be finished at once, too, and so on for as long as the
 * guest has requests: there is a loop to go on with them, on its thread.
 */
void block_commit(struct block_queue *q)
{
	const u64 until = q->entry ? monotonic_ns() + SLICE_NS : UINT64_MAX;
	struct block_queue *before = looking;
	bool more;

	looking = q;
	do {
		more = transfer_results(q);
		more |= call_finished(q, until);
	} while (more && monotonic_ns() < until);
	looking = before;
	if (more)
		queue_wake(q);
}

/* Gives up on what is held of this queue. */
static void release_held(struct block_queue *q)
{
	struct block *b = q->b;
	struct block_request *r, *next;

	pthread_mutex_lock(&b->lock);
	for (r = b->held.first; r; r = next) {
		next = r->next;
		if (r->queue != q)
			continue;
		list_remove(&b->held, r);
		queue_finished(r);
	}
	pthread_mutex_unlock(&b->lock);
}

static void take_wake(void *arg)
{
	struct block_queue *q = arg;
	u64 count;

	if (read(q->wake, &count, sizeof(count)) < 0)
		return;		/* another thread did */
}

static void on_event(void *arg)
{
	take_wake(arg);
	block_commit(arg);
}

/* Whether the queue has something in flight; says whether somebody drains it. */
static bool is_busy(struct block_queue *q, bool draining)
{
	bool busy;

	pthread_mutex_lock(&q->lock);
	q->draining = draining;
	busy = q->inflight;
	pthread_mutex_unlock(&q->lock);
	return busy;
}

void block_drain(struct block_queue *q)
{
	struct pollfd p = { q->wake, POLLIN, 0 };

	while (is_busy(q, true)) {
		release_held(q);
		block_commit(q);
		/* with a bound, as the loop's thread may take the event */
		if (is_busy(q, true) && poll(&p, 1, DRAIN_MS) > 0)
			take_wake(q);
	}
	is_busy(q, false);
}

struct block_queue *block_queue_new(struct block *b, struct loop *loop, unsigned int flags)
{
	struct block_queue *q = calloc(1, sizeof(*q));

	if (!q) {
		error("out of memory");
		return NULL;
	}
	q->b = b;
	q->inline_writes = flags & BLOCK_QUEUE_INLINE;
	pthread_mutex_init(&q->lock, NULL);
	q->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->wake >= 0)
		q->uring = uring_new(q->wake);
	if (q->wake >= 0 && loop)
		q->entry = loop_add(loop, q->wake, POLLIN, on_event, q);
	if (q->wake < 0 || (loop && !q->entry)) {
		error("cannot create a queue for the disk: %s", strerror(errno));
		block_queue_free(q);
		return NULL;
	}
	return q;
}

void block_reserve_queues(unsigned int n)
{
	uring_reserve(n);
}

void block_queue_free(struct block_queue *q)
{
	if (!q)
		return;
	loop_remove(q->entry);
	uring_free(q->uring);
	if (q->wake >= 0)
		close(q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void block_set_stop(struct block *b, void (*stop)(void *arg, int err), void *arg)
{
	b->stop = stop;
	b->stop_arg = arg;
}

void block_retry(struct block *b)
{
	struct block_request *r, *next;

	pthread_mutex_lock(&b->lock);
	r = b->held.first;
	b->held = (struct request_list){ NULL, NULL };
	b->stopped = false;
	pthread_mutex_unlock(&b->lock);
	for (; r; r = next) {
		next = r->next;
		r->err = 0;
		r->flushing = false;
		if (track(b, r, r->op != BLOCK_OP_READ))
			pool_run(&r->job);
	}
}
