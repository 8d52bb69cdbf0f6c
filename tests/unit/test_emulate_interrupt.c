/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts and their returns: real mode, gates of 16, 32 and 64 bits, stack
 * switches and the interrupt stack table, virtual-8086 mode with and without
 * VME, error codes, flags, and the checks of delivery and IRET.
 */
#include "emu_fake.h"

static enum emu deliver(u8 vector, bool soft, bool has_error, u32 error)
{
	enum emu e;

	exc.raised = false;
	e = emu_deliver(vcpu, vector, soft, has_error, error);
	assert_true((e == EMU_FAULT) == exc.raised);
	return e;
}

static void deliver_faults(u8 vector, u8 with, u32 error)
{
	u64 rip = vcpu->rip, rsp = vcpu->gpr[REG_RSP];

	assert_int_equal(deliver(vector, false, false, 0), EMU_FAULT);
	assert_int_equal(exc.vector, with);
	assert_int_equal(exc.error, error);
	assert_true(vcpu->rip == rip && vcpu->gpr[REG_RSP] == rsp);
}

static void test_real(void **state)
{
	setup_real();
	put(0x21 * 4, 0x4000 << 16 | 0x1234, 4);
	vcpu_set_rflags(vcpu, X86_FL_IF | X86_FL_TF | X86_FL_CF | X86_FL_DF);
	assert_int_equal(exec("cd 21"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x1234);
	assert_int_equal(vcpu->seg[SEG_CS].base, 0x40000);
	assert_int_equal(vcpu->gpr[REG_RSP], 0xffa);
	assert_int_equal(get(STACK + 0xffa, 2), 0x102);
	assert_int_equal(get(STACK + 0xffc, 2), CODE >> 4);
	assert_int_equal(get(STACK + 0xffe, 2), 2 | X86_FL_IF | X86_FL_TF | X86_FL_CF | X86_FL_DF);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_CF | X86_FL_DF);
	vcpu->nmi.masked = true;
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x102);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x1000);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_TF | X86_FL_CF | X86_FL_DF);
	assert_false(vcpu->nmi.masked);
	/* No error code is pushed. */
	put(13 * 4, 0x4000 << 16 | 0x5555, 4);
	assert_int_equal(deliver(13, false, true, 0x1234), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RSP], 0xffa);
	vcpu->idt.limit = 0x21 * 4 + 2;
	exec_faults("cd 21", EXC_GP, 0x21 * 8 + 2);
	/* The stack wraps from 0 to 64 KB; an odd SP is a stack fault. */
	vcpu->idt.limit = 0x3ff;
	vcpu->gpr[REG_RSP] = 0xabcd0002;
	assert_int_equal(exec("cd 21"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RSP], 0xabcdfffc);
	assert_int_equal(get(STACK + 0xfffe, 2), 0x4000);
	vcpu->gpr[REG_RSP] = 1;
	exec_faults("cd 21", EXC_SS, 0);
	setup_done(state);
}

static void test_same_privilege_32(void **state)
{
	setup_32(0);
	put_gate(IDT + 0x30 * 8, K_CODE, 0x123456, 14, 0, 0);
	put_gate(IDT + 0x31 * 8, K_CODE, 0x654321, 15, 0, 0);
	vcpu_set_rflags(vcpu, X86_FL_IF | X86_FL_NT | X86_FL_TF);
	assert_int_equal(deliver(0x30, false, true, 0xabcd), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x123456);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 16);
	assert_int_equal(get(STACK - 4, 4), 2 | X86_FL_IF | X86_FL_NT | X86_FL_TF);
	assert_int_equal(get(STACK - 8, 4), K_CODE);
	assert_int_equal(get(STACK - 12, 4), CODE);
	assert_int_equal(get(STACK - 16, 4), 0xabcd);
	assert_int_equal(vcpu_rflags(vcpu), 2);
	vcpu->gpr[REG_RSP] += 4;
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->rip, CODE);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_NT | X86_FL_TF);
	vcpu_set_rflags(vcpu, X86_FL_IF);
	assert_int_equal(deliver(0x31, false, false, 0), EMU_JUMP);	/* trap gate */
	assert_int_equal(vcpu->irq_enable, 1);
	setup_done(state);
}

static void test_to_inner_32(void **state)
{
	setup_32(3);
	put_gate(IDT + 0x80 * 8, K_CODE, 0x123456, 14, 3, 0);
	put_gate(IDT + 0x81 * 8, K_CODE, 0x123456, 14, 0, 0);
	put(TSS + 4, STACK + 0x8000, 4);
	put(TSS + 8, K_DATA, 4);
	vcpu->irq_enable = 1;
	assert_int_equal(exec("cd 80"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 20);
	assert_int_equal(get(STACK + 0x8000 - 4, 4), U_DATA | 3);
	assert_int_equal(get(STACK + 0x8000 - 8, 4), STACK);
	assert_int_equal(get(STACK + 0x8000 - 12, 4), 2 | X86_FL_IF);
	assert_int_equal(get(STACK + 0x8000 - 16, 4), U_CODE | 3);
	assert_int_equal(get(STACK + 0x8000 - 20, 4), CODE + 2);
	assert_int_equal(vcpu->irq_enable, 0);
	/* The handler changes IOPL for the program, which ring 0 may. */
	put(STACK + 0x8000 - 12, 2 | X86_FL_IF | X86_FL_IOPL, 4);
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->rip, CODE + 2);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_IF | X86_FL_IOPL);
	/* INT n obeys the gate's DPL, an external interrupt does not. */
	exec_faults("cd 81", EXC_GP, 0x81 * 8 + 2);
	assert_int_equal(deliver(0x81, false, false, 0), EMU_JUMP);
	setup_done(state);
}

static void test_iret_flags(void **state)
{
	setup_32(3);
	put(STACK, CODE, 4);
	put(STACK + 4, U_CODE | 3, 4);
	put(STACK + 8, 0xffffffff & ~X86_FL_NT, 4);
	assert_int_equal(exec("cf"), EMU_JUMP);
	/* Ring 3 with IOPL 0: neither IF nor IOPL, VIF, VIP, VM. */
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_RF |
		X86_FL_AC | X86_FL_ID);
	vcpu->gpr[REG_RSP] = STACK;
	put(STACK + 2, U_CODE | 3, 2);
	put(STACK + 4, 0, 2);
	assert_int_equal(exec("66 cf"), EMU_JUMP);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_RF | X86_FL_AC | X86_FL_ID);
	setup_done(state);
}

static void test_iret_checks(void **state)
{
	setup_32(0);
	put(STACK, CODE, 4);
	put(STACK + 8, 2, 4);
	put(STACK + 12, STACK + 0x1000, 4);
	put(STACK + 16, U_DATA | 3, 4);
	put(STACK + 4, 0, 4);
	exec_faults("cf", EXC_GP, 0);
	put(STACK + 4, K_DATA, 4);
	exec_faults("cf", EXC_GP, K_DATA);
	put(STACK + 4, U_CODE, 4);
	exec_faults("cf", EXC_GP, U_CODE);
	put(STACK + 4, U_CODE | 3, 4);
	put(STACK + 16, 0, 4);
	exec_faults("cf", EXC_GP, 0);
	put(STACK + 16, U_DATA, 4);
	exec_faults("cf", EXC_GP, U_DATA);
	put_desc(U_DATA, 0, 0xfffff, (A_DATA | A_32 | A_DPL(3)) & ~SEG_P);
	put(STACK + 16, U_DATA | 3, 4);
	exec_faults("cf", EXC_SS, U_DATA);
	put_desc(U_DATA, 0, 0xfffff, A_DATA | A_32 | A_DPL(3));
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x1000);
	/* DS, ES.. of ring 0 are not left to ring 3. */
	assert_int_equal(vcpu->seg[SEG_DS].selector, 0);
	assert_false(vcpu->seg[SEG_DS].attr & SEG_P);
	setup_done(state);

	setup_32(0);
	vcpu->seg[SEG_SS].limit = STACK + 7;
	put(STACK, CODE, 4);
	put(STACK + 4, K_CODE, 4);
	exec_faults("cf", EXC_SS, 0);
	setup_done(state);
}

static void test_16bit_stack(void **state)
{
	/* To a 16-bit stack only SP is loaded. */
	setup_32(0);
	put_desc(U_DATA, 0, 0xffff, A_DATA | A_DPL(3));
	put(STACK, CODE, 4);
	put(STACK + 4, U_CODE | 3, 4);
	put(STACK + 8, 2, 4);
	put(STACK + 12, 0x11112222, 4);
	put(STACK + 16, U_DATA | 3, 4);
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RSP], (STACK & 0xffff0000) | 0x2222);
	setup_done(state);
}

static void test_gate_checks(void **state)
{
	setup_32(3);
	put(TSS + 4, STACK + 0x8000, 4);
	put(TSS + 8, K_DATA, 4);
	vcpu->idt.limit = 0x30 * 8 + 6;
	deliver_faults(0x30, EXC_GP, 0x30 * 8 + 3);
	vcpu->idt.limit = 0xfff;
	put_gate(IDT + 0x30 * 8, K_CODE, 0, 12, 0, 0);
	deliver_faults(0x30, EXC_GP, 0x30 * 8 + 3);
	put_gate(IDT + 0x30 * 8, K_CODE, 0, 14, 0, 0);
	low[IDT + 0x30 * 8 + 5] &= 0x7f;
	deliver_faults(0x30, EXC_NP, 0x30 * 8 + 3);
	put_gate(IDT + 0x30 * 8, 0, 0, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, 1);
	put_gate(IDT + 0x30 * 8, K_DATA, 0, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, K_DATA | 1);
	put_gate(IDT + 0x30 * 8, GDT_END, 0, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, GDT_END | 1);
	put_gate(IDT + 0x30 * 8, K_CODE, 0, 14, 0, 0);
	put(TSS + 8, U_DATA | 3, 4);
	deliver_faults(0x30, EXC_TS, U_DATA | 1);
	put(TSS + 8, K_ABSENT, 4);
	deliver_faults(0x30, EXC_SS, K_ABSENT | 1);
	put_desc(K_CODE, 0, 0xff, A_CODE | SEG_DB);
	put(TSS + 8, K_DATA, 4);
	put_gate(IDT + 0x30 * 8, K_CODE, 0x100, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, 1);		/* handler beyond its segment */
	setup_done(state);
}

static void test_16bit_gate(void **state)
{
	setup_32(0);
	put_gate(IDT + 0x30 * 8, K_CODE, 0xffff1234, 6, 0, 0);
	vcpu->irq_enable = 1;
	assert_int_equal(deliver(0x30, false, true, 0x12345), EMU_JUMP);
	assert_int_equal(vcpu->rip, 0x1234);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 8);
	assert_int_equal(get(STACK - 8, 2), 0x2345);
	assert_int_equal(get(STACK - 6, 2), CODE & 0xffff);
	assert_int_equal(get(STACK - 4, 2), K_CODE);
	assert_int_equal(get(STACK - 2, 2), 2 | X86_FL_IF);
	assert_int_equal(vcpu->irq_enable, 0);
	setup_done(state);
}

static void test_64(void **state)
{
	setup_64(0);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0xffffffff81234567, 14, 0, 0);
	vcpu->gpr[REG_RSP] = STACK - 5;
	vcpu->irq_enable = 1;
	assert_int_equal(deliver(0x30, false, true, 0xabc), EMU_JUMP);
	assert_true(vcpu->rip == 0xffffffff81234567);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 16 - 48);	/* aligned first */
	assert_int_equal(get(STACK - 64, 8), 0xabc);
	assert_int_equal(get(STACK - 56, 8), CODE);
	assert_int_equal(get(STACK - 48, 8), K_CODE64);
	assert_int_equal(get(STACK - 40, 8), 2 | X86_FL_IF);
	assert_int_equal(get(STACK - 32, 8), STACK - 5);
	assert_int_equal(get(STACK - 24, 8), K_DATA);
	vcpu->gpr[REG_RSP] += 8;
	assert_int_equal(exec("48 cf"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK - 5);
	assert_int_equal(vcpu->rip, CODE);
	assert_int_equal(vcpu->irq_enable, 1);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0x800000000000, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, 1);
	put_gate64(IDT + 0x30 * 16, K_CODE, 0x1000, 14, 0, 0);
	deliver_faults(0x30, EXC_GP, K_CODE | 1);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0x1000, 6, 0, 0);
	deliver_faults(0x30, EXC_GP, 0x30 * 8 + 3);
	vcpu->idt.limit = 0x30 * 16 + 14;
	deliver_faults(0x30, EXC_GP, 0x30 * 8 + 3);
	setup_done(state);
}

static void test_64_stacks(void **state)
{
	setup_64(3);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0x12345, 14, 3, 0);
	put_gate64(IDT + 0x31 * 16, K_CODE64, 0x12345, 15, 0, 2);
	put(TSS + 4, STACK + 0x8000, 8);
	put(TSS + 0x24 + 8, STACK + 0x9000, 8);
	vcpu->irq_enable = 1;
	assert_int_equal(exec("cd 30"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 40);
	assert_int_equal(vcpu->seg[SEG_SS].selector, 0);
	assert_int_equal(get(STACK + 0x8000 - 8, 8), U_DATA | 3);
	assert_int_equal(get(STACK + 0x8000 - 40, 8), CODE + 2);
	/* A second one, on its own stack, while SS is null. */
	assert_int_equal(deliver(0x31, false, false, 0), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x9000 - 40);
	assert_int_equal(get(STACK + 0x9000 - 8, 8), 0);
	assert_int_equal(get(STACK + 0x9000 - 16, 8), STACK + 0x8000 - 40);
	assert_int_equal(exec("48 cf"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK + 0x8000 - 40);
	assert_int_equal(exec("48 cf"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->gpr[REG_RSP], STACK);
	assert_int_equal(vcpu->seg[SEG_SS].selector, U_DATA | 3);
	put(TSS + 4, 0x800000000000, 8);
	deliver_faults(0x30, EXC_SS, 1);
	vcpu->seg[SEG_TR].limit = 0x10;
	deliver_faults(0x31, EXC_TS, TSS_SEL | 1);
	setup_done(state);
}

static void test_compat_iret(void **state)
{
	/* From 64-bit mode to a 32-bit program and back by an interrupt. */
	setup_64(0);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0x12345, 14, 3, 0);
	put(TSS + 4, STACK + 0x8000, 8);
	put(STACK, 0xffff1234, 8);
	put(STACK + 8, U_CODE | 3, 8);
	put(STACK + 16, 2, 8);
	put(STACK + 24, 0x5678, 8);
	put(STACK + 32, U_DATA | 3, 8);
	assert_int_equal(exec("48 cf"), EMU_JUMP);
	assert_false(vcpu_64bit(vcpu));
	assert_int_equal(vcpu->rip, 0xffff1234);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x5678);
	assert_int_equal(exec("cd 30"), EMU_JUMP);
	assert_true(vcpu_64bit(vcpu));
	assert_int_equal(get(STACK + 0x8000 - 40, 8), 0xffff1236);
	vcpu->sysflags |= X86_FL_NT;
	exec_faults("48 cf", EXC_GP, 0);
	setup_done(state);
}

static void test_page_fault_on_stack(void **state)
{
	setup_64(3);
	put_gate64(IDT + 0x30 * 16, K_CODE64, 0x12345, 14, 3, 0);
	put(TSS + 4, 0x1000000 + 16, 8);	/* half of the frame is unmapped */
	memset(low + 0xfff000, 0x55, 0x1000);
	exec_faults("cd 30", EXC_PF, PFERR_W);
	assert_true(exc.cr2 >= 0x1000000 && exc.cr2 < 0x1000010);
	assert_int_equal(low[0xffffff], 0x55);
	setup_done(state);
}

static void test_rf(void **state)
{
	setup_64(0);
	put_gate64(IDT + 14 * 16, K_CODE64, 0x12345, 14, 0, 0);
	vcpu->sysflags = X86_FL_RF;
	assert_int_equal(deliver(EXC_PF, false, true, 0), EMU_JUMP);
	assert_int_equal(get(STACK - 24, 8), 2 | X86_FL_RF);
	assert_int_equal(vcpu_rflags(vcpu), 2);
	setup_done(state);
}

/* --- virtual-8086 mode --------------------------------------------------------- */

static void test_v86_to_ring0(void **state)
{
	u32 top = STACK + 0x18000, i;

	setup_v86(3);
	put_gate(IDT + 0x30 * 8, K_CODE, 0x123456, 14, 3, 0);
	put(TSS + 4, top, 4);
	put(TSS + 8, K_DATA, 4);
	for (i = SEG_ES; i <= SEG_GS; i++)
		if (i != SEG_CS && i != SEG_SS)
			vcpu->seg[i].selector = (u16)(0x1000 + i);
	vcpu->irq_enable = 1;
	assert_int_equal(exec("cd 30"), EMU_JUMP);
	assert_int_equal(vcpu->cpl, 0);
	assert_false(vcpu_v86(vcpu));
	assert_int_equal(vcpu->gpr[REG_RSP], top - 36);
	assert_int_equal(get(top - 4, 4), 0x1000 + SEG_GS);
	assert_int_equal(get(top - 8, 4), 0x1000 + SEG_FS);
	assert_int_equal(get(top - 12, 4), 0x1000 + SEG_DS);
	assert_int_equal(get(top - 16, 4), 0x1000 + SEG_ES);
	assert_int_equal(get(top - 20, 4), STACK >> 4);
	assert_int_equal(get(top - 24, 4), 0x1000);
	assert_int_equal(get(top - 28, 4), 2 | X86_FL_VM | X86_FL_IOPL | X86_FL_IF);
	assert_int_equal(get(top - 32, 4), CODE >> 4);
	assert_int_equal(get(top - 36, 4), 0x102);
	assert_int_equal(vcpu->seg[SEG_DS].selector, 0);
	assert_false(vcpu->seg[SEG_DS].attr & SEG_P);
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_true(vcpu_v86(vcpu));
	assert_int_equal(vcpu->cpl, 3);
	assert_int_equal(vcpu->rip, 0x102);
	assert_int_equal(vcpu->seg[SEG_CS].base, CODE);
	assert_int_equal(vcpu->seg[SEG_SS].base, STACK);
	assert_int_equal(vcpu->gpr[REG_RSP], 0x1000);
	assert_int_equal(vcpu->seg[SEG_GS].base, (0x1000 + SEG_GS) << 4);
	assert_int_equal(vcpu->seg[SEG_GS].attr, 0xf3);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_VM | X86_FL_IOPL | X86_FL_IF);
	/* The handler must be of ring 0. */
	put_gate(IDT + 0x30 * 8, K_CONF, 0x123456, 14, 3, 0);
	exec_faults("cd 30", EXC_GP, K_CONF);
	setup_done(state);
}

static void test_v86_iopl(void **state)
{
	setup_v86(0);
	exec_faults("cd 30", EXC_GP, 0);
	exec_faults("fa", EXC_GP, 0);
	exec_faults("fb", EXC_GP, 0);
	exec_faults("9c", EXC_GP, 0);
	exec_faults("9d", EXC_GP, 0);
	exec_faults("cf", EXC_GP, 0);
	exec_faults("0f 00 c8", EXC_UD, 0);
	exec_faults("0f 01 17", EXC_GP, 0);	/* lgdt */
	setup_done(state);
	setup_v86(3);
	assert_int_equal(exec("fa"), EMU_NEXT);
	assert_int_equal(exec("9c"), EMU_NEXT);
	assert_int_equal(exec("9d"), EMU_NEXT);
	setup_done(state);
}

static void test_vme(void **state)
{
	setup_v86(0);
	vcpu->cr4 = X86_CR4_VME;
	put(TSS + 102, 0x68 + 0x20, 2);		/* I/O map; the redirection map before it */
	memset(low + TSS + 0x68, 0, 0x20);
	low[TSS + 0x68 + 0x30 / 8] = 2;		/* 31h goes to the monitor */
	put(0x30 * 4, 0x4000 << 16 | 0x1234, 4);
	vcpu->sysflags |= X86_FL_VIF;
	assert_int_equal(exec("cd 30"), EMU_JUMP);
	assert_true(vcpu_v86(vcpu));
	assert_int_equal(vcpu->rip, 0x1234);
	assert_int_equal(vcpu->seg[SEG_CS].base, 0x40000);
	assert_int_equal(get(STACK + 0xffe, 2), 2 | X86_FL_IOPL | X86_FL_IF);
	assert_false(vcpu->sysflags & X86_FL_VIF);
	assert_int_equal(exec("cf"), EMU_JUMP);
	assert_true(vcpu->sysflags & X86_FL_VIF);
	assert_int_equal(vcpu->rip, 0x102);
	assert_int_equal(emu_iopl(vcpu), 0);
	exec_faults("cd 31", EXC_GP, 0);
	assert_int_equal(exec("fa"), EMU_NEXT);
	assert_false(vcpu->sysflags & X86_FL_VIF);
	assert_int_equal(exec("fb"), EMU_NEXT);
	assert_true(vcpu->sysflags & X86_FL_VIF);
	assert_int_equal(vcpu->irq_enable, 0);
	assert_int_equal(exec("9c"), EMU_NEXT);
	assert_int_equal(get(STACK + 0xffe, 2), 2 | X86_FL_IOPL | X86_FL_IF);
	put(STACK + 0xffe, 0, 2);
	assert_int_equal(exec("9d"), EMU_NEXT);
	assert_false(vcpu->sysflags & X86_FL_VIF);
	vcpu->sysflags |= X86_FL_VIP;
	exec_faults("fb", EXC_GP, 0);
	exec_faults("66 9c", EXC_GP, 0);
	setup_done(state);
}

/* --- flags ------------------------------------------------------------------------ */

static void test_flags(void **state)
{
	setup_32(3);
	exec_faults("fa", EXC_GP, 0);
	vcpu->sysflags |= 3 << 12;
	assert_int_equal(exec("fb"), EMU_NEXT);
	assert_int_equal(vcpu->irq_enable, 1);
	assert_int_equal(vcpu->irq_shadow, KVM_X86_SHADOW_INT_STI);
	vcpu->irq_shadow = 0;
	assert_int_equal(exec("fb"), EMU_NEXT);
	assert_int_equal(vcpu->irq_shadow, 0);
	assert_int_equal(exec("fa"), EMU_NEXT);
	assert_int_equal(vcpu->irq_enable, 0);
	/* POPF in ring 3: not IOPL, IF by IOPL. */
	put(STACK, 0xffffffff, 4);
	assert_int_equal(exec("9d"), EMU_NEXT);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT |
		X86_FL_IF | X86_FL_IOPL | X86_FL_AC | X86_FL_ID);
	vcpu->sysflags = X86_FL_RF;
	vcpu->irq_enable = 0;
	vcpu->gpr[REG_RSP] = STACK;
	assert_int_equal(exec("9d"), EMU_NEXT);
	assert_int_equal(vcpu_rflags(vcpu), 2 | X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT |
		X86_FL_AC | X86_FL_ID);
	assert_int_equal(exec("9c"), EMU_NEXT);
	assert_int_equal(get(STACK, 4), vcpu_rflags(vcpu));
	exec_faults("0f 01 cb", EXC_UD, 0);	/* stac */
	vcpu->cr4 |= X86_CR4_PVI;
	assert_int_equal(exec("fb"), EMU_NEXT);
	assert_true(vcpu->sysflags & X86_FL_VIF);
	setup_done(state);

	setup_64(0);
	assert_int_equal(exec("0f 01 cb"), EMU_NEXT);
	assert_true(vcpu->sysflags & X86_FL_AC);
	assert_true(vcpu->mode_stale);
	assert_int_equal(exec("0f 01 ca"), EMU_NEXT);
	assert_false(vcpu->sysflags & X86_FL_AC);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_same_privilege_32),
		cmocka_unit_test(test_to_inner_32),
		cmocka_unit_test(test_iret_flags),
		cmocka_unit_test(test_iret_checks),
		cmocka_unit_test(test_16bit_stack),
		cmocka_unit_test(test_gate_checks),
		cmocka_unit_test(test_16bit_gate),
		cmocka_unit_test(test_64),
		cmocka_unit_test(test_64_stacks),
		cmocka_unit_test(test_compat_iret),
		cmocka_unit_test(test_page_fault_on_stack),
		cmocka_unit_test(test_rf),
		cmocka_unit_test(test_v86_to_ring0),
		cmocka_unit_test(test_v86_iopl),
		cmocka_unit_test(test_vme),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
