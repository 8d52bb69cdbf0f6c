/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the generator's parts share: the list of encodings, the rules of what
 * may run in a test, and a test in the making.
 */
#ifndef TESTS_NATIVE_GEN_H
#define TESTS_NATIVE_GEN_H

#include <Zydis/Zydis.h>

#include "native.h"

enum { ENC_LEGACY, ENC_VEX, ENC_EVEX };
enum { PP_NONE, PP_66, PP_F3, PP_F2 };

#define ENC_MODRM 1u
#define ENC_MEM 2u
#define ENC_VSIB 4u
#define ENC_BCAST 8u	/* EVEX.b */
#define ENC_MASKED 16u	/* needs a mask register other than k0 */

/* One way to encode one instruction: everything but registers, addresses and immediates. */
struct enc {
	u8 kind, map, pp, opcode;
	u8 w, l;
	s8 digit;	/* ModRM.reg, -1: any register */
	s8 rm;		/* ModRM.rm of a register form, -1: any */
	u8 flags;	/* ENC_* */
	u8 group;
	u16 mnemonic;
};

/* A random encoding of a group; NULL when it has none. */
const struct enc *encoding_pick(struct rng *r, int group);
int encoding_count(int group);

/* --- policy.c -------------------------------------------------------------- */

/* The group of an instruction, or -1 when it must not run in a test. */
int policy_group(const ZydisDecodedInstruction *in);
/* Near branches with a displacement. */
bool policy_relative(const ZydisDecodedInstruction *in);
/* The count of a shift or a repetition may be zero: flags may stay as they are. */
bool policy_may_keep_flags(const ZydisDecodedInstruction *in);
/* A repeated string instruction. */
bool policy_repeated(const ZydisDecodedInstruction *in);

/* --- a test in the making ----------------------------------------------------- */

struct maker {
	struct test *t;
	struct rng r;
	ZydisDecoder *dec;
	u16 ptr;		/* registers that point to data */
	u16 ptr_low;		/* .. of the low arena */
	u16 small;		/* registers with small numbers */
	u16 keep;		/* registers that nothing may write */
	u32 undef;		/* undefined flags at this point */
	int shadow;		/* instructions before this number may be jumped over */
	bool loop;		/* in a loop's body: no undefined flags at all */
	int limit;		/* how many instructions it shall get */
};

extern ZydisDecoder decoder;

void maker_init(struct maker *m, struct test *t, int group, u64 seed);
/* Adds an instruction of a group with random operands. False: none was found. */
bool maker_add(struct maker *m, int group);
/* Adds random bytes that decode to something harmless. */
bool maker_add_bytes(struct maker *m);
/* Adds given bytes without questions; the flags they leave undefined are noted. */
struct insn *maker_add_raw(struct maker *m, const void *bytes, int len);
/* Fills bytes for an encoding. The length, or 0. */
int instantiate(struct maker *m, const struct enc *e, struct insn *in);
/* Judges the decoded instruction against the state of the test; true: taken. */
bool maker_accept(struct maker *m, struct insn *in, int group);

/* --- programs.c, hand.c, system.c: tests with a structure ----------------------- */
void program_flow(struct maker *m);
void program_smc(struct maker *m);
void program_hand(struct maker *m);
void program_ud(struct maker *m);
void program_far(struct maker *m);
void program_xsave(struct maker *m);

/* masked.c */
void program_masked(struct maker *m);

#endif
