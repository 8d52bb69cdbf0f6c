/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HPET: its counter, one-shot and periodic comparators, lines, messages, legacy mode. */
#include "../../../vmm/boot/acpi.h"
#include "../../../vmm/devices/timer/hpet.h"
#include "fake_vm.h"
#include "vmm_test.h"

#define MS 100000u			/* in ticks */

static struct bus mmio;
static struct vm vm;
static struct board board;
static struct hpet *hpet;
static struct timer *end;
static bool pit_off;

void vm_pit_off(struct vm *v, bool off)
{
	(void)v;
	pit_off = off;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static int setup(void **state)
{
	(void)state;
	memset(&mmio, 0, sizeof(mmio));
	memset(&fake_vm, 0, sizeof(fake_vm));
	board = (struct board){ .vm = &vm, .mmio = &mmio, .loop = loop_new() };
	hpet = hpet_new(&board);
	end = timer_new(board.loop, stop, board.loop);
	pit_off = false;
	return !hpet || !end;
}

static int teardown(void **state)
{
	(void)state;
	hpet_free(hpet);
	timer_free(end);
	loop_free(board.loop);
	return 0;
}

static u64 get(u64 reg)
{
	u64 v;

	bus_access(&mmio, HPET_BASE + reg, &v, 8, false);
	return v;
}

static void put(u64 reg, u64 v)
{
	bus_access(&mmio, HPET_BASE + reg, &v, 8, true);
}

static void put32(u64 reg, u32 v)
{
	bus_access(&mmio, HPET_BASE + reg, &v, 4, true);
}

static void run_for(unsigned int ms)
{
	timer_set(end, monotonic_ns() + ms * 1000000ULL);
	loop_run(board.loop);
}

static void test_counter(void **state)
{
	u64 a;

	(void)state;
	assert_int_equal(get(0) >> 32, 10000000);
	assert_int_equal(get(0) & 0xffffffff, 0x8086a201);
	put(0xf0, 1000);
	run_for(2);
	assert_int_equal(get(0xf0), 1000);		/* it stands */
	put(0x10, 1);
	run_for(10);
	a = get(0xf0);
	assert_true(a >= 1000 + 10 * MS);
	put(0x10, 0);
	a = get(0xf0);
	assert_int_equal(get(0xf0), a);
	put32(0xf4, 5);
	assert_int_equal(get(0xf0), 5ULL << 32 | (u32)a);
}

static void test_one_shot(void **state)
{
	(void)state;
	put(0x140, 20 << 9 | 1 << 2);			/* timer 2: an edge on GSI 20 */
	put(0x148, 5 * MS);
	put(0x10, 1);
	run_for(2);
	assert_int_equal(fake_vm.rises[20], 0);
	run_for(20);
	assert_int_equal(fake_vm.rises[20], 1);
	assert_false(fake_vm.line[20]);
	put(0x148, get(0xf0) - 10);			/* just missed: at once */
	run_for(5);
	assert_int_equal(fake_vm.rises[20], 2);
}

static void test_level(void **state)
{
	(void)state;
	put(0x140, 20 << 9 | 1 << 2 | 1 << 1);
	put(0x148, 1 * MS);
	put(0x10, 1);
	run_for(10);
	assert_true(fake_vm.line[20]);
	assert_int_equal(get(0x20), 1 << 2);
	put(0x20, 1 << 2);
	assert_false(fake_vm.line[20]);
	assert_int_equal(get(0x20), 0);
}

static void test_periodic(void **state)
{
	unsigned int n;

	(void)state;
	put(0x100, 21 << 9 | 1 << 2 | 1 << 3 | 1 << 6);
	put(0x108, 2 * MS);				/* the first time */
	put(0x108, 2 * MS);				/* and each time */
	put(0x10, 1);
	run_for(41);
	n = fake_vm.rises[21];
	assert_true(n >= 2 && n <= 20);
	assert_true(get(0x108) > 10 * MS);
	put(0x100, get(0x100) & ~4ULL);
	run_for(10);
	assert_int_equal(fake_vm.rises[21], n);
	/* a period of one tick does not take the event loop over */
	put(0x100, 21 << 9 | 1 << 2 | 1 << 3 | 1 << 6);
	put(0x108, get(0xf0));
	put(0x108, 1);
	run_for(20);
	assert_true(fake_vm.rises[21] - n < 20000 / 50 + 10);
}

static void test_message(void **state)
{
	(void)state;
	put(0x120, 1 << 14 | 1 << 2);
	put(0x130, 0xfee01000ULL << 32 | 0x4041);
	put(0x128, MS);
	put(0x10, 1);
	run_for(10);
	assert_int_equal(fake_vm.msis, 1);
	assert_int_equal(fake_vm.msi_addr, 0xfee01000);
	assert_int_equal(fake_vm.msi_data, 0x4041);
}

static void test_legacy(void **state)
{
	const struct irq_line rtc = hpet_rtc_line(hpet, 8);

	(void)state;
	irq_set(&rtc, true);
	irq_set(&rtc, false);
	assert_int_equal(fake_vm.rises[8], 1);
	put(0x100, 1 << 2);
	put(0x120, 1 << 2);
	put(0x108, MS);
	put(0x128, MS);
	put(0x10, 3);
	assert_true(pit_off);
	irq_set(&rtc, true);
	assert_int_equal(fake_vm.rises[8], 1);
	run_for(10);
	assert_int_equal(fake_vm.rises[0], 1);
	assert_int_equal(fake_vm.rises[8], 2);
	put(0x10, 1);
	assert_false(pit_off);
}

/* A route beyond the IOAPIC's inputs, odd sizes, the rest of the page. */
static void test_odd(void **state)
{
	u64 v = ~0ULL;
	unsigned int i;

	(void)state;
	put(0x100, 31 << 9 | 1 << 2);
	put(0x108, 1);
	put(0x10, 1);
	run_for(5);
	for (i = 0; i < 0x400; i++) {
		bus_access(&mmio, HPET_BASE + i, &v, 1 + i % 8, true);
		bus_access(&mmio, HPET_BASE + i, &v, 1 + i % 8, false);
	}
	run_for(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_counter), TEST(test_one_shot), TEST(test_level), TEST(test_periodic),
		TEST(test_message), TEST(test_legacy), TEST(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
