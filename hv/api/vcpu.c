/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls of a vCPU descriptor (KVM API section 4: "Type: vcpu ioctl").
 * All run under the vCPU's lock: one that comes while another thread is in
 * KVM_RUN waits until that has returned.
 */
#include <errno.h>

#include "api.h"

#define HANDLER(name) static long name(void *self, u64 arg, void *buf)
#define UNUSED(x) ((void)(x))

/* --- KVM_RUN ------------------------------------------------------------------------ */

/* Registers that travel in struct kvm_run (KVM_CAP_SYNC_REGS). */
static int take_registers(struct vcpu *v, struct kvm_run *run)
{
	struct kvm_vcpu_events e;

	if (run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		vcpu_set_regs(v, &run->s.regs.regs);
	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS && vcpu_set_sregs(v, &run->s.regs.sregs))
		return -EINVAL;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS) {
		host_memcpy(&e, &run->s.regs.events, sizeof(e));
		if (vcpu_set_events(v, &e))
			return -EINVAL;
	}
	run->kvm_dirty_regs = 0;
	return 0;
}

static void give_registers(struct vcpu *v, struct kvm_run *run, u64 which)
{
	if (which & KVM_SYNC_X86_REGS)
		vcpu_get_regs(v, &run->s.regs.regs);
	if (which & KVM_SYNC_X86_SREGS)
		vcpu_get_sregs(v, &run->s.regs.sregs);
	if (which & KVM_SYNC_X86_EVENTS)
		vcpu_get_events(v, &run->s.regs.events);
}

HANDLER(run)
{
	struct vcpu *v = self;
	struct kvm_run *r = v->run;
	u64 give = __atomic_load_n(&r->kvm_valid_regs, __ATOMIC_RELAXED);
	long ret;

	UNUSED(buf);
	if (arg)
		return -EINVAL;
	v->has_run = true;
	if (likely(!(give | r->kvm_dirty_regs)))
		return vcpu_run(v);
	if ((give | r->kvm_dirty_regs) & ~(u64)KVM_SYNC_FIELDS)
		return -EINVAL;
	ret = take_registers(v, r);
	if (!ret)
		ret = vcpu_run(v);
	give_registers(v, r, give);
	return ret;
}

/* --- registers ------------------------------------------------------------------------ */

HANDLER(get_regs)
{
	UNUSED(arg);
	vcpu_get_regs(self, buf);
	return 0;
}

HANDLER(set_regs)
{
	UNUSED(arg);
	vcpu_set_regs(self, buf);
	return 0;
}

HANDLER(get_sregs)
{
	UNUSED(arg);
	vcpu_get_sregs(self, buf);
	return 0;
}

HANDLER(set_sregs)
{
	UNUSED(arg);
	return vcpu_set_sregs(self, buf);
}

HANDLER(get_sregs2)
{
	UNUSED(arg);
	vcpu_get_sregs2(self, buf);
	return 0;
}

HANDLER(set_sregs2)
{
	UNUSED(arg);
	return vcpu_set_sregs2(self, buf);
}

HANDLER(get_fpu)
{
	UNUSED(arg);
	vcpu_get_fpu(self, buf);
	return 0;
}

HANDLER(set_fpu)
{
	UNUSED(arg);
	vcpu_set_fpu(self, buf);
	((struct vcpu *)self)->vm->engine->state_changed(self);
	return 0;
}

HANDLER(get_xsave)
{
	UNUSED(arg);
	vcpu_get_xsave(self, buf);
	return 0;
}

HANDLER(set_xsave)
{
	long r = vcpu_set_xsave(self, buf);

	UNUSED(arg);
	if (!r)
		((struct vcpu *)self)->vm->engine->state_changed(self);
	return r;
}

HANDLER(get_xcrs)
{
	struct kvm_xcrs *x = buf;

	UNUSED(arg);
	host_memset(x, 0, sizeof(*x));
	x->nr_xcrs = 1;
	x->xcrs[0].value = ((struct vcpu *)self)->xcr0;
	return 0;
}

HANDLER(set_xcrs)
{
	const struct kvm_xcrs *x = buf;
	u32 i;

	UNUSED(arg);
	if (x->nr_xcrs > KVM_MAX_XCRS || x->flags)
		return -EINVAL;
	for (i = 0; i < x->nr_xcrs; i++)
		if (x->xcrs[i].xcr == 0)
			return vcpu_set_xcr0(self, x->xcrs[i].value) ? -EINVAL : 0;
	return 0;
}

HANDLER(get_debugregs)
{
	UNUSED(arg);
	vcpu_get_debugregs(self, buf);
	return 0;
}

HANDLER(set_debugregs)
{
	UNUSED(arg);
	return vcpu_set_debugregs(self, buf);
}

HANDLER(set_guest_debug)
{
	UNUSED(arg);
	return vcpu_set_guest_debug(self, buf);
}

HANDLER(get_msrs)
{
	UNUSED(buf);
	return api_get_msrs(self, arg);
}

HANDLER(set_msrs)
{
	UNUSED(buf);
	return api_set_msrs(self, arg);
}

/* --- interrupts and events -------------------------------------------------------------- */

HANDLER(get_lapic)
{
	struct vcpu *v = self;

	UNUSED(arg);
	return v->lapic ? lapic_get_state(v, buf) : -EINVAL;
}

HANDLER(set_lapic)
{
	struct vcpu *v = self;

	UNUSED(arg);
	return v->lapic ? lapic_set_state(v, buf) : -EINVAL;
}

HANDLER(interrupt)
{
	UNUSED(arg);
	return vcpu_interrupt(self, ((struct kvm_interrupt *)buf)->irq);
}

HANDLER(nmi)
{
	UNUSED(arg);
	UNUSED(buf);
	vcpu_nmi(self);
	return 0;
}

HANDLER(smi)
{
	UNUSED(arg);
	UNUSED(buf);
	vcpu_request(self, REQ_SMI);
	return 0;
}

HANDLER(get_events)
{
	UNUSED(arg);
	vcpu_get_events(self, buf);
	return 0;
}

HANDLER(set_events)
{
	UNUSED(arg);
	return vcpu_set_events(self, buf);
}

HANDLER(get_mp_state)
{
	UNUSED(arg);
	return vcpu_get_mp_state(self, buf);
}

HANDLER(set_mp_state)
{
	UNUSED(arg);
	return vcpu_set_mp_state(self, buf);
}

HANDLER(setup_mce)
{
	u64 cap;

	UNUSED(arg);
	host_memcpy(&cap, buf, sizeof(cap));
	return vcpu_setup_mce(self, cap);
}

HANDLER(set_mce)
{
	UNUSED(arg);
	return vcpu_set_mce(self, buf);
}

HANDLER(tpr_access_reporting)
{
	const struct kvm_tpr_access_ctl *c = buf;

	UNUSED(arg);
	if (c->flags)
		return -EINVAL;
	((struct vcpu *)self)->tpr_reporting = !!c->enabled;
	return 0;
}

HANDLER(set_vapic_addr)
{
	struct vcpu *v = self;
	u32 token;
	long r;

	UNUSED(arg);
	if (!v->lapic)
		return -EINVAL;
	token = vm_slots_begin(v->vm);
	r = vapic_set(v, ((struct kvm_vapic_addr *)buf)->vapic_addr);
	vm_slots_end(v->vm, token);
	return r;
}

HANDLER(set_signal_mask)
{
	const u64 unblockable = BIT64(9 - 1) | BIT64(19 - 1);	/* SIGKILL, SIGSTOP */
	struct vcpu *v = self;
	struct kvm_signal_mask head;
	u64 mask;

	UNUSED(buf);
	if (!arg) {
		v->sigmask_set = false;
		return 0;
	}
	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	if (host_copy_from_user(&mask, arg + offsetof(struct kvm_signal_mask, sigset),
				sizeof(mask)))
		return -EFAULT;
	v->sigmask = mask & ~unblockable;
	v->sigmask_set = true;
	return 0;
}

/* --- memory, time, the rest ------------------------------------------------------------------ */

HANDLER(translate)
{
	struct vcpu *v = self;
	long r;
	u32 token;

	UNUSED(arg);
	if (!v->vm->engine->translate)
		return -EINVAL;
	token = vm_slots_begin(v->vm);
	r = v->vm->engine->translate(v, buf);
	vm_slots_end(v->vm, token);
	return r;
}

HANDLER(set_tsc_khz)
{
	UNUSED(buf);
	return vcpu_set_tsc_khz(self, (u32)arg);
}

HANDLER(get_tsc_khz)
{
	UNUSED(arg);
	UNUSED(buf);
	return ((struct vcpu *)self)->tsc_khz;
}

HANDLER(kvmclock_ctrl)
{
	struct vcpu *v = self;

	UNUSED(arg);
	UNUSED(buf);
	if (!(v->kvm_system_time & 1))
		return -EINVAL;
	v->clock_stopped = true;
	vcpu_request(v, REQ_CLOCK);
	return 0;
}

HANDLER(has_attr)
{
	const struct kvm_device_attr *a = buf;

	UNUSED(self);
	UNUSED(arg);
	return a->group != KVM_VCPU_TSC_CTRL || a->attr != KVM_VCPU_TSC_OFFSET ? -ENXIO : 0;
}

HANDLER(get_attr)
{
	const struct kvm_device_attr *a = buf;
	struct vcpu *v = self;
	long r = has_attr(self, arg, buf);

	return r ? r : host_copy_to_user(a->addr, &v->tsc_offset, sizeof(v->tsc_offset));
}

HANDLER(set_attr)
{
	const struct kvm_device_attr *a = buf;
	long r = has_attr(self, arg, buf);
	u64 offset;

	if (!r)
		r = host_copy_from_user(&offset, a->addr, sizeof(offset));
	if (!r)
		vcpu_set_tsc_offset(self, offset);
	return r;
}

HANDLER(get_stats_fd)
{
	UNUSED(arg);
	UNUSED(buf);
	return stats_open_vcpu(self);
}

HANDLER(enable_cap)
{
	const struct kvm_enable_cap *c = buf;
	struct vcpu *v = self;

	UNUSED(arg);
	if (c->flags || c->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	v->pv_enforce = c->args[0];
	return 0;
}

static const struct api_op ops[] = {
	{ KVM_RUN, 0, run },
	{ KVM_GET_REGS, API_OUT, get_regs },
	{ KVM_SET_REGS, API_IN, set_regs },
	{ KVM_GET_SREGS, API_OUT, get_sregs },
	{ KVM_SET_SREGS, API_IN, set_sregs },
	{ KVM_GET_SREGS2, API_OUT, get_sregs2 },
	{ KVM_SET_SREGS2, API_IN, set_sregs2 },
	{ KVM_GET_MSRS, 0, get_msrs },
	{ KVM_SET_MSRS, 0, set_msrs },
	{ KVM_GET_LAPIC, API_OUT, get_lapic },
	{ KVM_SET_LAPIC, API_IN, set_lapic },
	{ KVM_INTERRUPT, API_IN, interrupt },
	{ KVM_NMI, 0, nmi },
	{ KVM_SMI, 0, smi },
	{ KVM_GET_VCPU_EVENTS, API_OUT, get_events },
	{ KVM_SET_VCPU_EVENTS, API_IN, set_events },
	{ KVM_GET_MP_STATE, API_OUT, get_mp_state },
	{ KVM_SET_MP_STATE, API_IN, set_mp_state },
	{ KVM_GET_FPU, API_OUT, get_fpu },
	{ KVM_SET_FPU, API_IN, set_fpu },
	{ KVM_GET_XSAVE, API_OUT, get_xsave },
	{ KVM_GET_XSAVE2, API_OUT, get_xsave },
	{ KVM_SET_XSAVE, API_IN, set_xsave },
	{ KVM_GET_XCRS, API_OUT, get_xcrs },
	{ KVM_SET_XCRS, API_IN, set_xcrs },
	{ KVM_GET_DEBUGREGS, API_OUT, get_debugregs },
	{ KVM_SET_DEBUGREGS, API_IN, set_debugregs },
	{ KVM_SET_GUEST_DEBUG, API_IN, set_guest_debug },
	{ KVM_SET_CPUID, 0, api_set_cpuid },
	{ KVM_SET_CPUID2, 0, api_set_cpuid2 },
	{ KVM_GET_CPUID2, 0, api_get_cpuid2 },
	{ KVM_X86_SETUP_MCE, API_IN, setup_mce },
	{ KVM_X86_SET_MCE, API_IN, set_mce },
	{ KVM_TPR_ACCESS_REPORTING, API_IN | API_OUT, tpr_access_reporting },
	{ KVM_SET_VAPIC_ADDR, API_IN, set_vapic_addr },
	{ KVM_SET_SIGNAL_MASK, 0, set_signal_mask },
	{ KVM_TRANSLATE, API_IN | API_OUT, translate },
	{ KVM_SET_TSC_KHZ, 0, set_tsc_khz },
	{ KVM_GET_TSC_KHZ, 0, get_tsc_khz },
	{ KVM_KVMCLOCK_CTRL, 0, kvmclock_ctrl },
	{ KVM_ENABLE_CAP, API_IN, enable_cap },
	{ KVM_GET_STATS_FD, 0, get_stats_fd },
	{ KVM_HAS_DEVICE_ATTR, API_IN, has_attr },
	{ KVM_GET_DEVICE_ATTR, API_IN, get_attr },
	{ KVM_SET_DEVICE_ATTR, API_IN, set_attr },
	{ 0, 0, NULL },
};

long api_vcpu(struct vcpu *v, u32 request, u64 arg)
{
	long r;

	host_mutex_lock(&v->lock);
	if (likely(request == KVM_RUN)) {
		r = run(v, arg, NULL);
		if (unlikely(v->stats))
			stats_update(v);
	} else {
		r = api_dispatch(ops, v, request, arg, -EINVAL);
	}
	host_mutex_unlock(&v->lock);
	return r;
}
