/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counting more clusters: new refcount blocks, and a larger refcount table. A
 * block lies in a cluster that it counts itself; nothing points to it before its
 * content is on the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

static int write_entry(struct qcow2 *q, u64 i, u64 offset)
{
	u64 v = htobe64(offset);

	return file_write(q->node.file, q->reftable_offset + i * 8, &v, sizeof(v));
}

static int note_tables(struct qcow2 *q, u64 first, u64 count)
{
	u64 i;
	int err = 0;

	pthread_mutex_lock(&q->lock);
	for (i = 0; i < count && err >= 0; i++)
		err = set_add(&q->tables, first + i);
	pthread_mutex_unlock(&q->lock);
	return err < 0 ? err : 0;
}

static void forget_tables(struct qcow2 *q, u64 first, u64 count)
{
	u64 i;

	pthread_mutex_lock(&q->lock);
	for (i = 0; i < count; i++)
		set_remove(&q->tables, first + i);
	pthread_mutex_unlock(&q->lock);
}

/* Whether the clusters, which no block counts, are really free. */
static int check_free(struct qcow2 *q, u64 first, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++)
		if (set_has(&q->tables, first + i))
			return qcow2_corrupt(q, "cluster 0x%llx holds a table and is not counted",
					     (unsigned long long)(first + i));
	return 0;
}

static void note_used(struct qcow2 *q, u64 end)
{
	if (q->fresh < end)
		q->fresh = end;
}

int qcow2_new_block(struct qcow2 *q, u64 cluster)
{
	u64 i = cluster >> q->block_bits, offset = cluster << q->cluster_bits;
	struct table *t;
	int err = check_free(q, cluster, 1);

	if (!err)
		err = cache_new(&q->blocks, offset, &t);
	if (err)
		return err;
	note_used(q, cluster + 1);
	qcow2_count_set(q, t->data, cluster & ((1ULL << q->block_bits) - 1), 1);
	err = cache_write(&q->blocks, t);
	if (!err)
		err = file_sync(q->node.file);
	if (!err)
		err = write_entry(q, i, offset);
	if (!err)
		err = note_tables(q, cluster, 1);
	if (err) {
		/* should the entry be in the file: nothing is counted there yet, and the
		 * next try writes it again */
		cache_drop(&q->blocks, offset);
		return err;
	}
	q->reftable[i] = offset;
	q->unsynced = true;
	return 0;
}

/* --- a larger table --------------------------------------------------------------------- */

/* The area of a new table: the blocks that count it, then the table. */
struct area {
	u64 first, end;			/* clusters */
	u64 first_block, blocks;	/* index in the table, and how many */
	u64 entries, clusters;		/* of the table */
};

static int plan(const struct qcow2 *q, u64 cluster, struct area *a)
{
	u64 entries = q->reftable_size + q->reftable_size / 2, before;

	*a = (struct area){ .first = cluster, .first_block = cluster >> q->block_bits };
	a->end = cluster + 1;
	do {
		before = a->end;
		a->blocks = ((a->end - 1) >> q->block_bits) - a->first_block + 1;
		if (entries < a->first_block + a->blocks)
			entries = a->first_block + a->blocks;
		a->clusters = clusters_of(q, entries * 8);
		a->end = a->first + a->blocks + a->clusters;
	} while (a->end != before);
	a->entries = a->clusters << q->cluster_bits >> 3;
	if (a->clusters << q->cluster_bits > QCOW2_REFTABLE_MAX)
		return -EFBIG;
	if (q->node.file->device && a->end > q->node.file->size >> q->cluster_bits)
		return -ENOSPC;
	return 0;
}

static int write_blocks(struct qcow2 *q, const struct area *a)
{
	u8 *block = malloc(q->cluster_size);
	u64 b, c, per = 1ULL << q->block_bits;
	int err = 0;

	if (!block)
		return -ENOMEM;
	for (b = 0; b < a->blocks && !err; b++) {
		u64 base = (a->first_block + b) << q->block_bits;

		memset(block, 0, q->cluster_size);
		for (c = base < a->first ? a->first : base; c < a->end && c < base + per; c++)
			qcow2_count_set(q, block, c - base, 1);
		cache_drop(&q->blocks, (a->first + b) << q->cluster_bits);
		err = file_write(q->node.file, (a->first + b) << q->cluster_bits, block,
				 q->cluster_size);
	}
	free(block);
	return err;
}

/* The new table as it will be, in the host's byte order; NULL without memory. */
static u64 *make_table(const struct qcow2 *q, const struct area *a)
{
	u64 *t = calloc(a->entries, sizeof(*t)), b;

	if (!t)
		return NULL;
	memcpy(t, q->reftable, q->reftable_size * sizeof(*t));
	for (b = 0; b < a->blocks; b++)
		t[a->first_block + b] = (a->first + b) << q->cluster_bits;
	return t;
}

static int write_table(struct qcow2 *q, const struct area *a, const u64 *table)
{
	u64 *t = calloc(a->entries, sizeof(*t)), i;
	int err;

	if (!t)
		return -ENOMEM;
	for (i = 0; i < a->entries; i++)
		t[i] = htobe64(table[i]);
	err = file_write(q->node.file, (a->first + a->blocks) << q->cluster_bits, t,
			 a->entries * sizeof(*t));
	free(t);
	return err ? err : file_sync(q->node.file);
}

/* Makes the header name the new table. */
static int write_header(struct qcow2 *q, u64 offset, u64 clusters)
{
	struct {
		u64 offset;
		u32 clusters;
	} __attribute__((packed)) h = { htobe64(offset), htobe32((u32)clusters) };
	int err = file_write(q->node.file, QCOW2_AT_REFTABLE, &h, sizeof(h));

	if (!err)
		err = file_sync(q->node.file);
	/* nobody knows then which table the file has, and they will differ */
	if (err && err != -ENOSPC)
		qcow2_corrupt(q, "its header could not be written");
	return err;
}

int qcow2_grow_reftable(struct qcow2 *q, u64 cluster)
{
	struct area a;
	u64 *table = NULL, old = q->reftable_offset, old_clusters = q->reftable_clusters;
	int err = plan(q, cluster, &a);

	if (!err)
		err = check_free(q, a.first, a.end - a.first);
	if (err)
		return err;
	table = make_table(q, &a);
	if (!table)
		return -ENOMEM;
	note_used(q, a.end);
	err = write_blocks(q, &a);
	if (!err)
		err = write_table(q, &a, table);
	if (!err)
		err = note_tables(q, a.first, a.end - a.first);
	if (!err)
		err = write_header(q, (a.first + a.blocks) << q->cluster_bits, a.clusters);
	if (err) {
		forget_tables(q, a.first, a.end - a.first);
		free(table);
		return err;
	}
	forget_tables(q, old >> q->cluster_bits, old_clusters);
	free(q->reftable);
	q->reftable = table;
	q->reftable_size = a.entries;
	q->reftable_offset = (a.first + a.blocks) << q->cluster_bits;
	q->reftable_clusters = (u32)a.clusters;
	qcow2_free_later(q, old >> q->cluster_bits, old_clusters);
	return 0;
}
