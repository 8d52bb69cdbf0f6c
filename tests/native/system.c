/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests with a structure for what user code may do to the processor's own
 * state: far jumps, calls and returns within privilege level 3, also between
 * 64-bit and compatibility mode; segment registers and what can be asked about
 * descriptors; state saved and restored with the XSAVE family.
 */
#include <string.h>

#include "program.h"

static u16 own_cs(void)
{
	return opt.bits == 64 ? SEL_USER64 : opt.bits == 32 ? SEL_USER32 : SEL_CODE16;
}

/* push imm: sign-extended to the operand size */
static void push_imm8(struct maker *m, u8 v)
{
	u8 b[2] = { 0x6a, v };

	maker_add_raw(m, b, 2);
}

/* push cs' selector; push label; retf */
static void far_return(struct maker *m)
{
	bool imm = rng_pct(&m->r, 40);

	program_claim(m, RAX);
	push_imm8(m, (u8)own_cs());
	program_load_label(m, m->t->count + 4);
	RAW(m, "\x50");
	if (opt.bits == 64)
		RAW(m, "\x90");
	else
		RAW(m, "\x8c\xc8");
	/* Instruction 4 counted from program_load_label is the one after the return. */
	m->t->insn[m->t->count - 3].fix_to = (u64)m->t->count + 1;
	if (opt.bits == 64 && imm)
		RAW(m, "\x48\xca\x10\x00");
	else if (opt.bits == 64)
		RAW(m, "\x48\xcb");
	else if (imm)
		RAW(m, "\xca\x08\x00");
	else
		RAW(m, "\xcb");
	program_body(m, 2);
}

/* The frame of an interrupt return to the same privilege level. */
static void interrupt_return(struct maker *m)
{
	int label;

	program_claim(m, RAX);
	if (opt.bits == 64) {
		RAW(m, "\x48\x89\xe0");			/* mov rax, rsp */
		push_imm8(m, SEL_USERDS);
		RAW(m, "\x50");
	}
	RAW(m, "\x9c");
	push_imm8(m, (u8)own_cs());
	label = m->t->count + 3;
	program_load_label(m, label);
	RAW(m, "\x50");
	if (opt.bits == 64)
		RAW(m, "\x48\xcf");
	else
		RAW(m, "\xcf");
	program_body(m, 2);
}

/* jmp or call far ptr16:32 or ptr16:16 */
static void far_direct(struct maker *m, u8 opcode, u16 sel, int to)
{
	int size = opt.bits == 16 ? 2 : 4;
	u8 b[8] = { opcode };

	memcpy(b + 1 + size, &sel, 2);
	program_fix(maker_add_raw(m, b, 3 + size), FIX_CODE, 1, size, to, 0);
}

/* The same through memory below the stack: offset, then selector. */
static void far_memory(struct maker *m, u8 modrm_digit, u16 sel, int to)
{
	u8 mov_sel[] = { 0x66, 0xc7, 0x44, 0x24, 0xe4, (u8)sel, (u8)(sel >> 8) };
	u8 jump[] = { 0xff, (u8)(0x44 | modrm_digit << 3), 0x24, 0xe0 };

	program_claim(m, RAX);
	program_load_label(m, to);
	RAW(m, "\x89\x44\x24\xe0");		/* mov [rsp-20h], eax */
	maker_add_raw(m, mov_sel, sizeof(mov_sel));
	maker_add_raw(m, jump, sizeof(jump));
}

/* Over something that must not run, to the same segment. */
static void far_jump(struct maker *m)
{
	int at = m->t->count;

	if (opt.bits == 64) {
		m->t->high = false;
		far_memory(m, 5, SEL_USER64, at + 5);
	} else if (opt.bits == 32 && rng_pct(&m->r, 50)) {
		far_memory(m, 5, SEL_USER32, at + 5);
	} else {
		far_direct(m, 0xea, own_cs(), at + 2);
	}
	RAW(m, "\xf4");
	program_body(m, 2);
}

/* call far f; jmp end; f: ..; retf; end */
static void far_call(struct maker *m)
{
	int at = m->t->count;
	struct insn *jmp;

	if (opt.bits == 64) {
		m->t->high = false;
		far_memory(m, 3, SEL_USER64, at + 5);
	} else if (opt.bits == 32 && rng_pct(&m->r, 50)) {
		far_memory(m, 3, SEL_USER32, at + 5);
	} else {
		far_direct(m, 0x9a, own_cs(), at + 2);
	}
	jmp = program_branch8(m, 0xeb, 0);
	program_body(m, 2);
	RAW(m, "\xcb");
	jmp->fix_to = (u64)m->t->count;
}

/* To compatibility mode and back: 40 is INC EAX there, and a prefix in 64-bit mode. */
static void there_and_back64(struct maker *m)
{
	int at = m->t->count;

	/* The upper half of RSP does not survive. */
	m->t->high = false;
	m->t->gpr[RSP] = LOW_BASE + DATA_OFFSET + 0x1000;
	far_memory(m, 5, SEL_USER32, at + 4);
	RAW(m, "\x40");
	RAW(m, "\x8c\xca");
	RAW(m, "\x49");
	far_direct(m, 0xea, SEL_USER64, m->t->count + 1);
	program_body(m, 2);
}

/* To 64-bit mode and back, without touching anything wider than compatibility mode has. */
static void there_and_back32(struct maker *m)
{
	int at = m->t->count;

	program_claim(m, RAX);
	far_direct(m, 0xea, SEL_USER64, at + 1);
	RAW(m, "\x8c\xca");			/* mov edx, cs */
	RAW(m, "\x40\x88\xf0");			/* mov al, sil */
	push_imm8(m, SEL_USER32);
	program_fix(RAW(m, "\x48\x8d\x05\0\0\0\0"), FIX_RIP_CODE, 3, 4, at + 7, 0);
	RAW(m, "\x50");
	RAW(m, "\x48\xcb");
	program_body(m, 2);
}

/* The limit or the rights of a segment, or a load of it. */
static void ask_descriptor(struct maker *m)
{
	static const u16 sel[] = { 0, 3, 4, 7, 8, 0x10, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x29, 0x2b,
				   0x30, 0x33, 0x38, 0x40, 0x43, 0x50, 0x58, 0x0f, 0x17, 0x1f,
				   0x27, 0x80, 0x88, 0xfff8, 0xffff };
	static const char *const op[] = {
		"\x0f\x02\xd0", "\x0f\x03\xd0", "\x0f\x00\xe0", "\x0f\x00\xe8",
		"\x66\x0f\x02\xd0", "\x66\x0f\x03\xd0", "\x8e\xc0", "\x8e\xd8", "\x8e\xe0",
		"\x8e\xe8",
	};
	u32 i = rng_below(&m->r, ARRAY_SIZE(op));
	u8 b[5] = { 0xb8 };

	program_claim(m, RAX);
	memcpy(b + 1, &sel[rng_below(&m->r, ARRAY_SIZE(sel))], 2);
	maker_add_raw(m, b, opt.bits == 16 ? 3 : 5);
	program_raw(m, op[i], i == 4 || i == 5 ? 4 : i > 5 ? 2 : 3);
	RAW(m, "\x8c\xc1");
	RAW(m, "\x8c\xe1");
}

void program_far(struct maker *m)
{
	static void (*const make[])(struct maker *) = {
		far_return, interrupt_return, far_jump, far_call, ask_descriptor,
	};
	u32 k;

	program_body(m, (int)rng_below(&m->r, 2));
	k = rng_below(&m->r, ARRAY_SIZE(make) + (opt.bits == 16 ? 0 : 1));
	if (k < ARRAY_SIZE(make))
		make[k](m);
	else if (opt.bits == 64)
		there_and_back64(m);
	else if (!opt.legacy)
		there_and_back32(m);
	else
		far_jump(m);
}

/* --- XSAVE ------------------------------------------------------------------------ */

/* mov eax, the components to save or restore; xor edx, edx */
static void choose_components(struct maker *m)
{
	u32 mask = rng_pct(&m->r, 40) ? (u32)xmask : (u32)rng64(&m->r) & (u32)xmask;
	u8 b[5] = { 0xb8 };

	memcpy(b + 1, &mask, 4);
	maker_add_raw(m, b, 5);
	RAW(m, "\x31\xd2");
}

static void body_of_vectors(struct maker *m, int n)
{
	static const u8 group[] = { G_SSE, G_AVX, G_X87, G_MMX, G_AVX512, G_FMA };

	m->loop = true;
	while (n--)
		maker_add(m, group[rng_below(&m->r, ARRAY_SIZE(group))]);
	m->loop = false;
}

/*
 * Saves, computes, restores. What lies in memory is not compared: whether a
 * component that holds its initial values counts as in use is the processor's
 * affair.
 */
void program_xsave(struct maker *m)
{
	static const char *const save[] = {
		"\x0f\xae\x23", "\x0f\xae\x33", "\x0f\xc7\x23", "\x48\x0f\xae\x23",
		"\x48\x0f\xc7\x23",
	};
	u32 i = rng_below(&m->r, opt.bits == 64 ? 5 : 3);
	u64 area = (opt.bits == 64 && rng_pct(&m->r, 50) ? HIGH_BASE : LOW_BASE) + DATA_OFFSET +
		   64 * rng_below(&m->r, 80);

	if (i > 0 && !(cpu.leafd1[0] & (i == 1 ? 1 : 2)))
		i = 0;
	m->t->loose_memory = true;
	m->t->gpr[RBX] = area;
	m->t->gpr[RDI] = area + 512;
	m->t->gpr[RCX] = 16;
	m->t->rflags &= ~FL_DF;
	program_claim(m, RAX);
	program_claim(m, RDX);
	program_claim(m, RBX);
	RAW(m, "\x31\xc0");
	RAW(m, "\xf3\xab");			/* rep stosd: an empty header */
	choose_components(m);
	program_raw(m, save[i], i > 2 ? 4 : 3);
	body_of_vectors(m, 1 + (int)rng_below(&m->r, 4));
	choose_components(m);
	if (i > 2)
		RAW(m, "\x48\x0f\xae\x2b");
	else
		RAW(m, "\x0f\xae\x2b");
	body_of_vectors(m, (int)rng_below(&m->r, 2));
}
