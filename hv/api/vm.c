/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls of a VM descriptor (KVM API section 4: "Type: vm ioctl").
 */
#include <errno.h>

#include "api.h"

#define MIN_MMU_PAGES 64
#define HIGHEST_TSS_ADDR 0xffffd000u	/* three pages below 4 GiB */

/* Every handler has the same form; most need but one of its arguments. */
#define HANDLER(name) static long name(void *self, u64 arg, void *buf)
#define UNUSED(x) ((void)(x))

HANDLER(check_extension)
{
	UNUSED(self);
	UNUSED(buf);
	return api_check_extension(arg);
}

HANDLER(enable_cap)
{
	UNUSED(arg);
	return api_vm_enable_cap(self, buf);
}

HANDLER(create_vcpu)
{
	struct vm *vm = self;
	struct vcpu *v;
	int r;

	UNUSED(buf);
	r = vm_create_vcpu(vm, (u32)arg, &v);
	if (r)
		return r;
	r = api_install(v->fd, API_VCPU, v);
	if (r) {
		/* The vCPU stays, out of reach, as it does when its descriptor is closed. */
		host_close(v->fd);
		vm_put(vm);
		return r;
	}
	return v->fd;
}

/* --- memory ----------------------------------------------------------------------- */

HANDLER(set_memory_region)
{
	UNUSED(arg);
	return vm_set_memory_region(self, buf);
}

HANDLER(get_dirty_log)
{
	UNUSED(arg);
	return vm_get_dirty_log(self, buf);
}

HANDLER(clear_dirty_log)
{
	UNUSED(arg);
	return vm_clear_dirty_log(self, buf);
}

HANDLER(reset_dirty_rings)
{
	UNUSED(arg);
	UNUSED(buf);
	return dirty_rings_reset(self);
}

HANDLER(register_coalesced)
{
	UNUSED(arg);
	return coalesced_register(self, buf);
}

HANDLER(unregister_coalesced)
{
	UNUSED(arg);
	return coalesced_unregister(self, buf);
}

HANDLER(set_msr_filter)
{
	UNUSED(arg);
	return msr_filter_set(self, buf);
}

HANDLER(set_tss_addr)
{
	struct vm *vm = self;

	UNUSED(buf);
	if (arg > HIGHEST_TSS_ADDR)
		return -EINVAL;
	vm->tss_addr = arg;
	return 0;
}

HANDLER(set_identity_map_addr)
{
	struct vm *vm = self;
	long r = -EINVAL;

	host_mutex_lock(&vm->lock);
	if (!vm->vcpu_count) {
		r = host_copy_from_user(buf, arg, sizeof(u64));
		if (!r)
			host_memcpy(&vm->identity_map_addr, buf, sizeof(u64));
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

HANDLER(set_nr_mmu_pages)
{
	struct vm *vm = self;

	UNUSED(buf);
	if (arg < MIN_MMU_PAGES)
		return -EINVAL;
	vm->nr_mmu_pages = arg;
	return 0;
}

HANDLER(get_nr_mmu_pages)
{
	UNUSED(arg);
	UNUSED(buf);
	return (int)((struct vm *)self)->nr_mmu_pages;	/* as the kernel cuts it */
}

/* --- interrupts -------------------------------------------------------------------- */

HANDLER(create_irqchip)
{
	struct vm *vm = self;
	long r = vm_start_poller(vm);

	UNUSED(arg);
	UNUSED(buf);
	if (r)
		return r;
	host_mutex_lock(&vm->lock);
	r = irqchip_create(vm);
	host_mutex_unlock(&vm->lock);
	return r;
}

HANDLER(get_irqchip)
{
	UNUSED(arg);
	return irqchip_get(self, buf);
}

HANDLER(set_irqchip)
{
	UNUSED(arg);
	return irqchip_set(self, buf);
}

HANDLER(create_pit2)
{
	struct vm *vm = self;
	long r = vm_start_poller(vm);

	UNUSED(arg);
	if (r)
		return r;
	host_mutex_lock(&vm->lock);
	r = pit_create(vm, buf);
	host_mutex_unlock(&vm->lock);
	return r;
}

HANDLER(create_pit)
{
	struct kvm_pit_config *cfg = buf;

	host_memset(cfg, 0, sizeof(*cfg));
	cfg->flags = KVM_PIT_SPEAKER_DUMMY;
	return create_pit2(self, arg, buf);
}

HANDLER(get_pit2)
{
	struct vm *vm = self;

	UNUSED(arg);
	if (!vm->pit)
		return -ENXIO;
	host_memset(buf, 0, sizeof(struct kvm_pit_state2));
	pit_get(vm->pit, buf);
	return 0;
}

HANDLER(set_pit2)
{
	struct vm *vm = self;

	UNUSED(arg);
	return vm->pit ? pit_set(vm->pit, buf) : -ENXIO;
}

/* The older structure is the newer one without its flags. */
HANDLER(get_pit)
{
	struct vm *vm = self;
	struct kvm_pit_state2 s;

	UNUSED(arg);
	if (!vm->pit)
		return -ENXIO;
	pit_get(vm->pit, &s);
	host_memcpy(buf, s.channels, sizeof(struct kvm_pit_state));
	return 0;
}

HANDLER(set_pit)
{
	struct vm *vm = self;
	struct kvm_pit_state2 s;

	UNUSED(arg);
	if (!vm->pit)
		return -ENXIO;
	pit_get(vm->pit, &s);
	host_memcpy(s.channels, buf, sizeof(struct kvm_pit_state));
	return pit_set(vm->pit, &s);
}

HANDLER(reinject_control)
{
	const struct kvm_reinject_control *c = buf;
	struct vm *vm = self;

	UNUSED(arg);
	if (!vm->pit)
		return -ENXIO;
	pit_set_reinject(vm->pit, c->pit_reinject);
	return 0;
}

HANDLER(irq_line)
{
	struct kvm_irq_level *l = buf;
	struct vm *vm = self;

	UNUSED(arg);
	if (!vm->irqchip && !vm->split_irqchip)
		return -ENXIO;
	l->status = irq_set_gsi(vm, l->irq, (int)l->level);
	return 0;
}

HANDLER(signal_msi)
{
	const struct kvm_msi *m = buf;
	struct vm *vm = self;

	UNUSED(arg);
	if ((!vm->irqchip && !vm->split_irqchip) || m->flags)
		return -EINVAL;
	return irq_send_msi(vm, m);
}

HANDLER(set_gsi_routing)
{
	struct kvm_irq_routing_entry *e = NULL;
	struct kvm_irq_routing head;
	struct vm *vm = self;
	long r = 0;

	UNUSED(buf);
	if (host_copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (!vm->irqchip && !vm->split_irqchip)
		return -EINVAL;
	if (head.nr > VM_MAX_GSI || head.flags)
		return -EINVAL;
	if (head.nr) {
		e = host_zalloc(head.nr * sizeof(*e));
		if (!e)
			return -ENOMEM;
		r = host_copy_from_user(e, arg + sizeof(head), head.nr * sizeof(*e));
	}
	if (!r)
		r = routing_set(vm, e, head.nr);
	host_free(e);
	return r;
}

HANDLER(irqfd)
{
	long r = vm_start_poller(self);

	UNUSED(arg);
	return r ? r : irqfd_assign(self, buf);
}

HANDLER(ioeventfd)
{
	UNUSED(arg);
	return ioeventfd_assign(self, buf);
}

HANDLER(set_boot_cpu_id)
{
	struct vm *vm = self;
	long r = -EBUSY;

	UNUSED(buf);
	host_mutex_lock(&vm->lock);
	if (!vm->vcpu_count) {
		vm->boot_cpu_id = (u32)arg;
		r = 0;
	}
	host_mutex_unlock(&vm->lock);
	return r;
}

/* --- time --------------------------------------------------------------------------- */

HANDLER(get_clock)
{
	UNUSED(arg);
	pvclock_get(self, buf);
	return 0;
}

HANDLER(set_clock)
{
	UNUSED(arg);
	return pvclock_set_data(self, buf);
}

HANDLER(set_tsc_khz)
{
	struct vm *vm = self;

	UNUSED(buf);
	if (!tsc_khz_valid((u32)arg))
		return -EINVAL;
	vm->tsc_khz = (u32)arg;
	return 0;
}

HANDLER(get_tsc_khz)
{
	struct vm *vm = self;

	UNUSED(arg);
	UNUSED(buf);
	return vm->tsc_khz ? vm->tsc_khz : host_tsc_khz();
}

HANDLER(get_stats_fd)
{
	UNUSED(arg);
	UNUSED(buf);
	return stats_open_vm(self);
}

/* --- what there is none of ------------------------------------------------------------- */

HANDLER(create_device)
{
	UNUSED(self);
	UNUSED(arg);
	UNUSED(buf);
	return -ENODEV;
}


static const struct api_op ops[] = {
	{ KVM_IRQ_LINE_STATUS, API_IN | API_OUT, irq_line },
	{ KVM_IRQ_LINE, API_IN, irq_line },
	{ KVM_SIGNAL_MSI, API_IN, signal_msi },
	{ KVM_SET_USER_MEMORY_REGION, API_IN, set_memory_region },
	{ KVM_GET_DIRTY_LOG, API_IN, get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, API_IN, clear_dirty_log },
	{ KVM_CREATE_VCPU, 0, create_vcpu },
	{ KVM_CHECK_EXTENSION, 0, check_extension },
	{ KVM_ENABLE_CAP, API_IN, enable_cap },
	{ KVM_REGISTER_COALESCED_MMIO, API_IN, register_coalesced },
	{ KVM_UNREGISTER_COALESCED_MMIO, API_IN, unregister_coalesced },
	{ KVM_SET_TSS_ADDR, 0, set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, 0, set_identity_map_addr },
	{ KVM_SET_NR_MMU_PAGES, 0, set_nr_mmu_pages },
	{ KVM_GET_NR_MMU_PAGES, 0, get_nr_mmu_pages },
	{ KVM_CREATE_IRQCHIP, 0, create_irqchip },
	{ KVM_GET_IRQCHIP, API_IN | API_OUT, get_irqchip },
	{ KVM_SET_IRQCHIP, API_IN, set_irqchip },
	{ KVM_CREATE_PIT, 0, create_pit },
	{ KVM_CREATE_PIT2, API_IN, create_pit2 },
	{ KVM_GET_PIT, API_IN | API_OUT, get_pit },
	{ KVM_SET_PIT, API_IN, set_pit },
	{ KVM_GET_PIT2, API_OUT, get_pit2 },
	{ KVM_SET_PIT2, API_IN, set_pit2 },
	{ KVM_REINJECT_CONTROL, API_IN, reinject_control },
	{ KVM_SET_GSI_ROUTING, 0, set_gsi_routing },
	{ KVM_IRQFD, API_IN, irqfd },
	{ KVM_IOEVENTFD, API_IN, ioeventfd },
	{ KVM_SET_BOOT_CPU_ID, 0, set_boot_cpu_id },
	{ KVM_GET_CLOCK, API_OUT, get_clock },
	{ KVM_SET_CLOCK, API_IN, set_clock },
	{ KVM_SET_TSC_KHZ, 0, set_tsc_khz },
	{ KVM_GET_TSC_KHZ, 0, get_tsc_khz },
	{ KVM_X86_SET_MSR_FILTER, API_IN, set_msr_filter },
	{ KVM_GET_STATS_FD, 0, get_stats_fd },
	{ KVM_CREATE_DEVICE, API_IN, create_device },
	{ KVM_RESET_DIRTY_RINGS, 0, reset_dirty_rings },
	{ 0, 0, NULL },
};

long api_vm(struct vm *vm, u32 request, u64 arg)
{
	return api_dispatch(ops, vm, request, arg, -ENOTTY);
}
