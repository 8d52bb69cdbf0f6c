/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache of tables: a hash by offset, and the slot that was not used for longest goes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

#define ALIGN 4096		/* of the memory: O_DIRECT takes it */

static void lock(struct cache *c)
{
	if (c->lock)
		pthread_mutex_lock(c->lock);
}

static void unlock(struct cache *c)
{
	if (c->lock)
		pthread_mutex_unlock(c->lock);
}

static struct table **chain(struct cache *c, u64 offset)
{
	return &c->hash[(offset / c->size) % c->slots];
}

int cache_init(struct cache *c, struct file *f, size_t size, unsigned int slots,
	       pthread_mutex_t *mutex)
{
	memset(c, 0, sizeof(*c));
	c->file = f;
	c->size = size;
	c->slots = slots;
	c->lock = mutex;
	c->slot = calloc(slots, sizeof(*c->slot));
	c->hash = calloc(slots, sizeof(struct table *));
	if (!c->slot || !c->hash) {
		cache_destroy(c);
		return -ENOMEM;
	}
	return 0;
}

void cache_destroy(struct cache *c)
{
	unsigned int i;

	for (i = 0; c->slot && i < c->slots; i++)
		free(c->slot[i].data);
	free(c->slot);
	free(c->hash);
	c->slot = NULL;
	c->hash = NULL;
}

struct table *cache_find(struct cache *c, u64 offset)
{
	struct table *t;

	for (t = *chain(c, offset); t; t = t->next)
		if (t->offset == offset) {
			t->used = ++c->clock;
			return t;
		}
	return NULL;
}

static void unlink_table(struct cache *c, struct table *t)
{
	struct table **p = chain(c, t->offset);

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->offset = 0;
	if (t->dirty)
		c->ndirty--;
	t->dirty = false;
}

/* An empty slot with memory, out of all lists; its content is undefined. */
static int make_room(struct cache *c, struct table **out)
{
	struct table *t = &c->slot[0];
	unsigned int i;
	int err = 0;

	lock(c);
	for (i = 0; i < c->slots && t->offset; i++)
		if (!c->slot[i].offset || c->slot[i].used < t->used)
			t = &c->slot[i];
	unlock(c);
	if (t->offset && t->dirty)
		err = c->evict(c->arg, t);
	if (err)
		return err;
	lock(c);
	if (t->offset)
		unlink_table(c, t);
	unlock(c);
	if (!t->data)
		t->data = aligned_alloc(ALIGN, align_up(c->size, ALIGN));
	*out = t;
	return t->data ? 0 : -ENOMEM;
}

static void insert(struct cache *c, struct table *t, u64 offset, bool dirty)
{
	struct table **p = chain(c, offset);

	lock(c);
	t->offset = offset;
	t->used = ++c->clock;
	t->dirty = dirty;
	c->ndirty += dirty;
	t->next = *p;
	*p = t;
	unlock(c);
}

static struct table *find_locked(struct cache *c, u64 offset)
{
	struct table *t;

	lock(c);
	t = cache_find(c, offset);
	unlock(c);
	return t;
}

int cache_get(struct cache *c, u64 offset, struct table **t)
{
	int err;

	*t = find_locked(c, offset);
	if (*t)
		return 0;
	err = make_room(c, t);
	if (!err)
		err = file_read(c->file, offset, (*t)->data, c->size);
	if (!err)
		insert(c, *t, offset, false);
	return err;
}

int cache_new(struct cache *c, u64 offset, struct table **t)
{
	int err;

	cache_drop(c, offset);
	err = make_room(c, t);
	if (err)
		return err;
	memset((*t)->data, 0, c->size);
	insert(c, *t, offset, true);
	return 0;
}

void cache_dirty(struct cache *c, struct table *t)
{
	if (!t->dirty)
		c->ndirty++;
	t->dirty = true;
}

void cache_drop(struct cache *c, u64 offset)
{
	struct table *t;

	lock(c);
	t = cache_find(c, offset);
	if (t)
		unlink_table(c, t);
	unlock(c);
}

int cache_write(struct cache *c, struct table *t)
{
	int err = file_write(c->file, t->offset, t->data, c->size);

	if (!err && t->dirty) {
		t->dirty = false;
		c->ndirty--;
	}
	return err;
}

int cache_write_all(struct cache *c)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < c->slots && c->ndirty && !err; i++)
		if (c->slot[i].offset && c->slot[i].dirty)
			err = cache_write(c, &c->slot[i]);
	return err;
}
