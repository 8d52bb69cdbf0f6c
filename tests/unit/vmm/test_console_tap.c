/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tap on the serial console, and what VNC clients type and point at. */
#include <linux/input-event-codes.h>
#include <stdio.h>

#include "../../../vmm/backends/console_tap.h"
#include "../../../vmm/display/vnc.h"
#include "vmm_test.h"

/* --- the console: a terminal and a device that note things ------------------------------ */

static char printed[256], typed[8192];
static size_t room;			/* that the device has */
static unsigned int wakes, readies;
static struct chardev_front inner_front;

static void inner_send(struct chardev *c, const u8 *p, size_t n)
{
	(void)c;
	strncat(printed, (const char *)p, n);
}

static void inner_ready(struct chardev *c)
{
	(void)c;
	readies++;
}

static void inner_connect(struct chardev *c, const struct chardev_front *front)
{
	(void)c;
	inner_front = front ? *front : (struct chardev_front){ 0 };
}

static size_t receive(void *front, const u8 *p, size_t n)
{
	(void)front;
	n = n < room ? n : room;
	room -= n;
	strncat(typed, (const char *)p, n);
	return n;
}

static void on_more(void *ctx)
{
	(void)ctx;
	wakes++;
}

static void test_tap(void **state)
{
	struct chardev inner = {
		.send = inner_send, .ready = inner_ready, .connect = inner_connect,
	};
	const struct chardev_front front = { .receive = receive };
	struct console_tap *t = console_tap_new(&inner);
	struct chardev *c = console_tap_chardev(t);
	u8 buf[100000], big[70000];
	u64 at = 0, late = 0;

	(void)state;
	console_tap_type(t, (const u8 *)"early ", 6);
	console_tap_watch(t, on_more, NULL);
	c->send(c, (const u8 *)"one", 3);
	assert_string_equal(printed, "one");
	assert_int_equal(wakes, 0);	/* nobody has read all yet */
	assert_int_equal(console_tap_read(t, &at, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "one", 3);
	assert_int_equal(console_tap_read(t, &at, buf, sizeof(buf)), 0);
	c->send(c, (const u8 *)"two", 3);
	c->send(c, (const u8 *)"three", 5);
	assert_int_equal(wakes, 1);
	/* several watch, each for itself */
	assert_int_equal(console_tap_watch(t, on_more, &late), 0);
	assert_int_equal(console_tap_read(t, &(u64){ 1000 }, buf, 4), 0);
	c->send(c, (const u8 *)"four", 4);
	assert_int_equal(wakes, 3);
	assert_int_equal(console_tap_watch(t, NULL, &late), 0);
	assert_int_equal(console_tap_read(t, &(u64){ 1000 }, buf, 4), 0);
	c->send(c, (const u8 *)"!", 1);
	assert_int_equal(wakes, 4);
	assert_int_equal(console_tap_read(t, &at, buf, 4), 4);
	assert_memory_equal(buf, "twot", 4);
	assert_int_equal(console_tap_read(t, &at, buf, sizeof(buf)), 9);
	assert_int_equal(console_tap_read(t, &late, buf, sizeof(buf)), 16);

	/* who is too late misses what is not kept */
	memset(big, 'x', sizeof(big));
	printed[0] = 0;
	for (unsigned int i = 0; i < sizeof(big); i += 100, printed[0] = 0)
		c->send(c, big + i, 100);
	assert_int_equal(console_tap_read(t, &at, buf, sizeof(buf)), 65536);

	/* typing waits for room, and goes on when the device has some */
	room = 8;
	c->connect(c, &front);
	assert_ptr_equal(inner_front.receive, receive);
	console_tap_type(t, (const u8 *)"late", 4);
	assert_string_equal(typed, "early la");
	room = 100;
	c->ready(c);
	assert_int_equal(readies, 1);
	assert_string_equal(typed, "early late");
	/* a flood is cut */
	room = 0;
	console_tap_type(t, big, sizeof(big));
	room = sizeof(big);
	typed[0] = 0;
	c->ready(c);
	assert_int_equal(strlen(typed), 4096);
	c->connect(c, NULL);
	assert_null(inner_front.receive);
	console_tap_type(t, big, 1);
	console_tap_free(t);
}

/* --- VNC's input ------------------------------------------------------------------------------ */

static char events[512];

static void note(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void on_key(void *ctx, u16 code, bool down)
{
	(void)ctx;
	note("%c%u ", down ? '+' : '-', code);
}

static void on_move(void *ctx, int dx, int dy)
{
	(void)ctx;
	note("by %d,%d ", dx, dy);
}

static void on_position(void *ctx, unsigned int x, unsigned int y)
{
	(void)ctx;
	note("at %u,%u ", x, y);
}

static void on_wheel(void *ctx, int steps)
{
	(void)ctx;
	note("wheel %d ", steps);
}

static void assert_events(const char *want)
{
	assert_string_equal(events, want);
	events[0] = 0;
}

static void test_vnc_input(void **state)
{
	const struct input_sink keyboard = { .kind = INPUT_KEYBOARD, .key = on_key };
	const struct input_sink mouse = {
		.kind = INPUT_MOUSE, .key = on_key, .move = on_move, .wheel = on_wheel,
	};
	const struct input_sink tablet = {
		.kind = INPUT_TABLET, .key = on_key, .position = on_position, .ctx = events,
	};
	struct vnc_input i = { .in = input_new(), .x = -1, .y = -1 };

	(void)state;
	assert_int_equal(input_add(i.in, &keyboard), 0);
	assert_int_equal(input_add(i.in, &mouse), 0);
	vnc_input_key(&i, 'a', true);
	vnc_input_key(&i, 'a', false);
	assert_events("+30 -30 ");
	vnc_input_key(&i, 'A', true);		/* without shift before it */
	vnc_input_key(&i, 'A', false);
	assert_events("+42 +30 -42 -30 ");
	vnc_input_key(&i, 0xffe2, true);
	vnc_input_key(&i, 'A', true);
	assert_events("+54 +30 ");
	vnc_input_key(&i, 'b', false);		/* it was not pressed */
	vnc_input_key(&i, 0x1234567, true);
	assert_events("");

	vnc_input_pointer(&i, 0, 10, 10, 101, 101);
	assert_events("");			/* from where is not known */
	vnc_input_pointer(&i, 1, 13, 8, 101, 101);
	assert_events("by 3,-2 +272 ");
	vnc_input_pointer(&i, 4 | 8, 13, 8, 101, 101);
	assert_events("-272 +273 wheel 1 ");
	vnc_input_pointer(&i, 4 | 16, 500, 8, 101, 101);
	assert_events("");			/* beyond the screen */
	assert_int_equal(input_add(i.in, &tablet), 0);
	vnc_input_pointer(&i, 4, 100, 50, 101, 101);
	assert_events("at 32767,16383 ");
	vnc_input_release(&i);
	assert_events("-30 -54 -273 ");
	vnc_input_release(&i);
	assert_events("");
	input_free(i.in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap),
		cmocka_unit_test(test_vnc_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
