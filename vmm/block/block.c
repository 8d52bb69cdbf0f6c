/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open images: their options, the temporary overlay of a snapshot, and the
 * blocking functions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "create.h"
#include "image.h"

int block_cache_parse(const char *name, enum block_cache *cache)
{
	static const char *const names[] = {
		[BLOCK_WRITEBACK] = "writeback",
		[BLOCK_NONE] = "none",
		[BLOCK_WRITETHROUGH] = "writethrough",
		[BLOCK_DIRECTSYNC] = "directsync",
		[BLOCK_UNSAFE] = "unsafe",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i])) {
			*cache = (enum block_cache)i;
			return 0;
		}
	return -1;
}

/* --- opening -------------------------------------------------------------------------- */

/* A temporary image over base, which it owns from then on. */
static struct node *open_overlay(struct node *base)
{
	struct open_how how = { .under = base };
	struct image_spec spec = { .format = "qcow2", .size = base->size };
	struct file *f = file_temporary();

	if (f && image_format(f, &spec) < 0) {
		file_close(f);
		f = NULL;
	}
	if (!f) {
		node_close(base);
		return NULL;
	}
	return qcow2_open(f, &how);
}

static struct node *open_node(const char *path, const struct block_options *o)
{
	bool writable = !o->readonly && !o->snapshot;
	struct open_how how = {
		.file = {
			.writable = writable,
			.cache = o->cache,
			.lock = o->shared ? FILE_LOCK_SHARED :
				writable ? FILE_LOCK_WRITE : FILE_LOCK_READ,
		},
		.examine = o->examine,
		.no_backing = o->no_backing,
	};
	struct node *n = node_open(path, o->format, &how);

	return n && o->snapshot ? open_overlay(n) : n;
}

struct block *block_open(const char *path, const struct block_options *o)
{
	struct block *b = calloc(1, sizeof(*b));

	if (!b) {
		error("out of memory");
		return NULL;
	}
	b->node = open_node(path, o);
	if (!b->node) {
		free(b);
		return NULL;
	}
	if (o->readonly)
		b->node->writable = false;
	b->writethrough = o->cache == BLOCK_WRITETHROUGH || o->cache == BLOCK_DIRECTSYNC;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

int block_close(struct block *b)
{
	int err = 0;

	if (!b)
		return 0;
	if (b->node->file->writable)
		err = b->node->ops->flush(b->node);
	node_close(b->node);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return err;
}

void block_get_limits(const struct block *b, struct block_limits *l)
{
	const struct node *n = b->node;

	l->size = n->size;
	l->readonly = !n->writable;
	l->granularity = n->granularity < 4096 ? 4096 : n->granularity;
	l->best = n->file->align > 4096 ? n->file->align : 4096;
	l->format = n->ops->name;
}

/* --- blocking functions ------------------------------------------------------------------ */

static bool within(const struct block *b, u64 offset, u64 len)
{
	return offset <= b->node->size && len <= b->node->size - offset;
}

/* The end of every function that changes the image. */
static int wrote(struct block *b, int err)
{
	return err || !b->writethrough ? err : b->node->ops->flush(b->node);
}

int block_read(struct block *b, u64 offset, void *buf, size_t len)
{
	struct iovec v;
	struct span s = span_mem(&v, buf, len);

	return within(b, offset, len) ? node_read(b->node, offset, &s) : -EINVAL;
}

static int may_change(const struct block *b, u64 offset, u64 len)
{
	if (!b->node->writable)
		return -EROFS;
	return within(b, offset, len) ? 0 : -EINVAL;
}

int block_write(struct block *b, u64 offset, const void *buf, size_t len)
{
	struct iovec v;
	struct span s = span_mem(&v, buf, len);
	int err = may_change(b, offset, len);

	return err || !len ? err : wrote(b, b->node->ops->write(b->node, offset, &s));
}

int block_discard(struct block *b, u64 offset, u64 len)
{
	int err = may_change(b, offset, len);

	return err || !len ? err : wrote(b, b->node->ops->discard(b->node, offset, len));
}

int block_zero(struct block *b, u64 offset, u64 len, bool unmap)
{
	int err = may_change(b, offset, len);

	return err || !len ? err : wrote(b, b->node->ops->zero(b->node, offset, len, unmap));
}

int block_flush(struct block *b)
{
	return b->node->writable ? b->node->ops->flush(b->node) : 0;
}

int block_status(struct block *b, u64 offset, u64 len, u64 *run)
{
	return within(b, offset, len) ? node_status(b->node, offset, len, run) : -EINVAL;
}
