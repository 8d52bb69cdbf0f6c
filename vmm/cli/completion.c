/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "completion": prints the rules by which bash completes command
 * lines of anykvm, made of the tables of options. What an option's argument is
 * called tells what to offer: FILE and PATH are files, "on|off" is a choice.
 */
#include <stdio.h>
#include <string.h>

#include "../devices/device.h"
#include "../error.h"
#include "commands.h"
#include "tables.h"

void help_completion(void)
{
	printf("usage: anykvm completion bash\n\n"
	       "Prints the rules by which bash completes command lines of anykvm. They are\n"
	       "installed with anykvm; without, in a shell: source <(anykvm completion bash)\n");
}

static bool is_file(const char *arg)
{
	return !strncmp(arg, "FILE", 4) || !strncmp(arg, "PATH", 4) ||
	       !strncmp(arg, "NAME[,vars", 10);
}

/* Words divided by "|", all in small letters and digits. */
static bool is_choice(const char *arg)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz0123456789|-";

	return strchr(arg, '|') && strspn(arg, may) == strlen(arg);
}

static void print_words(const char *arg)
{
	for (; *arg; arg++)
		putchar(*arg == '|' ? ' ' : *arg);
}

static void print_argument(const char *command, const struct option_def *o)
{
	unsigned int i;

	if (!o->arg)
		return;
	printf("\t'%s %s') ", command, o->name);
	if (is_file(o->arg)) {
		printf("_anykvm_files");
	} else if (is_choice(o->arg)) {
		printf("_anykvm_words '");
		print_words(o->arg);
		printf("'");
	} else if (!strcmp(o->name, "--device")) {
		printf("_anykvm_words 'help");
		for (i = 0; device_classes[i]; i++)
			printf(" %s", device_classes[i]->name);
		printf("'");
	} else if (!strcmp(o->name, "--net")) {
		printf("_anykvm_words 'user tap, unix, none'");
	} else {
		printf(":");
	}
	printf(" ;;\n");
}

static void print_command(const struct command_table *t)
{
	static const char *const operand[] = {
		[OPERAND_NONE] = ":", [OPERAND_FILE] = "_anykvm_files",
		[OPERAND_MACHINE] = "_anykvm_machines", [OPERAND_PROGRAM] = "_anykvm_programs",
		[OPERAND_COMMAND] = "_anykvm_words \"$commands\"",
	};
	const struct option_def *o;

	printf("\t'%s') if [[ $cur == -* ]]; then _anykvm_words '--help", t->name);
	for (o = t->options; o && o->name; o++)
		printf(" %s", o->name);
	printf("'; else %s; fi ;;\n", strcmp(t->name, "completion") ? operand[t->operand] :
	       "_anykvm_words bash");
}

/* The words that can follow a command with others below it. */
static void print_below(const char *command)
{
	size_t len = strlen(command);
	const struct command_table *t;

	printf("\t'%s') _anykvm_words '--help", command);
	for (t = command_tables; t->name; t++)
		if (!strncmp(t->name, command, len) && t->name[len] == ' ')
			printf(" %s", t->name + len + 1);
	printf("' ;;\n");
}

static void print_functions(void)
{
	printf("# bash completion for anykvm, made by \"anykvm completion bash\"\n"
	       "_anykvm_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }\n"
	       "_anykvm_files() { compopt -o filenames 2>/dev/null; "
	       "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
	       "_anykvm_programs() { mapfile -t COMPREPLY < <(compgen -c -- \"$cur\"); }\n"
	       "_anykvm_machines() { _anykvm_words "
	       "\"$(\"${COMP_WORDS[0]}\" ps 2>/dev/null | awk 'NR > 1 { print $1 }')\"; }\n");
}

int command_completion(int argc, char **argv)
{
	const struct command_table *t;
	const struct option_def *o;
	const char *name;
	unsigned int i;

	if (argc == 1 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help_completion();
		return 0;
	}
	if (argc != 1 || strcmp(argv[0], "bash"))
		return error("completion takes the name of a shell, bash (try --help)"), EXIT_USAGE;
	print_functions();
	printf("_anykvm() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	       "prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal command=${COMP_WORDS[1]} commands='");
	for (i = 0; (name = command_name(i)); i++)
		printf("%s ", name);
	printf("help'\n\tCOMPREPLY=()\n"
	       "\tif ((COMP_CWORD == 1)); then _anykvm_words \"$commands --help --version\"; "
	       "return; fi\n"
	       "\tif [[ $command == image ]] && ((COMP_CWORD > 2)); then "
	       "command+=\" ${COMP_WORDS[2]}\"; fi\n"
	       "\tcase \"$command $prev\" in\n");
	for (t = command_tables; t->name; t++)
		for (o = t->options; o && o->name; o++)
			print_argument(t->name, o);
	printf("\t*) case $command in\n");
	print_below("image");
	for (t = command_tables; t->name; t++)
		print_command(t);
	printf("\tesac ;;\n\tesac\n}\ncomplete -F _anykvm anykvm\n");
	return 0;
}
