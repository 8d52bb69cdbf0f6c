/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An empty qcow2 image, version 3: header, refcount table, refcount blocks and
 * L1 table, in this order. The header is written last, so that what is not
 * complete is no image.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "qcow2.h"

#define DEFAULT_CLUSTER (64 * KIB)
#define DEFAULT_REFCOUNT_BITS 16

struct layout {
	unsigned int cluster_bits, refcount_order, block_bits;
	u64 table, blocks, l1;		/* clusters of each */
	u64 l1_entries, total;		/* total: clusters of all, with the header */
};

static unsigned int log2_of(u64 n)
{
	return 63 - (unsigned int)__builtin_clzll(n);
}

static u64 up(u64 n, unsigned int bits)
{
	return (n >> bits) + !!(n & ((1ULL << bits) - 1));
}

static int check_spec(const struct file *f, const struct image_spec *s, struct layout *l)
{
	u64 cluster = s->cluster_size ? s->cluster_size : DEFAULT_CLUSTER;
	unsigned int bits = s->refcount_bits ? s->refcount_bits : DEFAULT_REFCOUNT_BITS;

	if (cluster & (cluster - 1) || cluster < 1ULL << QCOW2_CLUSTER_BITS_MIN ||
	    cluster > 1ULL << QCOW2_CLUSTER_BITS_MAX)
		return error("%s: the cluster size must be a power of 2 from 512 to 2M", f->path);
	if (bits & (bits - 1) || bits > 64)
		return error("%s: the width of reference counts must be a power of 2 up to 64",
			     f->path);
	if (s->backing && strlen(s->backing) > QCOW2_NAME_MAX)
		return error("%s: the backing file's name is too long", f->path);
	l->cluster_bits = log2_of(cluster);
	l->refcount_order = log2_of(bits);
	l->block_bits = l->cluster_bits + 3 - l->refcount_order;
	return 0;
}

static int plan(const struct file *f, const struct image_spec *s, struct layout *l)
{
	u64 before;

	if (check_spec(f, s, l) < 0)
		return -1;
	if (s->size > (u64)INT64_MAX - 2 * MIB)
		return error("%s: the disk is impossibly large", f->path);
	l->l1_entries = up(up(s->size, l->cluster_bits), l->cluster_bits - 3);
	if (l->l1_entries > QCOW2_L1_MAX / 8)
		return error("%s: the disk is too large for clusters of %llu bytes", f->path,
			     1ULL << l->cluster_bits);
	if (!l->l1_entries)
		l->l1_entries = 1;
	l->l1 = up(l->l1_entries * 8, l->cluster_bits);
	l->total = 1;
	do {
		before = l->total;
		l->blocks = up(before, l->block_bits);
		l->table = up(l->blocks * 8, l->cluster_bits);
		l->total = 1 + l->table + l->blocks + l->l1;
	} while (l->total != before);
	return 0;
}

/* --- writing ------------------------------------------------------------------------- */

static int write_counts(struct file *f, const struct layout *l)
{
	struct qcow2 q = { .refcount_order = l->refcount_order };
	u64 cluster = 1ULL << l->cluster_bits, per = 1ULL << l->block_bits, b, c;
	u8 *block = malloc(cluster);
	int err = 0;

	if (!block)
		return -ENOMEM;
	for (b = 0; b < l->blocks && !err; b++) {
		u64 at = (1 + l->table + b) << l->cluster_bits, entry = htobe64(at);

		memset(block, 0, cluster);
		for (c = 0; c < per && b * per + c < l->total; c++)
			qcow2_count_set(&q, block, c, 1);
		err = file_write(f, at, block, cluster);
		if (!err)
			err = file_write(f, cluster + b * 8, &entry, sizeof(entry));
	}
	free(block);
	return err;
}

static u8 *put(u8 *p, u64 v, unsigned int bytes)
{
	unsigned int i, shift = bytes * 8;

	for (i = 0; i < bytes; i++) {
		shift -= 8;
		p[i] = shift < 64 ? (u8)(v >> shift) : 0;
	}
	return p + bytes;
}

static u8 *put_extension(u8 *p, u32 type, const char *text)
{
	size_t len = strlen(text);

	p = put(p, type, 4);
	p = put(p, len, 4);
	memcpy(p, text, len);
	return p + align_up(len, 8);
}

static int write_header(struct file *f, const struct image_spec *s, const struct layout *l)
{
	u64 cluster = 1ULL << l->cluster_bits;
	size_t room = 512 + QCOW2_NAME_MAX, name_len = s->backing ? strlen(s->backing) : 0;
	u8 *h = calloc(1, room > cluster ? room : cluster), *p = h;
	int err;

	if (!h)
		return -ENOMEM;
	p = put(p, QCOW2_MAGIC, 4);
	p = put(p, 3, 4);
	p += 12;				/* the backing file's name: below */
	p = put(p, l->cluster_bits, 4);
	p = put(p, s->size, 8);
	p = put(p, 0, 4);			/* not encrypted */
	p = put(p, l->l1_entries, 4);
	p = put(p, (1 + l->table + l->blocks) << l->cluster_bits, 8);
	p = put(p, cluster, 8);
	p = put(p, l->table, 4);
	p += 12;				/* snapshots */
	p += 24;				/* features */
	p = put(p, l->refcount_order, 4);
	p = put(p, QCOW2_HEADER_OURS, 4);
	p = put(p, 0, 8);			/* zlib */
	if (s->backing_format)
		p = put_extension(p, QCOW2_EXT_BACKING_FORMAT, s->backing_format);
	p = put(p, 0, 8);			/* the end of the extensions */
	if (name_len) {
		put(h + 8, (u64)(p - h), 8);
		put(h + 16, name_len, 4);
		memcpy(p, s->backing, name_len);
		p += name_len;
	}
	err = (size_t)(p - h) > cluster ? -ENAMETOOLONG : file_write(f, 0, h, cluster);
	free(h);
	return err;
}

int qcow2_format(struct file *f, const struct image_spec *s)
{
	struct layout l;
	u64 end;
	int err;

	if (plan(f, s, &l) < 0)
		return -1;
	end = l.total << l.cluster_bits;
	/* a device keeps what was there: its tables are written as zeros first */
	err = f->device ? end > f->size ? -ENOSPC : file_zero(f, 0, end, false) :
		file_resize(f, 0);
	if (!err)
		err = file_resize(f, end);
	if (!err)
		err = write_counts(f, &l);
	if (!err)
		err = file_sync(f);
	if (!err)
		err = write_header(f, s, &l);
	if (!err)
		err = file_sync(f);
	if (err == -ENAMETOOLONG)
		return error("%s: the backing file's name does not fit into a cluster", f->path);
	return err ? error("%s: cannot be written: %s", f->path, strerror(-err)) : 0;
}
