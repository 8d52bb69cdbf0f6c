/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsing and taking of properties; props.h tells their form. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../cli/options.h"
#include "../error.h"
#include "props.h"

/* Ends the item at s in place, undoubles its commas: where the next begins, or NULL. */
static char *cut_item(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == ',') {
			if (s[1] != ',') {
				*to = 0;
				return s + 1;
			}
			s++;
		}
		*to++ = *s;
	}
	*to = 0;
	return NULL;
}

int props_add(struct props *p, const char *key, const char *value)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (!strcmp(p->p[i].key, key) && (!p->repeatable || strcmp(p->repeatable, key)))
			return error("%s: property '%s' is given twice", p->type, key);
	if (p->count == PROPS_MAX)
		return error("%s: too many properties", p->type);
	p->p[p->count].key = key;
	p->p[p->count].value = value;
	p->p[p->count++].taken = false;
	return 0;
}

int props_parse(struct props *p, const char *text)
{
	return props_parse_lists(p, text, NULL);
}

int props_parse_lists(struct props *p, const char *text, const char *repeatable)
{
	char *item, *next, *value;

	memset(p, 0, sizeof(*p));
	p->repeatable = repeatable;
	p->text = strdup(text);
	if (!p->text)
		return error("out of memory");
	next = cut_item(p->text);
	p->type = p->text;
	if (!*p->type || strchr(p->type, '='))
		return error("'%s' does not begin with a type", text);
	while ((item = next)) {
		next = cut_item(item);
		value = strchr(item, '=');
		if (value)
			*value++ = 0;
		if (!*item)
			return error("'%s' has a property without a name", text);
		if (props_add(p, item, value ? value : "on") < 0)
			return -1;
	}
	return 0;
}

void props_free(struct props *p)
{
	free(p->text);
	memset(p, 0, sizeof(*p));
}

const char *props_string(struct props *p, const char *key, const char *fallback)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (!strcmp(p->p[i].key, key)) {
			p->p[i].taken = true;
			return p->p[i].value;
		}
	return fallback;
}

const char *props_next(struct props *p, const char *key)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (!p->p[i].taken && !strcmp(p->p[i].key, key)) {
			p->p[i].taken = true;
			return p->p[i].value;
		}
	return NULL;
}

static void wrong(struct props *p, const char *key, const char *value, const char *what)
{
	error("%s: %s=%s is not %s", p->type, key, value, what);
	p->failed = true;
}

bool props_bool(struct props *p, const char *key, bool fallback)
{
	static const char *const yes[] = { "on", "yes", "true", "1" };
	static const char *const no[] = { "off", "no", "false", "0" };
	const char *v = props_string(p, key, NULL);
	unsigned int i;

	if (!v)
		return fallback;
	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(v, yes[i]))
			return true;
		if (!strcmp(v, no[i]))
			return false;
	}
	wrong(p, key, v, "on or off");
	return fallback;
}

u64 props_number(struct props *p, const char *key, u64 fallback, u64 min, u64 max)
{
	const char *v = props_string(p, key, NULL);
	char *end;
	u64 n;

	if (!v)
		return fallback;
	errno = 0;
	n = strtoull(v, &end, strncmp(v, "0x", 2) ? 10 : 16);
	if (errno || end == v || *end || *v < '0' || *v > '9') {
		wrong(p, key, v, "a number");
	} else if (n < min || n > max) {
		error("%s: %s=%s is not from %llu to %llu", p->type, key, v,
		      (unsigned long long)min, (unsigned long long)max);
		p->failed = true;
	} else {
		return n;
	}
	return fallback;
}

u64 props_size(struct props *p, const char *key, u64 fallback)
{
	const char *v = props_string(p, key, NULL);
	u64 n;

	if (!v)
		return fallback;
	if (parse_size(v, &n) == 0)
		return n;
	wrong(p, key, v, "a size such as 512M or 2G");
	return fallback;
}

unsigned int props_choice(struct props *p, const char *key, unsigned int fallback,
			  const char *const names[])
{
	const char *v = props_string(p, key, NULL);
	char list[256] = "one of:";
	unsigned int i;

	if (!v)
		return fallback;
	for (i = 0; names[i]; i++) {
		if (!strcmp(v, names[i]))
			return i;
		if (strlen(list) + strlen(names[i]) + 2 < sizeof(list)) {
			strcat(list, " ");
			strcat(list, names[i]);
		}
	}
	wrong(p, key, v, list);
	return fallback;
}

void props_missing(struct props *p, const char *key, const char *what)
{
	error("%s needs %s=%s", p->type, key, what);
	p->failed = true;
}

void props_print_value(FILE *f, const char *value)
{
	for (; *value; value++) {
		if (*value == ',')
			fputc(',', f);
		fputc(*value, f);
	}
}

char *props_device(struct props *p, const char *type, const char *key, const char *id)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	unsigned int i;

	if (!f) {
		error("out of memory");
		return NULL;
	}
	fprintf(f, "%s,%s=", type, key);
	props_print_value(f, id);
	for (i = 0; i < p->count; i++) {
		if (p->p[i].taken)
			continue;
		p->p[i].taken = true;
		fprintf(f, ",%s=", p->p[i].key);
		props_print_value(f, p->p[i].value);
	}
	if (fclose(f) == 0)
		return text;
	error("out of memory");
	free(text);
	return NULL;
}

int props_finish(struct props *p)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (!p->p[i].taken) {
			error("%s has no property '%s'", p->type, p->p[i].key);
			p->failed = true;
		}
	return p->failed ? -1 : 0;
}
