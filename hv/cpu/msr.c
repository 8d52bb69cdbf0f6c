/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Model-specific registers: what RDMSR and WRMSR, KVM_GET_MSRS and
 * KVM_SET_MSRS reach (numbers and specifications: msr.h).
 *
 * Registers that only keep a value are in a table; those whose value comes
 * from elsewhere, or whose write does something, have a case below. A third
 * group holds nothing: chipset and tuning registers that system software reads
 * or writes blindly, which read as a constant.
 */
#include "../irq/irq.h"
#include "msr.h"
#include "state.h"

/* What may be written to a register that only keeps its value. */
enum rule {
	RULE_ANY,
	RULE_CANONICAL,		/* #GP for other addresses */
	RULE_SIGN_EXTEND,	/* made canonical */
	RULE_U32,		/* #GP for upper bits */
	RULE_PAT,
	RULE_HOST,		/* user space only, to read and to write */
	RULE_HOST_WRITE,	/* user space only, to write */
};

struct plain {
	u32 index;
	u16 offset;
	u8 rule;
};

#define PLAIN(msr, field, r) { msr, offsetof(struct vcpu, field), r }

static const struct plain plains[] = {
	PLAIN(MSR_KERNEL_GS_BASE, kernel_gs_base, RULE_CANONICAL),
	PLAIN(MSR_STAR, star, RULE_ANY),
	PLAIN(MSR_LSTAR, lstar, RULE_CANONICAL),
	PLAIN(MSR_CSTAR, cstar, RULE_CANONICAL),
	PLAIN(MSR_SFMASK, sfmask, RULE_U32),
	PLAIN(MSR_SYSENTER_CS, sysenter_cs, RULE_ANY),
	PLAIN(MSR_SYSENTER_ESP, sysenter_esp, RULE_SIGN_EXTEND),
	PLAIN(MSR_SYSENTER_EIP, sysenter_eip, RULE_SIGN_EXTEND),
	PLAIN(MSR_PAT, pat, RULE_PAT),
	PLAIN(MSR_POWER_CTL, power_ctl, RULE_ANY),
	PLAIN(MSR_SMBASE, smbase, RULE_HOST),
	PLAIN(MSR_SMI_COUNT, smi_count, RULE_HOST_WRITE),
	PLAIN(MSR_MCG_EXT_CTL, mcg_ext_ctl, RULE_HOST),
};

static const struct plain *plain_find(u32 index)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(plains); i++)
		if (plains[i].index == index)
			return &plains[i];
	return NULL;
}

static u64 *plain_value(struct vcpu *v, const struct plain *p)
{
	return (u64 *)((u8 *)v + p->offset);
}

static int plain_set(struct vcpu *v, const struct plain *p, u64 val, bool host)
{
	switch (p->rule) {
	case RULE_CANONICAL:
		if (!is_canonical(val))
			return 1;
		break;
	case RULE_SIGN_EXTEND:
		val = (u64)((s64)(val << 16) >> 16);
		break;
	case RULE_U32:
		if (val >> 32 && !host)
			return 1;
		break;
	case RULE_PAT:
		if (!pat_valid(val))
			return 1;
		break;
	case RULE_HOST:
	case RULE_HOST_WRITE:
		if (!host)
			return 1;
		break;
	}
	*plain_value(v, p) = val;
	return 0;
}

/* --- registers that hold nothing ---------------------------------------------------- */

/* True when reading gives *val whoever asks. */
static bool constant(u32 index, u64 *val)
{
	*val = 0;
	switch (index) {
	case MSR_PLATFORM_ID:
	case MSR_EBL_CR_POWERON:
	case MSR_P6_PERFCTR0 ... MSR_P6_PERFCTR0 + 1:
	case MSR_P6_EVNTSEL0 ... MSR_P6_EVNTSEL0 + 1:
	case MSR_PERF_CTL:
	case MSR_LAST_BRANCH_FROM ... MSR_LAST_INT_TO:
	case MSR_RAPL_POWER_UNIT:
	case MSR_PKG_ENERGY_STATUS:
	case MSR_DRAM_ENERGY_STATUS:
	case MSR_PP0_ENERGY_STATUS:
	case MSR_PP1_ENERGY_STATUS:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
	case MSR_SYSCFG:
	case MSR_NB_CFG:
	case MSR_INT_PENDING:
	case MSR_MMIO_CONF_BASE:
	case MSR_TSEG_ADDR ... MSR_TSEG_MASK:
	case MSR_VM_HSAVE_PA:
	case MSR_LS_CFG:
	case MSR_IC_CFG:
	case MSR_DC_CFG:
	case MSR_TW_CFG:
	case MSR_BU_CFG2:
	case MSR_EX_CFG:
		return true;
	case MSR_VM_CR:
		*val = 0x10;	/* SVM is locked off */
		return true;
	case MSR_FSB_FREQ:
		*val = 3;
		return true;
	case MSR_EBC_FREQUENCY_ID:
		*val = BIT64(24);
		return true;
	case MSR_PERF_STATUS:
		*val = 1000 | 4ull << 40;
		return true;
	case MSR_BBL_CR_CTL3:
		*val = 0xbe702111;
		return true;
	case MSR_K7_CLK_CTL:
		*val = 0x20000000;
		return true;
	}
	return false;
}

/* True when a write is taken and forgotten. */
static bool ignored(u32 index, u64 val)
{
	switch (index) {
	case MSR_UCODE_WRITE:
	case MSR_PATCH_LOADER:
	case MSR_NB_CFG:
	case MSR_VM_HSAVE_PA:
	case MSR_VM_IGNNE:
	case MSR_LS_CFG:
	case MSR_DC_CFG:
	case MSR_TW_CFG:
	case MSR_BU_CFG2:
	case MSR_EX_CFG:
	case MSR_K7_CLK_CTL:
	case MSR_BBL_CR_CTL3:
	case MSR_P6_PERFCTR0 ... MSR_P6_PERFCTR0 + 1:
	case MSR_P6_EVNTSEL0 ... MSR_P6_EVNTSEL0 + 1:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
		return true;
	case MSR_MMIO_CONF_BASE:
		return !val;
	case MSR_DEBUGCTL:
		return !(val & ~0x3full);
	}
	return false;
}

static bool is_mce(u32 index)
{
	return index <= MSR_P5_MC_TYPE || (index >= MSR_MCG_CAP && index <= MSR_MCG_CTL) ||
	       index - MSR_MC0_CTL2 < MCE_BANKS || index - MSR_MC0_CTL < MCE_BANKS * 4;
}

static bool is_mtrr(u32 index)
{
	return index == MSR_MTRR_CAP ||
	       (index >= MSR_MTRR_FIRST && index <= MSR_MTRR_DEF_TYPE && index != MSR_PAT &&
		index - MSR_MC0_CTL2 >= MCE_BANKS);
}

static bool may_speculate(struct vcpu *v)
{
	return vcpu_has(v, FEAT_SPEC_CTRL) || vcpu_has(v, FEAT_STIBP) || vcpu_has(v, FEAT_SSBD) ||
	       vcpu_has(v, FEAT_AMD_IBRS) || vcpu_has(v, FEAT_AMD_STIBP) ||
	       vcpu_has(v, FEAT_AMD_SSBD);
}

static bool may_predict(struct vcpu *v)
{
	return vcpu_has(v, FEAT_SPEC_CTRL) || vcpu_has(v, FEAT_AMD_IBPB);
}

static bool has_tsc_aux(struct vcpu *v, bool host)
{
	return host || vcpu_has(v, FEAT_RDTSCP) || vcpu_has(v, FEAT_RDPID);
}

/* --- reading ---------------------------------------------------------------------------- */

static int get_special(struct vcpu *v, u32 index, u64 *val, bool host)
{
	switch (index) {
	case MSR_TSC:
		*val = vcpu_guest_tsc(v);
		return 0;
	case MSR_APIC_BASE:
		*val = v->apic_base;
		return 0;
	case MSR_FEATURE_CONTROL:
		*val = v->feature_control;
		return !host && vcpu_is_amd(v);
	case MSR_TSC_ADJUST:
		*val = v->tsc_adjust;
		return 0;
	case MSR_SPEC_CTRL:
		*val = v->spec_ctrl;
		return !host && !may_speculate(v);
	case MSR_VIRT_SPEC_CTRL:
	case MSR_PERF_CAPABILITIES:
		*val = 0;
		return !host;
	case MSR_UCODE_REV:
		*val = v->ucode_rev;
		return 0;
	case MSR_PLATFORM_INFO:
		*val = v->platform_info;
		return !host && v->vm->platform_info_hidden;
	case MSR_ARCH_CAPABILITIES:
		*val = v->arch_capabilities;
		return !host && !vcpu_has(v, FEAT_ARCH_CAPABILITIES);
	case MSR_MISC_FEATURES:
		*val = v->misc_features;
		return 0;
	case MSR_MISC_ENABLE:
		*val = v->misc_enable;
		return 0;
	case MSR_DEBUGCTL:
		*val = v->debugctl;
		return 0;
	case MSR_TSC_DEADLINE:
		*val = v->lapic ? lapic_get_tscdeadline(v) : 0;
		return 0;
	case MSR_XSS:
		*val = v->xss;
		return !host && !vcpu_has(v, FEAT_XSAVES);
	case MSR_EFER:
		*val = v->efer;
		return 0;
	case MSR_FS_BASE:
		*val = v->seg[SEG_FS].base;
		return 0;
	case MSR_GS_BASE:
		*val = v->seg[SEG_GS].base;
		return 0;
	case MSR_TSC_AUX:
		*val = v->tsc_aux;
		return !has_tsc_aux(v, host);
	case MSR_HWCR:
		*val = v->hwcr;
		return 0;
	case MSR_DE_CFG:
		*val = v->de_cfg;
		return 0;
	case MSR_OSVW_LENGTH:
		*val = v->osvw_length;
		return !vcpu_has(v, FEAT_OSVW);
	case MSR_OSVW_STATUS:
		*val = v->osvw_status;
		return !vcpu_has(v, FEAT_OSVW);
	}
	return msr_kvm_get(v, index, val);
}

/* Registers that user space may save and restore though the guest has none: 0. */
static bool listed(u32 index)
{
	const u32 *list;
	u32 count, i;

	list = msr_index_list(&count);
	for (i = 0; i < count; i++)
		if (list[i] == index)
			return true;
	return false;
}

int vcpu_get_msr(struct vcpu *v, u32 index, u64 *val, bool host)
{
	const struct plain *p = plain_find(index);
	int r;

	*val = 0;
	if (p) {
		*val = *plain_value(v, p);
		return p->rule == RULE_HOST && !host;
	}
	if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST)
		return v->lapic ? lapic_x2apic_read(v, index, val) : 1;
	if (is_mtrr(index))
		return mtrr_get_msr(v, index, val);
	if (is_mce(index))
		return mce_get_msr(v, index, val, host);
	if (constant(index, val))
		return 0;
	r = get_special(v, index, val, host);
	if (r && host && listed(index)) {
		*val = 0;
		r = 0;
	}
	return r;
}

/* --- writing ---------------------------------------------------------------------------- */

static int set_segment_base(struct vcpu *v, int seg, u64 val)
{
	if (!is_canonical(val))
		return 1;
	v->seg[seg].base = val;
	/* In 64-bit mode code finds the base in memory anyway. */
	if (!vcpu_64bit(v))
		v->mode_stale = true;
	return 0;
}

/* User space restores EFER before or after the control registers, in any order. */
static int set_efer(struct vcpu *v, u64 val, bool host)
{
	const u64 known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;

	if (!host)
		return vcpu_set_efer(v, val) != 0;
	if (val & ~known)
		return 1;
	v->efer = (val & ~X86_EFER_LMA) | (v->efer & X86_EFER_LMA);
	v->mode_stale = true;
	v->vm->engine->flush_tlb(v, false);
	return 0;
}

static int set_tsc_adjust(struct vcpu *v, u64 val, bool host)
{
	if (!vcpu_has(v, FEAT_TSC_ADJUST))
		return 0;
	if (!host)
		vcpu_set_tsc_offset(v, v->tsc_offset + val - v->tsc_adjust);
	v->tsc_adjust = val;
	return 0;
}

static int set_misc_enable(struct vcpu *v, u64 val, bool host)
{
	const u64 pmu = BIT64(11) | BIT64(12), emon = BIT64(7);

	if (!host) {
		if ((v->misc_enable ^ val) & pmu)
			return 1;
		val = (val & ~emon) | (v->misc_enable & emon);
	}
	v->misc_enable = val;
	vcpu_cpuid_update(v);
	return 0;
}

/* IBRS, STIBP, SSBD: kept, and nothing follows, since no guest shares a predictor state of ours. */
static int set_spec_ctrl(struct vcpu *v, u64 val, bool host)
{
	if ((!host && !may_speculate(v)) || val & ~7ull)
		return 1;
	v->spec_ctrl = val;
	return 0;
}

static int set_hwcr(struct vcpu *v, u64 val)
{
	const u64 harmless = BIT64(3) | BIT64(6) | BIT64(8), kept = BIT64(18) | BIT64(24);

	val &= ~harmless;
	if (val & ~kept)	/* McStatusWrEn, TscFreqSel */
		return 1;
	v->hwcr = val;
	return 0;
}

static int set_special(struct vcpu *v, u32 index, u64 val, bool host)
{
	switch (index) {
	case MSR_TSC:
		if (host)
			vcpu_write_tsc_host(v, val);
		else
			vcpu_write_tsc_guest(v, val);
		return 0;
	case MSR_APIC_BASE:
		return vcpu_set_apic_base(v, val, host);
	case MSR_FEATURE_CONTROL:
		if (!host)
			return 1;
		v->feature_control = val;
		return 0;
	case MSR_TSC_ADJUST:
		return set_tsc_adjust(v, val, host);
	case MSR_SPEC_CTRL:
		return set_spec_ctrl(v, val, host);
	case MSR_PRED_CMD:
		return (!host && !may_predict(v)) || val & ~1ull;
	case MSR_VIRT_SPEC_CTRL:
	case MSR_PERF_CAPABILITIES:
		return !host || val;
	case MSR_UCODE_REV:
		if (host)
			v->ucode_rev = val;
		return 0;
	case MSR_PLATFORM_INFO:
		if (!host)
			return 1;
		v->platform_info = val;
		return 0;
	case MSR_ARCH_CAPABILITIES:
		if (!host)
			return 1;
		v->arch_capabilities = val;
		return 0;
	case MSR_MISC_FEATURES:
		return val != 0;	/* no CPUID faulting */
	case MSR_MISC_ENABLE:
		return set_misc_enable(v, val, host);
	case MSR_TSC_DEADLINE:
		if (v->lapic)
			lapic_set_tscdeadline(v, val);
		return 0;
	case MSR_XSS:
		if ((!host && !vcpu_has(v, FEAT_XSAVES)) || val)
			return 1;
		v->xss = val;
		return 0;
	case MSR_EFER:
		return set_efer(v, val, host);
	case MSR_FS_BASE:
		return set_segment_base(v, SEG_FS, val);
	case MSR_GS_BASE:
		return set_segment_base(v, SEG_GS, val);
	case MSR_TSC_AUX:
		if (!has_tsc_aux(v, host) || (val >> 32 && !vcpu_is_amd(v)))
			return 1;
		v->tsc_aux = (u32)val;
		return 0;
	case MSR_HWCR:
		return set_hwcr(v, val);
	case MSR_DE_CFG:
		/* Only the bit that makes LFENCE serialise, which it does. */
		if (val & ~BIT64(1))
			return 1;
		v->de_cfg = val;
		return 0;
	case MSR_OSVW_LENGTH:
	case MSR_OSVW_STATUS:
		if (!vcpu_has(v, FEAT_OSVW))
			return 1;
		*(index == MSR_OSVW_LENGTH ? &v->osvw_length : &v->osvw_status) = val;
		return 0;
	}
	return msr_kvm_set(v, index, val, host);
}

int vcpu_set_msr(struct vcpu *v, u32 index, u64 val, bool host)
{
	const struct plain *p = plain_find(index);
	int r;

	if (p)
		return plain_set(v, p, val, host);
	if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST)
		return v->lapic ? lapic_x2apic_write(v, index, val) : 1;
	if (is_mtrr(index))
		return mtrr_set_msr(v, index, val);
	if (is_mce(index))
		return mce_set_msr(v, index, val, host);
	if (ignored(index, val))
		return 0;
	r = set_special(v, index, val, host);
	return r && host && !val && listed(index) ? 0 : r;
}
