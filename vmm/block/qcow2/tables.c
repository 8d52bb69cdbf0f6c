/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is looked at before an image is used: that every table which the L1
 * table, the refcount table and the snapshots name lies within the file, at a
 * cluster's beginning, and that no cluster serves as two of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "qcow2.h"

/* Notes a table's clusters; the text of what is wrong with it, or NULL. */
static const char *note(struct qcow2 *q, u64 offset, u64 bytes)
{
	u64 size = align_up(file_size(q->node.file), q->cluster_size);
	u64 i, n = clusters_of(q, bytes);
	int added;

	if (offset & (q->cluster_size - 1))
		return "is not at a cluster's beginning";
	if (offset >= size || bytes > size - offset)
		return "lies past the end of the file";
	for (i = 0; i < n; i++) {
		added = set_add(&q->tables, (offset >> q->cluster_bits) + i);
		if (added < 0)
			return "is one too many: out of memory";
		if (!added)
			return "overlaps another table";
	}
	return NULL;
}

static int told(struct qcow2 *q, const char *what, u64 n, u64 offset, const char *wrong)
{
	bool fatal = q->node.file->writable && !q->examined;

	error("%s: %s%s %llu at offset 0x%llx %s%s", q->node.file->path, fatal ? "" : "warning: ",
	      what, (unsigned long long)n, (unsigned long long)offset, wrong,
	      fatal ? "; the image can only be read and checked" : "");
	return -1;
}

static int check_l1(struct qcow2 *q)
{
	const char *wrong;
	u32 i;

	for (i = 0; i < q->l1_size; i++) {
		u64 offset = q->l1[i] & ~QCOW2_COPIED;

		if (!offset)
			continue;
		wrong = note(q, offset, q->cluster_size);
		if (wrong)
			return told(q, "L2 table", i, offset, wrong);
	}
	return 0;
}

static int check_reftable(struct qcow2 *q)
{
	const char *wrong;
	u64 i;

	for (i = 0; i < q->reftable_size; i++) {
		if (!q->reftable[i])
			continue;
		wrong = note(q, q->reftable[i], q->cluster_size);
		if (wrong)
			return told(q, "refcount block", i, q->reftable[i], wrong);
	}
	return 0;
}

static int check_snapshots(struct qcow2 *q)
{
	const char *wrong = NULL;
	u32 i;

	if (q->nsnapshots)
		wrong = note(q, q->snapshots_offset, q->snapshots_len);
	if (wrong)
		return told(q, "snapshot table", 0, q->snapshots_offset, wrong);
	for (i = 0; i < q->nsnapshots; i++) {
		const struct qcow2_snapshot *s = &q->snapshots[i];

		if (!s->l1_size)
			continue;
		wrong = note(q, s->l1_offset, (u64)s->l1_size * 8);
		if (wrong)
			return told(q, "L1 table of snapshot", i, s->l1_offset, wrong);
	}
	return 0;
}

int qcow2_check_tables(struct qcow2 *q)
{
	const char *wrong = note(q, 0, q->cluster_size);

	if (wrong)
		return told(q, "header", 0, 0, wrong);
	if (q->l1_size) {
		wrong = note(q, q->l1_offset, (u64)q->l1_size * 8);
		if (wrong)
			return told(q, "L1 table", 0, q->l1_offset, wrong);
	}
	wrong = note(q, q->reftable_offset, q->reftable_size * 8);
	if (wrong)
		return told(q, "refcount table", 0, q->reftable_offset, wrong);
	if (check_reftable(q) < 0 || check_l1(q) < 0)
		return -1;
	return check_snapshots(q);
}

/* --- the snapshot table -------------------------------------------------------------- */

#define ENTRY_MIN 40

static u64 be(const u8 *p, unsigned int bytes)
{
	u64 v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

static void copy_text(char *to, size_t room, const u8 *from, size_t len)
{
	size_t i;

	if (len >= room)
		len = room - 1;
	for (i = 0; i < len; i++)
		to[i] = from[i] >= ' ' && from[i] != 0x7f ? (char)from[i] : '?';
	to[len] = 0;
}

/* One entry at p, of which left bytes are known to be there: its length, or 0. */
static u64 read_entry(struct qcow2_snapshot *s, const u8 *p, u64 left)
{
	u64 id, name, extra, len;

	if (left < ENTRY_MIN)
		return 0;
	s->l1_offset = be(p, 8);
	s->l1_size = (u32)be(p + 8, 4);
	id = be(p + 12, 2);
	name = be(p + 14, 2);
	s->info.date = be(p + 16, 4);
	s->info.vm_clock = be(p + 24, 8);
	s->info.vm_size = be(p + 32, 4);
	extra = be(p + 36, 4);
	len = ENTRY_MIN + extra + id + name;
	if (len > left)
		return 0;
	if (extra >= 8)
		s->info.vm_size = be(p + ENTRY_MIN, 8);
	p += ENTRY_MIN + extra;
	copy_text(s->info.id, sizeof(s->info.id), p, id);
	copy_text(s->info.name, sizeof(s->info.name), p + id, name);
	return align_up(len, 8);
}

static int parse(struct qcow2 *q, const u8 *table, u64 len)
{
	u64 at = 0;
	u32 i;

	for (i = 0; i < q->nsnapshots; i++) {
		struct qcow2_snapshot *s = &q->snapshots[i];
		u64 n = at < len ? read_entry(s, table + at, len - at) : 0;

		if (!n || s->l1_size > QCOW2_L1_MAX / 8)
			return error("%s: no usable qcow2 image: its snapshot table is damaged",
				     q->node.file->path);
		at += n;
	}
	q->snapshots_len = at < len ? at : len;
	return 0;
}

int qcow2_read_snapshots(struct qcow2 *q)
{
	u64 size = file_size(q->node.file), len;
	u8 *table;
	int err;

	if (!q->nsnapshots)
		return 0;
	/* how long the table is shows only in its entries */
	len = size > q->snapshots_offset ? size - q->snapshots_offset : 0;
	if (len > QCOW2_SNAPSHOT_TABLE_MAX)
		len = QCOW2_SNAPSHOT_TABLE_MAX;
	q->snapshots = calloc(q->nsnapshots, sizeof(*q->snapshots));
	table = malloc(len ? len : 1);
	if (!q->snapshots || !table) {
		free(table);
		return error("out of memory");
	}
	err = file_read(q->node.file, q->snapshots_offset, table, len);
	if (err < 0)
		err = error("%s: cannot read the snapshot table: %s", q->node.file->path,
			    strerror(-err));
	else
		err = parse(q, table, len);
	free(table);
	return err;
}
