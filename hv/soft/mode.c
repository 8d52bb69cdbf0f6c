/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU's mode as the translator sees it: the key of translations, and the
 * reach of segments within which no check is needed.
 */
#include "mmu/mmu.h"
#include "soft.h"

static u32 code_size(const struct vcpu *v)
{
	if (vcpu_64bit(v))
		return MODE_64;
	if (vcpu_real_or_v86(v) && !(v->seg[SEG_CS].attr & SEG_DB))
		return MODE_16;
	return v->seg[SEG_CS].attr & SEG_DB ? MODE_32 : MODE_16;
}

static u32 mmu_mode(const struct vcpu *v)
{
	if (v->cpl == 3)
		return MMU_USER;
	return (v->cr4 & X86_CR4_SMAP) && !(v->sysflags & X86_FL_AC) ? MMU_SMAP : MMU_KERNEL;
}

/* How many bytes from offset 0 may be read and written without a closer look. */
static void segment_reach(struct vcpu *v, int i, u64 *rmax, u64 *wmax)
{
	const struct seg *s = &v->seg[i];
	bool code = s->attr & SEG_CODE;

	*rmax = *wmax = 0;
	if (vcpu_protected(v) && !vcpu_v86(v) && !(s->attr & SEG_P))
		return;
	if (!vcpu_protected(v) || vcpu_v86(v)) {
		*rmax = *wmax = (u64)s->limit + 1;
		return;
	}
	if (!code && (s->attr & SEG_E))
		return;
	if (!code || (s->attr & SEG_W))
		*rmax = (u64)s->limit + 1;
	if (!code && (s->attr & SEG_W))
		*wmax = (u64)s->limit + 1;
}

static u32 segments(struct vcpu *v, struct soft_cpu *c)
{
	const u64 all = 1ull << 32;
	u32 mode = 0;

	for (int i = 0; i < 6; i++) {
		segment_reach(v, i, &c->seg_rmax[i], &c->seg_wmax[i]);
		if (c->seg_rmax[i] != all || c->seg_wmax[i] != all)
			mode |= MODE_SEGCHECK(i);
		if (v->seg[i].base)
			mode |= MODE_SEGBASE(i);
	}
	if (v->seg[SEG_SS].attr & SEG_DB)
		mode |= MODE_SS32;
	return mode;
}

static u32 fpu_mode(const struct vcpu *v)
{
	u32 mode = 0;

	if (v->cr0 & X86_CR0_TS)
		mode |= MODE_TS;
	if (v->cr0 & X86_CR0_EM)
		mode |= MODE_EM;
	if (v->cr0 & X86_CR0_MP)
		mode |= MODE_MP;
	if (v->cr4 & X86_CR4_OSFXSR)
		mode |= MODE_SSE;
	if ((v->cr4 & X86_CR4_OSXSAVE) && (v->xcr0 & 6) == 6) {
		mode |= MODE_AVX;
		if ((v->xcr0 & 0xe6) == 0xe6)
			mode |= MODE_AVX512;
	}
	return mode;
}

void soft_update_mode(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);
	u32 mode = code_size(v) | mmu_mode(v) << MODE_MMU_SHIFT | fpu_mode(v);
	int m;

	if (v->cpl == 0)
		mode |= MODE_CPL0;
	if (v->cpl == 3 && (v->cr0 & X86_CR0_AM) && (v->sysflags & X86_FL_AC))
		mode |= MODE_ALIGN;
	if (v->cpl == 3 && c->split)
		mode |= MODE_SPLIT;
	if (MODE_BITS(mode) != MODE_64)
		mode |= segments(v, c);
	else
		c->seg_rmax[0] = 0;
	c->cs_base = MODE_BITS(mode) == MODE_64 ? 0 : v->seg[SEG_CS].base;
	c->mode = mode;
	v->mode_stale = false;
	/* The jump cache of this access mode holds code of one mode and code base. */
	m = MODE_MMU(mode);
	v->data_tlb = &c->tlb[m];
	v->system_tlb = soft_switch.no_system ? NULL :
			&c->tlb[v->cr4 & X86_CR4_SMAP ? MMU_SMAP : MMU_KERNEL];
	v->data_rights = mmu_rights(v);
	if (c->jc_context[m] != mode || c->jc_base[m] != c->cs_base) {
		soft_jc_flush(c, m);
		c->jc_context[m] = mode;
		c->jc_base[m] = c->cs_base;
	}
}
