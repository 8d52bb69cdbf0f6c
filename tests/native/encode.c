/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an encoding to bytes: registers, addresses that mostly hit the arenas'
 * data, prefixes and immediates are drawn, and everything is put in its place
 * (Intel SDM vol. 2, chapter 2).
 */
#include <string.h>

#include "gen.h"

#define BIT16(n) ((u16)(1u << (n)))

static int gpr_count(void)
{
	return opt.bits == 64 ? 16 : 8;
}

/* One of the registers in mask, or -1. */
static int pick(struct maker *m, u32 mask)
{
	int n = __builtin_popcount(mask), k;

	if (!n)
		return -1;
	for (k = (int)rng_below(&m->r, (u32)n); k; k--)
		mask &= mask - 1;
	return __builtin_ctz(mask);
}

/* A random register, seldom one that has a role. */
static int any_register(struct maker *m)
{
	int i, reg = 0;

	for (i = 0; i < 3; i++) {
		reg = (int)rng_below(&m->r, (u32)gpr_count());
		if (!(BIT16(reg) & (m->ptr | m->small)))
			break;
	}
	return reg;
}

struct form {
	u8 buf[16];
	int len;
	u8 r, x, b, v;		/* register extension bits, EVEX: r and v two bits */
	int addr_prefix;
	u64 rip_to;		/* not 0: RIP-relative to there */
};

static void put(struct form *f, u64 v, int bytes)
{
	memcpy(f->buf + f->len, &v, (size_t)bytes);
	f->len += bytes;
}

static s32 small_disp(struct maker *m)
{
	s32 d = (s32)rng_below(&m->r, 1024) - 512;

	return rng_pct(&m->r, 75) ? d & ~15 : d;
}

/* ModRM and displacement in 16-bit addressing. */
static void address16(struct maker *m, struct form *f, u8 reg)
{
	static const s8 base[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
	static const s8 index[8] = { RSI, RDI, RSI, RDI, -1, -1, -1, -1 };
	u8 rm = (u8)rng_below(&m->r, 8), mod = (u8)rng_below(&m->r, 3);
	u64 sum = m->t->gpr[base[rm]] + (index[rm] >= 0 ? m->t->gpr[index[rm]] : 0);
	u64 to = value_pointer(&m->r, false);
	bool good = (sum & 0xffff) < DATA_RW_SIZE;

	if (opt.bits != 16)
		to = (u16)rng64(&m->r);
	if (mod != 2 && !good && !rng_pct(&m->r, 5))
		mod = 2;
	if (rng_pct(&m->r, 15)) {
		mod = 0;
		rm = 6;
	}
	put(f, (u64)(mod << 6 | (reg & 7) << 3 | rm), 1);
	if (mod == 0 && rm == 6)
		put(f, to, 2);
	else if (mod == 1)
		put(f, (u64)small_disp(m) / 4, 1);
	else if (mod == 2)
		put(f, to - sum, 2);
}

/* Without base: RIP-relative, or absolute by way of a SIB byte. */
static void address_fixed(struct maker *m, struct form *f, u8 reg, bool wide)
{
	int index = rng_pct(&m->r, 30) ? pick(m, m->small & (u16)~BIT16(RSP)) : -1;
	u64 to = value_pointer(&m->r, false);

	if (index < 0 && opt.bits == 64 && rng_pct(&m->r, 70)) {
		put(f, (u64)(5 | (reg & 7) << 3), 1);
		put(f, 0, 4);
		f->rip_to = value_pointer(&m->r, m->t->high);
		if (!wide)
			f->rip_to &= 0xffffffff;
		return;
	}
	if (index < 0 && opt.bits != 64 && rng_pct(&m->r, 50)) {
		put(f, (u64)(5 | (reg & 7) << 3), 1);
		put(f, to, 4);
		return;
	}
	put(f, (u64)(4 | (reg & 7) << 3), 1);
	put(f, (u64)(5 | (index < 0 ? 4 : index & 7) << 3 | (rng64(&m->r) & 3) << 6), 1);
	f->x = index > 7;
	put(f, to, 4);
}

/* A displacement that leads from base and index to some data, when 32 bits can say it. */
static s32 aimed_disp(struct maker *m, int base, int index, int scale)
{
	u64 to = value_pointer(&m->r, !(m->ptr_low & BIT16(base)));
	s64 d = (s64)(to - m->t->gpr[base] - (index >= 0 ? m->t->gpr[index] << scale : 0));

	return d == (s32)d ? (s32)d : small_disp(m);
}

/* ModRM, SIB and displacement with 32- or 64-bit addressing. */
static void address(struct maker *m, struct form *f, u8 reg, bool vsib)
{
	bool wide = opt.bits == 64 && !f->addr_prefix;
	int base = pick(m, wide ? m->ptr : m->ptr_low), index = -1, scale = (int)(rng64(&m->r) & 3);
	u8 mod = rng_pct(&m->r, 25) ? 0 : rng_pct(&m->r, 60) ? 1 : 2;

	if (!vsib && (base < 0 || rng_pct(&m->r, 10))) {
		address_fixed(m, f, reg, wide);
		return;
	}
	if (base < 0 || rng_pct(&m->r, 2))
		base = (int)rng_below(&m->r, (u32)gpr_count());
	if (vsib)
		index = 6 + (int)(rng64(&m->r) & 1);
	else if (rng_pct(&m->r, 30))
		index = pick(m, m->small & (u16)~BIT16(RSP));
	if ((base & 7) == 5 && mod == 0)
		mod = 1;
	if (index >= 0 || (base & 7) == 4 || rng_pct(&m->r, 2)) {
		put(f, (u64)(mod << 6 | (reg & 7) << 3 | 4), 1);
		put(f, (u64)(scale << 6 | (index < 0 ? 4 : index & 7) << 3 | (base & 7)), 1);
		f->x = index > 7;
	} else {
		put(f, (u64)(mod << 6 | (reg & 7) << 3 | (base & 7)), 1);
	}
	f->b = base > 7;
	if (mod == 1)
		put(f, (u64)(small_disp(m) / 4 & ~(rng_pct(&m->r, 60) ? 15 : 0)), 1);
	else if (mod == 2)
		put(f, (u64)aimed_disp(m, base, vsib ? -1 : index, scale), 4);
}

/* --- encoding ---------------------------------------------------------------------- */

static int prefixes_legacy(struct maker *m, const struct enc *e, const struct form *f, u8 *b)
{
	static const u8 pp[] = { 0, 0x66, 0xf3, 0xf2 };
	static const u8 esc[] = { 0, 0, 0x38, 0x3a };
	u8 rex = (u8)(0x40 | e->w << 3 | (f->r & 1) << 2 | (f->x & 1) << 1 | (f->b & 1));
	bool lockable = e->flags & ENC_MEM && e->kind == ENC_LEGACY;
	int n = 0;

	if (f->addr_prefix)
		b[n++] = 0x67;
	if (e->flags & ENC_MEM && rng_pct(&m->r, 4))
		b[n++] = rng_pct(&m->r, 70) ? 0x64 | (rng64(&m->r) & 1) :
			 (u8)(0x26 | (rng64(&m->r) & 3) << 3);
	if (lockable && ((e->group == G_ATOMIC && rng_pct(&m->r, 50)) ||
			 ((e->group == G_ALU || e->group == G_BIT) && rng_pct(&m->r, 10))))
		b[n++] = 0xf0;
	if (e->pp)
		b[n++] = pp[e->pp];
	if (opt.bits == 64 && (rex != 0x40 || rng_pct(&m->r, 12)))
		b[n++] = rex;
	if (e->map)
		b[n++] = 0x0f;
	if (e->map > 1)
		b[n++] = esc[e->map];
	b[n++] = e->opcode;
	return n;
}

static int segment_prefixes(struct maker *m, const struct enc *e, const struct form *f, u8 *b)
{
	int n = 0;

	if (f->addr_prefix)
		b[n++] = 0x67;
	if (e->flags & ENC_MEM && rng_pct(&m->r, 4))
		b[n++] = 0x64 | (rng64(&m->r) & 1);
	return n;
}

static int prefixes_vex(struct maker *m, const struct enc *e, const struct form *f, u8 *b)
{
	int n = segment_prefixes(m, e, f, b);
	u8 wvlp = (u8)(e->w << 7 | (~f->v & 15) << 3 | e->l << 2 | e->pp);

	if (e->map == 1 && !e->w && !f->x && !f->b && rng_pct(&m->r, 60)) {
		b[n++] = 0xc5;
		b[n++] = (u8)((wvlp & 0x7f) | (f->r & 1 ? 0 : 0x80));
	} else {
		b[n++] = 0xc4;
		b[n++] = (u8)((f->r & 1 ? 0 : 0x80) | (f->x & 1 ? 0 : 0x40) |
			      (f->b & 1 ? 0 : 0x20) | e->map);
		b[n++] = wvlp;
	}
	b[n++] = e->opcode;
	return n;
}

static int prefixes_evex(struct maker *m, const struct enc *e, const struct form *f, u8 *b)
{
	int n = segment_prefixes(m, e, f, b);
	u8 mask = rng_pct(&m->r, 60) ? 0 : (u8)(rng64(&m->r) & 7), z = 0;

	if (e->flags & ENC_MASKED && !mask)
		mask = 1 + (u8)rng_below(&m->r, 7);
	if (mask)
		z = rng64(&m->r) & 1;
	b[n++] = 0x62;
	b[n++] = (u8)((f->r & 1 ? 0 : 0x80) | (f->x & 1 ? 0 : 0x40) | (f->b & 1 ? 0 : 0x20) |
		      (f->r & 2 ? 0 : 0x10) | e->map);
	b[n++] = (u8)(e->w << 7 | (~f->v & 15) << 3 | 4 | e->pp);
	b[n++] = (u8)(z << 7 | e->l << 5 | !!(e->flags & ENC_BCAST) << 4 |
		      (f->v & 16 ? 0 : 8) | mask);
	b[n++] = e->opcode;
	return n;
}

/* Immediates, absolute addresses: as much as any instruction can take. */
static void put_tail(struct maker *m, const struct enc *e, u8 *b)
{
	u64 v = rng_pct(&m->r, 60) ? value_int(&m->r) : rng64(&m->r);
	u64 w = rng64(&m->r);

	if (e->kind == ENC_LEGACY && e->map == 0) {
		if (e->opcode >= 0xa0 && e->opcode <= 0xa3)
			v = value_pointer(&m->r, opt.bits == 64 && rng_pct(&m->r, 50));
		if (e->opcode == 0xc8 && !rng_pct(&m->r, 10))
			v = (rng64(&m->r) & 0x3f0) | rng_below(&m->r, 4) << 16;
		if (e->opcode == 0xc2)
			v &= 0x3f;
	}
	memcpy(b, &v, 8);
	memcpy(b + 8, &w, 4);
}

static void choose_registers(struct maker *m, const struct enc *e, struct form *f, u8 *reg, u8 *rm)
{
	u64 x = rng64(&m->r);

	*reg = e->digit >= 0 ? (u8)e->digit : (u8)any_register(m);
	*rm = e->rm >= 0 ? (u8)e->rm : (u8)any_register(m);
	f->r = *reg >> 3;
	f->b = *rm >> 3;
	if (opt.bits == 64 && (e->rm >= 0 || e->digit >= 0) && (x & 15) == 0)
		f->r = x >> 4 & 1;
	f->v = (u8)any_register(m);
	if (e->kind == ENC_EVEX && opt.bits == 64) {
		f->r |= x >> 8 & 2;
		f->x = x >> 16 & 1;
		f->v |= x >> 20 & 16;
	}
	if (e->kind == ENC_VEX && rng_pct(&m->r, 30))
		f->v = 0;
	if (e->kind == ENC_EVEX && rng_pct(&m->r, 30))
		f->v = 0;
}

int instantiate(struct maker *m, const struct enc *e, struct insn *in)
{
	ZydisDecodedInstruction d;
	struct form f = { 0 };
	u8 b[40] = { 0 }, reg, rm;
	bool a16;
	int n;

	f.addr_prefix = rng_pct(&m->r, e->flags & ENC_MEM ? 6 : 1);
	a16 = (opt.bits == 16 && !f.addr_prefix) || (opt.bits == 32 && f.addr_prefix);
	choose_registers(m, e, &f, &reg, &rm);
	if (e->flags & ENC_MEM) {
		f.x = 0;
		f.b = 0;
		if (a16)
			address16(m, &f, reg);
		else
			address(m, &f, reg, e->flags & ENC_VSIB);
	} else if (e->flags & ENC_MODRM) {
		put(&f, (u64)(0xc0 | (reg & 7) << 3 | (rm & 7)), 1);
	}
	n = e->kind == ENC_LEGACY ? prefixes_legacy(m, e, &f, b) :
	    e->kind == ENC_VEX ? prefixes_vex(m, e, &f, b) : prefixes_evex(m, e, &f, b);
	memcpy(b + n, f.buf, (size_t)f.len);
	put_tail(m, e, b + n + f.len);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, b, 15, &d)) ||
	    d.mnemonic != e->mnemonic)
		return 0;
	memset(in, 0, sizeof(*in));
	in->len = d.length;
	memcpy(in->bytes, b, d.length);
	if (f.rip_to && d.raw.disp.size == 32) {
		in->fix = FIX_RIP;
		in->fix_off = d.raw.disp.offset;
		in->fix_size = 4;
		in->fix_to = f.rip_to;
	}
	return in->len;
}
