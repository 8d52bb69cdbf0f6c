/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segment descriptors: reading them from the GDT and LDT, their accessed and
 * busy bits, the checks that loading one makes, and the stacks in the TSS.
 *
 * Intel SDM vol. 3, 3.4.5 (descriptors), 3.5 (system descriptors), 5.5 to 5.8
 * (checks), 7.2 (TSS formats), 7.7 (64-bit TSS). Descriptor tables are read as
 * implicit supervisor accesses, whatever the CPL (4.6.1).
 */
#include "emulate.h"

#define SUPER_READ (MMU_READ | MMU_SUPER)
#define SUPER_RMW (MMU_READ | MMU_WRITE | MMU_SUPER)

static inline u64 table_address(const struct vcpu *v, u64 addr)
{
	return vcpu_long_mode(v) ? addr : (u32)addr;
}

/* The table that sel points into; false: no LDT. */
static bool desc_table(const struct vcpu *v, u16 sel, u64 *base, u32 *limit)
{
	const struct seg *ldt = &v->seg[SEG_LDTR];

	if (!(sel & 4)) {
		*base = v->gdt.base;
		*limit = v->gdt.limit;
		return true;
	}
	*base = ldt->base;
	*limit = ldt->limit;
	return ldt->attr & SEG_P;
}

enum emu emu_desc_find(struct vcpu *v, u16 sel, struct emu_desc *d, bool *found)
{
	u32 limit, raw[2];
	u64 base;

	d->sel = sel;
	d->top = 0;
	*found = false;
	if (!desc_table(v, sel, &base, &limit) || (sel | 7u) > limit)
		return EMU_NEXT;
	d->addr = table_address(v, base + (sel & 0xfff8));
	TRY(mem_read(v, d->addr, raw, 8, SUPER_READ));
	d->lo = raw[0];
	d->hi = raw[1];
	if (vcpu_long_mode(v) && !(emu_desc_attr(d) & SEG_S)) {
		if ((sel | 7u) + 8 > limit)
			return EMU_NEXT;
		TRY(mem_read(v, d->addr + 8, &d->top, 8, SUPER_READ));
	}
	*found = true;
	return EMU_NEXT;
}

enum emu emu_desc_get(struct vcpu *v, u16 sel, struct emu_desc *d, u8 vector, u32 ext)
{
	bool found;

	TRY(emu_desc_find(v, sel, d, &found));
	return found ? EMU_NEXT : emu_fault(v, vector, emu_sel_error(sel) | ext);
}

/* Changes bits of the descriptor's type byte as a locked access. */
static enum emu desc_type_bits(struct vcpu *v, struct emu_desc *d, u8 set, u8 clear)
{
	u8 *p = mem_ptr(v, d->addr + 5, 1, SUPER_RMW);
	u8 type;

	if (likely(p)) {
		if (unlikely(host_guest_bits8(p, set, clear)))
			return EMU_GONE;
	} else {
		type = (u8)((d->hi >> 8 | set) & ~clear);
		TRY(mem_write(v, d->addr + 5, &type, 1, MMU_WRITE | MMU_SUPER));
	}
	d->hi = (d->hi | (u32)set << 8) & ~((u32)clear << 8);
	return EMU_NEXT;
}

enum emu emu_desc_accessed(struct vcpu *v, struct emu_desc *d)
{
	return emu_desc_attr(d) & SEG_A ? EMU_NEXT : desc_type_bits(v, d, SEG_A, 0);
}

enum emu emu_desc_busy(struct vcpu *v, struct emu_desc *d, bool busy)
{
	return busy ? desc_type_bits(v, d, 2, 0) : desc_type_bits(v, d, 0, 2);
}

void emu_desc_to_seg(const struct emu_desc *d, u16 sel, struct seg *s)
{
	u32 limit = (d->hi & 0xf0000) | (d->lo & 0xffff);

	s->attr = emu_desc_attr(d);
	s->limit = s->attr & SEG_GRAN ? limit << 12 | 0xfff : limit;
	s->base = (d->top << 32) | (d->hi & 0xff000000u) | (d->hi & 0xff) << 16 | d->lo >> 16;
	s->selector = sel;
	s->rsvd[0] = s->rsvd[1] = s->rsvd[2] = 0;
}

void emu_null_seg(u16 sel, u8 dpl, struct seg *s)
{
	s->base = 0;
	s->limit = 0;
	s->attr = (u32)dpl << SEG_DPL_SHIFT;
	s->selector = sel;
	s->rsvd[0] = s->rsvd[1] = s->rsvd[2] = 0;
}

void emu_real_seg(const struct vcpu *v, u8 seg, u16 sel, struct seg *s)
{
	*s = v->seg[seg];
	s->selector = sel;
	s->base = (u32)sel << 4;
	if (vcpu_v86(v)) {
		s->limit = 0xffff;
		s->attr = SEG_P | 3 << SEG_DPL_SHIFT | SEG_S | SEG_W | SEG_A;
	} else if (!(s->attr & SEG_P)) {
		/* A null selector was loaded in protected mode: usable again. */
		s->limit = 0xffff;
		s->attr = SEG_P | SEG_S | SEG_W | SEG_A;
	}
}

void emu_set_seg(struct vcpu *v, u8 seg, const struct seg *s)
{
	struct seg *old = &v->seg[seg];

	if (seg == SEG_CS || seg == SEG_SS || !vcpu_64bit(v))
		if (old->base != s->base || old->limit != s->limit || old->attr != s->attr)
			v->mode_stale = true;
	*old = *s;
}

void emu_set_cs(struct vcpu *v, const struct seg *s, u8 cpl)
{
	emu_set_seg(v, SEG_CS, s);
	if (vcpu_protected(v) && !vcpu_v86(v))
		v->seg[SEG_CS].selector = (s->selector & ~3) | cpl;
	if (v->cpl != cpl)
		v->mode_stale = true;
	v->cpl = cpl;
}

enum emu emu_check_data(struct vcpu *v, u16 sel, u8 cpl, u8 vector, u32 ext, struct seg *s)
{
	u32 attr, error = emu_sel_error(sel) | ext;
	struct emu_desc d;

	if (emu_null_sel(sel)) {
		emu_null_seg(sel, 0, s);
		return EMU_NEXT;
	}
	TRY(emu_desc_get(v, sel, &d, vector, ext));
	attr = emu_desc_attr(&d);
	if (!(attr & SEG_S) || (attr & (SEG_CODE | SEG_W)) == SEG_CODE)
		return emu_fault(v, vector, error);
	if ((attr & (SEG_CODE | SEG_E)) != (SEG_CODE | SEG_E) &&
	    ((sel & 3) > emu_desc_dpl(&d) || cpl > emu_desc_dpl(&d)))
		return emu_fault(v, vector, error);
	if (!(attr & SEG_P))
		return emu_fault(v, EXC_NP, error);
	TRY(emu_desc_accessed(v, &d));
	emu_desc_to_seg(&d, sel, s);
	return EMU_NEXT;
}

enum emu emu_check_ss(struct vcpu *v, u16 sel, u8 cpl, u8 vector, u32 ext, struct seg *s)
{
	u32 attr, error = emu_sel_error(sel) | ext;
	struct emu_desc d;

	if (emu_null_sel(sel))
		return emu_fault(v, vector, error);
	TRY(emu_desc_get(v, sel, &d, vector, ext));
	attr = emu_desc_attr(&d);
	if ((sel & 3) != cpl || (attr & (SEG_S | SEG_CODE | SEG_W)) != (SEG_S | SEG_W) ||
	    emu_desc_dpl(&d) != cpl)
		return emu_fault(v, vector, error);
	if (!(attr & SEG_P))
		return emu_fault(v, EXC_SS, error);
	TRY(emu_desc_accessed(v, &d));
	emu_desc_to_seg(&d, sel, s);
	return EMU_NEXT;
}

enum emu emu_check_rip(struct vcpu *v, const struct seg *cs, u64 rip, u32 error)
{
	if (vcpu_long_mode(v) && (cs->attr & SEG_L))
		return emu_canonical(rip) ? EMU_NEXT : emu_fault(v, EXC_GP, error);
	return rip <= cs->limit ? EMU_NEXT : emu_fault(v, EXC_GP, error);
}

enum emu emu_tss_read(struct vcpu *v, u32 offset, void *dst, u32 size, u32 ext)
{
	const struct seg *tr = &v->seg[SEG_TR];

	if (!(tr->attr & SEG_P) || offset + size - 1 > tr->limit)
		return emu_fault(v, EXC_TS, emu_sel_error(tr->selector) | ext);
	return mem_read(v, table_address(v, tr->base + offset), dst, size, SUPER_READ);
}

enum emu emu_tss_stack(struct vcpu *v, u8 dpl, u32 ext, struct seg *ss, u64 *sp)
{
	u16 sel;

	if (v->seg[SEG_TR].attr & 8) {
		u32 raw[2];

		TRY(emu_tss_read(v, 4 + 8 * dpl, raw, 8, ext));
		*sp = raw[0];
		sel = (u16)raw[1];
	} else {
		u16 raw[2];

		TRY(emu_tss_read(v, 2 + 4 * dpl, raw, 4, ext));
		*sp = raw[0];
		sel = raw[1];
	}
	return emu_check_ss(v, sel, dpl, EXC_TS, ext, ss);
}

enum emu emu_tss_rsp(struct vcpu *v, u32 index, u32 ext, u64 *rsp)
{
	TRY(emu_tss_read(v, 4 + 8 * index, rsp, 8, ext));
	return emu_canonical(*rsp) ? EMU_NEXT : emu_fault(v, EXC_SS, ext);
}
