/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which requests may be under way together. Those that may change where data
 * lies are alone on their range, rounded to the image's granularity; so a
 * cluster is never given away under a transfer, and none is allocated twice.
 * Who has to wait is run by the pool, in the order of arrival where ranges meet;
 * a write that waits is alone then, as nobody looks where its data lies before.
 */
#include "image.h"

void list_add(struct request_list *l, struct block_request *r)
{
	r->prev = l->last;
	r->next = NULL;
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
}

void list_remove(struct request_list *l, struct block_request *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		l->first = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		l->last = r->prev;
}

static bool meet(const struct block_request *a, const struct block_request *b)
{
	return a->start < b->end && b->start < a->end && (a->exclusive || b->exclusive);
}

/* Whether one of the list, up to but not including end, stands in r's way. */
static bool meets_any(const struct request_list *l, const struct block_request *r,
		      const struct block_request *end)
{
	const struct block_request *o;

	for (o = l->first; o != end; o = o->next)
		if (o != r && meet(o, r))
			return true;
	return false;
}

static void set_range(struct block *b, struct block_request *r, bool exclusive)
{
	const u64 align = exclusive ? b->node->granularity : 1;

	r->exclusive = exclusive;
	r->start = align_down(r->offset, align);
	r->end = align_up(r->offset + r->length, align);
}

/* Moves those that need not wait any more to the active ones; *ready lists their jobs. */
static void release(struct block *b, struct pool_job **ready)
{
	struct block_request *r, *next;

	for (r = b->waiting.first; r; r = next) {
		next = r->next;
		if (meets_any(&b->active, r, NULL) || meets_any(&b->waiting, r, r))
			continue;
		list_remove(&b->waiting, r);
		list_add(&b->active, r);
		r->job.next = *ready;
		*ready = &r->job;
	}
}

static void run_all(struct pool_job *j)
{
	while (j) {
		struct pool_job *next = j->next;

		pool_run(j);
		j = next;
	}
}

bool track(struct block *b, struct block_request *r, bool exclusive)
{
	bool free;

	set_range(b, r, exclusive);
	pthread_mutex_lock(&b->lock);
	free = !meets_any(&b->active, r, NULL) && !meets_any(&b->waiting, r, NULL);
	/* who has waited is made the blocking way, by which a write may take clusters */
	if (!free && r->op == BLOCK_OP_WRITE)
		set_range(b, r, true);
	list_add(free ? &b->active : &b->waiting, r);
	pthread_mutex_unlock(&b->lock);
	return free;
}

bool track_alone(struct block *b, struct block_request *r)
{
	struct pool_job *ready = NULL;
	bool free;

	pthread_mutex_lock(&b->lock);
	set_range(b, r, true);
	free = !meets_any(&b->active, r, NULL) && !meets_any(&b->waiting, r, NULL);
	if (!free) {
		list_remove(&b->active, r);
		list_add(&b->waiting, r);
		release(b, &ready);	/* it may have been what another one waits for */
	}
	pthread_mutex_unlock(&b->lock);
	run_all(ready);
	return free;
}

void untrack(struct block *b, struct block_request *r)
{
	struct pool_job *ready = NULL;

	pthread_mutex_lock(&b->lock);
	list_remove(&b->active, r);
	if (b->waiting.first)
		release(b, &ready);
	pthread_mutex_unlock(&b->lock);
	run_all(ready);
}
