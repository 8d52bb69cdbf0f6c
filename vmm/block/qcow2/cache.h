/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cache of tables of one cluster each, by their offset in the file. All calls
 * but cache_find are for the holder of the image's `meta` lock; `lock`, if there
 * is one, is taken while what cache_find looks at changes.
 */
#ifndef VMM_BLOCK_QCOW2_CACHE_H
#define VMM_BLOCK_QCOW2_CACHE_H

#include <pthread.h>

#include "../file.h"

struct table {
	u64 offset;		/* 0: the slot is empty */
	u64 used;		/* when it was last */
	u8 *data;
	struct table *next;	/* of the same hash */
	bool dirty;
};

struct cache {
	struct file *file;
	size_t size;		/* bytes of a table */
	struct table *slot, **hash;
	unsigned int slots, ndirty;
	u64 clock;
	pthread_mutex_t *lock;	/* or NULL */
	/* Writes a dirty table and what must come before it: 0 or -errno. */
	int (*evict)(void *arg, struct table *t);
	void *arg;
};

/* 0 or -ENOMEM. Memory for a table comes with its first use. */
int cache_init(struct cache *c, struct file *f, size_t size, unsigned int slots,
	       pthread_mutex_t *lock);
void cache_destroy(struct cache *c);

/* The table at offset if it is there; with lock held, or by the holder of `meta`. */
struct table *cache_find(struct cache *c, u64 offset);
/*
 * The table at offset, read from the file if need be: 0 or -errno. It stays valid
 * until the next call of this or cache_new for the same cache.
 */
int cache_get(struct cache *c, u64 offset, struct table **t);
/* A table of zeros for offset, dirty. */
int cache_new(struct cache *c, u64 offset, struct table **t);
void cache_dirty(struct cache *c, struct table *t);
/* Forgets the table at offset, written or not. */
void cache_drop(struct cache *c, u64 offset);
/* Writes a table; it is clean then. 0 or -errno. */
int cache_write(struct cache *c, struct table *t);
/* Writes all that are dirty: 0 or -errno. */
int cache_write_all(struct cache *c);

#endif
