/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM's own MSRs: the clock, steal time, PV EOI, asynchronous page faults, HLT
 * polling (KVM documentation x86/msr).
 */
#include "../irq/irq.h"
#include "msr.h"
#include "state.h"

/* The feature that a register of KVM's belongs to. */
static u32 kvm_feature(u32 index)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		return KVM_FEATURE_CLOCKSOURCE;
	case MSR_KVM_ASYNC_PF_EN:
		return KVM_FEATURE_ASYNC_PF;
	case MSR_KVM_STEAL_TIME:
		return KVM_FEATURE_STEAL_TIME;
	case MSR_KVM_PV_EOI_EN:
		return KVM_FEATURE_PV_EOI;
	case MSR_KVM_POLL_CONTROL:
		return KVM_FEATURE_POLL_CONTROL;
	case MSR_KVM_ASYNC_PF_INT:
	case MSR_KVM_ASYNC_PF_ACK:
		return KVM_FEATURE_ASYNC_PF_INT;
	default:
		return KVM_FEATURE_CLOCKSOURCE2;
	}
}

int msr_kvm_get(struct vcpu *v, u32 index, u64 *val)
{
	if (!vcpu_pv_has(v, kvm_feature(index)))
		return MSR_UNKNOWN;
	switch (index) {
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_WALL_CLOCK:
		*val = v->vm->kvm_wall_clock;
		return 0;
	case MSR_KVM_SYSTEM_TIME_NEW:
	case MSR_KVM_SYSTEM_TIME:
		*val = v->kvm_system_time;
		return 0;
	case MSR_KVM_STEAL_TIME:
		*val = v->kvm_steal_time;
		return 0;
	case MSR_KVM_POLL_CONTROL:
		*val = v->kvm_poll_control;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		*val = v->kvm_pv_eoi;
		return 0;
	case MSR_KVM_ASYNC_PF_EN:
		*val = v->kvm_async_pf;
		return 0;
	case MSR_KVM_ASYNC_PF_INT:
		*val = v->kvm_async_pf_int;
		return 0;
	case MSR_KVM_ASYNC_PF_ACK:
		*val = 0;
		return 0;
	}
	return MSR_UNKNOWN;
}

int msr_kvm_set(struct vcpu *v, u32 index, u64 val, bool host)
{
	if (!vcpu_pv_has(v, kvm_feature(index)))
		return MSR_UNKNOWN;
	switch (index) {
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_WALL_CLOCK:
		v->vm->kvm_wall_clock = val;
		pvclock_write_wall_clock(v, val);
		return 0;
	case MSR_KVM_SYSTEM_TIME_NEW:
	case MSR_KVM_SYSTEM_TIME:
		v->kvm_system_time = val;
		/* The guest may read it by its next instruction. */
		if (host)
			vcpu_request(v, REQ_CLOCK);
		else
			pvclock_update(v);
		return 0;
	case MSR_KVM_STEAL_TIME:
		return steal_time_set(v, val);
	case MSR_KVM_POLL_CONTROL:
		if (val > 1)
			return 1;
		v->kvm_poll_control = val;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		if (!v->lapic)	/* the kernel takes it, and nothing comes of it */
			return !!(val & 2);
		return pv_eoi_set(v, val);
	case MSR_KVM_ASYNC_PF_EN:
		return async_pf_set(v, val);
	case MSR_KVM_ASYNC_PF_INT:
		return async_pf_set_vector(v, val);
	case MSR_KVM_ASYNC_PF_ACK:
		async_pf_ack(v, val);
		return 0;
	}
	return MSR_UNKNOWN;
}
