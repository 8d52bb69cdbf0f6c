/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * irqfd: an eventfd whose signal drives a GSI, without the VMM's thread.
 *
 * Specification: virt/kvm/api.rst, KVM_IRQFD. A plain irqfd is an edge. With
 * KVM_IRQFD_FLAG_RESAMPLE the line stays asserted until the guest ends the
 * interrupt, then it falls and the resample eventfd is signalled.
 *
 * The list is read under vm->irq_lock, and changed under irqfds.change too.
 * The descriptors are copies of ours, so what the caller does to his numbers
 * does not matter; an irqfd whose eventfd he closes without
 * KVM_IRQFD_FLAG_DEASSIGN lives until the VM ends.
 */
#include "internal.h"

struct irqfd {
	struct irqfd *next;
	struct vm *vm;
	int fd;
	int resample_fd;	/* -1: none */
	u32 gsi;
};

struct irqfds {
	struct host_mutex change;	/* assigning and deassigning, one at a time */
	struct irqfd *first;
};

/* On the poller's thread. */
static void signalled(void *arg)
{
	struct irqfd *f = arg;

	if (!host_eventfd_take(f->fd))
		return;
	if (f->resample_fd < 0)
		irq_pulse(f->vm, IRQ_SOURCE_USER, f->gsi);
	else
		irq_drive(f->vm, IRQ_SOURCE_RESAMPLE, f->gsi, 1);
}

bool irqfd_resamples(struct vm *vm, u32 gsi)
{
	struct irqfd *f;

	for (f = vm->irqfds ? vm->irqfds->first : NULL; f; f = f->next)
		if (f->resample_fd >= 0 && f->gsi == gsi)
			return true;
	return false;
}

void irqfd_notify_eoi(struct vm *vm, u32 gsi)
{
	struct irqfd *f;

	if (!irqfd_resamples(vm, gsi))
		return;
	/* Once for all of them, before any of them may assert it again. */
	irq_drive_locked(vm, IRQ_SOURCE_RESAMPLE, gsi, 0);
	for (f = vm->irqfds->first; f; f = f->next)
		if (f->resample_fd >= 0 && f->gsi == gsi)
			host_eventfd_signal(f->resample_fd);
}

static void release(struct irqfd *f)
{
	if (f->fd >= 0)
		host_close(f->fd);
	if (f->resample_fd >= 0)
		host_close(f->resample_fd);
	host_free(f);
}

/* Takes the irqfd out of the list. Under irqfds.change, but not vm->irq_lock. */
static void shut_down(struct irqfd *f)
{
	struct vm *vm = f->vm;
	struct irqfd **at;

	host_poller_del(vm->poller, f->fd);
	host_mutex_lock(&vm->irq_lock);
	for (at = &vm->irqfds->first; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	if (f->resample_fd >= 0) {
		if (!irqfd_resamples(vm, f->gsi))
			irq_drive_locked(vm, IRQ_SOURCE_RESAMPLE, f->gsi, 0);
		if (vm->ioapic)
			ioapic_update_watch(vm->ioapic);
	}
	host_mutex_unlock(&vm->irq_lock);
	release(f);
}

static struct irqfds *table(struct vm *vm)
{
	struct irqfds *t = __atomic_load_n(&vm->irqfds, __ATOMIC_SEQ_CST), *none = NULL;

	if (t)
		return t;
	t = host_zalloc(sizeof(*t));
	if (t && !__atomic_compare_exchange_n(&vm->irqfds, &none, t, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST)) {
		host_free(t);
		t = none;
	}
	return t;
}

/* The one of that eventfd: there is no second. Under irqfds.change. */
static struct irqfd *find(struct irqfds *t, int fd)
{
	struct irqfd *f;

	for (f = t->first; f; f = f->next)
		if (host_same_eventfd(f->fd, fd))
			return f;
	return NULL;
}

/* Under irqfds.change. */
static int insert(struct irqfds *t, struct irqfd *f)
{
	struct vm *vm = f->vm;
	int err;

	if (find(t, f->fd))
		return -EBUSY;
	host_mutex_lock(&vm->irq_lock);
	f->next = t->first;
	t->first = f;
	if (vm->ioapic)
		ioapic_update_watch(vm->ioapic);
	host_mutex_unlock(&vm->irq_lock);
	/* One that is readable already rings at once. */
	err = host_poller_add(vm->poller, f->fd, signalled, f);
	if (!err)
		return 0;
	host_mutex_lock(&vm->irq_lock);
	t->first = f->next;
	host_mutex_unlock(&vm->irq_lock);
	return err;
}

static int open_irqfd(struct vm *vm, const struct kvm_irqfd *a, struct irqfd *f)
{
	f->vm = vm;
	f->gsi = a->gsi;
	f->resample_fd = -1;
	f->fd = host_eventfd_copy((int)a->fd);
	if (f->fd < 0)
		return f->fd;
	if (!(a->flags & KVM_IRQFD_FLAG_RESAMPLE))
		return 0;
	f->resample_fd = host_eventfd_copy((int)a->resamplefd);
	return f->resample_fd < 0 ? f->resample_fd : 0;
}

static int assign(struct vm *vm, const struct kvm_irqfd *a)
{
	struct irqfd *f = host_zalloc(sizeof(*f));
	struct irqfds *t = table(vm);
	int err;

	if (!f || !t) {
		host_free(f);
		return -ENOMEM;
	}
	err = open_irqfd(vm, a, f);
	if (!err) {
		host_mutex_lock(&t->change);
		err = insert(t, f);
		host_mutex_unlock(&t->change);
	}
	if (err)
		release(f);
	return err;
}

static int deassign(struct vm *vm, const struct kvm_irqfd *a)
{
	struct irqfds *t = table(vm);
	int fd = host_eventfd_copy((int)a->fd);
	struct irqfd *f;

	if (fd < 0)
		return fd;
	if (t) {
		host_mutex_lock(&t->change);
		f = find(t, fd);
		if (f && f->gsi == a->gsi)
			shut_down(f);
		host_mutex_unlock(&t->change);
	}
	host_close(fd);
	return 0;
}

int irqfd_assign(struct vm *vm, const struct kvm_irqfd *a)
{
	bool resample = a->flags & KVM_IRQFD_FLAG_RESAMPLE;

	if (a->flags & ~(u32)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (a->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(vm, a);
	if (!vm->irqchip && (resample || !vm->split_irqchip))
		return -EINVAL;
	return assign(vm, a);
}

void irqfds_destroy(struct vm *vm)
{
	struct irqfds *t = vm->irqfds;

	if (!t)
		return;
	host_mutex_lock(&t->change);
	while (t->first)
		shut_down(t->first);
	host_mutex_unlock(&t->change);
	vm->irqfds = NULL;
	host_free(t);
}
