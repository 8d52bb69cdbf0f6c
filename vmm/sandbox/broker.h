/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opener: a process of the user's own, outside of the sandbox, that opens
 * the files which the policy names for the process inside, and passes the
 * descriptors. It knows nothing else and ends with that process.
 */
#ifndef VMM_SANDBOX_BROKER_H
#define VMM_SANDBOX_BROKER_H

#include <sys/stat.h>

#include "policy.h"

enum broker_op { BROKER_OPEN, BROKER_STAT, BROKER_LSTAT, BROKER_REMOVE, BROKER_LINK,
		 BROKER_RENAME };

struct broker_request {
	u32 op;
	int flags;		/* of open(2) */
	u32 mode;
	char path[PATH_MAX];
	char to[PATH_MAX];	/* of BROKER_RENAME: the new name */
};

#define BROKER_LINK_MAX 64

union broker_data {
	struct stat st;
	char link[BROKER_LINK_MAX];	/* what /proc tells of a descriptor; cut to fit */
};

/* Of the process's own descriptors: their kind is told, and memory files are opened anew. */
#define BROKER_OWN_FDS "/proc/self/fd/"

/* Starts the opener: the socket to it, or -1 after an error line. */
int broker_start(const struct sandbox_policy *p);

/*
 * Asks it: a descriptor, the length of a link, 0, or -errno; -EACCES is what the
 * policy forbids. May be called from a signal handler and from several threads.
 */
int broker_ask(int fd, const struct broker_request *r, union broker_data *data);

#endif
