/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus, and the small devices: keyboard controller, reset ports, ACPI hardware. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../vmm/boot/acpi.h"
#include "../../../vmm/devices/input/i8042.h"
#include "../../../vmm/devices/power/power.h"
#include "vmm_test.h"

static struct bus ports;
static unsigned int offs, resets;

static void count(void *ctx)
{
	++*(unsigned int *)ctx;
}

static void count_off(void *ctx)
{
	(void)ctx;
	count(&offs);
}

static void count_reset(void *ctx)
{
	(void)ctx;
	count(&resets);
}

static const struct power_ops power = { count_off, count_reset, NULL };

static int setup(void **state)
{
	(void)state;
	memset(&ports, 0, sizeof(ports));
	offs = resets = 0;
	return 0;
}

static u64 reg[4];

static u64 fake_read(void *dev, u64 offset, unsigned int size)
{
	(void)dev;
	return reg[0] >> (offset * 8) & (size == 8 ? ~0ULL : (1ULL << size * 8) - 1);
}

static void fake_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	(void)dev;
	reg[1] = offset;
	reg[2] = value;
	reg[3]++;
	assert_true(size <= 2);
}

static void test_bus(void **state)
{
	struct bus_region r = { "a", 0x100, 4, 2, fake_read, fake_write, NULL }, found;
	u64 v = 0x1122334455667788;

	(void)state;
	assert_int_equal(bus_add(&ports, &r), 0);
	r.base = 0x103;
	assert_int_equal(bus_add(&ports, &r), -EEXIST);
	r.base = 0xfd;
	assert_int_equal(bus_add(&ports, &r), -EEXIST);
	r.base = 0xf0;
	assert_int_equal(bus_add(&ports, &r), 0);
	r.base = 0x104;
	assert_int_equal(bus_add(&ports, &r), 0);
	assert_false(bus_find(&ports, 0xff, &found));
	assert_true(bus_find(&ports, 0x104, &found));
	assert_int_equal(found.base, 0x104);
	reg[0] = 0x44332211;
	assert_int_equal(inl(&ports, 0x100), 0x44332211);	/* wider than the device takes */
	assert_int_equal(inl(&ports, 0xfe), 0x2211ffff);
	assert_int_equal(inl(&ports, 0x500), 0xffffffff);
	bus_access(&ports, 0x100, &v, 2, true);
	assert_int_equal(reg[2], 0x7788);
	reg[3] = 0;
	bus_access(&ports, 0x100, &v, 8, true);
	assert_int_equal(reg[3], 4);	/* in pieces of what the device takes */
	reg[3] = 0;
	bus_access(&ports, 0x101, &v, 4, true);
	assert_int_equal(reg[3], 4);
	assert_int_equal(bus_remove(&ports, 0x104, &ports), -ENOENT);
	assert_int_equal(bus_remove(&ports, 0x104, NULL), 0);
	assert_false(bus_find(&ports, 0x104, &found));
	r.base = 0x200;
	r.size = 0;
	assert_int_equal(bus_add(&ports, &r), -EINVAL);
	r.base = ~0ULL - 2;
	r.size = 4;
	assert_int_equal(bus_add(&ports, &r), -EINVAL);
	r.base = 0x104;
	while (bus_add(&ports, &r) != -ENOSPC)
		r.base += 4;
}

static struct noted_irq keyboard_irq, mouse_irq;

static struct i8042 *make_i8042(struct input *in)
{
	const struct i8042_config c = {
		.power = power, .in = in,
		.keyboard = { note_irq, &keyboard_irq, 1 }, .mouse = { note_irq, &mouse_irq, 12 },
	};

	memset(&keyboard_irq, 0, sizeof(keyboard_irq));
	memset(&mouse_irq, 0, sizeof(mouse_irq));
	return i8042_new(&ports, &c);
}

static void test_i8042(void **state)
{
	struct i8042 *k = make_i8042(NULL);

	(void)state;
	assert_int_equal(inb(&ports, 0x64) & 3, 0);
	outb(&ports, 0x64, 0xaa);
	assert_int_equal(inb(&ports, 0x64) & 1, 1);
	assert_int_equal(inb(&ports, 0x60), 0x55);
	assert_int_equal(inb(&ports, 0x64) & 1, 0);
	outb(&ports, 0x64, 0x60);
	outb(&ports, 0x60, 0x47);
	outb(&ports, 0x64, 0x20);
	assert_int_equal(inb(&ports, 0x60), 0x47);
	outb(&ports, 0x60, 0xf5);	/* nobody is there */
	assert_int_equal(inb(&ports, 0x64) & 0x41, 0x41);
	assert_int_equal(inb(&ports, 0x60), 0xfe);
	outb(&ports, 0x64, 0xd1);
	outb(&ports, 0x60, 0xdf);
	outb(&ports, 0x64, 0xff);
	assert_int_equal(resets, 0);
	outb(&ports, 0x64, 0xfe);
	assert_int_equal(resets, 1);
	outb(&ports, 0x64, 0xd1);
	outb(&ports, 0x60, 0xde);
	assert_int_equal(resets, 2);
	i8042_free(k);
}

/* The bytes that can be read, as text. */
static const char *drain(void)
{
	static char text[1024];
	unsigned int n = 0;

	text[0] = 0;
	while (inb(&ports, 0x64) & 1 && n < sizeof(text) - 4) {
		const char *from = inb(&ports, 0x64) & 0x20 ? "m" : "";

		n += (unsigned int)snprintf(text + n, sizeof(text) - n, "%s%s%02x", n ? " " : "",
					    from, inb(&ports, 0x60));
	}
	return text;
}

static void mouse_command(u8 byte)
{
	outb(&ports, 0x64, 0xd4);
	outb(&ports, 0x60, byte);
}

static void config(u8 byte)
{
	outb(&ports, 0x64, 0x60);
	outb(&ports, 0x60, byte);
}

static void test_keyboard(void **state)
{
	struct input *in = input_new();
	struct i8042 *k = make_i8042(in);
	const char *text;
	unsigned int i;

	(void)state;
	config(0x45);
	outb(&ports, 0x60, 0xff);
	assert_string_equal(drain(), "fa aa");
	assert_int_equal(keyboard_irq.rises, 2);
	outb(&ports, 0x60, 0xf2);
	assert_string_equal(drain(), "fa ab 41");	/* translated */
	outb(&ports, 0x60, 0xf4);
	assert_string_equal(drain(), "fa");
	input_key(in, KEY_A, true);
	input_key(in, KEY_A, false);
	assert_string_equal(drain(), "1e 9e");
	input_key(in, KEY_F7, true);
	input_key(in, KEY_LEFT, true);
	input_key(in, KEY_LEFT, false);
	assert_string_equal(drain(), "41 e0 4b e0 cb");
	config(0x05);					/* as the keyboard has it */
	input_key(in, KEY_A, true);
	input_key(in, KEY_A, false);
	input_key(in, KEY_LEFT, false);
	input_key(in, KEY_F7, true);
	input_key(in, KEY_PAUSE, true);
	assert_string_equal(drain(), "1c f0 1c e0 f0 6b 83 e1 14 77 e1 f0 14 f0 77");
	outb(&ports, 0x60, 0xf0);
	outb(&ports, 0x60, 1);
	drain();
	input_key(in, KEY_RIGHTALT, true);
	input_key(in, KEY_RIGHTALT, false);
	assert_string_equal(drain(), "e0 38 e0 b8");
	outb(&ports, 0x60, 0xf0);
	outb(&ports, 0x60, 0);
	assert_string_equal(drain(), "fa fa 01");
	config(0x15);					/* off: it keeps its keys */
	input_key(in, KEY_B, true);
	assert_string_equal(drain(), "");
	config(0x05);
	assert_string_equal(drain(), "30");
	outb(&ports, 0x60, 0xf5);
	drain();
	input_key(in, KEY_B, true);
	assert_string_equal(drain(), "");
	outb(&ports, 0x60, 0xf4);
	drain();
	for (i = 0; i < 1000; i++)
		input_key(in, KEY_LEFT, i % 2);		/* nobody reads: whole codes are lost */
	text = drain();
	assert_true(strlen(text) > 500);
	assert_string_equal(text + strlen(text) - 5, "e0 6b");
	input_key(in, 0xffff, true);
	assert_string_equal(drain(), "");
	i8042_free(k);
	input_key(in, KEY_A, true);
	input_free(in);
}

static void test_mouse(void **state)
{
	struct input *in = input_new();
	struct i8042 *k = make_i8042(in);
	static const u8 wheel[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2 };
	unsigned int i;

	(void)state;
	config(0x47);
	outb(&ports, 0x64, 0xa9);
	assert_string_equal(drain(), "00");
	mouse_command(0xff);
	assert_string_equal(drain(), "mfa maa m00");
	assert_int_equal(mouse_irq.rises, 3);
	input_move(in, 5, 5);
	input_sync(in);
	assert_string_equal(drain(), "");		/* it does not report yet */
	mouse_command(0xf4);
	assert_string_equal(drain(), "mfa");
	input_move(in, 5, -3);
	input_button(in, BTN_LEFT, true);
	input_sync(in);
	assert_string_equal(drain(), "m09 m05 m03");
	input_move(in, -300, 1);
	input_button(in, BTN_LEFT, false);
	input_sync(in);
	assert_string_equal(drain(), "m38 m01 mff m18 md3 m00");
	for (i = 0; i < sizeof(wheel); i++)
		mouse_command(wheel[i]);
	assert_string_equal(drain(), "mfa mfa mfa mfa mfa mfa mfa m03");
	input_wheel(in, 1);
	input_sync(in);
	assert_string_equal(drain(), "m08 m00 m00 mff");
	mouse_command(0xe9);
	assert_string_equal(drain(), "mfa m20 m02 m50");
	for (i = 0; i < 1000; i++) {
		input_move(in, 10, 0);
		input_sync(in);
	}
	/* what had no room comes as one movement afterwards */
	i = 0;
	while (inb(&ports, 0x64) & 1) {
		inb(&ports, 0x60);
		i += inb(&ports, 0x60);
		inb(&ports, 0x60);
		inb(&ports, 0x60);
	}
	assert_int_equal(i, 10000);
	i8042_free(k);
	input_free(in);
}

static void test_reset_ports(void **state)
{
	struct reset_ports *r = reset_ports_new(&ports, &power);
	u32 config = 0x80000600;

	(void)state;
	assert_int_equal(reset_ports_add_control(r), 0);
	bus_access(&ports, 0xcf8, &config, 4, true);	/* PCI, not reset */
	assert_int_equal(inl(&ports, 0xcf8), 0xffffffff);
	assert_int_equal(inb(&ports, 0xcf9), 0);
	assert_int_equal(resets, 0);
	outb(&ports, 0xcf9, 2);
	assert_int_equal(resets, 0);
	outb(&ports, 0xcf9, 6);
	assert_int_equal(resets, 1);
	assert_int_equal(inb(&ports, 0x92), 2);
	outb(&ports, 0x92, 0);
	assert_int_equal(inb(&ports, 0x92), 2);		/* A20 stays open */
	outb(&ports, 0x92, 3);
	assert_int_equal(resets, 2);
	reset_ports_free(r);
}

#define PM 0x600

static void put16(u64 port, u16 v)
{
	bus_access(&ports, port, &v, 2, true);
}

static void test_acpi_pm(void **state)
{
	static const struct acpi_pm_layout layout = { .size = 128, .gpe = 0x20, .gpe_len = 16 };
	struct noted_irq sci = { .level = false };
	const struct irq_line line = { note_irq, &sci, 9 };
	struct acpi_pm *pm = acpi_pm_new(&ports, &power, &line, &layout);
	u32 start, ticks;
	u16 v;

	(void)state;
	assert_int_equal(inb(&ports, PM + 4), 0xff);
	acpi_pm_map(pm, PM);
	assert_int_equal(inb(&ports, PM + 4), 1);		/* always in ACPI mode */
	start = inl(&ports, PM + 8);
	usleep(20000);
	ticks = inl(&ports, PM + 8) - start;
	assert_in_range(ticks, 3579545 / 50, 3579545);
	put16(PM + 2, 0x21);
	assert_int_equal(inl(&ports, PM), 0x210000);
	put16(PM + 4, 5 << 10 | 1 << 13);	/* sleep, but not S5 */
	assert_int_equal(offs, 0);
	v = ACPI_SLP_TYP_S5 << 10;
	put16(PM + 4, v);
	assert_int_equal(offs, 0);
	v |= 1 << 13;
	put16(PM + 4, v);
	assert_int_equal(offs, 1);
	outb(&ports, PM + 5, 0x20);	/* byte by byte it works, too */
	assert_int_equal(offs, 2);
	acpi_pm_map(pm, 0x4000);	/* the chipset moves it */
	assert_int_equal(inb(&ports, PM + 4), 0xff);
	assert_int_equal(inb(&ports, 0x4004) & 1, 1);
	acpi_pm_free(pm);
}

/* The power button and general purpose events interrupt while they are enabled. */
static void test_acpi_events(void **state)
{
	static const struct acpi_pm_layout layout = { .size = 12, .gpe_port = 0xafe0 };
	struct noted_irq sci = { .level = false };
	const struct irq_line line = { note_irq, &sci, 9 };
	struct acpi_pm *pm = acpi_pm_new(&ports, &power, &line, &layout);

	(void)state;
	acpi_pm_map(pm, PM);
	acpi_pm_power_button(pm);
	assert_int_equal(inl(&ports, PM), 0x100);
	assert_false(sci.level);
	put16(PM + 2, 0x100);
	assert_true(sci.level);
	put16(PM, 0x100);
	assert_false(sci.level);
	assert_int_equal(inl(&ports, PM), 0x1000000);
	acpi_pm_gpe(pm, 1);
	assert_false(sci.level);
	outb(&ports, 0xafe2, 2);
	assert_true(sci.level);
	assert_int_equal(inl(&ports, 0xafe0), 0x20002);
	outb(&ports, 0xafe0, 2);
	assert_false(sci.level);
	acpi_pm_free(pm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bus, setup),
		cmocka_unit_test_setup(test_i8042, setup),
		cmocka_unit_test_setup(test_keyboard, setup),
		cmocka_unit_test_setup(test_mouse, setup),
		cmocka_unit_test_setup(test_reset_ports, setup),
		cmocka_unit_test_setup(test_acpi_pm, setup),
		cmocka_unit_test_setup(test_acpi_events, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
