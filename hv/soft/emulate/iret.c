/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Far RET and IRET: to the same privilege, to an outer one with its stack, to
 * virtual-8086 mode, and within real, virtual-8086 and 64-bit mode.
 *
 * Intel SDM vol. 2, RET and IRET/IRETD/IRETQ; vol. 3, 5.8.6 (returns), 20.3.3
 * (leaving for virtual-8086 mode), 6.14.3 and 6.14.4 (IRET in 64-bit mode).
 */
#include "emulate.h"

/* What a return takes from the stack. */
struct ret {
	u64 rip, flags, sp;
	u16 cs, ss;
};

enum emu emu_return_code(struct vcpu *v, u16 sel, struct emu_desc *d)
{
	u32 error = emu_sel_error(sel);
	u8 rpl = sel & 3;

	if (emu_null_sel(sel))
		return emu_gp0(v);
	TRY(emu_desc_get(v, sel, d, EXC_GP, 0));
	if (!emu_desc_is_code(d) || rpl < v->cpl)
		return emu_fault(v, EXC_GP, error);
	if (emu_desc_attr(d) & SEG_E ? emu_desc_dpl(d) > rpl : emu_desc_dpl(d) != rpl)
		return emu_fault(v, EXC_GP, error);
	if (emu_bad_code_size(v, d))
		return emu_fault(v, EXC_GP, error);
	if (!emu_desc_present(d))
		return emu_fault(v, EXC_NP, error);
	return EMU_NEXT;
}

static inline bool is_64bit_code(const struct vcpu *v, const struct emu_desc *cs)
{
	return vcpu_long_mode(v) && (emu_desc_attr(cs) & SEG_L);
}

enum emu emu_return_stack(struct vcpu *v, u16 sel, u8 cpl, const struct emu_desc *cs,
			  struct seg *ss)
{
	if (emu_null_sel(sel) && is_64bit_code(v, cs) && cpl < 3) {
		emu_null_seg(sel, cpl, ss);
		return EMU_NEXT;
	}
	return emu_check_ss(v, sel, cpl, EXC_GP, 0, ss);
}

void emu_return_sp(struct vcpu *v, const struct seg *cs, const struct seg *ss, u64 sp)
{
	if (vcpu_long_mode(v) && (cs->attr & SEG_L))
		v->gpr[REG_RSP] = sp;
	else if (ss->attr & SEG_DB)
		v->gpr[REG_RSP] = (u32)sp;
	else
		reg_write(v, REG_RSP, sp, 2);
}

void emu_drop_inner_segs(struct vcpu *v, u8 cpl)
{
	static const u8 data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	struct seg null;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(data); i++) {
		u32 attr = v->seg[data[i]].attr;

		if (!(attr & SEG_P) || SEG_DPL(attr) >= cpl ||
		    (attr & (SEG_CODE | SEG_E)) == (SEG_CODE | SEG_E))
			continue;
		emu_null_seg(0, 0, &null);
		emu_set_seg(v, data[i], &null);
	}
}

/* SS:RSP of the outer privilege; SS, the upper one, is read first. */
static enum emu outer_pointer(struct vcpu *v, struct emu_stack *st, struct ret *r, u32 size)
{
	struct emu_stack upper = *st;
	u64 sel;

	upper.sp = (st->sp + size) & st->mask;
	TRY(emu_stack_pop(v, &upper, &sel, size));
	TRY(emu_stack_pop(v, st, &r->sp, size));
	st->sp = upper.sp;
	r->ss = (u16)sel;
	return EMU_NEXT;
}

/*
 * The protected-mode part that RETF and IRET share, after rip and cs were
 * read: the code segment, then SS:RSP where they are popped. release: bytes
 * of parameters to drop from both stacks. Nothing is committed.
 */
static enum emu return_target(struct vcpu *v, struct emu_stack *st, struct ret *r, u32 size,
			      u32 release, bool always_stack, struct seg *cs, struct seg *ss)
{
	u8 cpl = r->cs & 3;
	struct emu_desc d;

	st->sp = (st->sp + release) & st->mask;
	/* The host reads the outer stack pointer before it looks at the selector. */
	if (cpl != v->cpl || always_stack)
		TRY(outer_pointer(v, st, r, size));
	TRY(emu_return_code(v, r->cs, &d));
	if (cpl > v->cpl || always_stack)
		TRY(emu_return_stack(v, r->ss, cpl, &d, ss));
	emu_desc_to_seg(&d, r->cs, cs);
	TRY(emu_check_rip(v, cs, r->rip, 0));
	TRY(emu_desc_accessed(v, &d));
	emu_desc_to_seg(&d, r->cs, cs);
	return EMU_NEXT;
}

/* Commits a return whose target was checked. */
static void return_commit(struct vcpu *v, const struct emu_stack *st, const struct ret *r,
			  u32 release, bool always_stack, const struct seg *cs,
			  const struct seg *ss)
{
	u8 cpl = r->cs & 3;
	bool outer = cpl > v->cpl;

	emu_set_cs(v, cs, cpl);
	if (outer || always_stack) {
		emu_set_seg(v, SEG_SS, ss);
		emu_return_sp(v, cs, ss, r->sp);
		if (release) {
			u64 mask = emu_stack_mask(v);
			u64 sp = (v->gpr[REG_RSP] + release) & mask;

			reg_write(v, REG_RSP, sp, mask == 0xffff ? 2 : 8);
		}
	} else {
		emu_stack_commit(v, st);
	}
	if (outer)
		emu_drop_inner_segs(v, cpl);
	v->rip = r->rip;
}

EMU_HANDLER(emu_ret_far)
{
	u32 release = in->opcode & 1 ? 0 : (u16)in->imm;
	struct emu_stack st;
	struct seg cs, ss;
	struct ret r;
	u64 sel;

	emu_stack_now(v, &st);
	TRY(emu_stack_pop(v, &st, &r.rip, in->opsize));
	TRY(emu_stack_pop(v, &st, &sel, in->opsize));
	r.cs = (u16)sel;
	if (vcpu_real_or_v86(v)) {
		emu_real_seg(v, SEG_CS, r.cs, &cs);
		TRY(emu_check_rip(v, &cs, r.rip, 0));
		st.sp = (st.sp + release) & st.mask;
		emu_stack_commit(v, &st);
		emu_set_cs(v, &cs, v->cpl);
		return emu_jump(v, r.rip);
	}
	TRY(return_target(v, &st, &r, in->opsize, release, false, &cs, &ss));
	return_commit(v, &st, &r, release, false, &cs, &ss);
	return EMU_JUMP;
}

/* --- IRET -------------------------------------------------------------------- */

#define IRET_FLAGS_16 (X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT)
#define IRET_FLAGS_32 (IRET_FLAGS_16 | X86_FL_RF | X86_FL_AC | X86_FL_ID)

/* An IRET ends the handling of an NMI. */
static void nmi_unmask(struct vcpu *v)
{
	if (!v->nmi.masked)
		return;
	v->nmi.masked = false;
	emu_look_for_events(v);
}

static enum emu iret_frame(struct vcpu *v, struct emu_stack *st, struct ret *r, u32 size)
{
	u64 sel;

	emu_stack_now(v, st);
	TRY(emu_stack_pop(v, st, &r->rip, size));
	TRY(emu_stack_pop(v, st, &sel, size));
	r->cs = (u16)sel;
	return emu_stack_pop(v, st, &r->flags, size);
}

static enum emu iret_real(struct vcpu *v, const struct insn *in)
{
	u64 mask = in->opsize == 2 ? IRET_FLAGS_16 : IRET_FLAGS_32;
	bool virtual = vcpu_v86(v) && emu_iopl(v) < 3;
	struct emu_stack st;
	struct seg cs;
	struct ret r;

	if (virtual && (!(v->cr4 & X86_CR4_VME) || in->opsize != 2))
		return emu_gp0(v);
	TRY(iret_frame(v, &st, &r, in->opsize));
	emu_real_seg(v, SEG_CS, r.cs, &cs);
	TRY(emu_check_rip(v, &cs, r.rip, 0));
	if (virtual) {
		/* The virtual interrupt flag takes the place of IF. */
		if ((r.flags & X86_FL_TF) ||
		    ((r.flags & X86_FL_IF) && (v->sysflags & X86_FL_VIP)))
			return emu_gp0(v);
		r.flags |= r.flags & X86_FL_IF ? X86_FL_VIF : 0;
		mask |= X86_FL_VIF;
	} else {
		mask |= X86_FL_IF | (vcpu_v86(v) ? 0 : X86_FL_IOPL);
	}
	emu_stack_commit(v, &st);
	emu_set_cs(v, &cs, v->cpl);
	emu_set_flags(v, r.flags, mask);
	nmi_unmask(v);
	return emu_jump(v, r.rip);
}

/* From ring 0 to virtual-8086 mode: six more values follow the flags. */
static enum emu iret_to_v86(struct vcpu *v, struct emu_stack *st, const struct ret *r)
{
	static const u8 order[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	u64 sp, ss, sel[4];
	struct seg s;
	u32 i;

	TRY(emu_stack_pop(v, st, &sp, 4));
	TRY(emu_stack_pop(v, st, &ss, 4));
	for (i = 0; i < 4; i++)
		TRY(emu_stack_pop(v, st, &sel[i], 4));
	if (r->rip > 0xffff)
		return emu_gp0(v);
	emu_set_flags(v, r->flags, X86_FL_ALL);
	emu_real_seg(v, SEG_CS, r->cs, &s);
	emu_set_cs(v, &s, 3);
	emu_real_seg(v, SEG_SS, (u16)ss, &s);
	emu_set_seg(v, SEG_SS, &s);
	for (i = 0; i < 4; i++) {
		emu_real_seg(v, order[i], (u16)sel[i], &s);
		emu_set_seg(v, order[i], &s);
	}
	v->gpr[REG_RSP] = (u32)sp;
	v->mode_stale = true;
	nmi_unmask(v);
	return emu_jump(v, r->rip);
}

EMU_HANDLER(emu_iret)
{
	bool always_stack = vcpu_64bit(v);
	struct emu_stack st;
	struct seg cs, ss;
	struct ret r;
	u64 mask;

	if (vcpu_real_or_v86(v))
		return iret_real(v, in);
	if (v->sysflags & X86_FL_NT) {
		enum emu e;

		if (vcpu_long_mode(v))
			return emu_gp0(v);
		e = emu_task_return(v, emu_next_rip(v, in));
		if (e == EMU_JUMP)
			nmi_unmask(v);
		return e;
	}
	TRY(iret_frame(v, &st, &r, in->opsize));
	if (in->opsize == 4 && (r.flags & X86_FL_VM) && !v->cpl && !vcpu_long_mode(v))
		return iret_to_v86(v, &st, &r);
	TRY(return_target(v, &st, &r, in->opsize, 0, always_stack, &cs, &ss));
	mask = in->opsize == 2 ? IRET_FLAGS_16 : IRET_FLAGS_32;
	if (v->cpl <= emu_iopl(v))
		mask |= X86_FL_IF;
	if (!v->cpl)
		mask |= X86_FL_IOPL | (in->opsize == 2 ? 0 : X86_FL_VIF | X86_FL_VIP);
	return_commit(v, &st, &r, 0, always_stack, &cs, &ss);
	emu_set_flags(v, r.flags, mask);
	nmi_unmask(v);
	return EMU_JUMP;
}
