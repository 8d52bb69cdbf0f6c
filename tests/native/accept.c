/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The judge of drawn instructions: whether one fits into the test so far,
 * given where registers point, which flags are undefined, and what a wild
 * jump or store would do to the rest. Also the generator of random bytes,
 * which has no other rules than these.
 */
#include <string.h>

#include "gen.h"

#define BIT16(n) ((u16)(1u << (n)))

struct decoded {
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

static int gpr_number(ZydisRegister reg)
{
	ZydisRegister r = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (r < ZYDIS_REGISTER_RAX || r > ZYDIS_REGISTER_R15)
		return -1;
	return r - ZYDIS_REGISTER_RAX;
}

/* Does the instruction move its own pointers a little, as PUSH and STOS do? */
static bool moves_pointers(const struct decoded *d)
{
	switch (d->in.meta.category) {
	case ZYDIS_CATEGORY_PUSH: case ZYDIS_CATEGORY_POP: case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET: case ZYDIS_CATEGORY_STRINGOP: case ZYDIS_CATEGORY_IOSTRINGOP:
		return true;
	default:
		return d->in.mnemonic == ZYDIS_MNEMONIC_ENTER;
	}
}

/* Every memory operand has a base that points to data, or none. */
static bool memory_is_aimed(struct maker *m, const struct decoded *d)
{
	const ZydisDecodedOperand *o;
	int i, base;

	for (i = 0; i < d->in.operand_count; i++) {
		o = &d->op[i];
		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		base = gpr_number(o->mem.base);
		/* Return addresses of a program stay whole. */
		if (m->loop && base == RSP && o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			return false;
		if (base >= 0 && !(m->ptr & BIT16(base)) && d->in.address_width != 16)
			return false;
		if (o->mem.index != ZYDIS_REGISTER_NONE && gpr_number(o->mem.index) >= 0 &&
		    !(m->small & BIT16(gpr_number(o->mem.index))) && d->in.address_width != 16)
			return false;
	}
	return true;
}

/* A bit offset or a repeat count that leads far away. */
static bool reaches_far(struct maker *m, const struct decoded *d)
{
	int reg;

	if (policy_repeated(&d->in) && !(m->small & BIT16(RCX)))
		return true;
	switch (d->in.mnemonic) {
	case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR: case ZYDIS_MNEMONIC_BTC:
		if (d->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    d->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
			return false;
		reg = gpr_number(d->op[1].reg.value);
		return reg >= 0 && !(m->small & BIT16(reg));
	default:
		return false;
	}
}

/* The registers with a role that it overwrites; RSP in particular is worth keeping. */
static u16 roles_lost(struct maker *m, const struct decoded *d)
{
	const ZydisDecodedOperand *o;
	u16 lost = 0;
	int i, reg;

	for (i = 0; i < d->in.operand_count; i++) {
		o = &d->op[i];
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		reg = gpr_number(o->reg.value);
		if (reg < 0)
			continue;
		if (moves_pointers(d) && o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		lost |= BIT16(reg);
	}
	/* LEAVE's new RSP is RBP. */
	if (d->in.mnemonic == ZYDIS_MNEMONIC_LEAVE && m->ptr & BIT16(RBP))
		lost &= (u16)~BIT16(RSP);
	return lost & (m->ptr | m->small | m->keep);
}

/* Leaves the sequence for where data says. */
static bool jumps_away(const struct decoded *d)
{
	if (policy_relative(&d->in))
		return false;
	return d->in.meta.category == ZYDIS_CATEGORY_RET ||
	       d->in.meta.category == ZYDIS_CATEGORY_CALL ||
	       d->in.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
}

static bool likely_fault(const struct decoded *d)
{
	switch (d->in.mnemonic) {
	case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV: case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR: case ZYDIS_MNEMONIC_AAM: case ZYDIS_MNEMONIC_BOUND:
		return true;
	default:
		return false;
	}
}

static bool flags_allow(struct maker *m, const struct decoded *d)
{
	const ZydisAccessedFlags *fl = d->in.cpu_flags;

	if (opt.undefined || !fl)
		return true;
	if (m->loop && fl->undefined & ~ZYDIS_CPUFLAG_AF)
		return false;
	return !(fl->tested & m->undef);
}

/* Repetitions may end at a fault with any of their flags. */
static void follow_flags(struct maker *m, const struct decoded *d, struct insn *in)
{
	const ZydisAccessedFlags *fl = d->in.cpu_flags;
	bool certain = m->t->count >= m->shadow && !policy_may_keep_flags(&d->in);

	in->undef = m->undef;
	in->rep = policy_repeated(&d->in);
	if (opt.undefined || !fl)
		return;
	if (certain)
		m->undef &= ~(fl->modified | fl->set_0 | fl->set_1);
	m->undef |= fl->undefined & FL_ARITH;
}

/* Where a relative branch goes: one of the next few instructions. */
static void aim_branch(struct maker *m, const struct decoded *d, struct insn *in)
{
	int to = m->t->count + 1 + (int)rng_below(&m->r, 4);

	in->fix = FIX_BRANCH;
	in->fix_off = d->in.raw.imm[0].offset;
	in->fix_size = d->in.raw.imm[0].size / 8;
	in->fix_to = (u64)to;
	if (m->shadow < to)
		m->shadow = to;
}

/* A repeat prefix on LOOPE and LOOPNE: some processors let it choose the condition. */
static bool odd_loop(const ZydisDecodedInstruction *in)
{
	int i;

	if (in->mnemonic != ZYDIS_MNEMONIC_LOOPE && in->mnemonic != ZYDIS_MNEMONIC_LOOPNE)
		return false;
	for (i = 0; i < in->raw.prefix_count; i++)
		if (in->raw.prefixes[i].value == 0xf2 || in->raw.prefixes[i].value == 0xf3)
			return true;
	return false;
}

/*
 * EVEX.X extends vector registers in ModRM.rm, and means nothing to general ones.
 * Zen 5 then reads an RSP that lacks the pushes before it: leave that alone.
 */
static bool odd_evex(const struct decoded *d)
{
	int i;

	if (d->in.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || d->in.raw.modrm.mod != 3 ||
	    d->in.raw.evex.X)
		return false;
	for (i = 0; i < d->in.operand_count; i++)
		if (d->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    gpr_number(d->op[i].reg.value) >= 0)
			return true;
	return false;
}

static bool group_fits(struct maker *m, const struct decoded *d, int group)
{
	int g = policy_group(&d->in);

	if (g < 0 || (g == G_FPENV && group != G_FPENV) || odd_loop(&d->in) ||
	    odd_evex(d))
		return false;
	if (group == G_BYTES && (g == G_PRIV || g == G_SEGMENT) && !rng_pct(&m->r, 10))
		return false;
	/* AMD truncates RIP, Intel ignores the prefix. */
	if (opt.bits == 64 && d->in.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
	    d->in.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return false;
	if (m->loop && (g == G_STACK || g == G_PRIV || g == G_SEGMENT))
		return false;
	return true;
}

bool maker_accept(struct maker *m, struct insn *in, int group)
{
	struct decoded d;
	u16 lost;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, in->bytes, in->len, &d.in, d.op)))
		return false;
	if (!group_fits(m, &d, group) || !flags_allow(m, &d))
		return false;
	if (!memory_is_aimed(m, &d) && !rng_pct(&m->r, m->loop ? 0 : 8))
		return false;
	if (reaches_far(m, &d) && !rng_pct(&m->r, 8))
		return false;
	/* In 16 bits any number is an address in the code of earlier tests. */
	if (jumps_away(&d) && (opt.bits == 16 || !rng_pct(&m->r, 10)))
		return false;
	if (likely_fault(&d) && !rng_pct(&m->r, 30))
		return false;
	lost = roles_lost(m, &d);
	if (lost & m->keep || (lost && (m->loop || !rng_pct(&m->r, lost & BIT16(RSP) ? 3 : 15))))
		return false;
	m->ptr &= (u16)~lost;
	m->ptr_low &= (u16)~lost;
	m->small &= (u16)~lost;
	if (d.in.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B && opt.bits != 64)
		m->small &= (u16)~BIT16(RCX);
	if (policy_relative(&d.in))
		aim_branch(m, &d, in);
	follow_flags(m, &d, in);
	return true;
}

/* The addresses that random bytes name are given a chance to exist. */
static void aim_bytes(struct maker *m, struct insn *in, const ZydisDecodedInstruction *d)
{
	u64 to = value_pointer(&m->r, false);

	if (!(d->attributes & ZYDIS_ATTRIB_HAS_MODRM) || d->raw.disp.size < 16)
		return;
	if (opt.bits == 64 && d->raw.modrm.mod == 0 && d->raw.modrm.rm == 5) {
		in->fix = FIX_RIP;
		in->fix_off = d->raw.disp.offset;
		in->fix_size = 4;
		in->fix_to = value_pointer(&m->r, m->t->high);
		if (d->address_width == 32)
			in->fix_to &= 0xffffffff;
		return;
	}
	if (d->raw.disp.size == 32 && d->raw.modrm.mod != 0)
		to = (u64)(s64)(s16)(rng64(&m->r) & 0x3ff);
	memcpy(in->bytes + d->raw.disp.offset, &to, d->raw.disp.size / 8);
}

bool maker_add_bytes(struct maker *m)
{
	static const u8 prefix[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64,
				     0x65 };
	ZydisDecodedInstruction d;
	struct insn in;
	u64 tail[2];
	u8 b[32];
	int tries, n;

	for (tries = 0; tries < 300 && m->t->count < MAX_INSNS; tries++) {
		n = 0;
		while (n < 6 && rng_pct(&m->r, 22))
			b[n++] = prefix[rng_below(&m->r, sizeof(prefix))];
		if (opt.bits == 64 && rng_pct(&m->r, 40))
			b[n++] = 0x40 | (rng64(&m->r) & 15);
		if (rng_pct(&m->r, 50))
			b[n++] = 0x0f;
		tail[0] = rng64(&m->r);
		tail[1] = rng64(&m->r);
		memcpy(b + n, tail, 16);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, b, 15, &d)))
			continue;
		memset(&in, 0, sizeof(in));
		in.len = d.length;
		memcpy(in.bytes, b, d.length);
		aim_bytes(m, &in, &d);
		if (maker_accept(m, &in, G_BYTES)) {
			m->t->insn[m->t->count++] = in;
			return true;
		}
	}
	return false;
}

struct insn *maker_add_raw(struct maker *m, const void *bytes, int len)
{
	struct insn *in = &m->t->insn[m->t->count];
	struct decoded d;

	if (m->t->count == MAX_INSNS)
		return in - 1;
	memset(in, 0, sizeof(*in));
	memcpy(in->bytes, bytes, (size_t)len);
	in->len = (u8)len;
	if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, (size_t)len, &d.in, d.op)))
		follow_flags(m, &d, in);
	m->t->count++;
	return in;
}

u32 test_undefined(const struct test *t)
{
	ZydisDecodedInstruction in;
	u32 all = 0;
	int i;

	for (i = 0; i < t->count && !opt.undefined; i++)
		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, t->insn[i].bytes,
							       t->insn[i].len, &in)) &&
		    in.cpu_flags)
			all |= in.cpu_flags->undefined & FL_ARITH;
	return all;
}
