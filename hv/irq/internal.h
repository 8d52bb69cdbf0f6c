/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the interrupt controllers tell each other. Nothing outside irq/ needs
 * this header.
 *
 * Locks, in the order in which they nest: a PIT's or LAPIC timer's own lock,
 * then vm->irq_lock. vm->irq_lock guards the PIC, the IOAPIC, the routing and
 * the list of irqfds. Delivery to a LAPIC takes no lock at all.
 */
#ifndef HV_IRQ_INTERNAL_H
#define HV_IRQ_INTERNAL_H

#include <errno.h>

#include "irq.h"

#define NSEC_PER_SEC 1000000000ull

/* As KVM's min_timer_period_us: guests get no periodic timer faster than this. */
#define TIMER_MIN_PERIOD_NS 200000ull

/* A line is asserted while any of its sources asserts it. */
enum irq_source { IRQ_SOURCE_USER, IRQ_SOURCE_RESAMPLE, IRQ_SOURCE_PIT };

/* routing.c */
int routing_create(struct vm *vm);
int routing_create_empty(struct vm *vm);
void routing_destroy(struct vm *vm);
/* Drives a GSI as irq_set_gsi(), for one of several sources. */
int irq_drive(struct vm *vm, enum irq_source source, u32 gsi, int level);
int irq_drive_locked(struct vm *vm, enum irq_source source, u32 gsi, int level);
/* An edge: up and down again. */
int irq_pulse(struct vm *vm, enum irq_source source, u32 gsi);
int irq_pulse_locked(struct vm *vm, enum irq_source source, u32 gsi);
/*
 * The guest ended the interrupt of a chip's pin (KVM_IRQCHIP_*, PIC pins 0..7
 * each), or unmasked it: tells whoever waits for that. Under vm->irq_lock.
 */
void irq_notify_ack(struct vm *vm, u32 chip, u32 pin);
void irq_notify_unmask(struct vm *vm, u32 chip, u32 pin);
/* True when someone wants to know of the EOI of that IOAPIC pin, edges too. */
bool irq_pin_watched(struct vm *vm, u32 pin);

/*
 * True when user space's IOAPIC (split irqchip) must hear of v's EOI: the
 * vector is level-triggered and one of the first vm->ioapic_pins GSIs sends it
 * to v. Takes vm->irq_lock.
 */
bool irq_user_ioapic_handles(struct vcpu *v, u8 vector);

/* pic.c, ioapic.c: under vm->irq_lock */
int pic_peek(struct pic *p);
void pic_get_state(struct pic *p, int which, struct kvm_pic_state *s);
void pic_set_state(struct pic *p, int which, const struct kvm_pic_state *s);
void ioapic_get_state(struct ioapic *io, struct kvm_ioapic_state *s);
void ioapic_set_state(struct ioapic *io, const struct kvm_ioapic_state *s);
/* Recomputes which vectors ioapic_wants_eoi() names. */
void ioapic_update_watch(struct ioapic *io);
/* True when an EOI of the vector means something to the IOAPIC. Under no lock. */
bool ioapic_wants_eoi(struct ioapic *io, u8 vector);

/* pit.c: any thread, under vm->irq_lock or not */
void pit_ack(struct pit *p);
void pit_unmasked(struct pit *p);
bool pit_wants_ack(struct pit *p);

/* irqfd.c: under vm->irq_lock */
bool irqfd_resamples(struct vm *vm, u32 gsi);

#endif
