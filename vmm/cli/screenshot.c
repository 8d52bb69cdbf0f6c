/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "screenshot": has a running machine write its screen to a file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static bool is_ppm(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".ppm");
}

/* Has the machine write to a file that it is passed: 0, or -1 after an error line. */
static int dump(struct client_qmp *c, const char *machine, int fd, const char *format)
{
	u64 deadline = monotonic_ns() + ANSWER_NS;
	json_t *arguments, *answer, *failure;
	char name[32];
	int err;

	if (client_pass_file(c, machine, fd, name, deadline) < 0)
		return -1;
	arguments = json_pack("{s:s, s:s}", "filename", name, "format", format);
	answer = client_execute(c, "screendump", arguments, deadline, &err);
	json_decref(arguments);
	if (!answer)
		return error("the machine %s does not answer: %s", machine, strerror(-err));
	failure = json_object_get(json_object_get(answer, "error"), "desc");
	err = failure ? error("%s", json_string_value(failure)) : 0;
	json_decref(answer);
	return err;
}

/* The picture takes the file's place when it is whole. */
static int take_screenshot(const char *machine, const char *path)
{
	char temporary[PATH_MAX];
	struct client_qmp c;
	int fd, err = -1;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return error("the path '%s' is too long", path);
	if (machines_open(&c, machine, ANSWER_NS) < 0)
		return -1;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		error("cannot make '%s': %s", path, strerror(errno));
	} else {
		fchmod(fd, 0644);
		err = dump(&c, machine, fd, is_ppm(path) ? "ppm" : "png");
		close(fd);
		if (!err && rename(temporary, path) < 0)
			err = error("cannot write '%s': %s", path, strerror(errno));
		if (err)
			unlink(temporary);
	}
	client_close(&c);
	return err;
}

int command_screenshot(int argc, char **argv)
{
	struct only only;

	if (argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		help_screenshot();
		return 0;
	}
	if (argc < 1 || argc > 2)
		return error("screenshot takes a machine and a file (try --help)"), EXIT_USAGE;
	if (argc == 2)
		return take_screenshot(argv[0], argv[1]) < 0;
	if (find_only(&only) < 0)
		return 1;
	return take_screenshot(only.name, argv[0]) < 0;
}
