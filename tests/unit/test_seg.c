/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segment checks in real, virtual-8086, protected and 64-bit mode: limits up
 * and down, types, null segments, canonical addresses, and which exception.
 */
#include "fake_bus.h"

#define DATA (SEG_P | SEG_S)
#define RW (DATA | SEG_W)
#define CODE (SEG_P | SEG_S | SEG_CODE)

static void set_seg(u8 n, u64 base, u32 limit, u32 attr)
{
	vcpu->seg[n].base = base;
	vcpu->seg[n].limit = limit;
	vcpu->seg[n].attr = attr;
}

/* The linear address, or the negated exception vector. */
static s64 check(u8 seg, u64 offset, u32 size, u32 access)
{
	u64 linear = 0;

	raised();
	if (seg_linear(vcpu, seg, offset, size, access, &linear) == EMU_NEXT) {
		assert_int_equal(raised(), -1);
		return (s64)linear;
	}
	assert_true(exc.raised);
	assert_int_equal(exc.error, 0);
	return -(s64)exc.vector;
}

static void test_real(void **state)
{
	(void)state;
	set_seg(SEG_DS, 0xffff0, 0xffff, 0);
	set_seg(SEG_CS, 0x10000, 0xffff, CODE);
	set_seg(SEG_SS, 0x20000, 0xffff, RW);
	assert_true(check(SEG_DS, 0x10, 1, MMU_READ) == 0x100000);
	assert_true(check(SEG_DS, 0xffff, 1, MMU_WRITE) == 0x10ffef);
	assert_true(check(SEG_DS, 0xffff, 2, MMU_READ) == -EXC_GP);
	assert_true(check(SEG_SS, 0xffff, 2, MMU_READ) == -EXC_SS);
	assert_true(check(SEG_DS, 0x10000, 1, MMU_READ) == -EXC_GP);
	/* Writing through CS is fine here. */
	assert_true(check(SEG_CS, 0, 4, MMU_WRITE) == 0x10000);
	/* Big real mode. */
	set_seg(SEG_DS, 0, 0xffffffff, RW);
	assert_true(check(SEG_DS, 0xfee00000, 4, MMU_WRITE) == 0xfee00000);
	assert_true(check(SEG_DS, 0xfffffffe, 4, MMU_WRITE) == -EXC_GP);
	vcpu->cr0 = X86_CR0_PE;
	vcpu->sysflags = X86_FL_VM;
	vcpu->cpl = 3;
	set_seg(SEG_DS, 0x1230, 0xffff, 0xf3);
	assert_true(check(SEG_DS, 0x10, 2, MMU_WRITE) == 0x1240);
	assert_true(check(SEG_DS, 0xffff, 2, MMU_WRITE) == -EXC_GP);
}

static void test_types(void **state)
{
	(void)state;
	vcpu->cr0 = X86_CR0_PE;
	set_seg(SEG_DS, 0x1000, 0xfff, DATA);
	assert_true(check(SEG_DS, 0, 4, MMU_READ) == 0x1000);
	assert_true(check(SEG_DS, 0, 4, MMU_WRITE) == -EXC_GP);
	assert_true(check(SEG_DS, 0, 4, MMU_READ | MMU_WRITE) == -EXC_GP);
	set_seg(SEG_DS, 0x1000, 0xfff, CODE | SEG_W);
	assert_true(check(SEG_DS, 0, 4, MMU_READ) == 0x1000);
	assert_true(check(SEG_DS, 0, 4, MMU_WRITE) == -EXC_GP);
	set_seg(SEG_CS, 0x1000, 0xfff, CODE);
	assert_true(check(SEG_CS, 0, 4, MMU_READ) == -EXC_GP);
	assert_true(check(SEG_CS, 0, 4, MMU_EXEC) == 0x1000);
	set_seg(SEG_DS, 0, 0xffffffff, RW & ~SEG_P);
	assert_true(check(SEG_DS, 0, 4, MMU_READ) == -EXC_GP);
	set_seg(SEG_SS, 0, 0xffffffff, RW & ~SEG_P);
	assert_true(check(SEG_SS, 0, 4, MMU_READ) == -EXC_SS);
}

static void test_limits(void **state)
{
	(void)state;
	vcpu->cr0 = X86_CR0_PE;
	set_seg(SEG_ES, 0xfffff000, 0x1fff, RW);
	assert_true(check(SEG_ES, 0x1ffc, 4, MMU_READ) == 0xffc);
	assert_true(check(SEG_ES, 0x1ffd, 4, MMU_READ) == -EXC_GP);
	assert_true(check(SEG_ES, 0xffffffff, 4, MMU_READ) == -EXC_GP);
	/* An offset is 32 bits wide. */
	assert_true(check(SEG_ES, 0x100000000ull, 4, MMU_READ) == 0xfffff000);
	/* Expand down, 16 and 32 bits. */
	set_seg(SEG_SS, 0, 0xfff, RW | SEG_E);
	assert_true(check(SEG_SS, 0xfff, 1, MMU_READ) == -EXC_SS);
	assert_true(check(SEG_SS, 0x1000, 2, MMU_READ) == 0x1000);
	assert_true(check(SEG_SS, 0xfffe, 2, MMU_READ) == 0xfffe);
	assert_true(check(SEG_SS, 0xffff, 2, MMU_READ) == -EXC_SS);
	set_seg(SEG_SS, 0, 0xfff, RW | SEG_E | SEG_DB);
	assert_true(check(SEG_SS, 0xffff, 2, MMU_READ) == 0xffff);
	assert_true(check(SEG_SS, 0xffffffff, 1, MMU_READ) == 0xffffffff);
	assert_true(check(SEG_SS, 0xffffffff, 2, MMU_READ) == -EXC_SS);
	set_seg(SEG_SS, 0, 0xffffffff, RW | SEG_E | SEG_DB);
	assert_true(check(SEG_SS, 0xffffffff, 1, MMU_READ) == -EXC_SS);
	/* Conforming code is no expand-down segment. */
	set_seg(SEG_ES, 0, 0xfff, CODE | SEG_W | SEG_E);
	assert_true(check(SEG_ES, 0, 4, MMU_READ) == 0);
	assert_true(check(SEG_ES, 0x1000, 4, MMU_READ) == -EXC_GP);
}

static void test_long(void **state)
{
	(void)state;
	fake_long_mode(0x1000);
	set_seg(SEG_DS, 0x1000, 0, 0);
	set_seg(SEG_FS, 0x7f0000000000ull, 0, 0);
	set_seg(SEG_GS, 0xffff888000000000ull, 0, 0);
	assert_true(check(SEG_DS, 0xffffffff81000000ull, 8, MMU_WRITE) ==
		    (s64)0xffffffff81000000ull);
	assert_true(check(SEG_FS, 0x28, 8, MMU_READ) == 0x7f0000000028ll);
	assert_true(check(SEG_GS, (u64)-0x8000000000ll, 8, MMU_READ) ==
		    (s64)0xffff880000000000ull);
	assert_true(check(SEG_FS, 0x10000000000ull, 8, MMU_READ) == -EXC_GP);
	assert_true(check(SEG_DS, 0x7ffffffffff8ull, 8, MMU_READ) == 0x7ffffffffff8ll);
	assert_true(check(SEG_DS, 0x7ffffffffff9ull, 8, MMU_READ) == -EXC_GP);
	assert_true(check(SEG_SS, 0x7ffffffffff9ull, 8, MMU_READ) == -EXC_SS);
	assert_true(check(SEG_SS, 0xffff7fffffffffffull, 1, MMU_READ) == -EXC_SS);
	/* Compatibility mode is protected mode. */
	vcpu->seg[SEG_CS].attr = CODE | SEG_DB;
	set_seg(SEG_DS, 0x1000, 0xffffffff, RW);
	assert_true(check(SEG_DS, 0xfffffff0, 8, MMU_READ) == 0xff0);
	set_seg(SEG_DS, 0, 0xffffffff, RW & ~SEG_P);
	assert_true(check(SEG_DS, 0, 8, MMU_READ) == -EXC_GP);
}

static void test_system(void **state)
{
	u64 v = 0, base = 0x200000;

	(void)state;
	fake_long_mode(0x1000);
	*(u64 *)(low + 0x1000) = 0x2000 | 3;
	*(u64 *)(low + 0x2000) = 0x3000 | 3;
	((u64 *)(low + 0x3000))[1] = 0x200000 | 0x83;
	set_seg(SEG_TR, base, 0x67, SEG_P | 11);
	*(u64 *)(low + base + 4) = 0x1234;
	/* The CPU reads its TSS at any CPL. */
	vcpu->cpl = 3;
	assert_int_equal(seg_read(vcpu, SEG_TR, 4, &v, 8), EMU_NEXT);
	assert_int_equal(v, 0x1234);
	assert_int_equal(seg_read(vcpu, SEG_TR, 0x61, &v, 8), EMU_FAULT);
	assert_int_equal(raised(), EXC_GP);
	assert_int_equal(seg_read(vcpu, SEG_TR, ~0ull - 2, &v, 8), EMU_FAULT);
	assert_int_equal(raised(), EXC_GP);
	assert_int_equal(seg_read(vcpu, SEG_DS, base, &v, 8), EMU_FAULT);
	assert_int_equal(raised(), EXC_PF);
	vcpu->cpl = 0;
	v = 0x5678;
	assert_int_equal(seg_write(vcpu, SEG_SS, base, &v, 8), EMU_NEXT);
	assert_true(*(u64 *)(low + base) == 0x5678);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_vm_setup, fake_vm_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_real), T(test_types), T(test_limits), T(test_long), T(test_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
