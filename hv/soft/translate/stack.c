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

/* One-byte opcode with the place in S0 and x->ref. */
static void at_ref(struct xl *x, bool w, u8 opcode, int reg)
{
	e_rex(x, w, reg, x->ref.index < 0 ? 0 : x->ref.index, S0);
	e8(x, opcode);
	e_modrm_ref(x, reg);
}

void x_rsp_catch_up(struct xl *x)
{
	if (x->rsp_behind)
		e_lea(x, true, H_GRSP, H_GRSP, x->rsp_behind);
	x->rsp_behind = 0;
}

static bool is_register(const struct xinsn *xi)
{
	return xi->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

static bool names_rsp(const struct xinsn *xi)
{
	bool high;

	for (int i = 0; i < xi->zi.operand_count; i++)
		if (xi->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(xi->op[i].reg.value) &&
		    gpr_number(xi->op[i].reg.value, &high) == REG_RSP)
			return true;
	return false;
}

static bool pushes_rsp(const struct xinsn *xi)
{
	bool high;

	return is_register(xi) && gpr_number(xi->op[0].reg.value, &high) == REG_RSP;
}

bool x_rsp_may_wait(const struct xinsn *xi)
{
	switch (xi->kind) {
	case K_PUSH:
		return xi->stack.group >= 0 && xi->mem < 0 && !pushes_rsp(xi);
	case K_POP:
		return xi->stack.group >= 0 && !pushes_rsp(xi);
	case K_NOP:
		return true;
	case K_COPY:
		return xi->mem < 0 && xi->zi.meta.category != ZYDIS_CATEGORY_X87_ALU &&
		       xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && !names_rsp(xi);
	default:
		return false;
	}
}

/* RSP moves now, or with the next push or pop behind it. */
static void move_rsp(struct xl *x, const struct xinsn *xi, s32 by)
{
	if (xi->kind != K_PUSH && xi->kind != K_POP)
		e_lea(x, width(x) == 8, H_GRSP, H_GRSP, by);
	else if (x_rsp_may_wait(xi))
		x->rsp_behind += by;
	else
		e_lea(x, width(x) == 8, H_GRSP, H_GRSP, by);
	x->s0_kept = xi->stack.group >= 0 && x->ref.index >= 0;
}

static void store_and_move(struct xl *x, const struct xinsn *xi, int src)
{
	u32 size = width(x);

	at_ref(x, size == 8, 0x89, src);
	move_rsp(x, xi, -(s32)size);
}

static void reserve(struct xl *x, const struct xinsn *xi)
{
	u32 size = width(x);

	x_stack_check(x, xi, H_GRSP, -(s32)size, size, true);
}

void x_push_rip(struct xl *x, const struct xinsn *xi)
{
	reserve(x, xi);
	x_rip(x, S1, x->gpa32 + xi->off + xi->zi.length);
	store_and_move(x, xi, S1);
}

void x_push_scratch(struct xl *x, const struct xinsn *xi)
{
	reserve(x, xi);
	e_load(x, S1, OFF_SCRATCH0);
	store_and_move(x, xi, S1);
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
		x_push_scratch(x, xi);
		return;
	}
	reserve(x, xi);
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		at_ref(x, size == 8, 0xc7, 0);
		e32(x, (u32)op->imm.value.s);
		move_rsp(x, xi, -(s32)size);
		return;
	}
	store_and_move(x, xi, x_use(x, gpr_number(op->reg.value, &high), S1));
}

void x_pop(struct xl *x, struct xinsn *xi)
{
	bool high, w = width(x) == 8;
	int g = gpr_number(xi->op[0].reg.value, &high), h = host_reg[g] < 0 ? S1 : host_reg[g];

	x_flags_clobber(x, xi);
	x_stack_check(x, xi, H_GRSP, 0, width(x), false);
	at_ref(x, w, 0x8b, h);
	if (g != REG_RSP)
		move_rsp(x, xi, (s32)width(x));
	if (host_reg[g] < 0)
		x_put(x, g, S1);
}

void x_leave(struct xl *x, struct xinsn *xi)
{
	bool w = width(x) == 8;

	x_flags_clobber(x, xi);
	x_stack_check(x, xi, H_GRBP, 0, width(x), false);
	e_lea(x, w, H_GRSP, H_GRBP, (s32)width(x));
	at_ref(x, w, 0x8b, H_GRBP);
}
