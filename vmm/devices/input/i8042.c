/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8042 keyboard controller at ports 0x60 and 0x64 (IBM PS/2 Hardware
 * Interface Technical Reference, Keyboard and Auxiliary Device Controller). Its
 * output buffer holds one byte: an answer of its own, or the next one of the
 * keyboard or the mouse. It translates scan codes while its configuration says
 * so, and its output port holds the reset line and the A20 gate (always open).
 * What is sent to a device that is not there gets the answer of a time-out.
 */
#include <pthread.h>
#include <stdlib.h>

#include "i8042.h"
#include "ps2.h"

#define PORT_DATA 0x60
#define PORT_STATUS 0x64

#define STATUS_OUTPUT (1 << 0)	/* a byte can be read */
#define STATUS_SYSTEM (1 << 2)	/* self test passed */
#define STATUS_COMMAND (1 << 3)	/* the last write was to 0x64 */
#define STATUS_UNLOCKED (1 << 4)
#define STATUS_MOUSE (1 << 5)	/* the byte is the mouse's */
#define STATUS_TIMEOUT (1 << 6)

#define CONFIG_KEYBOARD_IRQ (1 << 0)
#define CONFIG_MOUSE_IRQ (1 << 1)
#define CONFIG_SYSTEM (1 << 2)
#define CONFIG_NO_KEYBOARD (1 << 4)
#define CONFIG_NO_MOUSE (1 << 5)
#define CONFIG_TRANSLATE (1 << 6)

#define OUT_RESET (1 << 0)	/* low resets */
#define OUT_A20 (1 << 1)

#define CMD_READ_RAM 0x20	/* .. 0x3f */
#define CMD_WRITE_RAM 0x60	/* .. 0x7f */
#define CMD_MOUSE_OFF 0xa7
#define CMD_MOUSE_ON 0xa8
#define CMD_MOUSE_TEST 0xa9
#define CMD_SELF_TEST 0xaa
#define CMD_KEYBOARD_TEST 0xab
#define CMD_KEYBOARD_OFF 0xad
#define CMD_KEYBOARD_ON 0xae
#define CMD_READ_INPUT 0xc0
#define CMD_READ_OUTPUT 0xd0
#define CMD_WRITE_OUTPUT 0xd1
#define CMD_LOOP_KEYBOARD 0xd2
#define CMD_LOOP_MOUSE 0xd3
#define CMD_WRITE_MOUSE 0xd4
#define CMD_PULSE 0xf0		/* .. 0xff: pulses low the outputs whose bit is 0 */

#define ANSWER_SELF_TEST 0x55
#define ANSWERS_MAX 4

struct answer {
	u8 byte, flags;
};

struct i8042 {
	pthread_mutex_t lock;
	struct i8042_config c;
	u8 status, data;
	u8 ram[32];		/* byte 0 is the configuration */
	u8 command;		/* that waits for a data byte, or 0 */
	struct answer answer[ANSWERS_MAX];	/* of the controller itself */
	unsigned int answers;
	bool broken;		/* the translation has seen the prefix of a release */
	bool keyboard_level, mouse_level;
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
};

/* --- the output buffer: all under the lock ------------------------------------------- */

static void fill(struct i8042 *k, u8 byte, u8 flags)
{
	k->data = byte;
	k->status |= STATUS_OUTPUT | flags;
}

static void answer(struct i8042 *k, u8 byte, u8 flags)
{
	if (k->answers < ANSWERS_MAX)
		k->answer[k->answers++] = (struct answer){ byte, flags };
}

/* The keyboard's next byte; a release's prefix goes into the byte that follows it. */
static bool fill_from_keyboard(struct i8042 *k)
{
	while (k->keyboard.queue.count) {
		u8 byte = ps2_get(&k->keyboard.queue);

		if (k->ram[0] & CONFIG_TRANSLATE) {
			byte = ps2_translate(byte, &k->broken);
			if (k->broken)
				continue;
		}
		fill(k, byte, 0);
		return true;
	}
	return false;
}

static void set_line(const struct irq_line *line, bool *now, bool level)
{
	if (level == *now)
		return;
	*now = level;
	irq_set(line, level);
}

/* Fills the buffer when it is empty, and drives the lines. */
static void update(struct i8042 *k)
{
	unsigned int i;
	bool full, mouse;

	if (!(k->status & STATUS_OUTPUT)) {
		if (k->answers) {
			fill(k, k->answer[0].byte, k->answer[0].flags);
			k->answers--;
			for (i = 0; i < k->answers; i++)
				k->answer[i] = k->answer[i + 1];
		} else if ((k->ram[0] & CONFIG_NO_KEYBOARD) || !fill_from_keyboard(k)) {
			if (!(k->ram[0] & CONFIG_NO_MOUSE) && k->mouse.queue.count)
				fill(k, ps2_get(&k->mouse.queue), STATUS_MOUSE);
		}
	}
	full = k->status & STATUS_OUTPUT;
	mouse = k->status & STATUS_MOUSE;
	set_line(&k->c.keyboard, &k->keyboard_level,
		 full && !mouse && k->ram[0] & CONFIG_KEYBOARD_IRQ);
	set_line(&k->c.mouse, &k->mouse_level, full && mouse && k->ram[0] & CONFIG_MOUSE_IRQ);
}

/* --- commands ---------------------------------------------------------------------------- */

static void do_command(struct i8042 *k, u8 c)
{
	k->command = 0;
	if (c >= CMD_PULSE) {
		if (!(c & OUT_RESET))
			k->c.power.reset(k->c.power.ctx);
		return;
	}
	if (c >= CMD_READ_RAM && c < CMD_READ_RAM + 32) {
		answer(k, k->ram[c - CMD_READ_RAM], 0);
		return;
	}
	if ((c >= CMD_WRITE_RAM && c < CMD_WRITE_RAM + 32) ||
	    (c >= CMD_WRITE_OUTPUT && c <= CMD_WRITE_MOUSE)) {
		k->command = c;
		return;
	}
	switch (c) {
	case CMD_MOUSE_OFF:
		k->ram[0] |= CONFIG_NO_MOUSE;
		break;
	case CMD_MOUSE_ON:
		k->ram[0] &= (u8)~CONFIG_NO_MOUSE;
		break;
	case CMD_KEYBOARD_OFF:
		k->ram[0] |= CONFIG_NO_KEYBOARD;
		break;
	case CMD_KEYBOARD_ON:
		k->ram[0] &= (u8)~CONFIG_NO_KEYBOARD;
		break;
	case CMD_SELF_TEST:
		k->status |= STATUS_SYSTEM;
		answer(k, ANSWER_SELF_TEST, 0);
		break;
	case CMD_KEYBOARD_TEST:
	case CMD_READ_INPUT:
		answer(k, 0, 0);
		break;
	case CMD_MOUSE_TEST:
		answer(k, k->c.in ? 0 : 0xff, 0);
		break;
	case CMD_READ_OUTPUT:
		answer(k, OUT_RESET | OUT_A20, 0);
		break;
	}
}

static void do_data(struct i8042 *k, u8 v)
{
	u8 c = k->command;

	k->command = 0;
	if (c >= CMD_WRITE_RAM && c < CMD_WRITE_RAM + 32) {
		k->ram[c - CMD_WRITE_RAM] = v;
		return;
	}
	switch (c) {
	case CMD_WRITE_OUTPUT:
		if (!(v & OUT_RESET))
			k->c.power.reset(k->c.power.ctx);
		break;
	case CMD_LOOP_KEYBOARD:
		answer(k, v, 0);
		break;
	case CMD_LOOP_MOUSE:
		answer(k, v, STATUS_MOUSE);
		break;
	case CMD_WRITE_MOUSE:
		k->ram[0] &= (u8)~CONFIG_NO_MOUSE;
		if (k->c.in)
			ps2_mouse_write(&k->mouse, v);
		else
			answer(k, PS2_RESEND, STATUS_MOUSE | STATUS_TIMEOUT);
		break;
	default:
		k->ram[0] &= (u8)~CONFIG_NO_KEYBOARD;
		if (k->c.in)
			ps2_keyboard_write(&k->keyboard, v);
		else
			answer(k, PS2_RESEND, STATUS_TIMEOUT);
	}
}

/* --- ports ----------------------------------------------------------------------------------- */

static u64 data_read(void *dev, u64 offset, unsigned int size)
{
	struct i8042 *k = dev;
	u8 v;

	(void)offset, (void)size;
	pthread_mutex_lock(&k->lock);
	v = k->data;
	k->status &= (u8)~(STATUS_OUTPUT | STATUS_TIMEOUT | STATUS_MOUSE);
	/* the line falls before it rises for the next byte */
	set_line(&k->c.keyboard, &k->keyboard_level, false);
	set_line(&k->c.mouse, &k->mouse_level, false);
	ps2_mouse_sync(&k->mouse);
	update(k);
	pthread_mutex_unlock(&k->lock);
	return v;
}

static u64 status_read(void *dev, u64 offset, unsigned int size)
{
	struct i8042 *k = dev;

	(void)offset, (void)size;
	return __atomic_load_n(&k->status, __ATOMIC_RELAXED);
}

static void data_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct i8042 *k = dev;

	(void)offset, (void)size;
	pthread_mutex_lock(&k->lock);
	k->status &= (u8)~STATUS_COMMAND;
	do_data(k, (u8)value);
	update(k);
	pthread_mutex_unlock(&k->lock);
}

static void command_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct i8042 *k = dev;

	(void)offset, (void)size;
	pthread_mutex_lock(&k->lock);
	k->status |= STATUS_COMMAND;
	do_command(k, (u8)value);
	update(k);
	pthread_mutex_unlock(&k->lock);
}

/* --- the user --------------------------------------------------------------------------------- */

static void on_key(void *ctx, u16 code, bool down)
{
	struct i8042 *k = ctx;

	pthread_mutex_lock(&k->lock);
	ps2_keyboard_key(&k->keyboard, code, down);
	update(k);
	pthread_mutex_unlock(&k->lock);
}

static void on_button(void *ctx, u16 code, bool down)
{
	struct i8042 *k = ctx;

	pthread_mutex_lock(&k->lock);
	ps2_mouse_button(&k->mouse, code, down);
	pthread_mutex_unlock(&k->lock);
}

static void on_move(void *ctx, int dx, int dy)
{
	struct i8042 *k = ctx;

	pthread_mutex_lock(&k->lock);
	k->mouse.dx += dx;
	k->mouse.dy -= dy;
	pthread_mutex_unlock(&k->lock);
}

static void on_wheel(void *ctx, int steps)
{
	struct i8042 *k = ctx;

	pthread_mutex_lock(&k->lock);
	k->mouse.wheel += steps;
	pthread_mutex_unlock(&k->lock);
}

static void on_sync(void *ctx)
{
	struct i8042 *k = ctx;

	pthread_mutex_lock(&k->lock);
	ps2_mouse_sync(&k->mouse);
	update(k);
	pthread_mutex_unlock(&k->lock);
}

static int plug_in(struct i8042 *k)
{
	const struct input_sink keyboard = { .kind = INPUT_KEYBOARD, .key = on_key, .ctx = k };
	const struct input_sink mouse = {
		.kind = INPUT_MOUSE, .key = on_button, .move = on_move, .wheel = on_wheel,
		.sync = on_sync, .ctx = k,
	};

	ps2_keyboard_reset(&k->keyboard);
	ps2_mouse_reset(&k->mouse);
	if (!k->c.in)
		return 0;
	return input_add(k->c.in, &keyboard) < 0 || input_add(k->c.in, &mouse) < 0 ? -1 : 0;
}

struct i8042 *i8042_new(struct bus *ports, const struct i8042_config *c)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	const struct bus_region regions[] = {
		{ "i8042-data", PORT_DATA, 1, 1, data_read, data_write, k },
		{ "i8042-status", PORT_STATUS, 1, 1, status_read, command_write, k },
	};

	if (!k)
		return NULL;
	pthread_mutex_init(&k->lock, NULL);
	k->c = *c;
	k->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	k->ram[0] = CONFIG_SYSTEM | CONFIG_TRANSLATE;
	if (c->in)
		k->ram[0] |= CONFIG_KEYBOARD_IRQ;
	else
		k->ram[0] |= CONFIG_NO_KEYBOARD | CONFIG_NO_MOUSE;
	if (bus_add(ports, &regions[0]) == 0 && bus_add(ports, &regions[1]) == 0 &&
	    plug_in(k) == 0)
		return k;
	i8042_free(k);
	return NULL;
}

void i8042_free(struct i8042 *k)
{
	if (k && k->c.in)
		input_remove(k->c.in, k);
	free(k);
}
