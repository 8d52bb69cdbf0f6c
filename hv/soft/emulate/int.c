/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Software interrupts and the instructions that raise exceptions on purpose:
 * INT n, INT3, INT1, INTO, BOUND and the undefined opcodes.
 *
 * Intel SDM vol. 2, INT n/INTO/INT3/INT1; vol. 3, 20.3.3 (INT n in
 * virtual-8086 mode), 20.3 and 20.4 (interrupt redirection with CR4.VME).
 */
#include "emulate.h"

static enum emu soft_interrupt(struct vcpu *v, const struct insn *in, u8 vector)
{
	struct emu_event ev = {
		.vector = vector,
		.soft = true,
		.rip = emu_next_rip(v, in),
	};

	return emu_deliver_event(v, &ev);
}

/*
 * CR4.VME: whether the TSS's bitmap sends vector to the virtual-8086
 * program's own vector table (a clear bit).
 */
static enum emu vme_redirects(struct vcpu *v, u8 vector, bool *own)
{
	u16 map;
	u8 bits;

	*own = false;
	if (!(v->seg[SEG_TR].attr & 8) || v->seg[SEG_TR].limit < 103)
		return EMU_NEXT;
	TRY(emu_tss_read(v, 102, &map, 2, 0));
	if (map < 32)
		return EMU_NEXT;
	if (map - 32u + vector / 8 > v->seg[SEG_TR].limit)
		return emu_gp0(v);
	TRY(emu_tss_read(v, map - 32u + vector / 8, &bits, 1, 0));
	*own = !(bits >> vector % 8 & 1);
	return EMU_NEXT;
}

/* Through the vector table at linear 0, staying in virtual-8086 mode. */
static enum emu deliver_v86(struct vcpu *v, const struct insn *in, u8 vector)
{
	u64 clear = X86_FL_TF | X86_FL_NT | X86_FL_RF, flags = vcpu_rflags(v);
	struct emu_stack st;
	u16 entry[2];
	struct seg cs;
	u64 frame[3];

	TRY(mem_read(v, vector * 4u, entry, 4, MMU_READ));
	if (emu_iopl(v) < 3) {
		flags = (flags & ~X86_FL_IF) | X86_FL_IOPL |
			(v->sysflags & X86_FL_VIF ? X86_FL_IF : 0);
		clear |= X86_FL_VIF;
	} else {
		clear |= X86_FL_IF;
	}
	frame[0] = flags;
	frame[1] = v->seg[SEG_CS].selector;
	frame[2] = emu_next_rip(v, in);
	emu_stack_now(v, &st);
	TRY(emu_stack_push(v, &st, frame, 3, 2));
	emu_stack_commit(v, &st);
	emu_real_seg(v, SEG_CS, entry[1], &cs);
	emu_set_cs(v, &cs, 3);
	emu_set_flags(v, 0, clear);
	return emu_jump(v, entry[0]);
}

EMU_HANDLER(emu_int)
{
	u8 vector = (u8)in->imm;
	bool own;

	if (vcpu_v86(v)) {
		if (v->cr4 & X86_CR4_VME) {
			TRY(vme_redirects(v, vector, &own));
			if (own)
				return deliver_v86(v, in, vector);
		}
		if (emu_iopl(v) < 3)
			return emu_gp0(v);
	}
	return soft_interrupt(v, in, vector);
}

void emu_debug_exit(struct vcpu *v, u8 vector, u64 dr6)
{
	v->run->exit_reason = KVM_EXIT_DEBUG;
	v->run->debug.arch.exception = vector;
	v->run->debug.arch.pc = (vcpu_64bit(v) ? 0 : v->seg[SEG_CS].base) + v->rip;
	v->run->debug.arch.dr6 = vector == EXC_DB ? 0xffff0ff0u | dr6 : 0;
	v->run->debug.arch.dr7 = vcpu_dr7(v);
}

/* A #BP that the debugger outside wants to see. */
static bool debugger_takes_int3(struct vcpu *v)
{
	u32 want = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;

	if ((v->guest_debug.control & want) != want)
		return false;
	emu_debug_exit(v, EXC_BP, 0);
	return true;
}

EMU_HANDLER(emu_int3)
{
	if (debugger_takes_int3(v))
		return EMU_EXIT;
	return soft_interrupt(v, in, EXC_BP);
}

/* A #DB without a cause in DR6 and without the gate's privilege check. */
EMU_HANDLER(emu_int1)
{
	struct emu_event ev = { .vector = EXC_DB, .rip = emu_next_rip(v, in) };

	return emu_deliver_event(v, &ev);
}

EMU_HANDLER(emu_into)
{
	return v->arith & 1 ? soft_interrupt(v, in, EXC_OF) : EMU_NEXT;
}

EMU_HANDLER(emu_bound)
{
	s64 index, low, high;
	s32 wide[2];
	s16 half[2];

	if (!(in->flags & INSN_MEM))
		return emu_raise_ud(v);
	if (in->opsize == 2) {
		TRY(emu_load(v, in->seg, insn_ea(v, in), half, 4, 2));
		index = (s16)reg_read(v, in->reg, 2);
		low = half[0];
		high = half[1];
	} else {
		TRY(emu_load(v, in->seg, insn_ea(v, in), wide, 8, 4));
		index = (s32)reg_read(v, in->reg, 4);
		low = wide[0];
		high = wide[1];
	}
	if (index >= low && index <= high)
		return EMU_NEXT;
	vcpu_raise(v, EXC_BR);
	return EMU_FAULT;
}

EMU_HANDLER(emu_ud)
{
	(void)in;
	return emu_raise_ud(v);
}
