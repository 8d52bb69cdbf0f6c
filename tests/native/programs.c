/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests with a structure: loops, calls, indirect jumps, and code that changes
 * itself, which must take effect at the very next instruction (Intel SDM vol.
 * 3, 12.1.3).
 */
#include <string.h>

#include "program.h"

struct insn *program_raw(struct maker *m, const char *bytes, int len)
{
	return maker_add_raw(m, bytes, len);
}

void program_fix(struct insn *in, int kind, int off, int size, int to, int add)
{
	in->fix = (u8)kind;
	in->fix_off = (u8)off;
	in->fix_size = (u8)size;
	in->fix_to = (u64)to;
	in->fix_add = (s8)add;
}

struct insn *program_branch8(struct maker *m, u8 opcode, int to)
{
	u8 b[2] = { opcode, 0 };
	struct insn *in = maker_add_raw(m, b, 2);

	program_fix(in, FIX_BRANCH, 1, 1, to, 0);
	return in;
}

struct insn *program_branch(struct maker *m, u16 opcode, int to)
{
	u8 b[8] = { 0 };
	int n = 0, size = opt.bits == 16 ? 2 : 4;
	struct insn *in;

	if (opcode > 0xff)
		b[n++] = (u8)(opcode >> 8);
	b[n++] = (u8)opcode;
	in = maker_add_raw(m, b, n + size);
	program_fix(in, FIX_BRANCH, n, size, to, 0);
	return in;
}

void program_load_label(struct maker *m, int to)
{
	if (opt.bits == 64)
		program_fix(RAW(m, "\x48\x8d\x05\0\0\0\0"), FIX_RIP_CODE, 3, 4, to, 0);
	else if (opt.bits == 32)
		program_fix(RAW(m, "\xb8\0\0\0\0"), FIX_CODE, 1, 4, to, 0);
	else
		program_fix(RAW(m, "\xb8\0\0"), FIX_CODE, 1, 2, to, 0);
}

void program_claim(struct maker *m, int reg)
{
	m->ptr &= (u16)~(1u << reg);
	m->ptr_low &= (u16)~(1u << reg);
	m->small &= (u16)~(1u << reg);
	m->keep |= (u16)(1u << reg);
}

void program_body(struct maker *m, int n)
{
	static const u8 group[] = { G_ALU, G_ALU, G_MOVE, G_BIT, G_SHIFT, G_SSE, G_AVX, G_X87,
				    G_BMI, G_ATOMIC, G_MULDIV, G_STRING };
	bool loop = m->loop;

	m->loop = true;
	m->undef |= ZYDIS_CPUFLAG_AF;
	while (n--)
		if (!maker_add(m, group[rng_below(&m->r, ARRAY_SIZE(group))]))
			break;
	m->loop = loop;
}

/* mov ecx, n; now and then long enough to be called hot */
static void set_count(struct maker *m, int n)
{
	u8 b[5] = { 0xb9 };

	if (rng_pct(&m->r, 4))
		n += (int)rng_below(&m->r, 3000);
	b[1] = (u8)n;
	b[2] = (u8)(n >> 8);

	maker_add_raw(m, b, opt.bits == 16 ? 3 : 5);
	program_claim(m, RCX);
	m->t->gpr[RCX] = (u64)n;
}

static void dec_count(struct maker *m)
{
	RAW(m, "\xff\xc9");
}

static void counted_loop(struct maker *m)
{
	int top;

	set_count(m, 1 + (int)rng_below(&m->r, 40));
	top = m->t->count;
	program_body(m, 1 + (int)rng_below(&m->r, 6));
	switch (rng_below(&m->r, 3)) {
	case 0:
		dec_count(m);
		program_branch8(m, 0x75, top);
		break;
	case 1:
		dec_count(m);
		program_branch(m, 0x0f85, top);
		break;
	default:
		program_branch8(m, 0xe2, top);
		break;
	}
}

static void nested_loop(struct maker *m)
{
	int outer, inner;
	u8 b[5] = { 0xba, (u8)(1 + rng_below(&m->r, 8)) };

	program_claim(m, RDX);
	maker_add_raw(m, b, opt.bits == 16 ? 3 : 5);
	outer = m->t->count;
	set_count(m, 1 + (int)rng_below(&m->r, 8));
	inner = m->t->count;
	program_body(m, 1 + (int)rng_below(&m->r, 3));
	program_branch8(m, 0xe2, inner);
	program_body(m, 1);
	RAW(m, "\xff\xca");
	program_branch8(m, 0x75, outer);
}

/* call f; ..; jmp end; f: ..; ret */
static void call_return(struct maker *m)
{
	struct insn *call, *jmp;
	int with_imm = rng_pct(&m->r, 30);

	call = program_branch(m, 0xe8, 0);
	program_body(m, 2);
	jmp = program_branch8(m, 0xeb, 0);
	call->fix_to = (u64)m->t->count;
	program_body(m, 1 + (int)rng_below(&m->r, 4));
	if (with_imm)
		RAW(m, "\xc2\x08\x00");
	else
		RAW(m, "\xc3");
	jmp->fix_to = (u64)m->t->count;
}

/* f: dec ecx; jz out; call f; out: ret, called from outside */
static void recursion(struct maker *m)
{
	struct insn *call, *jmp, *jz;
	int f;

	set_count(m, 1 + (int)rng_below(&m->r, 30));
	call = program_branch(m, 0xe8, 0);
	jmp = program_branch8(m, 0xeb, 0);
	f = m->t->count;
	call->fix_to = (u64)f;
	dec_count(m);
	jz = program_branch8(m, 0x74, 0);
	program_body(m, 1);
	program_branch(m, 0xe8, f);
	program_body(m, 1);
	jz->fix_to = (u64)m->t->count;
	RAW(m, "\xc3");
	jmp->fix_to = (u64)m->t->count;
}

/* lea rax, [label]; jmp rax, or push rax; ret, or through memory */
static void indirect_jump(struct maker *m)
{
	int label = m->t->count, over = 1 + (int)rng_below(&m->r, 2);
	int kind = (int)rng_below(&m->r, 4), jump = kind == 0 ? 2 : 3, i;

	program_claim(m, RAX);
	program_load_label(m, label + jump + over);
	switch (kind) {
	case 0:
		RAW(m, "\xff\xe0");
		break;
	case 1:
		RAW(m, "\x50");
		RAW(m, "\xc3");
		break;
	case 2:
		RAW(m, "\x50");
		if (opt.bits == 64)
			RAW(m, "\xff\x24\x24");
		else
			RAW(m, "\xc3");
		break;
	default:
		RAW(m, "\x90");
		RAW(m, "\xff\xd0");
		break;
	}
	for (i = 0; i < over; i++)
		RAW(m, "\x90");
	program_body(m, 2);
}

/* A loop whose indirect jump goes to one of two places in turn. */
static void alternating_jump(struct maker *m)
{
	int top;

	program_claim(m, RAX);
	program_claim(m, RDX);
	set_count(m, 2 + (int)rng_below(&m->r, 20));
	top = m->t->count;
	program_load_label(m, top + 5);
	RAW(m, "\xf6\xc1\x01");		/* test cl, 1 */
	program_branch8(m, 0x74, top + 4);
	if (opt.bits == 64)
		RAW(m, "\x48\x83\xc0\x03");	/* add rax, 3: past the NOP */
	else
		RAW(m, "\x83\xc0\x03");
	RAW(m, "\xff\xe0");
	RAW(m, "\x0f\x1f\x00");
	RAW(m, "\xff\xc2");
	program_branch8(m, 0xe2, top);
}

/* Reads RIP by way of a call, and pops it. */
static void call_pop(struct maker *m)
{
	program_claim(m, RAX);
	program_branch(m, 0xe8, m->t->count + 1);
	RAW(m, "\x58");
	program_body(m, 2);
}

/* jcc over a few instructions, many times */
static void branches(struct maker *m)
{
	int i;

	for (i = 0; i < 4; i++) {
		program_body(m, 1);
		if (m->undef)
			RAW(m, "\x38\xe0");
		program_branch8(m, 0x70 | (rng64(&m->r) & 15), m->t->count + 2);
		if (m->shadow < m->t->count + 1)
			m->shadow = m->t->count + 1;
		program_body(m, 1);
	}
}

void program_flow(struct maker *m)
{
	static void (*const make[])(struct maker *) = {
		counted_loop, nested_loop, call_return, recursion, indirect_jump, call_pop,
		branches, alternating_jump,
	};

	program_body(m, (int)rng_below(&m->r, 3));
	make[rng_below(&m->r, ARRAY_SIZE(make))](m);
	program_body(m, (int)rng_below(&m->r, 3));
}

/* --- self-modifying code ----------------------------------------------------------- */

/* mov byte [insn + add], value. Not in 16 bits, whose data segment holds no code. */
static void poke8(struct maker *m, int to, int add, u8 value)
{
	u8 b[7] = { 0xc6, 0x05, 0, 0, 0, 0, value };
	int kind = opt.bits == 64 ? FIX_RIP_CODE : FIX_CODE;

	program_fix(maker_add_raw(m, b, 7), kind, 2, 4, to, add);
}

/* The immediate of a later instruction, maybe of the very next one. */
static void poke_immediate(struct maker *m)
{
	int gap = (int)rng_below(&m->r, 3), i;

	program_claim(m, RAX);
	poke8(m, m->t->count + 1 + gap, 1 + (int)rng_below(&m->r, 4), (u8)rng64(&m->r));
	for (i = 0; i < gap; i++)
		RAW(m, "\x90");
	RAW(m, "\xb8\x11\x22\x33\x44");
}

/* The opcode: one of the ADD .. CMP family for another. */
static void poke_opcode(struct maker *m)
{
	static const u8 op[] = { 0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x89 };

	poke8(m, m->t->count + 1, 0, op[rng_below(&m->r, sizeof(op))]);
	RAW(m, "\x01\xc2");
}

/* A loop that counts in its own immediate. */
static void poke_in_loop(struct maker *m)
{
	int top;

	program_claim(m, RAX);
	program_claim(m, RDX);
	set_count(m, 2 + (int)rng_below(&m->r, 12));
	top = m->t->count;
	RAW(m, "\xb8\x01\x00\x00\x00");
	program_fix(RAW(m, "\xfe\x05\0\0\0\0"), opt.bits == 64 ? FIX_RIP_CODE : FIX_CODE, 2, 4,
		top, 1);
	RAW(m, "\x01\xc2");
	program_branch8(m, 0xe2, top);
}

/* A branch's condition or distance. */
static void poke_branch(struct maker *m)
{
	poke8(m, m->t->count + 1, 0, 0x70 | (rng64(&m->r) & 15));
	program_branch8(m, 0x74, m->t->count + 2);
	RAW(m, "\x90");
	RAW(m, "\x90");
}

/* NOPs that become HLT, so that the fault tells whether the store was seen. */
static void poke_fault(struct maker *m)
{
	poke8(m, m->t->count + 1 + (int)rng_below(&m->r, 3), 0, 0xf4);
	RAW(m, "\x90");
	RAW(m, "\x90");
	RAW(m, "\x90");
}

void program_smc(struct maker *m)
{
	static void (*const make[])(struct maker *) = {
		poke_immediate, poke_opcode, poke_in_loop, poke_branch, poke_fault,
	};

	m->t->smc = true;
	program_body(m, (int)rng_below(&m->r, 3));
	make[rng_below(&m->r, ARRAY_SIZE(make))](m);
	program_body(m, (int)rng_below(&m->r, 2));
}
