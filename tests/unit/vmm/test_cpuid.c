/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPUID as the machine gives it to each CPU, for both makers' leaves. */
#include "../../../vmm/machine/vcpu.h"
#include "vmm_test.h"

#define MAX 32

static struct kvm_cpuid_entry2 list[MAX];
static unsigned int n;

static void add(u32 leaf, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	list[n++] = (struct kvm_cpuid_entry2){ .function = leaf, .index = index, .eax = eax,
					       .ebx = ebx, .ecx = ecx, .edx = edx };
}

static const struct kvm_cpuid_entry2 *get(u32 leaf, u32 index)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (list[i].function == leaf && list[i].index == index)
			return &list[i];
	fail_msg("leaf %x is missing", leaf);
	return NULL;
}

static void start(const char *maker)
{
	u32 m[3];

	memcpy(m, maker, 12);
	n = 0;
	add(0, 0, 0x1f, m[0], m[2], m[1]);
	add(1, 0, 0x123, 0xffff0800, 0, 0);
	add(0xb, 0, 7, 7, 7, 7);
	add(0xb, 5, 7, 7, 7, 7);
	add(0x40000000, 0, 0x40000001, 0, 0, 0);
}

static void test_intel(void **state)
{
	(void)state;
	start("GenuineIntel");
	add(4, 0, 0xfc004121, 0, 0, 0);		/* level 1 */
	add(4, 1, 0xfc1fc163, 0, 0, 0);		/* level 3 */
	add(4, 2, 0, 0, 0, 0);
	n = cpuid_adjust(list, n, MAX, 3, 6, 2600000, 5 * GIB);
	assert_int_equal(get(1, 0)->ebx, 3u << 24 | 8 << 16 | 0x0800);
	assert_int_equal(get(1, 0)->edx & 1 << 28, 1 << 28);
	assert_int_equal(get(4, 0)->eax, 7u << 26 | 0x121);
	assert_int_equal(get(4, 1)->eax, 7u << 26 | 7 << 14 | 0x163);
	assert_int_equal(get(0xb, 0)->eax, 0);
	assert_int_equal(get(0xb, 0)->ebx, 1);
	assert_int_equal(get(0xb, 0)->ecx, 0x100);
	assert_int_equal(get(0xb, 1)->eax, 3);
	assert_int_equal(get(0xb, 1)->ebx, 6);
	assert_int_equal(get(0xb, 1)->ecx, 0x201);
	assert_int_equal(get(0xb, 1)->edx, 3);
	assert_int_equal(get(0xb, 2)->ebx, 0);
	assert_int_equal(get(0x40000010, 0)->eax, 2600000);
	assert_int_equal(get(0x40000000, 0)->eax, 0x40000010);
}

static void test_amd(void **state)
{
	(void)state;
	start("AuthenticAMD");
	add(0x80000001, 0, 0, 0, 0x2, 0);
	add(0x80000008, 0, 0x3030, 0, 0x70ff, 0);
	add(0x8000001d, 0, 0x1c121, 0, 0, 0);
	add(0x8000001d, 1, 0x1c163, 0, 0, 0);
	add(0x8000001e, 0, 9, 9, 9, 0);
	n = cpuid_adjust(list, n, MAX, 300, 512, 0, 5 * GIB);
	assert_int_equal(get(1, 0)->ebx >> 24, 300 & 0xff);
	assert_int_equal(get(1, 0)->ebx >> 16 & 0xff, 255);
	assert_int_equal(get(0x80000008, 0)->ecx, 9 << 12 | 0xff);
	assert_int_equal(get(0x80000008, 0)->eax, 0x3028);	/* 40 bits are enough */
	assert_int_equal(get(0x8000001d, 0)->eax, 0x121);
	assert_int_equal(get(0x8000001d, 1)->eax, 511 << 14 | 0x163);
	assert_int_equal(get(0x8000001e, 0)->eax, 300);
	assert_int_equal(get(0x80000001, 0)->ecx, 2);
	n = cpuid_adjust(list, n, MAX, 0, 1, 0, 5 * GIB);
	assert_int_equal(get(0x80000001, 0)->ecx, 0);
	assert_int_equal(get(1, 0)->edx & 1 << 28, 0);
	assert_int_equal(get(0xb, 1)->eax, 0);
	assert_int_equal(cpuid_address_bits(1ULL << 39), 40);
	assert_int_equal(cpuid_address_bits((1ULL << 39) + 1), 41);
	assert_int_equal(cpuid_address_bits(~0ULL), 52);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intel),
		cmocka_unit_test(test_amd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
