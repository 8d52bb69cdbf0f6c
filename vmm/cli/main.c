/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program anykvm: finds the command and its help. Exit status: 0, 1 for an
 * error, 2 for a wrong command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "commands.h"
#include "options.h"
#include "tables.h"

#ifndef ANYKVM_VERSION
#define ANYKVM_VERSION "unknown"
#endif

static const struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
	void (*help)(void);
} commands[] = {
	{ "run", "run a virtual machine: from a disk image, or a kernel", command_run, help_run },
	{ "exec", "run a program that uses /dev/kvm, such as QEMU", command_exec, help_exec },
	{ "image", "make, convert, check and resize disk images", command_image, help_image },
	{ "ps", "list the running machines", command_ps, help_ps },
	{ "stop", "shut a running machine down", command_stop, help_stop },
	{ "console", "connect this terminal to a running machine", command_console, help_console },
	{ "qmp", "have a running machine execute a QMP command", command_qmp, help_qmp },
	{ "info", "tell what this host offers and which engine would be used", command_info,
	  help_info },
	{ "completion", "print the rules by which a shell completes command lines",
	  command_completion, help_completion },
	{ "manual", "make a page of the manual, for building anykvm", command_manual,
	  help_manual },
};

static const struct command *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

const char *command_summary(const char *name)
{
	const struct command *c = find(name);

	return c ? c->summary : NULL;
}

const char *command_name(unsigned int n)
{
	return n < ARRAY_SIZE(commands) ? commands[n].name : NULL;
}

static void print_help(void)
{
	unsigned int i;

	printf("anykvm " ANYKVM_VERSION ": virtual machines on any x86-64 Linux host\n\n"
	       "usage: anykvm COMMAND [OPTION]...\n\ncommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	printf("  %-10s %s\n", "help", "show the help of a command: anykvm help run");
	printf("\noptions:\n"
	       "  --help     show this help\n"
	       "  --version  show the version\n");
}

/* Standard output is only known to be written once it is flushed. */
static int finish_output(void)
{
	if (fflush(stdout) == EOF || ferror(stdout))
		return error("cannot write to standard output: %s", strerror(errno)), 1;
	return 0;
}

static int help(int argc, char **argv)
{
	const struct command *c = argc > 0 ? find(argv[0]) : NULL;

	if (argc > 1)
		return error("help takes one command (try --help)"), EXIT_USAGE;
	if (argc > 0 && !c)
		return error("unknown command '%s' (try --help)", argv[0]), EXIT_USAGE;
	if (c)
		c->help();
	else
		print_help();
	return finish_output();
}

/*
 * Standard descriptors that are closed would be given to files and devices
 * opened later, which then got what is meant for the terminal.
 */
static void open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *c;
	int status;

	open_standard_descriptors();
	if (argc < 2)
		return error("no command given (try --help)"), EXIT_USAGE;
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("anykvm " ANYKVM_VERSION "\n");
		return finish_output();
	}
	c = find(argv[1]);
	if (!c)
		return error("unknown %s '%s' (try --help)",
			     argv[1][0] == '-' ? "option" : "command", argv[1]), EXIT_USAGE;
	status = c->run(argc - 2, argv + 2);
	return status ? status : finish_output();
}
