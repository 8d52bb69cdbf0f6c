/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a test: registers get roles (pointer, small number, anything), and
 * instructions are drawn that mostly respect them, so that a sequence
 * computes for a while instead of faulting at once. What an instruction leaves
 * undefined is followed to the end, and nothing may look at it on the way.
 */
#include <stdlib.h>
#include <string.h>

#include "gen.h"

#define BIT16(n) ((u16)(1u << (n)))

static int gpr_count(void)
{
	return opt.bits == 64 ? 16 : 8;
}

static void give_pointer(struct maker *m, int reg)
{
	bool high = opt.bits == 64 && rng_pct(&m->r, 50);

	m->t->gpr[reg] = value_pointer(&m->r, high);
	m->ptr |= BIT16(reg);
	m->ptr_low &= (u16)~BIT16(reg);
	if (!high)
		m->ptr_low |= BIT16(reg);
}

static void give_small(struct maker *m, int reg)
{
	static const u8 step[] = { 1, 1, 4, 8, 16 };
	u64 v = rng_below(&m->r, 40) * step[rng_below(&m->r, 5)];

	if (rng_pct(&m->r, 10))
		v = -v;
	m->t->gpr[reg] = opt.bits == 64 ? v : (u32)v;
	m->small |= BIT16(reg);
}

static void give_stack(struct maker *m)
{
	u64 off = 0x800 + rng_below(&m->r, 0x1000);
	bool high = opt.bits == 64 && rng_pct(&m->r, 50);
	u64 base = (high ? HIGH_BASE : LOW_BASE) + DATA_OFFSET;

	if (rng_pct(&m->r, 5)) {
		off = rng_below(&m->r, 64);
		if (rng_pct(&m->r, 50))
			off = DATA_RW_SIZE - off;
	}
	if (!rng_pct(&m->r, 8))
		off &= ~7ull;
	m->t->gpr[RSP] = base + off;
	if (opt.bits == 16)
		m->t->gpr[RSP] = (CTX_BASE & 0xffff0000) | off;
	m->ptr |= BIT16(RSP);
	if (!high)
		m->ptr_low |= BIT16(RSP);
}

static void give_registers(struct maker *m, int group)
{
	/* In percent, of the low eight registers. */
	static const u8 pointer[8] = { 20, 10, 20, 70, 0, 75, 88, 88 };
	static const u8 small[8] = { 15, 65, 15, 10, 0, 10, 10, 10 };
	u32 pct;
	int i;

	for (i = 0; i < gpr_count(); i++) {
		if (i == RSP) {
			give_stack(m);
			continue;
		}
		pct = rng_below(&m->r, 100);
		m->t->gpr[i] = value_int(&m->r);
		if (opt.bits != 64)
			m->t->gpr[i] &= 0xffffffff;
		if (pct < (i < 8 ? pointer[i] : 25))
			give_pointer(m, i);
		else if (pct < (i < 8 ? pointer[i] + small[i] : 45))
			give_small(m, i);
		if (group == G_HAND && (i == RBX || i == RBP || i == RSI || i == RDI))
			give_pointer(m, i);
	}
	if (group >= G_FLOW && group != G_AC && group != G_TF)
		give_small(m, RCX);
	if (group == G_AC)
		m->t->rflags |= FL_AC;
	if (group == G_TF)
		m->t->rflags |= FL_TF;
}

static void give_segments(struct maker *m)
{
	struct test *t = m->t;

	if (opt.bits == 64) {
		t->ss = SEL_USERDS;
		t->fs_base = rng_pct(&m->r, 50) ? 0 : (u64)(s64)(s8)rng64(&m->r);
		t->gs_base = rng_pct(&m->r, 50) ? value_pointer(&m->r, true) : 64;
		if ((s64)t->fs_base < 0)
			t->fs_base = -(s64)t->fs_base;
		return;
	}
	t->ds = t->es = t->ss = opt.bits == 16 ? SEL_DATA16 : SEL_USERDS;
	t->fs = SEL_FS_DATA;
	t->gs = SEL_GS_DOWN;
}

void maker_init(struct maker *m, struct test *t, int group, u64 seed)
{
	memset(t, 0, offsetof(struct test, at));
	memset(m, 0, sizeof(*m));
	m->t = t;
	m->r.state = seed;
	rng64(&m->r);
	t->seed = seed;
	t->group = group;
	values_state(t, &m->r);
	give_registers(m, group);
	give_segments(m);
	t->high = opt.bits == 64 && rng_pct(&m->r, 50);
	t->shift = (u16)(rng64(&m->r) & 0xff);
	t->place = rng_pct(&m->r, 10) ? PLACE_CROSS : rng_pct(&m->r, 2) ? PLACE_END : PLACE_PLAIN;
	m->limit = 1 + (int)rng_below(&m->r, 16);
}

static int plain_group(struct maker *m, int group)
{
	static const u8 basic[] = { G_ALU, G_ALU, G_MOVE, G_BIT, G_SHIFT, G_STACK };

	switch (group) {
	case G_AC:
	case G_TF:
	case G_MIXED:
		return G_MIXED;
	case G_FLAGS:
	case G_FSGS:
	case G_PRIV:
	case G_SEGMENT:
		return rng_pct(&m->r, 35) ? group : basic[rng_below(&m->r, 6)];
	case G_DECIMAL:
		return rng_pct(&m->r, 60) ? group : basic[rng_below(&m->r, 6)];
	default:
		return rng_pct(&m->r, 85) ? group : basic[rng_below(&m->r, 6)];
	}
}

bool maker_add(struct maker *m, int group)
{
	const struct enc *e;
	struct insn in;
	int tries;

	for (tries = 0; tries < 60 && m->t->count < MAX_INSNS; tries++) {
		e = encoding_pick(&m->r, group);
		if (!e)
			return false;
		if (instantiate(m, e, &in) && maker_accept(m, &in, group)) {
			m->t->insn[m->t->count++] = in;
			return true;
		}
	}
	return false;
}

/* Branches to beyond the end go to the end. */
static void finish(struct maker *m)
{
	struct test *t = m->t;
	int i;

	for (i = 0; i < t->count; i++)
		if (t->insn[i].fix == FIX_BRANCH && t->insn[i].fix_to > (u64)t->count)
			t->insn[i].fix_to = (u64)t->count;
	t->undef_end = m->undef;
	/* IRET to a 16-bit stack segment loads SP alone: the rest is enter.S's. */
	if (opt.bits == 16)
		t->gpr[RSP] = (CTX_BASE & 0xffff0000) | (t->gpr[RSP] & 0xffff);
}

bool group_usable(int group)
{
	if (group == G_SMC || group == G_XSAVE)
		return opt.bits != 16;
	return group >= G_ENCODINGS || encoding_count(group) > 0;
}

void test_generate(struct test *t, int group, u64 seed)
{
	struct maker m;
	int tries = 0;

	maker_init(&m, t, group, seed);
	switch (group) {
	case G_FLOW:
		program_flow(&m);
		break;
	case G_SMC:
		program_smc(&m);
		break;
	case G_HAND:
		program_hand(&m);
		break;
	case G_UD:
		program_ud(&m);
		break;
	case G_MASKED:
		program_masked(&m);
		break;
	case G_FAR:
		program_far(&m);
		break;
	case G_XSAVE:
		program_xsave(&m);
		break;
	case G_BYTES:
		while (t->count < m.limit && tries++ < 40)
			maker_add_bytes(&m);
		break;
	default:
		while (t->count < m.limit && tries++ < 40)
			maker_add(&m, plain_group(&m, group));
		break;
	}
	finish(&m);
}

int test_from_hex(struct test *t, const char *hex, u64 seed)
{
	ZydisDecodedInstruction d;
	struct maker m;
	u8 b[MAX_CODE];
	u32 len = 0, at = 0;
	unsigned v;
	int n;

	while (len < sizeof(b) && sscanf(hex, " %2x%n", &v, &n) == 1) {
		b[len++] = (u8)v;
		hex += n;
	}
	maker_init(&m, t, G_HAND, seed);
	while (at < len && t->count < MAX_INSNS) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, b + at, len - at,
								&d)))
			d.length = (ZyanU8)(len - at > 15 ? 15 : len - at);
		maker_add_raw(&m, b + at, d.length);
		at += d.length;
	}
	finish(&m);
	return t->count ? 0 : -1;
}
