/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of what the sandbox allows; used on the main thread while the machine is set up. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "policy.h"

struct sandbox_policy sandbox_policy;

/* The place of a path that exists, or whose folder does: 0 or -errno. */
static int find_place(const char *path, char real[PATH_MAX])
{
	char copy[PATH_MAX], last[NAME_MAX + 1], folder[PATH_MAX];

	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (realpath(path, real))
		return 0;
	strcpy(copy, path);
	if (snprintf(last, sizeof(last), "%s", basename(copy)) >= (int)sizeof(last))
		return -ENAMETOOLONG;
	strcpy(copy, path);
	if (!realpath(dirname(copy), folder))
		return -errno;
	if (snprintf(real, PATH_MAX, "%s/%s", strcmp(folder, "/") ? folder : "", last) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

int sandbox_allow(const char *path, unsigned int rights)
{
	struct sandbox_policy *p = &sandbox_policy;
	struct sandbox_rule *r;
	int err;

	if (p->entered)
		return 0;
	if (p->rules == SANDBOX_RULES_MAX)
		return error("too many files for the sandbox: at most %d", SANDBOX_RULES_MAX);
	r = realloc(p->rule, (p->rules + 1) * sizeof(*r));
	if (!r)
		return error("out of memory");
	p->rule = r;
	r += p->rules;
	err = find_place(path, r->real);
	if (err < 0)
		return error("%s: %s", path, strerror(-err));
	strcpy(r->given, path);
	r->rights = rights;
	p->rules++;
	return 0;
}

int sandbox_need(unsigned int needs, const char *what)
{
	struct sandbox_policy *p = &sandbox_policy;

	if (p->entered && needs & ~p->needs)
		return error("%s: the sandbox was entered without what this needs; have one from "
			     "the start, or start with --sandbox off", what);
	p->needs |= needs;
	return 0;
}

static bool lies_below(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	if (!strcmp(folder, "/"))
		return path[0] == '/';
	return !strncmp(path, folder, len) && path[len] == '/';
}

unsigned int sandbox_rights(const struct sandbox_policy *p, const char *given, const char *real)
{
	unsigned int i, rights = 0;

	for (i = 0; i < p->rules; i++) {
		const struct sandbox_rule *r = &p->rule[i];

		if (!strcmp(r->given, given) || !strcmp(r->real, real) ||
		    (r->rights & SANDBOX_TREE && lies_below(r->real, real)))
			rights |= r->rights;
	}
	return rights;
}
