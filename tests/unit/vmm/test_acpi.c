/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI tables as a guest finds them: signatures, lengths, checksums, the
 * CPUs of the MADT, and the blocks of the DSDT, which must nest without gaps.
 */
#include "../../../vmm/boot/acpi.h"
#include "../../../vmm/boot/boot.h"
#include "../../../vmm/boot/dsdt/dsdt.h"
#include "vmm_test.h"

static struct guest_memory mem;

static int setup(void **state)
{
	(void)state;
	return memory_create(&mem, 4 * MIB, MEMORY_LOW_MAX);
}

static int teardown(void **state)
{
	(void)state;
	memory_destroy(&mem);
	return 0;
}

static u32 get32(u64 gpa)
{
	u32 v;

	memcpy(&v, memory_ptr(&mem, gpa, 4), 4);
	return v;
}

static u64 get64(u64 gpa)
{
	return get32(gpa) | (u64)get32(gpa + 4) << 32;
}

static u8 sum(u64 gpa, u32 len)
{
	const u8 *p = memory_ptr(&mem, gpa, len);
	u8 s = 0;

	assert_non_null(p);
	while (len--)
		s += *p++;
	return s;
}

static u32 check_table(u64 gpa, const char *signature)
{
	u32 len = get32(gpa + 4);

	assert_memory_equal(memory_ptr(&mem, gpa, 4), signature, 4);
	assert_true(gpa >= BOOT_ACPI && gpa + len <= BOOT_ACPI_END);
	assert_int_equal(sum(gpa, len), 0);
	return len;
}

/* The length of an AML package, and how many bytes tell it. */
static u32 pkg_length(u64 at, u32 *bytes)
{
	const u8 *p = memory_ptr(&mem, at, 4);
	u32 i, n = p[0] >> 6, len = p[0] & (n ? 0xf : 0x3f);

	for (i = 0; i < n; i++)
		len |= (u32)p[1 + i] << (4 + 8 * i);
	*bytes = 1 + n;
	return len;
}

/* Counts the devices of \_SB, the block that begins at `at` and must end where the table does. */
static unsigned int count_devices(u64 at, u64 end)
{
	unsigned int devices = 0;
	u32 bytes;
	u8 *p;

	p = memory_ptr(&mem, at, 16);
	assert_int_equal(p[0], 0x10);
	assert_int_equal(at + 1 + pkg_length(at + 1, &bytes), end);
	at += 1 + bytes + 5;
	while (at < end) {
		p = memory_ptr(&mem, at, 2);
		assert_memory_equal(p, "\x5b\x82", 2);
		at += 2 + pkg_length(at + 2, &bytes);
		devices++;
	}
	assert_int_equal(at, end);
	return devices;
}

/* The DSDT that is made here begins with the S5 state; then comes \_SB. */
static unsigned int dsdt_devices(u64 dsdt)
{
	u64 at = dsdt + 36, end = dsdt + check_table(dsdt, "DSDT");
	u32 bytes;

	assert_memory_equal(memory_ptr(&mem, at, 16), "\x08\\_S5_\x12", 7);
	return count_devices(at + 7 + pkg_length(at + 7, &bytes), end);
}

static void check_madt(u64 madt, unsigned int cpus)
{
	u64 at = madt + 44, end = madt + check_table(madt, "APIC");
	unsigned int lapics = 0, ioapics = 0, overrides = 0;

	while (at < end) {
		const u8 *p = memory_ptr(&mem, at, 2);

		assert_true(p[1] >= 2);
		if (p[0] == 0)
			assert_int_equal(p[3], lapics++);
		ioapics += p[0] == 1;
		overrides += p[0] == 2;
		at += p[1];
	}
	assert_int_equal(at, end);
	assert_int_equal(lapics, cpus);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
}

static void place(const struct acpi_config *c)
{
	struct acpi_image img;

	memset(memory_ptr(&mem, BOOT_ACPI, 0x20000), 0xcc, 0x20000);
	assert_int_equal(acpi_image_make(&img, c), 0);
	assert_int_equal(acpi_place(&mem, &img, BOOT_ACPI, BOOT_ACPI_END), 0);
	assert_int_equal(acpi_place(&mem, &img, BOOT_ACPI, BOOT_ACPI + img.size), -1);
	acpi_image_free(&img);
}

/* The n-th table of the XSDT, whose pointer in the RSDT is the same. */
static u64 table(unsigned int n)
{
	u64 gpa = get64(get64(BOOT_ACPI + 24) + 36 + 8 * n);

	assert_int_equal(get32(get32(BOOT_ACPI + 16) + 36 + 4 * n), gpa);
	return gpa;
}

static void check_cpus(unsigned int cpus)
{
	const struct acpi_config c = { .cpus = cpus, .pm_base = ACPI_PM_BASE };
	u64 fadt, dsdt, ssdt;

	place(&c);
	assert_memory_equal(memory_ptr(&mem, BOOT_ACPI, 8), "RSD PTR ", 8);
	assert_int_equal(sum(BOOT_ACPI, 20), 0);
	assert_int_equal(sum(BOOT_ACPI, 36), 0);
	assert_int_equal(check_table(get64(BOOT_ACPI + 24), "XSDT"), 36 + 3 * 8);
	assert_int_equal(check_table(get32(BOOT_ACPI + 16), "RSDT"), 36 + 3 * 4);
	fadt = table(0);
	assert_int_equal(check_table(fadt, "FACP"), 244);
	dsdt = get32(fadt + 40);
	assert_int_equal(dsdt, get64(fadt + 140));
	assert_int_equal(get32(fadt + 36) % 64, 0);
	assert_memory_equal(memory_ptr(&mem, get32(fadt + 36), 4), "FACS", 4);
	assert_int_equal(get32(fadt + 64), ACPI_PM_BASE + 4);
	assert_int_equal(get32(fadt + 112) & 1 << 4, 0);	/* there is a power button */
	assert_int_equal(get64(fadt + 116 + 4), ACPI_RESET_PORT);
	assert_int_equal(dsdt_devices(dsdt), 2);
	check_madt(table(1), cpus);
	ssdt = table(2);
	assert_int_equal(count_devices(ssdt + 36, ssdt + check_table(ssdt, "SSDT")), cpus);
}

/* PCI: configuration space in memory, shared interrupts, devices at fixed places. */
static void test_machine(void **state)
{
	const struct acpi_config c = {
		.cpus = 2, .pm_base = ACPI_PM_BASE, .hpet = true, .dsdt = dsdt_q35,
		.dsdt_size = dsdt_q35_size, .ecam = 0xb0000000, .ecam_size = 64 * MIB,
		.mem64_end = 0x123456789a, .level_irqs = 1 << 10 | 1 << 11,
	};
	u64 dsdt, end = c.mem64_end - 1;
	u32 size;

	(void)state;
	place(&c);
	assert_int_equal(check_table(table(2), "MCFG"), 60);
	assert_int_equal(get64(table(2) + 44), 0xb0000000);
	assert_int_equal(get32(table(2) + 52), 63 << 24);
	assert_int_equal(check_table(table(3), "HPET"), 56);
	assert_int_equal(get64(table(3) + 44), HPET_BASE);
	dsdt = get32(table(0) + 40);
	size = check_table(dsdt, "DSDT");
	assert_int_equal(size, dsdt_q35_size);
	assert_non_null(memmem(memory_ptr(&mem, dsdt, size), size, &end, 8));
}

static void test_mmio_devices(void **state)
{
	const struct acpi_config c = {
		.cpus = 1, .pm_base = ACPI_PM_BASE, .mmio_count = 2,
		.mmio = { { 0xd0000000, 0x200, 16 }, { 0xd0000200, 0x200, 17 } },
	};
	u64 ssdt;

	(void)state;
	place(&c);
	ssdt = table(2);
	assert_int_equal(count_devices(ssdt + 36, ssdt + check_table(ssdt, "SSDT")), 3);
}

static void test_tables(void **state)
{
	(void)state;
	check_cpus(1);
	check_cpus(4);
	check_cpus(255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_mmio_devices),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
