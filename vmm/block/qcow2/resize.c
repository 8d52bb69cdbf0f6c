/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing the size of the disk. What the disk gains reads as zeros, also where a
 * backing file is longer; what it loses is discarded first. The size in the
 * header is written when everything else is in the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "qcow2.h"

/* Writes a copy of the L1 table, n clusters with zeros behind it, and makes the header name it. */
static int write_l1_copy(struct qcow2 *q, u64 cluster, u64 n, u32 size)
{
	struct {
		u32 size;
		u64 offset;
	} __attribute__((packed)) h = { htobe32(size), htobe64(cluster << q->cluster_bits) };
	u64 *out = calloc(n << q->cluster_bits >> 3, sizeof(*out)), i;
	int err;

	if (!out)
		return -ENOMEM;
	for (i = 0; i < q->l1_size; i++)
		out[i] = htobe64(q->l1[i]);
	err = file_write(q->node.file, cluster << q->cluster_bits, out, n << q->cluster_bits);
	free(out);
	if (!err)
		err = file_sync(q->node.file);
	if (err)
		return err;
	err = file_write(q->node.file, QCOW2_AT_L1, &h, sizeof(h));
	if (!err)
		err = file_sync(q->node.file);
	/* nobody knows then which table the file has */
	if (err && err != -ENOSPC)
		qcow2_corrupt(q, "its header could not be written");
	return err;
}

static void use_l1(struct qcow2 *q, u64 cluster, u64 n, u32 size)
{
	u64 old = q->l1_offset >> q->cluster_bits, old_n = clusters_of(q, (u64)q->l1_size * 8), i;

	for (i = 0; i < old_n; i++)
		set_remove(&q->tables, old + i);
	for (i = 0; i < n; i++)
		set_add(&q->tables, cluster + i);
	if (old_n)
		qcow2_free_later(q, old, old_n);
	q->l1_size = size;
	q->l1_offset = cluster << q->cluster_bits;
}

/* Moves the L1 table to where there is room for `size` entries. Under meta. */
static int move_l1(struct qcow2 *q, u32 size)
{
	u64 n = clusters_of(q, (u64)size * 8), cluster, got, *l1;
	u8 *dirty = calloc((u64)size * 8 / QCOW2_L1_PART + 2, 1);
	bool fresh;
	int err;

	l1 = realloc(q->l1, ((u64)size + 1) * sizeof(*l1));
	if (!l1 || !dirty) {
		q->l1 = l1 ? l1 : q->l1;
		free(dirty);
		return -ENOMEM;
	}
	q->l1 = l1;
	memset(l1 + q->l1_size, 0, (size - q->l1_size) * sizeof(*l1));
	err = qcow2_alloc(q, n, n, &cluster, &got, &fresh);
	if (!err) {
		err = qcow2_write_back(q);	/* the counts are there, and what the table names */
		if (!err)
			err = write_l1_copy(q, cluster, n, size);
		if (err)
			qcow2_unalloc(q, cluster, n);
	}
	if (err) {
		free(dirty);
		return err;
	}
	free(q->l1_dirty);
	q->l1_dirty = dirty;
	use_l1(q, cluster, n, size);
	return 0;
}

static int set_size(struct qcow2 *q, u64 size)
{
	int err = qcow2_flush(&q->node);

	if (!err)
		err = qcow2_set_field(q, QCOW2_AT_SIZE, size);
	if (!err)
		q->node.size = align_down(size, BLOCK_SECTOR);
	return err;
}

static int grow(struct qcow2 *q, u64 size)
{
	u64 old = q->node.size, entries = l1_bytes_for(q, size) / 8;
	int err = 0;

	if (entries > QCOW2_L1_MAX / 8)
		return -EFBIG;
	if (entries > q->l1_size) {
		pthread_mutex_lock(&q->meta);
		err = move_l1(q, (u32)entries);
		pthread_mutex_unlock(&q->meta);
	}
	if (err)
		return err;
	/*
	 * Past the old end there may be anything: in its last cluster, in the backing
	 * file, and where a shrinking was interrupted or could not discard (version 2).
	 */
	q->node.size = align_down(size, BLOCK_SECTOR);
	if (q->node.size > old)
		err = qcow2_zero(&q->node, old, q->node.size - old, true);
	if (!err)
		err = set_size(q, size);
	if (err)
		q->node.size = old;
	return err;
}

static int shrink(struct qcow2 *q, u64 size)
{
	u64 old = q->node.size, end = align_up(size, q->cluster_size);
	int err = set_size(q, size);

	if (err)
		return err;
	/* only now: an interruption must not have cost data of a disk of the old size */
	q->node.size = old;
	if (end < old)
		err = qcow2_discard(&q->node, end, old - end);
	q->node.size = align_down(size, BLOCK_SECTOR);
	return err ? err : qcow2_flush(&q->node);
}

int qcow2_resize(struct qcow2 *q, u64 size)
{
	if (size > (u64)INT64_MAX - 2 * MIB)
		return -EFBIG;
	if (size == q->node.size)
		return 0;
	return size > q->node.size ? grow(q, size) : shrink(q, size);
}
