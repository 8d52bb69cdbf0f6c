/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hardware task switches, between 16- and 32-bit task state segments, by JMP,
 * CALL, IRET, task gates and events.
 *
 * The old task's state is saved, then the new one's registers are taken; from
 * there on faults are those of the new task (its segments are checked after
 * the switch, as the manual orders). Intel SDM vol. 3, 7.2 to 7.4.
 */
#include "emulate.h"

#define SUPER_READ (MMU_READ | MMU_SUPER)
#define SUPER_WRITE (MMU_WRITE | MMU_SUPER)

/* TSS formats. */
struct __attribute__((packed)) tss16 {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2;
	u16 ip, flags, gpr[8], es, cs, ss, ds, ldt;
};

struct __attribute__((packed)) tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3;
	u32 eip, eflags, gpr[8], es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};

#define TSS16_STATE 14	/* offset of what a switch saves: ip .. ds */
#define TSS32_STATE 32	/* eip .. gs */

/* A task's state in the wider form. */
struct task {
	bool wide;
	u32 eip, eflags, gpr[8], cr3;
	u16 sel[6], ldt;
	bool trap;
};

/* TSS order of the segment selectors. */
static const u8 seg_order[6] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

static enum emu save_old(struct vcpu *v, u64 base, bool wide, u32 eip, u32 eflags)
{
	u32 i;

	if (wide) {
		u32 raw[16];

		raw[0] = eip;
		raw[1] = eflags;
		for (i = 0; i < 8; i++)
			raw[2 + i] = (u32)v->gpr[i];
		for (i = 0; i < 6; i++)
			raw[10 + i] = v->seg[seg_order[i]].selector;
		return mem_write(v, (u32)(base + TSS32_STATE), raw, sizeof(raw), SUPER_WRITE);
	} else {
		u16 raw[14];

		raw[0] = (u16)eip;
		raw[1] = (u16)eflags;
		for (i = 0; i < 8; i++)
			raw[2 + i] = (u16)v->gpr[i];
		for (i = 0; i < 4; i++)
			raw[10 + i] = v->seg[seg_order[i]].selector;
		return mem_write(v, (u32)(base + TSS16_STATE), raw, sizeof(raw), SUPER_WRITE);
	}
}

static enum emu read_new(struct vcpu *v, const struct seg *tss, struct task *t)
{
	u32 i;

	t->wide = tss->attr & 8;
	if (t->wide) {
		struct tss32 raw;

		TRY(mem_read(v, (u32)tss->base, &raw, sizeof(raw), SUPER_READ));
		t->cr3 = raw.cr3;
		t->eip = raw.eip;
		t->eflags = raw.eflags;
		for (i = 0; i < 8; i++)
			t->gpr[i] = raw.gpr[i];
		t->sel[0] = (u16)raw.es;
		t->sel[1] = (u16)raw.cs;
		t->sel[2] = (u16)raw.ss;
		t->sel[3] = (u16)raw.ds;
		t->sel[4] = (u16)raw.fs;
		t->sel[5] = (u16)raw.gs;
		t->ldt = (u16)raw.ldt;
		t->trap = raw.trap & 1;
	} else {
		struct tss16 raw;

		TRY(mem_read(v, (u32)tss->base, &raw, sizeof(raw), SUPER_READ));
		t->cr3 = 0;
		t->eip = raw.ip;
		t->eflags = raw.flags;
		for (i = 0; i < 8; i++)
			t->gpr[i] = raw.gpr[i] | 0xffff0000u;
		t->sel[0] = raw.es;
		t->sel[1] = raw.cs;
		t->sel[2] = raw.ss;
		t->sel[3] = raw.ds;
		t->sel[4] = t->sel[5] = 0;
		t->ldt = raw.ldt;
		t->trap = false;
	}
	return EMU_NEXT;
}

/* The new task's LDT. */
static enum emu load_ldt(struct vcpu *v, u16 sel, u32 ext)
{
	u32 error = emu_sel_error(sel) | ext;
	struct emu_desc d;
	struct seg s;

	emu_null_seg(sel, 0, &v->seg[SEG_LDTR]);
	if (emu_null_sel(sel))
		return EMU_NEXT;
	if (sel & 4)
		return emu_fault(v, EXC_TS, error);
	TRY(emu_desc_get(v, sel, &d, EXC_TS, ext));
	if ((emu_desc_attr(&d) & SEG_S) || emu_desc_type(&d) != 2 || !emu_desc_present(&d))
		return emu_fault(v, EXC_TS, error);
	emu_desc_to_seg(&d, sel, &s);
	v->seg[SEG_LDTR] = s;
	return EMU_NEXT;
}

/* The new task's CS at privilege cpl. */
static enum emu load_code(struct vcpu *v, u16 sel, u8 cpl, u32 ext)
{
	u32 attr, error = emu_sel_error(sel) | ext;
	struct emu_desc d;
	struct seg s;

	if (emu_null_sel(sel))
		return emu_fault(v, EXC_TS, error);
	TRY(emu_desc_get(v, sel, &d, EXC_TS, ext));
	attr = emu_desc_attr(&d);
	if (!emu_desc_is_code(&d) ||
	    (attr & SEG_E ? emu_desc_dpl(&d) > cpl : emu_desc_dpl(&d) != cpl))
		return emu_fault(v, EXC_TS, error);
	if (!(attr & SEG_P))
		return emu_fault(v, EXC_NP, error);
	TRY(emu_desc_accessed(v, &d));
	emu_desc_to_seg(&d, sel, &s);
	emu_set_cs(v, &s, cpl);
	return EMU_NEXT;
}

/* All descriptors of the new task; selectors are in place already. */
static enum emu load_segments(struct vcpu *v, const struct task *t, u32 ext)
{
	u8 cpl = t->sel[1] & 3;
	struct seg s;
	u32 i;

	TRY(load_ldt(v, t->ldt, ext));
	if (vcpu_v86(v))
		return EMU_NEXT;
	TRY(load_code(v, t->sel[1], cpl, ext));
	TRY(emu_check_ss(v, t->sel[2], cpl, EXC_TS, ext, &s));
	emu_set_seg(v, SEG_SS, &s);
	for (i = 0; i < 6; i++) {
		if (seg_order[i] == SEG_CS || seg_order[i] == SEG_SS)
			continue;
		TRY(emu_check_data(v, t->sel[i], cpl, EXC_TS, ext, &s));
		emu_set_seg(v, seg_order[i], &s);
	}
	return EMU_NEXT;
}

/* Registers, flags and selectors of the new task, whose descriptors come later. */
static void load_registers(struct vcpu *v, const struct task *t, u32 eflags)
{
	struct seg s;
	u32 i;

	v->rip = t->eip;
	for (i = 0; i < 8; i++)
		v->gpr[i] = t->gpr[i];
	emu_set_flags(v, eflags, X86_FL_ALL);
	for (i = 0; i < 6; i++) {
		if (vcpu_v86(v))
			emu_real_seg(v, seg_order[i], t->sel[i], &s);
		else
			emu_null_seg(t->sel[i], 0, &s);
		emu_set_seg(v, seg_order[i], &s);
	}
	v->cpl = vcpu_v86(v) ? 3 : t->sel[1] & 3;
	v->mode_stale = true;
}

/* The error code of an event goes on the new task's stack. */
static enum emu push_error(struct vcpu *v, const struct task *t, u32 error, u32 ext)
{
	struct emu_stack st;
	u64 val = error;

	emu_stack_now(v, &st);
	st.error = ext;
	TRY(emu_stack_push(v, &st, &val, 1, t->wide ? 4 : 2));
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}

/* The TSS descriptor fits what the switch needs: present, large enough. */
static enum emu check_tss(struct vcpu *v, enum emu_task how, const struct emu_desc *d, u32 ext,
			  struct seg *tss)
{
	u32 error = emu_sel_error(d->sel) | ext;
	bool busy = emu_desc_type(d) & 2;

	emu_desc_to_seg(d, d->sel, tss);
	if (how == EMU_TASK_IRET ? !busy : busy)
		return emu_fault(v, how == EMU_TASK_IRET ? EXC_TS : EXC_GP, error);
	if (!emu_desc_present(d))
		return emu_fault(v, EXC_NP, error);
	if (tss->limit < (tss->attr & 8 ? 0x67u : 0x2bu))
		return emu_fault(v, EXC_TS, error);
	return EMU_NEXT;
}

/* Leaves the old task in memory: its state, link and busy bits. */
static enum emu leave_task(struct vcpu *v, enum emu_task how, struct emu_desc *next,
			   const struct seg *tss, u64 eip)
{
	const struct seg *old = &v->seg[SEG_TR];
	u32 eflags = (u32)vcpu_rflags(v), wide = old->attr & 8;
	u16 link = old->selector;
	struct emu_desc d;

	TRY(emu_desc_get(v, old->selector, &d, EXC_TS, 0));
	if (how == EMU_TASK_IRET)
		eflags &= ~X86_FL_NT;
	TRY(mem_probe_write(v, (u32)tss->base, 2, SUPER_WRITE));
	TRY(save_old(v, old->base, wide, (u32)eip, eflags));
	if (how == EMU_TASK_JMP || how == EMU_TASK_IRET)
		TRY(emu_desc_busy(v, &d, false));
	if (how == EMU_TASK_CALL || how == EMU_TASK_EVENT)
		TRY(mem_write(v, (u32)tss->base, &link, 2, SUPER_WRITE));
	if (how != EMU_TASK_IRET)
		TRY(emu_desc_busy(v, next, true));
	return EMU_NEXT;
}

enum emu emu_task_switch(struct vcpu *v, enum emu_task how, struct emu_desc *d, u64 next,
			 bool has_error, u32 error, u32 ext)
{
	struct task t;
	struct seg tss;
	u32 eflags;
	int bad;

	TRY(check_tss(v, how, d, ext, &tss));
	TRY(read_new(v, &tss, &t));
	TRY(leave_task(v, how, d, &tss, next));
	eflags = t.eflags;
	if (how == EMU_TASK_CALL || how == EMU_TASK_EVENT)
		eflags |= X86_FL_NT;
	tss.attr |= 2;
	v->seg[SEG_TR] = tss;
	v->cr0 |= X86_CR0_TS;
	v->dr7 &= ~0x155ull;	/* local breakpoints */
	if (t.wide && (v->cr0 & X86_CR0_PG)) {
		bad = vcpu_set_cr3(v, t.cr3);
		if (bad)
			return emu_fault(v, EXC_TS, emu_sel_error(tss.selector) | ext);
	}
	load_registers(v, &t, eflags);
	v->irq_shadow = 0;
	TRY(load_segments(v, &t, ext));
	TRY(emu_check_rip(v, &v->seg[SEG_CS], v->rip, ext));
	if (has_error)
		TRY(push_error(v, &t, error, ext));
	if (t.trap) {
		vcpu_raise_db(v, BIT(15));
		return EMU_FAULT;
	}
	return EMU_JUMP;
}

enum emu emu_task_gate(struct vcpu *v, enum emu_task how, u16 sel, u64 next, bool has_error,
		       u32 error, u32 ext)
{
	u32 code = emu_sel_error(sel) | ext;
	struct emu_desc d;

	if (emu_null_sel(sel) || (sel & 4))
		return emu_fault(v, EXC_GP, code);
	TRY(emu_desc_get(v, sel, &d, EXC_GP, ext));
	if ((emu_desc_attr(&d) & SEG_S) || (emu_desc_type(&d) & ~10u) != 1)
		return emu_fault(v, EXC_GP, code);
	return emu_task_switch(v, how, &d, next, has_error, error, ext);
}

enum emu emu_task_return(struct vcpu *v, u64 next)
{
	struct emu_desc d;
	u16 sel;

	TRY(emu_tss_read(v, 0, &sel, 2, 0));
	if (emu_null_sel(sel) || (sel & 4))
		return emu_fault(v, EXC_TS, emu_sel_error(sel));
	TRY(emu_desc_get(v, sel, &d, EXC_TS, 0));
	if ((emu_desc_attr(&d) & SEG_S) || (emu_desc_type(&d) & ~10u) != 1)
		return emu_fault(v, EXC_TS, emu_sel_error(sel));
	return emu_task_switch(v, EMU_TASK_IRET, &d, next, false, 0, 0);
}
