/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus of devices inside the hypervisor: which of them a port or a
 * guest-physical address belongs to. What none of them takes goes to user
 * space (KVM_EXIT_IO, KVM_EXIT_MMIO).
 */
#include <errno.h>

#include "../irq/irq.h"

#define IOAPIC_LENGTH 0x100

static bool pic_port(u16 port)
{
	return (port & ~1) == 0x20 || (port & ~1) == 0xa0 || (port & ~1) == 0x4d0;
}

static bool pit_port(u16 port)
{
	return (port & ~3) == 0x40 || port == 0x61;
}

static bool rings(struct vm *vm, bool pio, u64 addr, u32 size, const void *data)
{
	if (!ioeventfd_write(vm, pio, addr, size, data))
		return false;
	vm->engine->asked(vm);
	return true;
}

int bus_pio(struct vm *vm, struct vcpu *v, u16 port, u32 size, void *data, bool write)
{
	int r;

	(void)v;
	if (vm->pic && pic_port(port)) {
		host_mutex_lock(&vm->irq_lock);
		r = pic_io(vm->pic, port, size, data, write);
		host_mutex_unlock(&vm->irq_lock);
		if (r != -EOPNOTSUPP)
			return r;
	}
	if (vm->pit && pit_port(port)) {
		r = pit_io(vm->pit, port, size, data, write);
		if (r != -EOPNOTSUPP)
			return r;
	}
	if (!write)
		return -EOPNOTSUPP;
	if (vm->ioeventfds && rings(vm, true, port, size, data))
		return 0;
	return coalesced_write(vm, true, port, size, data) ? 0 : -EOPNOTSUPP;
}

static bool lapic_address(struct vcpu *v, u64 gpa)
{
	u64 base = v->apic_base;

	return v->lapic && gpa >> PAGE_SHIFT == (base & (BIT64(VM_PHYS_BITS) - 1)) >> PAGE_SHIFT;
}

int bus_mmio(struct vm *vm, struct vcpu *v, u64 gpa, u32 size, void *data, bool write)
{
	int r;

	if (v && lapic_address(v, gpa)) {
		r = lapic_mmio(v, gpa, size, data, write);
		if (r != -EOPNOTSUPP)
			return r;
	}
	if (vm->ioapic && gpa - IOAPIC_BASE < IOAPIC_LENGTH) {
		host_mutex_lock(&vm->irq_lock);
		r = ioapic_mmio(vm->ioapic, gpa, size, data, write);
		host_mutex_unlock(&vm->irq_lock);
		if (r != -EOPNOTSUPP)
			return r;
	}
	if (!write)
		return -EOPNOTSUPP;
	if (vm->ioeventfds && rings(vm, false, gpa, size, data))
		return 0;
	return coalesced_write(vm, false, gpa, size, data) ? 0 : -EOPNOTSUPP;
}
