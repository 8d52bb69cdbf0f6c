/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery of interrupts and exceptions: the real-mode vector table, 16- and
 * 32-bit interrupt and trap gates with a change of stack, task gates, 64-bit
 * gates with the interrupt stack table, and the way out of virtual-8086 mode.
 *
 * Intel SDM vol. 3, 6.10 to 6.14 (IDT, gates, 64-bit delivery), 6.13 (error
 * codes), 20.1.4 (real mode), 20.3 (virtual-8086 mode). RF, which faults set in
 * the saved flags, is the caller's to set.
 */
#include "emulate.h"

/* A delivery under way. */
struct delivery {
	const struct emu_event *ev;
	u32 ext;		/* ORed to error codes */
	struct emu_desc gate;
	struct emu_desc code;
	u64 rip;		/* of the handler */
	u64 flags;		/* as they are saved */
};

static enum emu deliver_real(struct vcpu *v, const struct emu_event *ev)
{
	u64 frame[3] = { vcpu_rflags(v), v->seg[SEG_CS].selector, ev->rip };
	struct emu_stack st;
	u16 entry[2];
	struct seg cs;

	if (ev->vector * 4u + 3 > v->idt.limit)
		return emu_fault(v, EXC_GP, ev->vector * 8u + 2);
	TRY(mem_read(v, (u32)(v->idt.base + ev->vector * 4u), entry, 4, MMU_READ | MMU_SUPER));
	emu_real_seg(v, SEG_CS, entry[1], &cs);
	TRY(emu_check_rip(v, &cs, entry[0], 0));
	emu_stack_now(v, &st);
	TRY(emu_stack_push(v, &st, frame, 3, 2));
	emu_stack_commit(v, &st);
	emu_set_cs(v, &cs, 0);
	emu_set_flags(v, 0, X86_FL_IF | X86_FL_TF | X86_FL_AC | X86_FL_RF);
	return emu_jump(v, entry[0]);
}

/* The IDT entry and its own checks. */
static enum emu read_gate(struct vcpu *v, struct delivery *d)
{
	bool lm = vcpu_long_mode(v);
	u32 size = lm ? 16 : 8, error = d->ev->vector * 8u + 2;
	u32 raw[4] = { 0 };
	u64 addr = v->idt.base + d->ev->vector * size;

	if (d->ev->vector * size + size - 1 > v->idt.limit)
		return emu_fault(v, EXC_GP, error | d->ext);
	TRY(mem_read(v, lm ? addr : (u32)addr, raw, size, MMU_READ | MMU_SUPER));
	d->gate.addr = addr;
	d->gate.lo = raw[0];
	d->gate.hi = raw[1];
	d->gate.top = raw[2];
	d->gate.sel = 0;
	if (emu_desc_attr(&d->gate) & SEG_S)
		return emu_fault(v, EXC_GP, error | d->ext);
	switch (emu_desc_type(&d->gate)) {
	case 14:
	case 15:
		break;
	case 5:
	case 6:
	case 7:
		if (!lm)
			break;
		/* fall through */
	default:
		return emu_fault(v, EXC_GP, error | d->ext);
	}
	if (d->ev->soft && emu_desc_dpl(&d->gate) < v->cpl)
		return emu_fault(v, EXC_GP, error);
	if (!emu_desc_present(&d->gate))
		return emu_fault(v, EXC_NP, error | d->ext);
	d->rip = emu_gate_offset(&d->gate);
	if (!(emu_desc_type(&d->gate) & 8))
		d->rip &= 0xffff;
	return EMU_NEXT;
}

/* The handler's code segment; *inner: at a more privileged level. */
static enum emu check_handler(struct vcpu *v, struct delivery *d, bool *inner)
{
	u16 sel = emu_gate_sel(&d->gate);
	u32 attr, error = emu_sel_error(sel) | d->ext;
	u8 dpl;

	if (emu_null_sel(sel))
		return emu_fault(v, EXC_GP, d->ext);
	TRY(emu_desc_get(v, sel, &d->code, EXC_GP, d->ext));
	attr = emu_desc_attr(&d->code);
	dpl = emu_desc_dpl(&d->code);
	if (!emu_desc_is_code(&d->code) || dpl > v->cpl)
		return emu_fault(v, EXC_GP, error);
	if (vcpu_long_mode(v) && (attr & (SEG_L | SEG_DB)) != SEG_L)
		return emu_fault(v, EXC_GP, error);
	if (!(attr & SEG_P))
		return emu_fault(v, EXC_NP, error);
	*inner = !(attr & SEG_E) && dpl < v->cpl;
	if (vcpu_v86(v) && (!*inner || dpl))
		return emu_fault(v, EXC_GP, error);
	return EMU_NEXT;
}

/* CS:RIP of the handler: accessed bit and limit. */
static enum emu prepare_code(struct vcpu *v, struct delivery *d, struct seg *cs)
{
	emu_desc_to_seg(&d->code, d->code.sel, cs);
	TRY(emu_check_rip(v, cs, d->rip, d->ext));
	TRY(emu_desc_accessed(v, &d->code));
	emu_desc_to_seg(&d->code, d->code.sel, cs);
	return EMU_NEXT;
}

/* The end of every delivery through a gate. */
static enum emu enter_handler(struct vcpu *v, const struct delivery *d, const struct seg *cs,
			      u8 cpl)
{
	u64 clear = X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_VM;

	if (!(emu_desc_type(&d->gate) & 1))
		clear |= X86_FL_IF;
	emu_set_flags(v, 0, clear);
	emu_set_cs(v, cs, cpl);
	v->irq_shadow = 0;
	return emu_jump(v, d->rip);
}

static enum emu deliver_legacy(struct vcpu *v, struct delivery *d)
{
	static const u8 data[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };
	u32 i, n = 0, size = emu_desc_type(&d->gate) & 8 ? 4 : 2;
	bool inner, v86 = vcpu_v86(v);
	u8 cpl = v->cpl;
	struct emu_stack st;
	struct seg cs, ss;
	u64 frame[10], sp;

	TRY(check_handler(v, d, &inner));
	if (inner) {
		cpl = emu_desc_dpl(&d->code);
		TRY(emu_tss_stack(v, cpl, d->ext, &ss, &sp));
		emu_stack_new(&st, &ss, sp, cpl, false, emu_sel_error(ss.selector) | d->ext);
		for (i = 0; v86 && i < 4; i++)
			frame[n++] = v->seg[data[i]].selector;
		frame[n++] = v->seg[SEG_SS].selector;
		frame[n++] = v->gpr[REG_RSP];
	} else {
		emu_stack_now(v, &st);
		st.error = d->ext;
	}
	frame[n++] = d->flags;
	frame[n++] = v->seg[SEG_CS].selector;
	frame[n++] = d->ev->rip;
	if (d->ev->has_error)
		frame[n++] = d->ev->error;
	TRY(prepare_code(v, d, &cs));
	/* The stack's limit is checked as that of the new stack, not of virtual-8086 mode. */
	TRY(emu_stack_push(v, &st, frame, n, size));
	if (v86) {
		struct seg null;

		emu_set_flags(v, 0, X86_FL_VM);
		emu_null_seg(0, 0, &null);
		for (i = 0; i < 4; i++)
			emu_set_seg(v, data[i], &null);
	}
	if (inner)
		emu_set_seg(v, SEG_SS, &ss);
	emu_stack_commit(v, &st);
	return enter_handler(v, d, &cs, cpl);
}

static enum emu deliver_long(struct vcpu *v, struct delivery *d)
{
	u32 ist = d->gate.hi & 7, n = 5;
	struct emu_stack st;
	struct seg cs, ss;
	u64 frame[6], sp;
	u8 cpl = v->cpl;
	bool inner;

	TRY(check_handler(v, d, &inner));
	if (inner)
		cpl = emu_desc_dpl(&d->code);
	if (ist)
		TRY(emu_tss_rsp(v, 3 + ist, d->ext, &sp));
	else if (inner)
		TRY(emu_tss_rsp(v, cpl, d->ext, &sp));
	else
		sp = v->gpr[REG_RSP];
	ss = v->seg[SEG_SS];
	if (inner)
		emu_null_seg(cpl, cpl, &ss);
	emu_stack_new(&st, &ss, sp & ~15ull, cpl, true, d->ext);
	frame[0] = v->seg[SEG_SS].selector;
	frame[1] = v->gpr[REG_RSP];
	frame[2] = d->flags;
	frame[3] = v->seg[SEG_CS].selector;
	frame[4] = d->ev->rip;
	if (d->ev->has_error)
		frame[n++] = d->ev->error;
	TRY(prepare_code(v, d, &cs));
	TRY(emu_stack_push(v, &st, frame, n, 8));
	if (inner)
		emu_set_seg(v, SEG_SS, &ss);
	emu_stack_commit(v, &st);
	return enter_handler(v, d, &cs, cpl);
}

enum emu emu_deliver_event(struct vcpu *v, const struct emu_event *ev)
{
	struct delivery d = { .ev = ev, .ext = ev->soft ? 0 : 1, .flags = vcpu_rflags(v) };

	if (!vcpu_protected(v))
		return deliver_real(v, ev);
	TRY(read_gate(v, &d));
	if (emu_desc_type(&d.gate) == 5)
		return emu_task_gate(v, EMU_TASK_EVENT, emu_gate_sel(&d.gate), ev->rip,
				     ev->has_error, ev->error, d.ext);
	return vcpu_long_mode(v) ? deliver_long(v, &d) : deliver_legacy(v, &d);
}

enum emu emu_deliver(struct vcpu *v, u8 vector, bool soft_int, bool has_error, u32 error)
{
	struct emu_event ev = {
		.vector = vector,
		.soft = soft_int,
		.has_error = has_error,
		.error = error,
		.rip = v->rip,
	};

	return emu_deliver_event(v, &ev);
}
