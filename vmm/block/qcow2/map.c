/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From guest offsets to clusters of the file: L1 and L2 tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

enum qcow2_kind qcow2_kind(const struct qcow2 *q, u64 entry)
{
	u64 offset = entry & QCOW2_OFFSET;

	if (entry & QCOW2_COMPRESSED)
		return QCOW2_KIND_COMPRESSED;
	if (offset & (q->cluster_size - 1) || (!offset && entry & QCOW2_COPIED))
		return QCOW2_KIND_BAD;
	if (entry & QCOW2_ZERO)
		return q->version >= 3 ? QCOW2_KIND_ZERO : QCOW2_KIND_BAD;
	return offset ? QCOW2_KIND_DATA : QCOW2_KIND_NONE;
}

void qcow2_compressed(const struct qcow2 *q, u64 entry, u64 *off, u64 *len)
{
	unsigned int bits = 62 - (q->cluster_bits - 8);
	u64 sectors = (entry & ~(QCOW2_COMPRESSED | QCOW2_COPIED)) >> bits;

	*off = entry & ((1ULL << bits) - 1) & (QCOW2_OFFSET_END - 1);
	*len = (sectors + 1) * 512 - (*off & 511);
}

bool qcow2_writable(struct qcow2 *q, u64 host)
{
	return align_down(host, q->cluster_size) < file_size(q->node.file) &&
		!set_has(&q->tables, host >> q->cluster_bits);
}

/* How many bytes from off on, at most len, the entries from i on are of the first one's kind. */
static u64 run_length(struct qcow2 *q, const u8 *l2, u64 i, u64 off, u64 len, bool write)
{
	u64 first = table_get(l2, i), n = q->cluster_size - (off & (q->cluster_size - 1));
	enum qcow2_kind kind = qcow2_kind(q, first);
	u64 host = first & QCOW2_OFFSET;

	while (n < len && ++i < 1ULL << q->l2_bits && kind != QCOW2_KIND_COMPRESSED) {
		u64 next = table_get(l2, i);

		host += q->cluster_size;
		if (qcow2_kind(q, next) != kind || (first ^ next) & QCOW2_COPIED)
			break;
		if (kind == QCOW2_KIND_DATA && (next & QCOW2_OFFSET) != host)
			break;
		if (write && !qcow2_writable(q, host))
			break;
		n += q->cluster_size;
	}
	return n < len ? n : len;
}

/* Bytes from off to the end of what its L2 table describes, at most len. */
static u64 l2_reach(const struct qcow2 *q, u64 off, u64 len)
{
	u64 span = 1ULL << (q->cluster_bits + q->l2_bits);
	u64 n = span - (off & (span - 1));

	return n < len ? n : len;
}

static void fill_run(struct qcow2 *q, const u8 *l2, u64 off, u64 len, struct qcow2_run *r)
{
	u64 i = l2_index(q, off), end;

	r->entry = table_get(l2, i);
	r->kind = qcow2_kind(q, r->entry);
	r->host = (r->entry & QCOW2_OFFSET) + (off & (q->cluster_size - 1));
	r->len = run_length(q, l2, i, off, len, false);
	if (r->kind != QCOW2_KIND_DATA)
		return;
	/* within the last cluster the file may end; what lies behind has been cut off */
	end = align_up(file_size(q->node.file), q->cluster_size);
	if (r->host >= end)
		r->kind = QCOW2_KIND_BAD;
	else if (r->len > end - r->host)
		r->len = end - r->host;
}

bool qcow2_table_exists(const struct qcow2 *q, u64 offset)
{
	u64 end = q->node.file->device ? clusters_of(q, q->node.file->size) : q->fresh;

	return !(offset & (q->cluster_size - 1)) && offset >> q->cluster_bits < end;
}

/* The L2 table's offset, 0 if there is none. */
static int l2_offset(struct qcow2 *q, u64 off, u64 *offset)
{
	u64 i = l1_index(q, off);

	*offset = i < q->l1_size ? q->l1[i] & ~QCOW2_COPIED : 0;
	if (!qcow2_table_exists(q, *offset))
		return qcow2_corrupt(q, "there can be no L2 table at 0x%llx",
				     (unsigned long long)*offset);
	return 0;
}

int qcow2_run(struct qcow2 *q, u64 off, u64 len, struct qcow2_run *r)
{
	struct table *t;
	u64 l2;
	int err = l2_offset(q, off, &l2);

	*r = (struct qcow2_run){ QCOW2_KIND_NONE, 0, 0, l2_reach(q, off, len) };
	if (err || !l2)
		return err;
	err = cache_get(&q->l2, l2, &t);
	if (err)
		return err;
	fill_run(q, t->data, off, len, r);
	if (r->kind != QCOW2_KIND_BAD)
		return 0;
	if (qcow2_kind(q, r->entry) == QCOW2_KIND_DATA)
		return qcow2_corrupt(q, "offset 0x%llx has its data at 0x%llx, past the end of "
				     "the file, where none can be", (unsigned long long)off,
				     (unsigned long long)r->host);
	return qcow2_corrupt(q, "the L2 entry of offset 0x%llx is 0x%llx",
			     (unsigned long long)off, (unsigned long long)r->entry);
}

/* --- the quick way ----------------------------------------------------------------------- */

/* With lock held: false when the table is not there. */
static bool find_run(struct qcow2 *q, u64 off, u64 len, bool write, struct qcow2_run *r)
{
	u64 i = l1_index(q, off), l2 = i < q->l1_size ? q->l1[i] & ~QCOW2_COPIED : 0;
	struct table *t;

	*r = (struct qcow2_run){ QCOW2_KIND_NONE, 0, 0, l2_reach(q, off, len) };
	if (!l2)
		return true;
	if (l2 & (q->cluster_size - 1))
		return false;
	t = cache_find(&q->l2, l2);
	if (!t)
		return false;
	fill_run(q, t->data, off, len, r);
	if (!write)
		return true;
	if (r->kind != QCOW2_KIND_DATA || !(r->entry & QCOW2_COPIED) ||
	    !qcow2_writable(q, r->host))
		return false;
	r->len = run_length(q, t->data, l2_index(q, off), off, len, true);
	return true;
}

void qcow2_map(struct node *n, u64 off, u64 len, bool write, struct extent *e)
{
	struct qcow2 *q = qcow2_of(n);
	struct qcow2_run r;
	bool found;

	*e = (struct extent){ MAP_SLOW, NULL, 0, len };
	if (write && __atomic_load_n(&q->broken, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&q->lock);
	found = find_run(q, off, len, write, &r);
	pthread_mutex_unlock(&q->lock);
	if (!found || r.kind == QCOW2_KIND_COMPRESSED || r.kind == QCOW2_KIND_BAD)
		return;
	if (r.kind == QCOW2_KIND_NONE && write)
		return;
	if (r.kind == QCOW2_KIND_NONE && n->backing)
		node_map_read(n->backing, off, r.len, e);
	else if (r.kind == QCOW2_KIND_DATA)
		*e = (struct extent){ MAP_FILE, n->file, r.host, r.len };
	else
		*e = (struct extent){ MAP_ZERO, NULL, 0, r.len };
}

/* --- changing ------------------------------------------------------------------------ */

static void set_l1(struct qcow2 *q, u64 i, u64 offset)
{
	u64 old = q->l1[i] & QCOW2_OFFSET;

	pthread_mutex_lock(&q->lock);
	if (old)
		set_remove(&q->tables, old >> q->cluster_bits);
	q->l1[i] = offset | QCOW2_COPIED;
	pthread_mutex_unlock(&q->lock);
	q->l1_dirty[i * 8 / QCOW2_L1_PART] = 1;
	qcow2_dirty(q);
}

/* Puts a new L2 table into the cache: zeros, or what the one at old holds. */
static int fill_l2(struct qcow2 *q, u64 offset, u64 old, struct table **t)
{
	u8 *copy = NULL;
	int err = 0;

	if (old) {
		err = cache_get(&q->l2, old, t);
		copy = err ? NULL : malloc(q->cluster_size);
		if (!copy)
			return err ? err : -ENOMEM;
		memcpy(copy, (*t)->data, q->cluster_size);
	}
	err = cache_new(&q->l2, offset, t);
	if (!err && copy)
		memcpy((*t)->data, copy, q->cluster_size);
	free(copy);
	return err;
}

static int new_l2(struct qcow2 *q, u64 i, u64 old, struct table **t)
{
	u64 cluster, got;
	bool fresh;
	int err = qcow2_alloc(q, 1, 1, &cluster, &got, &fresh);

	if (err)
		return err;
	pthread_mutex_lock(&q->lock);
	err = set_add(&q->tables, cluster) < 0 ? -ENOMEM : 0;
	pthread_mutex_unlock(&q->lock);
	if (!err)
		err = fill_l2(q, cluster << q->cluster_bits, old, t);
	if (err) {
		pthread_mutex_lock(&q->lock);
		set_remove(&q->tables, cluster);
		pthread_mutex_unlock(&q->lock);
		qcow2_unalloc(q, cluster, 1);
		return err;
	}
	set_l1(q, i, cluster << q->cluster_bits);
	if (old)
		qcow2_free_later(q, old >> q->cluster_bits, 1);
	return 0;
}

int qcow2_l2_for_write(struct qcow2 *q, u64 off, struct table **t)
{
	u64 i = l1_index(q, off), l2;
	int err = l2_offset(q, off, &l2);

	if (err)
		return err;
	if (l2 && q->l1[i] & QCOW2_COPIED)
		return cache_get(&q->l2, l2, t);
	return new_l2(q, i, l2, t);
}

void qcow2_set_entry(struct qcow2 *q, struct table *t, u64 i, u64 entry)
{
	pthread_mutex_lock(&q->lock);
	table_set(t->data, i, entry);
	pthread_mutex_unlock(&q->lock);
	cache_dirty(&q->l2, t);
	qcow2_dirty(q);
}
