/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "manual", with which the build makes the pages of the manual: it
 * prints a page in mdoc(7), in which lines that begin with "@" are replaced:
 *
 *	@OPTIONS COMMAND	the list of the command's options
 *	@COMMANDS		the list of all commands
 *	@SUMMARY COMMAND	the line on what the command is
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "commands.h"
#include "tables.h"

/* Characters that mean something to mdoc at the beginning of a line, or anywhere. */
static void print_text(const char *s, size_t n)
{
	if (n && (*s == '.' || *s == '\''))
		printf("\\&");
	for (; n; n--, s++) {
		if (*s == '\\')
			printf("\\e");
		else if (*s == '-')
			printf("\\-");
		else
			putchar(*s);
	}
}

/* Lines of the help are lines of the page. */
static void print_help_lines(const char *help)
{
	const char *end;

	for (;; help = end + 1) {
		help += strspn(help, " ");
		end = strchrnul(help, '\n');
		print_text(help, (size_t)(end - help));
		putchar('\n');
		if (!*end)
			return;
		printf(".br\n");
	}
}

static int print_options(const char *command)
{
	const struct command_table *t;
	const struct option_def *o;

	for (t = command_tables; t->name && strcmp(t->name, command); t++)
		;
	if (!t->name)
		return error("manual: there is no command '%s'", command);
	printf(".Bl -tag -width Ds\n");
	for (o = t->options; o && o->name; o++) {
		printf(".It Fl ");
		print_text(o->name + 1, strlen(o->name + 1));
		if (o->arg) {
			printf(" Ar ");
			print_text(o->arg, strlen(o->arg));
		}
		putchar('\n');
		print_help_lines(o->help);
	}
	printf(".It Fl \\-help\nshow a short help\n.El\n");
	return 0;
}

static void print_commands(void)
{
	const char *name;
	unsigned int i;

	printf(".Bl -tag -width completion\n");
	for (i = 0; (name = command_name(i)); i++)
		printf(".It Cm %s\n%s\n", name, command_summary(name));
	printf(".El\n");
}

static int print_line(char *line)
{
	char *word;

	line[strcspn(line, "\n")] = 0;
	word = strchrnul(line, ' ');
	if (*word)
		*word++ = 0;
	if (!strcmp(line, "@OPTIONS"))
		return print_options(word);
	if (!strcmp(line, "@COMMANDS"))
		return print_commands(), 0;
	if (!strcmp(line, "@SUMMARY") && command_summary(word))
		return printf(".Nd %s\n", command_summary(word)), 0;
	return error("manual: '%s %s' is not known", line, word);
}

void help_manual(void)
{
	printf("usage: anykvm manual FILE\n\n"
	       "Prints a page of the manual from its template: for building anykvm.\n");
}

int command_manual(int argc, char **argv)
{
	char line[1024];
	FILE *f;
	int err = 0;

	if (argc != 1)
		return error("manual takes the template of a page (try --help)"), EXIT_USAGE;
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		help_manual();
		return 0;
	}
	f = fopen(argv[0], "re");
	if (!f)
		return error("cannot open %s: %s", argv[0], strerror(errno)), 1;
	while (!err && fgets(line, sizeof(line), f)) {
		if (*line == '@')
			err = print_line(line);
		else
			fputs(line, stdout);
	}
	fclose(f);
	return err < 0;
}
