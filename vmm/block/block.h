/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disk images, as devices and commands see them. Nothing here knows a device.
 *
 * A `struct block` is an open image with everything below it (backing files).
 * Commands use the blocking functions. Devices make a queue for each thread or
 * virtqueue that they serve, and submit requests to it.
 *
 * Threads:
 * - block_submit and block_commit may be called from any thread, also for one
 *   queue at the same time.
 * - A request's done() is called from within block_commit or block_drain by the
 *   thread that calls them, or by the thread that runs the queue's event loop.
 *   It is never called from within block_submit, and no lock of this library
 *   is held meanwhile, so that it may submit again. A device that takes a lock
 *   of its own in done() must not hold it over block_commit.
 * - From block_submit to done() the request, its iovec array and the memory
 *   belong to the library.
 * - Blocking functions are for images without requests in flight.
 * - block_open, block_close, block_queue_new and block_queue_free of one image
 *   are for one thread at a time; the loop's entries are added and removed there,
 *   so with a loop that already runs they are for its thread.
 *
 * Order: requests that overlap and are in flight together are done in any
 * order. A flush covers the writes whose done() came before its submission.
 *
 * Errors are negative errno values. The host's full disk (-ENOSPC) is not given
 * to the device when a handler is set (block_set_stop): the request is held, the
 * handler pauses the machine, and block_retry tries again what is held.
 */
#ifndef VMM_BLOCK_H
#define VMM_BLOCK_H

#include <sys/uio.h>

#include "../types.h"
#include "pool.h"

struct loop;
struct block;
struct block_queue;

#define BLOCK_SECTOR 512

/* How far the host's page cache is used, and what a guest's flush does. */
enum block_cache {
	BLOCK_WRITEBACK,	/* through the page cache; a flush reaches the disk */
	BLOCK_NONE,		/* past the page cache (O_DIRECT); a flush reaches the disk */
	BLOCK_WRITETHROUGH,	/* every write is flushed before it is done */
	BLOCK_DIRECTSYNC,	/* both of these */
	BLOCK_UNSAFE,		/* flushes are ignored: for images that nobody will miss */
};

struct block_options {
	const char *format;	/* "raw" or "qcow2"; NULL: the image is looked at */
	enum block_cache cache;
	bool readonly;
	bool snapshot;		/* writes go to a temporary file that vanishes */
	bool shared;		/* read beside a writer, as it is at the moment */
	bool examine;		/* open although it is marked or found damaged */
	bool no_backing;	/* do not open backing files; they read as zeros */
};

/* NULL after an error line. */
struct block *block_open(const char *path, const struct block_options *o);
/* Flushes and closes: 0, or the error of that flush. Takes NULL. */
int block_close(struct block *b);

/* 0, or -1 when it is none of writeback, none, writethrough, directsync, unsafe. */
int block_cache_parse(const char *name, enum block_cache *cache);

struct block_limits {
	u64 size;		/* bytes, a multiple of BLOCK_SECTOR */
	bool readonly;
	u32 granularity;	/* bytes: discards that cover this, aligned, free space */
	u32 best;		/* bytes: writes of this size and alignment are the fastest */
	const char *format;
};

void block_get_limits(const struct block *b, struct block_limits *l);

/* --- blocking: 0 or -errno ------------------------------------------------------ */

int block_read(struct block *b, u64 offset, void *buf, size_t len);
int block_write(struct block *b, u64 offset, const void *buf, size_t len);
int block_discard(struct block *b, u64 offset, u64 len);
/* unmap: the space may be freed. */
int block_zero(struct block *b, u64 offset, u64 len, bool unmap);
int block_flush(struct block *b);

enum block_status { BLOCK_DATA, BLOCK_ZERO };

/*
 * What the image holds at offset and for how many bytes, at most len, that
 * stays so: the status, or -errno. BLOCK_ZERO certainly reads as zeros.
 */
int block_status(struct block *b, u64 offset, u64 len, u64 *run);

/* --- requests -------------------------------------------------------------------- */

enum block_op { BLOCK_OP_READ, BLOCK_OP_WRITE, BLOCK_OP_FLUSH, BLOCK_OP_DISCARD, BLOCK_OP_ZERO };

#define BLOCK_UNMAP (1 << 0)	/* of BLOCK_OP_ZERO: the space may be freed */
#define BLOCK_FUA (1 << 1)	/* of BLOCK_OP_WRITE: done when it is on the disk */

struct block_request;

/* A part of a request that goes to one place of one file. The library's own. */
struct block_io {
	struct block_request *r;
	struct file *file;
	enum block_op op;
	u64 off;
	size_t at, left;	/* bytes of the request's data: the first, and how many */
	struct iovec *vec;	/* allocated, or NULL */
	struct pool_job job;
};

struct block_request {
	enum block_op op;
	unsigned int flags;
	u64 offset, length;		/* bytes; length is that of iov, if there is one */
	const struct iovec *iov;	/* of reads and writes */
	unsigned int iovcnt;
	void (*done)(struct block_request *r, int err);

	/* the library's own */
	struct block_queue *queue;
	struct block_request *prev, *next;
	u64 start, end;			/* the tracked range */
	bool exclusive, flushing;
	int err;			/* the first error, atomic */
	unsigned int pending;		/* parts not done, atomic */
	unsigned int nparts;
	struct block_io part, *parts;
	struct pool_job job;
};

/*
 * The thread that submits may be held up while a write of up to 32 MiB goes to the
 * host's page cache. Spares two wake-ups a write; not for threads that must not wait.
 */
#define BLOCK_QUEUE_INLINE (1 << 0)

/* loop: where done() is called; NULL: only block_commit and block_drain do. NULL after an error. */
struct block_queue *block_queue_new(struct block *b, struct loop *loop, unsigned int flags);
/* Makes ready what n queues need, for a process that is then confined. */
void block_reserve_queues(unsigned int n);
/* Of a queue without requests in flight. Takes NULL. */
void block_queue_free(struct block_queue *q);

void block_submit(struct block_queue *q, struct block_request *r);
/*
 * Starts what was submitted, and calls done() of all that is ready. After some
 * 20 ms the rest is for the queue's loop, if it has one.
 */
void block_commit(struct block_queue *q);
/* Waits until the queue has nothing in flight; held requests end with their error. */
void block_drain(struct block_queue *q);

/*
 * stop(arg, err) tells that a request is held, once until block_retry; it is
 * called by any thread and must only note it. Set before the first request.
 */
void block_set_stop(struct block *b, void (*stop)(void *arg, int err), void *arg);
/* Tries again what is held; from any thread. */
void block_retry(struct block *b);

#endif
