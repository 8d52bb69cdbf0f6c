/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user's terminal as the other end of the guest's serial port: standard
 * input and output, raw while the guest has them.
 */
#ifndef VMM_BACKENDS_TERMINAL_H
#define VMM_BACKENDS_TERMINAL_H

#include "chardev.h"
#include "loop.h"

struct terminal_ops {
	/* Ctrl-A x. */
	void (*quit)(void *ctx);
	/* Ctrl-A p: press the power button. */
	void (*power)(void *ctx);
	/* Ctrl-A i: tell the state of the machine. */
	void (*info)(void *ctx);
	/* Standard output has no reader any more; the reason was told. */
	void (*gone)(void *ctx);
	void *ctx;
};

struct terminal;

/* NULL after an error line. The terminal's mode is not touched yet. */
struct terminal *terminal_new(struct loop *l, const struct terminal_ops *ops);
struct chardev *terminal_chardev(struct terminal *t);
/* Writes out what is pending, for at most two seconds, and restores the mode. */
void terminal_free(struct terminal *t);

/* Makes the terminal raw, if standard input is one. */
void terminal_raw(void);
/* Gives the terminal its old mode back. May be called from a signal handler. */
void terminal_restore(void);

/*
 * While on, output that finds the buffer full is lost instead of waited for:
 * for the time when the loop that empties it does not run.
 */
void terminal_hurry(struct terminal *t, bool on);

#endif
