/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes beside the machine's: see helper.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "helper.h"

#define OUT_OF_THE_WAY 64

/* Its descriptors in their places, and no others. Standard error stays, for messages. */
static void place_descriptors(const struct helper *h, int fd)
{
	int from[1 + HELPER_KEPT_MAX], null = open("/dev/null", O_RDWR);
	unsigned int i;

	/* those that are in the place of another move first */
	from[0] = fcntl(fd, F_DUPFD, OUT_OF_THE_WAY);
	for (i = 0; i < h->nkept; i++)
		from[1 + i] = fcntl(h->kept[i], F_DUPFD, OUT_OF_THE_WAY);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	for (i = 0; i <= h->nkept; i++)
		if (dup2(from[i], HELPER_SOCKET + (int)i) < 0)
			_exit(1);
	if (close_range(HELPER_KEPT + h->nkept, ~0u, 0) < 0)
		_exit(1);
}

static void run(const struct helper *h, int fd)
{
	sigset_t none;

	setsid();		/* the terminal's signals are not for it */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, h->name);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	place_descriptors(h, fd);
	h->serve(h->arg);
	_exit(0);
}

/*
 * Nobody waits for it: it ends after this process, or because of an error, and what
 * is left of it then goes with this process.
 */
int helper_start(const struct helper *h)
{
	int fd[2];
	pid_t child;

	if (socketpair(AF_UNIX, h->type | SOCK_CLOEXEC, 0, fd) < 0)
		return error("%s: no socket: %s", h->name, strerror(errno));
	child = fork();
	if (child == 0)
		run(h, fd[1]);
	close(fd[1]);
	if (child > 0)
		return fd[0];
	close(fd[0]);
	return error("%s: cannot start a process: %s", h->name, strerror(errno));
}
