/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dirty ring: instead of a bitmap a slot, each vCPU lists the pages it
 * wrote in a ring that user space reads and hands back (KVM API section 8.29,
 * struct kvm_dirty_gfn).
 *
 * A slot's bitmap says here which pages are in some ring. Handing an entry
 * back clears the bit and takes away the vCPUs' right to write to the page
 * unseen, so that its next write is listed again.
 *
 * The last entries of a ring are kept for what a vCPU may still write between
 * the moment when it is called full and its leaving KVM_RUN.
 */
#include <errno.h>

#include "vm.h"

#define RESERVED_ENTRIES 64u

struct dirty_ring {
	struct kvm_dirty_gfn *gfn;
	u32 size, limit;	/* entries: all, and those until it is full */
	u32 pushed;		/* by the vCPU; atomic, counts on and on */
	u32 reset;		/* under vm->lock; atomic */
};

int dirty_ring_enable(struct vm *vm, u64 size)
{
	int r = -EINVAL;

	size = (u32)size;
	if (!size || size & (size - 1) || size < PAGE_SIZE)
		return -EINVAL;
	if (size > DIRTY_RING_MAX)
		return -E2BIG;
	host_mutex_lock(&vm->lock);
	if (!vm->dirty_ring_size && !vm->vcpu_count) {
		vm->dirty_ring_size = (u32)size;
		r = 0;
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

int dirty_ring_create(struct vcpu *v, void *ring)
{
	struct dirty_ring *d = host_zalloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->gfn = ring;
	d->size = v->vm->dirty_ring_size / sizeof(struct kvm_dirty_gfn);
	d->limit = d->size - RESERVED_ENTRIES;
	v->dirty_ring = d;
	return 0;
}

static u32 used(const struct dirty_ring *d)
{
	return __atomic_load_n(&d->pushed, __ATOMIC_RELAXED) -
	       __atomic_load_n(&d->reset, __ATOMIC_ACQUIRE);
}

bool dirty_ring_full(const struct vcpu *v)
{
	return v->dirty_ring && used(v->dirty_ring) >= v->dirty_ring->limit;
}

void dirty_ring_push(struct vcpu *v, const struct memslot *s, u64 page)
{
	struct dirty_ring *d = v->dirty_ring;
	struct kvm_dirty_gfn *e;

	if (!d || used(d) >= d->size)
		return;
	e = &d->gfn[d->pushed & (d->size - 1)];
	e->slot = s->id;
	e->offset = page;
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
	__atomic_store_n(&d->pushed, d->pushed + 1, __ATOMIC_RELEASE);
	if (dirty_ring_full(v))
		vcpu_request(v, REQ_EVENT);
}

/* The entry is user space's memory: its numbers may be anything. */
static void clear(struct vm *vm, u32 id, u64 page)
{
	struct memslot *s = id >> 16 < VM_ADDRESS_SPACES ? vm_slot_by_id(vm, id) : NULL;

	if (s && s->dirty && page < s->npages)
		__atomic_fetch_and(&s->dirty[page / 64], ~BIT64(page % 64), __ATOMIC_SEQ_CST);
}

static u32 reset_ring(struct vm *vm, struct dirty_ring *d)
{
	struct kvm_dirty_gfn *e;
	u32 n = 0;

	while (used(d)) {
		e = &d->gfn[d->reset & (d->size - 1)];
		if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_RESET))
			break;
		clear(vm, __atomic_load_n(&e->slot, __ATOMIC_RELAXED),
		      __atomic_load_n(&e->offset, __ATOMIC_RELAXED));
		__atomic_store_n(&e->flags, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&d->reset, d->reset + 1, __ATOMIC_RELEASE);
		n++;
	}
	return n;
}

long dirty_rings_reset(struct vm *vm)
{
	u32 i, n = 0;

	if (!vm->dirty_ring_size)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	for (i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->dirty_ring)
			n += reset_ring(vm, vm->vcpus[i]->dirty_ring);
	if (n)
		vm_request_sync(vm, REQ_TLB_FLUSH, NULL);
	host_mutex_unlock(&vm->lock);
	return n;
}
