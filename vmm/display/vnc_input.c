/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What VNC clients type and point at (RFC 6143, 7.5.4 and 7.5.5). A client
 * says which symbol a key gives, and presses shift by itself; one that does not
 * (programs that type) gets shift pressed around the key. Positions go to a
 * tablet if the guest has one, else as movements from where the pointer was.
 */
#include <linux/input-event-codes.h>

#include "keys.h"
#include "vnc.h"

#define BUTTON_LEFT 1
#define BUTTON_MIDDLE 2
#define BUTTON_RIGHT 4
#define WHEEL_UP 8
#define WHEEL_DOWN 16

static bool is_pressed(const struct vnc_input *i, u16 code)
{
	return code < 64 * ARRAY_SIZE(i->pressed) && i->pressed[code / 64] >> code % 64 & 1;
}

static void set_pressed(struct vnc_input *i, u16 code, bool down)
{
	if (code >= 64 * ARRAY_SIZE(i->pressed))
		return;
	i->pressed[code / 64] &= ~(1ULL << code % 64);
	i->pressed[code / 64] |= (u64)down << code % 64;
}

void vnc_input_key(struct vnc_input *i, u32 keysym, bool down)
{
	bool shift, around;
	u16 code = key_of_keysym(keysym, &shift);

	if (!code || (!down && !is_pressed(i, code)))
		return;
	around = down && shift && !is_pressed(i, KEY_LEFTSHIFT) &&
		 !is_pressed(i, KEY_RIGHTSHIFT) && !is_pressed(i, KEY_CAPSLOCK);
	if (around)
		input_key(i->in, KEY_LEFTSHIFT, true);
	input_key(i->in, code, down);
	set_pressed(i, code, down);
	if (around)
		input_key(i->in, KEY_LEFTSHIFT, false);
	input_sync(i->in);
}

static void buttons(struct vnc_input *i, unsigned int now)
{
	static const struct {
		unsigned int bit;
		u16 code;
	} button[] = {
		{ BUTTON_LEFT, BTN_LEFT }, { BUTTON_MIDDLE, BTN_MIDDLE },
		{ BUTTON_RIGHT, BTN_RIGHT },
	};
	unsigned int n, changed = i->buttons ^ now;

	for (n = 0; n < ARRAY_SIZE(button); n++)
		if (changed & button[n].bit)
			input_button(i->in, button[n].code, now & button[n].bit);
	if (changed & now & WHEEL_UP)
		input_wheel(i->in, 1);
	if (changed & now & WHEEL_DOWN)
		input_wheel(i->in, -1);
	i->buttons = now;
}

void vnc_input_pointer(struct vnc_input *i, unsigned int mask, int x, int y, unsigned int width,
		       unsigned int height)
{
	if (x < 0 || y < 0 || (unsigned int)x >= width || (unsigned int)y >= height)
		return;
	if (input_takes_positions(i->in))
		input_position(i->in, (unsigned int)x * INPUT_RANGE / (width > 1 ? width - 1 : 1),
			       (unsigned int)y * INPUT_RANGE / (height > 1 ? height - 1 : 1));
	else if (i->x >= 0 && (x != i->x || y != i->y))
		input_move(i->in, x - i->x, y - i->y);
	i->x = x;
	i->y = y;
	buttons(i, mask);
	input_sync(i->in);
}

void vnc_input_release(struct vnc_input *i)
{
	unsigned int code;

	for (code = 0; code < 64 * ARRAY_SIZE(i->pressed); code++)
		if (is_pressed(i, (u16)code)) {
			input_key(i->in, (u16)code, false);
			set_pressed(i, (u16)code, false);
		}
	buttons(i, 0);
	i->x = i->y = -1;
	input_sync(i->in);
}
