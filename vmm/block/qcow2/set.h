/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of numbers: which clusters hold tables. */
#ifndef VMM_BLOCK_QCOW2_SET_H
#define VMM_BLOCK_QCOW2_SET_H

#include "../../types.h"

struct set {
	u64 *slot;		/* number + 1; 0: empty */
	u64 slots, used;	/* slots is a power of 2 or 0 */
};

bool set_has(const struct set *s, u64 n);
/* 1 when it is new, 0 when it was there, -ENOMEM. */
int set_add(struct set *s, u64 n);
void set_remove(struct set *s, u64 n);
void set_free(struct set *s);

#endif
