/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options from a file, in the same words as on the command line; options.h tells the form. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "options.h"

#define FILES_DEEP 8		/* that name each other */

/* A line without its end; what it says, or NULL when it says nothing. */
static char *trim(char *line)
{
	size_t len = strlen(line);

	while (len && strchr(" \t\r\n", line[len - 1]))
		line[--len] = 0;
	line += strspn(line, " \t");
	return *line && *line != '#' ? line : NULL;
}

static bool takes_value(const struct option_def *table, const char *option)
{
	while (table->name && strcmp(table->name, option))
		table++;
	return !table->name || table->arg;	/* an unknown one is told as that */
}

/* Values live as long as the process: a copy in a list, or NULL. */
static char *keep(const char *before, const char *text, size_t len)
{
	static struct kept {
		struct kept *next;
		char text[];
	} *all;
	size_t first = strlen(before);
	struct kept *k = malloc(sizeof(*k) + first + len + 1);

	if (!k)
		return NULL;
	memcpy(k->text, before, first);
	memcpy(k->text + first, text, len);
	k->text[first + len] = 0;
	k->next = all;
	all = k;
	return k->text;
}

static int take_line(const struct option_def *table, void *ctx, const char *line)
{
	size_t len = strcspn(line, " \t");
	const char *value = line + len;
	char *option, *argv[2];
	int r;

	if (*line == '-')
		return error("'%.*s' is written without dashes", (int)len, line);
	value += strspn(value, " \t");
	argv[0] = option = keep("--", line, len);
	argv[1] = keep("", value, strlen(value));
	if (!argv[0] || !argv[1])
		return error("out of memory");
	if (strchr(option, '='))
		return error("'%s': a blank divides an option from its value", line);
	if (*argv[1] && !takes_value(table, option))
		return error("option %s takes no value", option + 2);
	r = options_parse(table, ctx, *argv[1] ? 2 : 1, argv);
	return r > 0 ? error("a file cannot ask for help") : r;
}

static int take_file(const struct option_def *table, void *ctx, const char *path, FILE *f)
{
	char *line = NULL, *said, why[512];
	unsigned int number;
	size_t size = 0;
	int err = 0;

	for (number = 1; !err && getline(&line, &size, f) >= 0; number++) {
		said = trim(line);
		if (!said)
			continue;
		error_catch(why, sizeof(why));
		err = take_line(table, ctx, said);
		error_catch(NULL, 0);
		if (err && why[0])	/* else a file that this line names told it */
			error("%s:%u: %s", path, number, why);
	}
	if (!err && ferror(f))
		err = error("cannot read %s: %s", path, strerror(errno));
	free(line);
	return err;
}

int options_file(const struct option_def *table, void *ctx, const char *path)
{
	static unsigned int depth;
	FILE *f;
	int err;

	if (depth == FILES_DEEP)
		return error("%s: too many files of options that name each other", path);
	f = fopen(path, "re");
	if (!f)
		return error("cannot open %s: %s", path, strerror(errno));
	depth++;
	err = take_file(table, ctx, path, f);
	depth--;
	fclose(f);
	return err;
}
