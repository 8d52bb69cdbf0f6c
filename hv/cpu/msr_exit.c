/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RDMSR and WRMSR of the guest as user space may limit and take them over:
 * KVM_X86_SET_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR (KVM API sections 4.97,
 * 5 and 7.21).
 */
#include <errno.h>

#include "state.h"

#define X2APIC_FIRST 0x800
#define X2APIC_LAST 0x8ff

struct range {
	u32 flags, base, count;
	u64 *bitmap;		/* a set bit: allowed */
};

struct msr_filter {
	bool default_allow;
	u32 count;
	struct range range[KVM_MSR_FILTER_MAX_RANGES];
};

/* --- the filter ------------------------------------------------------------------- */

static void filter_free(struct msr_filter *f)
{
	u32 i;

	for (i = 0; f && i < f->count; i++)
		host_free(f->range[i].bitmap);
	host_free(f);
}

void msr_filter_free(struct vm *vm)
{
	filter_free(vm->msr_filter);
	vm->msr_filter = NULL;
}

static int add_range(struct msr_filter *f, const struct kvm_msr_filter_range *r)
{
	struct range *to = &f->range[f->count];
	u64 bytes = ((u64)r->nmsrs + 63) / 64 * 8;

	if (!r->nmsrs)
		return 0;
	if (!r->flags || r->flags & ~(u32)(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	if (bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	to->bitmap = host_zalloc(bytes);
	if (!to->bitmap)
		return -ENOMEM;
	f->count++;
	to->flags = r->flags;
	to->base = r->base;
	to->count = r->nmsrs;
	return host_copy_from_user(to->bitmap, (u64)r->bitmap, bytes);
}

static int build(struct msr_filter *f, const struct kvm_msr_filter *from)
{
	u32 i;
	int r = 0;

	f->default_allow = !(from->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES && !r; i++)
		r = add_range(f, &from->ranges[i]);
	return r ? r : f->count || f->default_allow ? 0 : -EINVAL;
}

/* vCPUs may be looking at the old one until they take note of a request. */
int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *from)
{
	struct msr_filter *f, *old;
	int r;

	if (from->flags & ~(u32)KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	f = host_zalloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	r = build(f, from);
	if (r) {
		filter_free(f);
		return r;
	}
	host_mutex_lock(&vm->lock);
	old = __atomic_exchange_n(&vm->msr_filter, f, __ATOMIC_SEQ_CST);
	vm_request_sync(vm, REQ_CLOCK, NULL);
	host_mutex_unlock(&vm->lock);
	filter_free(old);
	return 0;
}

static bool allowed(struct vcpu *v, u32 index, u32 type)
{
	const struct msr_filter *f = __atomic_load_n(&v->vm->msr_filter, __ATOMIC_ACQUIRE);
	u32 i;

	if (likely(!f) || (index >= X2APIC_FIRST && index <= X2APIC_LAST))
		return true;
	for (i = 0; i < f->count; i++) {
		const struct range *r = &f->range[i];
		u32 n = index - r->base;

		if (r->flags & type && index >= r->base && n < r->count)
			return r->bitmap[n / 64] >> (n % 64) & 1;
	}
	return f->default_allow;
}

/* --- exits --------------------------------------------------------------------------- */

/* User space has answered: the guest goes on, or finds #GP at the instruction. */
static int complete_write(struct vcpu *v)
{
	if (!v->run->msr.error)
		return vcpu_skip(v);
	if (vcpu_exit_stands(v))
		vcpu_raise_error(v, EXC_GP, 0);
	return 0;
}

static int complete_read(struct vcpu *v)
{
	if (!v->run->msr.error && vcpu_exit_stands(v)) {
		v->gpr[REG_RAX] = (u32)v->run->msr.data;
		v->gpr[REG_RDX] = v->run->msr.data >> 32;
	}
	return complete_write(v);
}

/* -1 when user space wants to hear of this failure, else 1. */
static int ask(struct vcpu *v, u32 exit, u32 index, u64 data, u32 reason, u64 next_rip)
{
	struct kvm_run *run = v->run;

	if (!(v->vm->user_space_msr & reason))
		return 1;
	run->exit_reason = exit;
	host_memset(&run->msr, 0, sizeof(run->msr));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = data;
	vcpu_leave_to_user(v, exit == KVM_EXIT_X86_RDMSR ? complete_read : complete_write,
			   next_rip);
	return -1;
}

static u32 reason_of(int failure)
{
	return failure == MSR_UNKNOWN ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
}

int vcpu_guest_rdmsr(struct vcpu *v, u32 index, u64 *val, u64 next_rip)
{
	int r;

	if (!allowed(v, index, KVM_MSR_FILTER_READ))
		return ask(v, KVM_EXIT_X86_RDMSR, index, 0, KVM_MSR_EXIT_REASON_FILTER, next_rip);
	r = vcpu_get_msr(v, index, val, false);
	return r ? ask(v, KVM_EXIT_X86_RDMSR, index, 0, reason_of(r), next_rip) : 0;
}

int vcpu_guest_wrmsr(struct vcpu *v, u32 index, u64 val, u64 next_rip)
{
	int r;

	if (!allowed(v, index, KVM_MSR_FILTER_WRITE))
		return ask(v, KVM_EXIT_X86_WRMSR, index, val, KVM_MSR_EXIT_REASON_FILTER, next_rip);
	r = vcpu_set_msr(v, index, val, false);
	return r ? ask(v, KVM_EXIT_X86_WRMSR, index, val, reason_of(r), next_rip) : 0;
}
