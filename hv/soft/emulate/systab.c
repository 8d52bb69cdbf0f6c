/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions on descriptor tables and descriptors: LGDT, LIDT, LLDT, LTR and
 * their stores, LAR, LSL, VERR, VERW and ARPL.
 *
 * Intel SDM vol. 2 (each instruction); vol. 3, 2.4 (system table registers),
 * 5.10 (pointer validation), 2.5 (CR4.UMIP: the stores fault outside ring 0).
 */
#include "emulate.h"

static inline bool umip_blocks(const struct vcpu *v)
{
	return (v->cr4 & X86_CR4_UMIP) && v->cpl > 0;
}

/* Reads the 6- or 10-byte operand of LGDT and LIDT into t. */
static enum emu load_table(struct vcpu *v, const struct insn *in, struct dtable *t)
{
	bool wide = vcpu_64bit(v);
	u64 base = 0;
	u8 raw[10];

	if (v->cpl)
		return emu_gp0(v);
	TRY(emu_load(v, in->seg, insn_ea(v, in), raw, wide ? 10 : 6, 1));
	host_memcpy(&base, raw + 2, wide ? 8 : 4);
	if (wide && !emu_canonical(base))
		return emu_gp0(v);
	if (!wide && in->opsize == 2)
		base &= 0xffffff;
	host_memcpy(&t->limit, raw, 2);
	t->base = base;
	return EMU_NEXT;
}

EMU_HANDLER(emu_lgdt)
{
	return load_table(v, in, &v->gdt);
}

EMU_HANDLER(emu_lidt)
{
	return load_table(v, in, &v->idt);
}

static enum emu store_table(struct vcpu *v, const struct insn *in, const struct dtable *t)
{
	u8 raw[10];

	if (umip_blocks(v))
		return emu_gp0(v);
	host_memcpy(raw, &t->limit, 2);
	host_memcpy(raw + 2, &t->base, 8);
	return emu_store(v, in->seg, insn_ea(v, in), raw, vcpu_64bit(v) ? 10 : 6, 4);
}

EMU_HANDLER(emu_sgdt)
{
	return store_table(v, in, &v->gdt);
}

EMU_HANDLER(emu_sidt)
{
	return store_table(v, in, &v->idt);
}

static enum emu store_selector(struct vcpu *v, const struct insn *in, u8 seg)
{
	if (vcpu_real_or_v86(v))
		return emu_raise_ud(v);
	if (umip_blocks(v))
		return emu_gp0(v);
	return emu_write_rm(v, in, in->flags & INSN_MEM ? 2 : in->opsize, v->seg[seg].selector);
}

EMU_HANDLER(emu_sldt)
{
	return store_selector(v, in, SEG_LDTR);
}

EMU_HANDLER(emu_str)
{
	return store_selector(v, in, SEG_TR);
}

/* Checks that LLDT and LTR share; the selector and, unless null, its descriptor. */
static enum emu system_operand(struct vcpu *v, const struct insn *in, u16 *sel, struct emu_desc *d)
{
	u64 val;

	if (vcpu_real_or_v86(v))
		return emu_raise_ud(v);
	if (v->cpl)
		return emu_gp0(v);
	TRY(emu_read_rm(v, in, 2, &val));
	*sel = (u16)val;
	if (emu_null_sel(*sel))
		return EMU_NEXT;
	if (*sel & 4)
		return emu_fault(v, EXC_GP, emu_sel_error(*sel));
	return emu_desc_get(v, *sel, d, EXC_GP, 0);
}

/* A present system descriptor whose 64-bit base can be used. */
static enum emu system_usable(struct vcpu *v, const struct emu_desc *d, struct seg *s)
{
	if (!emu_desc_present(d))
		return emu_fault(v, EXC_NP, emu_sel_error(d->sel));
	emu_desc_to_seg(d, d->sel, s);
	if (vcpu_long_mode(v) && (!emu_canonical(s->base) || (d->top >> 40 & 0x1f)))
		return emu_fault(v, EXC_GP, emu_sel_error(d->sel));
	return EMU_NEXT;
}

EMU_HANDLER(emu_lldt)
{
	struct emu_desc d;
	struct seg s;
	u16 sel;

	TRY(system_operand(v, in, &sel, &d));
	if (emu_null_sel(sel)) {
		emu_null_seg(sel, 0, &s);
	} else {
		if ((emu_desc_attr(&d) & SEG_S) || emu_desc_type(&d) != 2)
			return emu_fault(v, EXC_GP, emu_sel_error(sel));
		TRY(system_usable(v, &d, &s));
	}
	v->seg[SEG_LDTR] = s;
	return EMU_NEXT;
}

EMU_HANDLER(emu_ltr)
{
	struct emu_desc d;
	struct seg s;
	u16 sel;
	u8 type;

	TRY(system_operand(v, in, &sel, &d));
	if (emu_null_sel(sel))
		return emu_gp0(v);
	type = emu_desc_type(&d);
	if ((emu_desc_attr(&d) & SEG_S) || (type != 9 && (type != 1 || vcpu_long_mode(v))))
		return emu_fault(v, EXC_GP, emu_sel_error(sel));
	TRY(system_usable(v, &d, &s));
	TRY(emu_desc_busy(v, &d, true));
	s.attr |= 2;
	v->seg[SEG_TR] = s;
	return EMU_NEXT;
}

static inline void set_zf(struct vcpu *v, bool zf)
{
	v->arith = (u16)((v->arith & ~(X86_FL_ZF << 8)) | (zf ? X86_FL_ZF << 8 : 0));
}

/* System types that LAR and LSL know, a bit each. */
#define LAR_TYPES 0x1a3e	/* TSS, LDT, call gates, task gate */
#define LAR_TYPES_LONG 0x1a04
#define LSL_TYPES 0x0a0e	/* TSS and LDT */
#define LSL_TYPES_LONG 0x0a04

/*
 * The descriptor that a verifying instruction names, when the present
 * privilege may see it. types: the system types that count.
 */
static enum emu visible_desc(struct vcpu *v, const struct insn *in, u32 types, struct emu_desc *d,
			     bool *ok)
{
	u32 attr;
	u64 sel;

	*ok = false;
	if (vcpu_real_or_v86(v))
		return emu_raise_ud(v);
	TRY(emu_read_rm(v, in, 2, &sel));
	if (emu_null_sel((u16)sel))
		return EMU_NEXT;
	TRY(emu_desc_find(v, (u16)sel, d, ok));
	if (!*ok)
		return EMU_NEXT;
	attr = emu_desc_attr(d);
	if (!(attr & SEG_S) && !(types >> emu_desc_type(d) & 1))
		*ok = false;
	if ((attr & (SEG_S | SEG_CODE | SEG_E)) != (SEG_S | SEG_CODE | SEG_E) &&
	    (v->cpl > emu_desc_dpl(d) || (sel & 3) > emu_desc_dpl(d)))
		*ok = false;
	return EMU_NEXT;
}

EMU_HANDLER(emu_lar)
{
	struct emu_desc d;
	bool ok;

	TRY(visible_desc(v, in, vcpu_long_mode(v) ? LAR_TYPES_LONG : LAR_TYPES, &d, &ok));
	if (ok)
		reg_write(v, in->reg, d.hi & 0x00ffff00, in->opsize);
	set_zf(v, ok);
	return EMU_NEXT;
}

EMU_HANDLER(emu_lsl)
{
	struct emu_desc d;
	struct seg s;
	bool ok;

	TRY(visible_desc(v, in, vcpu_long_mode(v) ? LSL_TYPES_LONG : LSL_TYPES, &d, &ok));
	if (ok) {
		emu_desc_to_seg(&d, 0, &s);
		reg_write(v, in->reg, s.limit, in->opsize);
	}
	set_zf(v, ok);
	return EMU_NEXT;
}

EMU_HANDLER(emu_verr)
{
	struct emu_desc d;
	bool ok;

	TRY(visible_desc(v, in, 0, &d, &ok));
	set_zf(v, ok && (emu_desc_attr(&d) & (SEG_CODE | SEG_W)) != SEG_CODE);
	return EMU_NEXT;
}

EMU_HANDLER(emu_verw)
{
	struct emu_desc d;
	bool ok;

	TRY(visible_desc(v, in, 0, &d, &ok));
	set_zf(v, ok && (emu_desc_attr(&d) & (SEG_CODE | SEG_W)) == SEG_W);
	return EMU_NEXT;
}

EMU_HANDLER(emu_arpl)
{
	u16 rpl = (u16)reg_read(v, in->reg, 2) & 3;
	bool raise;
	u64 val;

	if (vcpu_real_or_v86(v))
		return emu_raise_ud(v);
	/* As the host: memory is written only when it changes. */
	TRY(emu_read_rm(v, in, 2, &val));
	raise = (val & 3) < rpl;
	if (raise)
		TRY(emu_write_rm(v, in, 2, (val & ~3ull) | rpl));
	set_zf(v, raise);
	return EMU_NEXT;
}
