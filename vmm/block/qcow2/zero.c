/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zeros and discards. Whole clusters become zeros in the L2 table; of what is
 * less, zeros are written, and a discard does nothing. Version 2 has no zero
 * clusters: there a cluster can only be absent, which means zeros when no backing
 * file shows through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

/* The entry of a cluster of zeros that takes the place of old; with unmap it has no cluster. */
static u64 changed(const struct qcow2 *q, u64 old, bool unmap)
{
	u64 none = q->node.backing ? QCOW2_ZERO : 0;

	switch (qcow2_kind(q, old)) {
	case QCOW2_KIND_ZERO:
		return !unmap || !(old & QCOW2_OFFSET) ? old : none;
	case QCOW2_KIND_DATA:
		if (!unmap && q->version >= 3 && old & QCOW2_COPIED)
			return old | QCOW2_ZERO;
		return none;
	default:
		return none;
	}
}

/* Clusters from off to end, which one L2 table describes. */
static int change_table(struct qcow2 *q, u64 off, u64 end, bool unmap)
{
	u64 i = l2_index(q, off), n = (end - off) >> q->cluster_bits, k;
	struct table *t;
	int err;

	/* where neither a table nor a backing file is there are zeros */
	if (!q->l1[l1_index(q, off)] && (!q->node.backing || off >= q->node.backing->size))
		return 0;
	err = qcow2_l2_for_write(q, off, &t);
	for (k = 0; k < n && !err; k++) {
		u64 old = table_get(t->data, i + k), new = changed(q, old, unmap);

		if (new == old)
			continue;
		if (qcow2_kind(q, old) == QCOW2_KIND_BAD)
			return qcow2_corrupt(q, "the L2 entry of offset 0x%llx is 0x%llx",
					     (unsigned long long)(off + (k << q->cluster_bits)),
					     (unsigned long long)old);
		qcow2_set_entry(q, t, i + k, new);
		if (!(new & QCOW2_OFFSET))
			qcow2_free_entry(q, old);
	}
	return err ? err : qcow2_write_back_if_full(q);
}

/* Whole clusters; the last one may reach past the end of the disk. */
static int change_clusters(struct qcow2 *q, u64 off, u64 end, bool unmap)
{
	u64 span = 1ULL << (q->cluster_bits + q->l2_bits);
	int err = 0;

	while (off < end && !err) {
		u64 next = align_down(off, span) + span;

		if (next > end)
			next = end;
		pthread_mutex_lock(&q->meta);
		err = __atomic_load_n(&q->broken, __ATOMIC_ACQUIRE) ? -EIO :
			change_table(q, off, next, unmap);
		pthread_mutex_unlock(&q->meta);
		off = next;
	}
	return err;
}

/* The whole clusters within a range. */
static void whole(const struct qcow2 *q, u64 off, u64 len, u64 *start, u64 *end)
{
	*start = align_up(off, q->cluster_size);
	*end = off + len == q->node.size ? align_up(off + len, q->cluster_size) :
		align_down(off + len, q->cluster_size);
}

int qcow2_discard(struct node *n, u64 off, u64 len)
{
	struct qcow2 *q = qcow2_of(n);
	u64 start, end;

	whole(q, off, len, &start, &end);
	if (start >= end || (q->version < 3 && n->backing))
		return 0;
	return change_clusters(q, start, end, true);
}

/* Writes zeros where there are none. */
static int write_zeros(struct qcow2 *q, u64 off, u64 len)
{
	u8 *zeros = calloc(1, len < q->cluster_size ? len : q->cluster_size);
	int err = zeros ? 0 : -ENOMEM;

	while (len && !err) {
		u64 n;
		struct iovec v;
		struct span s;
		int status = node_status(&q->node, off, len, &n);

		if (status == BLOCK_DATA && n > q->cluster_size)
			n = q->cluster_size;
		s = span_mem(&v, zeros, n);
		err = status == BLOCK_DATA ? qcow2_write(&q->node, off, &s) :
			status < 0 ? status : 0;
		off += n;
		len -= n;
	}
	free(zeros);
	return err;
}

int qcow2_zero(struct node *n, u64 off, u64 len, bool unmap)
{
	struct qcow2 *q = qcow2_of(n);
	u64 start, end;
	int err;

	whole(q, off, len, &start, &end);
	if (start >= end || (q->version < 3 && n->backing))
		return write_zeros(q, off, len);
	err = write_zeros(q, off, start - off);
	if (!err)
		err = change_clusters(q, start, end, unmap);
	if (!err && off + len > end)
		err = write_zeros(q, end, off + len - end);
	return err;
}
