/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the check share: how often each cluster is referred to. */
#ifndef VMM_BLOCK_QCOW2_CHECK_H
#define VMM_BLOCK_QCOW2_CHECK_H

#include "qcow2.h"

struct check {
	struct qcow2 *q;
	struct image_check *c;
	enum image_repair repair;
	u32 *refs;		/* references to each cluster that were found */
	u64 clusters;		/* of the file */
	u64 steps, done;	/* for the progress */
	u8 *table;		/* room for an L2 table */
	bool wrong;		/* something was found that counting again cannot mend */
};

void check_report(struct check *k, bool leak, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void check_step(struct check *k);
/* Notes a reference to each cluster of a range of bytes; what: for a message. */
void check_refer(struct check *k, u64 offset, u64 bytes, const char *what);

/* --- check_refs.c: 0 or -errno ------------------------------------------------------ */

/* Walks everything that the header leads to. */
int check_walk(struct check *k);

/* --- check_counts.c: 0 or -errno ------------------------------------------------------ */

/* Compares the references with the counts and mends these if asked. */
int check_counts(struct check *k);
/* Compares the "copied" bits of the active tables with the counts. */
int check_copied(struct check *k);

#endif
