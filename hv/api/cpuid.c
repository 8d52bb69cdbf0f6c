/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls about CPUID: what is offered on the system descriptor, what the
 * guest sees on a vCPU's (KVM API sections 4.20, 4.46, 4.88).
 */
#include <errno.h>

#include "api.h"

#define HANDLER(name) long name(void *self, u64 arg, void *buf)
#define UNUSED(x) ((void)(x))

/* --- system ------------------------------------------------------------------------ */

static long put_cpuid(u64 arg, int (*fill)(struct kvm_cpuid_entry2 *, u32))
{
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 head;
	int n;

	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!head.nent)
		return -E2BIG;
	head.nent = MIN(head.nent, (u32)MAX_CPUID_ENTRIES);
	e = host_zalloc(head.nent * sizeof(*e));
	if (!e)
		return -ENOMEM;
	n = fill(e, head.nent);
	if (n >= 0) {
		head.nent = (u32)n;
		if (host_copy_to_user(arg + sizeof(head), e, (u32)n * sizeof(*e)) ||
		    host_copy_to_user(arg, &head, sizeof(head)))
			n = -EFAULT;
	}
	host_free(e);
	return n < 0 ? n : 0;
}

HANDLER(api_get_supported_cpuid)
{
	UNUSED(self);
	UNUSED(buf);
	return put_cpuid(arg, cpuid_supported);
}

HANDLER(api_get_emulated_cpuid)
{
	UNUSED(self);
	UNUSED(buf);
	return put_cpuid(arg, cpuid_emulated);
}

/* --- vCPU ------------------------------------------------------------------------- */

/* The count at arg and that many entries of size bytes after it, or -errno. */
static long copy_entries(u64 arg, size_t size, u32 *count, void **entries)
{
	struct kvm_cpuid2 head;

	*entries = NULL;
	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > MAX_CPUID_ENTRIES)
		return -E2BIG;
	*count = head.nent;
	if (!head.nent)
		return 0;
	*entries = host_zalloc(head.nent * size);
	if (!*entries)
		return -ENOMEM;
	if (host_copy_from_user(*entries, arg + sizeof(head), head.nent * size)) {
		host_free(*entries);
		return -EFAULT;
	}
	return 0;
}

HANDLER(api_set_cpuid2)
{
	void *entries;
	u32 count;
	long r = copy_entries(arg, sizeof(struct kvm_cpuid_entry2), &count, &entries);

	UNUSED(buf);
	if (r)
		return r;
	r = vcpu_set_cpuid(self, entries, count);
	if (r)
		host_free(entries);
	return r;
}

/* Entries of the first form have neither index nor flags. */
HANDLER(api_set_cpuid)
{
	struct kvm_cpuid_entry2 *e2 = NULL;
	struct kvm_cpuid_entry *e;
	void *entries;
	u32 count, i;
	long r = copy_entries(arg, sizeof(*e), &count, &entries);

	UNUSED(buf);
	if (r)
		return r;
	e = entries;
	if (count)
		e2 = host_zalloc(count * sizeof(*e2));
	for (i = 0; e2 && i < count; i++) {
		e2[i].function = e[i].function;
		e2[i].eax = e[i].eax;
		e2[i].ebx = e[i].ebx;
		e2[i].ecx = e[i].ecx;
		e2[i].edx = e[i].edx;
	}
	host_free(entries);
	if (count && !e2)
		return -ENOMEM;
	r = vcpu_set_cpuid(self, e2, count);
	if (r)
		host_free(e2);
	return r;
}

HANDLER(api_get_cpuid2)
{
	struct vcpu *v = self;
	struct kvm_cpuid2 head;
	u32 room;

	UNUSED(buf);
	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	room = head.nent;
	head.nent = v->cpuid_count;
	if (room < v->cpuid_count)
		return -E2BIG;
	if (host_copy_to_user(arg + sizeof(head), v->cpuid, v->cpuid_count * sizeof(*v->cpuid)))
		return -EFAULT;
	return host_copy_to_user(arg, &head, sizeof(head));
}
