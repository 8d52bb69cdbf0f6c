/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's x87 and vector state between struct vcpu and the host's
 * registers, where it lives while guest code runs. XSAVE's standard format
 * (Intel SDM vol. 1, chapter 13); the components are those that the host has
 * enabled, less the ones guests are not offered (PKRU, AMX).
 */
#include "soft.h"

#define GUEST_COMPONENTS 0xe7u	/* x87, SSE, AVX, AVX-512 */

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

/*
 * Saves the state and leaves the registers fit for C: no x87 register in use,
 * default control words, clean upper halves.
 */
void soft_fpu_put(struct vcpu *v)
{
	const u32 mxcsr = 0x1f80;

	if (!v->fpu_loaded)
		return;
	__asm__ volatile("xsave64 %0\n\tfninit\n\tldmxcsr %1"
			 : "+m"(v->xsave)
			 : "m"(mxcsr), "a"(components()), "d"(0));
	if (components() & 4)
		__asm__ volatile("vzeroupper");
	v->fpu_loaded = false;
}
