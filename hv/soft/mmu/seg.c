/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segmentation of data accesses: limit, type and canonical-form checks, and
 * the linear address.
 *
 * Intel SDM vol. 3: limit checking 5.3, type checking 5.5, 64-bit mode 5.2.1;
 * vol. 1, 3.3.7.1 (canonical addresses) and 20.1.1 of vol. 3 (real mode: only
 * the cached limit counts, so that big real mode works).
 */
#include "mmu.h"

static enum emu seg_fault(struct vcpu *v, u8 seg)
{
	vcpu_raise_error(v, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
	return EMU_FAULT;
}

static inline bool canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

static enum emu seg_linear_64(struct vcpu *v, u8 seg, u64 offset, u32 size, u64 *linear)
{
	u64 addr = offset;

	if (seg == SEG_FS || seg == SEG_GS || seg >= SEG_LDTR)
		addr += v->seg[seg].base;
	if (unlikely(!canonical(addr) || !canonical(addr + size - 1)))
		return seg_fault(v, seg);
	*linear = addr;
	return EMU_NEXT;
}

static bool seg_in_limit(const struct seg *s, u64 first, u64 last)
{
	if ((s->attr & (SEG_S | SEG_CODE | SEG_E)) == (SEG_S | SEG_E))
		return first > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

static bool seg_type_allows(const struct seg *s, u32 access)
{
	if (!(s->attr & SEG_P))
		return false;
	if (!(s->attr & SEG_S))
		return true;
	if (s->attr & SEG_CODE)
		return !(access & MMU_WRITE) && (!(access & MMU_READ) || (s->attr & SEG_W));
	return !(access & MMU_WRITE) || (s->attr & SEG_W);
}

enum emu seg_linear(struct vcpu *v, u8 seg, u64 offset, u32 size, u32 access, u64 *linear)
{
	const struct seg *s = &v->seg[seg];

	if (!size)
		size = 1;
	if (seg >= SEG_LDTR) {
		if (!(s->attr & SEG_P) || offset + size - 1 > s->limit || offset > s->limit)
			return seg_fault(v, seg);
		if (vcpu_long_mode(v))
			return seg_linear_64(v, seg, offset, size, linear);
		*linear = (u32)(s->base + offset);
		return EMU_NEXT;
	}
	if (vcpu_64bit(v))
		return seg_linear_64(v, seg, offset, size, linear);
	offset = (u32)offset;
	if (!vcpu_real_or_v86(v) && unlikely(!seg_type_allows(s, access)))
		return seg_fault(v, seg);
	if (unlikely(!seg_in_limit(s, offset, offset + size - 1)))
		return seg_fault(v, seg);
	*linear = (u32)(s->base + offset);
	return EMU_NEXT;
}

/* What the segment adds to an access: TSS and LDT are read by the CPU itself. */
static inline u32 seg_access(u8 seg)
{
	return seg >= SEG_LDTR ? MMU_SUPER : seg == SEG_SS ? MMU_STACK : 0;
}

enum emu seg_read(struct vcpu *v, u8 seg, u64 offset, void *dst, u32 size)
{
	u64 linear;
	enum emu e = seg_linear(v, seg, offset, size, MMU_READ, &linear);

	return e == EMU_NEXT ? mem_read(v, linear, dst, size, MMU_READ | seg_access(seg)) : e;
}

enum emu seg_write(struct vcpu *v, u8 seg, u64 offset, const void *src, u32 size)
{
	u64 linear;
	enum emu e = seg_linear(v, seg, offset, size, MMU_WRITE, &linear);

	return e == EMU_NEXT ? mem_write(v, linear, src, size, MMU_WRITE | seg_access(seg)) : e;
}
