/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands about running machines: "ps" lists them, "stop" ends one as its
 * power button does, "qmp" has one execute a command of its control socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../error.h"
#include "commands.h"
#include "machines.h"
#include "tables.h"

#define ANSWER_NS (10 * NSEC)
#define QUIT_NS (10 * NSEC)	/* for a machine to end that is told to */
#define STOP_SECONDS 60
#define STOP_SECONDS_MAX 86400

static const char *return_text(json_t *answer, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(answer, "return"), key));

	return s ? s : "?";
}

/* The machine's answer to a command: NULL after an error line. */
static json_t *ask(struct client_qmp *c, const char *name, const char *command, json_t *arguments)
{
	int err;
	json_t *answer = client_execute(c, command, arguments, monotonic_ns() + ANSWER_NS, &err);
	json_t *failure = json_object_get(answer, "error");
	const char *why = json_string_value(json_object_get(failure, "desc"));

	if (!answer)
		error("the machine %s does not answer: %s", name, strerror(-err));
	if (!failure)
		return answer;
	error("%s: %s", command, why ? why : "the machine answers an error");
	json_decref(answer);
	return NULL;
}

/* --- ps --------------------------------------------------------------------------- */

void help_ps(void)
{
	printf("usage: anykvm ps\n\n"
	       "Lists the running machines of this user: name, process id and status.\n");
}

static void list_one(void *ctx, const char *name, struct client_qmp *c)
{
	json_t *answer = ask(c, name, "query-status", NULL);
	unsigned int *count = ctx;

	if (!answer)
		return;
	if (!(*count)++)
		printf("%-24s %8s  %s\n", "NAME", "PID", "STATUS");
	printf("%-24s %8d  %s\n", name, c->pid, return_text(answer, "status"));
	json_decref(answer);
}

int command_ps(int argc, char **argv)
{
	static const struct option_def none[] = { { NULL, NULL, NULL, NULL } };
	int err = options_parse(none, NULL, argc, argv);
	unsigned int count = 0;

	if (err > 0) {
		help_ps();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	return machines_each(list_one, &count) < 0;
}

/* --- stop --------------------------------------------------------------------------- */

struct stop {
	u64 seconds;
};

static int set_timeout(void *ctx, const char *value)
{
	struct stop *s = ctx;

	if (parse_number(value, &s->seconds) < 0 || s->seconds > STOP_SECONDS_MAX)
		return error("--timeout takes seconds, at most %d, not '%s'", STOP_SECONDS_MAX,
			     value);
	return 0;
}

const struct option_def stop_options[] = {
	{ "--timeout", "SECONDS", "how long the guest may take to shut down (default: 60);\n"
	  "0: do not ask it", set_timeout },
	{ NULL, NULL, NULL, NULL },
};

void help_stop(void)
{
	printf("usage: anykvm stop NAME|PID [OPTION]...\n\n"
	       "Presses a machine's power button and waits for the guest to shut down. When it\n"
	       "takes too long the machine is ended as if its power failed.\n\n"
	       "options:\n");
	options_print(stop_options);
}

/* True when the guest has shut down. One that was stopped runs again for that. */
static bool shut_down(struct client_qmp *c, const char *name, u64 seconds)
{
	u64 deadline = monotonic_ns() + seconds * NSEC;
	json_t *answer;

	if (!seconds)
		return false;
	answer = ask(c, name, "cont", NULL);
	json_decref(answer);
	if (!answer)
		return false;
	answer = ask(c, name, "system_powerdown", NULL);
	json_decref(answer);
	return answer && client_wait_end(c, deadline);
}

static int stop_machine(const char *name, u64 seconds)
{
	struct client_qmp c;
	json_t *answer;
	int err = 0;

	if (machines_open(&c, name, ANSWER_NS) < 0)
		return 1;
	if (!shut_down(&c, name, seconds)) {
		if (seconds)
			error("%s has not shut down in %llu s: its power is cut", name,
			      (unsigned long long)seconds);
		answer = ask(&c, name, "quit", NULL);
		json_decref(answer);
		if (!answer)
			err = -1;
		else if (!client_wait_end(&c, monotonic_ns() + QUIT_NS))
			err = error("the machine %s does not end", name);
	}
	client_close(&c);
	return err < 0;
}

int command_stop(int argc, char **argv)
{
	struct stop s = { STOP_SECONDS };
	const char *name = argc > 0 && argv[0][0] != '-' ? argv[0] : NULL;
	int err = options_parse(stop_options, &s, name ? argc - 1 : argc, name ? argv + 1 : argv);

	if (err > 0) {
		help_stop();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	if (!name)
		return error("stop needs the name or process id of a machine (try --help)"),
		       EXIT_USAGE;
	return stop_machine(name, s.seconds);
}

/* --- qmp ---------------------------------------------------------------------------- */

void help_qmp(void)
{
	printf("usage: anykvm qmp NAME|PID COMMAND [JSON]\n\n"
	       "Has a machine execute a QMP command, such as query-status, with the members of\n"
	       "a JSON object as arguments, and prints what it returns. query-commands lists\n"
	       "the commands.\n\n"
	       "anykvm qmp NAME|PID add-fd FILE passes a file, open for writing if possible, to\n"
	       "the machine, and prints the name that stands for it there.\n");
}

/* A machine in its sandbox can use a file that it cannot open. */
static int pass_file(const char *machine, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY), err = -1;
	struct client_qmp c;
	char name[32];

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error("cannot open %s: %s", path, strerror(errno)), 1;
	if (machines_open(&c, machine, ANSWER_NS) == 0) {
		err = client_pass_file(&c, machine, fd, name, monotonic_ns() + ANSWER_NS);
		client_close(&c);
	}
	close(fd);
	if (err == 0)
		printf("%s\n", name);
	return err < 0;
}

int command_qmp(int argc, char **argv)
{
	json_t *arguments = NULL, *answer = NULL;
	struct client_qmp c;
	json_error_t where;

	if (argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help_qmp();
		return 0;
	}
	if (argc < 2 || argc > 3)
		return error("qmp takes a machine, a command and its arguments (try --help)"),
		       EXIT_USAGE;
	if (argc == 3 && !strcmp(argv[1], "add-fd") && argv[2][0] != '{')
		return pass_file(argv[0], argv[2]);
	if (argc > 2) {
		arguments = json_loads(argv[2], JSON_REJECT_DUPLICATES, &where);
		if (!json_is_object(arguments)) {
			error("the arguments are no JSON object: %s", arguments ? argv[2] :
			      where.text);
			json_decref(arguments);
			return EXIT_USAGE;
		}
	}
	if (machines_open(&c, argv[0], ANSWER_NS) == 0) {
		answer = ask(&c, argv[0], argv[1], arguments);
		client_close(&c);
	}
	json_decref(arguments);
	if (!answer)
		return 1;
	json_dumpf(json_object_get(answer, "return"), stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(answer);
	return 0;
}
