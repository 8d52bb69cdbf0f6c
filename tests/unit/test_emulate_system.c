/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control and debug registers, MSRs, CPUID, the time stamp counter, HLT,
 * translation flushes, hypercalls: results, privilege and reserved bits; and
 * that what is never offered is undefined.
 */
#include <linux/kvm_para.h>

#include "emu_fake.h"

static void test_control_registers(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RAX] = 0x80050033;
	assert_int_equal(exec("0f 22 c0"), EMU_NEXT);
	assert_true(vcpu->cr0 == 0x80050033);
	assert_true(vcpu->mode_stale);
	vcpu->gpr[15] = 0x123456789000;
	assert_int_equal(exec("41 0f 22 d7"), EMU_NEXT);	/* mov cr2, r15 */
	assert_int_equal(exec("41 0f 20 d0"), EMU_NEXT);	/* mov r8, cr2 */
	assert_true(vcpu->gpr[8] == 0x123456789000);
	vcpu->gpr[REG_RCX] = 9;
	assert_int_equal(exec("44 0f 22 c1"), EMU_NEXT);	/* mov cr8, rcx */
	assert_int_equal(vcpu->cr8, 9);
	assert_int_equal(exec("44 0f 20 c2"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RDX], 9);
	vcpu->gpr[REG_RAX] = 1ull << 40;
	exec_faults("0f 22 e0", EXC_GP, 0);			/* what vcpu_set_cr4 refuses */
	assert_int_equal(exec("0f 06"), EMU_NEXT);
	vcpu->cr0 |= X86_CR0_TS;
	vcpu->mode_stale = false;
	assert_int_equal(exec("0f 06"), EMU_NEXT);		/* clts */
	assert_false(vcpu->cr0 & X86_CR0_TS);
	assert_true(vcpu->mode_stale);
	setup_done(state);

	setup_32(0);
	vcpu->gpr[REG_RAX] = 0xffffffff00000011;
	assert_int_equal(exec("0f 22 d8"), EMU_NEXT);		/* 32 bits of it */
	assert_int_equal(vcpu->cr3, 0x11);
	vcpu->cr0 = 0xe0000011;
	assert_int_equal(exec("0f 01 e1"), EMU_NEXT);		/* smsw ecx */
	assert_int_equal(vcpu->gpr[REG_RCX], 0xe0000011);
	assert_int_equal(exec("66 0f 01 e2"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RDX], 0x11);
	vcpu->gpr[REG_RAX] = 0xfffe;
	assert_int_equal(exec("0f 01 f0"), EMU_NEXT);		/* lmsw cannot clear PE */
	assert_int_equal(vcpu->cr0, 0xe000001f);
	setup_done(state);

	setup_64(3);
	exec_faults("0f 22 c0", EXC_GP, 0);
	exec_faults("0f 20 c0", EXC_GP, 0);
	exec_faults("44 0f 20 c0", EXC_GP, 0);
	exec_faults("0f 06", EXC_GP, 0);
	exec_faults("0f 01 f0", EXC_GP, 0);
	exec_faults("0f 01 38", EXC_GP, 0);			/* invlpg */
	exec_faults("0f 08", EXC_GP, 0);			/* invd */
	exec_faults("0f 09", EXC_GP, 0);
	exec_faults("f4", EXC_GP, 0);
	exec_faults("0f 32", EXC_GP, 0);
	exec_faults("0f 30", EXC_GP, 0);
	exec_faults("0f 33", EXC_GP, 0);
	setup_done(state);
}

static void test_debug_registers(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RAX] = 0xffff800000001000;
	assert_int_equal(exec("0f 23 d0"), EMU_NEXT);		/* mov dr2, rax */
	assert_int_equal(exec("0f 21 d1"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RCX] == 0xffff800000001000);
	vcpu->gpr[REG_RAX] = 0xffffffff;
	assert_int_equal(exec("0f 23 f0"), EMU_NEXT);
	assert_true(vcpu->dr6 == 0xffffefff);
	vcpu->gpr[REG_RAX] = 0;
	assert_int_equal(exec("0f 23 e0"), EMU_NEXT);		/* dr4 is dr6 */
	assert_true(vcpu->dr6 == 0xffff0ff0);
	vcpu->cr4 |= X86_CR4_DE;
	exec_faults("0f 23 e0", EXC_UD, 0);
	vcpu->gpr[REG_RAX] = 1ull << 32;
	exec_faults("0f 23 f8", EXC_GP, 0);
	vcpu->gpr[REG_RAX] = 0xffffffff;
	vcpu->mode_stale = false;
	assert_int_equal(exec("0f 23 f8"), EMU_NEXT);
	assert_true(vcpu->dr7 == 0xffff2fff);
	assert_true(vcpu->mode_stale);
	exec_faults("0f 21 f8", EXC_DB, 0);			/* general detect */
	assert_int_equal(exc.cr2, 1 << 13);
	vcpu->cpl = 3;
	exec_faults("0f 21 f8", EXC_GP, 0);
	setup_done(state);
}

static void test_msr_cpuid_tsc(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RCX] = 0xffffffff00000123;
	assert_int_equal(exec("0f 32"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RAX] == 0x123 && vcpu->gpr[REG_RDX] == 0xaabbccdd);
	assert_int_equal(exec("0f 30"), EMU_NEXT);
	assert_true(vcpu->lstar == 0xaabbccdd00000123);
	vcpu->gpr[REG_RCX] = 0x666;
	exec_faults("0f 32", EXC_GP, 0);
	exec_faults("0f 30", EXC_GP, 0);
	vcpu->gpr[REG_RAX] = vcpu->gpr[REG_RBX] = ~0ull << 32;
	assert_int_equal(exec("0f a2"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RBX] == 0x68747541);
	assert_int_equal(exec("0f 31"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RAX] == 0x55667788 && vcpu->gpr[REG_RDX] == 0x11223344);
	vcpu->tsc_aux = 0x1234;
	assert_int_equal(exec("0f 01 f9"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x1234);
	assert_int_equal(exec("f3 0f c7 f8"), EMU_NEXT);	/* rdpid rax */
	assert_int_equal(vcpu->gpr[REG_RAX], 0x1234);
	vcpu->cr4 |= X86_CR4_TSD;
	assert_int_equal(exec("0f 31"), EMU_NEXT);
	vcpu->cpl = 3;
	exec_faults("0f 31", EXC_GP, 0);
	exec_faults("0f 01 f9", EXC_GP, 0);
	assert_int_equal(exec("0f a2"), EMU_NEXT);
	setup_done(state);
}

static void test_hlt_and_flushes(void **state)
{
	setup_64(0);
	assert_int_equal(exec("f4"), EMU_HALT);
	assert_int_equal(vcpu->rip, CODE + 1);
	vcpu->gpr[REG_RBX] = 0x1234000;
	assert_int_equal(exec("0f 01 3b"), EMU_NEXT);
	assert_int_equal(page_flushes, 1);
	assert_int_equal(flushed_page, 0x1234000);
	vcpu->seg[SEG_GS].base = 0x10000000;
	assert_int_equal(exec("65 0f 01 3b"), EMU_NEXT);
	assert_int_equal(flushed_page, 0x11234000);
	vcpu->gpr[REG_RBX] = 0x800000000000;
	assert_int_equal(exec("0f 01 3b"), EMU_NEXT);		/* no fault */
	assert_int_equal(page_flushes, 2);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0, 8);
	put(DATA + 8, 0x5000, 8);
	vcpu->gpr[REG_RAX] = 0;
	assert_int_equal(exec("66 0f 38 82 03"), EMU_NEXT);	/* invpcid */
	assert_int_equal(flushed_page, 0x5000);
	put(DATA, 1, 8);
	exec_faults("66 0f 38 82 03", EXC_GP, 0);		/* no PCIDs */
	vcpu->gpr[REG_RAX] = 2;
	assert_int_equal(exec("66 0f 38 82 03"), EMU_NEXT);
	assert_int_equal(flushes, 1);
	vcpu->gpr[REG_RAX] = 4;
	exec_faults("66 0f 38 82 03", EXC_GP, 0);
	assert_int_equal(exec("0f 09"), EMU_NEXT);
	setup_done(state);
}

static void test_xcr(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RCX] = 0;
	exec_faults("0f 01 d0", EXC_UD, 0);
	exec_faults("0f 01 d1", EXC_UD, 0);
	vcpu->cr4 |= X86_CR4_OSXSAVE;
	vcpu->gpr[REG_RAX] = 7;
	vcpu->gpr[REG_RDX] = 0;
	assert_int_equal(exec("0f 01 d1"), EMU_NEXT);
	vcpu->gpr[REG_RAX] = 0;
	assert_int_equal(exec("0f 01 d0"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RAX], 7);
	vcpu->gpr[REG_RAX] = 6;
	exec_faults("0f 01 d1", EXC_GP, 0);
	vcpu->gpr[REG_RCX] = 2;
	exec_faults("0f 01 d0", EXC_GP, 0);
	setup_done(state);
}

static void test_hypercalls(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RAX] = 999;
	assert_int_equal(exec("0f 01 d9"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RAX], 0);
	/* Intel's, on an AMD CPU. */
	assert_int_equal(exec("0f 01 c1"), EMU_JUMP);
	assert_int_equal(get(vcpu->rip, 2), 0x010f);
	assert_int_equal(get(vcpu->rip + 2, 1), 0xd9);
	vcpu->vm->disabled_quirks = KVM_X86_QUIRK_FIX_HYPERCALL_INSN;
	exec_faults("0f 01 c1", EXC_UD, 0);
	vcpu->vm->disabled_quirks = 0;
	setup_done(state);
}

static void test_undefined(void **state)
{
	static const char *const list[] = {
		"0f 0b", "0f b9 c0", "0f ff c0", "0f aa", "0f 01 d8", "0f 01 da", "0f 01 dc",
		"0f 01 de", "0f 01 df", "0f 01 c2", "0f 01 c4", "0f 01 ee", "f3 0f c7 30",
		"0f 78 c1", "66 0f 38 80 03",
	};
	u32 i;

	setup_64(0);
	for (i = 0; i < ARRAY_SIZE(list); i++)
		exec_faults(list[i], EXC_UD, 0);
	setup_done(state);
}

static void test_clzero(void **state)
{
	setup_64(3);
	memset(low + DATA, 0x55, 256);
	vcpu->gpr[REG_RAX] = DATA + 0x47;
	assert_int_equal(exec("0f 01 fc"), EMU_NEXT);
	assert_int_equal(low[DATA + 0x3f], 0x55);
	assert_int_equal(get(DATA + 0x40, 8) | get(DATA + 0x78, 8), 0);
	assert_int_equal(low[DATA + 0x80], 0x55);
	/* The linear address is aligned; other segments' prefixes mean nothing in 64-bit mode. */
	vcpu->seg[SEG_GS].base = 0x91;
	vcpu->seg[SEG_SS].base = 0x91;
	vcpu->gpr[REG_RAX] = DATA;
	assert_int_equal(exec("65 0f 01 fc"), EMU_NEXT);
	assert_int_equal(low[DATA + 0x7f], 0);
	assert_int_equal(get(DATA + 0x80, 8) | get(DATA + 0xb8, 8), 0);
	assert_int_equal(low[DATA + 0xc0], 0x55);
	assert_int_equal(low[DATA], 0x55);
	assert_int_equal(exec("36 0f 01 fc"), EMU_NEXT);
	assert_int_equal(get(DATA, 8), 0);
	assert_int_equal(low[DATA + 0xc0], 0x55);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_debug_registers),
		cmocka_unit_test(test_msr_cpuid_tsc),
		cmocka_unit_test(test_hlt_and_flushes),
		cmocka_unit_test(test_xcr),
		cmocka_unit_test(test_hypercalls),
		cmocka_unit_test(test_undefined),
		cmocka_unit_test(test_clzero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
