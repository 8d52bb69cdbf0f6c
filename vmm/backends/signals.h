/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The signals that end or stop a process, as events of the main loop, so that
 * the terminal gets its mode back first.
 */
#ifndef VMM_BACKENDS_SIGNALS_H
#define VMM_BACKENDS_SIGNALS_H

#include "loop.h"

struct signals;

/*
 * Blocks the signals for this thread and those it starts, and calls
 * terminate(ctx) for one that ends the process, and tell(ctx) for SIGUSR1.
 * Stopping and continuing (as with SIGTSTP) restore the terminal and make it
 * raw again. NULL after an error line.
 */
struct signals *signals_new(struct loop *l, void (*terminate)(void *ctx), void (*tell)(void *ctx),
			    void *ctx);
/* Unblocks the signals. Then, if one has ended the process, ends it by that signal. */
void signals_free(struct signals *s);
/* The signal that ended the process, or 0. */
int signals_received(const struct signals *s);

#endif
