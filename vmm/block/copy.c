/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying the disk of an image into another one, without its zeros. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "create.h"
#include "image.h"

#define CHUNK (2 * MIB)
#define PAGE 4096		/* zeros are looked for in pieces of this size */

static bool is_zero(const u8 *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* The length of the first piece of p that is all zeros or all not, in whole pages. */
static size_t piece(const u8 *p, size_t len, bool *zero)
{
	size_t at = 0, n;

	do {
		n = len - at < PAGE ? len - at : PAGE;
		if (at && is_zero(p + at, n) != *zero)
			break;
		*zero = is_zero(p + at, n);
		at += n;
	} while (at < len);
	return at;
}

static int put_zeros(struct block *to, const struct image_copy *c, u64 off, u64 len)
{
	return c->zeroed ? 0 : block_zero(to, off, len, true);
}

static int put_data(struct block *to, const struct image_copy *c, u64 off, const u8 *p, size_t len)
{
	int err = 0;

	while (len && !err) {
		bool zero = false;
		size_t n = piece(p, len, &zero);

		err = zero ? put_zeros(to, c, off, n) : block_write(to, off, p, n);
		off += n;
		p += n;
		len -= n;
	}
	return err;
}

static int failed(const struct block *b, const char *what, u64 off, int err)
{
	return error("%s: cannot %s at offset %llu: %s", b->node->file->path, what,
		     (unsigned long long)off, strerror(-err));
}

static int copy(struct block *from, struct block *to, const struct image_copy *c, u8 *buf)
{
	u64 off = 0, size = from->node->size, run;
	int status, err;

	while (off < size) {
		status = block_status(from, off, size - off, &run);
		if (status == BLOCK_DATA && run > CHUNK)
			run = CHUNK - off % CHUNK;
		err = status == BLOCK_DATA ? block_read(from, off, buf, run) :
			status < 0 ? status : 0;
		if (err)
			return failed(from, "read", off, err);
		err = status == BLOCK_DATA ? put_data(to, c, off, buf, run) :
			put_zeros(to, c, off, run);
		if (err)
			return failed(to, "write", off, err);
		off += run;
		if (c->progress)
			c->progress(c->arg, off, size);
	}
	err = block_flush(to);
	return err ? failed(to, "flush", size, err) : 0;
}

int image_copy(struct block *from, struct block *to, const struct image_copy *c)
{
	u8 *buf;
	int err;

	if (to->node->size < from->node->size)
		return error("%s is smaller than %s", to->node->file->path,
			     from->node->file->path);
	buf = aligned_alloc(PAGE, CHUNK);
	if (!buf)
		return error("out of memory");
	err = copy(from, to, c, buf);
	free(buf);
	return err;
}
