/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM's life, its vCPUs, and requests to all of them.
 *
 * As in the kernel a vCPU lives as long as its VM: closing its descriptor only
 * gives up the reference that it holds.
 */
#include <errno.h>

#include "../cpu/state.h"
#include "../irq/irq.h"

struct vm *vm_create(int *err)
{
	struct vm *vm = host_zalloc(sizeof(*vm));
	int r = -ENOMEM;

	if (err)
		*err = r;
	if (!vm)
		return NULL;
	vm->fd = -1;
	vm->refs = 1;
	vm->engine = &soft_engine;
	vm->vcpus = host_map(VM_MAX_VCPUS * sizeof(*vm->vcpus));
	if (vm->vcpus)
		r = vm->engine->vm_init(vm);
	if (!r) {
		pvclock_set(vm, 0);
		return vm;
	}
	if (err)
		*err = r;
	host_unmap(vm->vcpus, VM_MAX_VCPUS * sizeof(*vm->vcpus));
	host_free(vm);
	return NULL;
}

void vm_get(struct vm *vm)
{
	__atomic_fetch_add(&vm->refs, 1, __ATOMIC_RELAXED);
}

/* Bytes of a vCPU descriptor's memory. */
static u64 run_size(const struct vm *vm)
{
	if (!vm->dirty_ring_size)
		return VM_RUN_PAGES * PAGE_SIZE;
	return KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE + vm->dirty_ring_size;
}

static void vcpu_destroy(struct vcpu *v)
{
	if (v->lapic)
		lapic_destroy(v);
	host_unmap(v->run, run_size(v->vm));
	host_free(v->dirty_ring);
	host_free(v->cpuid);
	stats_close(v->stats);
	v->vm->engine->vcpu_free(v);
}

/* Whatever may still call back goes first, then what it calls. */
static void vm_destroy(struct vm *vm)
{
	u32 i;

	irqfds_destroy(vm);
	if (vm->pit)
		pit_destroy(vm->pit);
	vm->pit = NULL;
	irqchip_destroy(vm);
	for (i = 0; i < vm->vcpu_count; i++)
		vcpu_destroy(vm->vcpus[i]);
	vm->vcpu_count = 0;
	ioeventfds_destroy(vm);
	coalesced_destroy(vm);
	host_poller_stop(vm->poller);
	vm_free_slots(vm);
	msr_filter_free(vm);
	stats_close(vm->stats);
	vm->engine->vm_destroy(vm);
	host_unmap(vm->vcpus, VM_MAX_VCPUS * sizeof(*vm->vcpus));
	host_free(vm);
}

void vm_put(struct vm *vm)
{
	if (__atomic_sub_fetch(&vm->refs, 1, __ATOMIC_ACQ_REL) == 0)
		vm_destroy(vm);
}

int vm_start_poller(struct vm *vm)
{
	int r = 0;

	host_mutex_lock(&vm->lock);
	if (!vm->poller) {
		struct host_poller *p = host_poller_start("anykvm-events");

		if (p)
			__atomic_store_n(&vm->poller, p, __ATOMIC_RELEASE);
		else
			r = -ENOMEM;
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

/* --- vCPUs ---------------------------------------------------------------------- */

struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id)
{
	u32 i, n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	/* Nearly always they are numbered in order. */
	if (id < n && vm->vcpus[id]->id == id)
		return vm->vcpus[id];
	for (i = 0; i < n; i++)
		if (vm->vcpus[i]->id == id)
			return vm->vcpus[i];
	return NULL;
}

static int map_run(struct vcpu *v)
{
	u64 size = run_size(v->vm);

	v->fd = host_memfd("kvm-vcpu", size);
	if (v->fd < 0)
		return v->fd;
	v->run = host_map_fd(v->fd, size);
	if (!v->run) {
		host_close(v->fd);
		return -ENOMEM;
	}
	v->pio_data = (u8 *)v->run + KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return 0;
}

static int vcpu_init(struct vm *vm, struct vcpu *v, u32 id)
{
	int r;

	v->vm = vm;
	v->id = id;
	v->index = vm->vcpu_count;
	r = map_run(v);
	if (r)
		return r;
	if (vm->dirty_ring_size)
		r = dirty_ring_create(v, (u8 *)v->run + KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
	if (!r && (vm->irqchip || vm->split_irqchip))
		r = lapic_create(v);
	if (r) {
		host_free(v->dirty_ring);
		host_close(v->fd);
		host_unmap(v->run, run_size(vm));
		return r;
	}
	v->mp_state = v->lapic && id != vm->boot_cpu_id ? KVM_MP_STATE_UNINITIALIZED :
							  KVM_MP_STATE_RUNNABLE;
	vcpu_power_up(v);
	return 0;
}

static int create_locked(struct vm *vm, u32 id, struct vcpu **out)
{
	struct vcpu *v;
	int r;

	if (vm->vcpu_count >= VM_MAX_VCPUS || (vm->max_vcpu_id && id >= vm->max_vcpu_id))
		return -EINVAL;
	if (vm_vcpu_by_id(vm, id))
		return -EEXIST;
	if (!vm->max_vcpu_id)
		vm->max_vcpu_id = VM_MAX_VCPU_ID;
	v = vm->engine->vcpu_alloc(vm);
	if (!v)
		return -ENOMEM;
	r = vcpu_init(vm, v, id);
	if (r) {
		vm->engine->vcpu_free(v);
		return r;
	}
	vm_get(vm);
	__atomic_store_n(&vm->vcpus[v->index], v, __ATOMIC_RELEASE);
	__atomic_store_n(&vm->vcpu_count, v->index + 1, __ATOMIC_RELEASE);
	*out = v;
	return 0;
}

int vm_create_vcpu(struct vm *vm, u32 id, struct vcpu **out)
{
	int r;

	if (id >= VM_MAX_VCPU_ID)
		return -EINVAL;
	host_mutex_lock(&vm->lock);
	r = create_locked(vm, id, out);
	host_mutex_unlock(&vm->lock);
	return r;
}

/* --- requests ------------------------------------------------------------------- */

void vm_request_all(struct vm *vm, u32 bits)
{
	u32 i, n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	if (bits & REQ_TLB_FLUSH) {
		__atomic_fetch_add(&vm->flush_requests, 1, __ATOMIC_RELAXED);
		stats_update_vm(vm);
	}
	for (i = 0; i < n; i++)
		vcpu_request(vm->vcpus[i], bits);
}

/* True while v may still be using what it saw before the request. */
static bool unaware(struct vcpu *v, u32 bits)
{
	return __atomic_load_n(&v->running, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&v->request, __ATOMIC_SEQ_CST) & bits;
}

/*
 * self holds on to nothing of the old view: it counts as outside meanwhile, so
 * that two vCPUs that wait for each other do not wait for ever.
 */
void vm_request_sync(struct vm *vm, u32 bits, struct vcpu *self)
{
	u32 i, spins, n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE), inside = 0;

	if (self)
		inside = __atomic_exchange_n(&self->running, 0, __ATOMIC_SEQ_CST);
	vm_request_all(vm, bits);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < n; i++) {
		struct vcpu *v = vm->vcpus[i];

		if (v == self)
			continue;
		for (spins = 0; unaware(v, bits); spins++) {
			if (spins < 1000)
				host_cpu_relax();
			else
				host_yield();
		}
	}
	if (self)
		__atomic_store_n(&self->running, inside, __ATOMIC_SEQ_CST);
}
