/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which C function emulates which instruction. The table is indexed by
 * Zydis's mnemonic; a few mnemonics name several instructions, which the
 * opcode tells apart.
 */
#include "emulate.h"

#define M(name) [ZYDIS_MNEMONIC_##name]

static const emu_fn table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	/* segments and descriptors */
	M(LDS) = emu_load_far_pointer,
	M(LES) = emu_load_far_pointer,
	M(LFS) = emu_load_far_pointer,
	M(LGS) = emu_load_far_pointer,
	M(LSS) = emu_load_far_pointer,
	M(LLDT) = emu_lldt,
	M(LTR) = emu_ltr,
	M(SLDT) = emu_sldt,
	M(STR) = emu_str,
	M(LGDT) = emu_lgdt,
	M(LIDT) = emu_lidt,
	M(SGDT) = emu_sgdt,
	M(SIDT) = emu_sidt,
	M(LAR) = emu_lar,
	M(LSL) = emu_lsl,
	M(VERR) = emu_verr,
	M(VERW) = emu_verw,
	M(ARPL) = emu_arpl,

	/* control transfers */
	M(IRET) = emu_iret,
	M(IRETD) = emu_iret,
	M(IRETQ) = emu_iret,
	M(INT) = emu_int,
	M(INT1) = emu_int1,
	M(INT3) = emu_int3,
	M(INTO) = emu_into,
	M(BOUND) = emu_bound,
	M(SYSCALL) = emu_syscall,
	M(SYSRET) = emu_sysret,
	M(SYSENTER) = emu_sysenter,
	M(SYSEXIT) = emu_sysexit,
	M(SWAPGS) = emu_swapgs,
	M(RDFSBASE) = emu_rdfsbase,
	M(RDGSBASE) = emu_rdgsbase,
	M(WRFSBASE) = emu_wrfsbase,
	M(WRGSBASE) = emu_wrgsbase,

	/* near branches */
	M(JO) = emu_jcc,
	M(JNO) = emu_jcc,
	M(JB) = emu_jcc,
	M(JNB) = emu_jcc,
	M(JZ) = emu_jcc,
	M(JNZ) = emu_jcc,
	M(JBE) = emu_jcc,
	M(JNBE) = emu_jcc,
	M(JS) = emu_jcc,
	M(JNS) = emu_jcc,
	M(JP) = emu_jcc,
	M(JNP) = emu_jcc,
	M(JL) = emu_jcc,
	M(JNL) = emu_jcc,
	M(JLE) = emu_jcc,
	M(JNLE) = emu_jcc,
	M(LOOP) = emu_loop,
	M(LOOPE) = emu_loop,
	M(LOOPNE) = emu_loop,
	M(JCXZ) = emu_loop,
	M(JECXZ) = emu_loop,
	M(JRCXZ) = emu_loop,

	/* control registers, system state */
	M(CLTS) = emu_clts,
	M(SMSW) = emu_smsw,
	M(LMSW) = emu_lmsw,
	M(INVLPG) = emu_invlpg,
	M(INVPCID) = emu_invpcid,
	M(INVD) = emu_cache_flush,
	M(WBINVD) = emu_cache_flush,
	M(XGETBV) = emu_xgetbv,
	M(XSETBV) = emu_xsetbv,
	M(HLT) = emu_hlt,
	M(RDMSR) = emu_rdmsr,
	M(WRMSR) = emu_wrmsr,
	M(RDPMC) = emu_rdpmc,
	M(CPUID) = emu_cpuid,
	M(RDTSC) = emu_rdtsc,
	M(RDTSCP) = emu_rdtscp,
	M(RDPID) = emu_rdpid,
	M(MONITOR) = emu_monitor,
	M(MWAIT) = emu_mwait,
	M(MONITORX) = emu_monitorx,
	M(MWAITX) = emu_mwaitx,
	M(VMCALL) = emu_hypercall,
	M(VMMCALL) = emu_hypercall,
	M(CLZERO) = emu_clzero,

	/* flags */
	M(CLI) = emu_cli,
	M(STI) = emu_sti,
	M(PUSHF) = emu_pushf,
	M(PUSHFD) = emu_pushf,
	M(PUSHFQ) = emu_pushf,
	M(POPF) = emu_popf,
	M(POPFD) = emu_popf,
	M(POPFQ) = emu_popf,
	M(CLAC) = emu_clac,
	M(STAC) = emu_stac,
	M(CLD) = emu_cld,
	M(STD) = emu_std,

	/* ports */
	M(IN) = emu_in,
	M(OUT) = emu_out,
	M(INSB) = emu_ins,
	M(INSW) = emu_ins,
	M(INSD) = emu_ins,
	M(OUTSB) = emu_outs,
	M(OUTSW) = emu_outs,
	M(OUTSD) = emu_outs,

	/* strings; MOVSD and CMPSD also name SSE2 instructions, see emu_lookup */
	M(MOVSB) = emu_movs,
	M(MOVSW) = emu_movs,
	M(MOVSD) = emu_movs,
	M(MOVSQ) = emu_movs,
	M(STOSB) = emu_stos,
	M(STOSW) = emu_stos,
	M(STOSD) = emu_stos,
	M(STOSQ) = emu_stos,
	M(LODSB) = emu_lods,
	M(LODSW) = emu_lods,
	M(LODSD) = emu_lods,
	M(LODSQ) = emu_lods,
	M(CMPSB) = emu_cmps,
	M(CMPSW) = emu_cmps,
	M(CMPSD) = emu_cmps,
	M(CMPSQ) = emu_cmps,
	M(SCASB) = emu_scas,
	M(SCASW) = emu_scas,
	M(SCASD) = emu_scas,
	M(SCASQ) = emu_scas,

	/* stack */
	M(PUSHA) = emu_pusha,
	M(PUSHAD) = emu_pusha,
	M(POPA) = emu_popa,
	M(POPAD) = emu_popa,
	M(ENTER) = emu_enter,
	M(LEAVE) = emu_leave,

	/* what 64-bit mode dropped */
	M(AAA) = emu_aaa,
	M(AAS) = emu_aas,
	M(AAM) = emu_aam,
	M(AAD) = emu_aad,
	M(DAA) = emu_daa,
	M(DAS) = emu_das,
	M(SALC) = emu_salc,
	M(XLAT) = emu_xlat,

	/* x87 and vector state */
	M(MASKMOVQ) = emu_maskmov,
	M(MASKMOVDQU) = emu_maskmov,
	M(VMASKMOVDQU) = emu_maskmov,
	M(VGATHERDPS) = emu_gather,
	M(VGATHERDPD) = emu_gather,
	M(VGATHERQPS) = emu_gather,
	M(VGATHERQPD) = emu_gather,
	M(VPGATHERDD) = emu_gather,
	M(VPGATHERDQ) = emu_gather,
	M(VPGATHERQD) = emu_gather,
	M(VPGATHERQQ) = emu_gather,
	M(VSCATTERDPS) = emu_scatter,
	M(VSCATTERDPD) = emu_scatter,
	M(VSCATTERQPS) = emu_scatter,
	M(VSCATTERQPD) = emu_scatter,
	M(VPSCATTERDD) = emu_scatter,
	M(VPSCATTERDQ) = emu_scatter,
	M(VPSCATTERQD) = emu_scatter,
	M(VPSCATTERQQ) = emu_scatter,
	M(FXSAVE) = emu_fxsave,
	M(FXSAVE64) = emu_fxsave,
	M(FXRSTOR) = emu_fxrstor,
	M(FXRSTOR64) = emu_fxrstor,
	M(XSAVE) = emu_xsave,
	M(XSAVE64) = emu_xsave,
	M(XSAVEOPT) = emu_xsave,
	M(XSAVEOPT64) = emu_xsave,
	M(XSAVEC) = emu_xsavec,
	M(XSAVEC64) = emu_xsavec,
	M(XSAVES) = emu_xsaves,
	M(XSAVES64) = emu_xsaves,
	M(XRSTOR) = emu_xrstor,
	M(XRSTOR64) = emu_xrstor,
	M(XRSTORS) = emu_xrstors,
	M(XRSTORS64) = emu_xrstors,
	M(FNSTENV) = emu_fnstenv,
	M(FLDENV) = emu_fldenv,
	M(FNSAVE) = emu_fnsave,
	M(FRSTOR) = emu_frstor,

	/* never offered to a guest: SVM, VMX, SMX, SGX, TDX, SNP, SMM, keys, shadow stacks */
	M(UD0) = emu_ud,
	M(UD1) = emu_ud,
	M(UD2) = emu_ud,
	M(RSM) = emu_rsm,
	M(VMRUN) = emu_ud,
	M(VMLOAD) = emu_ud,
	M(VMSAVE) = emu_ud,
	M(STGI) = emu_ud,
	M(CLGI) = emu_ud,
	M(SKINIT) = emu_ud,
	M(INVLPGA) = emu_ud,
	M(INVLPGB) = emu_ud,
	M(TLBSYNC) = emu_ud,
	M(VMCLEAR) = emu_ud,
	M(VMFUNC) = emu_ud,
	M(VMLAUNCH) = emu_ud,
	M(VMPTRLD) = emu_ud,
	M(VMPTRST) = emu_ud,
	M(VMREAD) = emu_ud,
	M(VMRESUME) = emu_ud,
	M(VMWRITE) = emu_ud,
	M(VMXOFF) = emu_ud,
	M(VMXON) = emu_ud,
	M(INVEPT) = emu_ud,
	M(INVVPID) = emu_ud,
	M(GETSEC) = emu_ud,
	M(ENCLS) = emu_ud,
	M(ENCLU) = emu_ud,
	M(ENCLV) = emu_ud,
	M(SEAMCALL) = emu_ud,
	M(SEAMOPS) = emu_ud,
	M(SEAMRET) = emu_ud,
	M(TDCALL) = emu_ud,
	M(PCONFIG) = emu_ud,
	M(PSMASH) = emu_ud,
	M(PVALIDATE) = emu_ud,
	M(RMPADJUST) = emu_ud,
	M(RMPUPDATE) = emu_ud,
	M(RDPKRU) = emu_ud,
	M(WRPKRU) = emu_ud,
	M(RDPRU) = emu_ud,
	M(MCOMMIT) = emu_ud,
	M(ENQCMD) = emu_ud,
	M(ENQCMDS) = emu_ud,
	M(HRESET) = emu_ud,
	M(TPAUSE) = emu_ud,
	M(UMONITOR) = emu_ud,
	M(UMWAIT) = emu_ud,
	M(SENDUIPI) = emu_ud,
	M(UIRET) = emu_ud,
	M(STUI) = emu_ud,
	M(CLUI) = emu_ud,
	M(TESTUI) = emu_ud,
	M(WRSSD) = emu_ud,
	M(WRSSQ) = emu_ud,
	M(WRUSSD) = emu_ud,
	M(WRUSSQ) = emu_ud,
	M(RSTORSSP) = emu_ud,
	M(SAVEPREVSSP) = emu_ud,
	M(SETSSBSY) = emu_ud,
	M(CLRSSBSY) = emu_ud,
	M(INCSSPD) = emu_ud,
	M(INCSSPQ) = emu_ud,
};

static emu_fn lookup_mov(const struct insn *in)
{
	switch (in->opcode) {
	case 0x8c:
		return emu_mov_from_sreg;
	case 0x8e:
		return emu_mov_to_sreg;
	case 0x20:
		return emu_mov_from_cr;
	case 0x21:
		return emu_mov_from_dr;
	case 0x22:
		return emu_mov_to_cr;
	case 0x23:
		return emu_mov_to_dr;
	default:
		return NULL;
	}
}

static emu_fn lookup_push_pop(const struct insn *in, bool push)
{
	switch (in->opcode) {
	case 0x06:
	case 0x07:
	case 0x0e:
	case 0x16:
	case 0x17:
	case 0x1e:
	case 0x1f:
	case 0xa0:
	case 0xa1:
	case 0xa8:
	case 0xa9:
		return push ? emu_push_sreg : emu_pop_sreg;
	default:
		return push ? emu_push_insn : emu_pop_insn;
	}
}

emu_fn emu_lookup(const struct insn *in, u32 bits)
{
	(void)bits;
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return lookup_mov(in);
	case ZYDIS_MNEMONIC_PUSH:
		return lookup_push_pop(in, true);
	case ZYDIS_MNEMONIC_POP:
		return lookup_push_pop(in, false);
	case ZYDIS_MNEMONIC_JMP:
		return in->flags & INSN_FAR ? emu_jmp_far : emu_jmp_near;
	case ZYDIS_MNEMONIC_CALL:
		return in->flags & INSN_FAR ? emu_call_far : emu_call_near;
	case ZYDIS_MNEMONIC_RET:
		return in->flags & INSN_FAR || (in->opcode & 0xfe) == 0xca ? emu_ret_far
									 : emu_ret_near;
	case ZYDIS_MNEMONIC_MOVSD:
		return in->opcode == 0xa5 ? emu_movs : NULL;
	case ZYDIS_MNEMONIC_CMPSD:
		return in->opcode == 0xa7 ? emu_cmps : NULL;
	default:
		return in->mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE ? table[in->mnemonic] : NULL;
	}
}
