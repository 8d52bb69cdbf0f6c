/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2 images, versions 2 and 3, as docs/interop/qcow2.txt of QEMU describes
 * the format. Everything in the file is hostile.
 *
 * Two locks. `meta` is for whoever changes tables or loads them; it is held over
 * input and output of tables, never of data. `lock` is for the tables' memory and
 * never held over either; who holds `meta` needs it to change what the quick way
 * of a read or write looks at: the L1 table, the cache of L2 tables, the set of
 * clusters that hold tables.
 *
 * What reaches the file, and when: flush.c.
 */
#ifndef VMM_BLOCK_QCOW2_H
#define VMM_BLOCK_QCOW2_H

#include <endian.h>

#include "../create.h"
#include "../node.h"
#include "cache.h"
#include "set.h"

#define QCOW2_MAGIC 0x514649fbU
#define QCOW2_HEADER_V2 72
#define QCOW2_HEADER_V3 104
#define QCOW2_HEADER_OURS 112		/* with compression_type, padded */
#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
#define QCOW2_L1_MAX (32 * MIB)		/* bytes, as QEMU's limits */
#define QCOW2_REFTABLE_MAX (8 * MIB)
#define QCOW2_SNAPSHOTS_MAX 65536
#define QCOW2_SNAPSHOT_TABLE_MAX (64 * MIB)
#define QCOW2_NAME_MAX 1023

/* Places of header fields that change. */
#define QCOW2_AT_SIZE 24
#define QCOW2_AT_L1 36			/* u32 entries, u64 offset */
#define QCOW2_AT_REFTABLE 48		/* u64 offset, u32 clusters */
#define QCOW2_AT_INCOMPATIBLE 72
#define QCOW2_AT_AUTOCLEAR 88

#define QCOW2_DIRTY (1ULL << 0)
#define QCOW2_CORRUPT (1ULL << 1)
#define QCOW2_EXTERNAL_DATA (1ULL << 2)
#define QCOW2_COMPRESSION (1ULL << 3)
#define QCOW2_EXTENDED_L2 (1ULL << 4)
#define QCOW2_LAZY_REFCOUNTS (1ULL << 0)
#define QCOW2_BITMAPS (1ULL << 0)

#define QCOW2_EXT_END 0U
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acaU
#define QCOW2_EXT_BITMAPS 0x23852875U
#define QCOW2_EXT_FEATURES 0x6803f857U

/* Entries of L1 and L2 tables. */
#define QCOW2_COPIED (1ULL << 63)
#define QCOW2_COMPRESSED (1ULL << 62)
#define QCOW2_ZERO (1ULL << 0)
#define QCOW2_OFFSET 0x00fffffffffffe00ULL
#define QCOW2_OFFSET_END (1ULL << 56)

struct qcow2_snapshot {
	u64 l1_offset;
	u32 l1_size;
	struct image_snapshot info;
};

struct qcow2_free {
	u64 first, count;		/* clusters */
};

struct qcow2 {
	struct node node;

	/* header */
	unsigned int version, cluster_bits, refcount_order, compression;
	u64 incompatible, compatible, autoclear;
	u64 l1_offset, reftable_offset, snapshots_offset;
	u32 reftable_clusters, nsnapshots;
	u64 snapshots_len;		/* bytes of their table */
	char *backing, *backing_format;	/* or NULL */
	u64 bitmaps_offset, bitmaps_size, nbitmaps;	/* their directory; 0: none */

	u64 cluster_size;
	unsigned int l2_bits;		/* entries of an L2 table, as a power of 2 */
	unsigned int block_bits;	/* entries of a refcount block, as a power of 2 */
	u64 refcount_max;

	pthread_mutex_t meta, lock;
	u64 *l1;			/* host's byte order */
	u32 l1_size;			/* entries */
	u8 *l1_dirty;			/* a flag for each QCOW2_L1_PART bytes of it */
	u64 *reftable;			/* offsets, host's byte order */
	u64 reftable_size;		/* entries */
	struct cache l2, blocks;
	struct set tables;		/* clusters that hold the header or a table */
	struct qcow2_snapshot *snapshots;

	/* allocation, under meta */
	u64 hint;			/* no cluster before it is free */
	u64 fresh;			/* clusters from it on never held anything */
	struct qcow2_free *frees;	/* references to drop once the file forgot them */
	unsigned int nfrees;
	bool unsynced;			/* what L2 tables rely on is perhaps not on the disk */
	bool tables_unsynced;		/* L2 or L1 tables likewise */
	bool dirty;			/* tables are not written; atomic */
	bool broken;			/* no more changes; atomic */
	bool examined;			/* opened to be checked */
	bool overlap;			/* tables are where none can be */

	/* the last compressed cluster that was read */
	pthread_mutex_t inflate;
	u64 inflated_entry;		/* its L2 entry; 0: none */
	u8 *inflated;
};

#define QCOW2_L1_PART 512
#define QCOW2_FREES_MAX 4096

static inline struct qcow2 *qcow2_of(struct node *n)
{
	return (struct qcow2 *)n;
}

static inline u64 table_get(const u8 *data, u64 i)
{
	u64 v;

	__builtin_memcpy(&v, data + i * 8, 8);
	return be64toh(v);
}

static inline void table_set(u8 *data, u64 i, u64 v)
{
	v = htobe64(v);
	__builtin_memcpy(data + i * 8, &v, 8);
}

static inline u64 l1_index(const struct qcow2 *q, u64 off)
{
	return off >> (q->cluster_bits + q->l2_bits);
}

static inline u64 l2_index(const struct qcow2 *q, u64 off)
{
	return off >> q->cluster_bits & ((1ULL << q->l2_bits) - 1);
}

/* Clusters that a table of this many bytes takes. */
static inline u64 clusters_of(const struct qcow2 *q, u64 bytes)
{
	return align_up(bytes, q->cluster_size) >> q->cluster_bits;
}

/* Bytes of the L1 table that a disk of this size needs. */
static inline u64 l1_bytes_for(const struct qcow2 *q, u64 size)
{
	u64 clusters = (size >> q->cluster_bits) + !!(size & (q->cluster_size - 1));

	return align_up(clusters, 1ULL << q->l2_bits) >> q->l2_bits << 3;
}

/* --- header.c: 0, or -1 after an error line ------------------------------------------- */

int qcow2_read_header(struct qcow2 *q, const struct open_how *how);
/* Writes a 64-bit field of the header and syncs: 0 or -errno. */
int qcow2_set_field(struct qcow2 *q, unsigned int at, u64 value);

/* --- open.c, tables.c: reading the tables -------------------------------------------- */

int qcow2_read_snapshots(struct qcow2 *q);
/* Whether all tables are where tables can be: 0, or -1 after an error line. */
int qcow2_check_tables(struct qcow2 *q);

/* --- refcount.c: under meta; 0 or -errno --------------------------------------------- */

int qcow2_get_refcount(struct qcow2 *q, u64 cluster, u64 *count);
u64 qcow2_count_at(const struct qcow2 *q, const u8 *block, u64 i);
void qcow2_count_set(const struct qcow2 *q, u8 *block, u64 i, u64 count);
int qcow2_set_refcount(struct qcow2 *q, u64 cluster, u64 count);
/*
 * Takes up to want free clusters in a row, at least min of them: the first, and
 * *got. Their count is 1 then; *fresh: the file holds nothing there.
 */
int qcow2_alloc(struct qcow2 *q, u64 want, u64 min, u64 *cluster, u64 *got, bool *fresh);
/* Gives back clusters that nothing in the file refers to. */
void qcow2_unalloc(struct qcow2 *q, u64 cluster, u64 count);
/* Drops one reference to each, once the tables that held it are in the file. */
void qcow2_free_later(struct qcow2 *q, u64 cluster, u64 count);
/* What an L2 entry refers to, to be dropped so. */
void qcow2_free_entry(struct qcow2 *q, u64 entry);
/* Drops what waits for it; the tables are in the file and synced. */
int qcow2_free_now(struct qcow2 *q);

/* --- grow.c: more refcount blocks, under meta ---------------------------------------- */

/* Makes the block that counts this free cluster, in this cluster. */
int qcow2_new_block(struct qcow2 *q, u64 cluster);
/* Makes the refcount table cover the cluster. */
int qcow2_grow_reftable(struct qcow2 *q, u64 cluster);

/* --- map.c --------------------------------------------------------------------------- */

enum qcow2_kind {
	QCOW2_KIND_NONE,		/* not there: the backing file's, or zeros */
	QCOW2_KIND_ZERO,		/* zeros; may have a cluster */
	QCOW2_KIND_DATA,
	QCOW2_KIND_COMPRESSED,
	QCOW2_KIND_BAD,			/* not possible */
};

struct qcow2_run {
	enum qcow2_kind kind;
	u64 entry;		/* the L2 entry of its first cluster; 0 if there is no table */
	u64 host;		/* of QCOW2_KIND_DATA: where it begins in the file */
	u64 len;
};

void qcow2_map(struct node *n, u64 off, u64 len, bool write, struct extent *e);
/* What lies at a guest offset and is of one kind for len bytes; may load a table. Under meta. */
int qcow2_run(struct qcow2 *q, u64 off, u64 len, struct qcow2_run *r);
/* The L2 table of a guest offset, made or copied so that it can be changed. Under meta. */
int qcow2_l2_for_write(struct qcow2 *q, u64 off, struct table **t);
/* Changes an entry of a table that can be changed. Under meta. */
void qcow2_set_entry(struct qcow2 *q, struct table *t, u64 i, u64 entry);

enum qcow2_kind qcow2_kind(const struct qcow2 *q, u64 entry);
/* Of a compressed cluster: where its data begins, and its length in the file. */
void qcow2_compressed(const struct qcow2 *q, u64 entry, u64 *off, u64 *len);
/* Whether there can be a table at this offset. Under meta. */
bool qcow2_table_exists(const struct qcow2 *q, u64 offset);
/* Whether a cluster may be written in place: it is data's, and the file has it. */
bool qcow2_writable(struct qcow2 *q, u64 host);

/* --- the operations ------------------------------------------------------------------ */

int qcow2_read(struct node *n, u64 off, const struct span *s);
int qcow2_read_compressed(struct qcow2 *q, u64 entry, u64 in_cluster, const struct span *s);
int qcow2_status(struct node *n, u64 off, u64 len, u64 *run);
int qcow2_write(struct node *n, u64 off, const struct span *s);
int qcow2_zero(struct node *n, u64 off, u64 len, bool unmap);
int qcow2_discard(struct node *n, u64 off, u64 len);
int qcow2_flush(struct node *n);
bool qcow2_clean(struct node *n);

/* --- flush.c: under meta ------------------------------------------------------------- */

void qcow2_dirty(struct qcow2 *q);
/* Writes all tables in an order that is safe at any moment. */
int qcow2_write_back(struct qcow2 *q);
/* Writes what waits in memory if references to drop have become many. */
int qcow2_write_back_if_full(struct qcow2 *q);
/* What the caches call to write one of their tables. */
int qcow2_evict_l2(void *arg, struct table *t);
int qcow2_evict_block(void *arg, struct table *t);

/* --- corrupt.c ----------------------------------------------------------------------- */

/* The image is damaged: tells it, marks it and lets nothing be changed. -EIO. */
int qcow2_corrupt(struct qcow2 *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- create.c, resize.c, check.c ----------------------------------------------------- */

int qcow2_format(struct file *f, const struct image_spec *spec);
int qcow2_resize(struct qcow2 *q, u64 size);
int qcow2_check(struct qcow2 *q, enum image_repair repair, struct image_check *c);
/* For an image that was not closed: makes its counts right. 0, or -1 after an error line. */
int qcow2_recover(struct qcow2 *q);

extern const struct node_ops qcow2_ops;

#endif
