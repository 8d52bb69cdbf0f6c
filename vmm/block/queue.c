/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queues: requests from their submission to their done(). A request whose data
 * lies where it can be read or overwritten in place is split into transfers,
 * which go to io_uring or the pool, or for writes to the page cache are made at
 * once. All others are made with the node's blocking operation by the pool.
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

#define PARTS_MAX 64
#define DRAIN_MS 100

/* The queue whose finished requests this thread is about to look for. */
static __thread struct block_queue *looking;

/* --- the end of a request ---------------------------------------------------------------- */

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

static void finished(struct block_request *r)
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
static bool hold(struct block_request *r, int err)
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

static void start_flush(struct block_request *r);

/* A tracked request is done, well or not. */
static void end(struct block_request *r)
{
	int err = __atomic_load_n(&r->err, __ATOMIC_ACQUIRE);
	struct block *b = r->queue->b;

	if (r->parts != &r->part)
		free(r->parts);
	r->parts = &r->part;
	if (!err && r->op == BLOCK_OP_WRITE && !r->flushing &&
	    ((r->flags & BLOCK_FUA) || b->writethrough)) {
		r->flushing = true;
		start_flush(r);
		return;
	}
	untrack(b, r);
	if (err == -ENOSPC && hold(r, err))
		return;
	finished(r);
}

void request_part_done(struct block_request *r, int err)
{
	int none = 0;

	if (err)
		__atomic_compare_exchange_n(&r->err, &none, err, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE);
	if (!__atomic_sub_fetch(&r->pending, 1, __ATOMIC_ACQ_REL))
		end(r);
}

/* --- the blocking way ------------------------------------------------------------------------ */

static int make(struct block_request *r)
{
	struct node *n = r->queue->b->node;
	struct span s;

	if (r->flushing)
		return n->ops->flush(n);
	switch (r->op) {
	case BLOCK_OP_READ:
		s = span_all(r->iov, r->iovcnt);
		return node_read(n, r->offset, &s);
	case BLOCK_OP_WRITE:
		s = span_all(r->iov, r->iovcnt);
		return n->ops->write(n, r->offset, &s);
	case BLOCK_OP_DISCARD:
		return n->ops->discard(n, r->offset, r->length);
	case BLOCK_OP_ZERO:
		return n->ops->zero(n, r->offset, r->length, r->flags & BLOCK_UNMAP);
	case BLOCK_OP_FLUSH:
		return n->ops->flush(n);
	}
	return -EINVAL;
}

static void run(struct pool_job *j)
{
	struct block_request *r = (struct block_request *)((char *)j -
							   offsetof(struct block_request, job));

	r->pending = 1;
	request_part_done(r, make(r));
}

/* --- the quick way ----------------------------------------------------------------------------- */

static struct block_io *add_part(struct block_request *r)
{
	struct block_io *p;

	if (r->nparts == 1 && r->parts == &r->part) {
		p = malloc(PARTS_MAX * sizeof(*p));
		if (!p)
			return NULL;
		p[0] = r->part;
		r->parts = p;
	}
	return r->nparts < PARTS_MAX ? &r->parts[r->nparts++] : NULL;
}

static bool add_extent(struct block_request *r, const struct extent *e, size_t at)
{
	struct span all = span_all(r->iov, r->iovcnt);
	struct span s = span_cut(&all, at, (size_t)e->len);
	struct block_io *p;

	if (e->kind == MAP_ZERO && r->op == BLOCK_OP_READ) {
		span_zero(&s);
		return true;
	}
	if (e->kind != MAP_FILE || !file_fits(e->file, e->off, &s))
		return false;
	p = add_part(r);
	if (!p)
		return false;
	*p = (struct block_io){
		.r = r, .file = e->file, .op = r->op, .off = e->off, .at = at,
		.left = (size_t)e->len,
	};
	return true;
}

/* Splits a read or write into transfers; false when it has to go the blocking way. */
static bool split(struct block_request *r)
{
	struct node *n = r->queue->b->node;
	struct extent e;
	size_t at = 0;

	r->nparts = 0;
	while (at < r->length) {
		n->ops->map(n, r->offset + at, r->length - at, r->op == BLOCK_OP_WRITE, &e);
		if (e.kind == MAP_SLOW || !add_extent(r, &e, at))
			break;
		at += (size_t)e.len;
	}
	if (at == r->length)
		return true;
	if (r->parts != &r->part)
		free(r->parts);
	r->parts = &r->part;
	return false;
}

static void launch(struct block_request *r)
{
	unsigned int i, n = r->nparts;

	r->pending = n + 1;	/* so that it does not end before all are started */
	for (i = 0; i < n; i++)
		transfer_start(&r->parts[i]);
	request_part_done(r, 0);
}

static void start_flush(struct block_request *r)
{
	struct node *n = r->queue->b->node;

	r->parts = &r->part;
	if (!n->ops->clean(n)) {
		pool_run(&r->job);
		return;
	}
	r->nparts = 1;
	r->part = (struct block_io){ .r = r, .file = n->file, .op = BLOCK_OP_FLUSH };
	launch(r);
}

static void start(struct block_request *r)
{
	struct block_queue *q = r->queue;
	bool moves = r->op == BLOCK_OP_READ || r->op == BLOCK_OP_WRITE;

	if (!track(q->b, r, !moves))
		return;
	if (r->op == BLOCK_OP_FLUSH) {
		start_flush(r);
		return;
	}
	if (moves && split(r)) {
		launch(r);
		return;
	}
	if (r->op == BLOCK_OP_WRITE && !track_alone(q->b, r))
		return;
	if (r->op == BLOCK_OP_WRITE && q->inline_writes && !q->b->node->file->direct)
		run(&r->job);
	else
		pool_run(&r->job);
}

/* --- the interface -------------------------------------------------------------------------------- */

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
	r->job.fn = run;
	if (r->op == BLOCK_OP_FLUSH)
		r->offset = r->length = 0;
	pthread_mutex_lock(&q->lock);
	q->inflight++;
	pthread_mutex_unlock(&q->lock);
	r->err = check(r);
	looking = q;
	if (r->err || (!r->length && r->op != BLOCK_OP_FLUSH) ||
	    (r->op == BLOCK_OP_FLUSH && !q->b->node->writable))
		finished(r);
	else
		start(r);
	looking = before;
}

static bool call_finished(struct block_queue *q)
{
	struct block_request *r, *next;
	unsigned int n = 0;

	pthread_mutex_lock(&q->lock);
	r = q->finished.first;
	q->finished = (struct request_list){ NULL, NULL };
	pthread_mutex_unlock(&q->lock);
	if (!r)
		return false;
	for (; r; r = next, n++) {
		next = r->next;
		r->done(r, r->err);
	}
	/* under the lock: who drains the queue on another thread may free it then */
	pthread_mutex_lock(&q->lock);
	q->inflight -= n;
	if (q->draining)
		queue_wake(q);
	pthread_mutex_unlock(&q->lock);
	return true;
}

void block_commit(struct block_queue *q)
{
	struct block_queue *before = looking;
	bool more;

	looking = q;
	do {
		more = transfer_results(q);
		more |= call_finished(q);
	} while (more);
	looking = before;
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
		finished(r);
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
