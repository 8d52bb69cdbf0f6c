/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PUSH, POP and LEAVE where the operand and the stack pointer are as wide as
 * the code: 64-bit mode, and 32-bit code on a 32-bit stack. Other forms are
 * emulated.
 */
#include "emit.h"

#define H_GRSP H_R15
#define H_GRBP H_R10

static u32 width(const struct xl *x)
{
	return MODE_BITS(x->mode) == MODE_64 ? 8 : 4;
}

bool x_stack_inline(const struct xl *x, const struct xinsn *xi)
{
	if (x->mode & MODE_BOUNCE)
		return false;
	if (MODE_BITS(x->mode) == MODE_64)
		return xi->zi.operand_width == 64;
	return MODE_BITS(x->mode) == MODE_32 && (x->mode & MODE_SS32) &&
	       xi->zi.operand_width == 32;
}

static void store_and_move(struct xl *x, int src)
{
	u32 size = width(x);

	e_rex(x, size == 8, src, 0, S0);
	e8(x, 0x89);
	e_modrm_base(x, src, S0, 0);
	e_lea(x, size == 8, H_GRSP, H_GRSP, -(s32)size);
}

static void reserve(struct xl *x, const struct xinsn *xi)
{
	u32 size = width(x);

	e_lea(x, size == 8, S0, H_GRSP, -(s32)size);
	x_stack_check(x, xi, size, true);
}

void x_push_rip(struct xl *x, const struct xinsn *xi)
{
	reserve(x, xi);
	x_rip(x, S1, x->gpa32 + xi->off + xi->zi.length);
	store_and_move(x, S1);
}

void x_push(struct xl *x, struct xinsn *xi)
{
	u32 size = width(x);
	const ZydisDecodedOperand *op = &xi->op[0];
	bool high;

	x_flags_clobber(x, xi);
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		x_memory(x, xi, op, size, false, 1);
		e_rex(x, size == 8, S1, 0, S0);
		e8(x, 0x8b);
		e_modrm_base(x, S1, S0, 0);
		e_store(x, S1, OFF_SCRATCH0);
		reserve(x, xi);
		e_load(x, S1, OFF_SCRATCH0);
		store_and_move(x, S1);
		return;
	}
	reserve(x, xi);
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		e_rex(x, size == 8, 0, 0, S0);
		e8(x, 0xc7);
		e_modrm_base(x, 0, S0, 0);
		e32(x, (u32)op->imm.value.s);
		e_lea(x, size == 8, H_GRSP, H_GRSP, -(s32)size);
		return;
	}
	store_and_move(x, x_use(x, gpr_number(op->reg.value, &high), S1));
}

void x_pop(struct xl *x, struct xinsn *xi)
{
	bool high, w = width(x) == 8;
	int g = gpr_number(xi->op[0].reg.value, &high), h = host_reg[g] < 0 ? S1 : host_reg[g];

	x_flags_clobber(x, xi);
	e_mov(x, w, S0, H_GRSP);
	x_stack_check(x, xi, width(x), false);
	if (g != REG_RSP)
		e_lea(x, w, H_GRSP, H_GRSP, (s32)width(x));
	e_rex(x, w, h, 0, S0);
	e8(x, 0x8b);
	e_modrm_base(x, h, S0, 0);
	if (host_reg[g] < 0)
		x_put(x, g, S1);
}

void x_leave(struct xl *x, struct xinsn *xi)
{
	bool w = width(x) == 8;

	x_flags_clobber(x, xi);
	e_mov(x, w, S0, H_GRBP);
	x_stack_check(x, xi, width(x), false);
	e_lea(x, w, H_GRSP, H_GRBP, (s32)width(x));
	e_rex(x, w, H_GRBP, 0, S0);
	e8(x, 0x8b);
	e_modrm_base(x, H_GRBP, S0, 0);
}
