/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "screenshot": has a running machine write its screen to a file. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../error.h"
#include "commands.h"
#include "machines.h"
#include "options.h"

#define ANSWER_NS (20 * NSEC)

void help_screenshot(void)
{
	printf("usage: anykvm screenshot [NAME|PID] FILE\n\n"
	       "Writes the screen of a running machine to a file, as PNG, or as PPM when its name\n"
	       "ends in .ppm. NAME can be left out when only one machine runs.\n");
}

struct only {
	char name[NAME_MAX + 1];
	unsigned int count;
};

static void note_one(void *ctx, const char *name, struct client_qmp *c)
{
	struct only *o = ctx;

	(void)c;
	o->count++;
	snprintf(o->name, sizeof(o->name), "%s", name);
}

/* The machine that is meant when none is named: 0, or -1 after an error line. */
static int find_only(struct only *o)
{
	o->count = 0;
	if (machines_each(note_one, o) < 0)
		return -1;
	if (o->count == 1)
		return 0;
	return error(o->count ? "several machines run: name one (anykvm ps lists them)" :
		     "no machine runs");
}

/* The machine works in another directory. */
static int absolute(const char *file, char path[PATH_MAX])
{
	char dir[PATH_MAX];
	int n;

	if (file[0] == '/')
		n = snprintf(path, PATH_MAX, "%s", file);
	else if (getcwd(dir, sizeof(dir)))
		n = snprintf(path, PATH_MAX, "%s/%s", dir, file);
	else
		return error("cannot tell the working directory: %s", strerror(errno));
	return n < PATH_MAX ? 0 : error("the path '%s' is too long", file);
}

static json_t *arguments_of(const char *path)
{
	size_t n = strlen(path);

	return json_pack("{s:s, s:s}", "filename", path, "format",
			 n > 4 && !strcmp(path + n - 4, ".ppm") ? "ppm" : "png");
}

static int take_screenshot(const char *name, const char *path)
{
	json_t *arguments = arguments_of(path), *answer, *failure;
	struct client_qmp c;
	int err;

	if (!arguments)
		return error("'%s' is no name of UTF-8", path);
	if (machines_open(&c, name, ANSWER_NS) < 0) {
		json_decref(arguments);
		return -1;
	}
	answer = client_execute(&c, "screendump", arguments, monotonic_ns() + ANSWER_NS, &err);
	client_close(&c);
	json_decref(arguments);
	if (!answer)
		return error("the machine %s does not answer: %s", name, strerror(-err));
	failure = json_object_get(json_object_get(answer, "error"), "desc");
	err = failure ? error("%s", json_string_value(failure)) : 0;
	json_decref(answer);
	return err;
}

int command_screenshot(int argc, char **argv)
{
	char path[PATH_MAX];
	struct only only;

	if (argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help_screenshot();
		return 0;
	}
	if (argc < 1 || argc > 2)
		return error("screenshot takes a machine and a file (try --help)"), EXIT_USAGE;
	if (absolute(argv[argc - 1], path) < 0)
		return 1;
	if (argc == 2)
		return take_screenshot(argv[0], path) < 0;
	if (find_only(&only) < 0)
		return 1;
	return take_screenshot(only.name, path) < 0;
}
