/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reference counts: reading and changing them, finding free clusters, and
 * giving back those that are no longer used. A count may be too high in the file
 * after a crash, never too low: clusters are counted before a table names them,
 * and given back after the tables that named them are in the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

/* --- counts within a block ------------------------------------------------------------ */

u64 qcow2_count_at(const struct qcow2 *q, const u8 *block, u64 i)
{
	unsigned int order = q->refcount_order, bits = 1U << order, shift;
	u64 v = 0;

	if (order < 3) {
		shift = (unsigned int)(i & ((8 >> order) - 1)) << order;
		return block[i >> (3 - order)] >> shift & ((1U << bits) - 1);
	}
	memcpy((u8 *)&v + 8 - bits / 8, block + i * (bits / 8), bits / 8);
	return be64toh(v);
}

void qcow2_count_set(const struct qcow2 *q, u8 *block, u64 i, u64 count)
{
	unsigned int order = q->refcount_order, bits = 1U << order, shift;
	u8 *byte;

	if (order < 3) {
		shift = (unsigned int)(i & ((8 >> order) - 1)) << order;
		byte = &block[i >> (3 - order)];
		*byte = (u8)((*byte & ~(((1U << bits) - 1) << shift)) | count << shift);
		return;
	}
	count = htobe64(count);
	memcpy(block + i * (bits / 8), (u8 *)&count + 8 - bits / 8, bits / 8);
}

/* The block that counts a cluster, or NULL when none does. */
static int get_block(struct qcow2 *q, u64 cluster, struct table **t)
{
	u64 i = cluster >> q->block_bits, offset;

	*t = NULL;
	if (i >= q->reftable_size || !q->reftable[i])
		return 0;
	offset = q->reftable[i];
	if (!qcow2_table_exists(q, offset))
		return qcow2_corrupt(q, "there can be no refcount block at 0x%llx",
				     (unsigned long long)offset);
	return cache_get(&q->blocks, offset, t);
}

static u64 in_block(const struct qcow2 *q, u64 cluster)
{
	return cluster & ((1ULL << q->block_bits) - 1);
}

int qcow2_get_refcount(struct qcow2 *q, u64 cluster, u64 *count)
{
	struct table *t;
	int err = get_block(q, cluster, &t);

	*count = !err && t ? qcow2_count_at(q, t->data, in_block(q, cluster)) : 0;
	return err;
}

int qcow2_set_refcount(struct qcow2 *q, u64 cluster, u64 count)
{
	struct table *t;
	int err = get_block(q, cluster, &t);

	if (!err && !t)
		err = qcow2_corrupt(q, "cluster 0x%llx is not counted",
				    (unsigned long long)cluster);
	if (err)
		return err;
	qcow2_count_set(q, t->data, in_block(q, cluster), count);
	cache_dirty(&q->blocks, t);
	qcow2_dirty(q);
	return 0;
}

/* --- taking -------------------------------------------------------------------------- */

static int check_room(const struct qcow2 *q, u64 cluster)
{
	if (cluster >= QCOW2_OFFSET_END >> q->cluster_bits)
		return -EFBIG;
	if (q->node.file->device && cluster >= q->node.file->size >> q->cluster_bits)
		return -ENOSPC;
	return 0;
}

struct search {
	u64 want, min;
	u64 at, run;		/* the next cluster to look at, and how many before it are free */
	u64 first_free;		/* the first one that was met; UINT64_MAX: none */
};

/* Makes the next cluster of a search be counted, if it is not: 1 when something was made. */
static int cover(struct qcow2 *q, const struct search *s)
{
	u64 i = s->at >> q->block_bits;
	int err;

	if (i < q->reftable_size && q->reftable[i])
		return 0;
	err = i >= q->reftable_size ? qcow2_grow_reftable(q, s->at) : qcow2_new_block(q, s->at);
	return err ? err : 1;
}

/* Looks at the clusters of one block: 1 when the search is over, 0 when it goes on behind it. */
static int search_block(struct qcow2 *q, struct search *s)
{
	u64 end = (s->at | ((1ULL << q->block_bits) - 1)) + 1;
	struct table *t;
	int err = get_block(q, s->at, &t);

	for (; !err && s->at < end && s->run < s->want; s->at++) {
		if (!qcow2_count_at(q, t->data, in_block(q, s->at))) {
			err = check_room(q, s->at);
			if (err)
				return s->run >= s->min ? 1 : err;
			if (s->first_free == UINT64_MAX)
				s->first_free = s->at;
			s->run++;
		} else if (s->run >= s->min) {
			return 1;
		} else {
			s->run = 0;
		}
	}
	return err ? err : s->run == s->want;
}

static int find_free(struct qcow2 *q, struct search *s)
{
	int err;

	for (;;) {
		err = check_room(q, s->at);
		if (err)
			return s->run >= s->min ? 0 : err;
		if (s->run >= s->min && (s->at >> q->block_bits >= q->reftable_size ||
					 !q->reftable[s->at >> q->block_bits]))
			return 0;
		err = cover(q, s);
		if (err < 0)
			return err;
		if (err)
			s->run = 0;	/* what was made took the next clusters */
		else if ((err = search_block(q, s)))
			return err < 0 ? err : 0;
	}
}

static int take(struct qcow2 *q, u64 first, u64 count)
{
	u64 i;
	int err = 0;

	for (i = 0; i < count; i++)
		if (set_has(&q->tables, first + i))
			return qcow2_corrupt(q, "cluster 0x%llx holds a table and counts as free",
					     (unsigned long long)(first + i));
	for (i = 0; i < count && !err; i++)
		err = qcow2_set_refcount(q, first + i, 1);
	if (err)
		qcow2_unalloc(q, first, i - 1);
	return err;
}

int qcow2_alloc(struct qcow2 *q, u64 want, u64 min, u64 *cluster, u64 *got, bool *fresh)
{
	struct search s = { want, min, q->hint, 0, UINT64_MAX };
	int err;

	if (__atomic_load_n(&q->broken, __ATOMIC_ACQUIRE))
		return -EIO;
	err = find_free(q, &s);
	if (err)
		return err;
	*cluster = s.at - s.run;
	*got = s.run;
	err = take(q, *cluster, *got);
	if (err)
		return err;
	*fresh = *cluster >= q->fresh;
	if (q->fresh < *cluster + *got)
		q->fresh = *cluster + *got;
	q->hint = s.first_free == *cluster ? *cluster + *got : s.first_free;
	return 0;
}

void qcow2_unalloc(struct qcow2 *q, u64 cluster, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++)
		if (qcow2_set_refcount(q, cluster + i, 0) < 0)
			return;		/* lost until the image is checked */
	if (count && cluster < q->hint)
		q->hint = cluster;
}

/* --- giving back --------------------------------------------------------------------- */

void qcow2_free_later(struct qcow2 *q, u64 cluster, u64 count)
{
	struct qcow2_free *last = q->nfrees ? &q->frees[q->nfrees - 1] : NULL, *more;

	qcow2_dirty(q);
	if (last && last->first + last->count == cluster) {
		last->count += count;
		return;
	}
	if (!(q->nfrees & (q->nfrees - 1))) {	/* full: its room is a power of 2 */
		more = realloc(q->frees, (q->nfrees ? 2 * q->nfrees : 1) * sizeof(*more));
		if (!more)
			return;		/* lost until the image is checked */
		q->frees = more;
	}
	q->frees[q->nfrees++] = (struct qcow2_free){ cluster, count };
}

void qcow2_free_entry(struct qcow2 *q, u64 entry)
{
	u64 off, len;

	switch (qcow2_kind(q, entry)) {
	case QCOW2_KIND_COMPRESSED:
		pthread_mutex_lock(&q->inflate);
		q->inflated_entry = 0;
		pthread_mutex_unlock(&q->inflate);
		qcow2_compressed(q, entry, &off, &len);
		qcow2_free_later(q, off >> q->cluster_bits,
				 clusters_of(q, off + len) - (off >> q->cluster_bits));
		break;
	case QCOW2_KIND_DATA:
	case QCOW2_KIND_ZERO:
		if (entry & QCOW2_OFFSET)
			qcow2_free_later(q, (entry & QCOW2_OFFSET) >> q->cluster_bits, 1);
		break;
	default:
		break;
	}
}

/* Drops one reference; *free tells whether it was the last one. */
static int drop(struct qcow2 *q, u64 cluster, bool *free)
{
	u64 count;
	int err = qcow2_get_refcount(q, cluster, &count);

	if (err)
		return err;
	if (!count || set_has(&q->tables, cluster))
		return qcow2_corrupt(q, "cluster 0x%llx is given back and %s",
				     (unsigned long long)cluster,
				     count ? "holds a table" : "counts as free");
	*free = count == 1;
	if (*free && cluster < q->hint)
		q->hint = cluster;
	return qcow2_set_refcount(q, cluster, count - 1);
}

static void punch(struct qcow2 *q, u64 first, u64 count)
{
	if (count)	/* it is a favour to the host: nothing depends on it */
		file_punch(q->node.file, first << q->cluster_bits, count << q->cluster_bits);
}

static int drop_range(struct qcow2 *q, struct qcow2_free *f)
{
	u64 first = f->first, n = 0;
	bool free = false;
	int err = 0;

	while (f->count && !err) {
		err = drop(q, f->first, &free);
		if (err)
			break;
		if (free) {
			cache_drop(&q->l2, f->first << q->cluster_bits);
			n++;
		} else {
			punch(q, first, n);
			n = 0;
			first = f->first + 1;
		}
		f->first++;
		f->count--;
	}
	punch(q, first, n);
	return err;
}

int qcow2_free_now(struct qcow2 *q)
{
	int err = 0;

	while (q->nfrees && !err) {
		err = drop_range(q, &q->frees[q->nfrees - 1]);
		if (!err)
			q->nfrees--;
	}
	return err;
}
