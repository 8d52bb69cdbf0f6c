/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmap of a vCPU's descriptor as the kernel does it, for those who can hand
 * the call to us. The memory file by itself maps as any file does, which
 * differs in two points: a file's page cannot be another file's, so each vCPU
 * has a coalesced ring of its own, of which only the first one's is used; and
 * it may be mapped in any way.
 */
#include <anykvm.h>
#include <errno.h>

#include "api.h"

#define FAILED ((void *)-1)

static bool in_ring(const struct vm *vm, u64 page)
{
	return page - KVM_DIRTY_LOG_PAGE_OFFSET < vm->dirty_ring_size / PAGE_SIZE;
}

static bool refused(const struct vm *vm, u64 first, u64 pages, int prot, int flags)
{
	return (in_ring(vm, first) || in_ring(vm, first + pages - 1)) &&
	       (prot & HOST_PROT_EXEC || !(flags & HOST_MAP_SHARED));
}

/* Puts the VM's coalesced ring where that of v would be. */
static void share_coalesced(struct vcpu *v, u64 at, u64 first, u64 pages, int prot)
{
	struct vcpu *from = __atomic_load_n(&v->vm->vcpus[0], __ATOMIC_ACQUIRE);
	u64 skip = KVM_COALESCED_MMIO_PAGE_OFFSET - first;

	if (from == v || first > KVM_COALESCED_MMIO_PAGE_OFFSET || skip >= pages)
		return;
	/* Where it fails the ring is the vCPU's own, which stays empty. */
	host_map_alias(at + skip * PAGE_SIZE,
		       (u8 *)from->run + KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE_SIZE,
		       PAGE_SIZE, prot);
}

static long map(struct api_object *o, u64 addr, u64 length, int prot, int flags, int fd, u64 offset)
{
	u64 first = offset / PAGE_SIZE, pages = ALIGN_UP(length, PAGE_SIZE) / PAGE_SIZE;
	struct vcpu *v = o && o->kind == API_VCPU ? o->ptr : NULL;
	long at;

	if (v && pages && refused(v->vm, first, pages, prot, flags))
		return -EINVAL;
	at = host_mmap(addr, length, prot, flags, fd, offset);
	if (v && at > 0 && flags & HOST_MAP_SHARED && o->forks == host_fork_count())
		share_coalesced(v, (u64)at, first, pages, prot);
	return at;
}

void *anykvm_mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)
{
	struct api_object *o = api_get(fd, false);
	long r = map(o, (u64)addr, length, prot, flags, fd, (u64)offset);

	if (o)
		api_put(o);
	if (r >= 0 || r < -4095)
		return (void *)r;
	host_set_errno((int)-r);
	return FAILED;
}
