/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtual machine: its memory slots, vCPUs, in-kernel interrupt controllers
 * and the bus on which in-kernel devices listen.
 */
#ifndef HV_VM_VM_H
#define HV_VM_VM_H

#include "../cpu/engine.h"

#define VM_MAX_VCPUS 1024
#define VM_MAX_VCPU_ID 4096
#define VM_MAX_SLOTS 32764
#define VM_ADDRESS_SPACES 2	/* 1: what system management mode sees */
#define VM_MAX_GSI 4096
#define VM_PHYS_BITS 48

/*
 * A range of guest-physical memory, backed by the caller's. Immutable once it
 * is in the slot array, but for the dirty bitmap and the engine's page states.
 */
struct memslot {
	u32 id;			/* slot number; address space in bits 16.. */
	u32 flags;		/* KVM_MEM_* */
	u64 gfn;		/* first page frame */
	u64 npages;
	u64 hva;		/* the caller's address of the first page */
	u64 *dirty;		/* a bit a page, or NULL; set atomically */
	void *engine;		/* the engine's per-page states */
	bool ring;		/* dirty pages go to the vCPUs' rings; the bits say which did */
};

/* The slots by ascending gfn. Replaced whole; readers hold a reference by running. */
struct slot_array {
	u32 count;
	struct memslot *slot[];
};

struct pic;
struct ioapic;
struct pit;
struct irq_routing;
struct irqfds;
struct ioeventfds;
struct apic_map;
struct coalesced;
struct stats;
struct msr_filter;

struct vm {
	int fd;
	struct host_mutex lock;		/* slots, vCPU creation, devices */
	struct slot_array *slots;	/* atomic pointer */
	struct slot_array *smm_slots;	/* the same of address space 1 */
	struct vcpu **vcpus;		/* VM_MAX_VCPUS entries, by index, atomic */
	u32 vcpu_count;			/* atomic */
	u32 refs;			/* the descriptor and each vCPU */
	u32 boot_cpu_id;
	u64 tss_addr, identity_map_addr;
	bool irqchip;			/* PIC, IOAPIC and LAPICs are ours */
	bool split_irqchip;
	struct pic *pic;
	struct ioapic *ioapic;
	struct pit *pit;
	struct irq_routing *routing;
	struct irqfds *irqfds;
	struct ioeventfds *ioeventfds;
	struct host_poller *poller;	/* irqfds and timers run on its thread */
	struct apic_map *apic_map;	/* irq/apic_deliver.c; made with the first LAPIC */
	struct host_mutex irq_lock;	/* PIC, IOAPIC, routing */
	s64 kvmclock_offset;		/* kvmclock = monotonic + offset, ns */
	u32 tsc_khz;			/* default for new vCPUs, 0: the host's */
	u64 disabled_exits;
	bool x2apic_api_32bit, x2apic_no_broadcast_quirk;
	bool exception_payload, triple_fault_event;
	u64 manual_dirty_log;
	u32 max_vcpu_id;
	const struct engine_ops *engine;
	void *engine_data;

	/* Readers of the slots on threads that are not in the engine, by parity of the epoch. */
	u32 slot_epoch, slot_readers[2];
	u64 slot_pages;			/* of all slots */
	struct coalesced *coalesced;
	u64 disabled_quirks;
	bool platform_info_hidden, exit_on_emulation_error;
	u64 kvm_wall_clock;
	/* kvmclock's origin: at host TSC clock_tsc it read clock_ns (cpu/pvclock.c). */
	struct host_mutex clock_lock;
	u64 clock_tsc, clock_ns;
	struct host_mutex clock_pages_lock;	/* who writes pages of kvmclock */
	/* The last write of a guest TSC, which later ones are matched with (cpu/tsc.c). */
	u64 tsc_write_ns, tsc_write, tsc_offset;
	u32 tsc_write_khz;
	u64 nr_mmu_pages;
	struct msr_filter *msr_filter;	/* cpu/msr_exit.c; atomic pointer */
	u32 user_space_msr;		/* KVM_MSR_EXIT_REASON_*: which ones user space wants */
	struct stats *stats;		/* vm/stats.c */
	u64 flush_requests;		/* atomic: requests to forget translations */
	u64 max_halt_poll_ns;		/* KVM_CAP_HALT_POLL, when halt_poll_set */
	bool halt_poll_set;
	u64 exit_hypercalls;		/* KVM_CAP_EXIT_HYPERCALL: a bit each */
	u32 dirty_ring_size;		/* bytes; 0: dirty bitmaps instead */
	u32 ioapic_pins;		/* split irqchip: GSIs of user space's IOAPICs, */
	u64 ioapic_vectors[4];		/* and the level vectors they send; atomic */
};

/* --- memory slots (vm/memslot.c) ----------------------------------------- */

/* KVM_SET_USER_MEMORY_REGION: 0 or -errno, as the kernel. */
int vm_set_memory_region(struct vm *vm, const struct kvm_userspace_memory_region *r);
/* The slot that holds gfn, or NULL. Valid until the vCPU next leaves the engine. */
struct memslot *slot_array_find(const struct slot_array *a, u64 gfn);

static inline struct memslot *vm_find_slot(struct vm *vm, u64 gfn)
{
	return slot_array_find(__atomic_load_n(&vm->slots, __ATOMIC_ACQUIRE), gfn);
}

/* The slots that the vCPU's own accesses go to. */
static inline struct slot_array *vcpu_slots(const struct vcpu *v)
{
	return __atomic_load_n(unlikely(v->smm) ? &v->vm->smm_slots : &v->vm->slots,
			       __ATOMIC_ACQUIRE);
}

static inline struct memslot *vcpu_find_slot(struct vcpu *v, u64 gfn)
{
	return slot_array_find(vcpu_slots(v), gfn);
}

/* KVM_GET_DIRTY_LOG: copies and clears the bitmap. */
int vm_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log);

void memslot_set_dirty(struct vcpu *v, struct memslot *s, u64 page);

/* A write to gfn by v, or by nobody in particular (NULL). */
static inline void memslot_mark_dirty(struct vcpu *v, struct memslot *s, u64 gfn)
{
	u64 i = gfn - s->gfn;

	if (s->dirty && !(__atomic_load_n(&s->dirty[i / 64], __ATOMIC_RELAXED) & BIT64(i % 64)))
		memslot_set_dirty(v, s, i);
}

/* --- the dirty ring (vm/dirty_ring.c) --------------------------------------- */

/* KVM_CAP_DIRTY_LOG_RING's greatest size in bytes. */
#define DIRTY_RING_MAX (65536u * sizeof(struct kvm_dirty_gfn))

/* KVM_CAP_DIRTY_LOG_RING: 0 or -errno. */
int dirty_ring_enable(struct vm *vm, u64 size);
/* The ring of a new vCPU, in its descriptor's memory at ring: 0 or -ENOMEM. */
int dirty_ring_create(struct vcpu *v, void *ring);
void dirty_ring_push(struct vcpu *v, const struct memslot *s, u64 page);
/* True when v may not run before user space has taken entries. */
bool dirty_ring_full(const struct vcpu *v);
/* KVM_RESET_DIRTY_RINGS: how many entries, or -errno. */
long dirty_rings_reset(struct vm *vm);
/* The slot of that number, address space in bits 16.. Under vm->lock. */
struct memslot *vm_slot_by_id(struct vm *vm, u32 id);

/* True when a write to gfn must wait until the ring has room: v leaves KVM_RUN. */
static inline bool memslot_write_waits(struct vcpu *v, const struct memslot *s, u64 gfn)
{
	u64 i = gfn - s->gfn;

	return unlikely(s->ring) && v->dirty_ring && s->dirty &&
	       !(__atomic_load_n(&s->dirty[i / 64], __ATOMIC_RELAXED) & BIT64(i % 64)) &&
	       dirty_ring_full(v);
}

/* KVM_CLEAR_DIRTY_LOG. */
int vm_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log);
/* Frees all slots; no vCPU runs any more. */
void vm_free_slots(struct vm *vm);

/*
 * Bracket for a thread that looks at slots while it is not inside the engine
 * (vcpu.running is 0): until the end no slot found is freed.
 */
u32 vm_slots_begin(struct vm *vm);
void vm_slots_end(struct vm *vm, u32 token);

/* Host address of a guest-physical one for reading, within its page; NULL: not memory. */
void *vm_gpa_read_ptr(struct vm *vm, u64 gpa);
/*
 * Copies from and to guest-physical memory by the hypervisor itself; marks
 * pages dirty and tells the engine. 0, or -EFAULT where there is no memory
 * (or, writing, read-only memory).
 */
int vm_read(struct vm *vm, u64 gpa, void *dst, u64 len);
int vm_write(struct vm *vm, u64 gpa, const void *src, u64 len);
/* The same on behalf of v, whose dirty ring it is. */
int vcpu_write(struct vcpu *v, u64 gpa, const void *src, u64 len);
/* ... and in the address space that v itself sees. */
int vcpu_phys_read(struct vcpu *v, u64 gpa, void *dst, u64 len);
int vcpu_phys_write(struct vcpu *v, u64 gpa, const void *src, u64 len);

/* Requests bits of all vCPUs; vm_request_sync also waits until none still runs with the old view. */
void vm_request_all(struct vm *vm, u32 bits);
void vm_request_sync(struct vm *vm, u32 bits, struct vcpu *self);

/* --- the bus of in-kernel devices (vm/bus.c) ------------------------------ */

/*
 * Accesses to devices of ours (PIC, PIT, IOAPIC, LAPIC page of v, ioeventfds,
 * coalesced zones). 0 when one took it, -EOPNOTSUPP when user space must.
 */
int bus_pio(struct vm *vm, struct vcpu *v, u16 port, u32 size, void *data, bool write);
int bus_mmio(struct vm *vm, struct vcpu *v, u64 gpa, u32 size, void *data, bool write);

/* KVM_REGISTER_COALESCED_MMIO and its opposite (vm/coalesced.c). */
int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *z);
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *z);
void coalesced_destroy(struct vm *vm);
/* Puts a write into the ring: true when it went there. */
bool coalesced_write(struct vm *vm, bool pio, u64 addr, u32 size, const void *data);

/* --- KVM_GET_STATS_FD (vm/stats.c) ----------------------------------------- */

/* A new read-only descriptor, or -errno. */
int stats_open_vm(struct vm *vm);
int stats_open_vcpu(struct vcpu *v);
/* Copies the counters where the file shows them; v->stats is there. */
void stats_update(struct vcpu *v);
void stats_update_vm(struct vm *vm);
void stats_close(struct stats *s);

/* --- life (vm/vm.c) ------------------------------------------------------- */

/* NULL: none, and *err (err may be NULL) is -ENOMEM, or what the engine says. */
struct vm *vm_create(int *err);
void vm_get(struct vm *vm);
void vm_put(struct vm *vm);
/* A vCPU with descriptor and run page: 0 and *out, or -errno. */
int vm_create_vcpu(struct vm *vm, u32 id, struct vcpu **out);
struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id);
/* Starts vm->poller unless it runs: 0 or -ENOMEM. Call before whatever may need it. */
int vm_start_poller(struct vm *vm);

/* Of a vCPU's descriptor: kvm_run, PIO data, coalesced ring; from page 64 on the dirty ring. */
#define VM_RUN_PAGES 3

#endif
