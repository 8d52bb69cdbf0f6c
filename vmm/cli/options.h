/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command line options: one table a command gives both the parsing and the
 * help text.
 */
#ifndef VMM_CLI_OPTIONS_H
#define VMM_CLI_OPTIONS_H

#include "../types.h"

struct option_def {
	const char *name;	/* with its dashes; NULL ends the table */
	const char *arg;	/* name of its argument for the help, or NULL: it has none */
	const char *help;	/* "\n" begins a further line */
	/* negative after an error line; value is NULL for an option without argument */
	int (*set)(void *ctx, const char *value);
};

/* Functions for set: one that notes the value, and one that notes that it was there. */
#define OPTION_TEXT(fn, type, member)				\
	static int fn(void *ctx, const char *value)		\
	{							\
		((type *)ctx)->member = value;			\
		return 0;					\
	}
#define OPTION_FLAG(fn, type, member)				\
	static int fn(void *ctx, const char *value)		\
	{							\
		(void)value;					\
		((type *)ctx)->member = true;			\
		return 0;					\
	}

#define EXIT_USAGE 2

/*
 * Parses argv[0..argc-1], which are all options (--name VALUE or --name=VALUE).
 * 0, 1 when --help was among them, or -1 after an error line.
 */
int options_parse(const struct option_def *table, void *ctx, int argc, char **argv);

/*
 * The same with words between the options: other(ctx, word) takes each of them.
 */
int options_parse_mixed(const struct option_def *table, void *ctx, int argc, char **argv,
			int (*other)(void *ctx, const char *word));

/*
 * Takes options from a file: a line each, NAME or NAME VALUE, where NAME is the
 * option's without its dashes and VALUE all that follows, but blanks at its end.
 * Empty lines and those that begin with "#" are passed over. What the values
 * are noted as stays until the process ends. 0, or -1 after an error line.
 */
int options_file(const struct option_def *table, void *ctx, const char *path);

/* For an option that comes several times: notes one more value. 0, or -1 after an error line. */
int options_add(const char *option, const char *value, const char **list, unsigned int *n,
		unsigned int max);

/* For one that takes certain words, which end with a NULL: which, or -1 after an error line. */
int options_choice(const char *option, const char *value, const char *const *words);

/* The lines of the table on standard output. */
void options_print(const struct option_def *table);

/*
 * A size such as 512M, 2G or 1048576: bytes, KiB, MiB, GiB or TiB. 0, or -1
 * when it is none; says nothing.
 */
int parse_size(const char *s, u64 *size);

/* A decimal number without sign. 0, or -1 when it is none; says nothing. */
int parse_number(const char *s, u64 *n);

#endif
