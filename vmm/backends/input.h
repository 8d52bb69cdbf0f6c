/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where input events meet: displays and the control socket send what the user
 * does, devices take it. Keys and buttons have the codes of Linux's
 * <linux/input-event-codes.h> (KEY_A, BTN_LEFT). Of the devices of a kind, the
 * newest gets the events, so that a tablet takes the place of the PS/2 mouse.
 *
 * Every function may be called from any thread. A sink's functions are called
 * on the sender's thread, one at a time and under the lock of this file, so
 * they call nothing of it; and not any more when input_remove has returned.
 */
#ifndef VMM_BACKENDS_INPUT_H
#define VMM_BACKENDS_INPUT_H

#include "../types.h"

enum input_kind {
	INPUT_KEYBOARD,
	INPUT_MOUSE,		/* knows movements */
	INPUT_TABLET,		/* knows positions, from 0 to INPUT_RANGE */
	INPUT_KINDS,
};

#define INPUT_RANGE 0x7fff

/* What a device takes; a function that does not suit its kind may be NULL. */
struct input_sink {
	enum input_kind kind;
	void (*key)(void *ctx, u16 code, bool down);		/* keys, or buttons */
	void (*move)(void *ctx, int dx, int dy);		/* right and down are positive */
	void (*wheel)(void *ctx, int steps);			/* up is positive */
	void (*position)(void *ctx, unsigned int x, unsigned int y);
	/* After each group of events that belong together. */
	void (*sync)(void *ctx);
	void *ctx;
};

struct input;

struct input *input_new(void);
void input_free(struct input *in);

/* The sink is copied. 0, or -ENOSPC. */
int input_add(struct input *in, const struct input_sink *sink);
/* Removes all sinks of a device. */
void input_remove(struct input *in, const void *ctx);

/* A key of the keyboard. */
void input_key(struct input *in, u16 code, bool down);
/* A button of the tablet, or the mouse where there is none. */
void input_button(struct input *in, u16 code, bool down);
void input_wheel(struct input *in, int steps);
/* True when positions are taken; else the sender is to give movements. */
bool input_takes_positions(struct input *in);
void input_move(struct input *in, int dx, int dy);
void input_position(struct input *in, unsigned int x, unsigned int y);
/* The end of a group. */
void input_sync(struct input *in);

#endif
