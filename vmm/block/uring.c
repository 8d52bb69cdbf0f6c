/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io_uring(7): many transfers with one system call, and none of the wake-ups
 * that threads cost. What is in the page cache is read at once, by the call
 * that submits.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "uring.h"

#define ENTRIES 256
#define VEC_MAX 1024		/* IOV_MAX */
#define LEN_MAX GIB		/* of a transfer; what is more comes after it */

struct uring {
	struct io_uring ring;
};

/* Operations are looked for, as seccomp filters and old kernels refuse some or all. */
static bool complete(struct io_uring *ring)
{
	static const int needed[] = { IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV,
				      IORING_OP_WRITEV, IORING_OP_FSYNC };
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool ok = p != NULL;
	unsigned int i;

	for (i = 0; ok && i < ARRAY_SIZE(needed); i++)
		ok = io_uring_opcode_supported(p, needed[i]);
	io_uring_free_probe(p);
	return ok;
}

struct uring *uring_new(int eventfd)
{
	const char *off = getenv("ANYKVM_IO_URING");
	struct uring *u;

	if (off && !strcmp(off, "0"))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u || io_uring_queue_init(ENTRIES, &u->ring, 0) < 0) {
		free(u);
		return NULL;
	}
	/* without NODROP results could be lost, without STABLE vectors must be kept */
	if (!(u->ring.features & IORING_FEAT_NODROP) || !complete(&u->ring) ||
	    io_uring_register_eventfd(&u->ring, eventfd) < 0) {
		uring_free(u);
		return NULL;
	}
	return u;
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u);
}

/* The pieces of a transfer in memory, in v if it is one, else allocated; their number. */
static unsigned int pieces(struct block_io *io, struct iovec *v, const struct iovec **vec)
{
	struct span all = span_all(io->r->iov, io->r->iovcnt);
	struct span s = span_cut(&all, io->at, io->left);
	unsigned int n = span_pieces(&s);

	*vec = v;
	if (n > VEC_MAX)
		n = VEC_MAX;
	if (n > 1) {
		free(io->vec);
		io->vec = calloc(n, sizeof(*io->vec));
		if (!io->vec)
			return 0;
		*vec = io->vec;
	}
	return span_vec(&s, (struct iovec *)*vec, n);
}

static void prepare(struct io_uring_sqe *e, const struct block_io *io, const struct iovec *v,
		    unsigned int n)
{
	unsigned int len = v->iov_len < LEN_MAX ? (unsigned int)v->iov_len : (unsigned int)LEN_MAX;

	if (n == 1 && io->op == BLOCK_OP_READ)
		io_uring_prep_read(e, io->file->fd, v->iov_base, len, io->off);
	else if (n == 1)
		io_uring_prep_write(e, io->file->fd, v->iov_base, len, io->off);
	else if (io->op == BLOCK_OP_READ)
		io_uring_prep_readv(e, io->file->fd, v, n, io->off);
	else
		io_uring_prep_writev(e, io->file->fd, v, n, io->off);
}

bool uring_add(struct uring *u, struct block_io *io)
{
	const struct iovec *vec = NULL;
	struct io_uring_sqe *e;
	struct iovec v;
	unsigned int n = 0;

	if (io->op != BLOCK_OP_FLUSH) {
		n = pieces(io, &v, &vec);
		if (!n)
			return false;
	}
	e = io_uring_get_sqe(&u->ring);
	if (!e && uring_submit(u))
		e = io_uring_get_sqe(&u->ring);
	if (!e)
		return false;
	if (n)
		prepare(e, io, vec, n);
	else
		io_uring_prep_fsync(e, io->file->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(e, io);
	return true;
}

bool uring_submit(struct uring *u)
{
	int n = 1;

	if (!io_uring_sq_ready(&u->ring))
		return true;
	/* whoever waits for the eventfd is not to be woken for what is done at once */
	io_uring_cq_eventfd_toggle(&u->ring, false);
	while (io_uring_sq_ready(&u->ring) && (n > 0 || n == -EINTR))
		n = io_uring_submit(&u->ring);
	io_uring_cq_eventfd_toggle(&u->ring, true);
	return !io_uring_sq_ready(&u->ring);
}

struct block_io *uring_result(struct uring *u, int *result)
{
	struct io_uring_cqe *e = NULL;
	struct block_io *io;

	if (io_uring_peek_cqe(&u->ring, &e) < 0 || !e)
		return NULL;
	io = io_uring_cqe_get_data(e);
	*result = e->res;
	io_uring_cqe_seen(&u->ring, e);
	return io;
}
