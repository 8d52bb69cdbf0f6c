/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of cpu/ and the ioctls share: CPUID features, and the vCPU's
 * state in the form of the KVM API's structures.
 */
#ifndef HV_CPU_STATE_H
#define HV_CPU_STATE_H

#include "../vm/vm.h"

/* --- CPUID features -------------------------------------------------------- */

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* leaf, subleaf 0..255, register, bit. */
#define FEATURE(leaf, sub, reg, bit) \
	((u64)(leaf) << 32 | (u64)(sub) << 16 | (u64)(reg) << 8 | (bit))

#define FEAT_MWAIT FEATURE(1, 0, CPUID_ECX, 3)
#define FEAT_PCID FEATURE(1, 0, CPUID_ECX, 17)
#define FEAT_X2APIC FEATURE(1, 0, CPUID_ECX, 21)
#define FEAT_XSAVE FEATURE(1, 0, CPUID_ECX, 26)
#define FEAT_OSXSAVE FEATURE(1, 0, CPUID_ECX, 27)
#define FEAT_APIC FEATURE(1, 0, CPUID_EDX, 9)
#define FEAT_MTRR FEATURE(1, 0, CPUID_EDX, 12)
#define FEAT_FSGSBASE FEATURE(7, 0, CPUID_EBX, 0)
#define FEAT_TSC_ADJUST FEATURE(7, 0, CPUID_EBX, 1)
#define FEAT_SMEP FEATURE(7, 0, CPUID_EBX, 7)
#define FEAT_SMAP FEATURE(7, 0, CPUID_EBX, 20)
#define FEAT_UMIP FEATURE(7, 0, CPUID_ECX, 2)
#define FEAT_RDPID FEATURE(7, 0, CPUID_ECX, 22)
#define FEAT_SPEC_CTRL FEATURE(7, 0, CPUID_EDX, 26)
#define FEAT_STIBP FEATURE(7, 0, CPUID_EDX, 27)
#define FEAT_ARCH_CAPABILITIES FEATURE(7, 0, CPUID_EDX, 29)
#define FEAT_SSBD FEATURE(7, 0, CPUID_EDX, 31)
#define FEAT_XSAVEC FEATURE(0xd, 1, CPUID_EAX, 1)
#define FEAT_XSAVES FEATURE(0xd, 1, CPUID_EAX, 3)
#define FEAT_PV_UNHALT FEATURE(0x40000001, 0, CPUID_EAX, 7)	/* of KVM's leaves */
#define FEAT_OSVW FEATURE(0x80000001, 0, CPUID_ECX, 9)
#define FEAT_NX FEATURE(0x80000001, 0, CPUID_EDX, 20)
#define FEAT_RDTSCP FEATURE(0x80000001, 0, CPUID_EDX, 27)
#define FEAT_LM FEATURE(0x80000001, 0, CPUID_EDX, 29)
#define FEAT_AMD_IBPB FEATURE(0x80000008, 0, CPUID_EBX, 12)
#define FEAT_AMD_IBRS FEATURE(0x80000008, 0, CPUID_EBX, 14)
#define FEAT_AMD_STIBP FEATURE(0x80000008, 0, CPUID_EBX, 15)
#define FEAT_AMD_SSBD FEATURE(0x80000008, 0, CPUID_EBX, 24)

/* True when the guest's CPUID has the feature. */
bool vcpu_has(struct vcpu *v, u64 feature);
/* True when KVM_GET_SUPPORTED_CPUID has it. */
bool supported_has(u64 feature);

#define MAX_CPUID_ENTRIES 256

/*
 * KVM_GET_SUPPORTED_CPUID, or the emulated set: fills at most max entries and
 * returns how many, or -E2BIG.
 */
int cpuid_supported(struct kvm_cpuid_entry2 *e, u32 max);
int cpuid_emulated(struct kvm_cpuid_entry2 *e, u32 max);
/* Takes over entries (heap memory; count may be 0) as the guest's CPUID. 0 or -EINVAL. */
int vcpu_set_cpuid(struct vcpu *v, struct kvm_cpuid_entry2 *entries, u32 count);
/* True unless paravirtual features are limited to the guest's CPUID and it lacks this one. */
bool vcpu_pv_has(struct vcpu *v, u32 feature);
/* True for an AMD (or Hygon) guest CPU. */
bool vcpu_is_amd(struct vcpu *v);
/* Physical address bits that the guest's CPUID leaves reserved. */
u64 vcpu_reserved_gpa(struct vcpu *v);

/* --- XSAVE (cpu/xsave.c) ------------------------------------------------------ */

#define XF_FP BIT64(0)
#define XF_SSE BIT64(1)
#define XF_AVX BIT64(2)
#define XF_AVX512 (BIT64(5) | BIT64(6) | BIT64(7))

/* The state components that guests may have: what the host has and we know. */
u64 xsave_supported(void);
/* Bytes of an XSAVE area with these components. */
u32 xsave_size(u64 xcr0, bool compacted);
/* Components that the guest's CPUID allows. */
u64 vcpu_supported_xcr0(struct vcpu *v);
void xsave_reset(struct vcpu *v);
void vcpu_get_xsave(struct vcpu *v, void *area);
int vcpu_set_xsave(struct vcpu *v, const void *area);
void vcpu_get_fpu(struct vcpu *v, struct kvm_fpu *f);
void vcpu_set_fpu(struct vcpu *v, const struct kvm_fpu *f);

/* --- registers (cpu/regs.c, cpu/control.c) --------------------------------------- */

void vcpu_get_regs(struct vcpu *v, struct kvm_regs *r);
void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *r);
void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *s);
int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *s);
void vcpu_get_sregs2(struct vcpu *v, struct kvm_sregs2 *s);
int vcpu_set_sregs2(struct vcpu *v, const struct kvm_sregs2 *s);
void vcpu_get_debugregs(struct vcpu *v, struct kvm_debugregs *d);
int vcpu_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d);
int vcpu_set_guest_debug(struct vcpu *v, const struct kvm_guest_debug *d);

/* The privilege that the segments, CR0 and RFLAGS.VM imply. */
void vcpu_update_cpl(struct vcpu *v);

bool cr0_valid(u64 cr0);
bool cr4_valid(struct vcpu *v, u64 cr4);
bool vcpu_pae_paging(const struct vcpu *v);
/* Reads the four page-directory pointers at cr3: false when one is not valid. */
bool vcpu_load_pdptes(struct vcpu *v, u64 cr3);
/* IA32_APIC_BASE: 0 or 1. Works without an in-kernel APIC too. */
int vcpu_set_apic_base(struct vcpu *v, u64 val, bool host);

static inline bool is_canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

/* --- events (cpu/user_events.c) ---------------------------------------------------- */

void vcpu_get_events(struct vcpu *v, struct kvm_vcpu_events *e);
int vcpu_set_events(struct vcpu *v, struct kvm_vcpu_events *e);
int vcpu_get_mp_state(struct vcpu *v, struct kvm_mp_state *s);
int vcpu_set_mp_state(struct vcpu *v, const struct kvm_mp_state *s);
int vcpu_interrupt(struct vcpu *v, u32 vector);
void vcpu_nmi(struct vcpu *v);

/* --- machine checks (cpu/mce.c) -------------------------------------------------------- */

#define MCE_BANKS 32
#define MCG_CTL_P BIT64(8)
#define MCG_CMCI_P BIT64(10)
#define MCG_SER_P BIT64(24)
#define MCE_CAP_SUPPORTED (MCG_CTL_P | MCG_SER_P | MCG_CMCI_P)

int mce_get_msr(struct vcpu *v, u32 index, u64 *val, bool host);
int mce_set_msr(struct vcpu *v, u32 index, u64 val, bool host);
int vcpu_setup_mce(struct vcpu *v, u64 mcg_cap);
int vcpu_set_mce(struct vcpu *v, struct kvm_x86_mce *m);

/* --- MSRs (cpu/msr*.c) ------------------------------------------------------------------- */

/* What vcpu_get_msr and vcpu_set_msr return for a number that nobody knows. */
#define MSR_UNKNOWN 2

/* KVM's own: 0, 1 or MSR_UNKNOWN. */
int msr_kvm_get(struct vcpu *v, u32 index, u64 *val);
int msr_kvm_set(struct vcpu *v, u32 index, u64 val, bool host);
/* KVM_X86_SET_MSR_FILTER: 0 or -errno. */
int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *f);
void msr_filter_free(struct vm *vm);

/* --- MTRRs (cpu/mtrr.c) ------------------------------------------------------------------ */

bool pat_valid(u64 pat);
int mtrr_get_msr(struct vcpu *v, u32 index, u64 *val);
int mtrr_set_msr(struct vcpu *v, u32 index, u64 val);

/* --- MSR lists (cpu/msr_list.c) ------------------------------------------------------------ */

/* KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST. */
const u32 *msr_index_list(u32 *count);
const u32 *msr_feature_list(u32 *count);
/* KVM_GET_MSRS on the system descriptor: 0 or 1. */
int msr_feature(u32 index, u64 *val);
u64 host_arch_capabilities(void);

/* --- time (cpu/tsc.c, cpu/pvclock.c) --------------------------------------------------------- */

#define TSC_SCALE_ONE BIT64(48)

/* What KVM_SET_TSC_KHZ takes; 0 stands for the host's rate. */
bool tsc_khz_valid(u32 khz);
/* 0 or -EINVAL. */
int vcpu_set_tsc_khz(struct vcpu *v, u32 khz);
/* User space writes the guest's TSC: synchronises vCPUs as KVM does. */
void vcpu_write_tsc_host(struct vcpu *v, u64 tsc);
/* The guest's own write. */
void vcpu_write_tsc_guest(struct vcpu *v, u64 tsc);
void vcpu_set_tsc_offset(struct vcpu *v, u64 offset);
u64 tsc_scale(u64 tsc, u64 scale);

/* kvmclock now, and from now on, in ns. */
u64 pvclock_now(struct vm *vm);
void pvclock_set(struct vm *vm, u64 ns);
void pvclock_get(struct vm *vm, struct kvm_clock_data *c);
int pvclock_set_data(struct vm *vm, const struct kvm_clock_data *c);

/*
 * Steal time (cpu/steal_time.c): v begins or ends to run, on its own thread in
 * KVM_RUN; a look from time to time in between; and the MSR: 0 or 1.
 */
void steal_time_start(struct vcpu *v);
void steal_time_stop(struct vcpu *v);
void steal_time_poll(struct vcpu *v);
int steal_time_set(struct vcpu *v, u64 val);

/* Asynchronous page faults (cpu/async_pf.c): the MSRs, 0 or 1; and REQ_ASYNC_PF. */
int async_pf_set(struct vcpu *v, u64 val);
int async_pf_set_vector(struct vcpu *v, u64 val);
void async_pf_ack(struct vcpu *v, u64 val);
void async_pf_tell(struct vcpu *v);

/* A new vCPU's MSRs and registers. */
void vcpu_power_up(struct vcpu *v);

#endif
