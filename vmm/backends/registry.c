/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backends by kind and id, in a list: there are few. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "registry.h"

struct item {
	struct item *next;
	char *kind, *id;
	void *backend;
	void (*destroy)(void *backend);
	bool claimed;
};

struct registry {
	struct item *first;
};

struct registry *registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

static void free_item(struct item *i)
{
	free(i->kind);
	free(i->id);
	free(i);
}

void registry_free(struct registry *r)
{
	struct item *i;

	if (!r)
		return;
	while ((i = r->first)) {
		r->first = i->next;
		if (i->destroy)
			i->destroy(i->backend);
		free_item(i);
	}
	free(r);
}

static struct item **find(struct registry *r, const char *kind, const char *id)
{
	struct item **at;

	for (at = &r->first; *at; at = &(*at)->next)
		if (!strcmp((*at)->kind, kind) && !strcmp((*at)->id, id))
			return at;
	return NULL;
}

int registry_add(struct registry *r, const char *kind, const char *id, void *backend,
		 void (*destroy)(void *backend))
{
	struct item *i;

	if (find(r, kind, id))
		return error("there are two %ss with the id '%s'", kind, id);
	i = calloc(1, sizeof(*i));
	if (!i)
		return error("out of memory");
	i->kind = strdup(kind);
	i->id = strdup(id);
	if (!i->kind || !i->id) {
		free_item(i);
		return error("out of memory");
	}
	i->backend = backend;
	i->destroy = destroy;
	i->next = r->first;
	r->first = i;
	return 0;
}

void *registry_find(const struct registry *r, const char *kind, const char *id)
{
	struct item **at = find((struct registry *)r, kind, id);

	return at ? (*at)->backend : NULL;
}

char *registry_choose_id(const struct registry *r, const char *kind, const char *given)
{
	char own[32], *id;
	unsigned int i;

	for (i = 0; !given; i++) {
		snprintf(own, sizeof(own), "%s%u", kind, i);
		if (!registry_find(r, kind, own))
			given = own;
	}
	id = strdup(given);
	if (!id)
		error("out of memory");
	return id;
}

void *registry_claim(struct registry *r, const char *kind, const char *id)
{
	struct item **at = find(r, kind, id);

	if (!at || (*at)->claimed) {
		error(at ? "the %s '%s' already belongs to another device" :
			   "there is no %s with the id '%s'", kind, id);
		return NULL;
	}
	(*at)->claimed = true;
	return (*at)->backend;
}

void registry_release(struct registry *r, void *backend)
{
	struct item *i;

	for (i = r->first; i; i = i->next)
		if (i->backend == backend)
			i->claimed = false;
}

static void each(const struct item *i, const char *kind,
		 void (*fn)(void *ctx, const char *id, void *backend, bool claimed), void *ctx)
{
	if (!i)
		return;
	each(i->next, kind, fn, ctx);
	if (!strcmp(i->kind, kind))
		fn(ctx, i->id, i->backend, i->claimed);
}

void registry_each(const struct registry *r, const char *kind,
		   void (*fn)(void *ctx, const char *id, void *backend, bool claimed), void *ctx)
{
	each(r->first, kind, fn, ctx);
}

int registry_remove(struct registry *r, const char *kind, const char *id)
{
	struct item **at = find(r, kind, id), *i;

	if (!at)
		return -ENOENT;
	i = *at;
	if (i->claimed)
		return -EBUSY;
	*at = i->next;
	if (i->destroy)
		i->destroy(i->backend);
	free_item(i);
	return 0;
}
