/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exceptions and the device page of fake_vm.h, for tests that reach them. */
#ifndef TESTS_UNIT_FAKE_BUS_H
#define TESTS_UNIT_FAKE_BUS_H

#include "fake_vm.h"

void vcpu_raise_error(struct vcpu *v, u8 vector, u32 error)
{
	v->exc.pending = true;
	exc.raised = exc.has_error = true;
	exc.vector = vector;
	exc.error = error;
}

void vcpu_raise_pf(struct vcpu *v, u64 addr, u32 error)
{
	vcpu_raise_error(v, EXC_PF, error);
	exc.cr2 = addr;
}

int bus_mmio(struct vm *vm, struct vcpu *v, u64 gpa, u32 size, void *data, bool write)
{
	u64 off = gpa - DEVICE_GPA;

	(void)vm;
	(void)v;
	assert_in_range(size, 1, 8);
	if (off >= PAGE_SIZE)
		return -EOPNOTSUPP;
	assert_true(off + size <= PAGE_SIZE);
	device_accesses++;
	if (write)
		memcpy(device + off, data, size);
	else
		memcpy(data, device + off, size);
	return 0;
}

/* The exception that was raised since the last call: vector, or -1. */
static inline int raised(void)
{
	int vector = exc.raised ? exc.vector : -1;

	exc.raised = false;
	return vector;
}

#endif
