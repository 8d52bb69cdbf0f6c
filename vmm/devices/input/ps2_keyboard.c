/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, Keyboard):
 * scan code sets 1 and 2. Keys come with Linux's codes, which for the old keys
 * are those of set 1; set 2 follows by the controller's translation backwards.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "ps2.h"

#define CMD_LEDS 0xed
#define CMD_ECHO 0xee
#define CMD_SET 0xf0
#define CMD_IDENTIFY 0xf2
#define CMD_RATE 0xf3
#define CMD_ENABLE 0xf4
#define CMD_DISABLE 0xf5
#define CMD_DEFAULTS 0xf6
#define CMD_RESEND 0xfe
#define CMD_RESET 0xff

#define EXTENDED 0xe0
#define BREAK_SET2 0xf0
#define BREAK_SET1 0x80

/* Set 2 to set 1, as the controller translates; from 0x80 on all but two stay. */
static const u8 set1_of[0x80] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58,
	0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a,
	0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c,
	0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e,
	0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60,
	0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e,
	0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b,
	0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* Keys whose code of set 1 is not Linux's: with 0x100 after the byte 0xe0. */
static const struct {
	u16 key, code;
} other[] = {
	{ KEY_KPENTER, 0x11c }, { KEY_RIGHTCTRL, 0x11d }, { KEY_KPSLASH, 0x135 },
	{ KEY_SYSRQ, 0x137 }, { KEY_RIGHTALT, 0x138 }, { KEY_HOME, 0x147 }, { KEY_UP, 0x148 },
	{ KEY_PAGEUP, 0x149 }, { KEY_LEFT, 0x14b }, { KEY_RIGHT, 0x14d }, { KEY_END, 0x14f },
	{ KEY_DOWN, 0x150 }, { KEY_PAGEDOWN, 0x151 }, { KEY_INSERT, 0x152 },
	{ KEY_DELETE, 0x153 }, { KEY_MUTE, 0x120 }, { KEY_VOLUMEDOWN, 0x12e },
	{ KEY_VOLUMEUP, 0x130 }, { KEY_POWER, 0x15e }, { KEY_SLEEP, 0x15f },
	{ KEY_WAKEUP, 0x163 }, { KEY_LEFTMETA, 0x15b }, { KEY_RIGHTMETA, 0x15c },
	{ KEY_COMPOSE, 0x15d }, { KEY_KPEQUAL, 0x59 }, { KEY_KPCOMMA, 0x7e }, { KEY_RO, 0x73 },
	{ KEY_KATAKANAHIRAGANA, 0x70 }, { KEY_HENKAN, 0x79 }, { KEY_MUHENKAN, 0x7b },
	{ KEY_YEN, 0x7d },
};

/* --- queues ------------------------------------------------------------------------ */

void ps2_put(struct ps2_queue *q, const u8 *bytes, unsigned int n)
{
	unsigned int i;

	if (n > PS2_QUEUE - q->count)
		return;
	for (i = 0; i < n; i++)
		q->byte[(q->head + q->count++) % PS2_QUEUE] = bytes[i];
}

u8 ps2_get(struct ps2_queue *q)
{
	u8 byte = q->byte[q->head];

	q->head = (q->head + 1) % PS2_QUEUE;
	q->count--;
	return byte;
}

/* --- scan codes ----------------------------------------------------------------------- */

u8 ps2_translate(u8 byte, bool *broken)
{
	u8 code;

	if (byte == BREAK_SET2) {
		*broken = true;
		return 0;		/* nothing goes out yet */
	}
	if (byte >= 0x80)
		code = byte == 0x83 ? 0x41 : byte == 0x84 ? 0x54 : byte;
	else
		code = set1_of[byte];
	if (*broken && code < 0x80)
		code |= BREAK_SET1;
	*broken = false;
	return code;
}

static u8 set2_of(u8 set1)
{
	unsigned int i;

	if (set1 == 0x41)
		return 0x83;		/* F7; 0x02 would translate to it, too */
	if (set1 == 0x54)
		return 0x84;
	for (i = 0; i < sizeof(set1_of); i++)
		if (set1_of[i] == set1)
			return (u8)i;
	return 0;
}

/* The code of set 1, with 0x100 for an extended one; 0: no such key. */
static u16 set1_code(u16 key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(other); i++)
		if (other[i].key == key)
			return other[i].code;
	return key <= KEY_F12 && key != KEY_ZENKAKUHANKAKU ? key : 0;
}

static void put_pause(struct ps2_keyboard *k)
{
	static const u8 set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
	static const u8 set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };

	if (k->set == 1)
		ps2_put(&k->queue, set1, sizeof(set1));
	else
		ps2_put(&k->queue, set2, sizeof(set2));
}

void ps2_keyboard_key(struct ps2_keyboard *k, u16 key, bool down)
{
	u16 code = set1_code(key);
	unsigned int n = 0;
	u8 bytes[3];

	if (!k->scanning)
		return;
	if (key == KEY_PAUSE) {
		if (down)
			put_pause(k);	/* it has no release */
		return;
	}
	if (!code)
		return;
	if (code & 0x100)
		bytes[n++] = EXTENDED;
	if (k->set == 1) {
		bytes[n++] = (u8)(code & 0x7f) | (down ? 0 : BREAK_SET1);
	} else {
		if (!down)
			bytes[n++] = BREAK_SET2;
		bytes[n++] = set2_of((u8)(code & 0x7f));
	}
	ps2_put(&k->queue, bytes, n);
}

/* --- commands --------------------------------------------------------------------------- */

static void set_defaults(struct ps2_keyboard *k)
{
	k->set = 2;
	k->command = 0;
	k->queue.count = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	memset(k, 0, sizeof(*k));
	k->set = 2;
	k->scanning = true;
}

static void take_argument(struct ps2_keyboard *k, u8 byte)
{
	u8 command = k->command;

	k->command = 0;
	ps2_put1(&k->queue, PS2_ACK);
	if (command == CMD_LEDS)
		k->leds = byte & 7;
	else if (command == CMD_SET && byte == 0)
		ps2_put1(&k->queue, k->set);
	else if (command == CMD_SET && byte <= 2)
		k->set = byte;
}

void ps2_keyboard_write(struct ps2_keyboard *k, u8 byte)
{
	if (k->command && byte < 0x80) {
		take_argument(k, byte);
		return;
	}
	k->command = 0;
	switch (byte) {
	case CMD_LEDS:
	case CMD_SET:
	case CMD_RATE:
		k->command = byte;
		break;
	case CMD_ECHO:
		ps2_put1(&k->queue, CMD_ECHO);
		return;
	case CMD_IDENTIFY:
		ps2_put(&k->queue, (const u8[]){ PS2_ACK, 0xab, 0x83 }, 3);
		return;
	case CMD_ENABLE:
		k->queue.count = 0;
		k->scanning = true;
		break;
	case CMD_DISABLE:
		set_defaults(k);
		k->scanning = false;
		break;
	case CMD_DEFAULTS:
		set_defaults(k);
		break;
	case CMD_RESET:
		ps2_keyboard_reset(k);
		ps2_put(&k->queue, (const u8[]){ PS2_ACK, PS2_TEST_PASSED }, 2);
		return;
	default:
		ps2_put1(&k->queue, PS2_RESEND);
		return;
	}
	ps2_put1(&k->queue, PS2_ACK);
}
