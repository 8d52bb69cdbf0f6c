/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check's second part: the counts and the "copied" bits beside what refers
 * to the clusters, and their repair. Counts are raised before any is lowered, so
 * that an interrupted repair leaves no image worse than it was.
 */
#include <errno.h>

#include "check.h"

/* Makes the block that counts a cluster, at the end of the file. */
static int make_block(struct check *k, u64 cluster)
{
	struct qcow2 *q = k->q;
	u64 end = q->fresh, i = cluster >> q->block_bits, offset;
	struct table *t;
	int err = 0;

	/* where it will lie must be counted itself */
	if (end >> q->block_bits >= q->reftable_size)
		err = qcow2_grow_reftable(q, end);
	else if (!q->reftable[end >> q->block_bits])
		err = qcow2_new_block(q, end);
	if (err || (i < q->reftable_size && q->reftable[i]))
		return err;
	end = q->fresh;
	if (end >> q->block_bits >= q->reftable_size || !q->reftable[end >> q->block_bits])
		return make_block(k, cluster);
	offset = end << q->cluster_bits;
	err = cache_new(&q->blocks, offset, &t);
	if (!err)
		err = cache_write(&q->blocks, t);
	q->fresh = end + 1;
	if (!err)
		err = qcow2_set_refcount(q, end, 1);
	if (!err)
		err = qcow2_write_back(q);
	if (!err)
		err = file_sync(q->node.file);
	if (err)
		return err;
	q->reftable[i] = offset;
	offset = htobe64(offset);
	err = file_write(q->node.file, q->reftable_offset + i * 8, &offset, sizeof(offset));
	return set_add(&q->tables, end) < 0 ? -ENOMEM : err;
}

static int mend(struct check *k, u64 cluster, u64 count)
{
	struct qcow2 *q = k->q;
	u64 i = cluster >> q->block_bits;
	int err = 0;

	if (count > q->refcount_max)
		return -ERANGE;
	if (count && (i >= q->reftable_size || !q->reftable[i]))
		err = make_block(k, cluster);
	return err ? err : qcow2_set_refcount(q, cluster, count);
}

static int compare(struct check *k, u64 cluster, bool lower)
{
	struct qcow2 *q = k->q;
	u64 count, refs = k->refs[cluster];
	bool leak, fix;
	int err = qcow2_get_refcount(q, cluster, &count);

	if (err || count == refs || (count > refs) != lower)
		return err;
	leak = count > refs;
	check_report(k, leak, "cluster 0x%llx (offset 0x%llx) is referred to %llu times and "
		     "counted %llu times", (unsigned long long)cluster,
		     (unsigned long long)cluster << q->cluster_bits, (unsigned long long)refs,
		     (unsigned long long)count);
	/* what is not understood may be why nothing refers to it */
	fix = leak ? k->repair != REPAIR_NONE && !k->wrong : k->repair == REPAIR_ALL;
	if (!fix)
		return 0;
	err = mend(k, cluster, refs);
	if (err == -ERANGE) {
		k->wrong = true;
		return 0;
	}
	if (!err && leak)
		k->c->fixed_leaks++;
	else if (!err)
		k->c->fixed_errors++;
	return err;
}

/* Counts of clusters that the file does not have. */
static int past_end(struct check *k, u64 clusters)
{
	struct qcow2 *q = k->q;
	u64 c, end = q->reftable_size << q->block_bits, count;
	int err = 0;

	for (c = clusters; c < end && !err; c++) {
		if (!q->reftable[c >> q->block_bits]) {
			c |= (1ULL << q->block_bits) - 1;
			continue;
		}
		if (c >= q->fresh) {
			err = qcow2_get_refcount(q, c, &count);
			if (!err && count)
				check_report(k, true, "cluster 0x%llx is counted, and past the "
					     "end of the file", (unsigned long long)c);
			if (!err && count && k->repair != REPAIR_NONE && !k->wrong) {
				err = mend(k, c, 0);
				k->c->fixed_leaks += !err;
			}
		}
	}
	return err;
}

int check_counts(struct check *k)
{
	u64 i;
	int err = 0;

	for (i = 0; i < k->clusters && !err; i++)
		err = compare(k, i, false);
	if (!err && k->repair != REPAIR_NONE)
		err = qcow2_flush(&k->q->node);
	for (i = 0; i < k->clusters && !err; i++) {
		err = compare(k, i, true);
		if (!(i & ((1ULL << k->q->block_bits) - 1)))
			check_step(k);
	}
	return err ? err : past_end(k, k->clusters);
}

/* --- the "copied" bits --------------------------------------------------------------- */

/* Whether an entry's bit is as it should be; its cluster may be impossible. */
static int bit_right(struct check *k, u64 entry, bool *right)
{
	u64 cluster = (entry & QCOW2_OFFSET) >> k->q->cluster_bits, count;
	int err = 0;

	*right = true;
	if (!cluster || cluster >= k->clusters)
		return 0;
	err = qcow2_get_refcount(k->q, cluster, &count);
	*right = (count == 1) == !!(entry & QCOW2_COPIED);
	return err;
}

static int check_entry(struct check *k, struct table *t, u64 i, u64 guest)
{
	u64 entry = table_get(t->data, i);
	enum qcow2_kind kind = qcow2_kind(k->q, entry);
	bool right;
	int err;

	if (kind != QCOW2_KIND_DATA && kind != QCOW2_KIND_ZERO)
		return 0;
	err = bit_right(k, entry, &right);
	if (err || right)
		return err;
	check_report(k, false, "offset 0x%llx: the \"copied\" bit of its L2 entry is wrong",
		     (unsigned long long)guest);
	if (k->repair == REPAIR_ALL) {
		qcow2_set_entry(k->q, t, i, entry ^ QCOW2_COPIED);
		k->c->fixed_errors++;
	}
	return 0;
}

static int check_table(struct check *k, u32 l1)
{
	struct qcow2 *q = k->q;
	u64 offset = q->l1[l1] & ~QCOW2_COPIED, i;
	struct table *t;
	bool right;
	int err;

	if (!offset || !qcow2_table_exists(q, offset))
		return 0;
	err = bit_right(k, q->l1[l1], &right);
	if (!err && !right) {
		check_report(k, false, "the \"copied\" bit of L1 entry %u is wrong", l1);
		if (k->repair == REPAIR_ALL) {
			q->l1[l1] ^= QCOW2_COPIED;
			q->l1_dirty[(u64)l1 * 8 / QCOW2_L1_PART] = 1;
			qcow2_dirty(q);
			k->c->fixed_errors++;
		}
	}
	if (!err)
		err = cache_get(&q->l2, offset, &t);
	for (i = 0; i < 1ULL << q->l2_bits && !err; i++)
		err = check_entry(k, t, i, ((u64)l1 << (q->l2_bits + q->cluster_bits)) +
				  (i << q->cluster_bits));
	return err;
}

int check_copied(struct check *k)
{
	u32 i;
	int err = 0;

	for (i = 0; i < k->q->l1_size && !err; i++) {
		err = check_table(k, i);
		check_step(k);
	}
	return err;
}
