/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A run of bytes within an iovec array: what a part of a request reads or writes. */
#ifndef VMM_BLOCK_SPAN_H
#define VMM_BLOCK_SPAN_H

#include <sys/uio.h>

#include "../types.h"

struct span {
	const struct iovec *iov;
	unsigned int cnt;
	size_t skip;		/* bytes of iov[0] before it begins; less than its length */
	size_t len;		/* bytes */
};

/* All of the array. */
struct span span_all(const struct iovec *iov, unsigned int cnt);
/* Plain memory; v is room for its iovec and must live as long as the span. */
struct span span_mem(struct iovec *v, const void *buf, size_t len);
/* len bytes from off on, which must lie within s. */
struct span span_cut(const struct span *s, size_t off, size_t len);
/* Its first pieces, at most max, into v: how many. */
unsigned int span_vec(const struct span *s, struct iovec *v, unsigned int max);
/* In how many pieces it lies. */
unsigned int span_pieces(const struct span *s);

void span_zero(const struct span *s);
/* From memory into the span, and back; all of its length. */
void span_put(const struct span *s, const void *buf);
void span_get(const struct span *s, void *buf);
/* Whether addresses and lengths of all pieces are multiples of align, a power of 2. */
bool span_aligned(const struct span *s, size_t align);

#endif
