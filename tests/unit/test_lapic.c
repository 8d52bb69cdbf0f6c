/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The local APIC: registers in both modes, priorities, IPIs of every delivery
 * mode, shorthand and destination, INIT and SIPI, the three timer modes,
 * errors, and KVM_GET/SET_LAPIC.
 */
#include "irq_fake.h"

#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SELF (1u << 18)
#define ICR_ALL (2u << 18)
#define ICR_OTHERS (3u << 18)

static struct vm *vm;
static struct vcpu *cpu, *other;

static int setup(void **state)
{
	u32 i;

	(void)state;
	fake_resets = 0;
	vm = fake_vm(4);
	cpu = vm->vcpus[0];
	other = vm->vcpus[1];
	for (i = 0; i < 4; i++) {
		apic_enable(vm->vcpus[i]);
		fake_requests(vm->vcpus[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_free(vm);
	return 0;
}

static void ipi(struct vcpu *v, u32 dest, u32 icr)
{
	apic_write(v, APIC_ICR2, dest << 24);
	apic_write(v, APIC_ICR, icr);
}

static u64 rdmsr(struct vcpu *v, u32 msr)
{
	u64 val = 0;

	assert_int_equal(lapic_x2apic_read(v, msr, &val), 0);
	return val;
}

static void wrmsr(struct vcpu *v, u32 msr, u64 val)
{
	assert_int_equal(lapic_x2apic_write(v, msr, val), 0);
}

static void drain(struct vcpu *v)
{
	while (irq_ack(v) >= 0)
		apic_write(v, APIC_EOI, 0);
}

/* --- registers ------------------------------------------------------------------- */

static void test_reset_values(void **state)
{
	(void)state;
	lapic_reset(other, false);
	assert_int_equal(apic_read(other, APIC_ID), 0x01000000);
	assert_int_equal(apic_read(other, APIC_VERSION), 0x50014);
	assert_int_equal(apic_read(other, APIC_SPIV), 0xff);
	assert_int_equal(apic_read(other, APIC_DFR), 0xffffffff);
	assert_int_equal(apic_read(other, APIC_LVT_LINT0), 0x10000);
	assert_int_equal(apic_read(cpu, APIC_LVT_LINT0), 0x700);
	assert_true(other->apic_base == 0xfee00800);
	assert_true(cpu->apic_base == 0xfee00900);
	other->mcg_cap = BIT(10);
	assert_int_equal(apic_read(other, APIC_VERSION), 0x60014);
	assert_int_equal(apic_read(other, APIC_LVT_CMCI), 0x10000);
}

static void test_lvts(void **state)
{
	(void)state;
	apic_write(cpu, APIC_LVT_TIMER, 0xffffffff);
	assert_int_equal(apic_read(cpu, APIC_LVT_TIMER), 0x700ff);
	apic_write(cpu, APIC_LVT_ERROR, 0xffffffff);
	assert_int_equal(apic_read(cpu, APIC_LVT_ERROR), 0x100ff);
	apic_write(cpu, APIC_LVT_LINT1, 0xffffffff);
	assert_int_equal(apic_read(cpu, APIC_LVT_LINT1), 0x1e7ff);
	apic_write(cpu, APIC_LVT_PMC, 0x4ff);
	assert_int_equal(apic_read(cpu, APIC_LVT_PMC), 0x4ff);
	apic_write(cpu, APIC_SPIV, 0xff);	/* software disable masks all */
	assert_int_equal(apic_read(cpu, APIC_LVT_PMC), 0x104ff);
	apic_write(cpu, APIC_LVT_PMC, 0x4ff);
	assert_int_equal(apic_read(cpu, APIC_LVT_PMC), 0x104ff);
}

static void test_odd_accesses(void **state)
{
	u64 val = 0;
	u16 half;

	(void)state;
	assert_int_equal(lapic_mmio(cpu, 0xfee00000 - 4, 4, &val, false), -EOPNOTSUPP);
	assert_int_equal(lapic_mmio(cpu, 0xfee01000, 4, &val, false), -EOPNOTSUPP);
	assert_int_equal(lapic_mmio(cpu, 0xfee00032, 2, &half, false), 0);
	assert_int_equal(half, 5);
	val = ~0ull;
	assert_int_equal(lapic_mmio(cpu, 0xfee00030, 8, &val, false), 0);
	assert_true(val == 0);
	val = 0x55;
	assert_int_equal(lapic_mmio(cpu, 0xfee00080, 1, &val, true), 0);
	assert_int_equal(apic_read(cpu, APIC_TPR), 0);
	/* Moved, then switched off. */
	assert_int_equal(lapic_set_base(cpu, 0xfe000900, false), 0);
	assert_int_equal(lapic_mmio(cpu, 0xfe000030, 4, &val, false), 0);
	assert_int_equal((u32)val, 0x50014);
	assert_int_equal(lapic_set_base(cpu, 0xfee00100, false), 0);
	assert_int_equal(lapic_mmio(cpu, 0xfee00030, 4, &val, false), 0);
	assert_int_equal((u32)val, 0xffffffff);
}

static void test_base(void **state)
{
	(void)state;
	assert_int_equal(lapic_set_base(cpu, 0xfee00901, false), 1);
	assert_int_equal(lapic_set_base(cpu, 0xfee00500, false), 1);	/* x2APIC, not enabled */
	assert_int_equal(lapic_set_base(cpu, 0xfee00900 | 1ull << 48, false), 1);
	assert_int_equal(lapic_set_base(cpu, 0xfee00d00, false), 0);
	assert_int_equal(lapic_set_base(cpu, 0xfee00900, false), 1);	/* no way back but off */
	assert_int_equal(lapic_set_base(cpu, 0xfee00100, false), 0);
	assert_int_equal(lapic_set_base(cpu, 0xfee00d00, false), 1);
	assert_int_equal(lapic_set_base(cpu, 0xfee00900, false), 0);
	assert_int_equal(lapic_set_base(cpu, 0xfee00d00, true), 0);
	assert_int_equal(lapic_set_base(cpu, 0xfee00900, true), 0);
	assert_int_equal(apic_read(cpu, APIC_ID), 0);
}

static void test_x2apic_registers(void **state)
{
	u64 val;

	(void)state;
	assert_int_equal(lapic_x2apic_read(other, 0x802, &val), 1);
	apic_enter_x2(other);
	assert_int_equal(rdmsr(other, 0x802), 1);
	assert_int_equal(rdmsr(other, 0x80d), 2);
	assert_int_equal(rdmsr(other, 0x803), 0x50014);
	assert_int_equal(lapic_x2apic_read(other, 0x80e, &val), 1);	/* DFR */
	assert_int_equal(lapic_x2apic_read(other, 0x831, &val), 1);	/* ICR2 */
	assert_int_equal(lapic_x2apic_read(other, 0x80b, &val), 1);	/* EOI */
	assert_int_equal(lapic_x2apic_read(other, 0x840, &val), 1);
	assert_int_equal(lapic_x2apic_read(other, 0x8ff, &val), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x802, 7), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x80d, 7), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x828, 1), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x808, 1ull << 32), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x830, 1 << 13), 1);
	assert_int_equal(lapic_x2apic_write(other, 0x83f, 0x100), 1);
	wrmsr(other, 0x828, 0);
	wrmsr(other, 0x808, 0x40);
	assert_int_equal(rdmsr(other, 0x80a), 0x40);
	wrmsr(other, 0x830, 2ull << 32 | ICR_ASSERT | 0x77);
	assert_true(rdmsr(other, 0x830) == (2ull << 32 | ICR_ASSERT | 0x77));
	assert_int_equal(irq_pending(vm->vcpus[2]), 0x77);
}

/* --- priorities --------------------------------------------------------------------- */

static void test_priorities(void **state)
{
	(void)state;
	ipi(cpu, 0, ICR_SELF | 0x51);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	ipi(cpu, 0, ICR_SELF | 0x51);
	assert_int_equal(fake_requests(cpu), 0);	/* pending already */
	ipi(cpu, 0, ICR_SELF | 0x63);
	assert_int_equal(apic_read(cpu, APIC_IRR + 0x20), 1 << 0x11);
	lapic_set_tpr(cpu, 0x60);
	assert_int_equal(irq_pending(cpu), -1);
	assert_int_equal(apic_read(cpu, APIC_PPR), 0x60);
	fake_requests(cpu);
	lapic_set_tpr(cpu, 0x5f);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0x63);
	assert_int_equal(apic_read(cpu, APIC_ISR + 0x30), 1 << 3);
	assert_int_equal(apic_read(cpu, APIC_PPR), 0x60);
	lapic_set_tpr(cpu, 0);
	assert_int_equal(irq_pending(cpu), -1);		/* lower than the one in service */
	ipi(cpu, 0, ICR_SELF | 0x68);
	assert_int_equal(irq_pending(cpu), -1);		/* same class */
	ipi(cpu, 0, ICR_SELF | 0x70);
	assert_int_equal(irq_ack(cpu), 0x70);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_pending(cpu), -1);
	fake_requests(cpu);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0x68);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_ack(cpu), 0x51);
	apic_write(cpu, APIC_EOI, 0);
	apic_write(cpu, APIC_EOI, 0);			/* none in service */
	assert_int_equal(irq_ack(cpu), -1);
}

/* --- IPIs ---------------------------------------------------------------------------- */

static u32 who_has(int vector)
{
	u32 i, mask = 0;

	for (i = 0; i < vm->vcpu_count; i++) {
		if (irq_pending(vm->vcpus[i]) == vector)
			mask |= BIT(i);
		drain(vm->vcpus[i]);
	}
	return mask;
}

static void test_xapic_destinations(void **state)
{
	u32 i;

	(void)state;
	ipi(cpu, 2, 0x41);
	assert_int_equal(who_has(0x41), BIT(2));
	ipi(cpu, 0xff, 0x41);
	assert_int_equal(who_has(0x41), 0xf);
	ipi(cpu, 9, 0x41);
	assert_int_equal(who_has(0x41), 0);
	ipi(cpu, 0, ICR_ALL | 0x41);
	assert_int_equal(who_has(0x41), 0xf);
	ipi(cpu, 0, ICR_OTHERS | 0x41);
	assert_int_equal(who_has(0x41), 0xe);
	for (i = 0; i < 4; i++)
		apic_write(vm->vcpus[i], APIC_LDR, 1u << (24 + i));
	ipi(cpu, 0x5, ICR_LOGICAL | 0x41);
	assert_int_equal(who_has(0x41), 0x5);
	/* Clusters of two. */
	for (i = 0; i < 4; i++) {
		apic_write(vm->vcpus[i], APIC_DFR, 0);
		apic_write(vm->vcpus[i], APIC_LDR, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	ipi(cpu, 0x12, ICR_LOGICAL | 0x41);
	assert_int_equal(who_has(0x41), BIT(3));
	ipi(cpu, 0x03, ICR_LOGICAL | 0x41);
	assert_int_equal(who_has(0x41), 0x3);
	/* A changed id. */
	apic_write(vm->vcpus[3], APIC_ID, 0x42000000);
	ipi(cpu, 0x42, 0x41);
	assert_int_equal(who_has(0x41), BIT(3));
	ipi(cpu, 3, 0x41);
	assert_int_equal(who_has(0x41), 0);
	apic_write(vm->vcpus[2], APIC_ID, 0x03000000);
	ipi(cpu, 3, 0x41);
	assert_int_equal(who_has(0x41), BIT(2));
}

static u32 x2_who_has(int vector)
{
	u32 i, mask = 0;

	for (i = 0; i < vm->vcpu_count; i++) {
		if (irq_pending(vm->vcpus[i]) == vector)
			mask |= BIT(i);
		while (irq_ack(vm->vcpus[i]) >= 0)
			wrmsr(vm->vcpus[i], 0x80b, 0);
	}
	return mask;
}

static void test_x2apic_destinations(void **state)
{
	static const u32 ids[] = { 15, 16, 17, 255, 300, 4095 };
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		apic_enable(fake_add_vcpu(vm, ids[i]));
	/* Large ids are reached before they enter x2APIC mode. */
	apic_enter_x2(cpu);
	wrmsr(cpu, 0x830, 300ull << 32 | 0x41);
	assert_int_equal(irq_ack(vm->vcpus[8]), 0x41);
	apic_write(vm->vcpus[8], APIC_EOI, 0);
	for (i = 1; i < vm->vcpu_count; i++)
		apic_enter_x2(vm->vcpus[i]);
	wrmsr(cpu, 0x830, 4095ull << 32 | 0x41);
	assert_int_equal(x2_who_has(0x41), BIT(9));
	wrmsr(cpu, 0x830, 4096ull << 32 | 0x41);
	assert_int_equal(x2_who_has(0x41), 0);
	wrmsr(cpu, 0x830, 255ull << 32 | 0x41);		/* a CPU, not all */
	assert_int_equal(x2_who_has(0x41), BIT(7));
	wrmsr(cpu, 0x830, 0xffffffffull << 32 | 0x41);
	assert_int_equal(x2_who_has(0x41), 0x3ff);
	wrmsr(cpu, 0x830, 0x8005ull << 32 | ICR_LOGICAL | 0x41);
	assert_int_equal(x2_who_has(0x41), BIT(0) | BIT(2) | BIT(4));
	wrmsr(cpu, 0x830, 0x10003ull << 32 | ICR_LOGICAL | 0x41);
	assert_int_equal(x2_who_has(0x41), BIT(5) | BIT(6));
	wrmsr(cpu, 0x830, 0x12ull << 48 | 1ull << 44 | ICR_LOGICAL | 0x41);
	assert_int_equal(x2_who_has(0x41), BIT(8));	/* 300 = cluster 0x12, CPU 12 */
	wrmsr(cpu, 0x83f, 0x55);
	assert_int_equal(x2_who_has(0x55), BIT(0));
	/* Lowest priority goes to exactly one. */
	wrmsr(cpu, 0x830, 0xfull << 32 | ICR_LOGICAL | 0x141);
	assert_int_equal(__builtin_popcount(x2_who_has(0x41)), 1);
}

static void test_nmi(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 5; i++)
		ipi(cpu, 1, 0x400);
	assert_int_equal(other->nmi.pending, 2);
	assert_int_equal(fake_requests(other), REQ_EVENT);
	other->mp_state = KVM_MP_STATE_HALTED;
	assert_true(irq_wakes(other));
	other->nmi.masked = true;
	assert_false(irq_wakes(other));
}

static void test_init_sipi(void **state)
{
	(void)state;
	assert_int_equal(other->mp_state, KVM_MP_STATE_UNINITIALIZED);
	/* A SIPI to a CPU that does not wait for one is dropped. */
	ipi(cpu, 1, 0x600 | 0x10);
	assert_true(irq_wakes(other));
	lapic_accept_events(other);
	assert_int_equal(other->mp_state, KVM_MP_STATE_UNINITIALIZED);
	ipi(cpu, 1, ICR_ASSERT | ICR_LEVEL | 0x500);
	ipi(cpu, 1, ICR_LEVEL | 0x500);		/* the de-assertion does nothing */
	assert_int_equal(fake_requests(other), REQ_EVENT);
	assert_true(irq_wakes(other));
	lapic_accept_events(other);
	assert_int_equal(fake_resets, 1);
	assert_int_equal(other->mp_state, KVM_MP_STATE_INIT_RECEIVED);
	assert_false(irq_wakes(other));
	assert_int_equal(apic_read(other, APIC_SPIV), 0xff);
	ipi(cpu, 1, 0x600 | 0x9a);
	assert_true(irq_wakes(other));
	lapic_accept_events(other);
	assert_int_equal(other->mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(other->seg[SEG_CS].selector, 0x9a00);
	assert_true(other->seg[SEG_CS].base == 0x9a000);
	assert_true(other->rip == 0);
	assert_true(other->mode_stale);
	/* The second SIPI of the usual sequence. */
	other->rip = 5;
	ipi(cpu, 1, 0x600 | 0x9a);
	lapic_accept_events(other);
	assert_true(other->rip == 5);
	/* INIT and SIPI before it looks: both are done. */
	ipi(cpu, 1, 0x500);
	ipi(cpu, 1, 0x600 | 0x12);
	lapic_accept_events(other);
	assert_int_equal(other->seg[SEG_CS].selector, 0x1200);
	assert_int_equal(other->mp_state, KVM_MP_STATE_RUNNABLE);
	/* The boot CPU runs on after INIT. */
	ipi(other, 0, 0x500);
	lapic_accept_events(cpu);
	assert_int_equal(cpu->mp_state, KVM_MP_STATE_RUNNABLE);
}

static void test_disabled(void **state)
{
	(void)state;
	apic_write(other, APIC_SPIV, 0xff);
	ipi(cpu, 1, 0x41);
	assert_int_equal(irq_pending(other), -1);
	ipi(cpu, 1, 0x400);
	assert_int_equal(other->nmi.pending, 1);
	assert_int_equal(lapic_set_base(other, 0xfee00000, false), 0);
	ipi(cpu, 1, 0x400);
	assert_int_equal(other->nmi.pending, 1);
}

static void test_errors(void **state)
{
	(void)state;
	apic_write(cpu, APIC_LVT_ERROR, 0xfe);
	ipi(cpu, 1, 0x0f);
	assert_int_equal(irq_ack(cpu), 0xfe);
	assert_int_equal(irq_pending(other), -1);
	assert_int_equal(apic_read(cpu, APIC_ESR), 0);
	apic_write(cpu, APIC_ESR, 0);
	assert_int_equal(apic_read(cpu, APIC_ESR), APIC_ESR_SEND_VECTOR);
	apic_write(cpu, APIC_ESR, 0);
	assert_int_equal(apic_read(cpu, APIC_ESR), 0);
	apic_read(cpu, 0x40);
	apic_write(cpu, APIC_ESR, 0);
	assert_int_equal(apic_read(cpu, APIC_ESR), APIC_ESR_REGISTER);
	ioapic_write_pin(vm, 5, 0x0f);
	irq_set_gsi(vm, 5, 1);
	apic_write(cpu, APIC_ESR, 0);
	assert_int_equal(apic_read(cpu, APIC_ESR), APIC_ESR_RECV_VECTOR);
	/* An illegal error vector does not recurse. */
	apic_write(cpu, APIC_LVT_ERROR, 0x01);
	ipi(cpu, 1, 0x0f);
}

static void test_wakes(void **state)
{
	(void)state;
	cpu->mp_state = KVM_MP_STATE_HALTED;
	assert_false(irq_wakes(cpu));
	ipi(other, 0, 0x41);
	assert_false(irq_wakes(cpu));	/* IF is clear */
	cpu->irq_enable = 1;
	assert_true(irq_wakes(cpu));
	lapic_set_tpr(cpu, 0x40);
	assert_false(irq_wakes(cpu));
}

static int take_and_end(struct vcpu *v)
{
	int vector = irq_ack(v);

	apic_write(v, APIC_EOI, 0);
	return vector;
}

/* Interrupts of CPUs and their timers are told from those that devices sent. */
static void test_inside(void **state)
{
	struct apic_msg m = { .vector = 0x41, .level = true };

	(void)state;
	ipi(other, 0, 0x41);
	assert_int_equal(take_and_end(cpu), 0x41);
	assert_true(cpu->irq_inside);
	assert_int_equal(apic_deliver(vm, NULL, &m), 1);
	assert_int_equal(take_and_end(cpu), 0x41);
	assert_false(cpu->irq_inside);
	ipi(other, 0, 0x41);
	assert_int_equal(take_and_end(cpu), 0x41);
	assert_true(cpu->irq_inside);
	/* Both at once, in either order. */
	for (int first = 0; first < 2; first++) {
		if (first)
			ipi(other, 0, 0x41);
		assert_int_equal(apic_deliver(vm, NULL, &m), 1);
		if (!first)
			ipi(other, 0, 0x41);
		assert_int_equal(take_and_end(cpu), 0x41);
		assert_false(cpu->irq_inside);
	}
	apic_write(cpu, APIC_TDCR, 0xb);
	apic_write(cpu, APIC_LVT_TIMER, 0xec);
	apic_write(cpu, APIC_TMICT, 1000);
	fake_advance(1000);
	assert_int_equal(take_and_end(cpu), 0xec);
	assert_true(cpu->irq_inside);
	lapic_error(cpu->lapic, APIC_ESR_REGISTER);
	apic_write(cpu, APIC_LVT_ERROR, 0x42);
	ipi(cpu, 1, 0x0f);
	assert_int_equal(take_and_end(cpu), 0x42);
	assert_false(cpu->irq_inside);
}

/* --- the timer ---------------------------------------------------------------------------- */

static void test_oneshot(void **state)
{
	(void)state;
	apic_write(cpu, APIC_TDCR, 0xb);		/* by 1 */
	apic_write(cpu, APIC_LVT_TIMER, 0xec);
	assert_true(lapic_timer_deadline(cpu) == 0);
	apic_write(cpu, APIC_TMICT, 1000000);
	assert_true(lapic_timer_deadline(cpu) == fake_now + 1000000);
	fake_advance(400000);
	assert_int_equal(apic_read(cpu, APIC_TMCCT), 600000);
	assert_int_equal(irq_pending(cpu), -1);
	fake_requests(cpu);
	fake_advance(600000);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(apic_read(cpu, APIC_TMCCT), 0);
	assert_true(lapic_timer_deadline(cpu) == 0);
	fake_advance(10000000);
	assert_int_equal(irq_pending(cpu), -1);
	/* By 16, and stopped. */
	apic_write(cpu, APIC_TDCR, 0x3);
	apic_write(cpu, APIC_TMICT, 1000);
	assert_true(lapic_timer_deadline(cpu) == fake_now + 16000);
	apic_write(cpu, APIC_TMICT, 0);
	assert_true(lapic_timer_deadline(cpu) == 0);
	fake_advance(100000);
	assert_int_equal(irq_pending(cpu), -1);
	/* The divider changes while it runs. */
	apic_write(cpu, APIC_TMICT, 1000);
	fake_advance(8000);
	apic_write(cpu, APIC_TDCR, 0xb);
	assert_int_equal(apic_read(cpu, APIC_TMCCT), 500);
	assert_true(lapic_timer_deadline(cpu) == fake_now + 500);
}

/* The vCPU wakes by itself and polls; the bell comes too, before or after. */
static void test_poll(void **state)
{
	(void)state;
	apic_write(cpu, APIC_TDCR, 0xb);
	apic_write(cpu, APIC_LVT_TIMER, 0xec);
	apic_write(cpu, APIC_TMICT, 1000000);
	fake_now += 1000000;		/* no timer rang */
	lapic_timer_poll(cpu);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	fake_advance(1);
	assert_int_equal(irq_pending(cpu), -1);
	/* Moved away and back: the early bell moves itself. */
	apic_write(cpu, APIC_TMICT, 1000000);
	apic_write(cpu, APIC_TMICT, 5000000);
	fake_advance(4999999);
	assert_int_equal(irq_pending(cpu), -1);
	fake_advance(1);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	apic_write(cpu, APIC_TMICT, 5000000);
	apic_write(cpu, APIC_TMICT, 1000);
	fake_advance(1000);
	assert_int_equal(irq_ack(cpu), 0xec);
}

static void test_masked_timer(void **state)
{
	(void)state;
	apic_write(cpu, APIC_TDCR, 0xb);
	apic_write(cpu, APIC_LVT_TIMER, APIC_LVT_MASKED | 0xec);
	apic_write(cpu, APIC_TMICT, 1000000);
	assert_true(lapic_timer_deadline(cpu) == 0);
	assert_int_equal(apic_read(cpu, APIC_TMCCT), 1000000);
	fake_advance(2000000);
	apic_write(cpu, APIC_LVT_TIMER, 0xec);
	assert_int_equal(irq_pending(cpu), -1);		/* it was over before */
}

static void test_periodic(void **state)
{
	u32 n, i;

	(void)state;
	apic_write(cpu, APIC_TDCR, 0xb);
	apic_write(cpu, APIC_LVT_TIMER, APIC_TIMER_PERIODIC | 0xec);
	apic_write(cpu, APIC_TMICT, 1000000);
	for (n = 0, i = 0; i < 100; i++) {
		fake_advance(100000);
		if (irq_ack(cpu) == 0xec) {
			apic_write(cpu, APIC_EOI, 0);
			n++;
		}
	}
	assert_int_equal(n, 10);
	/* An hour away: one interrupt, and on the old beat again. */
	fake_timers_rung = 0;
	fake_advance(3600 * NSEC_PER_SEC + 300000);
	assert_true(fake_timers_rung < 10);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_pending(cpu), -1);
	assert_int_equal(apic_read(cpu, APIC_TMCCT), 700000);
	/* No faster than 200 us. */
	apic_write(cpu, APIC_TMICT, 1);
	assert_true(lapic_timer_deadline(cpu) == fake_now + 200000);
}

static void test_tscdeadline(void **state)
{
	(void)state;
	lapic_set_tscdeadline(cpu, fake_now + 1);	/* not in that mode */
	assert_true(lapic_get_tscdeadline(cpu) == 0);
	apic_write(cpu, APIC_LVT_TIMER, APIC_TIMER_TSCDEADLINE | 0xec);
	apic_write(cpu, APIC_TMICT, 1000);		/* ignored */
	assert_true(lapic_timer_deadline(cpu) == 0);
	lapic_set_tscdeadline(cpu, fake_now + 10000000);
	assert_true(lapic_get_tscdeadline(cpu) == fake_now + 10000000);
	fake_advance(9000000);
	assert_int_equal(irq_pending(cpu), -1);
	fake_advance(1000001);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	assert_true(lapic_get_tscdeadline(cpu) == 0);
	/* In the past: at once. */
	fake_requests(cpu);
	lapic_set_tscdeadline(cpu, 5);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0xec);
	apic_write(cpu, APIC_EOI, 0);
	/* So far away that nothing may overflow; then disarmed. */
	lapic_set_tscdeadline(cpu, ~0ull);
	fake_advance(NSEC_PER_SEC);
	assert_int_equal(irq_pending(cpu), -1);
	lapic_set_tscdeadline(cpu, 0);
	assert_true(lapic_timer_deadline(cpu) == 0);
	/* The guest's clock goes back while it waits. */
	lapic_set_tscdeadline(cpu, fake_now + 1000000);
	cpu->tsc_offset = (u64)-500000;
	fake_advance(1100000);
	assert_int_equal(irq_pending(cpu), -1);
	fake_advance(500000);
	assert_int_equal(irq_ack(cpu), 0xec);
	/* Leaving the mode disarms. */
	lapic_set_tscdeadline(cpu, fake_now + 1000000);
	apic_write(cpu, APIC_LVT_TIMER, 0xec);
	assert_true(lapic_timer_deadline(cpu) == 0);
}

/* --- state ---------------------------------------------------------------------------------- */

static u32 state_reg(const struct kvm_lapic_state *s, u32 off)
{
	u32 val;

	memcpy(&val, s->regs + off, 4);
	return val;
}

static void put_state_reg(struct kvm_lapic_state *s, u32 off, u32 val)
{
	memcpy(s->regs + off, &val, 4);
}

static void test_state(void **state)
{
	struct kvm_lapic_state a, b;

	(void)state;
	apic_write(other, APIC_TDCR, 0xb);
	apic_write(other, APIC_LVT_TIMER, 0xec);
	apic_write(other, APIC_TMICT, 1000000);
	ipi(cpu, 1, 0x41);
	ipi(cpu, 1, 0x61);
	assert_int_equal(irq_ack(other), 0x61);
	fake_advance(250000);
	assert_int_equal(lapic_get_state(other, &a), 0);
	assert_int_equal(state_reg(&a, APIC_ID), 0x01000000);
	assert_int_equal(state_reg(&a, APIC_TMCCT), 750000);
	assert_int_equal(state_reg(&a, APIC_PPR), 0x60);
	lapic_reset(other, false);
	assert_int_equal(lapic_set_state(other, &a), 0);
	assert_int_equal(lapic_get_state(other, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(lapic_timer_deadline(other) == fake_now + 750000);
	apic_write(other, APIC_EOI, 0);
	assert_int_equal(irq_ack(other), 0x41);
	memset(&a, 0xff, sizeof(a));
	assert_int_equal(lapic_set_state(other, &a), 0);
	irq_pending(other);
	irq_ack(other);
	apic_write(other, APIC_EOI, 0);
}

static void test_x2apic_state(void **state)
{
	struct kvm_lapic_state a;
	struct vcpu *big = fake_add_vcpu(vm, 300);

	(void)state;
	apic_enter_x2(other);
	assert_int_equal(lapic_get_state(other, &a), 0);
	assert_int_equal(state_reg(&a, APIC_ID), 0x01000000);
	assert_int_equal(state_reg(&a, APIC_LDR), 2);
	put_state_reg(&a, APIC_LDR, 0x55);
	assert_int_equal(lapic_set_state(other, &a), 0);
	assert_int_equal(rdmsr(other, 0x802), 1);
	assert_int_equal(rdmsr(other, 0x80d), 2);
	vm->x2apic_api_32bit = true;
	apic_enter_x2(big);
	assert_int_equal(lapic_get_state(big, &a), 0);
	assert_int_equal(state_reg(&a, APIC_ID), 300);
	put_state_reg(&a, APIC_ICR, 0x4041);
	put_state_reg(&a, APIC_ICR2, 77);
	assert_int_equal(lapic_set_state(big, &a), 0);
	assert_true(rdmsr(big, 0x830) == (77ull << 32 | 0x4041));
	put_state_reg(&a, APIC_ID, 301);
	assert_int_equal(lapic_set_state(big, &a), -EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reset_values), T(test_lvts), T(test_odd_accesses), T(test_base),
		T(test_x2apic_registers), T(test_priorities), T(test_xapic_destinations),
		T(test_x2apic_destinations), T(test_nmi), T(test_init_sipi), T(test_disabled),
		T(test_errors), T(test_wakes), T(test_inside), T(test_oneshot), T(test_poll),
		T(test_masked_timer), T(test_periodic), T(test_tscdeadline), T(test_state),
		T(test_x2apic_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
