/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "anykvm image check". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "image.h"
#include "progress.h"

enum { EXIT_FAILED = 1, EXIT_LEAKS = 3, EXIT_ERRORS = 4 };

static void report(void *arg, bool leak, const char *text)
{
	progress_end(arg);
	printf("%s: %s\n", leak ? "leak" : "error", text);
}

static int conclude(const struct image_check *c)
{
	u64 errors = c->errors - c->fixed_errors, leaks = c->leaks - c->fixed_leaks;
	char text[32];

	if (c->fixed_errors || c->fixed_leaks)
		printf("%llu errors and %llu leaks were repaired\n",
		       (unsigned long long)c->fixed_errors, (unsigned long long)c->fixed_leaks);
	if (errors || leaks)
		printf("%llu errors, %llu leaks\n", (unsigned long long)errors,
		       (unsigned long long)leaks);
	else
		printf("nothing is wrong\n");
	printf("%llu of %llu clusters hold data, %llu of them compressed; the image ends at %s\n",
	       (unsigned long long)c->allocated, (unsigned long long)c->clusters,
	       (unsigned long long)c->compressed, size_text(c->end, text));
	return errors ? EXIT_ERRORS : leaks ? EXIT_LEAKS : 0;
}

int image_command_check(const struct image_args *a)
{
	const struct block_options o = {
		.format = a->spec.format, .readonly = a->repair == REPAIR_NONE, .examine = true,
		.no_backing = true,
	};
	struct progress p = { .what = "checking" };
	struct image_check c = { .report = report, .progress = progress_show, .arg = &p };
	struct block *b = block_open(a->file[0], &o);
	int err, status;

	if (!b)
		return EXIT_FAILED;
	err = image_check(b, a->repair, &c);
	progress_end(&p);
	if (err == -ENOTSUP)
		error("%s is a raw image: there is nothing to check", a->file[0]);
	else if (err)
		error("%s: the check failed: %s", a->file[0], strerror(-err));
	status = err ? EXIT_FAILED : conclude(&c);
	err = block_close(b);
	if (err && a->repair != REPAIR_NONE)
		return error("%s: cannot be written: %s", a->file[0], strerror(-err)), EXIT_FAILED;
	return status;
}
