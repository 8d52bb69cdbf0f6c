/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM's hypercalls (KVM documentation x86/hypercalls): number in RAX,
 * arguments in RBX, RCX, RDX and RSI, the answer in RAX.
 */
#include <errno.h>
#include <linux/kvm_para.h>

#include "../irq/irq.h"
#include "state.h"

#define NSEC 1000000000ull
#define PAGE_LOW (PAGE_SIZE - 1)

struct clock_pairing {
	s64 sec, nsec;
	u64 tsc;
	u32 flags, pad[9];
};

/* Out of its HLT, or of the next one. */
static s64 kick(struct vcpu *v, u64 apic_id)
{
	struct vcpu *target = apic_id >> 32 ? NULL : vm_vcpu_by_id(v->vm, (u32)apic_id);

	if (target)
		vcpu_request(target, REQ_UNHALT);
	return 0;
}

/* A moment on the host's clock and on the guest's TSC. */
static s64 clock_pairing(struct vcpu *v, u64 gpa, u64 type)
{
	struct clock_pairing p;
	u64 ns;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK)
		return -KVM_EOPNOTSUPP;
	host_memset(&p, 0, sizeof(p));
	ns = host_realtime_ns();
	p.tsc = vcpu_guest_tsc(v);
	p.sec = (s64)(ns / NSEC);
	p.nsec = (s64)(ns % NSEC);
	return vcpu_write(v, gpa, &p, sizeof(p)) ? -KVM_EFAULT : 0;
}

/* Whoever waits for another vCPU lets it have this processor. */
static s64 sched_yield(struct vcpu *v, u64 apic_id)
{
	struct vcpu *target = apic_id >> 32 ? NULL : vm_vcpu_by_id(v->vm, (u32)apic_id);

	if (target && target != v)
		host_yield();
	return 0;
}

static int complete(struct vcpu *v)
{
	if (vcpu_exit_stands(v))
		v->gpr[REG_RAX] = vcpu_64bit(v) ? v->run->hypercall.ret :
						  (u32)v->run->hypercall.ret;
	return vcpu_skip(v);
}

/* User space is told that the guest shares memory, or no longer. 1 when it is. */
static int map_gpa_range(struct vcpu *v, const u64 a[4], u64 next_rip, s64 *ret)
{
	struct kvm_run *run = v->run;
	int i;

	if (!(v->vm->exit_hypercalls & BIT(KVM_HC_MAP_GPA_RANGE)))
		return 0;
	*ret = -KVM_EINVAL;
	if (a[0] & PAGE_LOW || !a[1] || (a[0] >> PAGE_SHIFT) + a[1] <= a[0] >> PAGE_SHIFT)
		return 0;
	host_memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	for (i = 0; i < 3; i++)
		run->hypercall.args[i] = a[i];
	run->hypercall.longmode = vcpu_64bit(v);
	vcpu_leave_to_user(v, complete, next_rip);
	return 1;
}

static s64 serve(struct vcpu *v, u64 nr, const u64 a[4])
{
	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		vcpu_request(v, REQ_EVENT);	/* the guest may have lowered its TPR in memory */
		return 0;
	case KVM_HC_KICK_CPU:
		return vcpu_pv_has(v, KVM_FEATURE_PV_UNHALT) ? kick(v, a[1]) : -KVM_ENOSYS;
	case KVM_HC_CLOCK_PAIRING:
		return clock_pairing(v, a[0], a[1]);
	case KVM_HC_SEND_IPI:
		if (!vcpu_pv_has(v, KVM_FEATURE_PV_SEND_IPI))
			break;
		return apic_send_mask(v->vm, a[0], a[1], a[2], a[3], vcpu_64bit(v) ? 64 : 32);
	case KVM_HC_SCHED_YIELD:
		return vcpu_pv_has(v, KVM_FEATURE_PV_SCHED_YIELD) ? sched_yield(v, a[0]) :
								    -KVM_ENOSYS;
	}
	return -KVM_ENOSYS;
}

int vcpu_hypercall(struct vcpu *v, u64 next_rip)
{
	static const u8 regs[4] = { REG_RBX, REG_RCX, REG_RDX, REG_RSI };
	u64 mask = vcpu_64bit(v) ? ~0ull : 0xffffffff, nr = v->gpr[REG_RAX] & mask, a[4];
	s64 ret = -KVM_ENOSYS;
	int i;

	v->stat.hypercalls++;
	for (i = 0; i < 4; i++)
		a[i] = v->gpr[regs[i]] & mask;
	if (v->cpl)
		ret = -KVM_EPERM;
	else if (nr != KVM_HC_MAP_GPA_RANGE)
		ret = serve(v, nr, a);
	else if (map_gpa_range(v, a, next_rip, &ret))
		return 1;
	v->gpr[REG_RAX] = (u64)ret & mask;
	return 0;
}
