/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System instructions of 64-bit kernels that are frequent, in line: PUSHF, SWAPGS,
 * CLD, and STAC and CLAC, behind which code goes on in the other access mode.
 */
#include "emit.h"

static s32 state(size_t offset)
{
	return (s32)offset;
}

static s32 cpu_state(size_t offset)
{
	return (s32)(SOFT_CPU_OFFSET + offset);
}

/* opcode dword [RSP + disp], imm32 */
static void e_imm(struct xl *x, u8 opcode, int ext, s32 disp, u32 imm)
{
	e8(x, opcode);
	e_modrm_state(x, ext, disp);
	e32(x, imm);
}

/* Does STAC or CLAC change the access mode? In the others it is emulated, or does nothing. */
static bool switches(const struct xl *x, ZydisMnemonic m)
{
	return MODE_MMU(x->mode) == (m == ZYDIS_MNEMONIC_STAC ? MMU_SMAP : MMU_KERNEL);
}

bool x_system_inline(const struct xl *x, struct xinsn *xi)
{
	ZydisMnemonic m = xi->zi.mnemonic;

	if (MODE_BITS(x->mode) != MODE_64 || (x->mode & (MODE_ONE | MODE_BOUNCE)))
		return false;
	switch (m) {
	case ZYDIS_MNEMONIC_CLD:
		xi->kind = K_CLD;
		return true;
	case ZYDIS_MNEMONIC_PUSHFQ:
		xi->kind = K_PUSHF;
		return x_stack_inline(x, xi);
	case ZYDIS_MNEMONIC_SWAPGS:
		xi->kind = K_SWAPGS;
		return x->mode & MODE_CPL0;
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_CLAC:
		if (!(x->mode & MODE_CPL0))
			return false;
		if (switches(x, m)) {
			xi->kind = K_AC;
			xi->fn = emu_lookup(&xi->in, 64);
			xi->last = true;
			return xi->fn;
		}
		xi->kind = K_NOP;	/* SMAP is on, and RFLAGS.AC clear */
		return m == ZYDIS_MNEMONIC_CLAC && MODE_MMU(x->mode) == MMU_SMAP;
	default:
		return false;
	}
}

static void e_load_byte(struct xl *x, int reg, s32 disp)
{
	e_rex(x, false, reg, 0, 0);
	e8(x, 0x0f), e8(x, 0xb6);	/* movzx */
	e_modrm_state(x, reg, disp);
}

/* S1 |= a byte of the state << by; S0 is clobbered. */
static void e_or_flag(struct xl *x, s32 disp, u8 by)
{
	e_load_byte(x, S0, disp);
	e8(x, 0xc1), e8(x, 0xe0 | S0), e8(x, by);	/* shl */
	e_op_rr(x, false, 0x09, S0, S1);		/* or */
}

void x_pushf(struct xl *x, struct xinsn *xi)
{
	x_flags_to_mem(x);
	e_load_byte(x, S1, OFF_ARITH + 1);		/* as LAHF has them */
	e_or_flag(x, OFF_ARITH, 11);			/* OF */
	e_or_flag(x, OFF_IF, 9);
	e_op_state(x, false, 0x0b, S1, OFF_SYSFLAGS);	/* or */
	e_group1(x, false, 4, S1, ~(s32)(X86_FL_VM | X86_FL_RF));
	e_group1(x, false, 1, S1, X86_FL_FIXED);
	e_store(x, S1, OFF_SCRATCH0);
	x_push_scratch(x, xi);
}

void x_cld(struct xl *x, struct xinsn *xi)
{
	x_flags_clobber(x, xi);
	e_imm(x, 0x81, 4, OFF_SYSFLAGS, ~X86_FL_DF);	/* and */
}

void x_swapgs(struct xl *x)
{
	s32 base = OFF_SEG + SIZEOF_SEG * SEG_GS;
	s32 other = state(offsetof(struct vcpu, kernel_gs_base));

	e_load(x, S0, base);
	e_load(x, S1, other);
	e_store(x, S1, base);
	e_store(x, S0, other);
}

/* The rest of soft_update_mode() for a change of nothing but the access mode. */
static void change_mode(struct xl *x, u32 mode)
{
	bool stac = MODE_MMU(mode) == MMU_KERNEL;

	e_imm(x, 0x81, stac ? 1 : 4, OFF_SYSFLAGS, stac ? X86_FL_AC : ~X86_FL_AC);
	e_imm(x, 0xc7, 0, cpu_state(offsetof(struct soft_cpu, mode)), mode);
	e_imm(x, 0xc7, 0, state(offsetof(struct vcpu, data_rights)), stac ? X86_FL_AC : 0);
	e_rex(x, true, S0, 0, 0);
	e8(x, 0x8d);			/* lea */
	e_modrm_state(x, S0, OFF_TLB + MODE_MMU(mode) * TLB_MODE_SIZE);
	e_store(x, S0, state(offsetof(struct vcpu, data_tlb)));
}

void x_ac(struct xl *x, struct xinsn *xi, void (*emulate)(struct xl *x, struct xinsn *xi))
{
	u32 old = x->mode;
	u32 mode = (old ^ (MMU_SMAP ^ MMU_KERNEL) << MODE_MMU_SHIFT) & ~MODE_PLAIN;
	s64 behind = x->gpa32 + xi->off + xi->zi.length;
	u8 *smap = NULL, *known;

	x_flags_to_mem(x);
	if (MODE_MMU(mode) == MMU_SMAP) {
		e_imm(x, 0xf7, 0, state(offsetof(struct vcpu, cr4)), X86_CR4_SMAP);	/* test */
		smap = e_jcc(x, CC_E);
	}
	/* What the jump cache holds of the other access mode must be of this mode else. */
	e_imm(x, 0x81, 7, cpu_state(offsetof(struct soft_cpu, jc_context)) +
	      (s32)sizeof(u32) * MODE_MMU(mode), mode);			/* cmp */
	known = e_jcc(x, CC_E);
	if (smap)
		e_aim(smap, x->p);
	emulate(x, xi);
	if (smap) {		/* without SMAP, and AC was clear: nothing has changed */
		x_goto(x, behind);
		x->fs = FLAGS_MEM;
	}
	e_aim(known, x->p);
	change_mode(x, mode);
	x->mode = mode;
	x_goto(x, behind);
	x->mode = old;
}
