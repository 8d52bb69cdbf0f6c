/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Masked memory operands at the edges of what is mapped and writable, and at
 * segment limits: every instruction that has one, with an operand that lies
 * across the edge or wholly beyond it, and masks of which often only elements
 * on the good side are active. Also the byte-masked stores at rDI.
 */
#include <string.h>

#include "gen.h"

struct operand {
	int base;		/* register that is set to aim the operand */
	u64 addr;		/* effective address without the base */
	u64 addr_mask;
	ZydisRegister segment;
	u32 size, elem;
};

/* An offset in the data, or below it, where the rights to memory change. */
static s64 edge(struct maker *m, ZydisRegister segment)
{
	static const s64 page[] = { 0, 0x1000, DATA_RW_SIZE, DATA_SIZE };
	s64 below = opt.bits == 64 ? 0 : LOW_BASE + DATA_OFFSET;

	if (opt.bits != 64 && segment == ZYDIS_REGISTER_FS)
		return rng_pct(&m->r, 60) ? 0x1801 : 0x100 + page[rng_below(&m->r, 3)];
	if (opt.bits != 64 && segment == ZYDIS_REGISTER_GS)
		return rng_pct(&m->r, 60) ? 0x800 : page[1 + rng_below(&m->r, 3)];
	if (opt.bits == 16)
		below = 0;
	return below + page[rng_below(&m->r, 4)];
}

/* The offset in its segment at which the operand shall be. */
static u64 target(struct maker *m, const struct operand *o)
{
	s64 at = edge(m, o->segment);
	u32 slack = o->size + 2 * o->elem;

	if (opt.bits == 64)
		at += (s64)((rng_pct(&m->r, 50) ? HIGH_BASE : LOW_BASE) + DATA_OFFSET);
	if (o->segment == ZYDIS_REGISTER_FS && opt.bits == 64)
		at -= (s64)m->t->fs_base;
	if (o->segment == ZYDIS_REGISTER_GS && opt.bits == 64)
		at -= (s64)m->t->gs_base;
	at -= (s64)rng_below(&m->r, slack + 1) - o->elem;
	if (rng_pct(&m->r, 60))
		at &= -(s64)o->elem;
	return (u64)at;
}

static int number(ZydisRegister reg)
{
	ZydisRegister r = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (r < ZYDIS_REGISTER_RAX || r > ZYDIS_REGISTER_R15)
		return -1;
	return r - ZYDIS_REGISTER_RAX;
}

/* True when the operand's base can be chosen freely. */
static bool describe(struct maker *m, const ZydisDecodedInstruction *in,
		     const ZydisDecodedOperand *mem, struct operand *o)
{
	int index = mem->mem.type == ZYDIS_MEMOP_TYPE_MEM ? number(mem->mem.index) : -1;

	o->base = number(mem->mem.base);
	o->segment = mem->mem.segment;
	o->size = mem->size / 8;
	o->elem = mem->element_size >= 8 ? mem->element_size / 8u : 1;
	o->addr_mask = in->address_width == 64 ? ~0ull : (1ull << in->address_width) - 1;
	o->addr = (u64)mem->mem.disp.value;
	if (index >= 0)
		o->addr += m->t->gpr[index] * mem->mem.scale;
	return o->base >= 0 && o->base != index && o->size;
}

static void aim(struct maker *m, const struct operand *o)
{
	u64 base = (target(m, o) - o->addr) & o->addr_mask;

	if (o->addr_mask == 0xffff)
		base |= m->t->gpr[o->base] & 0xffff0000;
	m->t->gpr[o->base] = base;
}

/* All masks: few bits, many, a run of them, or none. */
static void choose_masks(struct maker *m)
{
	struct fpstate *f = &m->t->fp;
	u64 run;
	u32 i, j;

	for (i = 0; i < 8; i++) {
		run = rng64(&m->r) >> rng_below(&m->r, 64);
		switch (rng_below(&m->r, 6)) {
		case 0:
			f->k[i] = 0;
			break;
		case 1:
			f->k[i] = 1ull << rng_below(&m->r, rng_pct(&m->r, 50) ? 16 : 64);
			break;
		case 2:
			f->k[i] = run << rng_below(&m->r, 16);
			break;
		case 3:
			f->k[i] = rng64(&m->r) & rng64(&m->r) & rng64(&m->r);
			break;
		case 4:
			f->k[i] = ((2ull << rng_below(&m->r, 16)) - 1) << rng_below(&m->r, 16);
			break;
		default:
			f->k[i] = rng64(&m->r);
			break;
		}
	}
	for (i = 0; i < 16; i++)
		for (j = 0; j < 32 && f->k[i & 7] != ~0ull; j += 4)
			f->vec[i][j + 3] = (u8)((f->vec[i][j + 3] & 0x7f) |
						(f->k[i & 7] >> (j / 4) & 1) << 7);
}

static bool is_masked_vex(const ZydisDecodedInstruction *in)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return true;
	default:
		return false;
	}
}

/* Gives an EVEX instruction a mask; the decoder says whether it takes one. */
static bool add_mask(struct maker *m, struct insn *in, const ZydisDecodedInstruction *d)
{
	u8 *p = &in->bytes[d->raw.evex.offset + 3];

	if (d->encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX)
		return is_masked_vex(d);
	if (!(*p & 7))
		*p |= 1 + (u8)rng_below(&m->r, 7);
	return true;
}

/* One of the segments with a limit, in place of the NOP that it is otherwise. */
static void add_segment(struct maker *m, struct insn *in)
{
	if (opt.bits == 64 || in->len > 14 || !rng_pct(&m->r, 35))
		return;
	memmove(in->bytes + 1, in->bytes, in->len++);
	in->bytes[0] = 0x64 | (rng64(&m->r) & 1);
}

/* Adds an encoding with its operand aimed; masked: where it takes a mask. */
static bool add_aimed(struct maker *m, const struct enc *e, bool masked)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction d;
	struct operand o;
	struct insn in;
	int i;

	if (!e || !(e->flags & ENC_MEM) || !instantiate(m, e, &in) || in.fix)
		return false;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, in.bytes, in.len, &d)) ||
	    (masked && !(e->flags & ENC_VSIB) && !add_mask(m, &in, &d)))
		return false;
	add_segment(m, &in);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, in.bytes, in.len, &d, op)))
		return false;
	for (i = 0; i < d.operand_count_visible; i++)
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && describe(m, &d, &op[i], &o)) {
			aim(m, &o);
			maker_add_raw(m, in.bytes, in.len);
			return true;
		}
	return false;
}

static bool masked_operand(struct maker *m)
{
	static const u8 group[] = { G_AVX512, G_AVX512, G_AVX512, G_AVX, G_FMA, G_GATHER,
				    G_CRYPTO };

	return add_aimed(m, encoding_pick(&m->r, group[rng_below(&m->r, sizeof(group))]), true);
}

/* For comparison: operands that are accessed as a whole, many of which must be aligned. */
static bool whole_operand(struct maker *m)
{
	static const u8 group[] = { G_SSE, G_SSE, G_AVX, G_AVX512, G_CRYPTO, G_MMX };

	return add_aimed(m, encoding_pick(&m->r, group[rng_below(&m->r, sizeof(group))]), false);
}

/* MASKMOVQ, MASKMOVDQU and VMASKMOVDQU */
static void masked_bytes(struct maker *m)
{
	struct operand o = { .base = RDI, .addr_mask = opt.bits == 64 ? ~0ull : 0xffffffff,
			     .segment = ZYDIS_REGISTER_DS, .size = 16, .elem = 1 };
	u8 modrm = 0xc0 | (rng64(&m->r) & 0x3f), b[5];
	struct fpstate *f = &m->t->fp;
	u64 mask = f->k[rng64(&m->r) & 7];
	int i;

	for (i = 0; i < 16; i++)
		f->vec[modrm & 7][i] = (u8)((f->vec[modrm & 7][i] & 0x7f) | (mask >> i & 1) << 7);
	for (i = 0; i < 8; i++)
		f->st[modrm & 7][i] = (u8)((f->st[modrm & 7][i] & 0x7f) | (mask >> i & 1) << 7);
	if (opt.bits == 16)
		o.addr_mask = 0xffff;
	aim(m, &o);
	switch (rng_below(&m->r, have_avx() ? 3 : 2)) {
	case 0:
		memcpy(b, (u8[]){ 0x0f, 0xf7, modrm }, 3);
		maker_add_raw(m, b, 3);
		break;
	case 1:
		memcpy(b, (u8[]){ 0x66, 0x0f, 0xf7, modrm }, 4);
		maker_add_raw(m, b, 4);
		break;
	default:
		memcpy(b, (u8[]){ 0xc5, 0xf9, 0xf7, modrm }, 4);
		maker_add_raw(m, b, 4);
		break;
	}
}

void program_masked(struct maker *m)
{
	int tries = 0, count = 1 + (int)rng_below(&m->r, 3);

	choose_masks(m);
	if (rng_pct(&m->r, 6))
		m->t->rflags |= FL_AC;
	if (!have_avx() || rng_pct(&m->r, 8)) {
		masked_bytes(m);
		return;
	}
	while (m->t->count < count && tries++ < 60) {
		if (rng_pct(&m->r, 80))
			masked_operand(m);
		else
			whole_operand(m);
	}
	if (!m->t->count)
		masked_bytes(m);
}
