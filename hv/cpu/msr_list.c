/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_MSR_INDEX_LIST: the registers that make up a vCPU's state, for those
 * who save and restore it; and the feature MSRs, which user space reads on the
 * system descriptor (KVM API section 4.3).
 */
#include "msr.h"
#include "state.h"

#define ARCH_CAP_RDCL_NO BIT64(0)
#define ARCH_CAP_SKIP_L1DFL BIT64(3)
#define ARCH_CAP_PSCHANGE_MC_NO BIT64(6)
#define DE_CFG_LFENCE_SERIALIZE BIT64(1)

static const u32 state_list[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	MSR_STAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_SFMASK, MSR_LSTAR,
	MSR_TSC, MSR_TSC_AUX, MSR_TSC_ADJUST, MSR_TSC_DEADLINE,
	MSR_PAT, MSR_VM_HSAVE_PA, MSR_FEATURE_CONTROL, MSR_SPEC_CTRL,
	MSR_K7_EVNTSEL0, MSR_K7_EVNTSEL0 + 1, MSR_K7_EVNTSEL0 + 2, MSR_K7_EVNTSEL0 + 3,
	MSR_K7_EVNTSEL0 + 4, MSR_K7_EVNTSEL0 + 5, MSR_K7_EVNTSEL0 + 6, MSR_K7_PERFCTR3,
	MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW,
	MSR_KVM_STEAL_TIME, MSR_KVM_PV_EOI_EN, MSR_KVM_POLL_CONTROL,
	MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT, MSR_KVM_ASYNC_PF_ACK,
	MSR_ARCH_CAPABILITIES, MSR_MISC_ENABLE, MSR_MCG_STATUS, MSR_MCG_CTL,
	MSR_SMBASE, MSR_SMI_COUNT, MSR_PLATFORM_INFO, MSR_MISC_FEATURES,
	MSR_POWER_CTL, MSR_UCODE_REV, MSR_HWCR, MSR_XSS,
};

static const u32 feature_list[] = {
	MSR_UCODE_REV, MSR_ARCH_CAPABILITIES, MSR_PERF_CAPABILITIES, MSR_DE_CFG,
};

const u32 *msr_index_list(u32 *count)
{
	*count = ARRAY_SIZE(state_list);
	return state_list;
}

const u32 *msr_feature_list(u32 *count)
{
	*count = ARRAY_SIZE(feature_list);
	return feature_list;
}

/*
 * Guest code never loads from an address that its page tables forbid, not even
 * speculatively through the hardware's: there is no rogue data cache load, and
 * no nested guest or shadow page to protect.
 */
u64 host_arch_capabilities(void)
{
	return ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL | ARCH_CAP_PSCHANGE_MC_NO;
}

int msr_feature(u32 index, u64 *val)
{
	*val = 0;
	switch (index) {
	case MSR_UCODE_REV:
	case MSR_PERF_CAPABILITIES:
		return 0;
	case MSR_ARCH_CAPABILITIES:
		*val = host_arch_capabilities();
		return 0;
	case MSR_DE_CFG:
		if (supported_has(FEATURE(0x80000021, 0, CPUID_EAX, 2)))
			*val = DE_CFG_LFENCE_SERIALIZE;
		return 0;
	}
	return 1;
}
