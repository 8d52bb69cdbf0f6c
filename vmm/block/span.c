/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spans: cutting and copying runs of bytes within iovec arrays. A piece is
 * what one entry of the array holds of the span.
 */
#include <string.h>

#include "span.h"

struct span span_all(const struct iovec *iov, unsigned int cnt)
{
	struct span s = { iov, cnt, 0, 0 };
	unsigned int i;

	for (i = 0; i < cnt; i++)
		s.len += iov[i].iov_len;
	return span_cut(&s, 0, s.len);
}

struct span span_mem(struct iovec *v, const void *buf, size_t len)
{
	v->iov_base = (void *)buf;
	v->iov_len = len;
	return (struct span){ v, 1, 0, len };
}

struct span span_cut(const struct span *s, size_t off, size_t len)
{
	struct span r = { s->iov, s->cnt, s->skip + off, len };

	while (r.cnt && r.skip >= r.iov->iov_len) {
		r.skip -= r.iov->iov_len;
		r.iov++;
		r.cnt--;
	}
	return r;
}

/* The next piece of s, which is taken from it; false when there is none. */
static bool next_piece(struct span *s, struct iovec *v)
{
	size_t n;

	while (s->len && s->cnt) {
		n = s->iov->iov_len - s->skip;
		if (n > s->len)
			n = s->len;
		v->iov_base = (u8 *)s->iov->iov_base + s->skip;
		v->iov_len = n;
		s->iov++;
		s->cnt--;
		s->skip = 0;
		s->len -= n;
		if (n)
			return true;
	}
	return false;
}

unsigned int span_vec(const struct span *s, struct iovec *v, unsigned int max)
{
	struct span rest = *s;
	unsigned int n = 0;

	while (n < max && next_piece(&rest, &v[n]))
		n++;
	return n;
}

unsigned int span_pieces(const struct span *s)
{
	struct span rest = *s;
	struct iovec v;
	unsigned int n = 0;

	while (next_piece(&rest, &v))
		n++;
	return n;
}

void span_zero(const struct span *s)
{
	struct span rest = *s;
	struct iovec v;

	while (next_piece(&rest, &v))
		memset(v.iov_base, 0, v.iov_len);
}

void span_put(const struct span *s, const void *buf)
{
	struct span rest = *s;
	const u8 *p = buf;
	struct iovec v;

	for (; next_piece(&rest, &v); p += v.iov_len)
		memcpy(v.iov_base, p, v.iov_len);
}

void span_get(const struct span *s, void *buf)
{
	struct span rest = *s;
	struct iovec v;
	u8 *p = buf;

	for (; next_piece(&rest, &v); p += v.iov_len)
		memcpy(p, v.iov_base, v.iov_len);
}

bool span_aligned(const struct span *s, size_t align)
{
	struct span rest = *s;
	struct iovec v;

	while (next_piece(&rest, &v))
		if (((uintptr_t)v.iov_base | v.iov_len) & (align - 1))
			return false;
	return true;
}
