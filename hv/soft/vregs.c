/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single vector and opmask registers of the guest, while they are in the
 * host's: C code reads and writes a few of them without saving all.
 */
#include <cpuid.h>

#include "soft.h"

#define SLOT 8	/* bytes of a function in vreg_moves.S */
#define AVX512_COMPONENTS 0xe0u	/* of XCR0 */
#define AVX512BW BIT(30)	/* CPUID leaf 7, EBX */

extern const u8 soft_zmm_get[], soft_zmm_put[], soft_ymm_get[], soft_ymm_put[], soft_k64_get[],
	soft_k64_put[], soft_k16_get[], soft_k16_put[];

static bool have_avx512(void)
{
	static int have = -1;
	u32 lo, hi;

	if (have < 0) {
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		have = (lo & AVX512_COMPONENTS) == AVX512_COMPONENTS;
	}
	return have;
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
