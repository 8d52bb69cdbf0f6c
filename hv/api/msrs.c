/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_MSRS and KVM_SET_MSRS (KVM API sections 4.18, 4.19): as many of the
 * list as go well, from its start, and how many that were.
 */
#include <errno.h>

#include "api.h"

#define MAX_MSRS 256

typedef int (*msr_fn)(struct vcpu *v, struct kvm_msr_entry *e);

static int get_one(struct vcpu *v, struct kvm_msr_entry *e)
{
	u64 val = 0;
	int r = v ? vcpu_get_msr(v, e->index, &val, true) : msr_feature(e->index, &val);

	e->data = val;
	return r;
}

static int set_one(struct vcpu *v, struct kvm_msr_entry *e)
{
	return vcpu_set_msr(v, e->index, e->data, true);
}

static long each(struct vcpu *v, u64 arg, msr_fn fn, bool answer)
{
	struct kvm_msr_entry *e;
	struct kvm_msrs head;
	u32 n;
	long r;

	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= MAX_MSRS)
		return -E2BIG;
	if (!head.nmsrs)
		return 0;
	e = host_zalloc(head.nmsrs * sizeof(*e));
	if (!e)
		return -ENOMEM;
	r = host_copy_from_user(e, arg + sizeof(head), head.nmsrs * sizeof(*e));
	for (n = 0; !r && n < head.nmsrs; n++)
		if (fn(v, &e[n]))
			break;
	if (!r && answer)
		r = host_copy_to_user(arg + sizeof(head), e, head.nmsrs * sizeof(*e));
	host_free(e);
	return r ? r : n;
}

long api_get_msrs(struct vcpu *v, u64 arg)
{
	return each(v, arg, get_one, true);
}

long api_set_msrs(struct vcpu *v, u64 arg)
{
	return each(v, arg, set_one, false);
}
