/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock: the host's time in each form, setting it, flags and interrupts. */
#include <time.h>
#include <unistd.h>

#include "../../../vmm/devices/rtc/mc146818.h"
#include "vmm_test.h"

static struct bus ports;
static struct noted_irq irq;
static struct loop *loop;
static struct rtc *rtc;

static int setup(void **state)
{
	const struct irq_line out = { note_irq, &irq, 8 };

	(void)state;
	memset(&ports, 0, sizeof(ports));
	memset(&irq, 0, sizeof(irq));
	loop = loop_new();
	rtc = rtc_new(&ports, &out, loop, GIB, 5 * GIB);
	return !rtc;
}

static int teardown(void **state)
{
	(void)state;
	rtc_free(rtc);
	loop_free(loop);
	return 0;
}

static u8 get(u8 reg)
{
	outb(&ports, 0x70, reg);
	return inb(&ports, 0x71);
}

static void set(u8 reg, u8 v)
{
	outb(&ports, 0x70, reg);
	outb(&ports, 0x71, v);
}

static int number(u8 v, bool binary)
{
	return binary ? v : (v >> 4) * 10 + (v & 15);
}

static time_t guest_time(bool binary, bool h24)
{
	u8 h = get(4);
	struct tm tm = {
		.tm_sec = number(get(0), binary), .tm_min = number(get(2), binary),
		.tm_hour = h24 ? number(h, binary) :
			number(h & 0x7f, binary) % 12 + (h & 0x80 ? 12 : 0),
		.tm_mday = number(get(7), binary), .tm_mon = number(get(8), binary) - 1,
		.tm_year = number(get(9), binary) + number(get(0x32), binary) * 100 - 1900,
	};

	return timegm(&tm);
}

/* Not within the last tenth of a second, where a reading could tear. */
static void settle(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ts.tv_nsec > 900000000)
		usleep(150000);
}

static void test_forms(void **state)
{
	(void)state;
	settle();
	assert_int_equal(guest_time(false, true), time(NULL));
	set(0xb, 0x06);
	assert_int_equal(guest_time(true, true), time(NULL));
	set(0xb, 0x04);
	assert_int_equal(guest_time(true, false), time(NULL));
	set(0xb, 0x00);
	assert_int_equal(guest_time(false, false), time(NULL));
	assert_int_equal(get(0xd), 0x80);
	assert_int_equal(get(0x34) | get(0x35) << 8, (int)((GIB - 16 * MIB) >> 16));
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, (int)(5 * GIB >> 16));
}

static void test_set(void **state)
{
	static const u8 when[][2] = {
		{ 0, 0x56 }, { 2, 0x34 }, { 4, 0x12 }, { 7, 0x29 }, { 8, 0x02 }, { 9, 0x04 },
		{ 0x32, 0x20 },
	};
	unsigned int i;

	(void)state;
	settle();
	set(0xb, 0x82);
	for (i = 0; i < ARRAY_SIZE(when); i++)
		set(when[i][0], when[i][1]);
	assert_int_equal(get(0), 0x56);
	set(0xb, 0x02);
	assert_int_equal(guest_time(false, true), 1078058096);	/* 2004-02-29 12:34:56 */
}

static void test_flags(void **state)
{
	unsigned int i;

	(void)state;
	get(0xc);
	set(0xb, 0x42);		/* periodic, 1024 a second */
	assert_int_equal(get(0xc) & 0x10, 0);
	usleep(3000);
	assert_int_equal(get(0xc) & 0xc0, 0xc0);
	assert_int_equal(get(0xc) & 0x0f, 0);
	set(0xb, 0x02);
	usleep(3000);
	assert_int_equal(get(0xc) & 0xc0, 0x40);	/* a flag, but no interrupt */
	for (i = 0; i < 25 && !(get(0xc) & 0x10); i++)
		usleep(50000);
	assert_true(i < 25);	/* the update of the second came */
}

static struct timer *end;

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run_for(u64 ms)
{
	end = timer_new(loop, stop, loop);
	timer_set(end, monotonic_ns() + ms * 1000000);
	loop_run(loop);
	timer_free(end);
}

static void test_interrupts(void **state)
{
	(void)state;
	get(0xc);
	set(0xb, 0x42);
	run_for(20);
	assert_int_equal(irq.rises, 1);		/* held until register C is read */
	assert_true(irq.level);
	assert_true(get(0xc) & 0x40);
	assert_false(irq.level);
	set(0xb, 0x02);
	/* an alarm at every second */
	set(1, 0xff);
	set(3, 0xff);
	set(5, 0xff);
	get(0xc);
	set(0xb, 0x22);
	run_for(1100);
	assert_int_equal(irq.rises, 2);
	assert_int_equal(get(0xc) & 0xa0, 0xa0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
