/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RFLAGS: CLI, STI, PUSHF, POPF with I/O privilege and virtual interrupts,
 * CLAC, STAC, CLD, STD.
 *
 * Intel SDM vol. 2 (each instruction); vol. 3, 6.8.1 (masking interrupts), 20.3.2
 * and 20.4 (VME and PVI: VIF in place of IF).
 */
#include "emulate.h"

/* How an instruction may treat the interrupt flag. */
enum if_right { IF_REAL, IF_VIRTUAL, IF_DENIED };

static enum if_right if_right(const struct vcpu *v)
{
	if (!vcpu_protected(v))
		return IF_REAL;
	if (vcpu_v86(v)) {
		if (emu_iopl(v) == 3)
			return IF_REAL;
		return v->cr4 & X86_CR4_VME ? IF_VIRTUAL : IF_DENIED;
	}
	if (v->cpl <= emu_iopl(v))
		return IF_REAL;
	return v->cpl == 3 && (v->cr4 & X86_CR4_PVI) ? IF_VIRTUAL : IF_DENIED;
}

EMU_HANDLER(emu_cli)
{
	(void)in;
	switch (if_right(v)) {
	case IF_REAL:
		v->irq_enable = 0;
		return EMU_NEXT;
	case IF_VIRTUAL:
		v->sysflags &= ~X86_FL_VIF;
		return EMU_NEXT;
	default:
		return emu_gp0(v);
	}
}

EMU_HANDLER(emu_sti)
{
	(void)in;
	switch (if_right(v)) {
	case IF_REAL:
		if (!v->irq_enable) {
			v->irq_enable = 1;
			v->irq_shadow = KVM_X86_SHADOW_INT_STI;
		}
		return EMU_NEXT;
	case IF_VIRTUAL:
		if (v->sysflags & X86_FL_VIP)
			return emu_gp0(v);
		v->sysflags |= X86_FL_VIF;
		return EMU_NEXT;
	default:
		return emu_gp0(v);
	}
}

EMU_HANDLER(emu_pushf)
{
	u64 flags = vcpu_rflags(v) & ~(u64)(X86_FL_VM | X86_FL_RF);

	if (vcpu_v86(v) && emu_iopl(v) < 3) {
		if (!(v->cr4 & X86_CR4_VME) || in->opsize != 2)
			return emu_gp0(v);
		flags = (flags & ~X86_FL_IF) | X86_FL_IOPL |
			(v->sysflags & X86_FL_VIF ? X86_FL_IF : 0);
	}
	return emu_push(v, flags, in->opsize);
}

EMU_HANDLER(emu_popf)
{
	u64 mask = X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT;
	bool virtual = vcpu_v86(v) && emu_iopl(v) < 3;
	struct emu_stack st;
	u64 flags;

	if (virtual && (!(v->cr4 & X86_CR4_VME) || in->opsize != 2))
		return emu_gp0(v);
	emu_stack_now(v, &st);
	TRY(emu_stack_pop(v, &st, &flags, in->opsize));
	flags &= ~(u64)X86_FL_RF;
	if (in->opsize > 2)
		mask |= X86_FL_AC | X86_FL_ID | X86_FL_RF;
	if (virtual) {
		if ((flags & X86_FL_TF) || ((flags & X86_FL_IF) && (v->sysflags & X86_FL_VIP)))
			return emu_gp0(v);
		flags |= flags & X86_FL_IF ? X86_FL_VIF : 0;
		mask |= X86_FL_VIF;
	} else {
		if (!vcpu_protected(v) || v->cpl <= emu_iopl(v))
			mask |= X86_FL_IF;
		if (!v->cpl)
			mask |= X86_FL_IOPL;
	}
	emu_stack_commit(v, &st);
	emu_set_flags(v, flags, mask);
	return EMU_NEXT;
}

static enum emu set_ac(struct vcpu *v, u32 ac)
{
	if (v->cpl || !emu_cpuid_bit(v, 7, 0, 1, 20))
		return emu_raise_ud(v);
	if ((v->sysflags ^ ac) & X86_FL_AC)
		v->mode_stale = true;
	v->sysflags = (v->sysflags & ~X86_FL_AC) | ac;
	return EMU_NEXT;
}

EMU_HANDLER(emu_clac)
{
	(void)in;
	return set_ac(v, 0);
}

EMU_HANDLER(emu_stac)
{
	(void)in;
	return set_ac(v, X86_FL_AC);
}

EMU_HANDLER(emu_cld)
{
	(void)in;
	v->sysflags &= ~X86_FL_DF;
	return EMU_NEXT;
}

EMU_HANDLER(emu_std)
{
	(void)in;
	v->sysflags |= X86_FL_DF;
	return EMU_NEXT;
}
