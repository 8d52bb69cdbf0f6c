/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls of the system descriptor (KVM API section 4: "Type: system").
 */
#include <errno.h>

#include "api.h"

static long get_api_version(void *self, u64 arg, void *buf)
{
	(void)self;
	(void)buf;
	return arg ? -EINVAL : KVM_API_VERSION;
}

static long get_mmap_size(void *self, u64 arg, void *buf)
{
	(void)self;
	(void)buf;
	return arg ? -EINVAL : (long)(VM_RUN_PAGES * PAGE_SIZE);
}

static long check_extension(void *self, u64 arg, void *buf)
{
	(void)self;
	(void)buf;
	return api_check_extension(arg);
}

static long create_vm(void *self, u64 type, void *buf)
{
	struct vm *vm;
	int fd, r;

	(void)self;
	(void)buf;
	if (type)
		return -EINVAL;
	fd = host_memfd("kvm-vm", 0);
	if (fd < 0)
		return fd;
	vm = vm_create(&r);
	if (vm) {
		vm->fd = fd;
		r = api_install(fd, API_VM, vm);
		if (r)
			vm_put(vm);
	}
	if (r) {
		host_close(fd);
		return r;
	}
	return fd;
}

/* A list of MSR numbers into struct kvm_msr_list at arg. */
static long put_msr_list(u64 arg, const u32 *list, u32 count)
{
	struct kvm_msr_list head;
	u32 room;

	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	room = head.nmsrs;
	head.nmsrs = count;
	if (host_copy_to_user(arg, &head, sizeof(head)))
		return -EFAULT;
	if (room < count)
		return -E2BIG;
	return host_copy_to_user(arg + sizeof(head), list, count * sizeof(*list));
}

static long get_msr_list(void *self, u64 arg, void *buf)
{
	u32 count;
	const u32 *list = msr_index_list(&count);

	(void)self;
	(void)buf;
	return put_msr_list(arg, list, count);
}

static long get_feature_list(void *self, u64 arg, void *buf)
{
	u32 count;
	const u32 *list = msr_feature_list(&count);

	(void)self;
	(void)buf;
	return put_msr_list(arg, list, count);
}

static long get_msrs(void *self, u64 arg, void *buf)
{
	(void)self;
	(void)buf;
	return api_get_msrs(NULL, arg);
}

static long get_mce_cap(void *self, u64 arg, void *buf)
{
	u64 cap = MCE_CAP_SUPPORTED;

	(void)self;
	(void)arg;
	host_memcpy(buf, &cap, sizeof(cap));
	return 0;
}

static long has_attr(void *self, u64 arg, void *buf)
{
	const struct kvm_device_attr *a = buf;

	(void)self;
	(void)arg;
	return a->group || a->attr != KVM_X86_XCOMP_GUEST_SUPP ? -ENXIO : 0;
}

static long get_attr(void *self, u64 arg, void *buf)
{
	const struct kvm_device_attr *a = buf;
	long r = has_attr(self, arg, buf);
	u64 xcr0 = xsave_supported();

	return r ? r : host_copy_to_user(a->addr, &xcr0, sizeof(xcr0));
}

static const struct api_op ops[] = {
	{ KVM_GET_API_VERSION, 0, get_api_version },
	{ KVM_CREATE_VM, 0, create_vm },
	{ KVM_CHECK_EXTENSION, 0, check_extension },
	{ KVM_GET_VCPU_MMAP_SIZE, 0, get_mmap_size },
	{ KVM_GET_MSR_INDEX_LIST, 0, get_msr_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, 0, get_feature_list },
	{ KVM_GET_MSRS, 0, get_msrs },
	{ KVM_GET_SUPPORTED_CPUID, 0, api_get_supported_cpuid },
	{ KVM_GET_EMULATED_CPUID, 0, api_get_emulated_cpuid },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, API_OUT, get_mce_cap },
	{ KVM_HAS_DEVICE_ATTR, API_IN, has_attr },
	{ KVM_GET_DEVICE_ATTR, API_IN, get_attr },
	{ 0, 0, NULL },
};

long api_system(u32 request, u64 arg)
{
	return api_dispatch(ops, NULL, request, arg, -EINVAL);
}
