/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtual machine of the KVM API as devices see it: interrupt lines, MSIs,
 * memory slots and eventfds. Every function may be called from any thread.
 *
 * Which way to take: a device of this process raises MSIs with vm_msi() and
 * lines with vm_line(), one call and no other thread. An irqfd is for an
 * interrupt that somebody else raises (vhost, VFIO, another process). A
 * doorbell (ioeventfd) moves the handling of a write to the thread that reads
 * the eventfd; waking one costs more than many small requests do.
 */
#ifndef VMM_MACHINE_VM_H
#define VMM_MACHINE_VM_H

#include <pthread.h>

#include "../kvm.h"

#define VM_SLOTS_MAX 256
#define VM_IRQCHIP_GSIS 24	/* lines: GSI 0..15 to both PICs and IOAPIC, 16..23 to the IOAPIC */
#define VM_MSI_GSIS 1024	/* GSIs above the lines, for irqfds that send an MSI */

struct vm {
	const struct kvm *kvm;
	int fd;				/* -1: not open */
	pthread_mutex_t lock;		/* of the two tables */
	u64 slots[VM_SLOTS_MAX / 64];	/* memory slots in use */
	struct kvm_irq_routing *routing;
};

/* Opens a VM with nothing in it: 0 or -errno. */
int vm_open(struct vm *vm, const struct kvm *kvm);
/* Memory for translated code, as kvm->code_cache says; before the first vCPU. 0 or -errno. */
int vm_code_cache(struct vm *vm);
void vm_close(struct vm *vm);

/* --- interrupts ------------------------------------------------------------ */

/* Routes the lines as on a PC (IRQ 0 on IOAPIC pin 2): 0 or -errno. */
int vm_route_lines(struct vm *vm);
/* Drives a line; vm as void *, for struct irq_line. */
void vm_line(void *vm, unsigned int gsi, bool level);
/* Sends an MSI: 0 or -errno. */
int vm_msi(struct vm *vm, u64 addr, u32 data);

/* A GSI that sends an MSI when an irqfd drives it, or -errno. */
int vm_msi_gsi(struct vm *vm);
int vm_msi_gsi_set(struct vm *vm, int gsi, u64 addr, u32 data);
void vm_msi_gsi_free(struct vm *vm, int gsi);
/* Ties eventfd fd to a GSI, or unties it; resample is an eventfd for level lines, or -1. */
int vm_irqfd(struct vm *vm, int gsi, int fd, int resample, bool on);

/* Keeps the in-kernel timer (PIT) off its interrupt, which another takes over, or ends that. */
void vm_pit_off(struct vm *vm, bool off);

/* --- memory ------------------------------------------------------------------ */

#define VM_MAP_READONLY (1 << 0)	/* writes exit to the memory bus */
#define VM_MAP_LOG (1 << 1)		/* vm_dirty_log tells what the guest wrote */

/*
 * Maps size bytes at host (both multiples of 4 KiB) at gpa: the slot's number,
 * or -errno; -EEXIST when another slot is there.
 */
int vm_map(struct vm *vm, u64 gpa, u64 size, void *host, unsigned int flags);
void vm_unmap(struct vm *vm, int slot);
/* Fetches and clears the log: a bit a page, in whole 64-bit words. 0 or -errno. */
int vm_dirty_log(struct vm *vm, int slot, u64 *bitmap);

/* --- doorbells ----------------------------------------------------------------- */

/* A write to addr that signals fd instead of reaching the bus. */
struct vm_doorbell {
	u64 addr;
	u64 match;		/* only this value, if matched */
	unsigned int size;	/* of the write; 0: any */
	bool matched, port;	/* port: an I/O port, not memory */
	int fd;
};

int vm_doorbell(struct vm *vm, const struct vm_doorbell *d, bool on);

#endif
