/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading: runs of clusters of one kind, one after the other, and compressed clusters. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "qcow2.h"

static int lookup(struct qcow2 *q, u64 off, u64 len, struct qcow2_run *r)
{
	int err;

	pthread_mutex_lock(&q->meta);
	err = qcow2_run(q, off, len, r);
	pthread_mutex_unlock(&q->meta);
	return err;
}

static int read_run(struct qcow2 *q, const struct qcow2_run *r, u64 off, const struct span *s)
{
	switch (r->kind) {
	case QCOW2_KIND_DATA:
		return file_readv(q->node.file, r->host, s);
	case QCOW2_KIND_COMPRESSED:
		return qcow2_read_compressed(q, r->entry, off & (q->cluster_size - 1), s);
	case QCOW2_KIND_NONE:
		if (q->node.backing)
			return node_read(q->node.backing, off, s);
		break;
	default:
		break;
	}
	span_zero(s);
	return 0;
}

int qcow2_read(struct node *n, u64 off, const struct span *s)
{
	struct span rest = *s, part;
	struct qcow2_run r;
	int err = 0;

	while (rest.len && !err) {
		err = lookup(qcow2_of(n), off, rest.len, &r);
		if (err)
			break;
		part = span_cut(&rest, 0, (size_t)r.len);
		err = read_run(qcow2_of(n), &r, off, &part);
		off += r.len;
		rest = span_cut(&rest, (size_t)r.len, rest.len - (size_t)r.len);
	}
	return err;
}

int qcow2_status(struct node *n, u64 off, u64 len, u64 *run)
{
	struct qcow2_run r;
	int err = lookup(qcow2_of(n), off, len, &r);

	if (err)
		return err;
	*run = r.len;
	if (r.kind == QCOW2_KIND_NONE && n->backing)
		return node_status(n->backing, off, r.len, run);
	return r.kind == QCOW2_KIND_DATA || r.kind == QCOW2_KIND_COMPRESSED ? BLOCK_DATA :
		BLOCK_ZERO;
}

/* --- compressed clusters ------------------------------------------------------------- */

/* A raw deflate stream that fills the cluster; what follows it does not count. */
static int inflate_zlib(const u8 *in, size_t in_len, u8 *out, size_t len)
{
	z_stream z = {
		.next_in = (u8 *)in, .avail_in = (uInt)in_len,
		.next_out = out, .avail_out = (uInt)len,
	};
	int err = inflateInit2(&z, -15);

	if (err != Z_OK)
		return -ENOMEM;
	err = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (err == Z_STREAM_END || err == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

#define ZSTD_WINDOW_MAX 24	/* 16 MiB: clusters are 2 MiB at most */

static int inflate_zstd(const u8 *in, size_t in_len, u8 *out, size_t len)
{
	ZSTD_inBuffer i = { in, in_len, 0 };
	ZSTD_outBuffer o = { out, len, 0 };
	ZSTD_DCtx *d = ZSTD_createDCtx();
	size_t before, r;

	if (!d)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_MAX);
	do {	/* as long as it gets somewhere */
		before = i.pos + o.pos;
		r = ZSTD_decompressStream(d, &o, &i);
	} while (!ZSTD_isError(r) && o.pos < len && i.pos + o.pos != before);
	ZSTD_freeDCtx(d);
	return o.pos == len ? 0 : -EIO;
}

static int inflate_cluster(struct qcow2 *q, u64 entry)
{
	u64 off, len, size = file_size(q->node.file);
	u8 *in;
	int err;

	qcow2_compressed(q, entry, &off, &len);
	if (off >= size)
		return -EIO;
	if (len > size - off)
		len = size - off;	/* it says sectors, and the file may end within one */
	in = malloc(len);
	if (!in)
		return -ENOMEM;
	q->inflated_entry = 0;
	err = file_read(q->node.file, off, in, len);
	if (!err)
		err = q->compression ? inflate_zstd(in, len, q->inflated, q->cluster_size) :
			inflate_zlib(in, len, q->inflated, q->cluster_size);
	free(in);
	if (!err)
		q->inflated_entry = entry;
	return err;
}

int qcow2_read_compressed(struct qcow2 *q, u64 entry, u64 in_cluster, const struct span *s)
{
	int err = 0;

	pthread_mutex_lock(&q->inflate);
	if (q->inflated_entry != entry)
		err = inflate_cluster(q, entry);
	if (!err)
		span_put(s, q->inflated + in_cluster);
	pthread_mutex_unlock(&q->inflate);
	return err;
}
