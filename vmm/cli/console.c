/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command "console": this terminal becomes one more at the serial console of a
 * running machine, beside the one that the machine was started on. The connection
 * is one of the control socket that has become a stream of characters.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../backends/terminal.h"
#include "../error.h"
#include "commands.h"
#include "machines.h"
#include "options.h"

#define ANSWER_NS (10 * NSEC)
#define ESCAPE 0x1d		/* Ctrl-] */

struct session {
	struct client_qmp c;
	int signals;
	int received;		/* a signal that ends the command */
	bool input;		/* there may be more to type */
	bool left, ended;	/* by the user; by the machine */
	u8 typed[4096];
	size_t at, len;		/* typed[at..len-1] is not sent yet */
};

void help_console(void)
{
	printf("usage: anykvm console [NAME|PID]\n\n"
	       "Connects this terminal to the serial console of a running machine, of which the\n"
	       "name may be left out when there is only one. What the guest printed before is\n"
	       "not shown. Ctrl-] ends the connection; the machine goes on.\n");
}

/* --- characters -------------------------------------------------------------------- */

static int write_all(const u8 *p, size_t n)
{
	while (n) {
		ssize_t done = write(STDOUT_FILENO, p, n);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ STDOUT_FILENO, POLLOUT, 0 }, 1, -1);
			continue;
		}
		if (done < 0 && errno != EINTR)
			return error("cannot write to standard output: %s", strerror(errno));
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int from_machine(struct session *s)
{
	u8 text[4096];
	ssize_t n = recv(s->c.fd, text, sizeof(text), MSG_DONTWAIT);

	if (n > 0)
		return write_all(text, (size_t)n);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		s->ended = true;
	return 0;
}

static void from_user(struct session *s)
{
	ssize_t n = read(STDIN_FILENO, s->typed, sizeof(s->typed));
	u8 *escape = n > 0 ? memchr(s->typed, ESCAPE, (size_t)n) : NULL;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		s->input = false;
	s->left = escape;
	s->at = 0;
	s->len = escape ? (size_t)(escape - s->typed) : n > 0 ? (size_t)n : 0;
}

static void to_machine(struct session *s)
{
	ssize_t n = send(s->c.fd, s->typed + s->at, s->len - s->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		s->at += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		s->ended = true;
}

/* --- the session --------------------------------------------------------------------- */

static int open_signals(struct session *s)
{
	static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT };
	sigset_t set;
	unsigned int i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(watched); i++)
		sigaddset(&set, watched[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? error("cannot watch for signals: %s", strerror(errno)) : 0;
}

static void on_signal(struct session *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCONT) {
		terminal_restore();
		terminal_raw();
	} else {
		s->received = (int)info.ssi_signo;
	}
}

static int pump(struct session *s)
{
	while (!s->ended && !s->received && !(s->left && s->at == s->len)) {
		bool waiting = s->at < s->len;
		struct pollfd p[] = {
			{ s->c.fd, (short)(POLLIN | (waiting ? POLLOUT : 0)), 0 },
			{ s->input && !waiting ? STDIN_FILENO : -1, POLLIN, 0 },
			{ s->signals, POLLIN, 0 },
		};

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return error("cannot wait: %s", strerror(errno));
		}
		if (p[2].revents)
			on_signal(s);
		if (p[1].revents)
			from_user(s);
		if (p[0].revents & POLLOUT)
			to_machine(s);
		if (p[0].revents & ~POLLOUT && from_machine(s) < 0)
			return -1;
	}
	return 0;
}

/* The answer's line ends where the stream begins; what came with it is shown. */
static int show_rest(struct session *s)
{
	char end;

	while (s->c.at < s->c.len) {
		end = s->c.in[s->c.at++];
		if (end == '\n')
			return write_all((u8 *)s->c.in + s->c.at, s->c.len - s->c.at);
	}
	/* the line's end did not come with the answer */
	do {
		if (recv(s->c.fd, &end, 1, 0) != 1 && errno != EINTR && errno != EAGAIN)
			return error("the machine has closed the connection");
	} while (end != '\n');
	return 0;
}

static int attach(struct session *s, const char *name)
{
	int err;
	json_t *answer = client_execute(&s->c, "x-console-attach", NULL,
					monotonic_ns() + ANSWER_NS, &err);
	json_t *failure = json_object_get(answer, "error");
	bool ok = answer && !failure;

	if (!answer)
		error("the machine %s does not answer: %s", name, strerror(-err));
	else if (failure)
		error("the machine %s: %s", name,
		      json_string_value(json_object_get(failure, "desc")) ?: "it refuses");
	json_decref(answer);
	return ok ? 0 : -1;
}

static int talk(struct session *s, const char *name)
{
	int r = -1;

	if (attach(s, name) < 0 || open_signals(s) < 0)
		return -1;
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "anykvm: connected to %s; Ctrl-] leaves\n", name);
	s->input = true;
	terminal_raw();
	if (show_rest(s) == 0)
		r = pump(s);
	terminal_restore();
	if (s->ended)
		fprintf(stderr, "\nanykvm: the machine %s has closed the connection\n", name);
	else if (r == 0 && isatty(STDIN_FILENO))
		fprintf(stderr, "\n");
	return r;
}

/* --- which machine ---------------------------------------------------------------------- */

struct choice {
	char name[NAME_MAX + 1];
	unsigned int count;
};

static void choose(void *ctx, const char *name, struct client_qmp *c)
{
	struct choice *choice = ctx;

	(void)c;
	choice->count++;
	snprintf(choice->name, sizeof(choice->name), "%s", name);
}

/* The only one's name, or NULL after an error line. */
static const char *only_machine(struct choice *c)
{
	if (machines_each(choose, c) < 0)
		return NULL;
	if (c->count == 1)
		return c->name;
	error(c->count ? "%u machines are running: which one? (anykvm ps lists them)" :
			 "no machine of this user is running", c->count);
	return NULL;
}

int command_console(int argc, char **argv)
{
	static const struct option_def none[] = { { NULL, NULL, NULL, NULL } };
	const char *name = argc > 0 && argv[0][0] != '-' ? argv[0] : NULL;
	struct choice only = { .count = 0 };
	struct session *s;
	int err = options_parse(none, NULL, name ? argc - 1 : argc, name ? argv + 1 : argv);

	if (err > 0) {
		help_console();
		return 0;
	}
	if (err < 0)
		return EXIT_USAGE;
	if (!name)
		name = only_machine(&only);
	s = name ? calloc(1, sizeof(*s)) : NULL;
	if (!s || machines_open(&s->c, name, ANSWER_NS) < 0) {
		free(s);
		return 1;
	}
	err = talk(s, name);
	client_close(&s->c);
	if (s->received) {
		int sig = s->received;
		sigset_t set;

		free(s);
		sigemptyset(&set);
		sigaddset(&set, sig);
		signal(sig, SIG_DFL);
		raise(sig);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		return 1;
	}
	free(s);
	return err < 0;
}
