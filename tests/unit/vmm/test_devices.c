/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus, and the small devices: keyboard controller, reset ports, ACPI hardware. */
#include <errno.h>
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
	struct bus_region r = { "a", 0x100, 4, 2, fake_read, fake_write, NULL };
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
	assert_null(bus_find(&ports, 0xff));
	assert_int_equal(bus_find(&ports, 0x104)->base, 0x104);
	reg[0] = 0x44332211;
	assert_int_equal(inl(&ports, 0x100), 0x44332211);	/* wider than the device takes */
	assert_int_equal(inl(&ports, 0xfe), 0x2211ffff);
	assert_int_equal(inl(&ports, 0x500), 0xffffffff);
	bus_access(&ports, 0x100, &v, 2, true);
	assert_int_equal(reg[2], 0x7788);
	reg[3] = 0;
	bus_access(&ports, 0x100, &v, 8, true);
	assert_int_equal(reg[3], 8);
	while (bus_add(&ports, &r) != -ENOSPC)
		r.base += 4;
}

static void test_i8042(void **state)
{
	struct i8042 *k = i8042_new(&ports, &power);

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

static void test_reset_ports(void **state)
{
	struct reset_ports *r = reset_ports_new(&ports, &power);
	u32 config = 0x80000600;

	(void)state;
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

static void test_acpi_pm(void **state)
{
	struct acpi_pm *pm = acpi_pm_new(&ports, &power);
	u32 start, ticks;
	u16 v;

	(void)state;
	assert_int_equal(inb(&ports, ACPI_PM1_CNT), 1);		/* always in ACPI mode */
	start = inl(&ports, ACPI_PM_TMR);
	usleep(20000);
	ticks = inl(&ports, ACPI_PM_TMR) - start;
	assert_in_range(ticks, 3579545 / 50, 3579545);
	v = 0x21;
	bus_access(&ports, ACPI_PM1_EVT + 2, &v, 2, true);
	assert_int_equal(inl(&ports, ACPI_PM1_EVT), 0x210000);
	v = 1 << 13;			/* sleep, but not S5 */
	bus_access(&ports, ACPI_PM1_CNT, &v, 2, true);
	assert_int_equal(offs, 0);
	v = ACPI_SLP_TYP_S5 << 10;
	bus_access(&ports, ACPI_PM1_CNT, &v, 2, true);
	assert_int_equal(offs, 0);
	v |= 1 << 13;
	bus_access(&ports, ACPI_PM1_CNT, &v, 2, true);
	assert_int_equal(offs, 1);
	outb(&ports, ACPI_PM1_CNT + 1, 0x34);	/* byte by byte it works, too */
	assert_int_equal(offs, 2);
	acpi_pm_free(pm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bus, setup),
		cmocka_unit_test_setup(test_i8042, setup),
		cmocka_unit_test_setup(test_reset_ports, setup),
		cmocka_unit_test_setup(test_acpi_pm, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
