/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header of a qcow2 image and its extensions: read and judged. All later
 * code may rely on the limits that are checked here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "qcow2.h"

static u32 be32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

static u64 be64(const u8 *p)
{
	return table_get(p, 0);
}

static int bad(const struct qcow2 *q, const char *why)
{
	return error("%s: no usable qcow2 image: %s", q->node.file->path, why);
}

static int unsupported(const struct qcow2 *q, const char *what)
{
	return error("%s: this qcow2 image %s, which is not supported", q->node.file->path, what);
}

bool qcow2_probe(const u8 *head, size_t len)
{
	return len >= 4 && be32(head) == QCOW2_MAGIC;
}

/* --- features ------------------------------------------------------------------------ */

static int check_features(const struct qcow2 *q, const struct open_how *how)
{
	const u64 known = QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION;
	char text[64];

	if (q->incompatible & QCOW2_EXTERNAL_DATA)
		return unsupported(q, "keeps its data in another file");
	if (q->incompatible & QCOW2_EXTENDED_L2)
		return unsupported(q, "has extended L2 entries (subclusters)");
	if (q->incompatible & ~known) {
		snprintf(text, sizeof(text), "has unknown features (bits 0x%llx)",
			 (unsigned long long)(q->incompatible & ~known));
		return unsupported(q, text);
	}
	if (q->incompatible & QCOW2_CORRUPT && how->file.writable && !how->examine)
		return error("%s is marked as damaged: it can be read (readonly) and checked "
			     "(anykvm image check), but not written", q->node.file->path);
	return 0;
}

static int read_v3(struct qcow2 *q, const u8 *h, u32 *len)
{
	q->incompatible = be64(h + QCOW2_AT_INCOMPATIBLE);
	q->compatible = be64(h + 80);
	q->autoclear = be64(h + QCOW2_AT_AUTOCLEAR);
	q->refcount_order = be32(h + 96);
	*len = be32(h + 100);
	if (*len < QCOW2_HEADER_V3 || *len % 8 || *len > q->cluster_size)
		return bad(q, "the header has an impossible length");
	if (*len > QCOW2_HEADER_V3)
		q->compression = h[104];
	if (q->refcount_order > 6)
		return bad(q, "its reference counts are wider than 64 bits");
	if (q->compression > 1)
		return unsupported(q, "has an unknown kind of compression");
	if (!!(q->incompatible & QCOW2_COMPRESSION) != !!q->compression)
		return bad(q, "the header contradicts itself about its compression");
	return 0;
}

/* --- sizes and places -------------------------------------------------------------------- */

static int check_place(const struct qcow2 *q, u64 offset, u64 bytes, const char *what)
{
	u64 size = align_up(file_size(q->node.file), q->cluster_size);
	char text[96];

	if (!bytes)
		return 0;
	if (offset & (q->cluster_size - 1) || !offset)
		snprintf(text, sizeof(text), "the %s is not at a cluster's beginning", what);
	else if (offset >= size || bytes > size - offset)
		snprintf(text, sizeof(text), "the %s lies past the end of the file", what);
	else
		return 0;
	return bad(q, text);
}

static int read_sizes(struct qcow2 *q, const u8 *h)
{
	u64 size = be64(h + QCOW2_AT_SIZE);

	q->node.size = align_down(size, BLOCK_SECTOR);
	q->l1_size = be32(h + QCOW2_AT_L1);
	q->l1_offset = be64(h + QCOW2_AT_L1 + 4);
	q->reftable_offset = be64(h + QCOW2_AT_REFTABLE);
	q->reftable_clusters = be32(h + QCOW2_AT_REFTABLE + 8);
	q->nsnapshots = be32(h + 60);
	q->snapshots_offset = be64(h + 64);
	if (size > (u64)INT64_MAX - 2 * MIB)
		return bad(q, "the disk is impossibly large");
	if (q->l1_size > QCOW2_L1_MAX / 8)
		return bad(q, "the L1 table is too large");
	if (l1_bytes_for(q, size) > (u64)q->l1_size * 8)
		return bad(q, "the L1 table is too small for the disk");
	if (!q->reftable_clusters)
		return bad(q, "it has no refcount table");
	if (q->reftable_clusters > QCOW2_REFTABLE_MAX >> q->cluster_bits)
		return bad(q, "the refcount table is too large");
	if (q->nsnapshots > QCOW2_SNAPSHOTS_MAX)
		return bad(q, "it has too many snapshots");
	if (check_place(q, q->l1_offset, (u64)q->l1_size * 8, "L1 table") < 0 ||
	    check_place(q, q->reftable_offset, (u64)q->reftable_clusters << q->cluster_bits,
			"refcount table") < 0)
		return -1;
	return check_place(q, q->snapshots_offset, q->nsnapshots, "snapshot table");
}

/* --- extensions and names ------------------------------------------------------------ */

static char *text_of(const u8 *p, size_t len)
{
	return memchr(p, 0, len) ? NULL : strndup((const char *)p, len);
}

static int read_bitmaps(struct qcow2 *q, const u8 *p, u32 len)
{
	if (!(q->autoclear & QCOW2_BITMAPS))
		return 0;		/* out of date: not to be looked at */
	if (len != 24)
		return bad(q, "the bitmaps extension has an impossible length");
	q->nbitmaps = be32(p);
	q->bitmaps_size = be64(p + 8);
	q->bitmaps_offset = be64(p + 16);
	if (q->bitmaps_size > QCOW2_SNAPSHOT_TABLE_MAX)
		return bad(q, "the bitmap directory is too large");
	return check_place(q, q->bitmaps_offset, q->bitmaps_size, "bitmap directory");
}

static int read_extensions(struct qcow2 *q, const u8 *p, const u8 *end)
{
	while (end - p >= 8) {
		u32 type = be32(p), len = be32(p + 4);

		p += 8;
		if (type == QCOW2_EXT_END)
			return 0;
		if (len > (size_t)(end - p))
			return bad(q, "a header extension is too long");
		if (type == QCOW2_EXT_BACKING_FORMAT && !q->backing_format) {
			q->backing_format = text_of(p, len);
			if (!q->backing_format)
				return bad(q, "the backing file's format is no text");
		}
		if (type == QCOW2_EXT_BITMAPS && read_bitmaps(q, p, len) < 0)
			return -1;
		len = (u32)align_up(len, 8);
		p += len < end - p ? len : end - p;
	}
	return 0;
}

/* Reads the rest of the first cluster: extensions, and the backing file's name. */
static int read_rest(struct qcow2 *q, const u8 *h, u32 header_len)
{
	u64 name = be64(h + 8), end = name ? name : q->cluster_size;
	u32 name_len = be32(h + 16);
	u8 *all;
	int err;

	if (name && (name > q->cluster_size || name_len > q->cluster_size - name ||
		     name_len > QCOW2_NAME_MAX || !name_len || name < header_len))
		return bad(q, "the backing file's name is not where it can be");
	all = malloc(q->cluster_size);
	if (!all)
		return error("out of memory");
	err = file_read(q->node.file, 0, all, q->cluster_size);
	if (err < 0)
		err = error("%s: cannot read the header: %s", q->node.file->path, strerror(-err));
	else if (name && !(q->backing = text_of(all + name, name_len)))
		err = bad(q, "the backing file's name is no text");
	else
		err = read_extensions(q, all + header_len, all + end);
	free(all);
	return err;
}

int qcow2_read_header(struct qcow2 *q, const struct open_how *how)
{
	u8 h[QCOW2_HEADER_OURS];
	u32 len = QCOW2_HEADER_V2;
	int err = file_read(q->node.file, 0, h, sizeof(h));

	if (err < 0)
		return error("%s: cannot read the header: %s", q->node.file->path, strerror(-err));
	if (!qcow2_probe(h, sizeof(h)))
		return bad(q, "it does not begin as one");
	q->version = be32(h + 4);
	if (q->version != 2 && q->version != 3)
		return unsupported(q, "is of an unknown version");
	q->cluster_bits = be32(h + 20);
	if (q->cluster_bits < QCOW2_CLUSTER_BITS_MIN || q->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return bad(q, "the size of its clusters is out of range");
	q->cluster_size = 1ULL << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	q->refcount_order = 4;
	if (be32(h + 32))
		return unsupported(q, "is encrypted");
	if (q->version == 3 && read_v3(q, h, &len) < 0)
		return -1;
	q->block_bits = q->cluster_bits + 3 - q->refcount_order;
	q->refcount_max = UINT64_MAX >> (64 - (1 << q->refcount_order));
	if (check_features(q, how) < 0 || read_sizes(q, h) < 0)
		return -1;
	return read_rest(q, h, len);
}

int qcow2_set_field(struct qcow2 *q, unsigned int at, u64 value)
{
	int err;

	value = htobe64(value);
	err = file_write(q->node.file, at, &value, sizeof(value));
	return err ? err : file_sync(q->node.file);
}
