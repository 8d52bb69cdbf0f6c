/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When tables reach the file. Data is written first of all, with the old data
 * around it, before any table names its cluster. Then, each step synced before the
 * next begins:
 *
 *   1. refcount blocks: only counts that rise, or fall as of step 4 of before
 *   2. L2 tables
 *   3. L1 table
 *   4. clusters that the tables no longer name are given back, in memory
 *
 * So at every moment each cluster that the file's tables name is counted there,
 * and an interruption costs at most clusters that are counted and not named. An
 * L2 table that has to leave the cache is written after step 1.
 */
#include <errno.h>
#include <string.h>

#include "qcow2.h"

void qcow2_dirty(struct qcow2 *q)
{
	__atomic_store_n(&q->dirty, true, __ATOMIC_RELEASE);
}

bool qcow2_clean(struct node *n)
{
	return !__atomic_load_n(&qcow2_of(n)->dirty, __ATOMIC_ACQUIRE);
}

static int write_blocks(struct qcow2 *q)
{
	if (!q->blocks.ndirty)
		return 0;
	q->unsynced = true;
	return cache_write_all(&q->blocks);
}

/* All counts and all data of new clusters are on the disk: they may be named. */
static int settle_blocks(struct qcow2 *q)
{
	int err = write_blocks(q);

	if (!err && q->unsynced)
		err = file_sync(q->node.file);
	if (!err)
		q->unsynced = false;
	return err;
}

static int settle_tables(struct qcow2 *q)
{
	int err = q->tables_unsynced ? file_sync(q->node.file) : 0;

	if (!err)
		q->tables_unsynced = false;
	return err;
}

int qcow2_evict_block(void *arg, struct table *t)
{
	struct qcow2 *q = arg;

	q->unsynced = true;
	return cache_write(&q->blocks, t);
}

int qcow2_evict_l2(void *arg, struct table *t)
{
	struct qcow2 *q = arg;
	int err;

	if (__atomic_load_n(&q->broken, __ATOMIC_ACQUIRE))
		return -EIO;
	err = settle_blocks(q);
	if (err)
		return err;
	q->tables_unsynced = true;
	return cache_write(&q->l2, t);
}

static int write_l2(struct qcow2 *q)
{
	int err;

	if (!q->l2.ndirty)
		return 0;
	err = settle_blocks(q);
	if (err)
		return err;
	q->tables_unsynced = true;
	return cache_write_all(&q->l2);
}

static int write_l1_part(struct qcow2 *q, u64 part)
{
	u64 first = part * QCOW2_L1_PART / 8, n = QCOW2_L1_PART / 8, i;
	u64 v[QCOW2_L1_PART / 8];

	if (n > q->l1_size - first)
		n = q->l1_size - first;
	for (i = 0; i < n; i++)
		v[i] = htobe64(q->l1[first + i]);
	return file_write(q->node.file, q->l1_offset + first * 8, v, n * 8);
}

static int write_l1(struct qcow2 *q)
{
	u64 parts = align_up((u64)q->l1_size * 8, QCOW2_L1_PART) / QCOW2_L1_PART;
	u8 *end = q->l1_dirty + parts, *dirty = memchr(q->l1_dirty, 1, parts);
	int err;

	if (!dirty)
		return 0;
	err = settle_blocks(q);
	if (!err)
		err = settle_tables(q);
	while (!err && dirty) {
		q->tables_unsynced = true;
		err = write_l1_part(q, (u64)(dirty - q->l1_dirty));
		if (!err) {
			*dirty = 0;
			dirty = memchr(dirty, 1, (size_t)(end - dirty));
		}
	}
	return err;
}

int qcow2_write_back(struct qcow2 *q)
{
	int err;

	if (__atomic_load_n(&q->broken, __ATOMIC_ACQUIRE))
		return -EIO;
	if (qcow2_clean(&q->node))
		return 0;
	err = write_blocks(q);
	if (!err)
		err = write_l2(q);
	if (!err)
		err = write_l1(q);
	if (!err && q->nfrees) {
		err = settle_tables(q);
		if (!err)
			err = qcow2_free_now(q);
		if (!err)
			err = write_blocks(q);
	}
	if (!err)
		__atomic_store_n(&q->dirty, false, __ATOMIC_RELEASE);
	return err;
}

int qcow2_write_back_if_full(struct qcow2 *q)
{
	return q->nfrees > QCOW2_FREES_MAX ? qcow2_write_back(q) : 0;
}

int qcow2_flush(struct node *n)
{
	struct qcow2 *q = qcow2_of(n);
	int err;

	if (!n->file->writable)
		return 0;
	pthread_mutex_lock(&q->meta);
	err = qcow2_write_back(q);
	pthread_mutex_unlock(&q->meta);
	return err ? err : file_sync(n->file);
}
