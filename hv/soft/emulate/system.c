/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions that ask the processor about itself or wait: HLT, RDMSR,
 * WRMSR, RDPMC, CPUID, RDTSC, RDTSCP, RDPID, MONITOR and MWAIT, hypercalls,
 * RSM, CLZERO.
 *
 * Intel SDM vol. 2 (each instruction).
 */
#include "emulate.h"

EMU_HANDLER(emu_hlt)
{
	if (v->cpl)
		return emu_gp0(v);
	v->rip = emu_next_rip(v, in);
	return EMU_HALT;
}

EMU_HANDLER(emu_rdmsr)
{
	u64 val = 0;
	int r;

	if (v->cpl)
		return emu_gp0(v);
	r = vcpu_guest_rdmsr(v, (u32)v->gpr[REG_RCX], &val, emu_next_rip(v, in));
	if (r)
		return r > 0 ? emu_gp0(v) : EMU_EXIT;
	v->gpr[REG_RAX] = (u32)val;
	v->gpr[REG_RDX] = val >> 32;
	return EMU_NEXT;
}

EMU_HANDLER(emu_wrmsr)
{
	u64 val = (u32)v->gpr[REG_RAX] | v->gpr[REG_RDX] << 32;
	int r;

	if (v->cpl)
		return emu_gp0(v);
	r = vcpu_guest_wrmsr(v, (u32)v->gpr[REG_RCX], val, emu_next_rip(v, in));
	if (r)
		return r > 0 ? emu_gp0(v) : EMU_EXIT;
	return EMU_NEXT;
}

/* No performance counters are offered. */
EMU_HANDLER(emu_rdpmc)
{
	(void)in;
	return emu_gp0(v);
}

EMU_HANDLER(emu_cpuid)
{
	u32 out[4];

	(void)in;
	vcpu_cpuid(v, (u32)v->gpr[REG_RAX], (u32)v->gpr[REG_RCX], out);
	v->gpr[REG_RAX] = out[0];
	v->gpr[REG_RBX] = out[1];
	v->gpr[REG_RCX] = out[2];
	v->gpr[REG_RDX] = out[3];
	return EMU_NEXT;
}

static inline bool tsc_denied(const struct vcpu *v)
{
	return v->cpl && (v->cr4 & X86_CR4_TSD);
}

EMU_HANDLER(emu_rdtsc)
{
	u64 tsc;

	(void)in;
	if (tsc_denied(v))
		return emu_gp0(v);
	tsc = vcpu_guest_tsc(v);
	v->gpr[REG_RAX] = (u32)tsc;
	v->gpr[REG_RDX] = tsc >> 32;
	return EMU_NEXT;
}

EMU_HANDLER(emu_rdtscp)
{
	if (!emu_cpuid_bit(v, 0x80000001, 0, 3, 27))
		return emu_raise_ud(v);
	TRY(emu_rdtsc(v, in));
	v->gpr[REG_RCX] = (u32)v->tsc_aux;
	return EMU_NEXT;
}

EMU_HANDLER(emu_rdpid)
{
	if (!emu_cpuid_bit(v, 7, 0, 2, 22))
		return emu_raise_ud(v);
	v->gpr[in->rm] = (u32)v->tsc_aux;
	return EMU_NEXT;
}

/*
 * Waiting for a store ends at once, as the architecture allows. CPUID need not
 * have MONITOR: KVM's default is to let guests execute it all the same.
 */
static enum emu monitor_wait(struct vcpu *v, u32 leaf, u32 bit)
{
	bool strict = leaf != 1 || v->vm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;

	if (strict && !emu_cpuid_bit(v, leaf, 0, 2, bit))
		return emu_raise_ud(v);
	/* MONITORX and MWAITX are open to all privileges. */
	if (leaf == 1 && v->cpl)
		return emu_raise_ud(v);
	return EMU_NEXT;
}

EMU_HANDLER(emu_monitor)
{
	(void)in;
	return monitor_wait(v, 1, 3);
}

EMU_HANDLER(emu_mwait)
{
	(void)in;
	return monitor_wait(v, 1, 3);
}

EMU_HANDLER(emu_monitorx)
{
	(void)in;
	return monitor_wait(v, 0x80000001, 29);
}

EMU_HANDLER(emu_mwaitx)
{
	(void)in;
	return monitor_wait(v, 0x80000001, 29);
}

/* The other vendor's instruction is made into the guest's own, as KVM does. */
static enum emu fix_hypercall(struct vcpu *v, const u8 own[3])
{
	u64 linear = vcpu_64bit(v) ? v->rip : (u32)(v->rip + v->seg[SEG_CS].base);

	if (v->vm->disabled_quirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
		return emu_raise_ud(v);
	TRY(mem_write(v, linear, own, 3, MMU_WRITE));
	return EMU_JUMP;
}

EMU_HANDLER(emu_hypercall)
{
	static const u8 vmcall[3] = { 0x0f, 0x01, 0xc1 }, vmmcall[3] = { 0x0f, 0x01, 0xd9 };
	const u8 *own = emu_intel(v) ? vmcall : vmmcall;

	if (in->len == 3 && in->bytes[2] != own[2])
		return fix_hypercall(v, own);
	return vcpu_hypercall(v, emu_next_rip(v, in)) ? EMU_EXIT : EMU_NEXT;
}

EMU_HANDLER(emu_rsm)
{
	(void)in;
	if (!v->smm)
		return emu_raise_ud(v);
	if (smm_leave(v))
		return EMU_JUMP;
	v->triple_fault = true;
	return EMU_FAULT;
}

/* It is the linear address that is aligned. */
EMU_HANDLER(emu_clzero)
{
	u64 addr = reg_read(v, REG_RAX, in->addrsize), base;
	u8 i, zero[64];

	if (!emu_cpuid_bit(v, 0x80000008, 0, 1, 0))
		return emu_raise_ud(v);
	for (i = 0; i < in->len && in->bytes[i] != 0x0f; i++)
		if ((in->bytes[i] | 1) == 0xf3)
			return emu_raise_ud(v);
	base = vcpu_64bit(v) && in->seg < SEG_FS ? 0 : v->seg[in->seg].base;
	host_memset(zero, 0, sizeof(zero));
	return emu_store(v, in->seg, ((base + addr) & ~63ull) - base, zero, sizeof(zero), 1);
}
