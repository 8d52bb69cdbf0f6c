/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check's first part: everything that refers to clusters. That is the
 * header, the refcount table and its blocks, the L1 tables of the disk and of
 * the snapshots with their L2 tables and data, and the dirty bitmaps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static u32 be32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

static void refer_entry(struct check *k, u64 entry, u64 guest, bool active)
{
	struct qcow2 *q = k->q;
	u64 off, len;

	switch (qcow2_kind(q, entry)) {
	case QCOW2_KIND_COMPRESSED:
		qcow2_compressed(q, entry, &off, &len);
		check_refer(k, off, len, "compressed data");
		k->c->compressed += active;
		k->c->allocated += active;
		break;
	case QCOW2_KIND_DATA:
		k->c->allocated += active;
		/* fall through */
	case QCOW2_KIND_ZERO:
		if (entry & QCOW2_OFFSET)
			check_refer(k, entry & QCOW2_OFFSET, q->cluster_size, "data");
		break;
	case QCOW2_KIND_BAD:
		check_report(k, false, "the L2 entry of offset 0x%llx is 0x%llx",
			     (unsigned long long)guest, (unsigned long long)entry);
		k->wrong = true;
		break;
	case QCOW2_KIND_NONE:
		break;
	}
}

/* An entry of an L1 table: the L2 table and what that refers to. */
static int walk_l2(struct check *k, u64 l1_entry, u64 guest, bool active)
{
	struct qcow2 *q = k->q;
	u64 offset = l1_entry & ~QCOW2_COPIED, i;
	int err;

	if (!offset)
		return 0;
	if (offset & (q->cluster_size - 1) || offset >= QCOW2_OFFSET_END) {
		check_report(k, false, "there can be no L2 table at 0x%llx",
			     (unsigned long long)offset);
		k->wrong = true;
		return 0;
	}
	check_refer(k, offset, q->cluster_size, "L2 table");
	if (offset >> q->cluster_bits >= k->clusters)
		return 0;
	err = file_read(q->node.file, offset, k->table, q->cluster_size);
	for (i = 0; i < 1ULL << q->l2_bits && !err; i++)
		refer_entry(k, table_get(k->table, i), guest + (i << q->cluster_bits), active);
	return err;
}

static int walk_active(struct check *k)
{
	struct qcow2 *q = k->q;
	u32 i;
	int err = 0;

	if (q->l1_size)
		check_refer(k, q->l1_offset, (u64)q->l1_size * 8, "L1 table");
	for (i = 0; i < q->l1_size && !err; i++) {
		err = walk_l2(k, q->l1[i], (u64)i << (q->l2_bits + q->cluster_bits), true);
		check_step(k);
	}
	return err;
}

static int walk_snapshot(struct check *k, const struct qcow2_snapshot *s)
{
	struct qcow2 *q = k->q;
	u64 n = s->l1_size, i;
	u64 *l1;
	int err;

	if (!n)
		return 0;
	check_refer(k, s->l1_offset, n * 8, "a snapshot's L1 table");
	if (s->l1_offset & (q->cluster_size - 1)) {
		check_report(k, false, "there can be no L1 table at 0x%llx",
			     (unsigned long long)s->l1_offset);
		k->wrong = true;
		return 0;
	}
	l1 = calloc(n, sizeof(*l1));
	err = l1 ? file_read(q->node.file, s->l1_offset, l1, n * 8) : -ENOMEM;
	for (i = 0; i < n && !err; i++) {
		err = walk_l2(k, be64toh(l1[i]), i << (q->l2_bits + q->cluster_bits), false);
		check_step(k);
	}
	free(l1);
	return err;
}

static int walk_snapshots(struct check *k)
{
	struct qcow2 *q = k->q;
	u32 i;
	int err = 0;

	if (q->nsnapshots)
		check_refer(k, q->snapshots_offset, q->snapshots_len, "snapshot table");
	for (i = 0; i < q->nsnapshots && !err; i++)
		err = walk_snapshot(k, &q->snapshots[i]);
	return err;
}

static void walk_refcounts(struct check *k)
{
	struct qcow2 *q = k->q;
	u64 i;

	check_refer(k, q->reftable_offset, q->reftable_size * 8, "refcount table");
	for (i = 0; i < q->reftable_size; i++) {
		u64 offset = q->reftable[i];

		if (!offset)
			continue;
		if (!qcow2_table_exists(q, offset)) {
			check_report(k, false, "there can be no refcount block at 0x%llx",
				     (unsigned long long)offset);
			k->wrong = true;
			q->reftable[i] = 0;	/* it counts nothing */
			continue;
		}
		check_refer(k, offset, q->cluster_size, "refcount block");
	}
}

/* --- dirty bitmaps -------------------------------------------------------------------- */

#define BITMAP_ENTRY 24

static int walk_bitmap(struct check *k, u64 offset, u64 entries)
{
	struct qcow2 *q = k->q;
	u64 *t, i;
	int err;

	if (entries > QCOW2_L1_MAX / 8)
		return -EINVAL;
	check_refer(k, offset, entries * 8, "bitmap table");
	t = calloc(entries + 1, sizeof(*t));
	err = t ? file_read(q->node.file, offset, t, entries * 8) : -ENOMEM;
	for (i = 0; i < entries && !err; i++)
		if (be64toh(t[i]) & QCOW2_OFFSET)
			check_refer(k, be64toh(t[i]) & QCOW2_OFFSET, q->cluster_size, "bitmap");
	free(t);
	return err;
}

static int walk_bitmaps(struct check *k)
{
	struct qcow2 *q = k->q;
	u64 at = 0, len = q->bitmaps_size, n;
	u8 *dir;
	int err;

	if (!q->nbitmaps)
		return 0;
	check_refer(k, q->bitmaps_offset, len, "bitmap directory");
	dir = malloc(len + 1);
	err = dir ? file_read(q->node.file, q->bitmaps_offset, dir, len) : -ENOMEM;
	for (n = 0; n < q->nbitmaps && !err; n++) {
		const u8 *e = dir + at;

		if (at >= len || len - at < BITMAP_ENTRY) {
			check_report(k, false, "the bitmap directory is too short");
			k->wrong = true;
			break;
		}
		err = walk_bitmap(k, table_get(e, 0), be32(e + 8));
		at += align_up(BITMAP_ENTRY + (u64)be32(e + 20) + (e[18] << 8 | e[19]), 8);
	}
	free(dir);
	return err;
}

int check_walk(struct check *k)
{
	int err;

	check_refer(k, 0, k->q->cluster_size, "header");
	walk_refcounts(k);
	err = walk_active(k);
	if (!err)
		err = walk_snapshots(k);
	return err ? err : walk_bitmaps(k);
}
