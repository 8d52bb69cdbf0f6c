/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process of the user's own beside the machine's, which does one thing that
 * the machine's process is not to do by itself, such as to open files. It ends
 * when the machine's process ends.
 */
#ifndef VMM_HELPER_H
#define VMM_HELPER_H

#include "types.h"

#define HELPER_SOCKET 3		/* its descriptors */
#define HELPER_KEPT 4		/* and those that it was given, in their order */
#define HELPER_KEPT_MAX 2

struct helper {
	const char *name;		/* at most 15 characters */
	int type;			/* of the socket: SOCK_STREAM, or SOCK_SEQPACKET */
	int kept[HELPER_KEPT_MAX];	/* descriptors that it gets, too */
	unsigned int nkept;
	void (*serve)(const void *arg);	/* in the process; its end is the process's */
	const void *arg;
};

/* Starts it: the socket to it, or -1 after an error line. */
int helper_start(const struct helper *h);
/* After SIGCHLD, on the thread that starts them: an error line for each that has ended. */
void helper_reap(void);

/* A system call that a helper makes. */
struct helper_call {
	int call;		/* SCMP_SYS(name) */
	unsigned int arg;	/* where mask is not 0: of this argument the bits in mask */
	u64 mask, value;	/* must be those of value */
};

/*
 * In the helper, once it has what it needs: a filter (seccomp(2)) that allows these
 * calls, the ones that messages over its socket take, and its end; any other ends it.
 * Where the host has no such filters it goes on without, and so do builds with sanitizers.
 */
void helper_confine(const struct helper_call *calls, unsigned int n);

#endif
