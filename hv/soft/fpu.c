/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's x87 and vector state between struct vcpu and the host's
 * registers, where it lives while guest code runs. XSAVE's standard format
 * (Intel SDM vol. 1, chapter 13); the components are those that the host has
 * enabled, less the ones guests are not offered (PKRU, AMX).
 */
#include <cpuid.h>

#include "soft.h"

#define GUEST_COMPONENTS 0xe7u	/* x87, SSE, AVX, AVX-512 */
#define AVX512_COMPONENTS 0xe0u

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

/* --- single registers --------------------------------------------------------- */

#define SLOT 8	/* bytes of a function in vregs.S */
#define AVX512BW BIT(30)

extern const u8 soft_zmm_get[], soft_zmm_put[], soft_ymm_get[], soft_ymm_put[], soft_k64_get[],
	soft_k64_put[], soft_k16_get[], soft_k16_put[];

static bool have_avx512(void)
{
	return (components() & AVX512_COMPONENTS) == AVX512_COMPONENTS;
}

/* Without AVX512BW opmask registers have 16 bits. */
static bool wide_opmasks(void)
{
	static int wide = -1;
	u32 a, b = 0, c, d;

	if (wide < 0)
		wide = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & AVX512BW);
	return wide;
}

static void move_vector(const u8 *table, u32 n, const void *mem)
{
	void (*move)(const void *) = (void (*)(const void *))(uintptr_t)(table + n * SLOT);

	move(mem);
}

void soft_vector_get(u32 n, u8 out[64])
{
	if (have_avx512()) {
		move_vector(soft_zmm_get, n & 31, out);
		return;
	}
	move_vector(soft_ymm_get, n & 15, out);
	host_memset(out + 32, 0, 32);
}

/* Where 32 bytes say it all nothing longer is used: the state in use stays small. */
void soft_vector_put(u32 n, const u8 in[64])
{
	u64 upper = 0;

	for (u32 i = 32; i < 64; i++)
		upper |= in[i];
	if (have_avx512() && (upper || n >= 16))
		move_vector(soft_zmm_put, n & 31, in);
	else
		move_vector(soft_ymm_put, n & 15, in);
}

u64 soft_opmask_get(u32 n)
{
	const u8 *table = wide_opmasks() ? soft_k64_get : soft_k16_get;
	u64 (*get)(void) = (u64 (*)(void))(uintptr_t)(table + (n & 7) * SLOT);

	return have_avx512() ? get() : 0;
}

void soft_opmask_put(u32 n, u64 val)
{
	const u8 *table = wide_opmasks() ? soft_k64_put : soft_k16_put;
	void (*put)(u64) = (void (*)(u64))(uintptr_t)(table + (n & 7) * SLOT);

	if (have_avx512())
		put(val);
}
