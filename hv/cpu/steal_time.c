/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steal time: the guest learns how long its vCPU was ready to run and had no
 * processor, and whether it runs at all (KVM documentation x86/msr:
 * MSR_KVM_STEAL_TIME; struct kvm_steal_time).
 *
 * While the vCPU does not run (it is out of KVM_RUN, or sleeps in HLT), the
 * byte "preempted" says so. Another vCPU may then ask for a TLB flush there
 * instead of sending an interrupt; it is done before guest code runs again
 * (KVM_FEATURE_PV_TLB_FLUSH).
 */
#include "../soft/mmu/mmu.h"
#include "state.h"

#include <linux/kvm_para.h>

#define ENABLED 1ull
#define STEAL_OFFSET 0
#define VERSION_OFFSET 8
#define PREEMPTED_OFFSET 16

/* Between two looks at the host's count: when KVM_RUN begins, and while it goes on. */
#define ENTRY_NS 100000ull
#define RUNNING_NS 10000000ull

static u64 address(const struct vcpu *v)
{
	return v->kvm_steal_time & ~63ull;
}

/* Where the structure is in the host, to be written; 0: nowhere. */
static u64 host_address(struct vcpu *v)
{
	u64 gpa = address(v);
	struct memslot *s = vm_find_slot(v->vm, gpa >> PAGE_SHIFT);

	if (!s || s->flags & KVM_MEM_READONLY)
		return 0;
	memslot_mark_dirty(v, s, gpa >> PAGE_SHIFT);
	return s->hva + (gpa - (s->gfn << PAGE_SHIFT));
}

static bool due(const struct vcpu *v, u64 interval_ns)
{
	return !v->steal_tsc ||
	       host_rdtsc() - v->steal_tsc >= interval_ns / 1000 * host_tsc_khz() / 1000;
}

/* The version is odd while the rest changes. */
static void account(struct vcpu *v)
{
	u64 gpa = address(v), now = host_rdtsc(), waited, steal;
	u32 version;

	host_run_delay(&waited);
	if (vm_read(v->vm, gpa + STEAL_OFFSET, &steal, sizeof(steal)) ||
	    vm_read(v->vm, gpa + VERSION_OFFSET, &version, sizeof(version)))
		return;
	version = (version + 1) | 1;
	if (vcpu_write(v, gpa + VERSION_OFFSET, &version, sizeof(version)))
		return;
	/* Another thread's delay is another count: it starts anew. */
	if (v->steal_tsc && waited > v->steal_seen) {
		steal += waited - v->steal_seen;
		vcpu_write(v, gpa + STEAL_OFFSET, &steal, sizeof(steal));
	}
	v->steal_seen = waited;
	v->steal_tsc = now;
	version++;
	vcpu_write(v, gpa + VERSION_OFFSET, &version, sizeof(version));
}

void steal_time_start(struct vcpu *v)
{
	u64 at = v->kvm_steal_time & ENABLED ? host_address(v) : 0;
	u32 version;
	int was;

	if (!at)
		return;
	was = host_guest_swap8(at + PREEMPTED_OFFSET, 0);
	if (was > 0 && was & KVM_VCPU_FLUSH_TLB && vcpu_pv_has(v, KVM_FEATURE_PV_TLB_FLUSH))
		v->vm->engine->flush_tlb(v, false);
	v->steal_stopped = false;
	if (due(v, ENTRY_NS)) {
		account(v);
	} else if (!host_copy_from_guest(&version, at + VERSION_OFFSET, sizeof(version))) {
		version = (version | 1) + 1;
		host_copy_to_guest(at + VERSION_OFFSET, &version, sizeof(version));
	}
}

void steal_time_stop(struct vcpu *v)
{
	u64 at = v->kvm_steal_time & ENABLED && !v->steal_stopped ? host_address(v) : 0;

	if (at && host_guest_swap8(at + PREEMPTED_OFFSET, KVM_VCPU_PREEMPTED) >= 0)
		v->steal_stopped = true;
}

void steal_time_poll(struct vcpu *v)
{
	if (v->kvm_steal_time & ENABLED && due(v, RUNNING_NS))
		account(v);
}

int steal_time_set(struct vcpu *v, u64 val)
{
	if (val & 0x3e)
		return 1;
	v->kvm_steal_time = val;
	v->steal_tsc = 0;
	v->steal_stopped = true;
	/* The guest's own write shows at once. */
	if (__atomic_load_n(&v->running, __ATOMIC_RELAXED))
		steal_time_start(v);
	return 0;
}
