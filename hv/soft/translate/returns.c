/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Returns of 64-bit code find their way by a stack of the calls under way
 * (struct ret_stack), not by the jump cache, which could not hold those of a
 * large program, and which a new process fills anew:
 *
 *		(++top)->rip = return address
 *		top->code = 1f
 *		jmp	code of what is called
 *	1:	code_delta = return address - its gpa32
 *		code behind the call, of the same block or by a jump
 *
 *		cmp	popped address, top->rip
 *		jne	look it up in the jump cache; top--
 *		jmp	(top--)->code
 *
 * The stack is emptied where the jump cache is, and by every flush of the TLB: code
 * behind STAC and CLAC that stay in line (system.c) calls from pages that the jump
 * cache of their access mode was not asked for. Behind its entries lies a page
 * without memory; who calls too deep meets it and starts at the bottom (fault.c).
 * What calls never return from is taken off by returns that miss. Nothing is polled
 * on the way, as no loop consists of returns alone.
 */
#include "emit.h"

/*
 * A CALL to the instructions right behind it is none that returns: it asks for
 * RIP, fills the CPU's stack of returns, or keeps it from guessing (retpolines).
 */
#define NEAR 32

static bool is_call(const struct xinsn *xi)
{
	s64 by = xi->op[0].imm.value.s;

	return xi->kind != K_CALL || by < 0 || by >= NEAR;
}

/* A RET to where the instruction before it says is a jump. */
static bool is_return(const struct xl *x, const struct xinsn *xi)
{
	const struct xinsn *before = xi - 1;

	return xi == x->x || before->zi.mnemonic != ZYDIS_MNEMONIC_MOV || before->mem != 0 ||
	       before->op[0].mem.base != ZYDIS_REGISTER_RSP || before->op[0].mem.disp.value;
}

static bool wanted(const struct xl *x)
{
	return MODE_BITS(x->mode) == MODE_64 && !(x->mode & (MODE_ONE | MODE_BOUNCE)) &&
	       !soft_switch.no_returns;
}

#define ENTRY ((s32)sizeof(struct ret_entry))
#define CODE ((s32)offsetof(struct ret_entry, code))

/* opcode reg, [RSP + place + disp] */
static void e_at(struct xl *x, bool w, u8 opcode, int reg, int place, s32 disp)
{
	e_rex(x, w, reg, place, 0);
	e8(x, opcode);
	e8(x, (disp ? 0x44 : 4) | (reg & 7) << 3);
	e8(x, 0x04 | (place & 7) << 3);
	if (disp)
		e8(x, (u8)disp);
}

static s32 top_of(const struct xl *x)
{
	int m = MODE_MMU(x->mode);

	return m < 2 ? OFF_RET_TOP + (s32)sizeof(u32) * m : OFF_RET_TOP_LAST;
}

static bool comes_back(const struct xl *x, const struct xinsn *xi)
{
	s64 behind = x->gpa32 + xi->off + xi->zi.length;

	return wanted(x) && is_call(xi) && !((behind ^ x->gpa32) & (s64)PAGE_MASK) &&
	       behind == (s32)behind && behind != INT32_MIN;
}

bool x_past_call(const struct xl *x, const struct xinsn *xi)
{
	return (xi->kind == K_CALL || xi->kind == K_CALL_IND) && !soft_switch.no_past_calls &&
	       !(x->mode & MODE_PLAIN) && comes_back(x, xi);
}

u8 *x_call_noted(struct xl *x, const struct xinsn *xi)
{
	u8 *code;

	if (!comes_back(x, xi))
		return NULL;
	e_op_state(x, false, 0x8b, S0, top_of(x));
	e_lea(x, false, S0, S0, ENTRY);
	e_op_state(x, false, 0x89, S0, top_of(x));
	e_at(x, true, 0x89, S1, S0, 0);
	e8(x, 0x4c), e8(x, 0x8d), e8(x, 0x1d), e32(x, 0);	/* lea r11, [rip + x] */
	code = x->p - 4;
	e_at(x, true, 0x89, S1, S0, CODE);
	return code;
}

void x_call_comes_back(struct xl *x, const struct xinsn *xi, u8 *code)
{
	s64 behind = x->gpa32 + xi->off + xi->zi.length;

	if (!code)
		return;
	e_aim(code, x->p);
	e_lea(x, true, S0, S0, (s32)-behind);
	e_store(x, S0, OFF_DELTA);
	x->fs = FLAGS_MEM;
	if (xi + 1 < x->x + x->n)
		return;
	e_align_patch(x, 1);
	x_link(x, xi, e_jmp(x), behind);
}

bool x_return(struct xl *x, const struct xinsn *xi, s32 rsp_added)
{
	if (!wanted(x) || !is_return(x, xi))
		return false;
	e_op_state(x, false, 0x8b, S1, top_of(x));
	e_at(x, true, 0x3b, S0, S1, 0);
	x_ret_miss(x, xi, e_jcc(x, CC_NE), rsp_added);
	e_lea(x, true, S1, S1, -ENTRY);
	e_op_state(x, false, 0x89, S1, top_of(x));
	e_at(x, false, 0xff, 4, S1, ENTRY + CODE);	/* jmp */
	return true;
}
