/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accesses of loops that stay in their page for long: no register of the
 * address changes in the loop but by small constants. They ask a site of their
 * own (soft.h) instead of the TLB. A loop that is entered in its middle is of two
 * blocks, which are not there yet when the first of them is translated: what the
 * instructions of the other do is looked up in the guest's code. The table of a
 * switch has its page as well, which each jump by it waits for. A wrong guess costs
 * time alone.
 */
#include "emit.h"
#include "../decode/decode.h"

#define MAX_STEP 256		/* bytes a round, by one instruction */
#define MAX_OTHER 256		/* bytes of the loop's other block */
#define TABLE_SIZE 128		/* entries of a table, at a guess */
#define MAX_BACK 8		/* instructions from a load to where it is wanted */

/* What functions need not keep, as compilers have it: RAX, RCX, RDX, RSI, RDI, R8 to R11. */
#define CALLED_CHANGE (BIT(0) | BIT(1) | BIT(2) | BIT(6) | BIT(7) | 0xf00)

/* Registers that xi changes, but for small steps. */
static u32 changed_by(const struct xinsn *xi)
{
	u32 regs = xi->kind == K_CALL || xi->kind == K_CALL_IND ? CALLED_CHANGE : 0;
	s64 by;

	for (int i = 0, reg; (reg = x_written(xi, &i)) >= 0;) {
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

static bool is_register(const ZydisDecodedOperand *op, int *reg)
{
	bool high;

	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !is_gpr(op->reg.value))
		return false;
	*reg = gpr_number(op->reg.value, &high);
	return true;
}

/*
 * The load, before instruction i, that reg comes from, by moves and by arithmetic with
 * one operand more; NULL: not seen.
 */
static struct xinsn *origin(struct xl *x, u32 i, int reg)
{
	for (u32 back = 0; i-- > 0 && back < MAX_BACK; back++) {
		struct xinsn *xi = &x->x[i];
		int to;

		if (!is_register(&xi->op[0], &to) || to != reg ||
		    !(xi->op[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (xi->mem >= 0)
			return xi;
		if (!(xi->op[0].actions & ZYDIS_OPERAND_ACTION_READ) && !is_register(&xi->op[1], &reg))
			return NULL;
	}
	return NULL;
}

/* Instruction i may jump by a table, to the case of a switch that a load has told. */
static void jump_table(struct xl *x, u32 i)
{
	struct xinsn *table = &x->x[i], *code;
	const ZydisDecodedOperand *at;
	bool high;
	int reg;

	if (is_register(&table->op[0], &reg))
		table = origin(x, i, reg);
	if (!table || table->mem < 0)
		return;
	at = &table->op[table->mem];
	if (!is_gpr(at->mem.index) || at->mem.scale < 4)
		return;
	/* Where its place is known, most of it must be in one page. */
	if (at->mem.base == ZYDIS_REGISTER_NONE &&
	    !x_in_page(at->mem.disp.value, at->mem.disp.value + TABLE_SIZE * at->mem.scale))
		return;
	table->steady = true;
	code = origin(x, (u32)(table - x->x), gpr_number(at->mem.index, &high));
	if (!code)
		return;
	for (struct xinsn *xi = x->x; xi <= code; xi++)	/* it may share a check */
		xi->steady |= xi->mem >= 0 && xi->op[xi->mem].mem.base == code->op[code->mem].mem.base;
}

void x_find_steady(struct xl *x, const u8 *host)
{
	u32 page = x->gpa & ~PAGE_MASK, before = 0, last = 0;
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

		if (xi->kind == K_JMP_IND)
			jump_table(x, i);
		if (xi->kind != K_JCC && xi->kind != K_JMP && xi->kind != K_LOOP)
			continue;
		to = x_jump_to(xi);
		if (to <= 0 && -to <= page)
			lowest = MIN(lowest, to);
		for (first = 0; first <= i; first++)
			if (x->x[first].off == (u64)to)
				loop(x, first, i, 0);
		if (to < 0 && -to <= page && -to <= MAX_OTHER) {
			before = (u32)-to;
			last = i;
		}
	}
	if (before)
		entered_behind(x, host, before, last);
	x->lowest = lowest;
	if (x->next && x->next->closes)
		closed_behind(x);
}
