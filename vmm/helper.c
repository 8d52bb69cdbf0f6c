/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes beside the machine's: see helper.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "helper.h"

#define OUT_OF_THE_WAY 64
#ifdef ANYKVM_SANDBOX_OFF
#define HELPER_FILTERS 0
#else
#define HELPER_FILTERS 1
#endif

/* Those that were started and not yet seen to end. */
static struct started {
	struct started *next;
	const char *name;
	pid_t pid;
} *all;

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

int helper_start(const struct helper *h)
{
	struct started *s = malloc(sizeof(*s));
	int fd[2];

	if (!s)
		return error("out of memory");
	if (socketpair(AF_UNIX, h->type | SOCK_CLOEXEC, 0, fd) < 0) {
		free(s);
		return error("%s: no socket: %s", h->name, strerror(errno));
	}
	*s = (struct started){ all, h->name, fork() };
	if (s->pid == 0)
		run(h, fd[1]);
	close(fd[1]);
	if (s->pid > 0) {
		all = s;
		return fd[0];
	}
	error("%s: cannot start a process: %s", h->name, strerror(errno));
	close(fd[0]);
	free(s);
	return -1;
}

static void tell_end(const struct started *s, int status)
{
	if (WIFSIGNALED(status))
		error("%s, a process of this machine, was ended by signal %d (%s)", s->name,
		      WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		error("%s, a process of this machine, has ended with status %d", s->name,
		      WEXITSTATUS(status));
}

void helper_reap(void)
{
	struct started **at = &all, *s;
	int status;

	while ((s = *at)) {
		if (waitpid(s->pid, &status, WNOHANG) != s->pid) {
			at = &s->next;
			continue;
		}
		tell_end(s, status);
		*at = s->next;
		free(s);
	}
}

static void allow(scmp_filter_ctx f, const struct helper_call *c)
{
	if (c->mask)
		seccomp_rule_add(f, SCMP_ACT_ALLOW, c->call, 1,
				 SCMP_CMP64(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value));
	else
		seccomp_rule_add(f, SCMP_ACT_ALLOW, c->call, 0);
}

void helper_confine(const struct helper_call *calls, unsigned int n)
{
	static const struct helper_call always[] = {
		{ .call = SCMP_SYS(recvfrom) }, { .call = SCMP_SYS(recvmsg) },
		{ .call = SCMP_SYS(sendmsg) }, { .call = SCMP_SYS(close) },
		{ .call = SCMP_SYS(exit_group) }, { .call = SCMP_SYS(rt_sigreturn) },
		{ .call = SCMP_SYS(restart_syscall) },
	};
	scmp_filter_ctx f = HELPER_FILTERS ? seccomp_init(SCMP_ACT_KILL_PROCESS) : NULL;
	unsigned int i;

	if (!f)
		return;
	for (i = 0; i < ARRAY_SIZE(always); i++)
		allow(f, &always[i]);
	for (i = 0; i < n; i++)
		allow(f, &calls[i]);
	seccomp_load(f);
	seccomp_release(f);
}
