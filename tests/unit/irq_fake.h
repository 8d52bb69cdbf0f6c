/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM around hv/irq/ and nothing else: a clock that stands still until the
 * test moves it, host timers that ring then, locks that notice a second
 * locking, and vCPUs whose requests are only noted.
 */
#ifndef TESTS_UNIT_IRQ_FAKE_H
#define TESTS_UNIT_IRQ_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "irq/lapic.h"

extern u64 fake_now;		/* ns; the guests' TSC runs at 1 GHz beside it */
extern u32 fake_resets;		/* calls of vcpu_reset */
extern u32 fake_timers_rung;

/* Moves the clock, ringing every timer on the way at its time. */
void fake_advance(u64 ns);
/* Lets the poller see fd, as if it were readable. */
void fake_ring_fd(int fd);
/* How many descriptors the poller watches. */
u32 fake_watched(void);

/* A VM with an irqchip and n vCPUs of ids 0..n-1; vCPU 0 boots. */
struct vm *fake_vm(u32 n);
struct vcpu *fake_add_vcpu(struct vm *vm, u32 id);
void fake_vm_free(struct vm *vm);

/* The request bits of v since last asked. */
u32 fake_requests(struct vcpu *v);

/* The guest's hands: its APIC page, MSRs and the IOAPIC. */
u32 apic_read(struct vcpu *v, u32 off);
void apic_write(struct vcpu *v, u32 off, u32 val);
void apic_enable(struct vcpu *v);
void apic_enter_x2(struct vcpu *v);
u32 ioapic_read_reg(struct vm *vm, u32 index);
void ioapic_write_reg(struct vm *vm, u32 index, u32 val);
void ioapic_write_pin(struct vm *vm, u32 pin, u64 entry);
u8 port_in(struct vm *vm, u16 port);
void port_out(struct vm *vm, u16 port, u8 val);
/* Both PICs as a PC's firmware sets them up: vectors 0x20 and 0x28, all unmasked. */
void pic_init_pc(struct vm *vm);

#endif
