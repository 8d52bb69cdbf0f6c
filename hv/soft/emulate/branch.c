/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Near branches in all sizes: CALL, RET, JMP, Jcc, LOOP and JCXZ. The
 * translator does the usual ones itself; those whose operand size is not that
 * of the code (RIP is cut to 16 bits) come here.
 *
 * Intel SDM vol. 1, 6.4 and 7.3.8; vol. 2 (each instruction).
 */
#include "emulate.h"

static enum emu branch_operand(struct vcpu *v, const struct insn *in, u64 *rip)
{
	if (in->flags & INSN_MEM || in->opcode == 0xff)
		TRY(emu_read_rm(v, in, in->opsize, rip));
	else
		*rip = v->rip + in->len + (u64)in->imm;
	*rip &= emu_mask(in->opsize);
	return EMU_NEXT;
}

/* The target of a near branch, checked. */
static enum emu near_target(struct vcpu *v, const struct insn *in, u64 *rip)
{
	TRY(branch_operand(v, in, rip));
	return emu_check_rip(v, &v->seg[SEG_CS], *rip, 0);
}

EMU_HANDLER(emu_call_near)
{
	struct emu_stack st;
	u64 rip;

	/* The host looks at the stack before it looks at the target. */
	TRY(branch_operand(v, in, &rip));
	emu_stack_now(v, &st);
	TRY(emu_stack_probe(v, &st, in->opsize));
	TRY(emu_check_rip(v, &v->seg[SEG_CS], rip, 0));
	TRY(emu_push(v, emu_next_rip(v, in), in->opsize));
	return emu_jump(v, rip);
}

EMU_HANDLER(emu_jmp_near)
{
	u64 rip;

	TRY(near_target(v, in, &rip));
	return emu_jump(v, rip);
}

EMU_HANDLER(emu_ret_near)
{
	u32 release = in->opcode & 1 ? 0 : (u16)in->imm;
	struct emu_stack st;
	u64 rip;

	emu_stack_now(v, &st);
	TRY(emu_stack_pop(v, &st, &rip, in->opsize));
	TRY(emu_check_rip(v, &v->seg[SEG_CS], rip, 0));
	st.sp = (st.sp + release) & st.mask;
	emu_stack_commit(v, &st);
	return emu_jump(v, rip);
}

/* The condition of a Jcc, in the low four bits of its opcode. */
static bool condition(const struct vcpu *v, u8 cc)
{
	u64 f = arith_to_rflags(v->arith);
	bool less = !(f & X86_FL_SF) != !(f & X86_FL_OF), r;

	switch (cc >> 1 & 7) {
	case 0:
		r = f & X86_FL_OF;
		break;
	case 1:
		r = f & X86_FL_CF;
		break;
	case 2:
		r = f & X86_FL_ZF;
		break;
	case 3:
		r = f & (X86_FL_CF | X86_FL_ZF);
		break;
	case 4:
		r = f & X86_FL_SF;
		break;
	case 5:
		r = f & X86_FL_PF;
		break;
	case 6:
		r = less;
		break;
	default:
		r = less || (f & X86_FL_ZF);
	}
	return r != (cc & 1);
}

EMU_HANDLER(emu_jcc)
{
	return condition(v, in->opcode & 15) ? emu_jmp_near(v, in) : EMU_NEXT;
}

/* LOOPNE, LOOPE, LOOP and JCXZ; the counter is as wide as addresses are. */
EMU_HANDLER(emu_loop)
{
	u64 rip, count = reg_read(v, REG_RCX, in->addrsize);
	bool zf = v->arith >> 8 & X86_FL_ZF, taken;

	if (in->opcode == 0xe3)
		return count ? EMU_NEXT : emu_jmp_near(v, in);
	count = (count - 1) & emu_mask(in->addrsize);
	taken = count && (in->opcode == 0xe2 || zf == (in->opcode & 1));
	if (taken)
		TRY(near_target(v, in, &rip));
	emu_set_reg(v, REG_RCX, count, in->addrsize);
	return taken ? emu_jump(v, rip) : EMU_NEXT;
}
