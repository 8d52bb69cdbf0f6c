/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening and closing qcow2 images: the tables kept in memory, and the backing file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "qcow2.h"

#define L2_CACHE (32 * MIB)
#define L2_SLOTS_MIN 8
#define BLOCK_CACHE (8 * MIB)
#define BLOCK_SLOTS_MIN 4
#define SLOTS_MAX 4096

/* --- the tables ------------------------------------------------------------------------ */

/* A table of n entries in the host's byte order; NULL after an error line. */
static u64 *read_table(struct qcow2 *q, u64 offset, u64 n, const char *what)
{
	u64 *t = calloc(n + 1, sizeof(*t)), i;
	int err;

	if (!t) {
		error("out of memory");
		return NULL;
	}
	err = file_read(q->node.file, offset, t, n * sizeof(*t));
	if (err < 0) {
		error("%s: cannot read the %s: %s", q->node.file->path, what, strerror(-err));
		free(t);
		return NULL;
	}
	for (i = 0; i < n; i++)
		t[i] = be64toh(t[i]);
	return t;
}

static int make_caches(struct qcow2 *q)
{
	u64 l2 = L2_CACHE >> q->cluster_bits, blocks = BLOCK_CACHE >> q->cluster_bits;

	if (l2 > (u64)q->l1_size + 1)
		l2 = (u64)q->l1_size + 1;	/* that is all of them */
	if (l2 < L2_SLOTS_MIN)
		l2 = L2_SLOTS_MIN;
	if (l2 > SLOTS_MAX)
		l2 = SLOTS_MAX;
	if (blocks < BLOCK_SLOTS_MIN)
		blocks = BLOCK_SLOTS_MIN;
	if (blocks > SLOTS_MAX)
		blocks = SLOTS_MAX;
	if (cache_init(&q->l2, q->node.file, q->cluster_size, (unsigned int)l2, &q->lock) < 0 ||
	    cache_init(&q->blocks, q->node.file, q->cluster_size, (unsigned int)blocks, NULL) < 0)
		return error("out of memory");
	q->l2.evict = qcow2_evict_l2;
	q->blocks.evict = qcow2_evict_block;
	q->l2.arg = q->blocks.arg = q;
	return 0;
}

static int read_tables(struct qcow2 *q)
{
	u64 parts = align_up((u64)q->l1_size * 8, QCOW2_L1_PART) / QCOW2_L1_PART;

	q->reftable_size = (u64)q->reftable_clusters << q->cluster_bits >> 3;
	q->l1 = read_table(q, q->l1_offset, q->l1_size, "L1 table");
	q->l1_dirty = calloc(parts + 1, 1);
	q->reftable = read_table(q, q->reftable_offset, q->reftable_size, "refcount table");
	if (!q->l1_dirty)
		return error("out of memory");
	if (!q->l1 || !q->reftable || qcow2_read_snapshots(q) < 0)
		return -1;
	q->overlap = qcow2_check_tables(q) < 0;
	if (q->overlap && q->node.file->writable && !q->examined)
		return -1;
	return make_caches(q);
}

/* --- the backing file ---------------------------------------------------------------- */

static bool is_plain(const char *name)
{
	const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

	return !colon || (slash && slash < colon) || !strncmp(name, "file:", 5);
}

static int open_named(struct qcow2 *q, const struct open_how *how)
{
	struct open_how below = { .file = how->file, .depth = how->depth + 1 };
	char *path = node_backing_path(q->node.file->path, q->backing);

	if (!path)
		return error("out of memory");
	below.file.writable = false;
	if (below.file.lock == FILE_LOCK_WRITE)
		below.file.lock = FILE_LOCK_READ;
	q->node.backing = node_open(path, q->backing_format, &below);
	free(path);
	if (!q->node.backing)
		return error("%s: cannot open its backing file '%s'", q->node.file->path,
			     q->backing);
	/* a guest of old may have written this one: it does not choose files of the host */
	if (!q->backing_format && q->node.backing->backing)
		return error("%s does not say which format its backing file '%s' has, and that "
			     "one has a backing file, too: say it (qemu-img rebase -u -F)",
			     q->node.file->path, q->backing);
	return 0;
}

static int open_backing(struct qcow2 *q, const struct open_how *how)
{
	if (how->under) {
		q->node.backing = how->under;
		return 0;
	}
	if (!q->backing || how->no_backing)
		return 0;
	if (how->depth >= CHAIN_MAX - 1)
		return error("%s: there are more than %d images above it, or they form a ring",
			     q->node.file->path, CHAIN_MAX - 1);
	if (!is_plain(q->backing))
		return error("%s: its backing file '%s' is no file of this host, which is not "
			     "supported", q->node.file->path, q->backing);
	return open_named(q, how);
}

/* --- opening ------------------------------------------------------------------------- */

/* Features that a program which does not keep them up has to clear before it writes. */
static int clear_features(struct qcow2 *q)
{
	u64 keep = q->examined ? QCOW2_BITMAPS : 0;
	int err;

	if (!q->node.file->writable || !(q->autoclear & ~keep))
		return 0;
	if (q->autoclear & ~keep & QCOW2_BITMAPS)
		error("%s: warning: its dirty bitmaps are not kept up and lose their validity",
		      q->node.file->path);
	q->autoclear &= keep;
	err = qcow2_set_field(q, QCOW2_AT_AUTOCLEAR, q->autoclear);
	return err < 0 ? error("%s: cannot write the header: %s", q->node.file->path,
			       strerror(-err)) : 0;
}

static int open_all(struct qcow2 *q, const struct open_how *how)
{
	struct file *f = q->node.file;

	if (qcow2_read_header(q, how) < 0 || read_tables(q) < 0 || open_backing(q, how) < 0)
		return -1;
	q->node.granularity = (u32)q->cluster_size;
	q->fresh = f->device ? UINT64_MAX : clusters_of(q, file_size(f));
	q->inflated = malloc(q->cluster_size);
	if (!q->inflated)
		return error("out of memory");
	if (clear_features(q) < 0)
		return -1;
	if (q->incompatible & QCOW2_DIRTY && f->writable && !q->examined)
		return qcow2_recover(q);
	return 0;
}

struct node *qcow2_open(struct file *f, const struct open_how *how)
{
	struct qcow2 *q = calloc(1, sizeof(*q));

	if (!q) {
		error("out of memory");
		file_close(f);
		node_close(how->under);
		return NULL;
	}
	pthread_mutex_init(&q->meta, NULL);
	pthread_mutex_init(&q->lock, NULL);
	pthread_mutex_init(&q->inflate, NULL);
	q->node.ops = &qcow2_ops;
	q->node.file = f;
	q->node.writable = f->writable;
	q->examined = how->examine;
	if (open_all(q, how) < 0) {
		if (!q->node.backing)
			node_close(how->under);
		node_close(&q->node);
		return NULL;
	}
	return &q->node;
}

static void qcow2_close(struct node *n)
{
	struct qcow2 *q = qcow2_of(n);

	cache_destroy(&q->l2);
	cache_destroy(&q->blocks);
	set_free(&q->tables);
	free(q->l1);
	free(q->l1_dirty);
	free(q->reftable);
	free(q->snapshots);
	free(q->frees);
	free(q->backing);
	free(q->backing_format);
	free(q->inflated);
	pthread_mutex_destroy(&q->meta);
	pthread_mutex_destroy(&q->lock);
	pthread_mutex_destroy(&q->inflate);
	free(q);
}

const struct node_ops qcow2_ops = {
	.name = "qcow2",
	.read = qcow2_read,
	.write = qcow2_write,
	.zero = qcow2_zero,
	.discard = qcow2_discard,
	.flush = qcow2_flush,
	.clean = qcow2_clean,
	.map = qcow2_map,
	.status = qcow2_status,
	.close = qcow2_close,
};
