/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transfers with O_DIRECT whose place, length or memory the host would refuse
 * (open(2)): they go through an aligned buffer, and blocks that are written in
 * part are read first. Nobody else changes the rest of such a block meanwhile:
 * the lock keeps out other transfers of this kind, and one that covers the
 * whole block cannot be under way at the same time, as its bytes are ours.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#define WINDOW (1 * MIB)

/* Reads an aligned window; what lies past the end is zeros. */
static int read_window(struct file *f, u64 off, u8 *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		struct iovec v;
		struct span s = span_mem(&v, buf + at, len - at);
		ssize_t n = file_pread(f, off + at, &s);
		size_t next;

		if (n < 0)
			return (int)n;
		if (!n || off + at + (size_t)n >= file_size(f)) {
			memset(buf + at + n, 0, len - at - (size_t)n);
			return 0;
		}
		next = align_down(at + (size_t)n, f->align);
		if (next == at)
			return -EIO;	/* less than a block, and not at the end */
		at = next;
	}
	return 0;
}

static int write_window(struct file *f, u64 off, const u8 *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		struct iovec v;
		struct span s = span_mem(&v, buf + at, len - at);
		ssize_t n = file_pwrite(f, off + at, &s);

		if (n < 0)
			return (int)n;
		n = (ssize_t)align_down((u64)n, f->align);
		if (!n)
			return -EIO;
		at += (size_t)n;
		file_grown(f, off + at);
	}
	return 0;
}

/* The part of the transfer in the window at start: where and how long it is. */
static size_t in_window(u64 start, size_t room, u64 off, const struct span *s, u64 *from)
{
	u64 end = start + room < off + s->len ? start + room : off + s->len;

	*from = start > off ? start : off;
	return (size_t)(end - *from);
}

int direct_readv(struct file *f, u64 off, const struct span *s)
{
	u64 start = align_down(off, f->align), end = align_up(off + s->len, f->align);
	size_t room = end - start < WINDOW ? (size_t)(end - start) : WINDOW;
	u8 *buf = aligned_alloc(f->align, room);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	for (; start < end && !err; start += room) {
		size_t n, len = end - start < room ? (size_t)(end - start) : room;
		struct span part;
		u64 from;

		n = in_window(start, len, off, s, &from);
		err = read_window(f, start, buf, len);
		part = span_cut(s, (size_t)(from - off), n);
		if (!err)
			span_put(&part, buf + (from - start));
	}
	free(buf);
	return err;
}

/* Fills the first and the last block of a window if the data does not cover them. */
static int read_edges(struct file *f, u64 start, u8 *buf, size_t len, u64 from, size_t n)
{
	size_t last = len - f->align;
	int err = 0;

	if (from > start)
		err = read_window(f, start, buf, f->align);
	if (!err && from + n < start + len && (last || from == start))
		err = read_window(f, start + last, buf + last, f->align);
	return err;
}

int direct_writev(struct file *f, u64 off, const struct span *s)
{
	u64 start = align_down(off, f->align), end = align_up(off + s->len, f->align);
	size_t room = end - start < WINDOW ? (size_t)(end - start) : WINDOW;
	bool edges = start != off || end != off + s->len;
	u8 *buf = aligned_alloc(f->align, room);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	if (edges)
		pthread_mutex_lock(&f->edges);
	for (; start < end && !err; start += room) {
		size_t n, len = end - start < room ? (size_t)(end - start) : room;
		struct span part;
		u64 from;

		n = in_window(start, len, off, s, &from);
		err = read_edges(f, start, buf, len, from, n);
		part = span_cut(s, (size_t)(from - off), n);
		if (err)
			break;
		span_get(&part, buf + (from - start));
		err = write_window(f, start, buf, len);
	}
	if (edges)
		pthread_mutex_unlock(&f->edges);
	free(buf);
	return err;
}
