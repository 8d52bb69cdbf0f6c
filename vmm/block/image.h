/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What block.c, queue.c and track.c know of an open image. */
#ifndef VMM_BLOCK_IMAGE_H
#define VMM_BLOCK_IMAGE_H

#include "node.h"

struct request_list {
	struct block_request *first, *last;
};

struct block {
	struct node *node;
	bool writethrough;

	pthread_mutex_t lock;		/* of all below */
	struct request_list active;	/* tracked: under way */
	struct request_list waiting;	/* for others to be done, by age */
	struct request_list held;	/* that found the host's disk full */
	bool stopped;			/* the handler was told */
	void (*stop)(void *arg, int err);
	void *stop_arg;
};

void list_add(struct request_list *l, struct block_request *r);
void list_remove(struct request_list *l, struct block_request *r);

/* --- track.c ----------------------------------------------------------------------- */

/*
 * Notes that r goes to work on its range, alone if exclusive. False: it has to
 * wait, and run(&r->job) is called by the pool when its time has come.
 */
bool track(struct block *b, struct block_request *r, bool exclusive);
/* Makes a tracked request an exclusive one; false as above. */
bool track_alone(struct block *b, struct block_request *r);
/* r is done: those that waited for it are run. */
void untrack(struct block *b, struct block_request *r);

#endif
