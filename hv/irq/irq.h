/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupt controllers as KVM models them: two 8259 PICs, an IOAPIC, an
 * APIC a vCPU, an 8254 PIT, and the routing from GSIs to their pins and to
 * MSIs; irqfd and ioeventfd beside them.
 */
#ifndef HV_IRQ_IRQ_H
#define HV_IRQ_IRQ_H

#include "../vm/vm.h"

/* --- the VM's chips ------------------------------------------------------- */

/*
 * KVM_CREATE_IRQCHIP, with the default routing. 0, -EEXIST, -EINVAL, -ENOMEM.
 * The caller holds vm->lock.
 */
int irqchip_create(struct vm *vm);
/*
 * KVM_CAP_SPLIT_IRQCHIP: LAPICs only. The first pins GSIs are those of user
 * space's IOAPICs. 0, -EEXIST, -EINVAL, -ENOMEM. The caller holds vm->lock.
 */
int irqchip_create_split(struct vm *vm, u64 pins);
/* Also without an irqchip. Before vm->poller stops, when no vCPU runs any more. */
void irqchip_destroy(struct vm *vm);
int irqchip_get(struct vm *vm, struct kvm_irqchip *chip);
int irqchip_set(struct vm *vm, const struct kvm_irqchip *chip);

/* --- PIC (pic.c); the caller holds vm->irq_lock, but for pic_output -------- */
struct pic *pic_create(struct vm *vm);
void pic_destroy(struct pic *p);
/* pin 0..15. <0 masked, 0 coalesced, 1 taken. */
int pic_set_irq(struct pic *p, int pin, int level);
bool pic_output(struct pic *p);				/* INTR line to the boot CPU */
int pic_ack(struct pic *p);				/* the vector, entering service */
/* 0, or -EOPNOTSUPP: no port of its. */
int pic_io(struct pic *p, u16 port, u32 size, void *data, bool write);

/* --- IOAPIC (ioapic.c); the caller holds vm->irq_lock ----------------------- */
#define IOAPIC_PINS 24
#define IOAPIC_BASE 0xfec00000ull
struct ioapic *ioapic_create(struct vm *vm);
void ioapic_destroy(struct ioapic *io);
int ioapic_set_irq(struct ioapic *io, int pin, int level);
void ioapic_eoi(struct ioapic *io, u8 vector);
/* 0, or -EOPNOTSUPP: not its page. */
int ioapic_mmio(struct ioapic *io, u64 gpa, u32 size, void *data, bool write);

/* --- PIT (pit.c); takes its own lock ---------------------------------------- */
/* KVM_CREATE_PIT2. 0, -EEXIST, -ENOMEM. The caller holds vm->lock. */
int pit_create(struct vm *vm, const struct kvm_pit_config *cfg);
void pit_destroy(struct pit *p);
int pit_io(struct pit *p, u16 port, u32 size, void *data, bool write);
void pit_get(struct pit *p, struct kvm_pit_state2 *s);
int pit_set(struct pit *p, const struct kvm_pit_state2 *s);
/* KVM_REINJECT_CONTROL: whether ticks that the guest missed are made up for. */
void pit_set_reinject(struct pit *p, bool reinject);

/* --- local APIC (lapic.c) ------------------------------------------------- */
int lapic_create(struct vcpu *v);
void lapic_destroy(struct vcpu *v);
void lapic_reset(struct vcpu *v, bool init);
/* The vCPU's own accesses: its page at apic_base, and the x2APIC MSRs. */
int lapic_mmio(struct vcpu *v, u64 gpa, u32 size, void *data, bool write);
/* MSRs 0x800..0x8ff, and IA32_APIC_BASE: 0, or 1 for #GP. */
int lapic_x2apic_read(struct vcpu *v, u32 msr, u64 *val);
int lapic_x2apic_write(struct vcpu *v, u32 msr, u64 val);
int lapic_set_base(struct vcpu *v, u64 val, bool host);
int lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s);
int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s);
/* The whole task-priority register; CR8 is its bits 7:4. */
void lapic_set_tpr(struct vcpu *v, u8 tpr);
u8 lapic_get_tpr(struct vcpu *v);
u64 lapic_get_tscdeadline(struct vcpu *v);
void lapic_set_tscdeadline(struct vcpu *v, u64 val);
/* Monotonic time at which v's APIC timer fires, 0: not armed. */
u64 lapic_timer_deadline(struct vcpu *v);
/* Fires the timer if its time has come (called by v itself, e.g. after a sleep). */
void lapic_timer_poll(struct vcpu *v);

/* An interrupt message, as the APIC bus and MSIs carry. */
struct apic_msg {
	u32 dest;
	u8 vector;
	u8 delivery;		/* 0 fixed .. 7 ExtINT */
	bool logical, level, trig_level;
	bool broadcast_x2;	/* destination 0xff also means all CPUs in x2APIC mode */
	u8 shorthand;		/* as in ICR: 1 self, 2 all, 3 all but source */
	bool inside;		/* a CPU's own doing: it tells of nothing that a device did */
};
/* Returns how many CPUs took it (0: none, coalesced). From any thread. */
int apic_deliver(struct vm *vm, struct vcpu *source, const struct apic_msg *m);

/* --- what a vCPU asks before it enters the guest (under no lock) ----------- */

/* The vector that may be delivered now given TPR (PIC's or LAPIC's), or -1. */
int irq_pending(struct vcpu *v);
/* Takes it into service: the vector, or -1 when it went away meanwhile. */
int irq_ack(struct vcpu *v);
/* INIT and SIPI that arrived: applies them to v's mp_state and registers. */
void lapic_accept_events(struct vcpu *v);
/* An INIT that came, and waits while the vCPU is in system management mode. */
bool lapic_latched_init(struct vcpu *v);
void lapic_latch_init(struct vcpu *v, bool latched);
/* True when a halted or waiting vCPU must wake: interrupt, NMI, SMI, INIT, SIPI. */
bool irq_wakes(struct vcpu *v);
/*
 * True when KVM_INTERRUPT has a place for a vector and the CPU would take it
 * now (without PIC of ours; KVM API: ready_for_interrupt_injection).
 */
bool irq_user_ready(struct vcpu *v);
/* The same but for what the CPU's state may hold back: RFLAGS.IF and pending events. */
bool irq_user_room(struct vcpu *v);

/* --- the APIC in guest memory (pv.c): PV EOI, the virtual APIC page --------- */

/* MSR_KVM_PV_EOI_EN: 0 or 1. KVM_SET_VAPIC_ADDR: 0 or -EINVAL. v->lapic is there. */
int pv_eoi_set(struct vcpu *v, u64 val);
int vapic_set(struct vcpu *v, u64 gpa);
/* Right before guest code runs, and right after; in KVM_RUN. */
void irq_to_guest(struct vcpu *v);
void irq_from_guest(struct vcpu *v);

static inline bool irq_in_guest_memory(const struct vcpu *v)
{
	return unlikely((v->kvm_pv_eoi & 1) || v->vapic_addr);
}

/*
 * KVM_HC_SEND_IPI: to the CPUs that two masks of bits (32 or 64) bits name from
 * APIC id min on. How many took it, or an error of the hypercall.
 */
s64 apic_send_mask(struct vm *vm, u64 low, u64 high, u64 min, u64 icr, u32 bits);

/* --- GSIs (routing.c) ------------------------------------------------------ */
int routing_set(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 n);
/* Drives a GSI: <0 masked or no route, 0 coalesced, >0 delivered. source: irq line owner. */
int irq_set_gsi(struct vm *vm, u32 gsi, int level);
int irq_send_msi(struct vm *vm, const struct kvm_msi *msi);

/* --- irqfd.c, ioeventfd.c --------------------------------------------------- */
int irqfd_assign(struct vm *vm, const struct kvm_irqfd *a);
void irqfds_destroy(struct vm *vm);
/* An EOI reached gsi's pin: signals resamplers. The caller holds vm->irq_lock. */
void irqfd_notify_eoi(struct vm *vm, u32 gsi);
int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *a);
void ioeventfds_destroy(struct vm *vm);
/* Signals the ioeventfd that matches a write: true when there was one. */
bool ioeventfd_write(struct vm *vm, bool pio, u64 addr, u32 size, const void *data);

#endif
