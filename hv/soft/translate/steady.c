/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accesses of loops that stay in their page for long: no register of the
 * address changes in the loop but by small constants. They ask a site of their
 * own (soft.h) instead of the TLB. A loop that is entered in its middle is of two
 * blocks, which are not there yet when the first of them is translated: what the
 * instructions of the other do is looked up in the guest's code. A wrong guess costs
 * time alone.
 */
#include "emit.h"
#include "../decode/decode.h"

#define MAX_STEP 256		/* bytes a round, by one instruction */
#define MAX_OTHER 256		/* bytes of the loop's other block */

/* Registers that xi changes, but for small steps. */
static u32 changed_by(const struct xinsn *xi)
{
	u32 regs = 0;
	bool high;

	for (int k = 0; k < xi->zi.operand_count; k++) {
		const ZydisDecodedOperand *op = &xi->op[k];
		int reg;
		s64 by;

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !is_gpr(op->reg.value) ||
		    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		reg = gpr_number(op->reg.value, &high);
		if (!x_constant_step(xi, reg, &by) || by < -MAX_STEP || by > MAX_STEP)
			regs |= BIT(reg);
	}
	return regs;
}

/* Those that instructions first..last change. */
static u32 changed(const struct xl *x, u32 first, u32 last)
{
	u32 regs = 0;

	for (u32 i = first; i <= last; i++)
		regs |= changed_by(&x->x[i]);
	return regs;
}

/* Those that len bytes of code change, which are not the block's. */
static u32 changed_elsewhere(struct xl *x, const u8 *code, u32 len)
{
	struct xinsn *xi = &x->x[x->n];
	u32 regs = 0;

	if (x->n == MAX_BLOCK_INSNS)
		return ~0u;
	for (u32 at = 0; at < len; at += xi->zi.length) {
		if (!ZYAN_SUCCESS(insn_decode_zydis(&xi->zi, xi->op, code + at, MIN(len - at, 15u), 64)))
			return ~0u;
		regs |= changed_by(xi);
	}
	return regs;
}

static bool depends(const ZydisDecodedOperand *op, u32 regs)
{
	bool high;

	return (is_gpr(op->mem.base) && regs & BIT(gpr_number(op->mem.base, &high))) ||
	       (is_gpr(op->mem.index) && regs & BIT(gpr_number(op->mem.index, &high)));
}

/* Instructions first..last are a loop, or its part in this block. */
static void loop(struct xl *x, u32 first, u32 last, u32 regs)
{
	regs |= changed(x, first, last);
	for (u32 i = first; i <= last; i++) {
		struct xinsn *xi = &x->x[i];

		if (xi->mem >= 0 && !xi->in.mask && !depends(&xi->op[xi->mem], regs))
			xi->steady = true;
	}
}

/* The loop begins before the block, len bytes. */
static void entered_behind(struct xl *x, const u8 *host, u32 len, u32 last)
{
	u8 code[MAX_OTHER];

	if (host_guest_move(code, host + (x->gpa & ~PAGE_MASK) - len, len))
		return;
	loop(x, 0, last, changed_elsewhere(x, code, len));
}

/* The block that is known behind this one closes the loop. */
static void closed_behind(struct xl *x)
{
	u32 end = x->x[x->n - 1].off + x->x[x->n - 1].zi.length;
	u32 size = x->next->size, page = x->gpa & ~PAGE_MASK;

	for (u32 i = 0; i < x->n; i++) {
		if ((page + x->x[i].off) >> 4 < x->next->back)
			continue;
		if (size <= MAX_OTHER && end + size <= x->avail)
			loop(x, i, x->n - 1, changed_elsewhere(x, x->code + end, size));
		return;
	}
}

void x_find_steady(struct xl *x, const u8 *host)
{
	u32 page = x->gpa & ~PAGE_MASK;
	s64 lowest = 1;

	for (u32 i = 0; i < x->n; i++)
		x->x[i].steady = false;
	x->lowest = 1;
	if (soft_switch.no_steady || MODE_BITS(x->mode) != MODE_64 || x->max == 1)
		return;
	for (u32 i = 0; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];
		s64 to;
		u32 first;

		if (xi->kind != K_JCC && xi->kind != K_JMP && xi->kind != K_LOOP)
			continue;
		to = x_jump_to(xi);
		if (to <= 0 && -to <= page)
			lowest = MIN(lowest, to);
		for (first = 0; first <= i; first++)
			if (x->x[first].off == (u64)to)
				loop(x, first, i, 0);
		if (to < 0 && -to <= page && -to <= MAX_OTHER)
			entered_behind(x, host, (u32)-to, i);
	}
	x->lowest = lowest;
	if (x->next && x->next->closes)
		closed_behind(x);
}
