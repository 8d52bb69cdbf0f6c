/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is plugged into the keyboard controller: a PS/2 keyboard and a PS/2
 * mouse. Each has a queue of bytes for the controller, which locks them.
 */
#ifndef VMM_DEVICES_INPUT_PS2_H
#define VMM_DEVICES_INPUT_PS2_H

#include "../../types.h"

#define PS2_QUEUE 256

#define PS2_ACK 0xfa
#define PS2_RESEND 0xfe
#define PS2_TEST_PASSED 0xaa

struct ps2_queue {
	u8 byte[PS2_QUEUE];
	unsigned int head, count;
};

/* Adds n bytes, or none when there is no room for all, as a packet must be whole. */
void ps2_put(struct ps2_queue *q, const u8 *bytes, unsigned int n);
static inline void ps2_put1(struct ps2_queue *q, u8 byte)
{
	ps2_put(q, &byte, 1);
}
/* Takes the next byte; the queue is not empty. */
u8 ps2_get(struct ps2_queue *q);

/* --- ps2_keyboard.c ------------------------------------------------------------- */

struct ps2_keyboard {
	struct ps2_queue queue;
	bool scanning;
	u8 set;				/* of scan codes: 1 or 2 */
	u8 command;			/* that waits for its argument, or 0 */
	u8 leds;
};

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, u8 byte);
void ps2_keyboard_key(struct ps2_keyboard *k, u16 code, bool down);
/* What the controller makes of a byte of set 2 when it translates; *broken is its memory. */
u8 ps2_translate(u8 byte, bool *broken);

/* --- ps2_mouse.c ------------------------------------------------------------------ */

struct ps2_mouse {
	struct ps2_queue queue;
	bool reporting, remote, wrap, double_scale;
	u8 command;			/* that waits for its argument, or 0 */
	u8 id;				/* 0, 3: with a wheel, 4: and five buttons */
	u8 rates[3];			/* the last three sample rates */
	u8 resolution;
	u8 buttons, reported;		/* bits: left, right, middle, side, extra */
	int dx, dy, wheel;		/* not yet reported; dy up */
};

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, u8 byte);
void ps2_mouse_button(struct ps2_mouse *m, u16 code, bool down);
/* Reports what happened, as far as there is room. */
void ps2_mouse_sync(struct ps2_mouse *m);

#endif
