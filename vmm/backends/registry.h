/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backends by name: what devices are connected to outside (disk images,
 * networks, character streams). The command line makes them before the machine
 * and they outlive its resets; a device finds its own by kind and id. Used on
 * the main thread only.
 */
#ifndef VMM_BACKENDS_REGISTRY_H
#define VMM_BACKENDS_REGISTRY_H

#include "../types.h"

struct registry;

struct registry *registry_new(void);
/* Frees every backend with the function it was added with, the newest first. */
void registry_free(struct registry *r);

/*
 * Adds a backend of a kind ("disk", "net", "chardev"). 0, or -1 after an error
 * line (the id is taken, no memory); then it is still the caller's.
 */
int registry_add(struct registry *r, const char *kind, const char *id, void *backend,
		 void (*destroy)(void *backend));
/* NULL when there is none. */
void *registry_find(const struct registry *r, const char *kind, const char *id);
/*
 * The same for a device that then has it to itself: NULL after an error line
 * when there is none or another device has it. Given back by registry_release.
 */
void *registry_claim(struct registry *r, const char *kind, const char *id);
void registry_release(struct registry *r, void *backend);
/* given, or the first of kind0, kind1, ... that is free. To be freed; NULL after an error line. */
char *registry_choose_id(const struct registry *r, const char *kind, const char *given);
/* Calls fn(ctx) for every backend of a kind, the oldest first. */
void registry_each(const struct registry *r, const char *kind,
		   void (*fn)(void *ctx, const char *id, void *backend, bool claimed), void *ctx);
/* Takes it out and destroys it: 0, -ENOENT, or -EBUSY while a device has it. */
int registry_remove(struct registry *r, const char *kind, const char *id);

#endif
