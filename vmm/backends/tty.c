/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mode of the terminal on standard input. Raw means that every key goes to
 * the guest: no echo, no lines, no signals from keys. Output processing stays
 * on, so that lines of our own need no carriage return.
 */
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"

static struct termios saved;
static volatile sig_atomic_t is_raw;

void terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

/* A signal that ends the process by a fault or by our own hand. */
static void on_crash(int sig)
{
	terminal_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void install_handlers(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
	static bool installed;
	struct sigaction sa = { .sa_handler = on_crash, .sa_flags = SA_NODEFER };
	unsigned int i;

	if (installed)
		return;
	installed = true;
	atexit(terminal_restore);
	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		struct sigaction old;

		/* leave a handler of somebody else alone: it chains to nobody */
		if (sigaction(sigs[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(sigs[i], &sa, NULL);
	}
}

void terminal_raw(void)
{
	struct termios raw;

	if (is_raw || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	install_handlers();
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}
