/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the process may still do once it is in its sandbox, as the parts of the
 * machine ask for it while they are set up. Of files, whoever opens one again
 * later (a kernel at a reset), or removes it at the end (a socket), says so.
 */
#ifndef VMM_SANDBOX_POLICY_H
#define VMM_SANDBOX_POLICY_H

#include <limits.h>

#include "../types.h"

#define SANDBOX_RULES_MAX 128

enum sandbox_right {
	SANDBOX_READ = 1,	/* open for reading; stat */
	SANDBOX_WRITE = 2,	/* open for writing, and create */
	SANDBOX_REMOVE = 4,
	SANDBOX_TREE = 8,	/* the same of all that lies below a folder */
};

enum sandbox_need {
	SANDBOX_INET = 1,	/* sockets of the Internet's protocols */
	SANDBOX_KVM = 2,	/* the kernel's KVM */
};

struct sandbox_rule {
	unsigned int rights;
	char given[PATH_MAX];	/* as it was named */
	char real[PATH_MAX];	/* absolute, without symbolic links */
};

struct sandbox_policy {
	struct sandbox_rule *rule;
	unsigned int rules;
	unsigned int needs;	/* SANDBOX_INET ... */
	bool entered;		/* it is too late for more */
};

extern struct sandbox_policy sandbox_policy;

/*
 * Lets the process open (remove, ...) path, which need not exist yet, in its
 * sandbox. 0, or -1 after an error line. Nothing when it is there already.
 */
int sandbox_allow(const char *path, unsigned int rights);
/*
 * Asks for SANDBOX_INET and the like. 0, or -1 after an error line when the process is
 * in its sandbox without that; what is what the user wants it for.
 */
int sandbox_need(unsigned int needs, const char *what);

/* The rights that a file has by its name (given), or its place (real); 0: none. */
unsigned int sandbox_rights(const struct sandbox_policy *p, const char *given, const char *real);

#endif
