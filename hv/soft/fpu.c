/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's x87 and vector state between struct vcpu and the host's
 * registers, where it lives while guest code runs. XSAVE's standard format
 * (Intel SDM vol. 1, chapter 13); the components are those that the host has
 * enabled, less the ones guests are not offered (PKRU, AMX).
 */
#include "soft.h"

#define GUEST_COMPONENTS 0xe7u	/* x87, SSE, AVX, AVX-512 */
#define XSTATE_X87 1u
#define XSTATE_AVX 4u
#define XSTATE_BV 512		/* offset of the bits that say what is in use */

static u32 components(void)
{
	static u32 mask;
	u32 lo, hi;

	if (!mask) {
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		mask = lo & GUEST_COMPONENTS;
	}
	return mask;
}

void soft_fpu_load(struct vcpu *v)
{
	__asm__ volatile("xrstor64 %0" ::"m"(v->xsave), "a"(components()), "d"(0));
	v->fpu_loaded = true;
}

void soft_fpu_note_caller(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(c->caller_mxcsr), "=m"(c->caller_fcw));
}

/*
 * Saves the state and leaves the registers as the caller of KVM_RUN may expect
 * from a function: no x87 register in use, its own control words, clean upper
 * halves.
 */
void soft_fpu_put(struct vcpu *v)
{
	const u64 *xstate_bv = (const u64 *)(v->xsave + XSTATE_BV);
	struct soft_cpu *c = soft_cpu(v);

	if (!v->fpu_loaded)
		return;
	__asm__ volatile("xsave64 %0" : "+m"(v->xsave) : "a"(components()), "d"(0));
	if (*xstate_bv & XSTATE_X87)
		__asm__ volatile("fninit");
	__asm__ volatile("fldcw %0\n\tldmxcsr %1" : : "m"(c->caller_fcw), "m"(c->caller_mxcsr));
	if (components() & XSTATE_AVX)
		__asm__ volatile("vzeroupper");
	v->fpu_loaded = false;
}
