/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI tables as a guest finds them: signatures, lengths, checksums, the
 * CPUs of the MADT, and the blocks of the DSDT, which must nest without gaps.
 */
#include "../../../vmm/boot/acpi.h"
#include "../../../vmm/boot/boot.h"
#include "vmm_test.h"

static struct guest_memory mem;

static int setup(void **state)
{
	(void)state;
	return memory_create(&mem, 4 * MIB);
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

/* Counts the devices of \_SB, which must end where the table does. */
static unsigned int count_devices(u64 dsdt, u32 len)
{
	u64 at = dsdt + 36, end = dsdt + len;
	unsigned int devices = 0;
	u32 bytes;
	u8 *p;

	p = memory_ptr(&mem, at, 16);
	assert_memory_equal(p, "\x08\\_S5_\x12", 7);
	at += 7 + pkg_length(at + 7, &bytes);
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

static void check_cpus(unsigned int cpus)
{
	u64 xsdt, fadt, dsdt;

	memset(memory_ptr(&mem, BOOT_ACPI, 0x20000), 0xcc, 0x20000);
	assert_int_equal(acpi_build(&mem, cpus), 0);
	assert_memory_equal(memory_ptr(&mem, BOOT_ACPI, 8), "RSD PTR ", 8);
	assert_int_equal(sum(BOOT_ACPI, 20), 0);
	assert_int_equal(sum(BOOT_ACPI, 36), 0);
	xsdt = get64(BOOT_ACPI + 24);
	assert_int_equal(check_table(xsdt, "XSDT"), 36 + 2 * 8);
	fadt = get64(xsdt + 36);
	assert_int_equal(check_table(fadt, "FACP"), 244);
	dsdt = get32(fadt + 40);
	assert_int_equal(dsdt, get64(fadt + 140));
	assert_int_equal(get32(fadt + 36) % 64, 0);
	assert_memory_equal(memory_ptr(&mem, get32(fadt + 36), 4), "FACS", 4);
	assert_int_equal(get32(fadt + 64), ACPI_PM1_CNT);
	assert_int_equal(get64(fadt + 116 + 4), ACPI_RESET_PORT);
	assert_int_equal(count_devices(dsdt, check_table(dsdt, "DSDT")), cpus + 2);
	check_madt(get64(xsdt + 44), cpus);
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
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
