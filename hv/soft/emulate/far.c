/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Far JMP and CALL: real and virtual-8086 mode, direct transfers to code
 * segments, call gates (16-, 32- and 64-bit, to the same or an inner
 * privilege), task gates and task state segments.
 *
 * Intel SDM vol. 3, 5.8.1 (direct), 5.8.3 to 5.8.5 (call gates and stack
 * switching, also in IA-32e mode), 7.3 (task switches); vol. 2, CALL and JMP.
 */
#include "emulate.h"

/* The far pointer operand, direct or in memory. */
static enum emu far_operand(struct vcpu *v, const struct insn *in, u16 *sel, u64 *offset)
{
	if (in->flags & INSN_MEM)
		return emu_load_pointer(v, in, offset, sel);
	*offset = (u64)in->imm & emu_mask(in->opsize);
	*sel = (u16)in->imm2;
	return EMU_NEXT;
}

static enum emu far_real(struct vcpu *v, const struct insn *in, u16 sel, u64 offset, bool call)
{
	struct emu_stack st;
	u64 frame[2];
	struct seg cs;

	emu_real_seg(v, SEG_CS, sel, &cs);
	TRY(emu_check_rip(v, &cs, offset, 0));
	if (call) {
		frame[0] = v->seg[SEG_CS].selector;
		frame[1] = emu_next_rip(v, in);
		emu_stack_now(v, &st);
		TRY(emu_stack_push(v, &st, frame, 2, in->opsize));
		emu_stack_commit(v, &st);
	}
	emu_set_cs(v, &cs, v->cpl);
	return emu_jump(v, offset);
}

/* Pushes CS and the return address on st and goes to cs:rip. */
static enum emu transfer(struct vcpu *v, const struct insn *in, struct emu_stack *st, u32 size,
			 const struct seg *cs, u64 rip)
{
	u64 frame[2] = { v->seg[SEG_CS].selector, emu_next_rip(v, in) };

	if (st) {
		TRY(emu_stack_push(v, st, frame, 2, size));
		emu_stack_commit(v, st);
	}
	emu_set_cs(v, cs, v->cpl);
	return emu_jump(v, rip);
}

/* A code segment named by the instruction itself. */
static enum emu far_code(struct vcpu *v, const struct insn *in, struct emu_desc *d, u64 offset,
			 bool call)
{
	u32 error = emu_sel_error(d->sel);
	u8 dpl = emu_desc_dpl(d);
	struct emu_stack st;
	struct seg cs;

	if (emu_desc_attr(d) & SEG_E) {
		if (dpl > v->cpl)
			return emu_fault(v, EXC_GP, error);
	} else if ((d->sel & 3) > v->cpl || dpl != v->cpl) {
		return emu_fault(v, EXC_GP, error);
	}
	if (emu_bad_code_size(v, d))
		return emu_fault(v, EXC_GP, error);
	if (!emu_desc_present(d))
		return emu_fault(v, EXC_NP, error);
	emu_desc_to_seg(d, d->sel, &cs);
	TRY(emu_check_rip(v, &cs, offset, 0));
	TRY(emu_desc_accessed(v, d));
	emu_desc_to_seg(d, d->sel, &cs);
	if (call)
		emu_stack_now(v, &st);
	return transfer(v, in, call ? &st : NULL, in->opsize, &cs, offset);
}

/* CALL through a gate to an inner privilege: the stack of the TSS. */
static enum emu gate_inner(struct vcpu *v, const struct insn *in, const struct emu_desc *gate,
			   struct emu_desc *code, u64 rip)
{
	bool flat = vcpu_long_mode(v);
	u32 i, n = 0, params = flat ? 0 : gate->hi & 31;
	u32 size = flat ? 8 : emu_desc_type(gate) & 8 ? 4 : 2;
	u8 dpl = emu_desc_dpl(code);
	u64 frame[4 + 31], sp;
	struct emu_stack old, st;
	struct seg ss, cs;

	if (flat) {
		TRY(emu_tss_rsp(v, dpl, 0, &sp));
		emu_null_seg(dpl, dpl, &ss);
	} else {
		TRY(emu_tss_stack(v, dpl, 0, &ss, &sp));
	}
	emu_stack_new(&st, &ss, sp, dpl, flat, emu_sel_error(ss.selector));
	frame[n++] = v->seg[SEG_SS].selector;
	frame[n++] = v->gpr[REG_RSP];
	emu_stack_now(v, &old);
	for (i = 0; i < params; i++)
		TRY(emu_stack_pop(v, &old, &frame[n + params - 1 - i], size));
	n += params;
	frame[n++] = v->seg[SEG_CS].selector;
	frame[n++] = emu_next_rip(v, in);
	emu_desc_to_seg(code, code->sel, &cs);
	TRY(emu_check_rip(v, &cs, rip, 0));
	TRY(emu_desc_accessed(v, code));
	emu_desc_to_seg(code, code->sel, &cs);
	TRY(emu_stack_push(v, &st, frame, n, size));
	emu_set_seg(v, SEG_SS, &ss);
	emu_stack_commit(v, &st);
	emu_set_cs(v, &cs, dpl);
	return emu_jump(v, rip);
}

static enum emu far_gate(struct vcpu *v, const struct insn *in, struct emu_desc *gate, bool call)
{
	bool lm = vcpu_long_mode(v), gate32 = emu_desc_type(gate) & 8;
	u64 rip = emu_gate_offset(gate);
	u16 sel = emu_gate_sel(gate);
	u32 error = emu_sel_error(sel);
	struct emu_desc code;
	struct emu_stack st;
	struct seg cs;
	u8 dpl;

	if (!lm)
		rip = gate32 ? (u32)rip : (u16)rip;
	else if (gate->top >> 40 & 0x1f)
		return emu_fault(v, EXC_GP, emu_sel_error(gate->sel));
	if (emu_null_sel(sel))
		return emu_gp0(v);
	TRY(emu_desc_get(v, sel, &code, EXC_GP, 0));
	dpl = emu_desc_dpl(&code);
	if (!emu_desc_is_code(&code) || dpl > v->cpl)
		return emu_fault(v, EXC_GP, error);
	if (!call && !(emu_desc_attr(&code) & SEG_E) && dpl != v->cpl)
		return emu_fault(v, EXC_GP, error);
	if (lm && (emu_desc_attr(&code) & (SEG_L | SEG_DB)) != SEG_L)
		return emu_fault(v, EXC_GP, error);
	if (!emu_desc_present(&code))
		return emu_fault(v, EXC_NP, error);
	if (call && !(emu_desc_attr(&code) & SEG_E) && dpl < v->cpl)
		return gate_inner(v, in, gate, &code, rip);
	emu_desc_to_seg(&code, sel, &cs);
	TRY(emu_check_rip(v, &cs, rip, 0));
	TRY(emu_desc_accessed(v, &code));
	emu_desc_to_seg(&code, sel, &cs);
	emu_stack_now(v, &st);
	if (lm)
		emu_stack_new(&st, &v->seg[SEG_SS], v->gpr[REG_RSP], 3, true, 0);
	return transfer(v, in, call ? &st : NULL, lm ? 8 : gate32 ? 4 : 2, &cs, rip);
}

static enum emu far_system(struct vcpu *v, const struct insn *in, struct emu_desc *d, bool call)
{
	enum emu_task how = call ? EMU_TASK_CALL : EMU_TASK_JMP;
	u32 error = emu_sel_error(d->sel);
	u8 type = emu_desc_type(d), dpl = emu_desc_dpl(d);
	bool lm = vcpu_long_mode(v);
	u64 next = emu_next_rip(v, in);

	if (type != 12 && (lm || (type != 1 && type != 9 && type != 4 && type != 5)))
		return emu_fault(v, EXC_GP, error);
	if (dpl < v->cpl || dpl < (d->sel & 3))
		return emu_fault(v, EXC_GP, error);
	if (!emu_desc_present(d))
		return emu_fault(v, EXC_NP, error);
	if (type == 5)
		return emu_task_gate(v, how, emu_gate_sel(d), next, false, 0, 0);
	if (type == 1 || type == 9) {
		if (d->sel & 4)
			return emu_fault(v, EXC_GP, error);
		return emu_task_switch(v, how, d, next, false, 0, 0);
	}
	return far_gate(v, in, d, call);
}

static enum emu far_transfer(struct vcpu *v, const struct insn *in, bool call)
{
	struct emu_desc d;
	u64 offset;
	u16 sel;

	TRY(far_operand(v, in, &sel, &offset));
	if (vcpu_real_or_v86(v))
		return far_real(v, in, sel, offset, call);
	if (emu_null_sel(sel))
		return emu_gp0(v);
	TRY(emu_desc_get(v, sel, &d, EXC_GP, 0));
	if (emu_desc_is_code(&d))
		return far_code(v, in, &d, offset, call);
	if (emu_desc_attr(&d) & SEG_S)
		return emu_fault(v, EXC_GP, emu_sel_error(sel));
	return far_system(v, in, &d, call);
}

EMU_HANDLER(emu_jmp_far)
{
	return far_transfer(v, in, false);
}

EMU_HANDLER(emu_call_far)
{
	return far_transfer(v, in, true);
}
