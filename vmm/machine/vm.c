/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM's ioctls behind vm.h (Documentation/virt/kvm/api.rst). KVM takes the
 * routing of all interrupts at once, so the table is kept here and given to it
 * again with each change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/anykvm.h"
#include "vm.h"

#define ISA_IRQS 16
#define PIT_PIN 2		/* the IOAPIC pin of IRQ 0; the MADT tells */
#define PIC_CASCADE 2
#define ROUTES_MAX (ISA_IRQS + VM_IRQCHIP_GSIS + VM_MSI_GSIS)

int vm_open(struct vm *vm, const struct kvm *kvm)
{
	memset(vm, 0, sizeof(*vm));
	vm->kvm = kvm;
	pthread_mutex_init(&vm->lock, NULL);
	vm->routing = calloc(1, sizeof(*vm->routing) +
			     ROUTES_MAX * sizeof(vm->routing->entries[0]));
	vm->fd = vm->routing ? kvm_ioctl(kvm, kvm->fd, KVM_CREATE_VM, 0) : -ENOMEM;
	return vm->fd < 0 ? vm->fd : 0;
}

int vm_code_cache(struct vm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = ANYKVM_CAP_CODE_CACHE,
		.args[0] = vm->kvm->code_cache,
	};
	int err;

	/* The kernel's KVM has none, and needs none. */
	if (!vm->kvm->code_cache || !kvm_check_extension(vm->kvm, vm->fd, ANYKVM_CAP_CODE_CACHE))
		return 0;
	err = kvm_ioctl(vm->kvm, vm->fd, KVM_ENABLE_CAP, &cap);
	return err < 0 ? err : 0;
}

void vm_close(struct vm *vm)
{
	if (vm->fd >= 0)
		kvm_close_fd(vm->kvm, vm->fd);
	vm->fd = -1;
	free(vm->routing);
	vm->routing = NULL;
}

/* --- interrupts ------------------------------------------------------------ */

static void add_route(struct vm *vm, u32 gsi, u32 chip, u32 pin)
{
	vm->routing->entries[vm->routing->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static int set_routing(struct vm *vm)
{
	return kvm_ioctl(vm->kvm, vm->fd, KVM_SET_GSI_ROUTING, vm->routing);
}

int vm_route_lines(struct vm *vm)
{
	u32 i;
	int err;

	pthread_mutex_lock(&vm->lock);
	vm->routing->nr = 0;
	for (i = 0; i < ISA_IRQS; i++)
		if (i != PIC_CASCADE)
			add_route(vm, i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				  i & 7);
	for (i = 0; i < VM_IRQCHIP_GSIS; i++)
		if (i != PIT_PIN)
			add_route(vm, i, KVM_IRQCHIP_IOAPIC, i == 0 ? PIT_PIN : i);
	err = set_routing(vm);
	pthread_mutex_unlock(&vm->lock);
	return err < 0 ? err : 0;
}

void vm_line(void *ctx, unsigned int gsi, bool level)
{
	struct vm *vm = ctx;
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	kvm_ioctl(vm->kvm, vm->fd, KVM_IRQ_LINE, &irq);
}

int vm_msi(struct vm *vm, u64 addr, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = (u32)addr,
		.address_hi = (u32)(addr >> 32),
		.data = data,
	};
	int err = kvm_ioctl(vm->kvm, vm->fd, KVM_SIGNAL_MSI, &msi);

	return err < 0 ? err : 0;
}

static struct kvm_irq_routing_entry *find_route(struct vm *vm, int gsi)
{
	u32 i;

	for (i = 0; i < vm->routing->nr; i++)
		if (vm->routing->entries[i].gsi == (u32)gsi &&
		    vm->routing->entries[i].type == KVM_IRQ_ROUTING_MSI)
			return &vm->routing->entries[i];
	return NULL;
}

int vm_msi_gsi(struct vm *vm)
{
	int gsi, last = VM_IRQCHIP_GSIS + VM_MSI_GSIS;

	pthread_mutex_lock(&vm->lock);
	for (gsi = VM_IRQCHIP_GSIS; gsi < last && find_route(vm, gsi); gsi++)
		;
	if (gsi < last)
		vm->routing->entries[vm->routing->nr++] = (struct kvm_irq_routing_entry){
			.gsi = (u32)gsi,
			.type = KVM_IRQ_ROUTING_MSI,
		};
	pthread_mutex_unlock(&vm->lock);
	return gsi < last ? gsi : -ENOSPC;
}

int vm_msi_gsi_set(struct vm *vm, int gsi, u64 addr, u32 data)
{
	struct kvm_irq_routing_entry *e;
	int err = -ENOENT;

	pthread_mutex_lock(&vm->lock);
	e = find_route(vm, gsi);
	if (e) {
		e->u.msi.address_lo = (u32)addr;
		e->u.msi.address_hi = (u32)(addr >> 32);
		e->u.msi.data = data;
		err = set_routing(vm);
	}
	pthread_mutex_unlock(&vm->lock);
	return err < 0 ? err : 0;
}

void vm_msi_gsi_free(struct vm *vm, int gsi)
{
	struct kvm_irq_routing_entry *e;

	pthread_mutex_lock(&vm->lock);
	e = find_route(vm, gsi);
	if (e) {
		*e = vm->routing->entries[--vm->routing->nr];
		set_routing(vm);
	}
	pthread_mutex_unlock(&vm->lock);
}

int vm_irqfd(struct vm *vm, int gsi, int fd, int resample, bool on)
{
	struct kvm_irqfd f = {
		.fd = (u32)fd,
		.gsi = (u32)gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int err;

	if (on && resample >= 0) {
		f.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		f.resamplefd = (u32)resample;
	}
	err = kvm_ioctl(vm->kvm, vm->fd, KVM_IRQFD, &f);
	return err < 0 ? err : 0;
}

void vm_pit_off(struct vm *vm, bool off)
{
	struct kvm_pit_state2 s;

	if (kvm_ioctl(vm->kvm, vm->fd, KVM_GET_PIT2, &s) < 0)
		return;
	if (off)
		s.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	else
		s.flags &= ~(u32)KVM_PIT_FLAGS_HPET_LEGACY;
	kvm_ioctl(vm->kvm, vm->fd, KVM_SET_PIT2, &s);
}

/* --- memory ------------------------------------------------------------------ */

static int slot_take(struct vm *vm)
{
	int slot;

	pthread_mutex_lock(&vm->lock);
	for (slot = 0; slot < VM_SLOTS_MAX && vm->slots[slot / 64] >> (slot % 64) & 1; slot++)
		;
	if (slot < VM_SLOTS_MAX)
		vm->slots[slot / 64] |= 1ULL << (slot % 64);
	pthread_mutex_unlock(&vm->lock);
	return slot < VM_SLOTS_MAX ? slot : -ENOSPC;
}

static void slot_release(struct vm *vm, int slot)
{
	pthread_mutex_lock(&vm->lock);
	vm->slots[slot / 64] &= ~(1ULL << (slot % 64));
	pthread_mutex_unlock(&vm->lock);
}

int vm_map(struct vm *vm, u64 gpa, u64 size, void *host, unsigned int flags)
{
	struct kvm_userspace_memory_region r = {
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
		.flags = (flags & VM_MAP_READONLY ? KVM_MEM_READONLY : 0) |
			 (flags & VM_MAP_LOG ? KVM_MEM_LOG_DIRTY_PAGES : 0),
	};
	int slot = slot_take(vm), err;

	if (slot < 0)
		return slot;
	r.slot = (u32)slot;
	err = kvm_ioctl(vm->kvm, vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
	if (err < 0)
		slot_release(vm, slot);
	return err < 0 ? err : slot;
}

void vm_unmap(struct vm *vm, int slot)
{
	struct kvm_userspace_memory_region r = { .slot = (u32)slot };

	if (slot < 0)
		return;
	kvm_ioctl(vm->kvm, vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
	slot_release(vm, slot);
}

int vm_dirty_log(struct vm *vm, int slot, u64 *bitmap)
{
	struct kvm_dirty_log log = { .slot = (u32)slot, .dirty_bitmap = bitmap };
	int err = kvm_ioctl(vm->kvm, vm->fd, KVM_GET_DIRTY_LOG, &log);

	return err < 0 ? err : 0;
}

/* --- doorbells ----------------------------------------------------------------- */

int vm_doorbell(struct vm *vm, const struct vm_doorbell *d, bool on)
{
	struct kvm_ioeventfd e = {
		.datamatch = d->match,
		.addr = d->addr,
		.len = d->size,
		.fd = d->fd,
		.flags = (d->matched ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
			 (d->port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};
	int err = kvm_ioctl(vm->kvm, vm->fd, KVM_IOEVENTFD, &e);

	return err < 0 ? err : 0;
}
