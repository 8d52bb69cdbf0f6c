/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that do what blocks: one pool for all images of the process. */
#ifndef VMM_BLOCK_POOL_H
#define VMM_BLOCK_POOL_H

#include "../types.h"

struct pool_job {
	void (*fn)(struct pool_job *j);
	struct pool_job *next;
};

/* Has a thread of the pool call j->fn(j); the job may be gone when that returns. */
void pool_run(struct pool_job *j);

#endif
