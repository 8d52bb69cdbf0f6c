/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machine checks: the banks' registers, KVM_X86_SETUP_MCE and KVM_X86_SET_MCE
 * (SDM vol. 3 chapter 16; KVM API sections 4.105, 4.106). None ever comes
 * from the hardware: user space injects them.
 */
#include <errno.h>

#include "../irq/lapic.h"
#include "state.h"

#define MCG_CAP 0x179
#define MCG_STATUS 0x17a
#define MCG_CTL 0x17b
#define MC0_CTL2 0x280
#define MC0_CTL 0x400
#define P5_MC_ADDR 0
#define P5_MC_TYPE 1

#define CTL2_CMCI_EN BIT64(30)
#define CTL2_BITS (CTL2_CMCI_EN | 0x7fff)
#define STATUS_VAL BIT64(63)
#define STATUS_OVER BIT64(62)
#define STATUS_UC BIT64(61)
#define STATUS_PCC BIT64(57)
#define STATUS_S BIT64(56)
#define STATUS_AR BIT64(55)
#define MCG_STATUS_MCIP BIT64(2)
#define HWCR_STATUS_WRITE BIT64(18)

static u32 bank_count(const struct vcpu *v)
{
	return MIN((u32)(v->mcg_cap & 0xff), (u32)MCE_BANKS);
}

int mce_get_msr(struct vcpu *v, u32 index, u64 *val, bool host)
{
	u32 banks = bank_count(v);

	switch (index) {
	case P5_MC_ADDR:
	case P5_MC_TYPE:
		*val = 0;
		return 0;
	case MCG_CAP:
		*val = v->mcg_cap;
		return 0;
	case MCG_CTL:
		*val = v->mcg_ctl;
		return !(v->mcg_cap & MCG_CTL_P) && !host;
	case MCG_STATUS:
		*val = v->mcg_status;
		return 0;
	}
	if (index - MC0_CTL2 < banks) {
		*val = v->mci_ctl2[index - MC0_CTL2];
		return !(v->mcg_cap & MCG_CMCI_P) && !host;
	}
	if (index - MC0_CTL < banks * 4) {
		*val = v->mce_banks[index - MC0_CTL];
		return 0;
	}
	return 1;
}

/* A bank's CTL takes all or nothing, but for bits that old kernels are known to clear. */
static int set_bank(struct vcpu *v, u32 i, u64 val, bool host)
{
	if (i % 4 == 0 && val && (val | BIT64(10) | 1) != ~0ull)
		return 1;
	if (i % 4 == 1 && val && !host && !(vcpu_is_amd(v) && v->hwcr & HWCR_STATUS_WRITE))
		return 1;
	v->mce_banks[i] = val;
	return 0;
}

int mce_set_msr(struct vcpu *v, u32 index, u64 val, bool host)
{
	u32 banks = bank_count(v);

	if (index == MCG_STATUS) {
		v->mcg_status = val;
		return 0;
	}
	if (index == MCG_CTL) {
		if (!(v->mcg_cap & MCG_CTL_P) && (val || !host))
			return 1;
		if (val && val != ~0ull)
			return 1;
		v->mcg_ctl = val;
		return 0;
	}
	if (index - MC0_CTL2 < banks) {
		if (!(v->mcg_cap & MCG_CMCI_P) && (val || !host))
			return 1;
		if (val & ~CTL2_BITS)
			return 1;
		v->mci_ctl2[index - MC0_CTL2] = val;
		return 0;
	}
	if (index - MC0_CTL < banks * 4)
		return set_bank(v, index - MC0_CTL, val, host);
	return 1;
}

int vcpu_setup_mce(struct vcpu *v, u64 cap)
{
	u32 banks = cap & 0xff, i;

	if (!banks || banks > MCE_BANKS || cap & ~(MCE_CAP_SUPPORTED | 0xff | 0xff0000))
		return -EINVAL;
	v->mcg_cap = cap;
	if (cap & MCG_CTL_P)
		v->mcg_ctl = ~0ull;
	for (i = 0; i < banks; i++) {
		v->mce_banks[i * 4] = ~0ull;
		v->mci_ctl2[i] = 0;
	}
	return 0;
}

static void record(u64 *bank, const struct kvm_x86_mce *m, u64 status)
{
	bank[1] = status;
	bank[2] = m->addr;
	bank[3] = m->misc;
}

/* An uncorrected error stops the guest, or shuts it down when it cannot take it. */
static int raise(struct vcpu *v, u64 *bank, const struct kvm_x86_mce *m)
{
	u64 over = bank[1] & STATUS_VAL ? STATUS_OVER : 0;

	if (v->mcg_status & MCG_STATUS_MCIP || !(v->cr4 & X86_CR4_MCE)) {
		v->triple_fault = true;
		vcpu_request(v, REQ_EVENT);
		return 0;
	}
	record(bank, m, m->status | over);
	v->mcg_status = m->mcg_status;
	host_memset(&v->exc, 0, sizeof(v->exc));
	v->exc.pending = true;
	v->exc.vector = EXC_MC;
	vcpu_request(v, REQ_EVENT);
	return 0;
}

/* The interrupt that the APIC's CMCI entry describes. */
static void signal_cmci(struct vcpu *v)
{
	struct apic_msg m = { .shorthand = 1 };
	u32 lvt = v->lapic ? lapic_reg(v->lapic, APIC_LVT_CMCI) : APIC_LVT_MASKED;

	if (lvt & APIC_LVT_MASKED)
		return;
	m.vector = (u8)lvt;
	m.delivery = APIC_LVT_MODE(lvt);
	apic_deliver(v->vm, v, &m);
}

int vcpu_set_mce(struct vcpu *v, struct kvm_x86_mce *m)
{
	bool no_action = !m->mcg_status && !(m->status & (STATUS_PCC | STATUS_S | STATUS_AR)) &&
			 m->status & STATUS_UC;
	u64 *bank;

	if (m->bank >= bank_count(v) || !(m->status & STATUS_VAL))
		return -EINVAL;
	bank = &v->mce_banks[m->bank * 4];
	if (no_action) {
		record(bank, m, m->status);
		v->mcg_status = m->mcg_status;
		if (v->mcg_cap & MCG_CMCI_P && v->mci_ctl2[m->bank] & CTL2_CMCI_EN)
			signal_cmci(v);
		return 0;
	}
	if (m->status & STATUS_UC) {
		if ((v->mcg_cap & MCG_CTL_P && v->mcg_ctl != ~0ull) || bank[0] != ~0ull)
			return 0;
		return raise(v, bank, m);
	}
	if (!(bank[1] & STATUS_VAL) || !(bank[1] & STATUS_UC))
		record(bank, m, m->status | (bank[1] & STATUS_VAL ? STATUS_OVER : 0));
	else
		bank[1] |= STATUS_OVER;
	return 0;
}
