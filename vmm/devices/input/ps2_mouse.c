/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, Mouse) with
 * Microsoft's extensions: a driver that sets the rates 200, 100, 80 gets a
 * wheel, and with 200, 200, 80 two more buttons. Movements that do not fit one
 * packet, or find the queue full, are kept for the next.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "ps2.h"

#define CMD_SCALE1 0xe6
#define CMD_SCALE2 0xe7
#define CMD_RESOLUTION 0xe8
#define CMD_STATUS 0xe9
#define CMD_STREAM 0xea
#define CMD_READ 0xeb
#define CMD_WRAP_OFF 0xec
#define CMD_WRAP 0xee
#define CMD_REMOTE 0xf0
#define CMD_IDENTIFY 0xf2
#define CMD_RATE 0xf3
#define CMD_ENABLE 0xf4
#define CMD_DISABLE 0xf5
#define CMD_DEFAULTS 0xf6
#define CMD_RESET 0xff

#define ID_WHEEL 3
#define ID_FIVE 4

#define PACKET_ONE 0x08
#define PACKET_X_SIGN 0x10
#define PACKET_Y_SIGN 0x20
#define PENDING_MAX 100000	/* a movement that nobody fetches does not grow beyond this */

static int limit(int v, int max)
{
	return v < -max ? -max : v > max ? max : v;
}

static void put_packet(struct ps2_mouse *m)
{
	int dx = limit(m->dx, 255), dy = limit(m->dy, 255), wheel = limit(m->wheel, 7);
	u8 packet[4] = {
		(u8)(PACKET_ONE | (m->buttons & 7) | (dx < 0 ? PACKET_X_SIGN : 0) |
		     (dy < 0 ? PACKET_Y_SIGN : 0)),
		(u8)dx, (u8)dy, (u8)-wheel,
	};

	if (m->id == ID_FIVE)
		packet[3] = (u8)((-wheel & 0x0f) | (m->buttons & 0x18) << 1);
	ps2_put(&m->queue, packet, m->id ? 4 : 3);
	m->dx -= dx;
	m->dy -= dy;
	m->wheel -= wheel;
	if (!m->id)
		m->wheel = 0;
	m->reported = m->buttons;
}

void ps2_mouse_sync(struct ps2_mouse *m)
{
	m->dx = limit(m->dx, PENDING_MAX);
	m->dy = limit(m->dy, PENDING_MAX);
	m->wheel = limit(m->wheel, PENDING_MAX);
	if (!m->reporting || m->remote) {
		m->dx = m->dy = m->wheel = 0;
		return;
	}
	/* leave room for the answers to commands */
	while ((m->dx || m->dy || m->wheel || m->buttons != m->reported) &&
	       m->queue.count <= PS2_QUEUE / 2)
		put_packet(m);
}

void ps2_mouse_button(struct ps2_mouse *m, u16 code, bool down)
{
	static const u16 codes[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i] == code)
			m->buttons = (u8)((m->buttons & ~(1 << i)) | down << i);
}

/* --- commands --------------------------------------------------------------------------- */

static void set_defaults(struct ps2_mouse *m)
{
	m->reporting = m->remote = m->wrap = m->double_scale = false;
	m->resolution = 2;
	m->rates[2] = 100;
	m->command = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	memset(m, 0, sizeof(*m));
	set_defaults(m);
}

static void take_argument(struct ps2_mouse *m, u8 byte)
{
	u8 command = m->command;

	m->command = 0;
	ps2_put1(&m->queue, PS2_ACK);
	if (command == CMD_RESOLUTION) {
		m->resolution = byte & 3;
		return;
	}
	m->rates[0] = m->rates[1];
	m->rates[1] = m->rates[2];
	m->rates[2] = byte;
	if (m->rates[0] == 200 && m->rates[1] == 100 && byte == 80)
		m->id = ID_WHEEL;
	else if (m->rates[0] == 200 && m->rates[1] == 200 && byte == 80)
		m->id = ID_FIVE;
}

static void put_status(struct ps2_mouse *m)
{
	const u8 status[] = {
		PS2_ACK,
		(u8)(m->remote << 6 | m->reporting << 5 | m->double_scale << 4 |
		     (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1),
		m->resolution, m->rates[2],
	};

	ps2_put(&m->queue, status, sizeof(status));
}

/* Those that only set something: false when it is another. */
static bool set_mode(struct ps2_mouse *m, u8 byte)
{
	switch (byte) {
	case CMD_SCALE1:
	case CMD_SCALE2:
		m->double_scale = byte == CMD_SCALE2;
		return true;
	case CMD_STREAM:
	case CMD_REMOTE:
		m->remote = byte == CMD_REMOTE;
		return true;
	case CMD_WRAP:
	case CMD_WRAP_OFF:
		m->wrap = byte == CMD_WRAP;
		return true;
	case CMD_ENABLE:
	case CMD_DISABLE:
		m->reporting = byte == CMD_ENABLE;
		return true;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->command = byte;
		return true;
	case CMD_DEFAULTS:
		set_defaults(m);
		return true;
	}
	return false;
}

void ps2_mouse_write(struct ps2_mouse *m, u8 byte)
{
	if (m->command) {
		take_argument(m, byte);
		return;
	}
	if (m->wrap && byte != CMD_WRAP_OFF && byte != CMD_RESET) {
		ps2_put1(&m->queue, byte);
		return;
	}
	if (set_mode(m, byte)) {
		ps2_put1(&m->queue, PS2_ACK);
		return;
	}
	switch (byte) {
	case CMD_IDENTIFY:
		ps2_put(&m->queue, (const u8[]){ PS2_ACK, m->id }, 2);
		break;
	case CMD_STATUS:
		put_status(m);
		break;
	case CMD_READ:
		ps2_put1(&m->queue, PS2_ACK);
		put_packet(m);
		break;
	case CMD_RESET:
		ps2_mouse_reset(m);
		ps2_put(&m->queue, (const u8[]){ PS2_ACK, PS2_TEST_PASSED, m->id }, 3);
		break;
	default:
		ps2_put1(&m->queue, PS2_RESEND);
	}
}
