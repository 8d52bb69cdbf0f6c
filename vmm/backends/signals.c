/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals through a signalfd; SIGUSR1 asks for a word, SIGCHLD tells of a helper
 * that has ended. A process that a signal ended says so to its parent: after
 * cleaning up, the signal is raised again with its default action.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../error.h"
#include "../helper.h"
#include "signals.h"
#include "terminal.h"

struct signals {
	int fd, received;
	sigset_t set, old;
	struct loop_entry *entry;
	void (*terminate)(void *ctx);
	void (*tell)(void *ctx);
	void *ctx;
};

static void on_signal(void *arg)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
		terminal_restore();
		kill(getpid(), SIGSTOP);
		break;
	case SIGCONT:
		terminal_raw();
		break;
	case SIGUSR1:
		s->tell(s->ctx);
		break;
	case SIGCHLD:
		helper_reap();
		break;
	default:
		if (!s->received)
			s->received = (int)info.ssi_signo;
		s->terminate(s->ctx);
	}
}

struct signals *signals_new(struct loop *l, void (*terminate)(void *ctx), void (*tell)(void *ctx),
			    void *ctx)
{
	static const int watched[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGUSR1, SIGCHLD,
	};
	struct signals *s = calloc(1, sizeof(*s));
	unsigned int i;

	if (!s) {
		error("out of memory");
		return NULL;
	}
	s->terminate = terminate;
	s->tell = tell;
	s->ctx = ctx;
	sigemptyset(&s->set);
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		struct sigaction old;

		/* nohup and background shells have some ignored: leave them so */
		if (sigaction(watched[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&s->set, watched[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &s->set, &s->old);
	s->fd = signalfd(-1, &s->set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd >= 0)
		s->entry = loop_add(l, s->fd, POLLIN, on_signal, s);
	if (!s->entry) {
		error("cannot watch for signals: %s", strerror(errno));
		signals_free(s);
		return NULL;
	}
	helper_reap();		/* those whose signal nobody took */
	return s;
}

int signals_received(const struct signals *s)
{
	return s->received;
}

void signals_free(struct signals *s)
{
	int sig;

	if (!s)
		return;
	sig = s->received;
	loop_remove(s->entry);
	if (s->fd >= 0)
		close(s->fd);
	sigprocmask(SIG_SETMASK, &s->old, NULL);
	free(s);
	if (sig) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
}
