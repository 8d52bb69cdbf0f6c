/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing. Clusters that are ours alone are overwritten. For all others new ones
 * are taken, filled (with what the old ones hold around the data), and only then
 * named by the L2 table. The caller keeps other requests off the clusters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

/* New clusters for a part of a write. */
struct fill {
	u64 start, end;		/* guest offsets, whole clusters */
	u64 host;		/* where they are in the file */
	bool taken;		/* allocated for it; else the L2 entry had it already */
	bool fresh;		/* the file holds nothing there */
};

/* How many of the clusters from off to end, in one L2 table, cannot be overwritten. */
static int count_new(struct qcow2 *q, u64 off, u64 end, u64 *count)
{
	u64 start = align_down(off, q->cluster_size), at = start;
	struct qcow2_run r;
	int err = 0;

	while (at < end && l1_index(q, at) == l1_index(q, start)) {
		err = qcow2_run(q, at, end - at, &r);
		if (err || (r.kind == QCOW2_KIND_DATA && r.entry & QCOW2_COPIED))
			break;
		if (at > start && r.kind == QCOW2_KIND_ZERO && r.entry & QCOW2_OFFSET)
			break;
		at += r.len;
	}
	*count = clusters_of(q, at - start);
	return err;
}

/* Finds clusters for as much of the write as goes in one piece. */
static int take(struct qcow2 *q, const struct qcow2_run *r, u64 off, u64 len, struct fill *f)
{
	u64 cluster, n, got;
	struct table *t;
	int err;

	f->start = align_down(off, q->cluster_size);
	if (r->kind == QCOW2_KIND_ZERO && r->entry & QCOW2_COPIED &&
	    qcow2_writable(q, r->entry & QCOW2_OFFSET)) {
		f->host = r->entry & QCOW2_OFFSET;
		f->end = f->start + q->cluster_size;
		f->taken = f->fresh = false;
		return 0;
	}
	err = qcow2_l2_for_write(q, off, &t);	/* first, so that nothing is taken in vain */
	if (!err)
		err = count_new(q, off, off + len, &n);
	if (!err)
		err = qcow2_alloc(q, n, 1, &cluster, &got, &f->fresh);
	if (err)
		return err;
	f->host = cluster << q->cluster_bits;
	f->end = f->start + (got << q->cluster_bits);
	f->taken = true;
	return 0;
}

/* Names the new clusters in the L2 table. */
static int link_clusters(struct qcow2 *q, const struct fill *f)
{
	u64 i = l2_index(q, f->start), n = (f->end - f->start) >> q->cluster_bits, k;
	struct table *t;
	int err = qcow2_l2_for_write(q, f->start, &t);

	q->unsynced = true;	/* the data; with it, perhaps, older data that was flushed */
	for (k = 0; k < n && !err; k++) {
		u64 old = table_get(t->data, i + k);

		qcow2_set_entry(q, t, i + k, (f->host + (k << q->cluster_bits)) | QCOW2_COPIED);
		if (f->taken)
			qcow2_free_entry(q, old);
	}
	return err;
}

static int finish(struct qcow2 *q, const struct fill *f, int err)
{
	pthread_mutex_lock(&q->meta);
	if (!err)
		err = link_clusters(q, f);
	if (err && f->taken)
		qcow2_unalloc(q, f->host >> q->cluster_bits,
			      (f->end - f->start) >> q->cluster_bits);
	if (!err)
		err = qcow2_write_back_if_full(q);
	pthread_mutex_unlock(&q->meta);
	return err;
}

/* --- filling ---------------------------------------------------------------------------- */

/*
 * Whether the guest reads zeros from off to end; a failure says no. A backing file
 * has holes that are smaller than a cluster.
 */
static bool reads_zero(struct qcow2 *q, u64 off, u64 end)
{
	u64 run;

	for (; off < end; off += run)
		if (node_status(&q->node, off, end - off, &run) != BLOCK_ZERO || !run)
			return false;
	return true;
}

/*
 * What the guest reads from off on, to be written beside its data: 0 with *buf
 * NULL when there is nothing to write.
 */
static int old_data(struct qcow2 *q, const struct fill *f, u64 off, u64 len, u8 **buf)
{
	struct iovec v;
	struct span s;
	int err;

	*buf = NULL;
	if (!len || (f->fresh && reads_zero(q, off, off + len)))
		return 0;
	*buf = malloc(len);
	if (!*buf)
		return -ENOMEM;
	s = span_mem(&v, *buf, len);
	err = node_read(&q->node, off, &s);
	if (err) {
		free(*buf);
		*buf = NULL;
	}
	return err;
}

/* Writes the data with what is before and behind it in one transfer. */
static int write_around(struct qcow2 *q, const struct fill *f, u64 off, const struct span *s,
			u8 *head, u8 *tail)
{
	u64 end = off + s->len;
	unsigned int n = span_pieces(s), at = 0;
	struct iovec *v = calloc(n + 2, sizeof(*v));
	struct span all;
	int err;

	if (!v)
		return -ENOMEM;
	if (head)
		v[at++] = (struct iovec){ head, off - f->start };
	at += span_vec(s, v + at, n);
	if (tail)
		v[at++] = (struct iovec){ tail, f->end - end };
	all = span_all(v, at);
	err = file_writev(q->node.file, f->host + (head ? 0 : off - f->start), &all);
	free(v);
	return err;
}

/* s ends within f. */
static int fill(struct qcow2 *q, const struct fill *f, u64 off, const struct span *s)
{
	u64 end = off + s->len;
	u8 *head = NULL, *tail = NULL;
	int err = old_data(q, f, f->start, off - f->start, &head);

	if (!err)
		err = old_data(q, f, end, f->end - end, &tail);
	if (!err)
		err = write_around(q, f, off, s, head, tail);
	free(head);
	free(tail);
	return err;
}

/* Writes some of s: how much. */
static int write_some(struct qcow2 *q, u64 off, const struct span *s, u64 *done)
{
	struct qcow2_run r;
	struct fill f = { 0 };
	struct span part;
	bool in_place;
	int err = __atomic_load_n(&q->broken, __ATOMIC_ACQUIRE) ? -EIO : 0;

	pthread_mutex_lock(&q->meta);
	if (!err)
		err = qcow2_run(q, off, s->len, &r);
	in_place = !err && r.kind == QCOW2_KIND_DATA && r.entry & QCOW2_COPIED;
	if (in_place && r.len > q->cluster_size)
		r.len = q->cluster_size - (off & (q->cluster_size - 1));
	if (in_place && !qcow2_writable(q, r.host))
		err = qcow2_corrupt(q, "offset 0x%llx has its data at 0x%llx, where none can be",
				    (unsigned long long)off, (unsigned long long)r.host);
	if (!err && !in_place)
		err = take(q, &r, off, s->len, &f);
	pthread_mutex_unlock(&q->meta);
	if (err)
		return err;
	*done = in_place ? r.len : f.end - off < s->len ? f.end - off : s->len;
	part = span_cut(s, 0, (size_t)*done);
	if (in_place)
		return file_writev(q->node.file, r.host, &part);
	return finish(q, &f, fill(q, &f, off, &part));
}

int qcow2_write(struct node *n, u64 off, const struct span *s)
{
	struct span rest = *s;
	u64 done;
	int err = 0;

	while (rest.len && !err) {
		err = write_some(qcow2_of(n), off, &rest, &done);
		if (err)
			break;
		off += done;
		rest = span_cut(&rest, (size_t)done, rest.len - (size_t)done);
	}
	return err;
}
