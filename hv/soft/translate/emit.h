/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A translation under way, and the writing of host instructions.
 */
#ifndef HV_SOFT_EMIT_H
#define HV_SOFT_EMIT_H

#include <Zydis/Zydis.h>

#include "../soft.h"
#include "far.h"

#define MAX_BLOCK_INSNS 64
#define MAX_COLD 512

/* Host register numbers. */
enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R10 = 10, H_R11, H_R15 = 15 };
#define S0 H_RBP
#define S1 H_R11

#define FLAG_CF 0x001u
#define FLAG_OF 0x800u
#define FLAGS_ALL 0x8d5u

enum xkind {
	K_COPY,		/* runs as itself */
	K_NOP,
	K_PREFETCH,
	K_PROBE,	/* touches its memory and does nothing (CLFLUSH) */
	K_XCHG_R8,	/* F3 41 90, which is no PAUSE */
	K_HELPER,	/* emulated in C */
	K_LEA,
	K_MOFFS,
	K_BIT_MEM,	/* BT/BTS/BTR/BTC memory, register */
	K_DIV,
	K_PUSH, K_POP, K_LEAVE,
	K_JMP, K_JCC, K_LOOP, K_CALL, K_RET, K_JMP_IND, K_CALL_IND,
	K_CLI, K_STI, K_CLD, K_PUSHF, K_SWAPGS,
	K_AC,		/* STAC or CLAC that changes the access mode */
	K_PAUSE,
	K_TRAP,		/* leaves with a fixed reason */
};

/* An access that may share its TLB check (share.c). */
struct x_share {
	s8 group;		/* -1: it has a check of its own */
	s8 base, index;		/* guest registers; base may be INSN_RIP */
	u8 scale;
	s64 disp;
	s64 at;			/* its place in the group, as lo and hi of that */
};

#define MAX_GROUPS 16
struct x_group {
	s8 base, index;
	u8 scale;
	bool write, open, done;
	bool absolute;		/* the host's address of lo is kept, not the distance */
	bool fleeting;		/* S0 alone keeps it, from its check to its last access */
	s32 site;		/* done: where that is kept */
	u32 first;		/* the instruction that opened it */
	s32 at;			/* the one before which its check is made; -1: with the first access */
	u32 count, version, index_changes;
	s64 lo, hi;		/* range, from base's value at its version's start */
	s64 off;		/* how far base had moved where the check is made */
};

/* Where a checked operand is: [S0 + host register index + disp]. */
struct x_ref {
	s8 index;		/* -1: none */
	s32 disp;
};

/* A decoded instruction and what is known of it. */
struct xinsn {
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct insn in;
	const u8 *bytes;
	emu_fn fn;
	enum xkind kind;
	enum soft_exit trap;
	u32 off;		/* from the block's start */
	u16 fl_read, fl_write, fl_kill;	/* arithmetic flags read, perhaps and surely written */
	u16 live_in, live_out;	/* those that may be read from before it, from behind it on */
	s8 inner;		/* K_JCC to the instruction with this index; -1: out of the block */
	s8 join;		/* the first that jumps here within the block; -1: none does */
	u8 *jump;		/* inner: the rel32 */
	bool steady;		/* in a loop, in which it stays in a page for long */
	s8 mem;			/* index of the memory operand, -1: none */
	struct x_share share, stack;	/* its memory operand, its push or pop */
	bool last;		/* no fall-through */
};

enum cold_kind { COLD_SITE, COLD_EXIT, COLD_LINK, COLD_FAR, COLD_JC };

/* Code that is seldom reached, written behind the block. */
struct cold {
	enum cold_kind kind;
	u8 *from;		/* the rel32 that jumps here */
	u8 *back;		/* SITE: where to go on */
	s8 base;		/* SITE: the operand is at [base + disp] */
	s32 disp;
	s32 tag;		/* SITE: where what S0 was xored with is, from R11 on; or 0 */
	bool delta;		/* SITE: the distance is wanted, not the address */
	enum thunk to;		/* SITE, JC */
	u32 site;
	u16 bound, mask;
	u32 info;		/* SITE: MISS_*; EXIT: enum soft_exit */
	s64 gpa32;
	bool host_flags;
	struct exit_link *link;
	struct far_jump *far;
};

struct xl {
	struct vcpu *v;
	struct soft_vm *s;
	u8 *p, *start, *end;	/* in the writable mapping */
	u8 *other_p, *other_end;	/* the same of where seldom used code goes, or back */
	bool full;		/* ran out of space */
	u32 mode;
	u64 gpa;
	s64 gpa32;		/* sign-extended low half of gpa */
	const u8 *code;		/* the guest's bytes */
	u32 avail;
	u32 n, max;
	struct code_page *page;	/* where the block will be, NULL: one that has no others yet */
	bool linked;		/* the block is wanted for a jump from its page */
	bool straddles;		/* the instruction behind the block reaches into the next page */
	const struct block *next;	/* the one that is known already where it ends */
	s64 lowest;		/* how far its jumps go back in its page, from its start; 1: none does */
	struct xinsn *x;
	struct x_group groups[MAX_GROUPS];
	u32 ngroups;
	u32 stack_sites, shares_near;	/* how many of those are taken */
	struct x_ref ref;	/* what x_memory left, beside S0 */
	s32 s0_holds;		/* where the distance is kept that is in S0, too; 0: none */
	bool s0_kept;		/* by the present instruction */
	s32 rsp_behind;		/* RSP has yet to move by this */
	enum flags_at fs;
	enum flags_at op_fs;	/* fs when the copied instruction itself runs */
	struct block_map map[MAX_BLOCK_INSNS];
	struct cold cold[MAX_COLD];
	u32 ncold;
	struct exit_link no_link;	/* written to where there is no room for one */
	struct block *b;
};

static inline u8 *to_rx(struct soft_vm *s, u8 *rw)
{
	return rw - s->rw + s->rx;
}

static inline void e8(struct xl *x, u8 b)
{
	if (likely(x->p < x->end))
		*x->p++ = b;
	else
		x->full = true;
}

static inline void e16(struct xl *x, u16 w)
{
	e8(x, (u8)w);
	e8(x, (u8)(w >> 8));
}

static inline void e32(struct xl *x, u32 d)
{
	if (likely(x->p + 4 <= x->end)) {
		__builtin_memcpy(x->p, &d, 4);
		x->p += 4;
	} else {
		x->full = true;
	}
}

static inline void e64(struct xl *x, u64 q)
{
	e32(x, (u32)q);
	e32(x, (u32)(q >> 32));
}

/* REX for reg, index, base; forced when w. */
static inline void e_rex(struct xl *x, bool w, int reg, int index, int base)
{
	u8 rex = 0x40 | (w ? 8 : 0) | (reg & 8) >> 1 | (index & 8) >> 2 | (base & 8) >> 3;

	if (rex != 0x40)
		e8(x, rex);
}

/* ModRM (and SIB, displacement) for [RSP + disp]. */
static inline void e_modrm_state(struct xl *x, int reg, s32 disp)
{
	bool small = disp >= -128 && disp < 128;

	e8(x, (!disp ? 4 : small ? 0x44 : 0x84) | (reg & 7) << 3);
	e8(x, 0x24);
	if (!disp)
		return;
	if (small)
		e8(x, (u8)disp);
	else
		e32(x, (u32)disp);
}

/* ModRM for [base + disp], any base but RSP. */
static inline void e_modrm_base(struct xl *x, int reg, int base, s32 disp)
{
	bool small = disp >= -128 && disp < 128;

	e8(x, (small ? 0x40 : 0x80) | (reg & 7) << 3 | (base & 7));
	if ((base & 7) == 4)
		e8(x, 0x24);
	if (small)
		e8(x, (u8)disp);
	else
		e32(x, (u32)disp);
}

/* ModRM for the place in S0 and x->ref. */
void e_modrm_ref(struct xl *x, int reg);

/* One-byte opcode with [RSP + disp]. */
static inline void e_op_state(struct xl *x, bool w, u8 op, int reg, s32 disp)
{
	e_rex(x, w, reg, 0, 0);
	e8(x, op);
	e_modrm_state(x, reg, disp);
}

static inline void e_load(struct xl *x, int reg, s32 disp)
{
	e_op_state(x, true, 0x8b, reg, disp);
}

static inline void e_store(struct xl *x, int reg, s32 disp)
{
	e_op_state(x, true, 0x89, reg, disp);
}

/* op r/m(rm), reg for registers. */
static inline void e_op_rr(struct xl *x, bool w, u8 op, int reg, int rm)
{
	e_rex(x, w, reg, 0, rm);
	e8(x, op);
	e8(x, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void e_mov(struct xl *x, bool w, int dst, int src)
{
	e_op_rr(x, w, 0x89, src, dst);
}

/* Group 1 (add, or, adc, sbb, and, sub, xor, cmp) with a 32-bit immediate. */
static inline void e_group1(struct xl *x, bool w, int ext, int rm, s32 imm)
{
	e_rex(x, w, 0, 0, rm);
	if (imm >= -128 && imm < 128) {
		e8(x, 0x83);
		e8(x, 0xc0 | ext << 3 | (rm & 7));
		e8(x, (u8)imm);
	} else {
		e8(x, 0x81);
		e8(x, 0xc0 | ext << 3 | (rm & 7));
		e32(x, (u32)imm);
	}
}

static inline void e_mov_imm(struct xl *x, int reg, u64 imm)
{
	if (imm == (u32)imm) {
		e_rex(x, false, 0, 0, reg);
		e8(x, 0xb8 | (reg & 7));
		e32(x, (u32)imm);
	} else if ((s64)imm == (s32)imm) {
		e_rex(x, true, 0, 0, reg);
		e8(x, 0xc7);
		e8(x, 0xc0 | (reg & 7));
		e32(x, (u32)imm);
	} else {
		e_rex(x, true, 0, 0, reg);
		e8(x, 0xb8 | (reg & 7));
		e64(x, imm);
	}
}

/* reg = base + disp; leaves the flags alone. */
static inline void e_lea(struct xl *x, bool w, int reg, int base, s32 disp)
{
	e_rex(x, w, reg, 0, base);
	e8(x, 0x8d);
	e_modrm_base(x, reg, base, disp);
}

/* reg = base + index * scale + disp (base or index may be -1, not both). */
void e_lea_full(struct xl *x, bool w, int reg, int base, int index, int scale, s32 disp);

/* jcc/jmp rel32 to be aimed later: returns the place of the rel32. */
static inline u8 *e_jcc(struct xl *x, u8 cc)
{
	e8(x, 0x0f);
	e8(x, 0x80 | cc);
	e32(x, 0);
	return x->p - 4;
}

/* jcc rel8 to x->p as it is at e_aim_short(). */
static inline u8 *e_jcc_short(struct xl *x, u8 cc)
{
	e8(x, 0x70 | cc);
	e8(x, 0);
	return x->p - 1;
}

static inline void e_aim_short(const struct xl *x, u8 *rel8)
{
	*rel8 = (u8)(x->p - (rel8 + 1));
}

static inline u8 *e_jmp(struct xl *x)
{
	e8(x, 0xe9);
	e32(x, 0);
	return x->p - 4;
}

static inline void e_aim(u8 *rel32, const u8 *target)
{
	s32 d = (s32)(target - (rel32 + 4));

	__builtin_memcpy(rel32, &d, 4);
}

/* jmp/call to an executable address. */
static inline void e_branch_rx(struct xl *x, u8 opcode, const u8 *target_rx)
{
	e8(x, opcode);
	e32(x, (u32)(target_rx - (to_rx(x->s, x->p) + 4)));
}

/* Pads so that the rel32 at bytes from here can be patched in one store. */
void e_align_patch(struct xl *x, u32 bytes);

enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS };

static inline s32 gpr_slot(int guest)
{
	return OFF_GPR + 8 * guest;
}

/* The host register of a guest one, -1: it lives in memory. */
extern const s8 host_reg[16];
/* Guest register number of a Zydis GPR; *high for AH..BH (then 0..3). */
int gpr_number(ZydisRegister r, bool *high);
static inline bool is_gpr(ZydisRegister r)
{
	return r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_R15;
}

/* Guest register into a host one, wherever it lives. */
void x_get(struct xl *x, int host, int guest);
/* The host register that holds guest now; loads it into tmp when it lives in memory. */
int x_use(struct xl *x, int guest, int tmp);
void x_put(struct xl *x, int guest, int host);

/* flags.c */
void x_flags_liveness(struct xl *x);
/* From there to the other place; S0 is clobbered. */
void x_flags_move(struct xl *x, enum flags_at at);
/* The flags are about to be clobbered before instruction xi computes its own. */
void x_flags_clobber(struct xl *x, const struct xinsn *xi);
/* Those that it or what follows may read. */
u16 x_flags_needed(const struct xinsn *xi);
/* Puts them into RFLAGS; tmp: a free scratch register, or -1. */
void x_flags_restore(struct xl *x, int tmp);
void x_flags_save(struct xl *x, int tmp);
/* Everything saved in memory: before C code. */
void x_flags_to_mem(struct xl *x);
void x_flags_written(struct xl *x);
/* Restore before an instruction that reads or partly writes them. */
void x_flags_for(struct xl *x, const struct xinsn *xi, int tmp);

/* memory.c */
/* reg = the offset that op names, truncated to the address size (to 32 bits unless w64). */
void x_effective(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, int reg,
		 bool w64);
/* S0 = host address of op's memory; S1 is clobbered, flags too (taken care of). */
void x_memory(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	      bool write, u32 align);
/* S0 (an offset in op's segment) becomes a host address. */
void x_check(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	     bool write);
/* [base] on the stack (without segment base): S0 and x->ref = its place. */
void x_stack_check(struct xl *x, const struct xinsn *xi, int base, s32 disp, u32 size, bool write);
/* x_memory with the place in S0 and x->ref instead of S0 alone; S1 is free. */
void x_memory_ref(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
		  bool write, u32 align);
/* PREFETCHh and PREFETCHW that may be more than a NOP. */
bool x_can_prefetch(const struct xl *x, const struct xinsn *xi);
void x_prefetch(struct xl *x, const struct xinsn *xi);
void x_rip(struct xl *x, int reg, s64 gpa32_target);
/* ... at the instruction behind xi. */
void x_exit_behind(struct xl *x, const struct xinsn *xi, u8 cc, enum soft_exit why);
void x_exit_if(struct xl *x, const struct xinsn *xi, u8 cc, enum soft_exit why);
bool x_waits_x87(const struct xinsn *xi);
void x_cold(struct xl *x);
/* The jump at rel32 is taken when the jump cache does not know S0. */
void x_jc_miss(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added);
/* ... for a return that is not that of the last call. */
void x_ret_miss(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added);
/* Jumps to code of another page. False: some other way must be found. */
bool x_far_jump(struct xl *x, const struct xinsn *xi, s64 gpa32_target);
/* A direct jump at rel32 to code of the same page. */
void x_link(struct xl *x, const struct xinsn *xi, u8 *rel32, s64 gpa32_target);

/*
 * The check for a group, whose range begins at [base + disp]. S0 becomes the distance
 * to the host's addresses, and g->site where it is kept. Where the check fails
 * execution goes on without groups.
 */
void x_group_check(struct xl *x, const struct xinsn *xi, struct x_group *g, int base, s32 disp);
/* The same for the range at address S0; the host's address is kept. */
void x_group_address(struct xl *x, const struct xinsn *xi, struct x_group *g);
/* The same for the range at address S0, which is always the same: S0 becomes the host's. */
void x_group_const(struct xl *x, const struct xinsn *xi, struct x_group *g);

/* From the block's own code to that which is seldom reached, and back. */
static inline void x_swap(struct xl *x)
{
	u8 *p = x->p, *end = x->end;

	x->p = x->other_p;
	x->end = x->other_end;
	x->other_p = p;
	x->other_end = end;
}

/* stack.c: RSP moves by what it is behind. */
void x_rsp_catch_up(struct xl *x);
/* May xi run while RSP is behind? */
bool x_rsp_may_wait(const struct xinsn *xi);

/* Linear addresses lo to hi - 1; bits from 12 on may be other ones. */
static inline bool x_in_page(s64 lo, s64 hi)
{
	return !((lo ^ (hi - 1)) & (s64)PAGE_MASK);
}

/*
 * copy.c: whether S0, which holds what is known of the group, does so behind xi, too.
 * flags: the flags are in RFLAGS before it, if anybody wants them.
 */
bool x_keeps_s0(const struct xinsn *xi, s8 group, bool flags);

/* early.c: groups whose check is made earlier. */
void x_checks_early(struct xl *x);

/* steady.c */
/* host: the page. Finds steady accesses, and x->lowest. */
void x_find_steady(struct xl *x, const u8 *host);

/* share.c */
/* The next general register that xi writes, from operand *i on, which moves on; -1: no more. */
int x_written(const struct xinsn *xi, int *i);
/* Does xi add a constant of less than a page to the register? */
bool x_constant_step(const struct xinsn *xi, int reg, s64 *by);
void x_share_analyse(struct xl *x);
/* Checks that are made before instruction i, ahead of their accesses. */
void x_share_early(struct xl *x, u32 i);
/* S0 and x->ref = the operand's place. */
void x_shared(struct xl *x, const struct xinsn *xi, const struct x_share *s);
/* S0 alone, instead of S0 and x->ref. */
void x_flatten(struct xl *x);

/* copy.c */
void x_copy(struct xl *x, struct xinsn *xi);
/* Bytes that the memory operand spans. */
u32 x_mem_size(const struct xinsn *xi);
void x_moffs(struct xl *x, struct xinsn *xi);
void x_lea(struct xl *x, struct xinsn *xi);
void x_bit_mem(struct xl *x, struct xinsn *xi);
void x_div(struct xl *x, struct xinsn *xi);

/* inner.c */
/* Offset in the block to which a direct jump leads. */
s64 x_jump_to(const struct xinsn *xi);
/* Finds the jumps within the block; ends it where a loop in it begins. */
void x_find_inner(struct xl *x);
/* The block that begins at off, NULL: none. */
const struct block *x_block_known(const struct xl *x, u32 off);
void x_inner_jump(struct xl *x, struct xinsn *xi, u8 cc);
/* In front of instruction t: where jumps to it come in. */
void x_join(struct xl *x, u32 t);
/* The block ends in front of instruction n. */
void x_cut(struct xl *x, u32 n);

/* branch.c */
void x_branch(struct xl *x, struct xinsn *xi);
void x_goto(struct xl *x, s64 gpa32_target);

/* returns.c */
/*
 * Behind the push of the return address, which S1 holds; S0 is clobbered. What
 * it returns goes to x_call_comes_back(), behind the jump to what is called.
 */
u8 *x_call_noted(struct xl *x, const struct xinsn *xi);
/* Does xi's block go on behind it, if it is a call? */
bool x_past_call(const struct xl *x, const struct xinsn *xi);
void x_call_comes_back(struct xl *x, const struct xinsn *xi, u8 *code);
/* Goes to rip S0, flags in memory; false: that is for the jump cache to do. */
bool x_return(struct xl *x, const struct xinsn *xi, s32 rsp_added);

/* system.c */
/* Is xi one of those instructions? Then it has its kind. */
bool x_system_inline(const struct xl *x, struct xinsn *xi);
void x_cld(struct xl *x, struct xinsn *xi);
void x_pushf(struct xl *x, struct xinsn *xi);
void x_swapgs(struct xl *x);
/* emulate: emits the call of its C function, for when more would change. */
void x_ac(struct xl *x, struct xinsn *xi, void (*emulate)(struct xl *x, struct xinsn *xi));

/* interrupts.c */
/* Falls back to emulation for every STI whose shadow cannot end in line. */
void x_settle(struct xl *x);
void x_sti(struct xl *x, struct xinsn *xi);
/* Behind the instruction in STI's shadow: an interrupt that waited leaves now. */
void x_shadow_ends(struct xl *x, struct xinsn *xi);

/* stack.c */
bool x_stack_inline(const struct xl *x, const struct xinsn *xi);
void x_push(struct xl *x, struct xinsn *xi);
void x_pop(struct xl *x, struct xinsn *xi);
void x_leave(struct xl *x, struct xinsn *xi);
/* Pushes what is in OFF_SCRATCH0. */
void x_push_scratch(struct xl *x, const struct xinsn *xi);
/* Pushes the address of the next instruction. */
void x_push_rip(struct xl *x, const struct xinsn *xi);

/* features.c */
bool x_isa_supported(const struct xinsn *xi);

/* classify.c */
void x_classify(struct xl *x, struct xinsn *xi);

#endif
