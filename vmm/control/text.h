/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arguments of commands as the text that an option of the command line has:
 * TYPE,KEY=VALUE,... with the commas within values doubled.
 */
#ifndef VMM_CONTROL_TEXT_H
#define VMM_CONTROL_TEXT_H

#include <stdio.h>

#include "commands.h"

struct text {
	FILE *f;
	char *text;
	size_t size;
	bool failed;		/* qmp_fail has told why */
};

/* Begins with the type. */
void text_begin(struct text *t, const char *type, struct qmp_error *e);
void text_add(struct text *t, const char *key, const char *value);
/* A string, boolean or number; others fail. NULL is nothing. */
void text_add_json(struct text *t, const char *key, json_t *value, struct qmp_error *e);
/* The text, to be freed; NULL after qmp_fail. */
char *text_end(struct text *t, struct qmp_error *e);

#endif
