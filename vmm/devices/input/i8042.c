/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8042 keyboard controller at ports 0x60 and 0x64, as firmware leaves it
 * with nothing plugged in. It answers the commands for the controller itself,
 * so that a system that looks for it is not kept waiting, and its output port
 * holds the reset line and the A20 gate (always open). What is sent to a
 * keyboard or mouse gets the controller's answer of a time-out.
 */
#include <pthread.h>
#include <stdlib.h>

#include "i8042.h"

#define PORT_DATA 0x60
#define PORT_STATUS 0x64

#define STATUS_OUTPUT (1 << 0)	/* a byte can be read */
#define STATUS_SYSTEM (1 << 2)	/* self test passed */
#define STATUS_COMMAND (1 << 3)	/* the last write was to 0x64 */
#define STATUS_UNLOCKED (1 << 4)
#define STATUS_TIMEOUT (1 << 6)

#define CONFIG_SYSTEM (1 << 2)
#define CONFIG_NO_KEYBOARD (1 << 4)
#define CONFIG_NO_MOUSE (1 << 5)

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
#define CMD_PULSE 0xf0		/* .. 0xff: pulses low the outputs whose bit is 0 */

#define ANSWER_SELF_TEST 0x55
#define ANSWER_RESEND 0xfe

struct i8042 {
	pthread_mutex_t lock;
	struct power_ops ops;
	u8 status, data;
	u8 ram[32];		/* byte 0 is the configuration */
	u8 command;		/* that waits for a data byte, or 0 */
};

static void answer(struct i8042 *k, u8 v, u8 flags)
{
	k->data = v;
	k->status |= STATUS_OUTPUT | flags;
}

static void do_command(struct i8042 *k, u8 c)
{
	k->command = 0;
	if (c >= CMD_PULSE) {
		if (!(c & OUT_RESET))
			k->ops.reset(k->ops.ctx);
		return;
	}
	if (c >= CMD_READ_RAM && c < CMD_READ_RAM + 32) {
		answer(k, k->ram[c - CMD_READ_RAM], 0);
		return;
	}
	if ((c >= CMD_WRITE_RAM && c < CMD_WRITE_RAM + 32) ||
	    (c >= CMD_WRITE_OUTPUT && c < CMD_WRITE_OUTPUT + 4)) {
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
		answer(k, 0xff, 0);	/* there is no such port */
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
			k->ops.reset(k->ops.ctx);
		break;
	case CMD_LOOP_KEYBOARD:
		answer(k, v, 0);
		break;
	default:		/* for a device that is not there */
		answer(k, ANSWER_RESEND, STATUS_TIMEOUT);
	}
}

static u64 data_read(void *dev, u64 offset, unsigned int size)
{
	struct i8042 *k = dev;
	u8 v;

	(void)offset, (void)size;
	pthread_mutex_lock(&k->lock);
	v = k->data;
	k->status &= (u8)~(STATUS_OUTPUT | STATUS_TIMEOUT);
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
	pthread_mutex_unlock(&k->lock);
}

static void command_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct i8042 *k = dev;

	(void)offset, (void)size;
	pthread_mutex_lock(&k->lock);
	k->status |= STATUS_COMMAND;
	do_command(k, (u8)value);
	pthread_mutex_unlock(&k->lock);
}

struct i8042 *i8042_new(struct bus *ports, const struct power_ops *ops)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	const struct bus_region regions[] = {
		{ "i8042-data", PORT_DATA, 1, 1, data_read, data_write, k },
		{ "i8042-status", PORT_STATUS, 1, 1, status_read, command_write, k },
	};
	unsigned int i;

	if (!k)
		return NULL;
	pthread_mutex_init(&k->lock, NULL);
	k->ops = *ops;
	k->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	k->ram[0] = CONFIG_SYSTEM | CONFIG_NO_KEYBOARD | CONFIG_NO_MOUSE;
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		if (bus_add(ports, &regions[i]) < 0) {
			i8042_free(k);
			return NULL;
		}
	return k;
}

void i8042_free(struct i8042 *k)
{
	free(k);
}
