/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XSAVE areas in their standard form (Intel SDM vol. 1, 13.4): to and from
 * the plain arrays that tests are made of, with the components that are not
 * marked present read as their initial values.
 */
#include <cpuid.h>
#include <string.h>

#include "native.h"

#define XS_FCW 0
#define XS_FSW 2
#define XS_FTW 4
#define XS_FOP 6
#define XS_FIP 8
#define XS_FDP 16
#define XS_MXCSR 24
#define XS_ST 32
#define XS_XMM 160
#define XS_HEADER 512

#define X_FP 0x01u
#define X_SSE 0x02u
#define X_YMM 0x04u
#define X_K 0x20u
#define X_ZMM_HIGH 0x40u
#define X_ZMM_UPPER 0x80u

u64 xmask;

bool have_avx(void)
{
	return xmask & X_YMM;
}

bool have_avx512(void)
{
	return (xmask & 0xe0) == 0xe0;
}

/* Where component i lies. */
static u32 offset_of(u32 i)
{
	static u32 known[8];
	u32 a, b, c, d;

	if (!known[i]) {
		__cpuid_count(0xd, i, a, b, c, d);
		(void)a, (void)c, (void)d;
		known[i] = b;
	}
	return known[i];
}

void fp_to_xsave(const struct fpstate *f, u8 *x)
{
	u64 bv = xmask;
	int i;

	memset(x, 0, 576);
	memcpy(x + XS_FCW, &f->fcw, 2);
	memcpy(x + XS_FSW, &f->fsw, 2);
	x[XS_FTW] = f->ftw;
	memcpy(x + XS_FOP, &f->fop, 2);
	memcpy(x + XS_FIP, &f->fip, 8);
	memcpy(x + XS_FDP, &f->fdp, 8);
	memcpy(x + XS_MXCSR, &f->mxcsr, 4);
	memcpy(x + XS_HEADER, &bv, 8);
	for (i = 0; i < 8; i++)
		memcpy(x + XS_ST + i * 16, f->st[i], 10);
	for (i = 0; i < 16; i++)
		memcpy(x + XS_XMM + i * 16, f->vec[i], 16);
	if (xmask & X_YMM)
		for (i = 0; i < 16; i++)
			memcpy(x + offset_of(2) + i * 16, f->vec[i] + 16, 16);
	if (!have_avx512())
		return;
	memcpy(x + offset_of(5), f->k, 64);
	for (i = 0; i < 16; i++) {
		memcpy(x + offset_of(6) + i * 32, f->vec[i] + 32, 32);
		memcpy(x + offset_of(7) + i * 64, f->vec[i + 16], 64);
	}
}

void fp_from_xsave(struct fpstate *f, const u8 *x)
{
	u64 bv;
	int i;

	memset(f, 0, sizeof(*f));
	memcpy(&bv, x + XS_HEADER, 8);
	bv &= xmask;
	f->fcw = 0x37f;
	memcpy(&f->mxcsr, x + XS_MXCSR, 4);
	if (bv & X_FP) {
		memcpy(&f->fcw, x + XS_FCW, 2);
		memcpy(&f->fsw, x + XS_FSW, 2);
		f->ftw = x[XS_FTW];
		memcpy(&f->fop, x + XS_FOP, 2);
		memcpy(&f->fip, x + XS_FIP, 8);
		memcpy(&f->fdp, x + XS_FDP, 8);
		for (i = 0; i < 8; i++)
			memcpy(f->st[i], x + XS_ST + i * 16, 10);
	}
	for (i = 0; i < 16 && bv & X_SSE; i++)
		memcpy(f->vec[i], x + XS_XMM + i * 16, 16);
	for (i = 0; i < 16 && bv & X_YMM; i++)
		memcpy(f->vec[i] + 16, x + offset_of(2) + i * 16, 16);
	if (bv & X_K)
		memcpy(f->k, x + offset_of(5), 64);
	for (i = 0; i < 16 && bv & X_ZMM_HIGH; i++)
		memcpy(f->vec[i] + 32, x + offset_of(6) + i * 32, 32);
	for (i = 0; i < 16 && bv & X_ZMM_UPPER; i++)
		memcpy(f->vec[i + 16], x + offset_of(7) + i * 64, 64);
}
