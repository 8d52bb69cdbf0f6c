/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices of a machine: making them by the name of their class, finding, freeing. */
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "device.h"

const struct device_class *device_find_class(const char *name)
{
	const struct device_class *const *c;

	for (c = device_classes; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

struct device *device_find(const struct devices *all, const char *id)
{
	struct device *d;

	for (d = all->first; d; d = d->next)
		if (!strcmp(d->id, id))
			return d;
	return NULL;
}

struct device *device_create(struct devices *all, struct board *b, struct props *p)
{
	const struct device_class *class = device_find_class(p->type);
	const char *id = props_string(p, "id", "");
	struct device *d;

	if (!class) {
		error("there is no device '%s' (--device help lists them)", p->type);
		return NULL;
	}
	if (strlen(id) >= DEVICE_ID_MAX || (*id && device_find(all, id))) {
		error("%s: the id '%s' is %s", p->type, id,
		      strlen(id) >= DEVICE_ID_MAX ? "too long" : "already in use");
		return NULL;
	}
	d = class->create(b, p);
	if (!d)
		return NULL;
	d->class = class;
	d->board = b;
	strcpy(d->id, id);
	d->next = all->first;
	all->first = d;
	return d;
}

struct device *device_create_text(struct devices *all, struct board *b, const char *text)
{
	struct device *d = NULL;
	struct props p;

	if (props_parse(&p, text) == 0)
		d = device_create(all, b, &p);
	props_free(&p);
	return d;
}

void device_destroy(struct devices *all, struct device *d)
{
	struct device **at = &all->first;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	d->class->destroy(d);
}

void devices_destroy(struct devices *all)
{
	while (all->first)
		device_destroy(all, all->first);
}
