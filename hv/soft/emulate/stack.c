/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stack instructions in all sizes: PUSH, POP, PUSHA, POPA, ENTER, LEAVE. The
 * translator does the usual ones itself and comes here for odd ones: 16-bit
 * operands or stacks, operands in MMIO.
 *
 * Intel SDM vol. 1, chapter 6; vol. 2 (each instruction).
 */
#include "emulate.h"

EMU_HANDLER(emu_push_insn)
{
	u64 val;

	if (in->flags & INSN_MEM) {
		TRY(emu_read_rm(v, in, in->opsize, &val));
	} else if ((in->opcode & 0xf8) == 0x50 || in->opcode == 0xff) {
		val = reg_read(v, in->rm, in->opsize);
	} else {
		val = (u64)in->imm;
	}
	return emu_push(v, val, in->opsize);
}

EMU_HANDLER(emu_pop_insn)
{
	u64 val, ea, rsp = v->gpr[REG_RSP];
	struct emu_stack st;

	emu_stack_now(v, &st);
	TRY(emu_stack_pop(v, &st, &val, in->opsize));
	if (!(in->flags & INSN_MEM)) {
		emu_stack_commit(v, &st);
		reg_write(v, in->rm, val, in->opsize);
		return EMU_NEXT;
	}
	/* An address made from the stack pointer sees it after the pop. */
	emu_stack_commit(v, &st);
	ea = insn_ea(v, in);
	v->gpr[REG_RSP] = rsp;
	TRY(emu_store(v, in->seg, ea, &val, in->opsize, in->opsize));
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}

EMU_HANDLER(emu_pusha)
{
	struct emu_stack st;

	emu_stack_now(v, &st);
	TRY(emu_stack_push(v, &st, v->gpr, 8, in->opsize));
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}

EMU_HANDLER(emu_popa)
{
	struct emu_stack st;
	u64 val[8];
	int r;

	emu_stack_now(v, &st);
	for (r = REG_RDI; r >= 0; r--)
		TRY(emu_stack_pop(v, &st, &val[r], in->opsize));
	for (r = 0; r < 8; r++)
		if (r != REG_RSP)
			reg_write(v, (u8)r, val[r], in->opsize);
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}

EMU_HANDLER(emu_enter)
{
	u32 i, level = in->imm2 & 31, size = in->opsize;
	u64 bp = v->gpr[REG_RBP], val, own;
	struct emu_stack st, outer;

	emu_stack_now(v, &st);
	TRY(emu_stack_push(v, &st, &bp, 1, size));
	/* On a 16-bit stack a wider frame pointer has the upper half of ESP. */
	own = st.mask == 0xffff ? (v->gpr[REG_RSP] & ~0xffffull) | st.sp : st.sp;
	/* The frame pointers of the enclosing levels, which pushes may overwrite; then our own. */
	for (i = 1; i < level; i++) {
		bp = (bp - size) & st.mask;
		outer = st;
		outer.sp = bp;
		TRY(emu_stack_pop(v, &outer, &val, size));
		TRY(emu_stack_push(v, &st, &val, 1, size));
	}
	if (level)
		TRY(emu_stack_push(v, &st, &own, 1, size));
	/* The end of the new frame must be writable. */
	st.sp = (st.sp - (u16)in->imm) & st.mask;
	outer = st;
	outer.sp = (st.sp + size) & st.mask;
	TRY(emu_stack_probe(v, &outer, size));
	reg_write(v, REG_RBP, own, (u8)size);
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}

EMU_HANDLER(emu_leave)
{
	struct emu_stack st;
	u64 val;

	emu_stack_now(v, &st);
	st.sp = v->gpr[REG_RBP] & st.mask;
	TRY(emu_stack_pop(v, &st, &val, in->opsize));
	emu_stack_commit(v, &st);
	reg_write(v, REG_RBP, val, in->opsize);
	return EMU_NEXT;
}
