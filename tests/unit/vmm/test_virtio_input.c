/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input devices: what they say they are, and events that arrive whole. */
#include <linux/input-event-codes.h>

#include "../../../vmm/backends/input.h"
#include "virtio_fake.h"

extern const struct device_class virtio_keyboard_class, virtio_mouse_class, virtio_tablet_class;

#define SIZE 64
#define CFG_NAME 1
#define CFG_EVENT_BITS 0x11
#define CFG_ABS_INFO 0x12

struct event {
	u16 type, code;
	u32 value;
};

static struct device *device;
static struct input *in;
static u16 given, looked;		/* buffers, and those that came back */

static void make(const struct device_class *class)
{
	struct props p;

	in = input_new();
	fake.board.input = in;
	props_parse(&p, class->name);
	device = class->create(&fake.board, &p);
	props_free(&p);
	assert_non_null(device);
	device->board = &fake.board;
	given = looked = 0;
	fake_start(0, SIZE);
}

static void destroy(const struct device_class *class)
{
	class->destroy(device);
	input_free(in);
}

static u64 event_at(unsigned int i)
{
	return FAKE_DATA + i % SIZE * 8u;
}

/* Gives the device room for n events. */
static void give(unsigned int n)
{
	for (; n; n--, given++) {
		fake_desc(0, given % SIZE, event_at(given), 8, VIRTQ_DESC_WRITE, 0);
		fake_add(0, given % SIZE);
	}
}

static void assert_event(u16 type, u16 code, u32 value)
{
	struct event e;

	assert_int_not_equal(fake_used(0, NULL, NULL), looked);
	memcpy(&e, fake_at(event_at(looked++)), sizeof(e));
	assert_int_equal(e.type, type);
	assert_int_equal(e.code, code);
	assert_int_equal(e.value, value);
}

static void assert_no_event(void)
{
	assert_int_equal(fake_used(0, NULL, NULL), looked);
}

/* Selects what to read: its size. */
static unsigned int config(u8 select, u8 subsel, u8 data[128])
{
	u8 size;

	virtio_config_set(fake.v, 0, &select, 1);
	virtio_config_set(fake.v, 1, &subsel, 1);
	virtio_config_get(fake.v, 2, &size, 1);
	virtio_config_get(fake.v, 8, data, 128);
	return size;
}

static bool has_bit(const u8 *bits, unsigned int n)
{
	return bits[n / 8] >> n % 8 & 1;
}

static void test_keyboard(void **state)
{
	u8 data[128];

	(void)state;
	make(&virtio_keyboard_class);
	assert_int_equal(config(CFG_NAME, 0, data), strlen("anykvm keyboard"));
	assert_memory_equal(data, "anykvm keyboard", 15);
	assert_int_equal(config(CFG_EVENT_BITS, EV_KEY, data), KEY_COMPOSE / 8 + 1);
	assert_true(has_bit(data, KEY_A) && has_bit(data, KEY_RIGHTALT) && !has_bit(data, 0));
	assert_int_equal(config(CFG_EVENT_BITS, EV_ABS, data), 0);
	assert_int_equal(config(0x77, 3, data), 0);

	give(8);
	input_key(in, KEY_A, true);
	assert_no_event();
	input_sync(in);
	assert_event(EV_KEY, KEY_A, 1);
	assert_event(EV_SYN, SYN_REPORT, 0);
	assert_no_event();
	input_sync(in);
	assert_no_event();
	/* without room they wait, and a flood loses whole groups only */
	give(1);
	looked = fake_used(0, NULL, NULL);
	for (unsigned int i = 0; i < 1000; i++) {
		input_key(in, KEY_B, i % 2 == 0);
		input_sync(in);
	}
	assert_int_equal(fake_used(0, NULL, NULL), given);
	looked = (u16)(looked + 5);	/* 7 buffers were left: three groups and a half */
	assert_event(EV_SYN, SYN_REPORT, 0);
	assert_event(EV_KEY, KEY_B, 0);
	give(1);
	assert_event(EV_SYN, SYN_REPORT, 0);
	destroy(&virtio_keyboard_class);
}

static void test_tablet(void **state)
{
	u8 data[128];
	u32 max;

	(void)state;
	make(&virtio_tablet_class);
	assert_int_equal(config(CFG_EVENT_BITS, EV_ABS, data), 1);
	assert_int_equal(data[0], 3);
	assert_int_equal(config(CFG_ABS_INFO, ABS_Y, data), 20);
	memcpy(&max, data + 4, 4);
	assert_int_equal(max, INPUT_RANGE);
	assert_int_equal(config(CFG_ABS_INFO, ABS_Z, data), 0);
	give(16);
	assert_true(input_takes_positions(in));
	input_position(in, 5, 70000);
	input_button(in, BTN_RIGHT, true);
	input_wheel(in, -1);
	input_sync(in);
	assert_event(EV_ABS, ABS_X, 5);
	assert_event(EV_ABS, ABS_Y, INPUT_RANGE);
	assert_event(EV_KEY, BTN_RIGHT, 1);
	assert_event(EV_REL, REL_WHEEL, -1u);
	assert_event(EV_SYN, SYN_REPORT, 0);
	/* without a driver others take the events */
	virtio_set_status(fake.v, 0);
	assert_false(input_takes_positions(in));
	fake_start(0, SIZE);
	destroy(&virtio_tablet_class);
}

static void test_mouse(void **state)
{
	u8 data[128];
	unsigned int i;

	(void)state;
	make(&virtio_mouse_class);
	assert_int_equal(config(CFG_EVENT_BITS, EV_REL, data), 2);
	assert_true(has_bit(data, REL_X) && has_bit(data, REL_WHEEL));
	give(32);
	input_move(in, -3, 0);
	input_sync(in);
	assert_event(EV_REL, REL_X, -3u);
	assert_event(EV_SYN, SYN_REPORT, 0);
	/* a group that is too long is dropped */
	for (i = 0; i < 20; i++)
		input_button(in, BTN_LEFT, i & 1);
	input_sync(in);
	assert_no_event();
	input_move(in, 0, 4);
	input_sync(in);
	assert_event(EV_REL, REL_Y, 4);
	assert_event(EV_SYN, SYN_REPORT, 0);
	destroy(&virtio_mouse_class);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keyboard, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(test_tablet, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(test_mouse, fake_setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
