/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coalesced MMIO and port I/O: writes to registered zones are put into a ring
 * that user space empties when it next comes by (KVM API, capability
 * KVM_CAP_COALESCED_MMIO; struct kvm_coalesced_mmio_ring).
 *
 * In the kernel all vCPU mappings show one ring. A page of one memory file
 * cannot be a page of another, so the VM's ring is the one in the memory of
 * the vCPU created first; those of the others stay empty.
 */
#include <errno.h>

#include "vm.h"

#define MAX_ZONES 1000		/* the kernel's limit of devices on a bus */

struct coalesced {
	struct host_mutex lock;
	u32 count;		/* read without the lock to see that there is none */
	struct kvm_coalesced_mmio_zone zone[MAX_ZONES];
};

static bool inside(const struct kvm_coalesced_mmio_zone *z, u64 addr, u64 size)
{
	return addr + size >= addr && addr >= z->addr && addr + size <= z->addr + z->size;
}

/* Under vm->lock. */
static struct coalesced *get(struct vm *vm)
{
	struct coalesced *c = vm->coalesced;

	if (!c) {
		c = host_zalloc(sizeof(*c));
		__atomic_store_n(&vm->coalesced, c, __ATOMIC_RELEASE);
	}
	return c;
}

int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *z)
{
	struct coalesced *c;
	int r = 0;

	if (z->pio > 1)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	c = get(vm);
	if (!c) {
		host_mutex_unlock(&vm->lock);
		return -ENOMEM;
	}
	host_mutex_lock(&c->lock);
	if (c->count == MAX_ZONES)
		r = -ENOSPC;
	else
		c->zone[c->count++] = *z;
	host_mutex_unlock(&c->lock);
	host_mutex_unlock(&vm->lock);
	return r;
}

/* Takes away every zone that contains z. */
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *z)
{
	struct coalesced *c = __atomic_load_n(&vm->coalesced, __ATOMIC_ACQUIRE);
	u32 i = 0;

	if (z->pio > 1)
		return -EINVAL;
	if (!c)
		return 0;
	host_mutex_lock(&c->lock);
	while (i < c->count) {
		if (c->zone[i].pio == z->pio && inside(&c->zone[i], z->addr, z->size))
			c->zone[i] = c->zone[--c->count];
		else
			i++;
	}
	host_mutex_unlock(&c->lock);
	return 0;
}

void coalesced_destroy(struct vm *vm)
{
	host_free(vm->coalesced);
	vm->coalesced = NULL;
}

static bool in_zone(struct coalesced *c, bool pio, u64 addr, u32 size)
{
	u32 i;

	for (i = 0; i < c->count; i++)
		if (c->zone[i].pio == pio && inside(&c->zone[i], addr, size))
			return true;
	return false;
}

/* The ring is user space's memory: its indices are anything. */
static bool put(struct kvm_coalesced_mmio_ring *ring, bool pio, u64 addr, u32 size,
		const void *data)
{
	u32 last = __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
	u32 first = __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE);
	struct kvm_coalesced_mmio *e;

	if (last >= KVM_COALESCED_MMIO_MAX || (last + 1) % KVM_COALESCED_MMIO_MAX == first)
		return false;
	e = &ring->coalesced_mmio[last];
	e->phys_addr = addr;
	e->len = size;
	e->pio = pio;
	host_memcpy(e->data, data, size);
	__atomic_store_n(&ring->last, (last + 1) % KVM_COALESCED_MMIO_MAX, __ATOMIC_RELEASE);
	return true;
}

bool coalesced_write(struct vm *vm, bool pio, u64 addr, u32 size, const void *data)
{
	struct coalesced *c = __atomic_load_n(&vm->coalesced, __ATOMIC_ACQUIRE);
	struct vcpu *first;
	bool done = false;

	if (!c || !__atomic_load_n(&c->count, __ATOMIC_RELAXED) || size > 8)
		return false;
	first = __atomic_load_n(&vm->vcpus[0], __ATOMIC_ACQUIRE);
	if (!first)
		return false;
	host_mutex_lock(&c->lock);
	if (in_zone(c, pio, addr, size))
		done = put((void *)((u8 *)first->run + KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE_SIZE),
			   pio, addr, size, data);
	host_mutex_unlock(&c->lock);
	return done;
}
