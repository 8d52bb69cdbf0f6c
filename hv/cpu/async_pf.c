/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asynchronous page faults (KVM documentation x86/msr: MSR_KVM_ASYNC_PF_EN,
 * _INT and _ACK): a guest whose page is not there may be told so and run
 * something else until it is.
 *
 * Here a page that is not there is the host kernel's affair, in the middle of
 * an access, and no guest is ever told that one is missing. But one that comes
 * from elsewhere may have been, and its tasks wait: so, as KVM does, every
 * time this is switched on the guest is told to wake them all.
 */
#include "../irq/irq.h"
#include "state.h"

#include <linux/kvm_para.h>

#define RESERVED 0x30ull
#define IN_USE ((u64)(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT))
#define TOKEN_OFFSET 4		/* in struct kvm_vcpu_pv_apf_data */
#define WAKE_ALL 0xffffffffu

/* Without a local APIC of ours it may be switched on, and nothing comes of it. */
static bool in_use(const struct vcpu *v)
{
	return v->lapic && (v->kvm_async_pf & IN_USE) == IN_USE;
}

static u64 address(const struct vcpu *v)
{
	return v->kvm_async_pf & ~63ull;
}

int async_pf_set(struct vcpu *v, u64 val)
{
	if (val & RESERVED)
		return 1;
	if (val & KVM_ASYNC_PF_DELIVERY_AS_PF_VMEXIT &&
	    !vcpu_pv_has(v, KVM_FEATURE_ASYNC_PF_VMEXIT))
		return 1;
	if (val & KVM_ASYNC_PF_DELIVERY_AS_INT && !vcpu_pv_has(v, KVM_FEATURE_ASYNC_PF_INT))
		return 1;
	v->kvm_async_pf = val;
	if (in_use(v) && !vm_find_slot(v->vm, address(v) >> PAGE_SHIFT))
		return 1;
	v->apf_wake = in_use(v);
	if (v->apf_wake)
		vcpu_request(v, REQ_ASYNC_PF);
	return 0;
}

int async_pf_set_vector(struct vcpu *v, u64 val)
{
	if (val >> 8)
		return 1;
	v->kvm_async_pf_int = val;
	return 0;
}

void async_pf_ack(struct vcpu *v, u64 val)
{
	if (!(val & 1))
		return;
	v->apf_told = false;
	if (v->apf_wake)
		vcpu_request(v, REQ_ASYNC_PF);
}

/* The guest takes one token at a time: it clears the last, then acknowledges. */
void async_pf_tell(struct vcpu *v)
{
	struct apic_msg m = { .shorthand = 1, .vector = (u8)v->kvm_async_pf_int };
	u32 token, all = WAKE_ALL;

	if (!v->apf_wake || v->apf_told || !in_use(v))
		return;
	if (vm_read(v->vm, address(v) + TOKEN_OFFSET, &token, sizeof(token)) || token ||
	    vcpu_write(v, address(v) + TOKEN_OFFSET, &all, sizeof(all)))
		return;
	v->apf_wake = false;
	v->apf_told = true;
	apic_deliver(v->vm, v, &m);
}
