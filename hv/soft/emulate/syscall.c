/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT, and what goes with
 * them, SWAPGS and the FS and GS base instructions.
 *
 * AMD64 APM vol. 3, SYSCALL and SYSRET (also outside long mode, and in
 * compatibility mode by way of CSTAR); Intel SDM vol. 2, SYSCALL, SYSRET,
 * SYSENTER, SYSEXIT (SYSCALL only in 64-bit mode, SYSENTER in all); the guest's
 * CPUID vendor decides which rules apply.
 */
#include "emulate.h"

/* Attributes of flat segments that these instructions load. */
#define FLAT_CODE (SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_A | SEG_GRAN)
#define FLAT_DATA (SEG_P | SEG_S | SEG_W | SEG_A | SEG_GRAN | SEG_DB)

static void flat_segs(struct vcpu *v, u16 cs, u16 ss, u8 cpl, bool wide)
{
	struct seg s = { .limit = 0xffffffff, .selector = ss };

	s.attr = FLAT_DATA | (u32)cpl << SEG_DPL_SHIFT;
	emu_set_seg(v, SEG_SS, &s);
	s.selector = cs;
	s.attr = FLAT_CODE | (u32)cpl << SEG_DPL_SHIFT | (wide ? SEG_L : SEG_DB);
	emu_set_cs(v, &s, cpl);
}

/* SYSCALL outside 64-bit mode is AMD's alone. */
static bool syscall_known(struct vcpu *v)
{
	return (v->efer & X86_EFER_SCE) && vcpu_protected(v) && (vcpu_64bit(v) || !emu_intel(v));
}

EMU_HANDLER(emu_syscall)
{
	u16 cs = (u16)(v->star >> 32) & 0xfffc;
	u64 next = emu_next_rip(v, in);

	if (!syscall_known(v))
		return emu_raise_ud(v);
	if (!vcpu_long_mode(v)) {
		v->gpr[REG_RCX] = next;
		flat_segs(v, cs, (u16)(cs + 8), 0, false);
		emu_set_flags(v, 0, X86_FL_IF | X86_FL_VM | X86_FL_RF);
		return emu_jump(v, (u32)v->star);
	}
	v->gpr[REG_RCX] = next;
	v->gpr[11] = vcpu_rflags(v) & ~(u64)X86_FL_RF;
	next = vcpu_64bit(v) ? v->lstar : v->cstar;
	flat_segs(v, cs, (u16)(cs + 8), 0, true);
	emu_set_flags(v, 0, (v->sfmask & X86_FL_ALL) | X86_FL_RF);
	return emu_jump(v, next);
}

EMU_HANDLER(emu_sysret)
{
	u16 cs = (u16)(v->star >> 48) & 0xfffc;
	bool wide = vcpu_64bit(v) && in->opsize == 8;
	u64 rip = wide ? v->gpr[REG_RCX] : (u32)v->gpr[REG_RCX];

	if (!syscall_known(v))
		return emu_raise_ud(v);
	if (v->cpl)
		return emu_gp0(v);
	if (wide && !emu_canonical(rip) && emu_intel(v))
		return emu_gp0(v);
	if (vcpu_long_mode(v))
		emu_set_flags(v, v->gpr[11], X86_FL_ALL & ~(X86_FL_RF | X86_FL_VM));
	else
		emu_set_flags(v, X86_FL_IF, X86_FL_IF);
	flat_segs(v, (u16)(cs + (wide ? 16 : 0)) | 3, (u16)(cs + 8) | 3, 3, wide);
	return emu_jump(v, rip);
}

static bool sysenter_known(struct vcpu *v)
{
	return !vcpu_long_mode(v) || emu_intel(v);
}

EMU_HANDLER(emu_sysenter)
{
	u16 cs = (u16)v->sysenter_cs & 0xfffc;
	bool lm = vcpu_long_mode(v);

	(void)in;
	if (!vcpu_protected(v))
		return emu_gp0(v);
	if (!sysenter_known(v))
		return emu_raise_ud(v);
	if (!cs)
		return emu_gp0(v);
	emu_set_flags(v, 0, X86_FL_VM | X86_FL_IF | X86_FL_RF);
	flat_segs(v, cs, (u16)(cs + 8), 0, lm);
	v->gpr[REG_RSP] = lm ? v->sysenter_esp : (u32)v->sysenter_esp;
	return emu_jump(v, lm ? v->sysenter_eip : (u32)v->sysenter_eip);
}

EMU_HANDLER(emu_sysexit)
{
	u16 cs = (u16)v->sysenter_cs & 0xfffc;
	bool wide = vcpu_64bit(v) && in->opsize == 8;
	u64 rip = v->gpr[REG_RDX], rsp = v->gpr[REG_RCX];

	if (!vcpu_protected(v) || v->cpl)
		return emu_gp0(v);
	if (!sysenter_known(v))
		return emu_raise_ud(v);
	if (!cs)
		return emu_gp0(v);
	if (wide && (!emu_canonical(rip) || !emu_canonical(rsp)))
		return emu_gp0(v);
	cs = (u16)(cs + (wide ? 32 : 16));
	flat_segs(v, cs | 3, (u16)(cs + 8) | 3, 3, wide);
	v->gpr[REG_RSP] = wide ? rsp : (u32)rsp;
	return emu_jump(v, wide ? rip : (u32)rip);
}

EMU_HANDLER(emu_swapgs)
{
	u64 base = v->seg[SEG_GS].base;

	(void)in;
	if (!vcpu_64bit(v))
		return emu_raise_ud(v);
	if (v->cpl)
		return emu_gp0(v);
	v->seg[SEG_GS].base = v->kernel_gs_base;
	v->kernel_gs_base = base;
	return EMU_NEXT;
}

static enum emu read_base(struct vcpu *v, const struct insn *in, u8 seg)
{
	if (!vcpu_64bit(v) || !(v->cr4 & X86_CR4_FSGSBASE))
		return emu_raise_ud(v);
	reg_write(v, in->rm, v->seg[seg].base, in->opsize == 8 ? 8 : 4);
	return EMU_NEXT;
}

static enum emu write_base(struct vcpu *v, const struct insn *in, u8 seg)
{
	u64 base = reg_read(v, in->rm, in->opsize == 8 ? 8 : 4);

	if (!vcpu_64bit(v) || !(v->cr4 & X86_CR4_FSGSBASE))
		return emu_raise_ud(v);
	if (!emu_canonical(base))
		return emu_gp0(v);
	v->seg[seg].base = base;
	return EMU_NEXT;
}

EMU_HANDLER(emu_rdfsbase)
{
	return read_base(v, in, SEG_FS);
}

EMU_HANDLER(emu_rdgsbase)
{
	return read_base(v, in, SEG_GS);
}

EMU_HANDLER(emu_wrfsbase)
{
	return write_base(v, in, SEG_FS);
}

EMU_HANDLER(emu_wrgsbase)
{
	return write_base(v, in, SEG_GS);
}
