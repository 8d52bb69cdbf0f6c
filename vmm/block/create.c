/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done to images as a whole, by the format that they are in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "create.h"
#include "image.h"
#include "qcow2/qcow2.h"

static bool is_qcow2(const struct node *n)
{
	return n->ops == &qcow2_ops;
}

static int raw_format(struct file *f, const struct image_spec *s)
{
	int err;

	if (s->backing)
		return error("%s: a raw image can have no backing file", f->path);
	err = f->device ? 0 : file_resize(f, 0);
	if (!err)
		err = file_resize(f, align_up(s->size, BLOCK_SECTOR));
	return err ? error("%s: cannot be given %llu bytes: %s", f->path,
			   (unsigned long long)s->size, strerror(-err)) : 0;
}

int image_format(struct file *f, const struct image_spec *spec)
{
	if (!strcmp(spec->format, "raw"))
		return raw_format(f, spec);
	if (!strcmp(spec->format, "qcow2"))
		return qcow2_format(f, spec);
	return error("'%s' is no image format that is known: there are raw and qcow2",
		     spec->format);
}

/* Learns from the backing file what the specification leaves open. */
static int look_at_backing(const char *path, struct image_spec *s)
{
	const struct block_options o = { .format = s->backing_format, .readonly = true };
	char *backing = node_backing_path(path, s->backing);
	struct block *b = backing ? block_open(backing, &o) : NULL;

	free(backing);
	if (!b)
		return error("%s: its backing file '%s' cannot be used", path, s->backing);
	if (!s->size)
		s->size = b->node->size;
	s->backing_format = b->node->ops->name;
	block_close(b);
	return 0;
}

int image_create(const char *path, const struct image_spec *spec)
{
	struct file_options o = {
		.writable = true, .create = true, .exclusive = !spec->force,
		.lock = FILE_LOCK_WRITE,
	};
	bool there = access(path, F_OK) == 0;
	struct image_spec s = *spec;
	struct file *f;
	int err;

	if (there && !s.force)
		return error("%s exists already (--force writes over it)", path);
	if (s.backing && look_at_backing(path, &s) < 0)
		return -1;
	f = file_open(path, &o);
	if (!f)
		return -1;
	err = image_format(f, &s);
	file_close(f);
	if (err && !there)
		unlink(path);
	return err;
}

int image_resize(struct block *b, const char *path, u64 size, bool shrink)
{
	struct node *n = b->node;
	int err;

	if (size % BLOCK_SECTOR)
		return error("%s: the size must be a multiple of %d bytes", path, BLOCK_SECTOR);
	if (size < n->size && !shrink)
		return error("%s: a smaller size cuts off data (--shrink allows it)", path);
	if (is_qcow2(n) && qcow2_of(n)->nsnapshots)
		return error("%s has snapshots: its size cannot be changed", path);
	if (is_qcow2(n))
		err = qcow2_resize(qcow2_of(n), size);
	else
		err = file_resize(n->file, size);
	if (!err)
		n->size = size;
	return err ? error("%s: cannot be made %llu bytes large: %s", path,
			   (unsigned long long)size, strerror(-err)) : 0;
}

static void fill_info(const struct node *n, struct image_info *i)
{
	const struct qcow2 *q = (const struct qcow2 *)n;

	*i = (struct image_info){
		.format = n->ops->name, .size = n->size, .file_size = file_size(n->file),
		.allocated = file_allocated(n->file),
	};
	if (!is_qcow2(n))
		return;
	i->backing = q->backing;
	i->backing_format = q->backing_format;
	i->version = q->version;
	i->refcount_bits = 1U << q->refcount_order;
	i->cluster_size = (u32)q->cluster_size;
	i->zstd = q->compression;
	i->lazy_refcounts = q->compatible & QCOW2_LAZY_REFCOUNTS;
	i->dirty = q->incompatible & QCOW2_DIRTY;
	i->corrupt = q->incompatible & QCOW2_CORRUPT;
	i->snapshots = q->nsnapshots;
}

void image_get_info(const struct block *b, struct image_info *i)
{
	fill_info(b->node, i);
}

const struct image_snapshot *image_get_snapshot(const struct block *b, unsigned int i)
{
	return &qcow2_of(b->node)->snapshots[i].info;
}

bool image_get_backing(const struct block *b, unsigned int depth, struct image_info *i,
		       const char **path)
{
	const struct node *n = b->node->backing;

	while (n && depth--)
		n = n->backing;
	if (!n)
		return false;
	fill_info(n, i);
	*path = n->file->path;
	return true;
}

int image_check(struct block *b, enum image_repair repair, struct image_check *c)
{
	return is_qcow2(b->node) ? qcow2_check(qcow2_of(b->node), repair, c) : -ENOTSUP;
}
