/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other side of QMP: how anykvm's own commands talk to running machines. */
#ifndef VMM_CONTROL_CLIENT_H
#define VMM_CONTROL_CLIENT_H

#include <jansson.h>

#include "frame.h"

struct client_qmp {
	int fd;
	int pid;		/* of the machine's process; 0: unknown */
	struct frame frame;
	char in[4096];		/* in[at..len-1] is not looked at yet */
	size_t at, len;
};

/*
 * Connects to a socket and negotiates, at most until the deadline (of the
 * monotonic clock): 0 or -errno. It is to be closed after success only.
 */
int client_open(struct client_qmp *c, const char *path, u64 deadline);
void client_close(struct client_qmp *c);

/*
 * Executes a command; arguments (NULL: none) keep their reference. The
 * answer, an object with "return" or "error", or NULL with *err (-errno) when
 * none comes until the deadline.
 */
json_t *client_execute(struct client_qmp *c, const char *command, json_t *arguments,
		       u64 deadline, int *err);

/*
 * Passes an open file to the machine, under the name that is written to name: 0, or -1
 * after an error line. machine is what the user calls it.
 */
int client_pass_file(struct client_qmp *c, const char *machine, int fd, char name[32],
		     u64 deadline);

/* True once the machine's process has ended, which is waited for until the deadline. */
bool client_wait_end(struct client_qmp *c, u64 deadline);

#endif
