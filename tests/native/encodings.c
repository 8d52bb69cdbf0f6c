/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every way to encode every instruction that tests may use, found by asking
 * the decoder about all opcodes, prefixes and ModRM digits. A form that differs
 * from another in registers alone, or in a prefix that means nothing to it, is
 * not listed twice. (Intel SDM vol. 2, chapter 2 and appendix A.)
 */
#include <stdlib.h>
#include <string.h>

#include "gen.h"

#define MAX_ENCODINGS 24000

ZydisDecoder decoder;
static struct enc *table;
static int table_count;
static int *by_group[G_ENCODINGS];
static int group_size[G_ENCODINGS];

static int head_legacy(const struct enc *e, u8 *b)
{
	static const u8 pp[] = { 0, 0x66, 0xf3, 0xf2 };
	static const u8 map[] = { 0, 0, 0x38, 0x3a };
	int n = 0;

	if (e->pp)
		b[n++] = pp[e->pp];
	if (e->w)
		b[n++] = 0x48;
	if (e->map)
		b[n++] = 0x0f;
	if (e->map > 1)
		b[n++] = map[e->map];
	b[n++] = e->opcode;
	return n;
}

static int head_vex(const struct enc *e, u8 *b)
{
	static const u8 pp[] = { 0, 1, 2, 3 };

	b[0] = 0xc4;
	b[1] = 0xe0 | e->map;
	b[2] = (u8)(e->w << 7 | 0x78 | e->l << 2 | pp[e->pp]);
	b[3] = e->opcode;
	return 4;
}

static int head_evex(const struct enc *e, u8 *b)
{
	b[0] = 0x62;
	b[1] = 0xf0 | e->map;
	b[2] = (u8)(e->w << 7 | 0x7c | e->pp);
	b[3] = (u8)(e->l << 5 | !!(e->flags & ENC_BCAST) << 4 | 8 | !!(e->flags & ENC_MASKED));
	b[4] = e->opcode;
	return 5;
}

/* Decodes e with the given ModRM; true when there is such an instruction. */
static bool probe(const struct enc *e, u8 modrm, ZydisDecodedInstruction *in)
{
	u8 b[20] = { 0 };
	int n;

	n = e->kind == ENC_LEGACY ? head_legacy(e, b) : e->kind == ENC_VEX ? head_vex(e, b) :
									    head_evex(e, b);
	b[n] = modrm;
	if (e->flags & ENC_VSIB)
		b[n + 1] = 0x33;
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, b, 15, in)) &&
	       in->opcode == e->opcode;
}

/* The prefix of a legacy encoding means something. */
static bool prefix_counts(const struct enc *e, const ZydisDecodedInstruction *in)
{
	int i;

	if (e->kind != ENC_LEGACY)
		return true;
	for (i = 0; e->pp && i < in->raw.prefix_count; i++)
		if (in->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_IGNORED &&
		    in->raw.prefixes[i].value != 0x48)
			return false;
	return true;
}

static void add(struct enc e, const ZydisDecodedInstruction *in)
{
	int g = policy_group(in);

	if (g < 0 || table_count == MAX_ENCODINGS)
		return;
	e.group = (u8)g;
	e.mnemonic = in->mnemonic;
	table[table_count++] = e;
}

/* Forms of a ModRM byte with mod given, for one value of reg. */
static void scan_rm(struct enc e, int digit, u8 mod)
{
	ZydisDecodedInstruction in, first;
	int rm, same = 0;

	if (!probe(&e, (u8)(mod | digit << 3), &first) || !prefix_counts(&e, &first))
		first.mnemonic = ZYDIS_MNEMONIC_INVALID;
	for (rm = 0; rm < 8; rm++)
		if (probe(&e, (u8)(mod | digit << 3 | rm), &in) && in.mnemonic == first.mnemonic)
			same++;
	if (same == 8) {
		add(e, &first);
		return;
	}
	for (rm = 0; rm < 8; rm++) {
		e.rm = (s8)rm;
		if (probe(&e, (u8)(mod | digit << 3 | rm), &in) && prefix_counts(&e, &in))
			add(e, &in);
	}
}

/* All of one mod, either as one encoding or one a digit. */
static void scan_digits(struct enc e, u8 mod)
{
	ZydisDecodedInstruction in[8];
	int d, valid = 0, same = 0;
	u8 rm = e.flags & ENC_MEM ? e.flags & ENC_VSIB ? 4 : 3 : 1;

	for (d = 0; d < 8; d++) {
		if (!probe(&e, (u8)(mod | d << 3 | rm), &in[d])) {
			in[d].mnemonic = ZYDIS_MNEMONIC_INVALID;
			continue;
		}
		valid++;
		same += in[d].mnemonic == in[0].mnemonic;
	}
	/* x87, and groups 7 and 15, tell instructions apart by rm. */
	if (mod == 0xc0 && e.kind == ENC_LEGACY &&
	    ((e.map == 0 && e.opcode >= 0xd8 && e.opcode <= 0xdf) ||
	     (e.map == 1 && (e.opcode == 1 || e.opcode == 0xae || e.opcode == 0x1e)))) {
		for (d = 0; d < 8; d++) {
			e.digit = (s8)d;
			scan_rm(e, d, mod);
		}
		return;
	}
	if (valid == 8 && same == 8 && prefix_counts(&e, &in[0])) {
		add(e, &in[0]);
		return;
	}
	for (d = 0; d < 8; d++) {
		e.digit = (s8)d;
		if (in[d].mnemonic != ZYDIS_MNEMONIC_INVALID && prefix_counts(&e, &in[d]))
			add(e, &in[d]);
	}
}

static bool any_digit(const struct enc *e, u8 mod, u8 rm)
{
	ZydisDecodedInstruction in;
	int d;

	for (d = 0; d < 8; d++)
		if (probe(e, (u8)(mod | d << 3 | rm), &in))
			return true;
	return false;
}

static void scan_memory(struct enc e)
{
	int i;

	e.flags |= ENC_MEM;
	for (i = 0; i < 4; i++) {
		u8 flags = e.flags;

		if (i & 1)
			e.flags |= ENC_VSIB;
		if (i & 2)
			e.flags |= ENC_MASKED;
		if (i > 1 && e.kind != ENC_EVEX)
			return;
		if (any_digit(&e, 0x40, i & 1 ? 4 : 3)) {
			scan_digits(e, 0x40);
			return;
		}
		e.flags = flags;
	}
}

/* The same instruction with W clear: then this one adds nothing. */
static bool w_is_ignored(struct enc e)
{
	ZydisDecodedInstruction a, b;
	u8 modrm;
	int i;

	for (i = 0; i < 16; i++) {
		modrm = (u8)(i << 3 | (i & 8 ? 0xc1 : 0x43));
		e.w = 1;
		if (!probe(&e, modrm, &a))
			continue;
		e.w = 0;
		if (!probe(&e, modrm, &b) || a.mnemonic != b.mnemonic ||
		    a.operand_width != b.operand_width)
			return false;
	}
	return true;
}

static void scan_opcode(struct enc e)
{
	ZydisDecodedInstruction in;
	bool has_modrm = e.kind != ENC_LEGACY;

	e.digit = e.rm = -1;
	if (e.w && e.kind == ENC_LEGACY && w_is_ignored(e))
		return;
	if (e.kind == ENC_LEGACY) {
		if (e.map == 0 && (e.opcode == 0xc4 || e.opcode == 0xc5 || e.opcode == 0x62) &&
		    opt.bits == 64)
			return;
		if (probe(&e, 0x43, &in) || probe(&e, 0xc0, &in))
			has_modrm = in.attributes & ZYDIS_ATTRIB_HAS_MODRM;
		else
			has_modrm = true;
	}
	if (!has_modrm) {
		if (probe(&e, 0, &in) && prefix_counts(&e, &in))
			add(e, &in);
		return;
	}
	e.flags |= ENC_MODRM;
	scan_digits(e, 0xc0);
	scan_memory(e);
}

/* Prefixes in the opcode's place, and escapes. */
static bool not_an_opcode(const struct enc *e)
{
	if (e->kind != ENC_LEGACY)
		return false;
	if (e->map == 0)
		switch (e->opcode) {
		case 0x0f: case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
		case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
			return true;
		default:
			return opt.bits == 64 && (e->opcode & 0xf0) == 0x40;
		}
	return e->map == 1 && (e->opcode == 0x38 || e->opcode == 0x3a || e->opcode == 0x0f);
}

static void scan(u8 kind, u8 map, int ls)
{
	struct enc e = { .kind = kind, .map = map };
	int op, pp, w, l, bc;

	for (op = 0; op < 256; op++)
		for (pp = 0; pp < 4; pp++)
			for (w = 0; w < 2 && (w == 0 || kind != ENC_LEGACY || opt.bits == 64); w++)
				for (l = 0; l < ls; l++)
					for (bc = 0; bc < (kind == ENC_EVEX ? 2 : 1); bc++) {
						e.opcode = (u8)op;
						e.pp = (u8)pp;
						e.w = (u8)w;
						e.l = (u8)l;
						e.flags = bc ? ENC_BCAST : 0;
						if (!not_an_opcode(&e))
							scan_opcode(e);
					}
}

static void index_groups(void)
{
	int i, g;

	for (i = 0; i < table_count; i++)
		group_size[table[i].group]++;
	for (g = 0; g < G_ENCODINGS; g++) {
		by_group[g] = calloc((size_t)group_size[g] + 1, sizeof(int));
		group_size[g] = 0;
	}
	for (i = 0; i < table_count; i++)
		by_group[table[i].group][group_size[table[i].group]++] = i;
}

void encodings_init(void)
{
	u8 map;

	if (opt.bits == 64)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (opt.bits == 32)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	table = calloc(MAX_ENCODINGS, sizeof(*table));
	for (map = 0; map < 4; map++)
		scan(ENC_LEGACY, map, 1);
	for (map = 1; map < 4 && have_avx(); map++)
		scan(ENC_VEX, map, 2);
	for (map = 1; map < 4 && have_avx512(); map++)
		scan(ENC_EVEX, map, 3);
	index_groups();
}

const struct enc *encoding_pick(struct rng *r, int group)
{
	int g;

	if (group < G_ENCODINGS) {
		if (!group_size[group])
			return NULL;
		return &table[by_group[group][rng_below(r, (u32)group_size[group])]];
	}
	/* Any: each group as often as the others, but for those that mostly fault. */
	for (;;) {
		g = (int)rng_below(r, G_ENCODINGS);
		if (g == G_FPENV || ((g == G_PRIV || g == G_SEGMENT) && !rng_pct(r, 10)))
			continue;
		if (group_size[g])
			return encoding_pick(r, g);
	}
}

int encoding_count(int group)
{
	return group < G_ENCODINGS ? group_size[group] : table_count;
}

void encodings_list(void)
{
	static const char *const kind[] = { "", "vex.", "evex." };
	const struct enc *e;
	int i;

	for (i = 0; i < table_count; i++) {
		e = &table[i];
		printf("%-8s %-16s %smap%d.pp%d.w%d.l%d %02x /%d rm%d flags %x\n",
		       group_name[e->group], ZydisMnemonicGetString(e->mnemonic), kind[e->kind],
		       e->map, e->pp, e->w, e->l, e->opcode, e->digit, e->rm, e->flags);
	}
}
