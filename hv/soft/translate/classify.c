/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of an instruction: copied, translated in a way of its own,
 * emulated in C, or an exit to the dispatcher with a reason.
 */
#include "emit.h"

static bool is_vector(ZydisRegister r)
{
	return r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_ZMM31;
}

static void trap(struct xinsn *xi, enum soft_exit why)
{
	xi->kind = K_TRAP;
	xi->trap = why;
	xi->last = true;
}

/* CR0 and CR4 may forbid the x87, MMX and vector units. */
static bool fpu_trap(const struct xl *x, struct xinsn *xi)
{
	bool x87 = xi->zi.meta.isa_set == ZYDIS_ISA_SET_X87 ||
		   xi->zi.meta.isa_set == ZYDIS_ISA_SET_FCMOV ||
		   xi->zi.meta.isa_set == ZYDIS_ISA_SET_SSE3X87;
	bool mmx = false, vector = xi->zi.meta.isa_set == ZYDIS_ISA_SET_SSEMXCSR;
	bool avx = xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	bool avx512 = xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;

	for (int i = 0; i < xi->zi.operand_count; i++) {
		if (xi->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		vector |= is_vector(xi->op[i].reg.value);
		mmx |= xi->op[i].reg.value >= ZYDIS_REGISTER_MM0 &&
		       xi->op[i].reg.value <= ZYDIS_REGISTER_MM7;
		avx512 |= xi->op[i].reg.value >= ZYDIS_REGISTER_K0 &&
			  xi->op[i].reg.value <= ZYDIS_REGISTER_K7;
	}
	if (xi->zi.mnemonic == ZYDIS_MNEMONIC_EMMS)
		mmx = true;
	if (xi->zi.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER ||
	    xi->zi.mnemonic == ZYDIS_MNEMONIC_VZEROALL)
		vector = true;
	if (!(x87 || mmx || vector || avx512))
		return false;
	if (xi->zi.mnemonic == ZYDIS_MNEMONIC_FWAIT) {
		if ((x->mode & (MODE_TS | MODE_MP)) == (MODE_TS | MODE_MP))
			trap(xi, SOFT_NM);
	} else if (x87) {
		if (x->mode & (MODE_TS | MODE_EM))
			trap(xi, SOFT_NM);
	} else if ((avx512 && !(x->mode & MODE_AVX512)) ||
		   ((avx || avx512) && !(x->mode & MODE_AVX)) ||
		   (vector && !avx && !avx512 && !(x->mode & MODE_SSE)) ||
		   (!avx && !avx512 && (x->mode & MODE_EM))) {
		trap(xi, SOFT_UD);
	} else if (x->mode & MODE_TS) {
		trap(xi, SOFT_NM);
	}
	return xi->kind == K_TRAP;
}

/* Only instructions all of whose hidden operands stay in place may be copied. */
static bool copyable(const struct xinsn *xi)
{
	for (int i = 0; i < xi->zi.operand_count; i++) {
		const ZydisDecodedOperand *op = &xi->op[i];
		bool high;
		int g;

		switch (op->type) {
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
			    op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
				return false;
			break;
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (op->reg.value >= ZYDIS_REGISTER_ES &&
			    op->reg.value <= ZYDIS_REGISTER_GS)
				return false;
			if (op->encoding != ZYDIS_OPERAND_ENCODING_NONE || !is_gpr(op->reg.value))
				break;
			g = gpr_number(op->reg.value, &high);
			if (g == REG_RSP || g == REG_RBP || g > REG_RDI)
				return false;
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			return false;
		default:
			break;
		}
	}
	return true;
}

static bool near_branch(const struct xl *x, const struct xinsn *xi)
{
	if (MODE_BITS(x->mode) == MODE_64)
		return xi->zi.operand_width == 64;
	if (MODE_BITS(x->mode) == MODE_32)
		return xi->zi.operand_width == 32;
	return xi->zi.operand_width == 16;
}

static bool branches(struct xl *x, struct xinsn *xi)
{
	bool far = xi->zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	bool relative = xi->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && xi->op[0].imm.is_relative;
	bool bounce = x->mode & MODE_BOUNCE;

	switch (xi->zi.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		if (xi->zi.mnemonic == ZYDIS_MNEMONIC_XBEGIN || !near_branch(x, xi))
			return false;
		xi->kind = K_JCC;
		if (xi->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && xi->zi.opcode >= 0xe0 &&
		    xi->zi.opcode <= 0xe3) {
			xi->kind = K_LOOP;
			xi->last = true;
		}
		return true;
	case ZYDIS_CATEGORY_UNCOND_BR:
		xi->last = true;
		if (far || !near_branch(x, xi) || xi->zi.mnemonic == ZYDIS_MNEMONIC_XABORT)
			return false;
		xi->kind = relative ? K_JMP : K_JMP_IND;
		return relative || !bounce;
	case ZYDIS_CATEGORY_CALL:
		xi->last = true;
		if (far || bounce || !near_branch(x, xi) || !x_stack_inline(x, xi))
			return false;
		xi->kind = relative ? K_CALL : K_CALL_IND;
		return true;
	case ZYDIS_CATEGORY_RET:
		xi->last = true;
		if (far || bounce || !near_branch(x, xi) || !x_stack_inline(x, xi) ||
		    xi->zi.mnemonic != ZYDIS_MNEMONIC_RET)
			return false;
		xi->kind = K_RET;
		return true;
	default:
		return false;
	}
}

static bool special(struct xl *x, struct xinsn *xi)
{
	switch (xi->zi.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_CLDEMOTE:
		xi->kind = K_NOP;
		return true;
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		xi->kind = K_PROBE;
		return x_isa_supported(xi) && xi->mem >= 0;
	case ZYDIS_MNEMONIC_PAUSE:
		xi->kind = xi->zi.raw.rex.B ? K_XCHG_R8 : K_PAUSE;
		return xi->zi.raw.rex.B || !(x->mode & (MODE_ONE | MODE_BOUNCE));
	case ZYDIS_MNEMONIC_LEA:
		xi->kind = K_LEA;
		return true;
	case ZYDIS_MNEMONIC_PUSH:
		xi->kind = K_PUSH;
		return x_stack_inline(x, xi) &&
		       (xi->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || is_gpr(xi->op[0].reg.value));
	case ZYDIS_MNEMONIC_POP:
		xi->kind = K_POP;
		return x_stack_inline(x, xi) && xi->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       is_gpr(xi->op[0].reg.value);
	case ZYDIS_MNEMONIC_LEAVE:
		xi->kind = K_LEAVE;
		return x_stack_inline(x, xi);
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		if (xi->zi.operand_width >= 32) {
			xi->kind = K_DIV;
		} else if (x->mode & MODE_BOUNCE) {
			xi->kind = K_COPY;
		} else {
			trap(xi, SOFT_DIVIDE);
		}
		return true;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		xi->kind = K_BIT_MEM;
		return xi->mem == 0 && xi->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
	case ZYDIS_MNEMONIC_MOV:
		xi->kind = K_MOFFS;
		return xi->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && xi->zi.opcode >= 0xa0 &&
		       xi->zi.opcode <= 0xa3;
	case ZYDIS_MNEMONIC_CLI:
		xi->kind = K_CLI;
		return x->mode & MODE_CPL0;
	case ZYDIS_MNEMONIC_CLD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_SWAPGS:
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_CLAC:
		return x_system_inline(x, xi);
	case ZYDIS_MNEMONIC_STI:
		xi->kind = K_STI;
		return (x->mode & (MODE_CPL0 | MODE_ONE)) == MODE_CPL0;
	default:
		if (xi->zi.meta.category == ZYDIS_CATEGORY_PREFETCH) {
			xi->kind = x_can_prefetch(x, xi) ? K_PREFETCH : K_NOP;
			return true;
		}
		if (xi->zi.meta.category == ZYDIS_CATEGORY_WIDENOP) {
			xi->kind = K_NOP;
			return true;
		}
		return false;
	}
}

/* Emulated instructions behind which execution never goes on in line. */
static bool ends_block(const struct xinsn *xi)
{
	switch (xi->zi.meta.category) {
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_UNCOND_BR:
		return true;
	default:
		return xi->zi.mnemonic == ZYDIS_MNEMONIC_HLT ||
		       xi->zi.mnemonic == ZYDIS_MNEMONIC_UD2;
	}
}

/* VEX forms of VPINSRQ and VPEXTRQ, of which Zydis makes the doubleword ones. */
static bool wide_outside_64bit(const struct xl *x, const struct xinsn *xi)
{
	return xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && xi->zi.raw.vex.W &&
	       MODE_BITS(x->mode) != MODE_64 &&
	       (xi->zi.mnemonic == ZYDIS_MNEMONIC_VPINSRD ||
		xi->zi.mnemonic == ZYDIS_MNEMONIC_VPEXTRD);
}

void x_classify(struct xl *x, struct xinsn *xi)
{
	static const u32 bits[4] = { 16, 32, 64, 64 };

	xi->kind = K_COPY;
	if (branches(x, xi) || special(x, xi))
		return;
	xi->fn = emu_lookup(&xi->in, bits[MODE_BITS(x->mode)]);
	if (xi->fn && (xi->in.flags & INSN_VSIB) && !x_isa_supported(xi))
		xi->fn = NULL;
	if (xi->fn) {
		xi->kind = K_HELPER;
		xi->last = ends_block(xi);
		return;
	}
	if (!x_isa_supported(xi) || wide_outside_64bit(x, xi)) {
		trap(xi, SOFT_UD);
		return;
	}
	xi->kind = K_COPY;
	if (fpu_trap(x, xi))
		return;
	if (!copyable(xi))
		trap(xi, SOFT_UNHANDLED);
}
