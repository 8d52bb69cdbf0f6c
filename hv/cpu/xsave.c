/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x87, SSE and extended state as KVM_GET/SET_FPU, _XSAVE and _XSAVE2 carry it:
 * the XSAVE area in its standard format (SDM vol. 1 chapter 13; APM vol. 2
 * section 11.5). Component offsets are the host processor's, since it is the
 * host that executes the guest's XSAVE.
 */
#include <cpuid.h>
#include <errno.h>

#include "state.h"

#define AREA_SIZE 4096
#define HEADER 512		/* XSTATE_BV, XCOMP_BV, reserved */
#define HEADER_SIZE 64
#define MXCSR_DEFAULT 0x1f80
#define FCW_DEFAULT 0x37f

/* The legacy area (FXSAVE), and the first two words of the header after it. */
struct fxsave {
	u16 fcw, fsw;
	u8 ftw, rsvd;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[128];
	u8 xmm[256];
	u8 pad[96];
	u64 xstate_bv, xcomp_bv;
};

static u64 read_xcr0(void)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

u64 xsave_supported(void)
{
	const u64 known = XF_FP | XF_SSE | XF_AVX | XF_AVX512;
	static u64 supported;
	u32 a, b, c, d;
	u64 x = __atomic_load_n(&supported, __ATOMIC_RELAXED);

	if (x)
		return x;
	__cpuid(1, a, b, c, d);
	x = c >> 27 & 1 ? read_xcr0() & known : XF_FP | XF_SSE;
	if ((x & XF_AVX512) != XF_AVX512)
		x &= ~XF_AVX512;
	__atomic_store_n(&supported, x, __ATOMIC_RELAXED);
	return x;
}

u32 xsave_size(u64 xcr0, bool compacted)
{
	u32 size = HEADER + HEADER_SIZE, i;

	for (i = 2; i < 63; i++) {
		u32 a, b, c, d, offset;

		if (!(xcr0 >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		if (compacted)
			offset = c & 2 ? ALIGN_UP(size, 64) : size;
		else
			offset = b;
		size = MAX(size, offset + a);
	}
	return size;
}

u64 vcpu_supported_xcr0(struct vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = vcpu_cpuid_entry(v, 0xd, 0);

	return e ? ((u64)e->edx << 32 | e->eax) & xsave_supported() : 0;
}

static u32 mxcsr_mask(void)
{
	static u32 mask;
	u32 m = __atomic_load_n(&mask, __ATOMIC_RELAXED);

	if (!m) {
		struct fxsave fx __attribute__((aligned(64)));

		host_memset(&fx, 0, sizeof(fx));
		__asm__ volatile("fxsave64 %0" : "=m"(fx));
		m = fx.mxcsr_mask ? fx.mxcsr_mask : 0xffbf;
		__atomic_store_n(&mask, m, __ATOMIC_RELAXED);
	}
	return m;
}

void xsave_reset(struct vcpu *v)
{
	struct fxsave *fx = (void *)v->xsave;

	host_memset(v->xsave, 0, sizeof(v->xsave));
	fx->fcw = FCW_DEFAULT;
	fx->mxcsr = MXCSR_DEFAULT;
	fx->mxcsr_mask = mxcsr_mask();
	fx->xstate_bv = XF_FP | XF_SSE;
}

static void sync(struct vcpu *v)
{
	if (v->fpu_loaded)
		v->vm->engine->fpu_put(v);
}

/* Components in their initial state are zeroes in the answer, but for x87's and MXCSR. */
void vcpu_get_xsave(struct vcpu *v, void *area)
{
	struct fxsave *fx = area;
	u64 bv, allowed = vcpu_supported_xcr0(v) | XF_FP | XF_SSE;
	u32 i;

	sync(v);
	host_memcpy(area, v->xsave, AREA_SIZE);
	fx->xstate_bv &= allowed;
	fx->xcomp_bv = 0;
	host_memset((u8 *)area + HEADER + 16, 0, HEADER_SIZE - 16);
	bv = fx->xstate_bv;
	if (!(bv & XF_FP)) {
		host_memset(area, 0, 24);
		host_memset(fx->st, 0, sizeof(fx->st));
		fx->fcw = FCW_DEFAULT;
	}
	if (!(bv & XF_SSE))
		host_memset(fx->xmm, 0, sizeof(fx->xmm));
	/* The processor saves MXCSR whatever it says of the registers. */
	if (!(bv & (XF_SSE | XF_AVX)) && fx->mxcsr != MXCSR_DEFAULT)
		fx->xstate_bv |= XF_SSE;
	fx->mxcsr_mask = mxcsr_mask();
	for (i = 2; i < 63; i++) {
		u32 a, b, c, d;

		if (!(xsave_supported() >> i & 1) || bv >> i & 1)
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		if (b + a <= AREA_SIZE)
			host_memset((u8 *)area + b, 0, a);
	}
}

int vcpu_set_xsave(struct vcpu *v, const void *area)
{
	const struct fxsave *fx = area;
	const u8 *reserved = (const u8 *)area + HEADER + 8;
	u32 i;

	if (fx->xstate_bv & ~xsave_supported())
		return -EINVAL;
	/* XCOMP_BV and the rest of the header: only the standard format is taken. */
	for (i = 0; i < HEADER_SIZE - 8; i++)
		if (reserved[i])
			return -EINVAL;
	if (fx->mxcsr & ~mxcsr_mask())
		return -EINVAL;
	sync(v);
	host_memcpy(v->xsave, area, AREA_SIZE);
	((struct fxsave *)v->xsave)->mxcsr_mask = mxcsr_mask();
	return 0;
}

void vcpu_get_fpu(struct vcpu *v, struct kvm_fpu *f)
{
	u8 area[AREA_SIZE] __attribute__((aligned(64)));
	const struct fxsave *fx = (void *)area;

	vcpu_get_xsave(v, area);
	host_memset(f, 0, sizeof(*f));
	host_memcpy(f->fpr, fx->st, sizeof(f->fpr));
	f->fcw = fx->fcw;
	f->fsw = fx->fsw;
	f->ftwx = fx->ftw;
	f->last_opcode = fx->fop;
	f->last_ip = fx->fip;
	f->last_dp = fx->fdp;
	host_memcpy(f->xmm, fx->xmm, sizeof(f->xmm));
	f->mxcsr = fx->mxcsr;
}

/* MXCSR is not taken: the kernel does not either, and callers leave it 0. */
void vcpu_set_fpu(struct vcpu *v, const struct kvm_fpu *f)
{
	struct fxsave *fx = (void *)v->xsave;

	sync(v);
	host_memcpy(fx->st, f->fpr, sizeof(fx->st));
	fx->fcw = f->fcw;
	fx->fsw = f->fsw;
	fx->ftw = f->ftwx;
	fx->fop = f->last_opcode;
	fx->fip = f->last_ip;
	fx->fdp = f->last_dp;
	host_memcpy(fx->xmm, f->xmm, sizeof(fx->xmm));
	if (!(fx->xstate_bv & (XF_SSE | XF_AVX)))
		fx->mxcsr = MXCSR_DEFAULT;
	fx->xstate_bv |= XF_FP | XF_SSE;
}
