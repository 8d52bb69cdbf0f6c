/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests with a structure: loops, calls, indirect jumps, code that changes
 * itself (which must take effect at the very next instruction, Intel SDM vol.
 * 3, 12.1.3), hand-picked sequences, and encodings that mean nothing.
 */
#include <string.h>

#include "gen.h"

static struct insn *raw(struct maker *m, const char *bytes, int len)
{
	return maker_add_raw(m, bytes, len);
}
#define RAW(m, s) raw(m, s, (int)sizeof(s) - 1)

static void to_insn(struct insn *in, int kind, int off, int size, int to, int add)
{
	in->fix = (u8)kind;
	in->fix_off = (u8)off;
	in->fix_size = (u8)size;
	in->fix_to = (u64)to;
	in->fix_add = (s8)add;
}

/* A short relative branch to instruction number to. */
static struct insn *branch8(struct maker *m, u8 opcode, int to)
{
	u8 b[2] = { opcode, 0 };
	struct insn *in = maker_add_raw(m, b, 2);

	to_insn(in, FIX_BRANCH, 1, 1, to, 0);
	return in;
}

/* A near one: E8, E9 or 0F 8x. */
static struct insn *branch_near(struct maker *m, u16 opcode, int to)
{
	u8 b[8] = { 0 };
	int n = 0, size = opt.bits == 16 ? 2 : 4;
	struct insn *in;

	if (opcode > 0xff)
		b[n++] = (u8)(opcode >> 8);
	b[n++] = (u8)opcode;
	in = maker_add_raw(m, b, n + size);
	to_insn(in, FIX_BRANCH, n, size, to, 0);
	return in;
}

/* The address of instruction number to into RAX (EAX, AX). */
static void load_label(struct maker *m, int to)
{
	if (opt.bits == 64)
		to_insn(RAW(m, "\x48\x8d\x05\0\0\0\0"), FIX_RIP_CODE, 3, 4, to, 0);
	else if (opt.bits == 32)
		to_insn(RAW(m, "\xb8\0\0\0\0"), FIX_CODE, 1, 4, to, 0);
	else
		to_insn(RAW(m, "\xb8\0\0"), FIX_CODE, 1, 2, to, 0);
}

/* The program itself uses a register: nothing else may write it, or point with it. */
static void claim(struct maker *m, int reg)
{
	m->ptr &= (u16)~(1u << reg);
	m->ptr_low &= (u16)~(1u << reg);
	m->small &= (u16)~(1u << reg);
	m->keep |= (u16)(1u << reg);
}

/* A few instructions that leave RCX and the pointers alone. */
static void body(struct maker *m, int n)
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

/* mov ecx, n */
static void set_count(struct maker *m, int n)
{
	u8 b[5] = { 0xb9, (u8)n };

	maker_add_raw(m, b, opt.bits == 16 ? 3 : 5);
	claim(m, RCX);
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
	body(m, 1 + (int)rng_below(&m->r, 6));
	switch (rng_below(&m->r, 3)) {
	case 0:
		dec_count(m);
		branch8(m, 0x75, top);
		break;
	case 1:
		dec_count(m);
		branch_near(m, 0x0f85, top);
		break;
	default:
		branch8(m, 0xe2, top);
		break;
	}
}

static void nested_loop(struct maker *m)
{
	int outer, inner;
	u8 b[5] = { 0xba, (u8)(1 + rng_below(&m->r, 8)) };

	claim(m, RDX);
	maker_add_raw(m, b, opt.bits == 16 ? 3 : 5);
	outer = m->t->count;
	set_count(m, 1 + (int)rng_below(&m->r, 8));
	inner = m->t->count;
	body(m, 1 + (int)rng_below(&m->r, 3));
	branch8(m, 0xe2, inner);
	body(m, 1);
	RAW(m, "\xff\xca");
	branch8(m, 0x75, outer);
}

/* call f; ..; jmp end; f: ..; ret */
static void call_return(struct maker *m)
{
	struct insn *call, *jmp;
	int with_imm = rng_pct(&m->r, 30);

	call = branch_near(m, 0xe8, 0);
	body(m, 2);
	jmp = branch8(m, 0xeb, 0);
	call->fix_to = (u64)m->t->count;
	body(m, 1 + (int)rng_below(&m->r, 4));
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
	call = branch_near(m, 0xe8, 0);
	jmp = branch8(m, 0xeb, 0);
	f = m->t->count;
	call->fix_to = (u64)f;
	dec_count(m);
	jz = branch8(m, 0x74, 0);
	body(m, 1);
	branch_near(m, 0xe8, f);
	body(m, 1);
	jz->fix_to = (u64)m->t->count;
	RAW(m, "\xc3");
	jmp->fix_to = (u64)m->t->count;
}

/* lea rax, [label]; jmp rax, or push rax; ret, or through memory */
static void indirect_jump(struct maker *m)
{
	int label = m->t->count, over = 1 + (int)rng_below(&m->r, 2);
	int kind = (int)rng_below(&m->r, 4), jump = kind == 0 ? 2 : 3, i;

	claim(m, RAX);
	load_label(m, label + jump + over);
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
	body(m, 2);
}

/* A loop whose indirect jump goes to one of two places in turn. */
static void alternating_jump(struct maker *m)
{
	int top;

	claim(m, RAX);
	claim(m, RDX);
	set_count(m, 2 + (int)rng_below(&m->r, 20));
	top = m->t->count;
	load_label(m, top + 5);
	RAW(m, "\xf6\xc1\x01");		/* test cl, 1 */
	branch8(m, 0x74, top + 4);
	if (opt.bits == 64)
		RAW(m, "\x48\x83\xc0\x03");	/* add rax, 3: past the NOP */
	else
		RAW(m, "\x83\xc0\x03");
	RAW(m, "\xff\xe0");
	RAW(m, "\x0f\x1f\x00");
	RAW(m, "\xff\xc2");
	branch8(m, 0xe2, top);
}

/* Reads RIP by way of a call, and pops it. */
static void call_pop(struct maker *m)
{
	claim(m, RAX);
	branch_near(m, 0xe8, m->t->count + 1);
	RAW(m, "\x58");
	body(m, 2);
}

/* jcc over a few instructions, many times */
static void branches(struct maker *m)
{
	int i;

	for (i = 0; i < 4; i++) {
		body(m, 1);
		if (m->undef)
			RAW(m, "\x38\xe0");
		branch8(m, 0x70 | (rng64(&m->r) & 15), m->t->count + 2);
		if (m->shadow < m->t->count + 1)
			m->shadow = m->t->count + 1;
		body(m, 1);
	}
}

void program_flow(struct maker *m)
{
	static void (*const make[])(struct maker *) = {
		counted_loop, nested_loop, call_return, recursion, indirect_jump, call_pop,
		branches, alternating_jump,
	};

	body(m, (int)rng_below(&m->r, 3));
	make[rng_below(&m->r, ARRAY_SIZE(make))](m);
	body(m, (int)rng_below(&m->r, 3));
}

/* --- self-modifying code ----------------------------------------------------------- */

/* mov byte [insn + add], value. Not in 16 bits, whose data segment holds no code. */
static void poke8(struct maker *m, int to, int add, u8 value)
{
	u8 b[7] = { 0xc6, 0x05, 0, 0, 0, 0, value };
	int kind = opt.bits == 64 ? FIX_RIP_CODE : FIX_CODE;

	to_insn(maker_add_raw(m, b, 7), kind, 2, 4, to, add);
}

/* The immediate of a later instruction, maybe of the very next one. */
static void poke_immediate(struct maker *m)
{
	int gap = (int)rng_below(&m->r, 3), i;

	claim(m, RAX);
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

	claim(m, RAX);
	claim(m, RDX);
	set_count(m, 2 + (int)rng_below(&m->r, 12));
	top = m->t->count;
	RAW(m, "\xb8\x01\x00\x00\x00");
	to_insn(RAW(m, "\xfe\x05\0\0\0\0"), opt.bits == 64 ? FIX_RIP_CODE : FIX_CODE, 2, 4,
		top, 1);
	RAW(m, "\x01\xc2");
	branch8(m, 0xe2, top);
}

/* A branch's condition or distance. */
static void poke_branch(struct maker *m)
{
	poke8(m, m->t->count + 1, 0, 0x70 | (rng64(&m->r) & 15));
	branch8(m, 0x74, m->t->count + 2);
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
	body(m, (int)rng_below(&m->r, 3));
	make[rng_below(&m->r, ARRAY_SIZE(make))](m);
	body(m, (int)rng_below(&m->r, 2));
}

/* --- by hand ------------------------------------------------------------------------- */

struct hand {
	u8 bits;	/* 64, or 0 for all */
	u8 len;
	const char *bytes;
};

#define ALL(s) { 0, sizeof(s) - 1, s }
#define ONLY64(s) { 64, sizeof(s) - 1, s }

static const struct hand hand[] = {
	ALL("\x9c\x58"),				/* pushf; pop eax */
	ALL("\x50\x9d\x9c\x5a"),			/* push eax; popf; pushf; pop edx */
	ALL("\x54\x58"),				/* push esp; pop eax */
	ALL("\x5c"),					/* pop esp */
	ALL("\x55\x8b\xec\x5d"),			/* push ebp; mov ebp, esp; pop ebp */
	ALL("\xc8\x10\x00\x00\xc9"),			/* enter 16, 0; leave */
	ALL("\xc8\x10\x00\x01\xc9"),			/* enter 16, 1; leave */
	ALL("\xc8\x20\x00\x03\xc9"),			/* enter 32, 3; leave */
	ALL("\xc8\x00\x00\x1f"),			/* enter 0, 31 */
	ALL("\x66\xc8\x10\x00\x02\x66\xc9"),		/* data16 enter 16, 2; data16 leave */
	ALL("\x86\xe0\x86\xc4"),			/* xchg al, ah, twice */
	ALL("\x88\xe3\x00\xfc\x28\xe9"),		/* mov bl, ah; add ah, bh; sub cl, ch */
	ALL("\xf6\xe4\xf6\xec"),			/* mul ah; imul ah */
	ALL("\xf6\xf4"),				/* div ah */
	ALL("\xf7\xf8"),				/* idiv eax */
	ALL("\x31\xd2\xf7\xf1"),			/* xor edx, edx; div ecx */
	ALL("\x99\xf7\xf9"),				/* cdq; idiv ecx */
	ALL("\x0f\xc1\xc0"),				/* xadd eax, eax */
	ALL("\x0f\xb1\xc0"),				/* cmpxchg eax, eax */
	ALL("\x0f\xb1\xd1"),				/* cmpxchg ecx, edx */
	ALL("\x0f\xc8\x66\x0f\xc8"),			/* bswap eax; bswap ax */
	ALL("\xd3\xd2\x9c"),				/* rcl edx, cl; pushf */
	ALL("\xc0\xd2\x09"),				/* rcl dl, 9 */
	ALL("\x66\xc1\xda\x11"),			/* rcr dx, 17 */
	ALL("\x0f\xa5\xc2\x0f\xad\xd0"),		/* shld edx, eax, cl; shrd eax, edx, cl */
	ALL("\x66\x0f\xa4\xc2\x14"),			/* shld dx, ax, 20 */
	ALL("\xf3\xa4"),				/* rep movsb */
	ALL("\xf3\xa5"),				/* rep movsd */
	ALL("\xf3\xaa\xf3\xab"),			/* rep stosb; rep stosd */
	ALL("\xf3\xa6"),				/* repe cmpsb */
	ALL("\xf2\xae"),				/* repne scasb */
	ALL("\xfd\xf3\xa4\xfc"),			/* std; rep movsb; cld */
	ALL("\xfd\xf3\xab\xfc"),			/* std; rep stosd; cld */
	ALL("\x67\xf3\xa4"),				/* rep movsb with the other address size */
	ALL("\x31\xc9\xf3\xa4\xf3\xa6"),		/* xor ecx, ecx; rep movsb; repe cmpsb */
	ALL("\xe3\x00\x90"),				/* jecxz $+2 */
	ALL("\xd7"),					/* xlat */
	ALL("\x9e\x9f\xf5\x9f"),			/* sahf; lahf; cmc; lahf */
	ALL("\x0f\x90\xc0\x0f\x4c\xc2"),		/* seto al; cmovl eax, edx */
	ALL("\xd9\xee\xd9\xe8\xde\xf9\xdb\xe2"),	/* fldz; fld1; fdivp; fnclex */
	ALL("\xdb\xe3\xd9\xeb\xd9\xff\xd9\xf2"),	/* fninit; fldpi; fcos; fptan */
	ALL("\xdb\xe3\xd9\xe8\xd9\xf0\xdf\xe0"),	/* fninit; fld1; f2xm1; fnstsw ax */
	ALL("\xdb\xe3\xdb\x2b\xdf\x33\xdd\x1b"),	/* fninit; fld m80; fbstp; fstp m64 */
	ALL("\xdb\xe3\xd9\x6c\x24\x00\x9b"),		/* fninit; fldcw [esp]; fwait */
	ALL("\x0f\x77\xd9\xe8"),			/* emms; fld1 */
	ALL("\x0f\x6f\xc1\x0f\xef\xd2\xd9\xe8"),	/* movq mm0, mm1; pxor mm2, mm2; fld1 */
	ALL("\x8c\xc8\x8c\xda"),			/* mov eax, cs; mov edx, ds */
	ALL("\x0f\x18\x0b\x0f\x0d\x0b\x0f\x1f\x03"),	/* prefetches; nop [ebx] */
	ALL("\xcc"),					/* int3 */
	ALL("\xf1"),					/* int1 */
	ALL("\xcd\x03"),				/* int 3 */
	ALL("\xcd\x21"),				/* int 21h */
	ALL("\xf4"),					/* hlt */
	ALL("\x0f\x0b"),				/* ud2 */
	ALL("\xfa\xfb"),				/* cli; sti */
	ALL("\xe4\x10\xec"),				/* in al, 10h; in al, dx */
	ALL("\xf3\x6c\xf3\x6e"),			/* rep insb; rep outsb */
	ALL("\x0f\x20\xc0"),				/* mov eax, cr0 */
	ALL("\x0f\x21\xf8"),				/* mov eax, dr7 */
	ONLY64("\x48\x87\x24\x24"),			/* xchg [rsp], rsp */
	ONLY64("\x8f\x44\x24\x08\xff\x34\x24"),		/* pop [rsp+8]; push [rsp] */
	ONLY64("\x8f\x04\x24\xff\x74\x24\xf8"),		/* pop [rsp]; push [rsp-8] */
	ONLY64("\x66\x54\x66\x5a"),			/* push sp; pop dx */
	ONLY64("\x66\x9c\x66\x9d"),			/* pushfw; popfw */
	ONLY64("\x48\x99\x48\xf7\xf9"),			/* cqo; idiv rcx */
	ONLY64("\x48\x63\xc1\x48\x98"),			/* movsxd rax, ecx; cdqe */
	ONLY64("\xf0\x48\x0f\xc7\x0b"),			/* lock cmpxchg16b [rbx] */
	ONLY64("\x48\x0f\xc7\x0b\x0f\xc7\x0b"),		/* cmpxchg16b; cmpxchg8b [rbx] */
	ONLY64("\xf0\x48\x0f\xc1\x03\xf0\x48\x0f\xb1\x13"), /* lock xadd; lock cmpxchg */
	ONLY64("\x48\x0f\xa3\x03\x48\x0f\xab\x0b"),	/* bt [rbx], rax; bts [rbx], rcx */
	ONLY64("\x40\x88\xf7\x40\x0f\xb6\xc5"),		/* mov dil, sil; movzx eax, bpl */
	ONLY64("\x48\x8d\x44\x24\xf0\x67\x8d\x14\x0b"),	/* lea rax, [rsp-16]; lea edx, [ebx+ecx] */
	ONLY64("\xc5\xf8\x77\xc5\xfc\x77"),		/* vzeroupper; vzeroall */
	ONLY64("\x0f\x29\x03\x0f\x28\x4b\x10\x0f\x10\x53\x01"), /* movaps; movaps; movups */
	ONLY64("\x66\x0f\xf7\xca"),			/* maskmovdqu xmm1, xmm2 */
	ONLY64("\xf3\x48\xab\xf3\x48\xa7"),		/* rep stosq; repe cmpsq */
};

void program_hand(struct maker *m)
{
	const struct hand *h = &hand[rng_below(&m->r, ARRAY_SIZE(hand))];
	ZydisDecodedInstruction d;
	int at = 0;

	while (h->bits && h->bits != opt.bits)
		h = &hand[rng_below(&m->r, ARRAY_SIZE(hand))];
	while (at < h->len && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
				      &decoder, NULL, h->bytes + at, (size_t)(h->len - at), &d))) {
		maker_add_raw(m, h->bytes + at, d.length);
		at += d.length;
	}
}

/* --- what is no instruction ------------------------------------------------------------- */

void program_ud(struct maker *m)
{
	static const struct hand all[] = {
		ALL("\x0f\x0b"), ALL("\x0f\xb9\xc0"), ALL("\x0f\x04"), ALL("\x0f\x0a"),
		ALL("\x0f\x0c"), ALL("\xf0\x90"), ALL("\xf0\x89\xc8"), ALL("\xf0\x39\x03"),
		ALL("\xf0\x0f\xa3\x03"), ALL("\x0f\xc7\xc8"), ALL("\xfe\xd0"), ALL("\xff\xf8"),
		ALL("\x8d\xc0"), ALL("\x8f\xc8"), ALL("\xc6\xc8\x01"), ALL("\x0f\xba\xc0\x01"),
		ALL("\x0f\x13\xc0"), ALL("\x0f\x71\xc0\x01"), ALL("\x0f\x24\xc0"),
		ALL("\x0f\x36"), ALL("\xd9\xd1"), ALL("\x66\x0f\x38\x80\x03"),
		ALL("\xf0\x0f\xb1\xc8"), ALL("\xf2\xf0\x01\xc8"), ALL("\x8e\xc8"),
		ALL("\x0f\x20\xc8"), ALL("\x0f\x22\xe8"), ALL("\xc5\xf8\xff\xc0"),
		ONLY64("\x06"), ONLY64("\x0e"), ONLY64("\x16"), ONLY64("\x1f"), ONLY64("\x27"),
		ONLY64("\x2f"), ONLY64("\x37"), ONLY64("\x3f"), ONLY64("\x60"), ONLY64("\x61"),
		ONLY64("\x82\xc0\x01"), ONLY64("\xce"), ONLY64("\xd4\x0a"), ONLY64("\xd5\x0a"),
		ONLY64("\xd6"), ONLY64("\x9a\0\0\0\0\x33\0"), ONLY64("\xea\0\0\0\0\x33\0"),
		ONLY64("\xf0\xc5\xf8\x58\xc1"), ONLY64("\x66\xc5\xf8\x58\xc1"),
		ONLY64("\x48\xc5\xf8\x58\xc1"), ONLY64("\xc4\xe1\x78\x77\xc0"),
	};
	const struct hand *h;

	body(m, (int)rng_below(&m->r, 3));
	do
		h = &all[rng_below(&m->r, ARRAY_SIZE(all))];
	while (h->bits && h->bits != opt.bits);
	maker_add_raw(m, h->bytes, h->len);
	RAW(m, "\x90");
}
