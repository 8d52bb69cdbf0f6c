/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hardware task switches: JMP, CALL and IRET between 32-bit tasks, into a
 * 16-bit task, by task gates of the GDT and the IDT, to virtual-8086 mode, and
 * the checks.
 */
#include "emu_fake.h"

#define TSS2 0x5000u
#define STACK2 0x28000u

/* A second task, 32-bit, at privilege cpl. */
static void build_task(u8 cpl)
{
	u32 i;

	put_desc(TSS2_SEL, TSS2, 0x67, SEG_P | 9);
	memset(low + TSS2, 0, 0x68);
	put(TSS2 + 32, 0x40000, 4);
	put(TSS2 + 36, 2 | X86_FL_IF | X86_FL_CF, 4);
	for (i = 0; i < 8; i++)
		put(TSS2 + 40 + 4 * i, 0x1000 + i, 4);
	put(TSS2 + 40 + 4 * REG_RSP, STACK2, 4);
	for (i = 0; i < 6; i++)
		put(TSS2 + 72 + 4 * i, cpl ? U_DATA | 3 : K_DATA, 4);
	put(TSS2 + 76, cpl ? U_CODE | 3 : K_CODE, 4);
	put_desc(TSS_SEL, TSS, 0x67 + 0x40, SEG_P | 11);
}

static void test_call_and_return(void **state)
{
	u32 i;

	setup_32(0);
	build_task(3);
	for (i = 0; i < 8; i++)
		if (i != REG_RSP)
			vcpu->gpr[i] = 0x2000 + i;
	vcpu_set_rflags(vcpu, X86_FL_ZF);
	vcpu->dr7 = 0x4ff;
	assert_int_equal(exec("9a 00 00 00 00 90 00"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x40000);
	assert_int_equal(vcpu->cpl, 3);
	for (i = 0; i < 8; i++)
		assert_int_equal(vcpu->gpr[i], i == REG_RSP ? STACK2 : 0x1000 + i);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_CF | X86_FL_NT);
	assert_int_equal(vcpu->seg[SEG_CS].selector, U_CODE | 3);
	assert_int_equal(vcpu->seg[SEG_SS].selector, U_DATA | 3);
	assert_true(vcpu->seg[SEG_GS].attr & SEG_P);
	assert_int_equal(vcpu->seg[SEG_TR].selector, TSS2_SEL);
	assert_int_equal(vcpu->seg[SEG_TR].base, TSS2);
	assert_true(vcpu->cr0 & X86_CR0_TS);
	assert_int_equal(vcpu->dr7, 0x4ff & ~0x155);
	assert_int_equal(desc_attr(TSS_SEL), SEG_P | 11);
	assert_int_equal(desc_attr(TSS2_SEL), SEG_P | 11);
	assert_int_equal(get(TSS2, 2), TSS_SEL);
	assert_int_equal(get(TSS + 32, 4), CODE + 7);
	assert_int_equal(get(TSS + 36, 4), 2 | X86_FL_ZF);
	assert_int_equal(get(TSS + 40 + 4 * REG_RBX, 4), 0x2000 + REG_RBX);
	assert_int_equal(get(TSS + 76, 4), K_CODE);

	vcpu->gpr[REG_RBX] = 0x3333;
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE + 7);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->gpr[REG_RBX], 0x2000 + REG_RBX);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_ZF);
	assert_int_equal(vcpu->seg[SEG_TR].selector, TSS_SEL);
	assert_int_equal(desc_attr(TSS2_SEL), SEG_P | 9);
	assert_int_equal(desc_attr(TSS_SEL), SEG_P | 11);
	assert_int_equal(get(TSS2 + 40 + 4 * REG_RBX, 4), 0x3333);
	assert_int_equal(get(TSS2 + 36, 4), 2 | X86_FL_IF | X86_FL_CF);
	setup_done(state);
}

static void test_jump(void **state)
{
	setup_32(0);
	build_task(0);
	assert_int_equal(exec("ea 00 00 00 00 90 00"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_CF);
	assert_int_equal(desc_attr(TSS_SEL), SEG_P | 9);
	assert_int_equal(desc_attr(TSS2_SEL), SEG_P | 11);
	assert_int_equal(get(TSS2, 2), 0);
	exec_faults("ea 00 00 00 00 90 00", EXC_GP, TSS2_SEL);	/* busy */
	setup_done(state);
}

static void test_event_gate(void **state)
{
	setup_32(3);
	build_task(0);
	put_gate(IDT + 8 * 8, TSS2_SEL, 0, 5, 0, 0);
	assert_int_equal(emu_deliver(vcpu, 8, false, true, 0x1234), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x40000);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK2 - 4);
	assert_int_equal(get(STACK2 - 4, 4), 0x1234);
	assert_true(vcpu->sysflags & X86_FL_NT);
	assert_int_equal(get(TSS + 32, 4), CODE);
	vcpu->gpr[REG_RSP] += 4;
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->rip, CODE);
	/* Through a gate in the GDT, from ring 3. */
	put_gate(GDT + GATE, TSS2_SEL, 0, 5, 3, 0);
	put(TSS2 + 32, 0x40000, 4);
	assert_int_equal(exec("9a 00 00 00 00 83 00"), EMU_JUMP);
	assert_int_equal(vcpu->seg[SEG_TR].selector, TSS2_SEL);
	setup_done(state);
}

static void test_16bit(void **state)
{
	u32 i;

	setup_32(0);
	build_task(0);
	put_desc(TSS2_SEL, TSS2, 0x2b, SEG_P | 1);
	memset(low + TSS2, 0, 0x2c);
	put(TSS2 + 14, 0x4321, 2);
	put(TSS2 + 16, 2, 2);
	for (i = 0; i < 8; i++)
		put(TSS2 + 18 + 2 * i, 0x100 + i, 2);
	for (i = 0; i < 4; i++)
		put(TSS2 + 34 + 2 * i, i == 1 ? K_CODE16 : K_DATA16, 2);
	vcpu->gpr[REG_RCX] = 0x12345678;
	assert_int_equal(exec("9a 00 00 00 00 90 00"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x4321);
	assert_int_equal(vcpu->gpr[REG_RCX] & 0xffff, 0x101);
	assert_int_equal(vcpu->seg[SEG_CS].selector, K_CODE16);
	assert_int_equal(vcpu->seg[SEG_FS].selector, 0);
	vcpu->gpr[REG_RSP] = 0x800;
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x12345678);
	assert_int_equal(vcpu->rip, CODE + 7);
	setup_done(state);
}

static void test_to_v86(void **state)
{
	setup_32(0);
	build_task(0);
	put(TSS2 + 36, 2 | X86_FL_VM, 4);
	put(TSS2 + 76, 0x1234, 4);
	put(TSS2 + 32, 0x10, 4);
	assert_int_equal(exec("ea 00 00 00 00 90 00"), EMU_JUMP);
	assert_true(vcpu_v86(vcpu));
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->seg[SEG_CS].base, 0x12340);
	setup_done(state);
}

static void faults_in_new_task(u8 vector, u32 error)
{
	assert_int_equal(exec("ea 00 00 00 00 90 00"), EMU_FAULT);
	assert_int_equal(exc.vector, vector);
	assert_int_equal(exc.error, error);
	assert_int_equal(vcpu->seg[SEG_TR].selector, TSS2_SEL);
	assert_int_equal(vcpu->rip, 0x40000);
	setup_done(NULL);
	setup_32(0);
	build_task(3);
}

static void test_checks(void **state)
{
	setup_32(3);
	build_task(3);
	exec_faults("ea 00 00 00 00 90 00", EXC_GP, TSS2_SEL);	/* DPL 0 */
	setup_done(state);

	setup_32(0);
	build_task(3);
	put_desc(TSS2_SEL, TSS2, 0x67, 9);
	exec_faults("ea 00 00 00 00 90 00", EXC_NP, TSS2_SEL);
	put_desc(TSS2_SEL, TSS2, 0x66, SEG_P | 9);
	exec_faults("ea 00 00 00 00 90 00", EXC_TS, TSS2_SEL);
	put_desc(TSS2_SEL, TSS2, 0x67, SEG_P | 9);
	vcpu->sysflags = X86_FL_NT;
	put(TSS, 0, 2);
	exec_faults("cf", EXC_TS, 0);
	put(TSS, TSS2_SEL, 2);
	exec_faults("cf", EXC_TS, TSS2_SEL);			/* not busy */
	vcpu->sysflags = 0;
	/* From here on the fault is the new task's. */
	put(TSS2 + 76, K_DATA, 4);
	faults_in_new_task(EXC_TS, K_DATA);
	put(TSS2 + 80, K_DATA, 4);
	faults_in_new_task(EXC_TS, K_DATA);
	put(TSS2 + 72, K_DATA, 4);
	faults_in_new_task(EXC_TS, K_DATA);
	put(TSS2 + 96, K_DATA, 4);
	faults_in_new_task(EXC_TS, K_DATA);
	put(TSS2 + 84, K_ABSENT, 4);
	put_desc(K_ABSENT, 0, 0xfffff, (A_DATA | A_32 | A_DPL(3)) & ~SEG_P);
	faults_in_new_task(EXC_NP, K_ABSENT);
	put(TSS2 + 100, 1, 2);					/* T bit */
	faults_in_new_task(EXC_DB, 0);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_and_return),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_event_gate),
		cmocka_unit_test(test_16bit),
		cmocka_unit_test(test_to_v86),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
