/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding: a table of encodings with the fields that the translator and the
 * emulation rely on, how much input is asked for, what is no instruction, and
 * effective addresses.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "soft/insn.h"

#define R INSN_MEM_READ
#define W INSN_MEM_WRITE
#define M INSN_MEM
#define MR INSN_MODRM

struct sample {
	u32 bits;
	const char *bytes;
	u16 mnemonic, flags;
	u8 opsize, addrsize;
	s16 reg, rm;		/* -1: do not compare */
	u8 seg;
	s8 base, index;
	u8 scale, mem_size;
	s64 disp, imm, imm2;
};

#define S(bits, bytes, mn, flags, ...) \
	{ bits, bytes, ZYDIS_MNEMONIC_##mn, flags, __VA_ARGS__ }
/* Operands without memory. */
#define NOMEM SEG_DS, -1, -1, 1, 0, 0

/* What a line leaves out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct sample samples[] = {
	/* ModRM, SIB, REX */
	S(64, "4d 8b 7d 80", MOV, M | MR | R | INSN_REX, 8, 8, 15, 13, SEG_DS, 13, -1, 1, 8, -128),
	S(64, "4a 89 44 cc 10", MOV, M | MR | W | INSN_REX, 8, 8, 0, 4, SEG_SS, 4, 9, 8, 8, 16),
	S(64, "8b 05 10 00 00 00", MOV, M | MR | R, 4, 8, 0, 5, SEG_DS, INSN_RIP, -1, 1, 4, 16),
	S(64, "67 8b 05 f0 ff ff ff", MOV, M | MR | R, 4, 4, 0, 5, SEG_DS, INSN_RIP, -1, 1, 4, -16),
	S(64, "8b 04 25 f0 ff ff ff", MOV, M | MR | R, 4, 8, 0, 4, SEG_DS, -1, -1, 1, 4, -16),
	S(64, "65 48 8b 04 25 28 00 00 00", MOV, M | MR | R | INSN_REX, 8, 8, 0, 4, SEG_GS,
	  -1, -1, 1, 8, 0x28),
	/* In 64-bit mode ES, CS, SS and DS overrides mean nothing. */
	S(64, "3e 8b 04 24", MOV, M | MR | R, 4, 8, 0, 4, SEG_SS, 4, -1, 1, 4, 0),
	S(64, "36 8b 00", MOV, M | MR | R, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 4, 0),
	S(32, "3e 8b 04 24", MOV, M | MR | R, 4, 4, 0, 4, SEG_DS, 4, -1, 1, 4, 0),
	S(32, "36 8b 00", MOV, M | MR | R, 4, 4, 0, 0, SEG_SS, 0, -1, 1, 4, 0),
	S(32, "67 8b 42 ff", MOV, M | MR | R, 4, 2, 0, 2, SEG_SS, 5, 6, 1, 4, -1),
	S(16, "8b 47 ff", MOV, M | MR | R, 2, 2, 0, 7, SEG_DS, 3, -1, 1, 2, -1),
	S(16, "67 66 8b 44 5d 02", MOV, M | MR | R, 4, 4, 0, 4, SEG_SS, 5, 3, 2, 4, 2),
	S(64, "40 88 e0", MOV, MR | INSN_REX, 1, 8, 4, 0, NOMEM),
	S(64, "88 e0", MOV, MR, 1, 8, 4, 0, NOMEM),
	/* A REX prefix that is not the last prefix is none. */
	S(64, "48 66 b8 01 00", MOV, 0, 2, 8, -1, 0, NOMEM, 1),
	S(64, "41 57", PUSH, INSN_REX, 8, 8, -1, 15, NOMEM),
	S(64, "66 57", PUSH, 0, 2, 8, -1, 7, NOMEM),
	S(64, "41 0f c8", BSWAP, INSN_REX, 4, 8, -1, 8, NOMEM),
	/* moffs */
	S(64, "48 a1 88 77 66 55 44 33 22 11", MOV, M | R | INSN_REX, 8, 8, -1, -1, SEG_DS, -1, -1,
	  1, 8, 0x1122334455667788),
	S(32, "64 a2 00 00 e0 fe", MOV, M | W, 1, 4, -1, -1, SEG_FS, -1, -1, 1, 1,
	  (s32)0xfee00000),
	S(16, "a1 00 e0", MOV, M | R, 2, 2, -1, -1, SEG_DS, -1, -1, 1, 2, (s16)0xe000),
	/* immediates */
	S(64, "48 83 c0 ff", ADD, MR | INSN_REX, 8, 8, 0, 0, NOMEM, -1),
	S(64, "48 81 00 00 00 00 80", ADD, M | MR | R | W | INSN_REX, 8, 8, 0, 0, SEG_DS, 0, -1, 1,
	  8, 0, (s32)0x80000000),
	S(64, "48 b8 88 77 66 55 44 33 22 11", MOV, INSN_REX, 8, 8, -1, 0, NOMEM,
	  0x1122334455667788),
	S(64, "6a fe", PUSH, 0, 8, 8, -1, -1, NOMEM, -2),
	S(64, "cd 80", INT, 0, 4, 8, -1, -1, NOMEM, 0x80),
	S(64, "e4 ff", IN, 0, 1, 8, -1, -1, NOMEM, 0xff),
	S(64, "d1 e0", SHL, MR, 4, 8, 4, 0, NOMEM, 1),
	S(64, "c2 f0 ff", RET, 0, 8, 8, -1, -1, NOMEM, 0xfff0),
	S(64, "c8 f0 ff 1f", ENTER, 0, 8, 8, -1, -1, NOMEM, 0xfff0, 0x1f),
	/* branches */
	S(64, "eb fe", JMP, 0, 8, 8, -1, -1, NOMEM, -2),
	S(64, "f2 e8 01 00 00 80", CALL, 0, 8, 8, -1, -1, NOMEM, (s32)0x80000001),
	S(16, "0f 84 00 80", JZ, 0, 2, 2, -1, -1, NOMEM, (s16)0x8000),
	S(32, "66 e9 fe ff", JMP, 0, 2, 4, -1, -1, NOMEM, -2),
	S(32, "67 e3 05", JCXZ, 0, 4, 2, -1, -1, NOMEM, 5),
	S(32, "9a 01 02 03 84 05 86", CALL, INSN_FAR, 4, 4, -1, -1, NOMEM, 0x84030201, 0x8605),
	S(16, "ea 01 82 05 86", JMP, INSN_FAR, 2, 2, -1, -1, NOMEM, 0x8201, 0x8605),
	S(16, "66 ea 01 02 03 84 05 86", JMP, INSN_FAR, 4, 2, -1, -1, NOMEM, 0x84030201, 0x8605),
	S(64, "48 ff 28", JMP, M | MR | R | INSN_FAR | INSN_REX, 8, 8, 5, 0, SEG_DS, 0, -1, 1, 10),
	S(64, "ff 18", CALL, M | MR | R | INSN_FAR, 4, 8, 3, 0, SEG_DS, 0, -1, 1, 6),
	S(64, "cb", RET, INSN_FAR, 4, 8, -1, -1, NOMEM),
	S(64, "48 cf", IRETQ, INSN_REX, 8, 8, -1, -1, NOMEM),
	S(32, "ca 04 00", RET, INSN_FAR, 4, 4, -1, -1, NOMEM, 4),
	/* strings: REP counts, segments are the source's */
	S(64, "f3 48 a5", MOVSQ, R | W | INSN_REP | INSN_REX, 8, 8, -1, -1, SEG_DS, 6, -1, 1, 8),
	S(64, "f2 a4", MOVSB, R | W | INSN_REP, 1, 8, -1, -1, SEG_DS, 6, -1, 1, 1),
	S(32, "26 67 a4", MOVSB, R | W, 1, 2, -1, -1, SEG_ES, 6, -1, 1, 1),
	S(64, "64 a6", CMPSB, R, 1, 8, -1, -1, SEG_FS, 6, -1, 1, 1),
	S(64, "f2 ae", SCASB, R | INSN_REPNE, 1, 8, -1, -1, SEG_ES, 7, -1, 1, 1),
	S(64, "f3 66 af", SCASW, R | INSN_REP, 2, 8, -1, -1, SEG_ES, 7, -1, 1, 2),
	S(64, "f2 f3 a6", CMPSB, R | INSN_REP, 1, 8, -1, -1, SEG_DS, 6, -1, 1, 1),
	S(64, "f3 ab", STOSD, W | INSN_REP, 4, 8, -1, -1, SEG_ES, 7, -1, 1, 4),
	S(32, "2e ac", LODSB, R, 1, 4, -1, -1, SEG_CS, 6, -1, 1, 1),
	S(32, "f3 6d", INSD, W | INSN_REP, 4, 4, -1, -1, SEG_ES, 7, -1, 1, 4),
	S(32, "f3 36 6e", OUTSB, R | INSN_REP, 1, 4, -1, -1, SEG_SS, 6, -1, 1, 1),
	S(64, "f3 c3", RET, 0, 8, 8, -1, -1, NOMEM),
	S(64, "f3 90", PAUSE, 0, 4, 8, -1, -1, NOMEM),
	S(64, "f3 0f 58 00", ADDSS, M | MR | R, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 4),
	/* LOCK */
	S(64, "f0 48 0f b1 0b", CMPXCHG, M | MR | R | W | INSN_LOCK | INSN_REX, 8, 8, 1, 3,
	  SEG_DS, 3, -1, 1, 8),
	S(64, "f2 f0 87 00", XCHG, M | MR | R | W | INSN_LOCK, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 4),
	S(64, "48 0f c7 0f", CMPXCHG16B, M | MR | R | W | INSN_REX, 8, 8, 1, 7, SEG_DS, 7,
	  -1, 1, 16),
	/* accesses that are none */
	S(64, "48 8d 44 8d 01", LEA, M | MR | INSN_REX, 8, 8, 0, 4, SEG_SS, 5, 1, 4, 8, 1),
	S(64, "0f 1f 40 08", NOP, M | MR | INSN_HINT, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 4, 8),
	S(64, "0f 18 08", PREFETCHT0, M | MR | INSN_HINT, 4, 8, 1, 0, SEG_DS, 0, -1, 1, 1),
	S(64, "0f 0d 08", PREFETCHW, M | MR | INSN_HINT, 4, 8, 1, 0, SEG_DS, 0, -1, 1, 1),
	S(64, "0f 01 38", INVLPG, M | MR | INSN_HINT, 1, 8, 7, 0, SEG_DS, 0, -1, 1, 1),
	S(64, "0f 1c 00", NOP, M | MR | INSN_HINT, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 4),
	S(64, "f3 0f 1e fa", NOP, MR, 4, 8, 7, 2, NOMEM),
	S(64, "0f ae 38", CLFLUSH, M | MR | R, 4, 8, 7, 0, SEG_DS, 0, -1, 1, 1),
	/* sizes */
	S(64, "0f ae 00", FXSAVE, M | MR | W, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 255),
	S(64, "d9 30", FNSTENV, M | MR | W, 4, 8, 6, 0, SEG_DS, 0, -1, 1, 28),
	S(64, "66 dd 30", FNSAVE, M | MR | W, 2, 8, 6, 0, SEG_DS, 0, -1, 1, 94),
	S(64, "db 28", FLD, M | MR | R, 4, 8, 5, 0, SEG_DS, 0, -1, 1, 10),
	S(64, "0f b6 00", MOVZX, M | MR | R, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 1),
	S(32, "62 00", BOUND, M | MR | R, 4, 4, 0, 0, SEG_DS, 0, -1, 1, 8),
	S(32, "c4 00", LES, M | MR | R, 4, 4, 0, 0, SEG_DS, 0, -1, 1, 6),
	S(64, "8c 00", MOV, M | MR | W, 4, 8, 0, 0, SEG_DS, 0, -1, 1, 2),
	S(64, "ff 30", PUSH, M | MR | R, 8, 8, 6, 0, SEG_DS, 0, -1, 1, 8),
	S(64, "8f 44 24 08", POP, M | MR | W, 8, 8, 0, 4, SEG_SS, 4, -1, 1, 8, 8),
	/* the system's */
	S(64, "0f 01 10", LGDT, M | MR | R, 8, 8, 2, 0, SEG_DS, 0, -1, 1, 10),
	S(16, "0f 01 16 00 80", LGDT, M | MR | R, 2, 2, 2, 6, SEG_DS, -1, -1, 1, 6, (s16)0x8000),
	S(16, "66 0f 01 16 00 10", LGDT, M | MR | R, 4, 2, 2, 6, SEG_DS, -1, -1, 1, 6, 0x1000),
	S(32, "66 0f 01 18", LIDT, M | MR | R, 2, 4, 3, 0, SEG_DS, 0, -1, 1, 6),
	S(16, "0f 22 c0", MOV, MR, 4, 2, 0, 0, NOMEM),
	S(64, "44 0f 22 c0", MOV, MR | INSN_REX, 8, 8, 8, 0, NOMEM),
	S(64, "0f 00 d8", LTR, MR, 4, 8, 3, 0, NOMEM),
	S(64, "48 0f 07", SYSRET, INSN_REX, 8, 8, -1, -1, NOMEM),
	S(64, "d7", XLAT, R, 4, 8, -1, -1, SEG_DS, 3, -1, 1, 1),
	S(64, "65 66 0f f7 c1", MASKMOVDQU, MR | W, 4, 8, 0, 1, SEG_GS, 7, -1, 1, 16),
	S(64, "9d", POPFQ, 0, 8, 8, -1, -1, NOMEM),
	S(32, "d6", SALC, 0, 4, 4, -1, -1, NOMEM),
	/* VEX and EVEX */
	S(64, "c4 41 7e 6f 04 24", VMOVDQU, M | MR | R | INSN_VEX, 4, 8, 8, 12, SEG_DS, 12, -1, 1,
	  32),
	S(64, "c4 e2 60 f2 c1", ANDN, MR | INSN_VEX, 4, 8, 0, 1, NOMEM),
	S(64, "c4 e2 6d 90 04 8b", VPGATHERDD, M | MR | R | INSN_VEX | INSN_VSIB, 4, 8, 0, 4,
	  SEG_DS, 3, 1, 4, 4),
	/* EVEX displacements of 8 bits count in operands. */
	S(64, "62 f1 7c 48 10 40 01", VMOVUPS, M | MR | R | INSN_VEX, 4, 8, 0, 0, SEG_DS, 0, -1, 1,
	  64, 64),
};

static u32 parse(const char *s, u8 *out)
{
	u32 n = 0;

	for (; *s; s += strspn(s, " ")) {
		unsigned int byte;

		assert_int_equal(sscanf(s, "%2x", &byte), 1);
		out[n++] = (u8)byte;
		s += 2;
	}
	return n;
}

static void check_sample(const struct sample *s)
{
	struct insn in;
	u8 b[16];
	u32 n = parse(s->bytes, b), i;

	/* Every shorter piece asks for more. */
	for (i = 0; i < n; i++)
		assert_int_equal(insn_decode(&in, b, i, s->bits), -EAGAIN);
	if (insn_decode(&in, b, n, s->bits) || in.flags != s->flags)
		print_error("%s (%u bits): flags %x\n", s->bytes, s->bits, in.flags);
	assert_int_equal(in.len, n);
	assert_memory_equal(in.bytes, b, n);
	assert_string_equal(ZydisMnemonicGetString(in.mnemonic),
			    ZydisMnemonicGetString(s->mnemonic));
	assert_int_equal(in.flags, s->flags);
	assert_int_equal(in.opsize, s->opsize);
	assert_int_equal(in.addrsize, s->addrsize);
	if (s->reg >= 0)
		assert_int_equal(in.reg, s->reg);
	if (s->rm >= 0)
		assert_int_equal(in.rm, s->rm);
	assert_int_equal(in.seg, s->seg);
	assert_int_equal(in.base, s->base);
	assert_int_equal(in.index, s->index);
	assert_int_equal(in.scale, s->scale);
	assert_int_equal(in.mem_size, s->mem_size);
	assert_true(in.disp == s->disp);
	assert_true(in.imm == s->imm);
	assert_true(in.imm2 == s->imm2);
	if (s->flags & INSN_MODRM)
		assert_int_equal(in.modrm, b[in.modrm_off]);
}

static void test_samples(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(samples); i++)
		check_sample(&samples[i]);
}

static void test_offsets(void **state)
{
	static const u8 mov[] = { 0x66, 0x65, 0x41, 0xc7, 0x44, 0x24, 0x10, 0x34, 0x12 };
	static const u8 vex[] = { 0x65, 0xc4, 0xe3, 0x7d, 0x0f, 0x00, 0x03 };
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(&in, mov, sizeof(mov), 64), 0);
	assert_int_equal(in.start, 3);
	assert_int_equal(in.modrm_off, 4);
	assert_int_equal(in.imm_off, 7);
	assert_int_equal(in.imm_size, 2);
	assert_int_equal(in.opcode, 0xc7);
	assert_int_equal(in.map, ZYDIS_OPCODE_MAP_DEFAULT);
	assert_int_equal(in.imm, 0x1234);
	assert_int_equal(insn_decode(&in, vex, sizeof(vex), 64), 0);
	assert_int_equal(in.mnemonic, ZYDIS_MNEMONIC_VPALIGNR);
	assert_int_equal(in.start, 1);
	assert_int_equal(in.map, ZYDIS_OPCODE_MAP_0F3A);
	assert_int_equal(in.vvvv, 0);
	assert_int_equal(in.imm_off, 6);
	assert_int_equal(in.imm, 3);
}

static void test_invalid(void **state)
{
	static const struct {
		u32 bits;
		const char *bytes;
	} bad[] = {
		{ 64, "06" }, { 64, "d6" }, { 64, "60" }, { 64, "ea 00 00 00 00 00 00" },
		{ 64, "f0 90" }, { 64, "f0 89 00" }, { 64, "f0 01 c0" }, { 64, "48 c5 f8 77" },
		{ 64, "66 c5 f8 77" }, { 64, "8e c8" }, { 64, "0f 22 c8" }, { 64, "ff f8" },
		{ 64, "8d c0" }, { 64, "0f 04" }, { 32, "0f 01 f8" }, { 64, "fe d0" },
	};
	u8 b[16];
	struct insn in;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(b, 0, sizeof(b));
		parse(bad[i].bytes, b);
		assert_int_equal(insn_decode(&in, b, 15, bad[i].bits), -EINVAL);
		assert_int_equal(in.len, 0);
	}
}

static void test_length(void **state)
{
	struct insn in;
	u8 b[32];

	(void)state;
	memset(b, 0x66, sizeof(b));
	b[14] = 0x90;
	assert_int_equal(insn_decode(&in, b, sizeof(b), 64), 0);
	assert_int_equal(in.len, 15);
	b[14] = 0x66;
	b[15] = 0x90;
	assert_int_equal(insn_decode(&in, b, sizeof(b), 64), -EINVAL);
	assert_int_equal(in.len, 16);
	assert_int_equal(insn_decode(&in, b, 15, 64), -EINVAL);
	assert_int_equal(in.len, 16);
	assert_int_equal(insn_decode(&in, b, 14, 64), -EAGAIN);
}

static u64 ea(struct vcpu *v, u32 bits, const char *text)
{
	struct insn in;
	u8 b[16];
	u32 n = parse(text, b);

	assert_int_equal(insn_decode(&in, b, n, bits), 0);
	return insn_ea(v, &in);
}

static void test_ea(void **state)
{
	static struct vcpu v;

	(void)state;
	v.rip = 0xffffffff81000000ull;
	v.gpr[REG_RAX] = 0x7fffffff0000ull;
	v.gpr[REG_RBX] = 0x1fff0;
	v.gpr[REG_RSI] = 0xfff8;
	v.gpr[REG_RSP] = 0xffffc90000000ff8ull;
	v.gpr[9] = 0x10;
	assert_true(ea(&v, 64, "48 8b 44 24 08") == 0xffffc90000001000ull);
	assert_true(ea(&v, 64, "4a 8b 44 c8 f8") == 0x7fffffff0078ull);
	assert_true(ea(&v, 64, "8b 05 10 00 00 00") == 0xffffffff81000016ull);
	assert_true(ea(&v, 64, "83 05 10 00 00 00 01") == 0xffffffff81000017ull);
	assert_true(ea(&v, 64, "67 8b 05 10 00 00 00") == 0x81000017ull);
	assert_true(ea(&v, 64, "67 8b 40 10") == 0xffff0010ull);
	assert_true(ea(&v, 64, "8b 04 25 00 00 00 80") == 0xffffffff80000000ull);
	assert_true(ea(&v, 32, "8b 80 00 00 01 00") == 0);
	assert_true(ea(&v, 32, "a1 00 00 e0 fe") == 0xfee00000ull);
	assert_true(ea(&v, 16, "8b 40 18") == (u16)(0x1fff0 + 0xfff8 + 0x18));
	assert_true(ea(&v, 16, "a1 00 e0") == 0xe000);
}

/* Any bytes: bounded, and the same as with only the bytes that it says it used. */
static void test_random(void **state)
{
	u64 seed = 88172645463325252ull;
	struct insn in, again;
	u32 i, j;

	(void)state;
	for (i = 0; i < 300000; i++) {
		u32 bits = 16u << i % 3;
		u8 b[16];

		for (j = 0; j < 16; j++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			b[j] = (u8)(seed >> 24);
		}
		if (i & 1)
			b[0] = 0x0f;
		if (insn_decode(&in, b, 15, bits))
			continue;
		assert_in_range(in.len, 1, 15);
		assert_true(in.opsize == 1 || in.opsize == 2 || in.opsize == 4 || in.opsize == 8);
		assert_true(in.addrsize == 2 || in.addrsize == 4 || in.addrsize == 8);
		assert_in_range(in.seg, SEG_ES, SEG_GS);
		assert_true(in.base >= -1 && in.base <= INSN_RIP);
		assert_true(in.index >= -1 && in.index < (in.flags & INSN_VSIB ? 32 : 16));
		assert_true(in.scale == 1 || in.scale == 2 || in.scale == 4 || in.scale == 8);
		assert_true(in.start < in.len && in.modrm_off < in.len);
		assert_true(in.imm_off + in.imm_size <= in.len);
		memset(b + in.len, 0, sizeof(b) - in.len);
		assert_int_equal(insn_decode(&again, b, in.len, bits), 0);
		assert_memory_equal(&in, &again, sizeof(in));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_invalid), cmocka_unit_test(test_length),
		cmocka_unit_test(test_ea), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
