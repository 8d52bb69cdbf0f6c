/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM's interrupt controllers as a whole: KVM_CREATE_IRQCHIP or, for LAPICs
 * alone, KVM_CAP_SPLIT_IRQCHIP; KVM_GET_IRQCHIP and KVM_SET_IRQCHIP for the
 * PICs and the IOAPIC.
 *
 * Specification: virt/kvm/api.rst.
 */
#include "internal.h"

int irqchip_create(struct vm *vm)
{
	int err;

	if (vm->irqchip || vm->split_irqchip)
		return -EEXIST;
	if (__atomic_load_n(&vm->vcpu_count, __ATOMIC_SEQ_CST))
		return -EINVAL;
	vm->pic = pic_create(vm);
	vm->ioapic = ioapic_create(vm);
	err = vm->pic && vm->ioapic ? routing_create(vm) : -ENOMEM;
	if (err) {
		ioapic_destroy(vm->ioapic);
		pic_destroy(vm->pic);
		vm->ioapic = NULL;
		vm->pic = NULL;
		return err;
	}
	__atomic_store_n(&vm->irqchip, true, __ATOMIC_SEQ_CST);
	return 0;
}

int irqchip_create_split(struct vm *vm, u64 pins)
{
	int err;

	if (pins > VM_MAX_GSI)
		return -EINVAL;
	if (vm->irqchip || vm->split_irqchip ||
	    __atomic_load_n(&vm->vcpu_count, __ATOMIC_SEQ_CST))
		return -EEXIST;
	vm->ioapic_pins = (u32)pins;
	err = routing_create_empty(vm);
	if (!err)
		__atomic_store_n(&vm->split_irqchip, true, __ATOMIC_SEQ_CST);
	return err;
}

void irqchip_destroy(struct vm *vm)
{
	irqfds_destroy(vm);
	pit_destroy(vm->pit);
	ioapic_destroy(vm->ioapic);
	pic_destroy(vm->pic);
	routing_destroy(vm);
	host_free(vm->apic_map);
	vm->pit = NULL;
	vm->ioapic = NULL;
	vm->pic = NULL;
	vm->apic_map = NULL;
}

int irqchip_get(struct vm *vm, struct kvm_irqchip *chip)
{
	int ret = 0;

	if (!vm->irqchip)
		return -ENXIO;
	host_mutex_lock(&vm->irq_lock);
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		pic_get_state(vm->pic, 0, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_get_state(vm->pic, 1, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_get_state(vm->ioapic, &chip->chip.ioapic);
		break;
	default:
		ret = -EINVAL;
	}
	host_mutex_unlock(&vm->irq_lock);
	return ret;
}

int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip)
{
	int ret = 0;

	if (!vm->irqchip)
		return -ENXIO;
	host_mutex_lock(&vm->irq_lock);
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		pic_set_state(vm->pic, 0, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_set_state(vm->pic, 1, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_set_state(vm->ioapic, &chip->chip.ioapic);
		break;
	default:
		ret = -EINVAL;
	}
	host_mutex_unlock(&vm->irq_lock);
	return ret;
}
