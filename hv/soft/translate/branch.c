/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control flow. A direct jump within the page is a host jump, patched when
 * its target is translated. One to another page, whose mapping may change,
 * goes as an indirect jump does: through the jump cache, from rip to code.
 */
#include "emit.h"

static bool single(const struct xl *x)
{
	return x->mode & (MODE_ONE | MODE_BOUNCE);
}

static bool same_page(const struct xl *x, s64 target)
{
	return ((target ^ x->gpa32) & (s64)PAGE_MASK) == 0;
}

static void leave(struct xl *x, s64 target)
{
	e_branch_rx(x, 0xe8,
		    x->s->thunk[x->fs == FLAGS_MEM ? THUNK_EXIT_MEM : THUNK_EXIT_HOST]);
	e32(x, (u32)target);
	e32(x, SOFT_NEXT);
}

/* Goes to rip S0; the flags are in memory. xi has moved RSP by rsp_added. */
static void indirect(struct xl *x, const struct xinsn *xi, s32 rsp_added)
{
	s32 at = OFF_JC + MODE_MMU(x->mode) * JC_MODE_SIZE;

	if (single(x)) {
		e_branch_rx(x, 0xe8, x->s->thunk[THUNK_JC_MISS]);
		e32(x, (u32)(x->gpa32 + xi->off));
		e32(x, (u32)rsp_added);
		return;
	}
	/* imul r11d, ebp, JC_HASH0; shr r11d, JC_SHIFT; and r11d, -16 */
	e8(x, 0x44), e8(x, 0x69), e8(x, 0xdd), e32(x, JC_HASH0);
	e8(x, 0x41), e8(x, 0xc1), e8(x, 0xeb), e8(x, JC_SHIFT);
	e_group1(x, false, 4, S1, -16);
	/* cmp rbp, [rsp + r11 + rip] */
	e8(x, 0x4a), e8(x, 0x3b), e8(x, 0xac), e8(x, 0x1c), e32(x, (u32)at);
	x_jc_miss(x, xi, e_jcc(x, CC_NE), rsp_added);
	/* jmp [rsp + r11 + code] */
	e8(x, 0x42), e8(x, 0xff), e8(x, 0xa4), e8(x, 0x1c), e32(x, (u32)at + 8);
}

/* taken: the branch xi jumps; else execution falls through behind it. */
static void goto_from(struct xl *x, const struct xinsn *xi, s64 target, bool taken)
{
	/* IP wraps at 64 KiB, which x_rip sees to. */
	bool wraps = taken && MODE_BITS(x->mode) == MODE_16;

	if (single(x) && !wraps) {
		leave(x, target);
	} else if (!single(x) && same_page(x, target) &&
		   !(x->straddles && xi->off + xi->zi.length + x->gpa32 == target)) {
		e_align_patch(x, 1);
		x_link(x, xi, e_jmp(x), target);
	} else if (single(x) || !x_far_jump(x, xi, target)) {
		x_flags_to_mem(x);
		x_rip(x, S0, target);
		indirect(x, xi, 0);
	}
}

void x_goto(struct xl *x, s64 target)
{
	goto_from(x, &x->x[x->n - 1], target, false);
}

static s64 target_of(const struct xl *x, const struct xinsn *xi)
{
	return x->gpa32 + xi->off + xi->zi.length + xi->op[0].imm.value.s;
}

static void jcc(struct xl *x, struct xinsn *xi)
{
	s64 target = target_of(x, xi);
	u8 cc = xi->zi.opcode & 15, *over;
	enum flags_at fs;

	x_flags_for(x, xi, S0);
	x->s0_kept = true;
	if (xi->inner >= 0) {
		x_inner_jump(x, xi, cc);
		return;
	}
	if (!single(x) && same_page(x, target)) {
		e_align_patch(x, 2);
		x_link(x, xi, e_jcc(x, cc), target);
		return;
	}
	over = e_jcc(x, cc ^ 1);
	fs = x->fs;
	goto_from(x, xi, target, true);
	x->fs = fs;
	e_aim(over, x->p);
}

static u8 *jrcxz(struct xl *x)
{
	e8(x, 0xe3), e8(x, 0);
	return x->p - 1;
}

/* The count register that LOOP and JCXZ look at into RCX, the guest's RCX into S1. */
static void narrow_rcx(struct xl *x, u32 width)
{
	if (width == 16)
		e8(x, 0x0f), e8(x, 0xb7), e8(x, 0xc9);	/* movzx ecx, cx */
	else if (width == 32)
		e_mov(x, false, H_RCX, H_RCX);
}

static void loop(struct xl *x, struct xinsn *xi)
{
	u32 width = xi->zi.address_width;
	bool is_jcxz = xi->zi.opcode == 0xe3;
	u8 *zero, *not_taken = NULL, *done;
	enum flags_at fs;

	x_flags_for(x, xi, S0);
	e_mov(x, true, S1, H_RCX);
	if (!is_jcxz) {
		e_lea(x, width == 64, H_RCX, H_RCX, -1);
		if (width == 16)
			e8(x, 0x66);
		e_mov(x, width == 64, S1, H_RCX);
	}
	narrow_rcx(x, width);
	zero = jrcxz(x);
	e_mov(x, true, H_RCX, S1);
	if (xi->zi.opcode == 0xe0 || xi->zi.opcode == 0xe1)	/* LOOPNE: not on ZF */
		not_taken = e_jcc(x, xi->zi.opcode == 0xe0 ? CC_E : CC_NE);
	fs = x->fs;
	if (is_jcxz)
		x_goto(x, x->gpa32 + xi->off + xi->zi.length);
	else
		goto_from(x, xi, target_of(x, xi), true);
	x->fs = fs;
	done = x->p;
	if ((s64)(done - (zero + 1)) > 127)
		x->full = true;
	*zero = (u8)(done - (zero + 1));
	e_mov(x, true, H_RCX, S1);
	if (not_taken)
		e_aim(not_taken, x->p);
	goto_from(x, xi, is_jcxz ? target_of(x, xi) : x->gpa32 + xi->off + xi->zi.length, is_jcxz);
}

static void call(struct xl *x, struct xinsn *xi)
{
	u8 *noted;

	if (xi->stack.group < 0 || !x->groups[xi->stack.group].done)
		x_flags_clobber(x, xi);
	x_push_rip(x, xi);
	noted = x_call_noted(x, xi);
	goto_from(x, xi, target_of(x, xi), true);
	x_call_comes_back(x, xi, noted);
}

static void ret(struct xl *x, struct xinsn *xi)
{
	bool w = MODE_BITS(x->mode) == MODE_64;
	s32 pop = w ? 8 : 4;

	if (xi->zi.raw.imm[0].size)
		pop += (s32)(xi->zi.raw.imm[0].value.u & 0xffff);
	x_flags_clobber(x, xi);
	x_stack_check(x, xi, H_R15, 0, w ? 8 : 4, false);
	e_rex(x, w, S0, x->ref.index < 0 ? 0 : x->ref.index, S0);
	e8(x, 0x8b);
	e_modrm_ref(x, S0);
	e_lea(x, w, H_R15, H_R15, pop);
	if (!x_return(x, xi, pop))
		indirect(x, xi, pop);
}

/* S0 = where an indirect jump or call goes. */
static void indirect_target(struct xl *x, struct xinsn *xi)
{
	u32 size = xi->zi.operand_width / 8;
	bool high;

	x_flags_clobber(x, xi);
	if (xi->mem >= 0) {
		x_memory_ref(x, xi, &xi->op[xi->mem], size, false, 1);
		e_rex(x, size == 8, S0, x->ref.index < 0 ? 0 : x->ref.index, S0);
		if (size == 2)
			e8(x, 0x0f), e8(x, 0xb7);	/* movzx */
		else
			e8(x, 0x8b);
		e_modrm_ref(x, S0);
		x->s0_holds = 0;
		return;
	}
	x->s0_holds = 0;
	x_get(x, S0, gpr_number(xi->op[0].reg.value, &high));
	if (size == 4)
		e_mov(x, false, S0, S0);
	else if (size == 2)
		e8(x, 0x0f), e8(x, 0xb7), e8(x, 0xed);	/* movzx ebp, bp */
}

/* A call's target is looked at before anything is pushed. */
static void must_be_canonical(struct xl *x, const struct xinsn *xi)
{
	if (MODE_BITS(x->mode) != MODE_64)
		return;
	e_mov(x, true, S1, S0);
	e_rex(x, true, 0, 0, S1);
	e8(x, 0xc1), e8(x, 0xf8 | (S1 & 7)), e8(x, 47);	/* sar 47: 0 or -1 */
	e_group1(x, true, 0, S1, 1);
	e_group1(x, true, 7, S1, 1);
	x_exit_if(x, xi, CC_A, SOFT_GP);
}

static void call_indirect(struct xl *x, struct xinsn *xi)
{
	u8 *noted;

	indirect_target(x, xi);
	must_be_canonical(x, xi);
	e_store(x, S0, OFF_SCRATCH0);
	x_push_rip(x, xi);
	noted = x_call_noted(x, xi);
	e_load(x, S0, OFF_SCRATCH0);
	indirect(x, xi, 0);
	x_call_comes_back(x, xi, noted);
}

void x_branch(struct xl *x, struct xinsn *xi)
{
	switch (xi->kind) {
	case K_JMP:
		goto_from(x, xi, target_of(x, xi), true);
		break;
	case K_JCC:
		jcc(x, xi);
		break;
	case K_LOOP:
		loop(x, xi);
		break;
	case K_CALL:
		call(x, xi);
		break;
	case K_RET:
		ret(x, xi);
		break;
	case K_JMP_IND:
		indirect_target(x, xi);
		indirect(x, xi, 0);
		break;
	case K_CALL_IND:
		call_indirect(x, xi);
		break;
	default:
		break;
	}
}

/* Code outside of blocks. */
static struct xl *begin_apart(struct soft_vm *s, u32 mode)
{
	struct xl *x = s->scratch;

	x->s = s;
	x->mode = mode;
	x->ncold = 0;
	x->full = false;
	x->p = x->start = s->rw + ALIGN_UP(s->cold_used, 16ul);
	x->end = s->rw + s->cold_end;
	return x;
}

static u8 *end_apart(struct xl *x)
{
	x_cold(x);
	if (x->full)
		return NULL;
	x->s->cold_used = (u64)(x->p - x->s->rw);
	return x->start;
}

/* By the jump cache to gpa32; flags_saved: they are in memory. */
static void by_jump_cache(struct xl *x, s64 gpa32, bool flags_saved)
{
	struct xinsn *xi = x->s->insn_scratch;

	x->gpa32 = gpa32;
	xi->off = 0;
	if (!flags_saved)
		x_flags_save(x, S0);
	x_rip(x, S0, gpa32);
	indirect(x, xi, 0);
}

bool x_far_link(struct soft_vm *s, struct exit_link *l)
{
	struct xl *x = begin_apart(s, l->mode);	/* not its block's behind STAC and CLAC */
	u8 *code;

	by_jump_cache(x, (s32)l->gpa32, l->at != FLAGS_HOST);
	code = end_apart(x);
	if (code)
		__atomic_store_n((s32 *)(void *)(s->rw + l->jump),
				 (s32)(code - (s->rw + l->jump + 4)), __ATOMIC_RELEASE);
	return code;
}

/* To the block of the same address space in another page. */
static void correct_delta(struct xl *x, s64 by)
{
	if (!by)
		return;
	e_load(x, S0, OFF_DELTA);
	if (by == (s32)by) {
		e_lea(x, true, S0, S0, (s32)by);
	} else {
		e_lea(x, true, S0, S0, (s32)(by / 2));
		e_lea(x, true, S0, S0, (s32)(by - by / 2));
	}
	e_store(x, S0, OFF_DELTA);
}

u8 *x_far_way(struct soft_vm *s, const struct far_jump *f, const struct block *b)
{
	s64 by = f->gpa32 - (s64)(s32)b->gpa;
	u8 *target = f->back ? b->poll : b->entry, *code;
	bool move = x_flags_must_move(f->at, b);
	struct xl *x;

	if (!by && !move && !b->gpa2)
		return target;
	x = begin_apart(s, f->mode);
	if (b->gpa2) {	/* which pages these are must be looked up each time */
		by_jump_cache(x, f->gpa32, f->at != FLAGS_HOST);
	} else {
		correct_delta(x, by);
		if (move)
			x_flags_move(x, f->at);
		e_branch_rx(x, 0xe9, target);
	}
	code = end_apart(x);
	return code ? to_rx(s, code) : NULL;
}
