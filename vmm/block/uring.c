/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io_uring(7): many transfers with one system call, and none of the wake-ups
 * that threads cost. What is in the page cache is read at once, by the call
 * that submits.
 *
 * A process that is to be confined makes its rings before: what a ring may be used
 * for no filter on system calls sees, so these take transfers only, for ever
 * (IORING_REGISTER_RESTRICTIONS), and making others is forbidden to it.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uring.h"

#define ENTRIES 256
#define VEC_MAX 1024		/* IOV_MAX */
#define LEN_MAX GIB		/* of a transfer; what is more comes after it */

struct uring {
	struct io_uring ring;
	bool kept;		/* comes from the reserve, and goes there */
	struct uring *next;
};

static struct uring *reserve;	/* rings that nobody has */
static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;

/* Operations that are used. */
static const int needed[] = { IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV, IORING_OP_WRITEV,
			      IORING_OP_FSYNC };

/* Operations are looked for, as seccomp filters and old kernels refuse some or all. */
static bool complete(struct io_uring *ring)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool ok = p != NULL;
	unsigned int i;

	for (i = 0; ok && i < ARRAY_SIZE(needed); i++)
		ok = io_uring_opcode_supported(p, needed[i]);
	io_uring_free_probe(p);
	return ok;
}

static struct uring *make(unsigned int flags)
{
	const char *off = getenv("ANYKVM_IO_URING");
	struct uring *u;

	if (off && !strcmp(off, "0"))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u || io_uring_queue_init(ENTRIES, &u->ring, flags) < 0) {
		free(u);
		return NULL;
	}
	/* without NODROP results could be lost, without STABLE vectors must be kept */
	if (u->ring.features & IORING_FEAT_NODROP && complete(&u->ring))
		return u;
	io_uring_queue_exit(&u->ring);
	free(u);
	return NULL;
}

/* --- the reserve --------------------------------------------------------------------- */

static void keep(struct uring *u)
{
	pthread_mutex_lock(&reserve_lock);
	u->next = reserve;
	reserve = u;
	pthread_mutex_unlock(&reserve_lock);
}

static struct uring *take_kept(void)
{
	struct uring *u;

	pthread_mutex_lock(&reserve_lock);
	u = reserve;
	if (u)
		reserve = u->next;
	pthread_mutex_unlock(&reserve_lock);
	return u;
}

/* Lets a ring do transfers, and tell of them, and nothing else: 0 or -errno. */
static int restrict_ring(struct uring *u)
{
	struct io_uring_restriction r[ARRAY_SIZE(needed) + 2] = {
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_EVENTFD },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_UNREGISTER_EVENTFD },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		r[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
		r[i + 2].sqe_op = (u8)needed[i];
	}
	/* liburing declares functions for these two that it does not have */
	if (syscall(SYS_io_uring_register, u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, r,
		    ARRAY_SIZE(r)) < 0 ||
	    syscall(SYS_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0)
		return -errno;
	return 0;
}

void uring_reserve(unsigned int n)
{
	for (; n; n--) {
		struct uring *u = make(IORING_SETUP_R_DISABLED);

		if (!u)
			return;
		if (restrict_ring(u) < 0) {
			uring_free(u);
			return;
		}
		u->kept = true;
		keep(u);
	}
}

/* --- rings --------------------------------------------------------------------------- */

struct uring *uring_new(int eventfd)
{
	struct uring *u = take_kept();

	if (!u)
		u = make(0);
	if (u && io_uring_register_eventfd(&u->ring, eventfd) < 0) {
		uring_free(u);
		return NULL;
	}
	return u;
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	if (u->kept) {
		io_uring_unregister_eventfd(&u->ring);
		keep(u);
		return;
	}
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
