/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check of a whole image: what its tables refer to is counted and compared
 * with the reference counts. A count that is too high is a leak, space that is
 * lost; one that is too low an error, as the cluster could be given away. A
 * repair only changes counts and "copied" bits, rising ones first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "check.h"

void check_report(struct check *k, bool leak, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (leak)
		k->c->leaks++;
	else
		k->c->errors++;
	if (!k->c->report)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	k->c->report(k->c->arg, leak, text);
}

void check_step(struct check *k)
{
	k->done++;
	if (k->c->progress && k->done <= k->steps)
		k->c->progress(k->c->arg, k->done, k->steps);
}

void check_refer(struct check *k, u64 offset, u64 bytes, const char *what)
{
	u64 first = offset >> k->q->cluster_bits, n;

	n = clusters_of(k->q, (offset & (k->q->cluster_size - 1)) + bytes);
	if (first >= k->clusters || n > k->clusters - first) {
		check_report(k, false, "%s at 0x%llx reaches past the end of the file", what,
			     (unsigned long long)offset);
		k->wrong = true;
		n = first < k->clusters ? k->clusters - first : 0;
	}
	for (; n; n--, first++) {
		if (k->refs[first] < UINT32_MAX)
			k->refs[first]++;
		if (k->c->end < (first + 1) << k->q->cluster_bits)
			k->c->end = (first + 1) << k->q->cluster_bits;
	}
}

/* A repair that left nothing wrong takes the marks away. */
static int clear_marks(struct check *k)
{
	struct qcow2 *q = k->q;
	u64 marks = QCOW2_DIRTY | QCOW2_CORRUPT;
	int err = qcow2_flush(&q->node);

	if (err || k->wrong || k->repair != REPAIR_ALL || !(q->incompatible & marks))
		return err;
	err = qcow2_set_field(q, QCOW2_AT_INCOMPATIBLE, q->incompatible & ~marks);
	if (!err)
		q->incompatible &= ~marks;
	return err;
}

static int run(struct check *k)
{
	int err = check_walk(k);

	if (!err)
		err = check_counts(k);
	if (!err)
		err = check_copied(k);
	if (!err && k->repair != REPAIR_NONE)
		err = clear_marks(k);
	return err;
}

int qcow2_check(struct qcow2 *q, enum image_repair repair, struct image_check *c)
{
	struct check k = { .q = q, .c = c, .repair = repair };
	u32 i;
	int err;

	c->clusters = clusters_of(q, q->node.size);
	k.clusters = clusters_of(q, file_size(q->node.file));
	k.refs = calloc(k.clusters + 1, sizeof(*k.refs));
	k.table = malloc(q->cluster_size);
	k.steps = 2 * (u64)q->l1_size + (k.clusters >> q->block_bits) + 1;
	for (i = 0; i < q->nsnapshots; i++)
		k.steps += q->snapshots[i].l1_size;
	if (q->overlap) {
		/* counts cannot mend that, and what is written could hit a table */
		k.wrong = true;
		k.repair = REPAIR_NONE;
		check_report(&k, false, "its tables are damaged: nothing is repaired");
	}
	err = k.refs && k.table ? run(&k) : -ENOMEM;
	free(k.refs);
	free(k.table);
	return err;
}

int qcow2_recover(struct qcow2 *q)
{
	struct image_check c = { 0 };
	int err;

	error("%s was not closed properly: its reference counts are made anew", q->node.file->path);
	err = qcow2_check(q, REPAIR_ALL, &c);
	if (err)
		return error("%s: that failed: %s", q->node.file->path, strerror(-err));
	if (q->incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT))
		return error("%s is damaged: see anykvm image check", q->node.file->path);
	return 0;
}
