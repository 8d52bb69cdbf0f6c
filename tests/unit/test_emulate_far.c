/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Far JMP, CALL and RET: direct, through call gates of 16, 32 and 64 bits with
 * a change of stack and parameters, in real mode, and every check on the way;
 * SYSCALL, SYSENTER and their returns.
 */
#include "emu_fake.h"

static void test_real(void **state)
{
	setup_real();
	assert_int_equal(exec("ea 34 12 00 30"), EMU_JUMP);	/* jmp 3000:1234 */
	assert_int_equal(vcpu->seg[SEG_CS].base, 0x30000);
	assert_int_equal(vcpu->rip, 0x1234);
	assert_int_equal(exec("9a 78 56 00 40"), EMU_JUMP);	/* call 4000:5678 */
	assert_int_equal(vcpu->rip, 0x5678);
	assert_int_equal(vcpu->gpr[REG_RSP], 0xffc);
	assert_int_equal(get(STACK + 0xffc, 4), 0x30001239);
	assert_int_equal(exec("ca 04 00"), EMU_JUMP);		/* retf 4 */
	assert_int_equal(vcpu->seg[SEG_CS].selector, 0x3000);
	assert_int_equal(vcpu->rip, 0x1239);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x1004);
	exec_faults("66 ea 00 00 01 00 00 30", EXC_GP, 0);	/* beyond 64 KB */
	setup_done(state);
}

static void test_direct_checks(void **state)
{
	setup_32(0);
	put_desc(K_CODE16, 0x50000, 0xffff, A_CODE);
	assert_int_equal(exec("ea 44 33 00 00 28 00"), EMU_JUMP);
	assert_int_equal(vcpu->seg[SEG_CS].base, 0x50000);
	assert_int_equal(vcpu->seg[SEG_CS].selector, K_CODE16);
	assert_int_equal(desc_attr(K_CODE16), A_CODE | SEG_A);
	assert_int_equal(vcpu->rip, 0x3344);
	assert_true(vcpu->mode_stale);
	force_seg(SEG_CS, K_CODE);
	vcpu->rip = CODE;
	exec_faults("ea 44 33 01 00 28 00", EXC_GP, 0);		/* beyond the limit */
	exec_faults("ea 44 33 00 00 00 00", EXC_GP, 0);		/* null */
	exec_faults("ea 44 33 00 00 00 01", EXC_GP, 0x100);	/* no such descriptor */
	exec_faults("ea 44 33 00 00 10 00", EXC_GP, K_DATA);
	exec_faults("ea 44 33 00 00 18 00", EXC_GP, U_CODE);	/* DPL != CPL */
	exec_faults("ea 44 33 00 00 0b 00", EXC_GP, K_CODE);	/* RPL > CPL */
	put_desc(K_CODE16, 0, 0xffff, A_CODE & ~SEG_P);
	exec_faults("ea 44 33 00 00 28 00", EXC_NP, K_CODE16);
	assert_int_equal(exec("9a 44 33 22 11 58 00"), EMU_JUMP);	/* call conforming */
	assert_int_equal(get(STACK - 4, 4), K_CODE);
	assert_int_equal(get(STACK - 8, 4), CODE + 7);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	assert_int_equal(exec("cb"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 7);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	/* Through memory, with a 16-bit offset. */
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0xbeef | K_CODE << 16, 4);
	assert_int_equal(exec("66 ff 2b"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0xbeef);
	setup_done(state);

	setup_32(3);
	assert_int_equal(exec("ea 44 33 22 11 58 00"), EMU_JUMP);	/* conforming from ring 3 */
	assert_int_equal(vcpu->seg[SEG_CS].selector, K_CONF | 3);
	assert_int_equal(vcpu->cpl, 3);
	setup_done(state);
}

static void test_into_long_mode(void **state)
{
	setup_64(0);
	/* From compatibility mode to 64-bit code, as a kernel starts. */
	force_seg(SEG_CS, K_CODE);
	assert_int_equal(exec("ea 00 00 02 00 68 00"), EMU_JUMP);
	assert_true(vcpu_64bit(vcpu));
	assert_int_equal(vcpu->rip, 0x20000);
	/* And back, by a far return. */
	put(STACK, 0x12345678, 8);
	put(STACK + 8, K_CODE, 8);
	assert_int_equal(exec("48 cb"), EMU_JUMP);
	assert_false(vcpu_64bit(vcpu));
	assert_int_equal(vcpu->rip, 0x12345678);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 16);
	force_seg(SEG_CS, K_CODE64);
	vcpu->gpr[REG_RSP] = STACK;
	put(STACK, 0x800000000000, 8);
	put(STACK + 8, K_CODE64, 8);
	exec_faults("48 cb", EXC_GP, 0);		/* not canonical */
	put_desc(K_CODE64, 0, 0, A_CODE | SEG_L | SEG_DB);
	exec_faults("48 cb", EXC_GP, K_CODE64);
	setup_done(state);
}

static void test_gate_inner_32(void **state)
{
	setup_32(3);
	put_gate(GDT + GATE, K_CODE, 0x12345678, 12, 3, 2);
	put(TSS + 4, STACK + 0x8000, 4);
	put(TSS + 8, K_DATA, 4);
	put(STACK, 0x11111111, 4);
	put(STACK + 4, 0x22222222, 4);
	assert_int_equal(exec("9a 00 00 00 00 83 00"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->seg[SEG_CS].selector, K_CODE);
	assert_int_equal(vcpu->seg[SEG_SS].selector, K_DATA);
	assert_int_equal(vcpu->rip, 0x12345678);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 24);
	assert_int_equal(get(STACK + 0x8000 - 4, 4), U_DATA | 3);
	assert_int_equal(get(STACK + 0x8000 - 8, 4), STACK);
	assert_int_equal(get(STACK + 0x8000 - 12, 4), 0x22222222);
	assert_int_equal(get(STACK + 0x8000 - 16, 4), 0x11111111);
	assert_int_equal(get(STACK + 0x8000 - 20, 4), U_CODE | 3);
	assert_int_equal(get(STACK + 0x8000 - 24, 4), CODE + 7);
	/* The way back drops the parameters on both stacks and inner segments. */
	force_seg(SEG_ES, K_DATA);
	assert_int_equal(exec("ca 08 00"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->rip, CODE + 7);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 8);
	assert_int_equal(vcpu->seg[SEG_SS].selector, U_DATA | 3);
	assert_int_equal(vcpu->seg[SEG_ES].selector, 0);
	assert_int_equal(vcpu->seg[SEG_DS].selector, U_DATA | 3);
	setup_done(state);
}

static void test_gate_checks(void **state)
{
	setup_32(3);
	put(TSS + 4, STACK + 0x8000, 4);
	put(TSS + 8, K_DATA, 4);
	put_gate(GDT + GATE, K_CODE, 0x1000, 12, 2, 0);
	exec_faults("9a 00 00 00 00 83 00", EXC_GP, GATE);	/* DPL of the gate */
	put_gate(GDT + GATE, K_CODE, 0x1000, 12, 3, 0);
	low[GDT + GATE + 5] &= 0x7f;
	exec_faults("9a 00 00 00 00 83 00", EXC_NP, GATE);
	put_gate(GDT + GATE, 0, 0x1000, 12, 3, 0);
	exec_faults("9a 00 00 00 00 83 00", EXC_GP, 0);
	put_gate(GDT + GATE, K_DATA, 0x1000, 12, 3, 0);
	exec_faults("9a 00 00 00 00 83 00", EXC_GP, K_DATA);
	put_gate(GDT + GATE, K_CODE, 0x1000, 12, 3, 0);
	exec_faults("ea 00 00 00 00 83 00", EXC_GP, K_CODE);	/* JMP to an inner level */
	put(TSS + 8, 0, 4);
	exec_faults("9a 00 00 00 00 83 00", EXC_TS, 0);
	put(TSS + 8, U_DATA | 3, 4);
	exec_faults("9a 00 00 00 00 83 00", EXC_TS, U_DATA);
	put(TSS + 8, K_RODATA, 4);
	exec_faults("9a 00 00 00 00 83 00", EXC_TS, K_RODATA);
	put(TSS + 8, K_ABSENT, 4);
	exec_faults("9a 00 00 00 00 83 00", EXC_SS, K_ABSENT);
	put(TSS + 8, K_DATA16, 4);
	put_desc(K_DATA16, 0, 0xff, A_DATA);
	put(TSS + 4, 0x104, 4);
	exec_faults("9a 00 00 00 00 83 00", EXC_SS, K_DATA16);	/* stack limit */
	vcpu->seg[SEG_TR].limit = 10;
	exec_faults("9a 00 00 00 00 83 00", EXC_TS, TSS_SEL);
	/* A conforming target needs no stack and keeps the privilege. */
	put_gate(GDT + GATE, K_CONF, 0x1000, 12, 3, 5);
	assert_int_equal(exec("9a 00 00 00 00 83 00"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	setup_done(state);
}

static void test_gate_16(void **state)
{
	setup_32(3);
	put_gate(GDT + GATE, K_CODE, 0xffff5678, 4, 3, 1);
	put(TSS + 4, STACK + 0x8000, 4);
	put(TSS + 8, K_DATA, 4);
	put(STACK, 0x33334444, 4);
	assert_int_equal(exec("9a 00 00 00 00 83 00"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x5678);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 10);
	assert_int_equal(get(STACK + 0x8000 - 6, 2), 0x4444);
	assert_int_equal(exec("66 ca 02 00"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->gpr[REG_RSP], (STACK & 0xffff) + 2);
	setup_done(state);
}

static void test_gate_64(void **state)
{
	setup_64(3);
	put_gate64(GDT + GATE, K_CODE64, 0x123456, 12, 3, 0);
	put(TSS + 4, STACK + 0x8000, 8);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA + 4, GATE | 3, 2);
	assert_int_equal(exec("ff 1b"), EMU_JUMP);	/* call far [rbx] */
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->rip, 0x123456);
	assert_int_equal(vcpu->seg[SEG_SS].selector, 0);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 32);
	assert_int_equal(get(STACK + 0x8000 - 8, 8), U_DATA | 3);
	assert_int_equal(get(STACK + 0x8000 - 16, 8), STACK);
	assert_int_equal(get(STACK + 0x8000 - 24, 8), U_CODE64 | 3);
	assert_int_equal(get(STACK + 0x8000 - 32, 8), CODE + 2);
	assert_int_equal(exec("48 cb"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->rip, CODE + 2);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	put_gate64(GDT + GATE, K_CODE, 0x123456, 12, 3, 0);
	exec_faults("ff 1b", EXC_GP, K_CODE);		/* not 64-bit code */
	put_gate64(GDT + GATE, K_CODE64, 0x800000000000, 12, 3, 0);
	exec_faults("ff 1b", EXC_GP, 0);
	put_gate64(GDT + GATE, K_CODE64, 0, 4, 3, 0);
	exec_faults("ff 1b", EXC_GP, GATE);		/* no 16-bit gates */
	setup_done(state);
}

static void test_syscall(void **state)
{
	setup_64(3);
	vcpu->star = (u64)(U_CODE - 8) << 48 | (u64)K_CODE64 << 32;
	vcpu->lstar = 0xffffffff81000000;
	vcpu->cstar = 0xffffffff82000000;
	vcpu->sfmask = X86_FL_IF | X86_FL_DF | X86_FL_TF;
	exec_faults("0f 05", EXC_UD, 0);
	vcpu->efer |= X86_EFER_SCE;
	vcpu_set_rflags(vcpu, X86_FL_IF | X86_FL_CF | X86_FL_DF | X86_FL_ID);
	assert_int_equal(exec("0f 05"), EMU_JUMP);
	assert_true(vcpu->rip == 0xffffffff81000000);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->gpr[REG_RCX], CODE + 2);
	assert_int_equal(vcpu->gpr[11], 2 | X86_FL_IF | X86_FL_CF | X86_FL_DF | X86_FL_ID);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_CF | X86_FL_ID);
	assert_int_equal(vcpu->seg[SEG_CS].selector, K_CODE64);
	assert_int_equal(vcpu->seg[SEG_SS].selector, K_CODE64 + 8);
	assert_true(vcpu_64bit(vcpu));
	assert_int_equal(exec("48 0f 07"), EMU_JUMP);	/* sysretq */
	assert_int_equal(vcpu->rip, CODE + 2);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->seg[SEG_CS].selector, (U_CODE + 8) | 3);
	assert_int_equal(vcpu->seg[SEG_SS].selector, U_CODE | 3);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_CF | X86_FL_DF | X86_FL_ID);
	exec_faults("48 0f 07", EXC_GP, 0);
	vcpu->cpl = 0;
	vcpu->gpr[REG_RCX] = 0xffffffff00001234;
	assert_int_equal(exec("0f 07"), EMU_JUMP);	/* sysretl: to compatibility mode */
	assert_int_equal(vcpu->rip, 0x1234);
	assert_false(vcpu_64bit(vcpu));
	assert_true(vcpu->seg[SEG_CS].attr & SEG_DB);
	vcpu->rip = 0x500;
	assert_int_equal(exec("0f 05"), EMU_JUMP);
	assert_true(vcpu->rip == 0xffffffff82000000);
	setup_done(state);
}

static void test_sysenter(void **state)
{
	setup_32(3);
	exec_faults("0f 34", EXC_GP, 0);
	vcpu->sysenter_cs = K_CODE;
	vcpu->sysenter_eip = 0x12345;
	vcpu->sysenter_esp = 0x54321;
	vcpu->irq_enable = 1;
	assert_int_equal(exec("0f 34"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x12345);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x54321);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->irq_enable, 0);
	vcpu->gpr[REG_RDX] = 0x777;
	vcpu->gpr[REG_RCX] = 0x888;
	assert_int_equal(exec("0f 35"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x777);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x888);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->seg[SEG_CS].selector, (K_CODE + 16) | 3);
	exec_faults("0f 35", EXC_GP, 0);
	setup_done(state);

	setup_64(3);
	vcpu->sysenter_cs = K_CODE;
	exec_faults("0f 34", EXC_UD, 0);	/* AMD's rule */
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_direct_checks),
		cmocka_unit_test(test_into_long_mode),
		cmocka_unit_test(test_gate_inner_32),
		cmocka_unit_test(test_gate_checks),
		cmocka_unit_test(test_gate_16),
		cmocka_unit_test(test_gate_64),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_sysenter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
