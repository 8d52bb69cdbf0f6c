/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of a device or a backend, as the user gives them:
 *
 *	TYPE[,KEY=VALUE]...		a comma within a value is written twice
 *
 * A KEY alone means KEY=on. Whoever makes the thing takes the properties that
 * it knows, each by one call, and props_finish() refuses those that are left.
 * A value that does not fit is told at once, and props_finish() fails for it,
 * so a create function asks for all it knows and then checks once.
 */
#ifndef VMM_DEVICES_PROPS_H
#define VMM_DEVICES_PROPS_H

#include <stdio.h>

#include "../types.h"

#define PROPS_MAX 48

struct props {
	char *text;		/* owns what the pointers below point to */
	const char *type;
	struct {
		const char *key, *value;
		bool taken;
	} p[PROPS_MAX];
	unsigned int count;
	const char *repeatable;	/* a key, or NULL */
	bool failed;
};

/* Parses text: 0, or -1 after an error line. props_free in either case. */
int props_parse(struct props *p, const char *text);
void props_free(struct props *p);
/* The same for a text in which one key may be given several times; for props_next. */
int props_parse_lists(struct props *p, const char *text, const char *repeatable);
/* Adds one (the strings are copied by nobody and must live on): 0, or -1 after an error line. */
int props_add(struct props *p, const char *key, const char *value);

/* The value, or fallback when it is not given. The text lives as long as p. */
const char *props_string(struct props *p, const char *key, const char *fallback);
/* The next value of a key that may be given several times; NULL when all were taken. */
const char *props_next(struct props *p, const char *key);
bool props_bool(struct props *p, const char *key, bool fallback);
/* Decimal, or hexadecimal after 0x, from min to max. */
u64 props_number(struct props *p, const char *key, u64 fallback, u64 min, u64 max);
/* As 512M or 2G. */
u64 props_size(struct props *p, const char *key, u64 fallback);
/* One of names (ended by NULL): its index. */
unsigned int props_choice(struct props *p, const char *key, unsigned int fallback,
			  const char *const names[]);
/* Says that a property is needed and not there. */
void props_missing(struct props *p, const char *key, const char *what);

/*
 * The text of a device for --device, connected to a backend by key=id, with all properties that
 * nobody took, which then are taken. To be freed; NULL after an error line.
 */
char *props_device(struct props *p, const char *type, const char *key, const char *id);

/* Writes a value as it is given, with its commas doubled. */
void props_print_value(FILE *f, const char *value);

/* 0 when all properties were taken and all fitted; else -1 after an error line. */
int props_finish(struct props *p);

#endif
