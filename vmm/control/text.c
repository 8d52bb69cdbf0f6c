/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options from JSON: see text.h. */
#include <stdlib.h>
#include <string.h>

#include "../devices/props.h"
#include "text.h"

void text_begin(struct text *t, const char *type, struct qmp_error *e)
{
	memset(t, 0, sizeof(*t));
	t->f = open_memstream(&t->text, &t->size);
	if (!t->f) {
		qmp_fail(e, "out of memory");
		t->failed = true;
		return;
	}
	props_print_value(t->f, type);
}

void text_add(struct text *t, const char *key, const char *value)
{
	if (!t->f)
		return;
	fprintf(t->f, ",%s=", key);
	props_print_value(t->f, value);
}

/* A key that would be read as something else. */
static bool key_ok(const char *key)
{
	return *key && !strpbrk(key, ",=");
}

void text_add_json(struct text *t, const char *key, json_t *value, struct qmp_error *e)
{
	char number[32];

	if (t->failed || !value)
		return;
	if (json_is_string(value)) {
		text_add(t, key, json_string_value(value));
	} else if (json_is_boolean(value)) {
		text_add(t, key, json_is_true(value) ? "on" : "off");
	} else if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text_add(t, key, number);
	} else {
		qmp_fail(e, "parameter '%.64s' must be a string, a boolean or a whole number", key);
		t->failed = true;
	}
	if (!key_ok(key)) {
		qmp_fail(e, "'%.64s' is no name of a parameter", key);
		t->failed = true;
	}
}

char *text_end(struct text *t, struct qmp_error *e)
{
	if (t->f && fclose(t->f) && !t->failed) {
		qmp_fail(e, "out of memory");
		t->failed = true;
	}
	if (t->failed) {
		free(t->text);
		t->text = NULL;
	}
	return t->text;
}
