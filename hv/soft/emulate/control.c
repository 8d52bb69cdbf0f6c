/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control and debug registers, extended control registers, and the
 * instructions that flush address translations and caches.
 *
 * Intel SDM vol. 3, 2.5 (control registers), 17.2 (debug registers), 4.10.4
 * (INVLPG, INVPCID); AMD64 APM vol. 2, 3.1.5 (CR8) and vol. 3, MOV CRn (LOCK as
 * the prefix for CR8).
 */
#include "emulate.h"

EMU_HANDLER(emu_mov_from_cr)
{
	u8 cr = in->reg | (in->flags & INSN_LOCK ? 8 : 0), size = vcpu_64bit(v) ? 8 : 4;
	u64 val;

	switch (cr) {
	case 0:
		val = v->cr0;
		break;
	case 2:
		val = v->cr2;
		break;
	case 3:
		val = v->cr3;
		break;
	case 4:
		val = v->cr4;
		break;
	case 8:
		val = v->cpl ? 0 : vcpu_get_cr8(v);
		break;
	default:
		return emu_raise_ud(v);
	}
	if (v->cpl)
		return emu_gp0(v);
	reg_write(v, in->rm, val, size);
	return EMU_NEXT;
}

EMU_HANDLER(emu_mov_to_cr)
{
	u8 cr = in->reg | (in->flags & INSN_LOCK ? 8 : 0);
	u64 val = reg_read(v, in->rm, vcpu_64bit(v) ? 8 : 4);
	int bad = 0;

	if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && cr != 8)
		return emu_raise_ud(v);
	if (v->cpl)
		return emu_gp0(v);
	switch (cr) {
	case 0:
		bad = vcpu_set_cr0(v, val);
		v->mode_stale = true;
		break;
	case 2:
		v->cr2 = val;
		break;
	case 3:
		bad = vcpu_set_cr3(v, val);
		break;
	case 4:
		bad = vcpu_set_cr4(v, val);
		v->mode_stale = true;
		break;
	case 8:
		/* User space's APIC may have something for the lower priority. */
		if (!v->lapic && val < v->cr8)
			v->wants |= WANT_SET_TPR;
		bad = vcpu_set_cr8(v, val);
		if (v->wants)
			emu_look_for_events(v);
		break;
	}
	return bad ? emu_refused(v, bad) : EMU_NEXT;
}

EMU_HANDLER(emu_clts)
{
	(void)in;
	if (v->cpl)
		return emu_gp0(v);
	if (v->cr0 & X86_CR0_TS)
		v->mode_stale = true;
	v->cr0 &= ~X86_CR0_TS;
	return EMU_NEXT;
}

EMU_HANDLER(emu_smsw)
{
	if ((v->cr4 & X86_CR4_UMIP) && v->cpl)
		return emu_gp0(v);
	return emu_write_rm(v, in, in->flags & INSN_MEM ? 2 : in->opsize, v->cr0);
}

EMU_HANDLER(emu_lmsw)
{
	u64 val, low = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	int bad;

	if (v->cpl)
		return emu_gp0(v);
	TRY(emu_read_rm(v, in, 2, &val));
	/* PE can be set and not cleared. */
	val = (v->cr0 & ~low) | (val & (low | X86_CR0_PE));
	bad = vcpu_set_cr0(v, val);
	v->mode_stale = true;
	return bad ? emu_refused(v, bad) : EMU_NEXT;
}

EMU_HANDLER(emu_xgetbv)
{
	u32 ecx = (u32)v->gpr[REG_RCX], lo, hi;
	u64 val = v->xcr0;

	(void)in;
	if (!(v->cr4 & X86_CR4_OSXSAVE))
		return emu_raise_ud(v);
	if (ecx > 1 || (ecx == 1 && !emu_cpuid_bit(v, 0xd, 1, 0, 2)))
		return emu_gp0(v);
	if (ecx == 1) {
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
		val &= lo | (u64)hi << 32;
	}
	v->gpr[REG_RAX] = (u32)val;
	v->gpr[REG_RDX] = val >> 32;
	return EMU_NEXT;
}

EMU_HANDLER(emu_xsetbv)
{
	u64 val = (u32)v->gpr[REG_RAX] | v->gpr[REG_RDX] << 32;
	int bad;

	(void)in;
	if (!(v->cr4 & X86_CR4_OSXSAVE))
		return emu_raise_ud(v);
	if (v->cpl || (u32)v->gpr[REG_RCX])
		return emu_gp0(v);
	bad = vcpu_set_xcr0(v, val);
	v->mode_stale = true;
	return bad ? emu_refused(v, bad) : EMU_NEXT;
}

/* --- translations and caches --------------------------------------------------- */

EMU_HANDLER(emu_invlpg)
{
	u64 linear;

	if (v->cpl)
		return emu_gp0(v);
	linear = insn_ea(v, in);
	if (!vcpu_64bit(v))
		linear = (u32)(linear + v->seg[in->seg].base);
	else if (in->seg == SEG_FS || in->seg == SEG_GS)
		linear += v->seg[in->seg].base;
	if (emu_canonical(linear))
		v->vm->engine->flush_tlb_page(v, linear);
	return EMU_NEXT;
}

EMU_HANDLER(emu_invpcid)
{
	u64 type, desc[2];

	if (!emu_cpuid_bit(v, 7, 0, 1, 10))
		return emu_raise_ud(v);
	if (v->cpl)
		return emu_gp0(v);
	type = reg_read(v, in->reg, vcpu_64bit(v) ? 8 : 4);
	TRY(emu_load(v, in->seg, insn_ea(v, in), desc, 16, 1));
	if (type > 3 || (type < 3 && desc[0] >> 12 && type != 2))
		return emu_gp0(v);
	if (type < 2 && desc[0] && !(v->cr4 & X86_CR4_PCIDE))
		return emu_gp0(v);
	if (type == 0 && !emu_canonical(desc[1]))
		return emu_gp0(v);
	/* Translations are only kept of the present address space. */
	if (type == 0 && desc[0] == (v->cr4 & X86_CR4_PCIDE ? v->cr3 & 0xfff : 0))
		v->vm->engine->flush_tlb_page(v, desc[1]);
	else
		v->vm->engine->flush_tlb(v, type != 2);
	return EMU_NEXT;
}

/* INVD, WBINVD, WBNOINVD: guest memory is always coherent. */
EMU_HANDLER(emu_cache_flush)
{
	(void)in;
	return v->cpl ? emu_gp0(v) : EMU_NEXT;
}

/* --- debug registers ----------------------------------------------------------- */

#define DR6_FIXED 0xffff0ff0u
#define DR6_WRITABLE 0x0000e00fu
#define DR6_BD BIT(13)
#define DR7_FIXED 0x400u
#define DR7_WRITABLE 0xffff2bffu
#define DR7_GD BIT(13)

/* The register's number with DR4 and DR5 resolved; 0xff: a fault, or an exit to the debugger. */
static u8 debug_register(struct vcpu *v, const struct insn *in)
{
	u8 dr = in->reg;

	if (v->cpl) {
		vcpu_raise_error(v, EXC_GP, 0);
		return 0xff;
	}
	if (dr > 7 || ((dr == 4 || dr == 5) && (v->cr4 & X86_CR4_DE))) {
		vcpu_raise(v, EXC_UD);
		return 0xff;
	}
	if (vcpu_dr7(v) & DR7_GD) {
		if (!(v->guest_debug.control & KVM_GUESTDBG_USE_HW_BP))
			vcpu_raise_db(v, DR6_BD);
		else
			emu_debug_exit(v, EXC_DB, DR6_BD);
		return 0xff;
	}
	return dr == 4 || dr == 5 ? dr + 2 : dr;
}

EMU_HANDLER(emu_mov_from_dr)
{
	u8 dr = debug_register(v, in);
	u64 val;

	if (dr == 0xff)
		return v->exc.pending ? EMU_FAULT : EMU_EXIT;
	val = dr == 6 ? v->dr6 : dr == 7 ? v->dr7 : v->dr[dr & 3];
	reg_write(v, in->rm, val, vcpu_64bit(v) ? 8 : 4);
	return EMU_NEXT;
}

EMU_HANDLER(emu_mov_to_dr)
{
	u8 dr = debug_register(v, in);
	u64 val;

	if (dr == 0xff)
		return v->exc.pending ? EMU_FAULT : EMU_EXIT;
	val = reg_read(v, in->rm, vcpu_64bit(v) ? 8 : 4);
	if (dr >= 6 && val >> 32)
		return emu_gp0(v);
	if (dr == 6)
		v->dr6 = (val & DR6_WRITABLE) | DR6_FIXED;
	else if (dr == 7)
		v->dr7 = (val & DR7_WRITABLE) | DR7_FIXED;
	else
		v->dr[dr] = val;
	v->mode_stale = true;
	return EMU_NEXT;
}
