/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads and stores of segment registers: MOV, PUSH and POP of ES, CS, SS, DS,
 * FS and GS, and LDS, LES, LFS, LGS, LSS.
 *
 * Intel SDM vol. 2 (each instruction), vol. 3, 3.4.2 to 3.4.4 and 6.8.3 (loading
 * SS holds back interrupts for one instruction).
 */
#include "emulate.h"

/* Checks and reads what selector sel would put into seg. */
static enum emu check_sreg(struct vcpu *v, u8 seg, u16 sel, struct seg *s)
{
	if (vcpu_real_or_v86(v)) {
		emu_real_seg(v, seg, sel, s);
		return EMU_NEXT;
	}
	if (seg != SEG_SS)
		return emu_check_data(v, sel, v->cpl, EXC_GP, 0, s);
	if (emu_null_sel(sel) && vcpu_64bit(v) && v->cpl < 3 && (sel & 3) == v->cpl) {
		emu_null_seg(sel, v->cpl, s);
		return EMU_NEXT;
	}
	return emu_check_ss(v, sel, v->cpl, EXC_GP, 0, s);
}

EMU_HANDLER(emu_mov_from_sreg)
{
	u8 seg = in->modrm >> 3 & 7;

	if (seg > SEG_GS)
		return emu_raise_ud(v);
	return emu_write_rm(v, in, in->flags & INSN_MEM ? 2 : in->opsize, v->seg[seg].selector);
}

EMU_HANDLER(emu_mov_to_sreg)
{
	u8 seg = in->modrm >> 3 & 7;
	struct seg s;
	u64 sel;

	if (seg > SEG_GS || seg == SEG_CS)
		return emu_raise_ud(v);
	TRY(emu_read_rm(v, in, 2, &sel));
	TRY(check_sreg(v, seg, (u16)sel, &s));
	emu_set_seg(v, seg, &s);
	if (seg == SEG_SS)
		v->irq_shadow = KVM_X86_SHADOW_INT_MOV_SS;
	return EMU_NEXT;
}

EMU_HANDLER(emu_load_far_pointer)
{
	struct seg s;
	u64 offset;
	u16 sel;
	u8 seg;

	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_LES:
		seg = SEG_ES;
		break;
	case ZYDIS_MNEMONIC_LDS:
		seg = SEG_DS;
		break;
	case ZYDIS_MNEMONIC_LSS:
		seg = SEG_SS;
		break;
	case ZYDIS_MNEMONIC_LFS:
		seg = SEG_FS;
		break;
	default:
		seg = SEG_GS;
	}
	if (!(in->flags & INSN_MEM))
		return emu_raise_ud(v);
	TRY(emu_load_pointer(v, in, &offset, &sel));
	TRY(check_sreg(v, seg, sel, &s));
	emu_set_seg(v, seg, &s);
	reg_write(v, in->reg, offset, in->opsize);
	return EMU_NEXT;
}

/* The segment that a one-byte or 0F PUSH or POP names. */
static u8 push_pop_seg(const struct insn *in)
{
	switch (in->opcode & ~1) {
	case 0x06:
		return SEG_ES;
	case 0x0e:
		return SEG_CS;
	case 0x16:
		return SEG_SS;
	case 0x1e:
		return SEG_DS;
	case 0xa0:
		return SEG_FS;
	default:
		return SEG_GS;
	}
}

EMU_HANDLER(emu_push_sreg)
{
	return emu_push(v, v->seg[push_pop_seg(in)].selector, in->opsize);
}

EMU_HANDLER(emu_pop_sreg)
{
	u8 seg = push_pop_seg(in);
	struct emu_stack st;
	struct seg s;
	u64 sel;

	emu_stack_now(v, &st);
	TRY(emu_stack_pop(v, &st, &sel, in->opsize));
	TRY(check_sreg(v, seg, (u16)sel, &s));
	/* The stack pointer moves as wide as the stack was when SP was read. */
	emu_stack_commit(v, &st);
	emu_set_seg(v, seg, &s);
	if (seg == SEG_SS)
		v->irq_shadow = KVM_X86_SHADOW_INT_MOV_SS;
	return EMU_NEXT;
}
