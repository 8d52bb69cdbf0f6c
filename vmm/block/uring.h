/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transfers by io_uring(7). Calls for one ring are for one thread at a time. */
#ifndef VMM_BLOCK_URING_H
#define VMM_BLOCK_URING_H

#include "file.h"

struct uring;

/* Makes rings that a later uring_new() takes, for a process that can then make none. */
void uring_reserve(unsigned int n);

/*
 * NULL when the host does not offer it, or $ANYKVM_IO_URING is 0. The eventfd is
 * signalled when results come, but for those that are there when uring_submit
 * returns.
 */
struct uring *uring_new(int eventfd);
void uring_free(struct uring *u);

/* Prepares a transfer; false when there is no room or memory for it now. */
bool uring_add(struct uring *u, struct block_io *io);
/* Hands to the kernel what is prepared; false when some has to wait for results. */
bool uring_submit(struct uring *u);
/* The next result: bytes or -errno; NULL when there is none. */
struct block_io *uring_result(struct uring *u, int *result);

#endif
