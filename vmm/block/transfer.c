/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transfers: which way each one takes to the host, and what becomes of its
 * result. Short ones go on where they ended; a read ends in zeros where the
 * file does.
 */
#include <errno.h>
#include <stdlib.h>

#include "transfer.h"

#define BATCH 64

static struct span span_left(const struct block_io *io)
{
	struct span all = span_all(io->r->iov, io->r->iovcnt);

	return span_cut(&all, io->at, io->left);
}

static void done(struct block_io *io, int err)
{
	free(io->vec);
	io->vec = NULL;
	request_part_done(io->r, err);
}

static int make(struct block_io *io)
{
	struct span s;

	if (io->op == BLOCK_OP_FLUSH)
		return file_sync(io->file);
	s = span_left(io);
	return io->op == BLOCK_OP_READ ? file_readv(io->file, io->off, &s) :
		file_writev(io->file, io->off, &s);
}

static void run(struct pool_job *j)
{
	struct block_io *io = (struct block_io *)((char *)j - offsetof(struct block_io, job));

	done(io, make(io));
}

static void advance(struct block_io *io, size_t n)
{
	io->off += n;
	io->at += n;
	io->left -= n;
	if (io->op == BLOCK_OP_WRITE)
		file_grown(io->file, io->off);
}

/* Reads what the page cache has; true when that was all. */
static bool read_cached(struct block_io *io)
{
	struct iovec v[64];
	struct span s = span_left(io);
	unsigned int cnt = span_vec(&s, v, ARRAY_SIZE(v));
	ssize_t n = preadv2(io->file->fd, v, (int)cnt, (off_t)io->off, RWF_NOWAIT);

	if (n > 0)
		advance(io, (size_t)n);
	return !io->left;
}

static bool add_to_ring(struct block_queue *q, struct block_io *io)
{
	bool ok;

	if (!q->uring)
		return false;
	pthread_mutex_lock(&q->lock);
	ok = uring_add(q->uring, io);
	if (ok && !queue_watched(q))
		queue_wake(q);		/* somebody has to submit it */
	pthread_mutex_unlock(&q->lock);
	return ok;
}

static void to_pool(struct block_io *io)
{
	io->job.fn = run;
	pool_run(&io->job);
}

void transfer_start(struct block_io *io)
{
	struct block_queue *q = io->r->queue;
	bool cached = !io->file->direct;

	if (io->op == BLOCK_OP_FLUSH &&
	    (io->file->unsafe || __atomic_load_n(&io->file->sync_error, __ATOMIC_ACQUIRE))) {
		done(io, make(io));
	} else if (io->op == BLOCK_OP_WRITE && cached && queue_inline(q, io->r->length)) {
		done(io, make(io));
	} else if (!q->uring && io->op == BLOCK_OP_READ && cached && read_cached(io)) {
		done(io, 0);
	} else if (!add_to_ring(q, io)) {
		to_pool(io);
	}
}

/* What the ring says of a transfer. */
static void result(struct block_io *io, int res)
{
	struct span s;

	if (res == -EAGAIN || res == -EINTR || res == -ECANCELED) {
		to_pool(io);	/* the last one: the thread that submitted it ended */
	} else if (io->op == BLOCK_OP_FLUSH) {
		if (res < 0)
			__atomic_store_n(&io->file->sync_error, res, __ATOMIC_RELEASE);
		done(io, res < 0 ? res : 0);
	} else if (!res && io->op == BLOCK_OP_READ) {
		s = span_left(io);
		span_zero(&s);
		done(io, 0);
	} else if (res <= 0 || (size_t)res > io->left) {
		done(io, res < 0 ? res : -EIO);
	} else {
		advance(io, (size_t)res);
		if (io->left)
			to_pool(io);	/* O_DIRECT may need a buffer for the rest */
		else
			done(io, 0);
	}
}

bool transfer_results(struct block_queue *q)
{
	struct block_io *io[BATCH];
	int res[BATCH];
	unsigned int i, n = 0;

	if (!q->uring)
		return false;
	pthread_mutex_lock(&q->lock);
	if (!uring_submit(q->uring))
		queue_wake(q);		/* to come again */
	while (n < BATCH && (io[n] = uring_result(q->uring, &res[n])))
		n++;
	pthread_mutex_unlock(&q->lock);
	for (i = 0; i < n; i++)
		result(io[i], res[i]);
	return n > 0;
}
