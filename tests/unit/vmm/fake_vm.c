/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stand-in for machine/vm.c; see fake_vm.h. */
#include <errno.h>

#include "fake_vm.h"

struct fake_vm fake_vm;

void vm_line(void *vm, unsigned int gsi, bool level)
{
	(void)vm;
	if (level && !fake_vm.line[gsi])
		fake_vm.rises[gsi]++;
	fake_vm.line[gsi] = level;
}

int vm_msi(struct vm *vm, u64 addr, u32 data)
{
	(void)vm;
	fake_vm.msis++;
	fake_vm.msi_addr = addr;
	fake_vm.msi_data = data;
	return 0;
}

int vm_msi_gsi(struct vm *vm)
{
	int i = VM_IRQCHIP_GSIS;

	(void)vm;
	while (fake_vm.gsi[i].used)
		i++;
	fake_vm.gsi[i].used = true;
	fake_vm.gsi[i].fd = -1;
	return i;
}

int vm_msi_gsi_set(struct vm *vm, int gsi, u64 addr, u32 data)
{
	(void)vm;
	fake_vm.gsi[gsi].addr = addr;
	fake_vm.gsi[gsi].data = data;
	return 0;
}

void vm_msi_gsi_free(struct vm *vm, int gsi)
{
	(void)vm;
	fake_vm.gsi[gsi].used = false;
}

int vm_irqfd(struct vm *vm, int gsi, int fd, int resample, bool on)
{
	(void)vm, (void)resample;
	fake_vm.gsi[gsi].fd = on ? fd : -1;
	return 0;
}

int vm_map(struct vm *vm, u64 gpa, u64 size, void *host, unsigned int flags)
{
	int i, at = -1;

	(void)vm;
	for (i = 0; i < FAKE_SLOTS; i++) {
		if (!fake_vm.slot[i].size)
			at = at < 0 ? i : at;
		else if (gpa < fake_vm.slot[i].gpa + fake_vm.slot[i].size &&
			 fake_vm.slot[i].gpa < gpa + size)
			return -EEXIST;
	}
	if (at < 0)
		return -ENOSPC;
	fake_vm.slot[at].gpa = gpa;
	fake_vm.slot[at].size = size;
	fake_vm.slot[at].host = host;
	fake_vm.slot[at].flags = flags;
	return at;
}

void vm_unmap(struct vm *vm, int slot)
{
	(void)vm;
	if (slot >= 0)
		fake_vm.slot[slot].size = 0;
}

int vm_doorbell(struct vm *vm, const struct vm_doorbell *d, bool on)
{
	unsigned int i;

	(void)vm;
	if (on) {
		fake_vm.doorbell[fake_vm.doorbells++] = *d;
		return 0;
	}
	for (i = 0; i < fake_vm.doorbells; i++)
		if (fake_vm.doorbell[i].addr == d->addr && fake_vm.doorbell[i].fd == d->fd) {
			fake_vm.doorbell[i] = fake_vm.doorbell[--fake_vm.doorbells];
			return 0;
		}
	return -ENOENT;
}
