/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stack instructions in all operand and stack sizes, at the ends of the stack
 * segment, and where memory faults.
 */
#include "emu_fake.h"

static void test_push_pop(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RAX] = 0x1122334455667788;
	assert_int_equal(exec("50"), EMU_NEXT);
	assert_true(get(STACK - 8, 8) == 0x1122334455667788);
	assert_int_equal(exec("54"), EMU_NEXT);			/* push rsp: the old one */
	assert_int_equal(get(STACK - 16, 8), STACK - 8);
	assert_int_equal(exec("5c"), EMU_NEXT);			/* pop rsp */
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	assert_int_equal(exec("41 5f"), EMU_NEXT);		/* pop r15 */
	assert_true(vcpu->gpr[15] == 0x1122334455667788);
	assert_int_equal(exec("66 50"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 2);
	assert_int_equal(exec("66 41 58"), EMU_NEXT);		/* pop r8w keeps the rest */
	assert_int_equal(vcpu->gpr[8], 0x7788);
	assert_int_equal(exec("6a fe"), EMU_NEXT);
	assert_true(get(STACK - 8, 8) == 0xfffffffffffffffe);
	assert_int_equal(exec("68 00 00 00 80"), EMU_NEXT);
	assert_true(get(STACK - 16, 8) == 0xffffffff80000000);
	/* pop [rsp + 8]: the address is made after the pop. */
	assert_int_equal(exec("8f 44 24 08"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	assert_true(get(STACK, 8) == 0xffffffff80000000);
	assert_int_equal(exec("ff 74 24 08"), EMU_NEXT);	/* push [rsp + 8] */
	assert_true(get(STACK - 16, 8) == 0xffffffff80000000);
	vcpu->gpr[REG_RBX] = 0x1000000;
	exec_faults("8f 03", EXC_PF, PFERR_W);
	exec_faults("ff 33", EXC_PF, 0);
	vcpu->gpr[REG_RSP] = 0x800000000004;
	exec_faults("50", EXC_SS, 0);
	setup_done(state);
}

static void test_sizes_32(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RAX] = 0x12345678;
	assert_int_equal(exec("50"), EMU_NEXT);
	assert_int_equal(exec("66 50"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 6);
	assert_int_equal(get(STACK - 6, 2), 0x5678);
	/* A 16-bit stack wraps and leaves the upper half of ESP alone. */
	force_seg(SEG_SS, K_DATA16);
	vcpu->gpr[REG_RSP] = 0x12340000;
	assert_int_equal(exec("50"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x1234fffc);
	assert_int_equal(get(0xfffc, 4), 0x12345678);
	assert_int_equal(exec("59"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x12340000);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x12345678);
	vcpu->gpr[REG_RSP] = 2;
	exec_faults("50", EXC_SS, 0);
	setup_done(state);

	/* Expand-down: valid above the limit only. */
	setup_32(0);
	vcpu->seg[SEG_SS].attr |= SEG_E;
	vcpu->seg[SEG_SS].limit = STACK - 5;
	assert_int_equal(exec("50"), EMU_NEXT);
	exec_faults("50", EXC_SS, 0);
	setup_done(state);
}

static void test_all_registers(void **state)
{
	u32 i;

	setup_32(0);
	for (i = 0; i < 8; i++)
		if (i != REG_RSP)
			vcpu->gpr[i] = 0x11111111 * (i + 1);
	assert_int_equal(exec("60"), EMU_NEXT);
	for (i = 0; i < 8; i++)
		assert_int_equal(get(STACK - 4 - 4 * i, 4),
				 i == REG_RSP ? STACK : 0x11111111 * (i + 1));
	put(STACK - 4 - 4 * REG_RSP, 0xdeadbeef, 4);
	put(STACK - 4 - 4 * REG_RDI, 0x77, 4);
	assert_int_equal(exec("61"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	assert_int_equal(vcpu->gpr[REG_RDI], 0x77);
	assert_int_equal(exec("66 60"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 16);
	assert_int_equal(get(STACK - 2, 2), 0x1111);
	assert_int_equal(exec("66 61"), EMU_NEXT);
	/* Around the end of a 16-bit stack. */
	force_seg(SEG_SS, K_DATA16);
	vcpu->gpr[REG_RSP] = 6;
	assert_int_equal(exec("66 60"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], 0xfff6);
	assert_int_equal(get(4, 2), 0x1111);
	assert_int_equal(get(0xfffe, 2), 0x4444);
	vcpu->gpr[REG_RSP] = 7;
	exec_faults("66 60", EXC_SS, 0);
	setup_done(state);
}

static void test_enter_leave(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RBP] = DATA;
	put(DATA - 4, 0xaaaa, 4);
	put(DATA - 8, 0xbbbb, 4);
	assert_int_equal(exec("c8 20 00 03"), EMU_NEXT);	/* enter 32, 3 */
	assert_int_equal(get(STACK - 4, 4), DATA);
	assert_int_equal(get(STACK - 8, 4), 0xaaaa);
	assert_int_equal(get(STACK - 12, 4), 0xbbbb);
	assert_int_equal(get(STACK - 16, 4), STACK - 4);
	assert_int_equal(vcpu->gpr[REG_RBP], STACK - 4);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 16 - 32);
	assert_int_equal(exec("c9"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	assert_int_equal(vcpu->gpr[REG_RBP], DATA);
	/* 16-bit operands on a 32-bit stack touch BP only, as the host does. */
	vcpu->gpr[REG_RBP] = 0x12345678;
	assert_int_equal(exec("66 c8 10 00 00"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RBP], 0x12340000 | ((STACK - 2) & 0xffff));
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 18);
	/* 32-bit operands on a 16-bit stack: EBP with the upper half of ESP. */
	force_seg(SEG_SS, K_DATA16);
	vcpu->gpr[REG_RSP] = 0x12341000;
	vcpu->gpr[REG_RBP] = 0x55667788;
	assert_int_equal(exec("c8 10 00 01"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x12340fe8);
	assert_int_equal(vcpu->gpr[REG_RBP], 0x12340ffc);
	assert_int_equal(get(0xff8, 4), 0x12340ffc);
	setup_done(state);

	setup_64(0);
	vcpu->gpr[REG_RBP] = 0x1122334455667788;
	assert_int_equal(exec("c8 10 00 00"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RBP], STACK - 8);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 24);
	assert_int_equal(exec("c9"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RBP] == 0x1122334455667788);
	/* The end of the new frame must be writable. */
	vcpu->gpr[REG_RSP] = 0x1000;
	exec_faults("c8 ff ff 00", EXC_PF, PFERR_W);
	setup_done(state);
}

static void test_near(void **state)
{
	setup_64(0);
	assert_int_equal(exec("e8 fb 0f 00 00"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 0x1000);
	assert_int_equal(get(STACK - 8, 8), CODE + 5);
	assert_int_equal(exec("c2 10 00"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 5);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 16);
	vcpu->gpr[REG_RAX] = 0x800000000000;
	exec_faults("ff d0", EXC_GP, 0);
	exec_faults("ff e0", EXC_GP, 0);
	put(STACK + 16, 0x800000000000, 8);
	exec_faults("c3", EXC_GP, 0);
	setup_done(state);

	setup_32(0);
	assert_int_equal(exec("66 e8 00 10"), EMU_JUMP);	/* truncates to 16 bits */
	assert_int_equal(vcpu->rip, (CODE + 0x1004) & 0xffff);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 2);
	vcpu->seg[SEG_CS].limit = 0xfff;
	vcpu->rip = 0x100;
	exec_faults("e8 00 10 00 00", EXC_GP, 0);
	vcpu->rip = 0x10;
	exec_faults("eb 80", EXC_GP, 0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0x123, 4);
	assert_int_equal(exec("ff 13"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x123);
	put(STACK - 6, 0x1000, 4);
	exec_faults("c3", EXC_GP, 0);
	setup_done(state);
}

static void test_conditions(void **state)
{
	static const u32 bit[] = { X86_FL_CF, X86_FL_PF, X86_FL_ZF, X86_FL_SF, X86_FL_OF };
	u32 cc, flags;
	char hex[16];
	u8 taken;

	setup_32(0);
	/* Against the host's own condition codes, by way of SETcc. */
	for (flags = 0; flags < 32; flags++) {
		u64 fl = 2;
		u32 i;

		for (i = 0; i < 5; i++)
			fl |= flags >> i & 1 ? bit[i] : 0;
		vcpu->arith = arith_from_rflags(fl);
#define CC(n, name)                                                                     \
	__asm__ volatile("push %1; popf; set" name " %0" : "=r"(taken) : "r"(fl) : "cc"); \
	cc = n;                                                                         \
	snprintf(hex, sizeof(hex), "66 0f %02x 10 00", 0x80 + cc);                       \
	vcpu->rip = 0x123400;                                                           \
	assert_int_equal(exec(hex), taken ? EMU_JUMP : EMU_NEXT);                       \
	assert_int_equal(vcpu->rip, taken ? 0x3415 : 0x123405);
		CC(0, "o") CC(1, "no") CC(2, "b") CC(3, "nb") CC(4, "z") CC(5, "nz")
		CC(6, "be") CC(7, "nbe") CC(8, "s") CC(9, "ns") CC(10, "p") CC(11, "np")
		CC(12, "l") CC(13, "nl") CC(14, "le") CC(15, "nle")
	}
	vcpu->rip = 0x123400;
	vcpu->gpr[REG_RCX] = 0x10002;
	assert_int_equal(exec("67 e2 10"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x10001);
	assert_int_equal(vcpu->rip, 0x123413);
	assert_int_equal(exec("67 e2 10"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x10000);
	assert_int_equal(exec("67 e3 10"), EMU_JUMP);
	assert_int_equal(exec("e3 10"), EMU_NEXT);
	vcpu->arith = arith_from_rflags(X86_FL_ZF);
	assert_int_equal(exec("e1 10"), EMU_JUMP);
	assert_int_equal(exec("e0 10"), EMU_NEXT);
	vcpu->seg[SEG_CS].limit = 0x1000;
	vcpu->rip = 0x10;
	exec_faults("e2 80", EXC_GP, 0);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_pop),
		cmocka_unit_test(test_sizes_32),
		cmocka_unit_test(test_all_registers),
		cmocka_unit_test(test_enter_leave),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
