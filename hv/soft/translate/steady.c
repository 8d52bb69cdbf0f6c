/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accesses of loops that stay in their page for long: no register of the
 * address changes in the loop but by small constants. They ask a site of their
 * own (soft.h) instead of the TLB.
 */
#include "emit.h"

#define MAX_STEP 256		/* bytes a round, by one instruction */

/* Registers that instructions first..last change, but for small steps. */
static u32 changed(const struct xl *x, u32 first, u32 last)
{
	u32 regs = 0;
	bool high;

	for (u32 i = first; i <= last; i++) {
		const struct xinsn *xi = &x->x[i];

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
	}
	return regs;
}

static bool depends(const ZydisDecodedOperand *op, u32 regs)
{
	bool high;

	return (is_gpr(op->mem.base) && regs & BIT(gpr_number(op->mem.base, &high))) ||
	       (is_gpr(op->mem.index) && regs & BIT(gpr_number(op->mem.index, &high)));
}

static void loop(struct xl *x, u32 first, u32 last)
{
	u32 regs = changed(x, first, last);

	for (u32 i = first; i <= last; i++) {
		struct xinsn *xi = &x->x[i];

		if (xi->mem >= 0 && !xi->in.mask && !depends(&xi->op[xi->mem], regs))
			xi->steady = true;
	}
}

void x_find_steady(struct xl *x)
{
	for (u32 i = 0; i < x->n; i++)
		x->x[i].steady = false;
	if (MODE_BITS(x->mode) != MODE_64)
		return;
	for (u32 i = 0; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];
		u32 first;

		if (xi->kind != K_JCC && xi->kind != K_JMP && xi->kind != K_LOOP)
			continue;
		for (first = 0; first <= i; first++)
			if (x->x[first].off == (u64)x_jump_to(xi))
				loop(x, first, i);
	}
}
