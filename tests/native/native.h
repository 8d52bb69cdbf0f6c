/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The differential test of the software engine against the host CPU: a
 * sequence of instructions with its inputs, what came out of running it, and
 * the pieces that make, run, compare and tell.
 */
#ifndef TESTS_NATIVE_NATIVE_H
#define TESTS_NATIVE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

#define FL_CF 0x1ul
#define FL_TF 0x100ul
#define FL_IF 0x200ul
#define FL_DF 0x400ul
#define FL_NT 0x4000ul
#define FL_RF 0x10000ul
#define FL_AC 0x40000ul
#define FL_ID 0x200000ul
#define FL_ARITH 0x8d5ul

#define SEL_USER32 0x23
#define SEL_USERDS 0x2b
#define SEL_USER64 0x33
/* In the local descriptor table. */
#define SEL_CODE16 0x07
#define SEL_DATA16 0x0f
#define SEL_FS_DATA 0x17
#define SEL_GS_DOWN 0x1f

#define MAX_INSNS 24
#define MAX_CODE 512

/* --- random numbers (splitmix64: all of its state is the seed) ------------- */

struct rng {
	u64 state;
};

static inline u64 rng64(struct rng *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Evenly in 0..n-1. */
static inline u32 rng_below(struct rng *r, u32 n)
{
	return (u32)((rng64(r) >> 32) * n >> 32);
}

/* True in pct of 100 cases. */
static inline bool rng_pct(struct rng *r, u32 pct)
{
	return rng_below(r, 100) < pct;
}

/* --- a test ----------------------------------------------------------------- */

enum fix_kind {
	FIX_NONE,
	FIX_RIP,	/* RIP-relative: the displacement to the address fix_to */
	FIX_BRANCH,	/* the displacement to instruction number fix_to */
	FIX_CODE,	/* the absolute address of instruction number fix_to */
	FIX_RIP_CODE,	/* the RIP-relative displacement to instruction fix_to, plus fix_add */
};

struct insn {
	u8 bytes[16];
	u8 len;
	u8 fix;			/* enum fix_kind */
	u8 fix_off, fix_size;	/* the field to patch */
	s8 fix_add;
	u64 fix_to;
	u32 undef;		/* flags that are undefined before it */
	bool rep;		/* a repeated string instruction */
};

enum place {
	PLACE_PLAIN,
	PLACE_CROSS,	/* over a page boundary */
	PLACE_END,	/* at the end of the window, running into the hole */
};

struct fpstate {
	u16 fcw, fsw, fop;
	u8 ftw;			/* a bit a register: not empty */
	u32 mxcsr;
	u64 fip, fdp;
	u8 st[8][10];
	u8 vec[32][64];
	u64 k[8];
};

struct test {
	u64 seed;
	int group;
	int count;
	struct insn insn[MAX_INSNS];
	u32 undef_end;

	u64 gpr[16];
	u64 rflags;
	u64 fs_base, gs_base;
	u16 ds, es, ss, fs, gs;
	struct fpstate fp;
	u64 mem_seed;
	bool high;		/* code in the high arena */
	bool smc;		/* writes its own code */
	bool loose_memory;	/* its memory is not compared */
	u8 place;		/* enum place */
	u16 shift;		/* of the start, in bytes */

	/* Once placed: */
	u64 at[MAX_INSNS + 1];	/* address of each instruction, and of the end */
	u8 code[MAX_CODE];
	u32 code_len;
};

enum outcome_kind {
	OUT_END,	/* reached the end */
	OUT_FAULT,	/* an exception */
	OUT_TIMEOUT,
	OUT_SYSCALL,	/* tried a system call: no result */
	OUT_ERROR,	/* the machinery failed; told in text */
};

struct outcome {
	int kind;
	u8 vector;
	u32 error;
	u64 cr2;
	u64 rip;
	u64 gpr[16];
	u64 rflags;
	u64 fs_base, gs_base;
	u16 sel[6];		/* es, cs, ss, ds, fs, gs */
	struct fpstate fp;
	u8 mem[2][DATA_SIZE];
	u8 code[MAX_CODE];
	char text[160];
};

/* --- options and features (main.c) ----------------------------------------- */

int native_main(int argc, char **argv);

struct options {
	u64 seed;
	u64 start, count;
	const char *groups;
	const char *replay;	/* GROUP:SEED */
	const char *hex;	/* bytes to run */
	const char *kvm;	/* a device instead of libanykvm */
	bool self;		/* native against native */
	bool fault_flags;	/* compare arithmetic flags at faults too */
	bool undefined;		/* compare undefined flags too */
	bool fpu_pointers;	/* compare FIP, FDP and FOP too */
	bool singlestep;	/* the guest under KVM_GUESTDBG_SINGLESTEP */
	bool overwrite;		/* always the same place, as a debugger writes code */
	bool legacy;		/* 32- and 16-bit: without EFER.LMA */
	bool list;
	bool verbose;
	int jobs;
	int bits;		/* 64, 32 or 16: the default size of code */
	u64 max_report;
};

extern struct options opt;

/* XCR0's bits that both sides have and the test uses. */
extern u64 xmask;
bool have_avx(void);
bool have_avx512(void);

/* CPUID as the tested side has it: the host's, less what the guest has not. */
struct cpuid_view {
	u32 leaf1[4], leaf7[4], leaf7_1[4], ext1[4], ext8[4], leafd1[4];
};
extern struct cpuid_view cpu;
void features_from_host(void);
/* Takes away what a guest's leaf lacks. */
void features_limit(u32 leaf, u32 subleaf, const u32 r[4]);

/* --- generating -------------------------------------------------------------- */

enum group {
	G_ALU, G_SHIFT, G_MULDIV, G_BIT, G_MOVE, G_STRING, G_STACK, G_FLAGS, G_ATOMIC, G_BMI,
	G_X87, G_MMX, G_SSE, G_CRYPTO, G_AVX, G_FMA, G_AVX512, G_GATHER, G_HINT, G_FSGS, G_PRIV,
	G_DECIMAL, G_SEGMENT, G_FPENV, G_ENCODINGS,
	/* not of single instructions: */
	G_MIXED = G_ENCODINGS, G_BYTES, G_FLOW, G_SMC, G_HAND, G_AC, G_TF, G_UD, G_FAR, G_XSAVE,
	G_MASKED, G_COUNT,
};

extern const char *const group_name[G_COUNT];
/* The number of a name, or -1. */
int group_find(const char *name);
/* True when the test of a group makes sense in this mode and on this host. */
bool group_usable(int group);

/* Lists every encoding the host has; once, after features are known. */
void encodings_init(void);
void encodings_list(void);

/* Makes the test of a seed and a group. */
void test_generate(struct test *t, int group, u64 seed);
/* A test with random inputs of the given bytes. 0, or -1 when they are not code. */
int test_from_hex(struct test *t, const char *hex, u64 seed);
/* All flags that some instruction of the test leaves undefined. */
u32 test_undefined(const struct test *t);

void values_init(void);
void values_state(struct test *t, struct rng *r);
/* The contents of both arenas' data. */
void values_memory(u64 mem_seed, u8 mem[2][DATA_SIZE]);
u64 value_int(struct rng *r);
/* A pointer into the data of an arena. */
u64 value_pointer(struct rng *r, bool high);

/* --- running ------------------------------------------------------------------ */

/* Gives the test its place in the arena and patches its addresses. -1: does not fit. */
int test_place(struct test *t);
/* True when the code area must be forgotten before the next test. */
bool place_wrapped(void);

void host_init(void);
void host_run(struct test *t, struct outcome *o);
extern u16 host_selector_base;

/* 0, or -1 with a message on stderr. */
int guest_init(void);
void guest_run(struct test *t, struct outcome *o);
void guest_forget_code(void);

/* The standard form of an XSAVE area, and back. */
void fp_to_xsave(const struct fpstate *f, u8 *xsave);
void fp_from_xsave(struct fpstate *f, const u8 *xsave);
#define XSAVE_SIZE 4096

/* --- comparing ----------------------------------------------------------------- */

/* True when they agree; otherwise tells the differences on out (may be NULL). */
bool outcomes_agree(const struct test *t, const struct outcome *want, const struct outcome *got,
		    FILE *out);
void test_print(const struct test *t, FILE *out);

#endif
