/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saving and restoring x87, vector and extended state: FXSAVE, FXRSTOR and
 * the XSAVE family with the guest's XCR0.
 *
 * The guest's state is live in the host's registers, so the host's own
 * instruction does the work, on a buffer here. The instruction and data
 * pointers of x87 would be those of translated code: the guest sees 0. The
 * supervisor forms behave as the compacted ones with an XSS of 0; XSAVEOPT
 * always writes all that was asked for.
 *
 * Outside 64-bit mode registers 8 and up are neither saved nor loaded, and
 * their parts of the area are left alone.
 *
 * Intel SDM vol. 1, 10.5 (FXSAVE) and chapter 13 (XSAVE).
 */
#include <cpuid.h>

#include "emulate.h"

#define AREA_MAX 4096u
#define LEGACY_SIZE 512u
#define HEADER_END 576u
#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_XMM 160
#define FX_XMM8 288
#define FX_XMM_END 416
#define COMPACTED BIT64(63)

enum { XF_X87, XF_SSE, XF_AVX, XF_ZMM_HI256 = 6, XF_HI16_ZMM };

#define ALIGNED __attribute__((aligned(64)))

/* Where the host puts each state component; asked of CPUID once. */
static struct component {
	u32 offset, size;
	bool align;
} component[32];
static u32 mxcsr_mask;
static u32 layout_known;	/* atomic */

static void learn_layout(void)
{
	u8 area[LEGACY_SIZE] ALIGNED;
	u32 a, b, c, d, i, mask;

	for (i = 2; i < 32; i++) {
		__cpuid_count(0xd, i, a, b, c, d);
		component[i].size = a;
		component[i].offset = b;
		component[i].align = c & 2;
	}
	__asm__ volatile("fxsave64 %0" : "=m"(area));
	host_memcpy(&mask, area + FX_MXCSR_MASK, 4);
	mxcsr_mask = mask ? mask : 0xffbf;
	__atomic_store_n(&layout_known, 1, __ATOMIC_RELEASE);
}

static inline void need_layout(void)
{
	if (unlikely(!__atomic_load_n(&layout_known, __ATOMIC_ACQUIRE)))
		learn_layout();
}

/*
 * Offset of component i: standard, or in the compacted format of xcomp. Every
 * bit of xcomp is one of the host's XCR0.
 */
static u32 component_offset(u32 i, u64 xcomp)
{
	u32 j, offset = HEADER_END;

	if (!(xcomp & COMPACTED))
		return component[i].offset;
	for (j = 2; j <= i; j++) {
		if (!(xcomp >> j & 1))
			continue;
		if (component[j].align)
			offset = ALIGN_UP(offset, 64u);
		if (j == i)
			break;
		offset += component[j].size;
	}
	return offset;
}

/* Bytes of an area that holds the components of bv. */
static u32 area_size(u64 bv, u64 xcomp)
{
	u32 i, end = HEADER_END;

	for (i = 2; i < 32; i++)
		if (bv >> i & 1)
			end = MAX(end, component_offset(i, xcomp) + component[i].size);
	return end;
}

/* Linear address of an area whose alignment is a power of two. */
static enum emu area_address(struct vcpu *v, const struct insn *in, u32 size, u32 align, u32 access,
			     u64 *linear)
{
	TRY(seg_linear(v, in->seg, insn_ea(v, in), size, access, linear));
	return *linear & (align - 1) ? emu_gp0(v) : EMU_NEXT;
}

static void scrub_pointers(u8 *area)
{
	host_memset(area + 8, 0, 16);
}

/* --- FXSAVE, FXRSTOR ------------------------------------------------------------- */

#define EFER_FFXSR BIT64(14)

static enum emu fx_check(struct vcpu *v)
{
	emu_need_fpu(v);
	if (!(v->cr0 & (X86_CR0_EM | X86_CR0_TS)))
		return EMU_NEXT;
	vcpu_raise(v, EXC_NM);
	return EMU_FAULT;
}

/* AMD: XMM registers are left out in ring 0 of 64-bit mode. */
static inline bool fx_fast(const struct vcpu *v)
{
	return (v->efer & EFER_FFXSR) && vcpu_64bit(v) && !v->cpl;
}

EMU_HANDLER(emu_fxsave)
{
	u8 area[LEGACY_SIZE] ALIGNED;
	u64 linear;
	u32 size;

	TRY(fx_check(v));
	TRY(area_address(v, in, LEGACY_SIZE, 16, MMU_WRITE, &linear));
	__asm__ volatile("fxsave64 %0" : "=m"(area));
	scrub_pointers(area);
	size = fx_fast(v) ? FX_XMM : vcpu_64bit(v) ? FX_XMM_END : FX_XMM8;
	return mem_write(v, linear, area, size, MMU_WRITE);
}

EMU_HANDLER(emu_fxrstor)
{
	u8 area[LEGACY_SIZE] ALIGNED, now[LEGACY_SIZE] ALIGNED;
	u32 mxcsr, keep;
	u64 linear;

	need_layout();
	TRY(fx_check(v));
	TRY(area_address(v, in, LEGACY_SIZE, 16, MMU_READ, &linear));
	TRY(mem_read(v, linear, area, FX_XMM_END, MMU_READ));
	host_memcpy(&mxcsr, area + FX_MXCSR, 4);
	if (mxcsr & ~mxcsr_mask)
		return emu_gp0(v);
	keep = fx_fast(v) ? FX_XMM : vcpu_64bit(v) ? FX_XMM_END : FX_XMM8;
	if (keep < FX_XMM_END) {
		__asm__ volatile("fxsave64 %0" : "=m"(now));
		host_memcpy(area + keep, now + keep, FX_XMM_END - keep);
	}
	__asm__ volatile("fxrstor64 %0" ::"m"(area));
	return EMU_NEXT;
}

/* --- the XSAVE family ------------------------------------------------------------ */

/* Common checks; *rfbm: the components asked for that XCR0 allows. */
static enum emu xsave_check(struct vcpu *v, u64 *rfbm)
{
	if (!(v->cr4 & X86_CR4_OSXSAVE))
		return emu_raise_ud(v);
	if (v->cr0 & X86_CR0_TS) {
		vcpu_raise(v, EXC_NM);
		return EMU_FAULT;
	}
	need_layout();
	emu_need_fpu(v);
	*rfbm = ((u32)v->gpr[REG_RAX] | v->gpr[REG_RDX] << 32) & v->xcr0;
	return EMU_NEXT;
}

/* Outside 64-bit mode: what belongs to registers 8 and up keeps its old bytes. */
static void keep_upper(u8 *area, const u8 *old, u64 rfbm, u64 xcomp)
{
	u32 offset;

	if (rfbm & BIT(XF_SSE))
		host_memcpy(area + FX_XMM8, old + FX_XMM8, FX_XMM_END - FX_XMM8);
	if (rfbm & BIT(XF_AVX)) {
		offset = component_offset(XF_AVX, xcomp) + 128;
		host_memcpy(area + offset, old + offset, 128);
	}
	if (rfbm & BIT(XF_ZMM_HI256)) {
		offset = component_offset(XF_ZMM_HI256, xcomp) + 256;
		host_memcpy(area + offset, old + offset, 256);
	}
	if (rfbm & BIT(XF_HI16_ZMM)) {
		offset = component_offset(XF_HI16_ZMM, xcomp);
		host_memcpy(area + offset, old + offset, 1024);
	}
}

static void host_xsave(u8 *area, u64 rfbm, bool compact)
{
	u32 lo = (u32)rfbm, hi = (u32)(rfbm >> 32);

	if (compact)
		__asm__ volatile("xsavec64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
}

static enum emu save(struct vcpu *v, const struct insn *in, bool compact)
{
	u8 area[AREA_MAX] ALIGNED, old[AREA_MAX] ALIGNED;
	u64 rfbm, linear, xcomp, bv;
	u32 size;

	TRY(xsave_check(v, &rfbm));
	xcomp = compact ? rfbm | COMPACTED : 0;
	size = area_size(rfbm, xcomp);
	if (size > AREA_MAX)
		return EMU_UNHANDLED;
	TRY(area_address(v, in, size, 64, MMU_READ | MMU_WRITE, &linear));
	TRY(mem_probe_write(v, linear, size, MMU_WRITE));
	TRY(mem_read(v, linear, area, size, MMU_READ));
	if (!vcpu_64bit(v))
		host_memcpy(old, area, size);
	host_xsave(area, rfbm, compact);
	host_memcpy(&bv, area + LEGACY_SIZE, 8);
	if (rfbm & BIT(XF_X87) && (!compact || bv & BIT(XF_X87)))
		scrub_pointers(area);
	if (!vcpu_64bit(v))
		keep_upper(area, old, rfbm, xcomp);
	return mem_write(v, linear, area, size, MMU_WRITE);
}

EMU_HANDLER(emu_xsave)
{
	return save(v, in, false);
}

EMU_HANDLER(emu_xsavec)
{
	if (!emu_cpuid_bit(v, 0xd, 1, 0, 1))
		return emu_raise_ud(v);
	return save(v, in, true);
}

EMU_HANDLER(emu_xsaves)
{
	if (!emu_cpuid_bit(v, 0xd, 1, 0, 3))
		return emu_raise_ud(v);
	if (v->cpl && (v->cr4 & X86_CR4_OSXSAVE))
		return emu_gp0(v);
	return save(v, in, true);
}

struct xheader {
	u64 bv, xcomp, rsvd[6];
};

/* The header obeys the rules of its format. */
static bool header_valid(const struct vcpu *v, const struct xheader *h, bool supervisor)
{
	u32 i;

	if (!(h->xcomp & COMPACTED))
		return !supervisor && !h->xcomp && !h->rsvd[0] && !(h->bv & ~v->xcr0);
	for (i = 0; i < ARRAY_SIZE(h->rsvd); i++)
		if (h->rsvd[i])
			return false;
	return !(h->xcomp & ~COMPACTED & ~v->xcr0) && !(h->bv & ~h->xcomp);
}

/* MXCSR will be loaded from the area. */
static bool loads_mxcsr(const struct xheader *h, u64 rfbm)
{
	if (h->xcomp & COMPACTED)
		return rfbm & h->bv & BIT(XF_SSE);
	return rfbm & (BIT(XF_SSE) | BIT(XF_AVX));
}

static void host_xrstor(const u8 *area, u64 rfbm)
{
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)rfbm), "d"((u32)(rfbm >> 32))
			 : "memory");
}

/* XRSTOR outside 64-bit mode: registers 8 and up stay as they are. */
static void restore_lower(const u8 *area, u64 rfbm)
{
	u8 before[AREA_MAX] ALIGNED, after[AREA_MAX] ALIGNED;
	u64 bv[2];

	host_memset(before + LEGACY_SIZE, 0, HEADER_END - LEGACY_SIZE);
	host_memset(after + LEGACY_SIZE, 0, HEADER_END - LEGACY_SIZE);
	host_xsave(before, rfbm, false);
	host_xrstor(area, rfbm);
	host_xsave(after, rfbm, false);
	keep_upper(after, before, rfbm, 0);
	host_memcpy(&bv[0], before + LEGACY_SIZE, 8);
	host_memcpy(&bv[1], after + LEGACY_SIZE, 8);
	bv[1] |= bv[0] & (BIT(XF_SSE) | BIT(XF_AVX) | BIT(XF_ZMM_HI256) | BIT(XF_HI16_ZMM));
	host_memcpy(after + LEGACY_SIZE, &bv[1], 8);
	host_xrstor(after, rfbm);
}

static enum emu restore(struct vcpu *v, const struct insn *in, bool supervisor)
{
	u8 area[AREA_MAX] ALIGNED;
	u64 rfbm, linear;
	struct xheader h;
	u32 size, mxcsr;

	TRY(xsave_check(v, &rfbm));
	TRY(area_address(v, in, HEADER_END, 64, MMU_READ, &linear));
	TRY(mem_read(v, linear, area, HEADER_END, MMU_READ));
	host_memcpy(&h, area + LEGACY_SIZE, sizeof(h));
	if (!header_valid(v, &h, supervisor))
		return emu_gp0(v);
	h.bv &= rfbm;
	size = area_size(h.bv, h.xcomp);
	if (size > AREA_MAX)
		return EMU_UNHANDLED;
	if (size > HEADER_END) {
		TRY(area_address(v, in, size, 64, MMU_READ, &linear));
		TRY(mem_read(v, linear + HEADER_END, area + HEADER_END, size - HEADER_END,
			     MMU_READ));
	}
	host_memcpy(&mxcsr, area + FX_MXCSR, 4);
	if (loads_mxcsr(&h, rfbm) && (mxcsr & ~mxcsr_mask))
		return emu_gp0(v);
	/* Nothing is left in the buffer that could make the host's instruction fault. */
	mxcsr &= mxcsr_mask;
	host_memcpy(area + FX_MXCSR, &mxcsr, 4);
	host_memset(h.rsvd, 0, sizeof(h.rsvd));
	host_memcpy(area + LEGACY_SIZE, &h, sizeof(h));
	if (vcpu_64bit(v))
		host_xrstor(area, rfbm);
	else
		restore_lower(area, rfbm);
	return EMU_NEXT;
}

EMU_HANDLER(emu_xrstor)
{
	return restore(v, in, false);
}

EMU_HANDLER(emu_xrstors)
{
	if (!emu_cpuid_bit(v, 0xd, 1, 0, 3))
		return emu_raise_ud(v);
	if (v->cpl && (v->cr4 & X86_CR4_OSXSAVE))
		return emu_gp0(v);
	return restore(v, in, true);
}
