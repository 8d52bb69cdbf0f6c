/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a request. One whose data lies where it can be read or overwritten
 * in place is split into transfers, which go to io_uring or the pool, or for
 * writes to the page cache are made at once. All others are made with the node's
 * blocking operation by the pool.
 */
#include <errno.h>
#include <stdlib.h>

#include "transfer.h"

#define PARTS_MAX 64

/* --- the end --------------------------------------------------------------------------- */

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
	if (err == -ENOSPC && queue_hold(r, err))
		return;
	queue_finished(r);
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

/* --- the blocking way ---------------------------------------------------------------- */

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

void request_run(struct pool_job *j)
{
	struct block_request *r = (struct block_request *)((char *)j -
							   offsetof(struct block_request, job));

	r->pending = 1;
	request_part_done(r, make(r));
}

/* --- the quick way ------------------------------------------------------------------- */

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

void request_start(struct block_request *r)
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
	if (r->op == BLOCK_OP_WRITE && queue_inline(q, r->length) && !q->b->node->file->direct)
		request_run(&r->job);
	else
		pool_run(&r->job);
}
