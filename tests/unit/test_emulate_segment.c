/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segment registers and descriptor tables: every check of a load with its
 * error code, accessed and busy bits, real and virtual-8086 mode, the 64-bit
 * exceptions to the rules, and the instructions that look at descriptors.
 */
#include "emu_fake.h"

static void mov_sreg(const char *hex, u16 sel)
{
	vcpu->gpr[REG_RAX] = sel;
	assert_int_equal(exec(hex), EMU_NEXT);
}

static void mov_sreg_faults(const char *hex, u16 sel, u8 vector, u32 error)
{
	vcpu->gpr[REG_RAX] = sel;
	exec_faults(hex, vector, error);
}

static void test_data_loads(void **state)
{
	setup_32(0);
	put_desc(K_DATA, 0x123456, 0x789, A_DATA | SEG_DB);
	mov_sreg("8e d8", K_DATA);	/* mov ds, ax */
	assert_int_equal(vcpu->seg[SEG_DS].base, 0x123456);
	assert_int_equal(vcpu->seg[SEG_DS].limit, 0x789);
	assert_int_equal(vcpu->seg[SEG_DS].attr, A_DATA | SEG_DB | SEG_A);
	assert_int_equal(desc_attr(K_DATA), A_DATA | SEG_DB | SEG_A);
	assert_true(vcpu->mode_stale);
	put_desc(K_DATA, 0xff123456, 0xfffff, A_DATA | A_32);
	mov_sreg("8e c0", K_DATA);	/* es */
	assert_int_equal(vcpu->seg[SEG_ES].base, 0xff123456);
	assert_int_equal(vcpu->seg[SEG_ES].limit, 0xffffffff);
	mov_sreg("8e e0", 0);		/* fs */
	assert_false(vcpu->seg[SEG_FS].attr & SEG_P);
	mov_sreg("8e e8", 3);		/* gs: null with any RPL */
	assert_int_equal(vcpu->seg[SEG_GS].selector, 3);
	mov_sreg("8e d8", K_CODE);	/* readable code */
	mov_sreg("8e d8", U_CODE | 3);
	mov_sreg("8e d8", K_CONF | 3);	/* conforming: no privilege check */

	mov_sreg_faults("8e d8", GDT_END, EXC_GP, GDT_END);
	mov_sreg_faults("8e d8", GDT_END | 3, EXC_GP, GDT_END);
	mov_sreg_faults("8e d8", 0xb0, EXC_GP, 0xb0);		/* all zero: a system type */
	mov_sreg_faults("8e d8", TSS_SEL, EXC_GP, TSS_SEL);
	mov_sreg_faults("8e d8", U_ROCODE, EXC_GP, U_ROCODE);	/* execute-only */
	mov_sreg_faults("8e d8", K_DATA | 1, EXC_GP, K_DATA);	/* RPL > DPL */
	mov_sreg_faults("8e d8", K_ABSENT, EXC_NP, K_ABSENT);
	mov_sreg_faults("8e d8", 0x0c, EXC_GP, 0x0c);		/* no LDT */
	setup_done(state);

	setup_32(3);
	mov_sreg("8e d8", U_DATA | 3);
	mov_sreg("8e d8", U_DATA);
	mov_sreg_faults("8e d8", K_DATA, EXC_GP, K_DATA);	/* CPL > DPL */
	mov_sreg("8e d8", K_CONF | 3);
	setup_done(state);
}

static void test_ss_loads(void **state)
{
	setup_32(0);
	mov_sreg("8e d0", K_DATA);
	assert_int_equal(vcpu->irq_shadow, KVM_X86_SHADOW_INT_MOV_SS);
	mov_sreg_faults("8e d0", 0, EXC_GP, 0);
	mov_sreg_faults("8e d0", U_DATA, EXC_GP, U_DATA);
	mov_sreg_faults("8e d0", K_DATA | 3, EXC_GP, K_DATA);
	mov_sreg_faults("8e d0", K_RODATA, EXC_GP, K_RODATA);
	mov_sreg_faults("8e d0", K_CODE, EXC_GP, K_CODE);
	mov_sreg_faults("8e d0", K_ABSENT, EXC_SS, K_ABSENT);
	/* pop ss: as wide as the old stack, and only when the load succeeds */
	put(STACK, K_DATA16, 4);
	assert_int_equal(exec("17"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 4);
	assert_int_equal(vcpu->seg[SEG_SS].selector, K_DATA16);
	assert_int_equal(vcpu->irq_shadow, KVM_X86_SHADOW_INT_MOV_SS);
	setup_done(state);

	setup_64(0);
	mov_sreg("8e d0", 0);
	assert_false(vcpu->seg[SEG_SS].attr & SEG_P);
	mov_sreg_faults("8e d0", 3, EXC_GP, 0);
	setup_done(state);
	setup_64(3);
	mov_sreg_faults("8e d0", 3, EXC_GP, 0);
	setup_done(state);
}

static void test_other_modes(void **state)
{
	setup_real();
	vcpu->seg[SEG_DS].limit = 0xffffffff;	/* big real mode */
	mov_sreg("8e d8", 0x1234);
	assert_int_equal(vcpu->seg[SEG_DS].base, 0x12340);
	assert_int_equal(vcpu->seg[SEG_DS].limit, 0xffffffff);
	setup_done(state);

	setup_v86(3);
	vcpu->seg[SEG_DS].limit = 5;
	mov_sreg("8e d8", 0xffff);
	assert_int_equal(vcpu->seg[SEG_DS].base, 0xffff0);
	assert_int_equal(vcpu->seg[SEG_DS].limit, 0xffff);
	assert_int_equal(vcpu->seg[SEG_DS].attr, 0xf3);
	setup_done(state);
}

static void test_push_pop(void **state)
{
	setup_32(0);
	vcpu->seg[SEG_DS].selector = 0x1111;
	put(STACK - 4, 0xffffffff, 4);
	assert_int_equal(exec("1e"), EMU_NEXT);
	assert_int_equal(get(STACK - 4, 4), 0x1111);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 4);
	put(STACK - 4, 0xdead0000 | K_DATA, 4);
	assert_int_equal(exec("07"), EMU_NEXT);		/* pop es */
	assert_int_equal(vcpu->seg[SEG_ES].selector, K_DATA);
	assert_int_equal(exec("66 0f a8"), EMU_NEXT);	/* push gs, 16 bits */
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 2);
	assert_int_equal(exec("66 0f a1"), EMU_NEXT);	/* pop fs */
	assert_int_equal(vcpu->seg[SEG_FS].selector, K_DATA);
	put(STACK, K_ABSENT, 4);
	exec_faults("1f", EXC_NP, K_ABSENT);
	setup_done(state);

	setup_64(0);
	assert_int_equal(exec("0f a0"), EMU_NEXT);	/* push fs */
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	assert_int_equal(get(STACK - 8, 8), K_DATA);
	setup_done(state);
}

static void test_far_pointers(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0xcafebabe, 4);
	put(DATA + 4, K_DATA16, 2);
	assert_int_equal(exec("c5 33"), EMU_NEXT);	/* lds esi, [ebx] */
	assert_int_equal(vcpu->gpr[REG_RSI], 0xcafebabe);
	assert_int_equal(vcpu->seg[SEG_DS].selector, K_DATA16);
	force_seg(SEG_DS, K_DATA);
	put(DATA + 4, K_DATA, 2);
	assert_int_equal(exec("0f b2 23"), EMU_NEXT);	/* lss esp, [ebx] */
	assert_int_equal(vcpu->gpr[REG_RSP], 0xcafebabe);
	assert_int_equal(vcpu->irq_shadow, 0);
	put(DATA + 4, 0, 2);
	exec_faults("0f b2 23", EXC_GP, 0);
	put(DATA + 4, K_ABSENT, 2);
	exec_faults("c4 33", EXC_NP, K_ABSENT);
	put(DATA + 2, U_DATA, 2);
	assert_int_equal(exec("66 0f b4 33"), EMU_NEXT);	/* lfs si, [ebx] */
	assert_int_equal(vcpu->gpr[REG_RSI], 0xcafebabe);
	assert_int_equal(vcpu->seg[SEG_FS].selector, U_DATA);
	setup_done(state);

	setup_64(0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0x89abcdef, 4);
	put(DATA + 4, K_DATA, 2);
	assert_int_equal(exec("48 0f b5 33"), EMU_NEXT);	/* lgs rsi, [rbx]: AMD's form */
	assert_true(vcpu->gpr[REG_RSI] == 0x89abcdef);
	setup_done(state);
}

static void test_tables(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0x1234, 2);
	put(DATA + 2, 0xaabbccdd, 4);
	assert_int_equal(exec("0f 01 13"), EMU_NEXT);	/* lgdt */
	assert_int_equal(vcpu->gdt.limit, 0x1234);
	assert_int_equal(vcpu->gdt.base, 0xaabbccdd);
	assert_int_equal(exec("66 0f 01 1b"), EMU_NEXT);	/* lidt, 24 bits */
	assert_int_equal(vcpu->idt.base, 0xbbccdd);
	memset(low + DATA, 0x55, 16);
	assert_int_equal(exec("0f 01 03"), EMU_NEXT);	/* sgdt */
	assert_int_equal(get(DATA, 2), 0x1234);
	assert_int_equal(get(DATA + 2, 4), 0xaabbccdd);
	assert_int_equal(low[DATA + 6], 0x55);
	setup_done(state);

	setup_32(3);
	vcpu->gpr[REG_RBX] = DATA;
	exec_faults("0f 01 13", EXC_GP, 0);
	assert_int_equal(exec("0f 01 0b"), EMU_NEXT);	/* sidt */
	vcpu->cr4 = X86_CR4_UMIP;
	exec_faults("0f 01 0b", EXC_GP, 0);
	exec_faults("0f 00 c8", EXC_GP, 0);		/* str eax */
	exec_faults("0f 01 e0", EXC_GP, 0);		/* smsw eax */
	setup_done(state);

	setup_64(0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, 0xffff, 2);
	put(DATA + 2, 0xffff800012345678, 8);
	assert_int_equal(exec("0f 01 13"), EMU_NEXT);
	assert_true(vcpu->gdt.base == 0xffff800012345678);
	put(DATA + 2, 0x800012345678, 8);
	exec_faults("0f 01 13", EXC_GP, 0);
	memset(low + DATA, 0x55, 16);
	assert_int_equal(exec("0f 01 0b"), EMU_NEXT);
	assert_true(get(DATA + 2, 8) == IDT);
	setup_done(state);
}

static void test_ldt_tr(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RAX] = LDT_SEL;
	assert_int_equal(exec("0f 00 d0"), EMU_NEXT);	/* lldt ax */
	assert_int_equal(vcpu->seg[SEG_LDTR].base, LDT);
	assert_int_equal(vcpu->seg[SEG_LDTR].limit, 0x1f);
	put(LDT + 8, get(GDT + K_DATA, 8), 8);
	mov_sreg("8e d8", 0x0c);
	mov_sreg_faults("8e d8", 0x24, EXC_GP, 0x24);
	assert_int_equal(exec("0f 00 c1"), EMU_NEXT);	/* sldt ecx */
	assert_int_equal(vcpu->gpr[REG_RCX], LDT_SEL);
	mov_sreg("0f 00 d0", 0);
	mov_sreg_faults("8e d8", 0x0c, EXC_GP, 0x0c);
	mov_sreg_faults("0f 00 d0", K_DATA, EXC_GP, K_DATA);
	mov_sreg_faults("0f 00 d0", LDT_SEL | 4, EXC_GP, LDT_SEL | 4);
	mov_sreg("0f 00 d8", TSS_SEL);			/* ltr */
	assert_int_equal(desc_attr(TSS_SEL), SEG_P | 11);
	assert_int_equal(vcpu->seg[SEG_TR].attr, SEG_P | 11);
	mov_sreg_faults("0f 00 d8", TSS_SEL, EXC_GP, TSS_SEL);	/* busy */
	mov_sreg_faults("0f 00 d8", 0, EXC_GP, 0);
	put_desc(TSS_SEL, TSS, 0x67, 9);
	mov_sreg_faults("0f 00 d8", TSS_SEL, EXC_NP, TSS_SEL);
	setup_done(state);

	setup_64(0);
	put(GDT + TSS_SEL + 8, 0xffff8000, 8);
	mov_sreg("0f 00 d8", TSS_SEL);
	assert_true(vcpu->seg[SEG_TR].base == (0xffff800000000000 | TSS));
	assert_int_equal(desc_attr(TSS_SEL), SEG_P | 11);
	put_desc(TSS_SEL, TSS, 0x67, SEG_P | 9);
	put(GDT + TSS_SEL + 8, 0x8000, 8);	/* not canonical */
	mov_sreg_faults("0f 00 d8", TSS_SEL, EXC_GP, TSS_SEL);
	put_desc(TSS_SEL, TSS, 0x67, SEG_P | 1);	/* 16-bit TSS */
	put(GDT + TSS_SEL + 8, 0, 8);
	mov_sreg_faults("0f 00 d8", TSS_SEL, EXC_GP, TSS_SEL);
	/* The second half of a descriptor must be inside the table, too. */
	put_desc(GDT_END - 8, LDT, 0x1f, SEG_P | 2);
	mov_sreg_faults("0f 00 d0", GDT_END - 8, EXC_GP, GDT_END - 8);
	setup_done(state);

	setup_real();
	exec_faults("0f 00 d0", EXC_UD, 0);
	exec_faults("0f 00 c8", EXC_UD, 0);
	setup_done(state);
	setup_32(3);
	exec_faults("0f 00 d0", EXC_GP, 0);
	exec_faults("0f 00 d8", EXC_GP, 0);
	setup_done(state);
}

static bool zf_after(const char *hex, u16 sel)
{
	vcpu->gpr[REG_RAX] = 0x5555;
	vcpu->gpr[REG_RCX] = sel;
	assert_int_equal(exec(hex), EMU_NEXT);
	return arith_to_rflags(vcpu->arith) & X86_FL_ZF;
}

static void test_verify(void **state)
{
	setup_32(3);
	assert_true(zf_after("0f 02 c1", U_CODE | 3));		/* lar eax, ecx */
	assert_int_equal(vcpu->gpr[REG_RAX], 0x00cffa00);
	assert_true(zf_after("66 0f 02 c1", U_CODE | 3));
	assert_int_equal(vcpu->gpr[REG_RAX], 0xfa00);
	assert_false(zf_after("0f 02 c1", K_CODE | 3));
	assert_int_equal(vcpu->gpr[REG_RAX], 0x5555);
	assert_false(zf_after("0f 02 c1", 0));
	assert_false(zf_after("0f 02 c1", GDT_END));
	assert_true(zf_after("0f 02 c1", K_CONF));
	assert_true(zf_after("0f 03 c1", U_DATA | 3));		/* lsl eax, ecx */
	assert_int_equal(vcpu->gpr[REG_RAX], 0xffffffff);
	assert_true(zf_after("0f 00 e1", U_CODE | 3));		/* verr cx */
	assert_false(zf_after("0f 00 e1", U_ROCODE | 3));
	assert_true(zf_after("0f 00 e9", U_DATA | 3));		/* verw cx */
	assert_false(zf_after("0f 00 e9", U_CODE | 3));
	assert_false(zf_after("0f 00 e9", K_DATA | 3));
	setup_done(state);

	setup_32(0);
	assert_true(zf_after("0f 02 c1", TSS_SEL));
	assert_int_equal(vcpu->gpr[REG_RAX], 0x8900);
	assert_true(zf_after("0f 03 c1", TSS_SEL));
	assert_int_equal(vcpu->gpr[REG_RAX], 0x67 + 0x40);
	put_gate(GDT + GATE, K_CODE, 0, 12, 0, 0);
	assert_true(zf_after("0f 02 c1", GATE));
	assert_false(zf_after("0f 03 c1", GATE));
	put_gate(GDT + GATE, K_CODE, 0, 14, 0, 0);
	assert_false(zf_after("0f 02 c1", GATE));
	assert_false(zf_after("0f 00 e1", TSS_SEL));
	setup_done(state);

	setup_real();
	exec_faults("0f 02 c1", EXC_UD, 0);
	exec_faults("0f 00 e1", EXC_UD, 0);
	setup_done(state);
}

static void test_base_instructions(void **state)
{
	setup_64(0);
	vcpu->gpr[REG_RAX] = 0xffff888812345678;
	exec_faults("f3 48 0f ae d0", EXC_UD, 0);		/* wrfsbase rax */
	vcpu->cr4 |= X86_CR4_FSGSBASE;
	assert_int_equal(exec("f3 48 0f ae d0"), EMU_NEXT);
	assert_true(vcpu->seg[SEG_FS].base == 0xffff888812345678);
	assert_int_equal(exec("f3 0f ae d8"), EMU_NEXT);	/* wrgsbase eax */
	assert_int_equal(vcpu->seg[SEG_GS].base, 0x12345678);
	assert_int_equal(exec("f3 48 0f ae c9"), EMU_NEXT);	/* rdgsbase rcx */
	assert_int_equal(vcpu->gpr[REG_RCX], 0x12345678);
	vcpu->kernel_gs_base = 0x777;
	assert_int_equal(exec("0f 01 f8"), EMU_NEXT);		/* swapgs */
	assert_int_equal(vcpu->seg[SEG_GS].base, 0x777);
	assert_int_equal(vcpu->kernel_gs_base, 0x12345678);
	vcpu->gpr[REG_RAX] = 0x800000000000;
	exec_faults("f3 48 0f ae d0", EXC_GP, 0);
	vcpu->cpl = 3;
	exec_faults("0f 01 f8", EXC_GP, 0);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_loads),
		cmocka_unit_test(test_ss_loads),
		cmocka_unit_test(test_other_modes),
		cmocka_unit_test(test_push_pop),
		cmocka_unit_test(test_far_pointers),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_ldt_tr),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_base_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
