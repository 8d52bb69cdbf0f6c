/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values that tests start from: integers, pointers and floating-point
 * numbers as programs have them, mixed with the ones at which arithmetic
 * changes its ways. Vectors and memory are cut from pools filled once, always
 * with the same contents, so that a seed means the same test in every run.
 */
#include <string.h>

#include "gen.h"

#define POOL_SIZE (1u << 18)

enum { POOL_BITS, POOL_INT, POOL_F32, POOL_F64, POOL_COUNT };

static u8 pool[POOL_COUNT][POOL_SIZE + 4096];

u64 value_int(struct rng *r)
{
	static const u64 edge[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, ~0ull, ~1ull, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
		0x0000800000000000, 0xffff800000000000, 0x00007fffffffffff,
	};

	switch (rng_below(r, 8)) {
	case 0:
		return edge[rng_below(r, ARRAY_SIZE(edge))];
	case 1:
		return edge[rng_below(r, ARRAY_SIZE(edge))] + rng_below(r, 5) - 2;
	case 2:
		return rng_below(r, 256);
	case 3:
		return (u64)(s64)(s8)rng64(r);
	case 4:
		return rng64(r) >> rng_below(r, 64);
	case 5:
		return 1ull << rng_below(r, 64);
	default:
		return rng64(r);
	}
}

/* Offsets that are mostly aligned and in the middle, sometimes at an edge. */
static u64 data_offset(struct rng *r)
{
	switch (rng_below(r, 16)) {
	case 0:
		return 0x1000 - rng_below(r, 72);	/* crosses pages */
	case 1:
		return rng_below(r, 64);		/* the hole before */
	case 2:
		return DATA_RW_SIZE - rng_below(r, 72);	/* the read-only page */
	case 3:
		return DATA_RW_SIZE + rng_below(r, 0x1000);
	case 4:
	case 5:
		return 0x200 + rng_below(r, 0x1c00);
	case 6:
		return 0x1000 - 64 * rng_below(r, 3);
	default:
		return (0x200 + rng_below(r, 0x1c00)) & ~63ull;
	}
}

u64 value_pointer(struct rng *r, bool high)
{
	if (opt.bits == 16)
		return data_offset(r);
	return (high ? HIGH_BASE : LOW_BASE) + DATA_OFFSET + data_offset(r);
}

static u32 float32(struct rng *r)
{
	static const u32 special[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00000, 0x7f800001, 0xffbfffff, 0x00000001, 0x007fffff, 0x00800000,
		0x80000001, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x4effffff,
		0x4b000000, 0x3f000000, 0x33800000, 0x5f000000, 0x477fe000, 0x38800000,
	};
	u32 x = (u32)rng64(r);

	switch (rng_below(r, 8)) {
	case 0:
		return special[rng_below(r, ARRAY_SIZE(special))];
	case 1:
		return x;
	case 2:
		return x & 0x807fffff;					/* denormal */
	case 3:
		return (x & 0x80ff0000) | (127 + rng_below(r, 12)) << 23;	/* short */
	default:
		return (x & 0x807fffff) | (107 + rng_below(r, 40)) << 23;
	}
}

static u64 float64(struct rng *r)
{
	static const u64 special[] = {
		0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001,
		0xfff7ffffffffffff, 1, 0x000fffffffffffff, 0x0010000000000000,
		0x8000000000000001, 0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000,
		0x41dfffffffc00000, 0x43e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000,
		0x47efffffe0000000, 0x36a0000000000000, 0x3810000000000000, 0x43f0000000000000,
	};
	u64 x = rng64(r);

	switch (rng_below(r, 8)) {
	case 0:
		return special[rng_below(r, ARRAY_SIZE(special))];
	case 1:
		return x;
	case 2:
		return x & 0x800fffffffffffff;
	case 3:
		return (x & 0x800fff0000000000) | (u64)(1023 + rng_below(r, 40)) << 52;
	default:
		return (x & 0x800fffffffffffff) | (u64)(973 + rng_below(r, 100)) << 52;
	}
}

void values_init(void)
{
	struct rng r = { 0x616e796b766d };
	u32 i, f;
	u64 v;

	for (i = 0; i < sizeof(pool[0]); i += 8) {
		v = rng64(&r);
		memcpy(pool[POOL_BITS] + i, &v, 8);
		v = value_int(&r);
		if (rng_pct(&r, 40))
			v = (v & 0xffff) * 0x0001000100010001ull ^ (rng64(&r) & 0x00ff00ff00ff00ff);
		memcpy(pool[POOL_INT] + i, &v, 8);
		v = float64(&r);
		memcpy(pool[POOL_F64] + i, &v, 8);
		f = float32(&r);
		memcpy(pool[POOL_F32] + i, &f, 4);
		f = float32(&r);
		memcpy(pool[POOL_F32] + i + 4, &f, 4);
	}
}

static const u8 *slice(struct rng *r)
{
	u64 x = rng64(r);

	return pool[x & 3] + ((x >> 8) & (POOL_SIZE - 1) & ~7u);
}

void values_memory(u64 mem_seed, u8 mem[2][DATA_SIZE])
{
	struct rng r = { mem_seed };
	u32 off;
	int i;

	for (i = 0; i < 2; i++)
		for (off = 0; off < DATA_SIZE; off += 256)
			memcpy(mem[i] + off, slice(&r), 256);
}

static void set80(u8 *p, u16 exp, u64 mant)
{
	memcpy(p, &mant, 8);
	memcpy(p + 8, &exp, 2);
}

static void float80(struct rng *r, u8 *p)
{
	u64 m = rng64(r) | 1ull << 63;
	u16 sign = rng_pct(r, 50) ? 0x8000 : 0;

	switch (rng_below(r, 12)) {
	case 0:
		return set80(p, sign, 0);
	case 1:
		return set80(p, sign | 0x7fff, rng_pct(r, 50) ? 1ull << 63 : m);
	case 2:
		return set80(p, sign, rng64(r) >> 1);		/* denormal */
	case 3:
		return set80(p, (u16)rng64(r), rng64(r));	/* anything, also no number */
	case 4:
		return set80(p, 0xffff, rng64(r));		/* as MMX leaves them */
	case 5:
	case 6:
		return set80(p, sign | 0x3fff, 1ull << 63);
	case 7:
		return set80(p, sign | (0x3fff + rng_below(r, 64)), m & 0xffff000000000000);
	default:
		return set80(p, sign | (0x3fff - 30 + rng_below(r, 60)), m);
	}
}

static void values_fpu(struct fpstate *f, struct rng *r)
{
	u64 x = rng64(r);
	int i;

	f->fcw = 0x37f;
	if (rng_pct(r, 30))
		f->fcw = (u16)(0x7f | (x & 0xf00));
	if (rng_pct(r, 5))
		f->fcw &= ~(u16)(x >> 16 & 0x3f);
	f->fsw = (u16)(x >> 24 & 0x7f00);
	f->fsw &= 0x7f00;
	if (rng_pct(r, 30))
		f->fsw |= (u16)(x >> 40 & 0x7f & f->fcw);
	f->ftw = rng_pct(r, 30) ? (u8)(x >> 48) : rng_pct(r, 60) ? 0xff : 0x3f;
	if (rng_pct(r, 50))
		f->fsw = (u16)(f->fsw & ~0x3800);
	for (i = 0; i < 8; i++)
		float80(r, f->st[i]);
}

static void values_vectors(struct test *t, struct rng *r)
{
	struct fpstate *f = &t->fp;
	int count = have_avx512() ? 32 : 16, size = have_avx512() ? 64 : have_avx() ? 32 : 16;
	int i, j;

	memset(f->vec, 0, sizeof(f->vec));
	memset(f->k, 0, sizeof(f->k));
	for (i = 0; i < (opt.bits == 64 ? count : 8); i++)
		memcpy(f->vec[i], slice(r), (size_t)size);
	/* Two registers hold indices for gathers. */
	for (i = 6; i < 8; i++)
		for (j = 0; j < size / 8; j++) {
			u64 v = rng_below(r, 128) * (rng_pct(r, 50) ? 8 : 1);

			memcpy(f->vec[i] + j * 8, &v, 8);
		}
	for (i = 0; i < 8 && have_avx512(); i++)
		f->k[i] = rng_pct(r, 25) ? ~0ull : rng64(r) & (rng_pct(r, 50) ? ~0ull : rng64(r));
	f->mxcsr = 0x1f80;
	if (rng_pct(r, 30))
		f->mxcsr |= (u32)rng64(r) & 0xe07f;
	if (rng_pct(r, 5))
		f->mxcsr &= ~((u32)rng64(r) & 0x1f80);
	if (f->mxcsr & ~f->mxcsr >> 7 & 0x3f)
		f->mxcsr &= ~0x3fu;
}

void values_state(struct test *t, struct rng *r)
{
	t->mem_seed = rng64(r);
	t->rflags = (rng64(r) & FL_ARITH) | FL_IF | 2;
	if (rng_pct(r, 8))
		t->rflags |= FL_DF;
	if (rng_pct(r, 5))
		t->rflags |= FL_ID;
	values_fpu(&t->fp, r);
	values_vectors(t, r);
}
