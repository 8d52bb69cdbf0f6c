/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of options by a table. Options are taken by their whole name only,
 * so that a new one never changes what an old command line means.
 */
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "options.h"

#define HELP_COLUMN 24

int parse_number(const char *s, u64 *n)
{
	u64 v = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		u64 digit = (u64)(*s - '0');

		if (*s < '0' || *s > '9' || v > (UINT64_MAX - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	*n = v;
	return 0;
}

int parse_size(const char *s, u64 *size)
{
	static const char units[] = "KMGT";
	size_t len = strlen(s);
	char digits[24];
	const char *unit;
	int shift = 0;

	if (len > 1 && (s[len - 1] == 'B' || s[len - 1] == 'b'))
		len--;		/* 512MB and 512MiB, too */
	if (len > 1 && s[len - 1] == 'i')
		len--;
	unit = len ? strchr(units, s[len - 1] & ~0x20) : NULL;
	if (unit && *unit) {
		shift = 10 * (int)(unit - units + 1);
		len--;
	} else if (s[len]) {
		return -1;
	}
	if (len >= sizeof(digits))
		return -1;
	memcpy(digits, s, len);
	digits[len] = 0;
	if (parse_number(digits, size) < 0 || *size > UINT64_MAX >> shift)
		return -1;
	*size <<= shift;
	return 0;
}

static const struct option_def *find(const struct option_def *table, const char *arg, size_t len)
{
	for (; table->name; table++)
		if (strlen(table->name) == len && !memcmp(table->name, arg, len))
			return table;
	return NULL;
}

/* One option, whose value may be the next argument: how many were taken, or -1 after an error. */
static int take_option(const struct option_def *table, void *ctx, int argc, char **argv)
{
	const char *arg = argv[0], *value = strchr(arg, '=');
	size_t len = value ? (size_t)(value - arg) : strlen(arg);
	const struct option_def *o = find(table, arg, len);
	int n = 1;

	if (!o && arg[0] != '-')
		return error("unexpected argument '%s' (try --help)", arg);
	if (!o)
		return error("unknown option '%.*s' (try --help)", (int)len, arg);
	if (!o->arg && value)
		return error("option %s takes no value", o->name);
	if (value)
		value++;
	else if (o->arg && argc == 1)
		return error("option %s needs a value (%s)", o->name, o->arg);
	else if (o->arg)
		value = argv[n++];
	return o->set(ctx, value) < 0 ? -1 : n;
}

int options_parse_mixed(const struct option_def *table, void *ctx, int argc, char **argv,
			int (*other)(void *ctx, const char *word))
{
	int i, n;

	for (i = 0; i < argc; i += n) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return 1;
		if (other && argv[i][0] != '-')
			n = other(ctx, argv[i]) < 0 ? -1 : 1;
		else
			n = take_option(table, ctx, argc - i, argv + i);
		if (n < 0)
			return -1;
	}
	return 0;
}

int options_parse(const struct option_def *table, void *ctx, int argc, char **argv)
{
	return options_parse_mixed(table, ctx, argc, argv, NULL);
}

/* --- values -------------------------------------------------------------------------- */

int options_add(const char *option, const char *value, const char **list, unsigned int *n,
		unsigned int max)
{
	if (*n == max)
		return error("too many %s options: at most %u", option, max);
	list[(*n)++] = value;
	return 0;
}

int options_choice(const char *option, const char *value, const char *const *words)
{
	char all[128] = "";
	size_t len = 0;
	int i;

	for (i = 0; words[i]; i++) {
		if (!strcmp(value, words[i]))
			return i;
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s",
					!i ? "" : words[i + 1] ? ", " : " or ", words[i]);
		if (len >= sizeof(all))
			len = sizeof(all) - 1;
	}
	return error("%s takes %s, not '%s'", option, all, value);
}

/* --- help ---------------------------------------------------------------------------- */

static void print_help_text(const char *text)
{
	const char *end;

	while ((end = strchr(text, '\n'))) {
		printf("%.*s\n%*s", (int)(end - text), text, HELP_COLUMN, "");
		text = end + 1;
	}
	printf("%s\n", text);
}

void options_print(const struct option_def *table)
{
	for (; table->name; table++) {
		int n = printf("  %s%s%s", table->name, table->arg ? " " : "",
			       table->arg ? table->arg : "");

		printf("%*s", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "");
		print_help_text(table->help);
	}
	printf("  %-*s%s\n", HELP_COLUMN - 2, "--help", "show this help");
}
