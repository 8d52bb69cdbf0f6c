/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The IOAPIC: registers, edges and levels, remote IRR and the EOI broadcast,
 * destinations, the storm brake, state.
 */
#include "irq_fake.h"

#define MASKED (1ull << 16)
#define LEVEL (1ull << 15)
#define RIRR (1ull << 14)
#define LOGICAL (1ull << 11)
#define LOWEST (1ull << 8)
#define DEST(d) ((u64)(d) << 56)

static struct vm *vm;
static struct vcpu *cpu;

static int setup(void **state)
{
	u32 i;

	(void)state;
	vm = fake_vm(4);
	cpu = vm->vcpus[0];
	for (i = 0; i < 4; i++) {
		apic_enable(vm->vcpus[i]);
		apic_write(vm->vcpus[i], APIC_LVT_LINT0, APIC_LVT_MASKED);
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

static void test_registers(void **state)
{
	u64 val = 0x12345678abcdef00ull;
	u16 half;

	(void)state;
	assert_int_equal(ioapic_read_reg(vm, 1), 0x170011);
	ioapic_write_reg(vm, 1, 0);
	assert_int_equal(ioapic_read_reg(vm, 1), 0x170011);
	ioapic_write_reg(vm, 0, 0xff000000);
	assert_int_equal(ioapic_read_reg(vm, 0), 0x0f000000);
	assert_int_equal(ioapic_read_reg(vm, 0x10), MASKED);
	ioapic_write_pin(vm, 23, DEST(3) | MASKED | RIRR | (1 << 12) | 0x55);
	assert_int_equal(ioapic_read_reg(vm, 0x3e), MASKED | 0x55);	/* read-only bits */
	assert_int_equal(ioapic_read_reg(vm, 0x3f), 0x03000000);
	assert_int_equal(ioapic_read_reg(vm, 0x40), 0xffffffff);
	ioapic_write_reg(vm, 0xff, 0);
	assert_int_equal(ioapic_read_reg(vm, 5), 0xffffffff);
	host_mutex_lock(&vm->irq_lock);
	assert_int_equal(ioapic_mmio(vm->ioapic, IOAPIC_BASE + 0x100, 4, &val, true), -EOPNOTSUPP);
	val = 1;
	assert_int_equal(ioapic_mmio(vm->ioapic, IOAPIC_BASE, 8, &val, true), 0);
	val = ~0ull;
	assert_int_equal(ioapic_mmio(vm->ioapic, IOAPIC_BASE + 0x10, 8, &val, false), 0);
	assert_true(val == 0x170011);
	assert_int_equal(ioapic_mmio(vm->ioapic, IOAPIC_BASE + 0x10, 2, &half, false), 0);
	assert_int_equal(half, 0x11);
	host_mutex_unlock(&vm->irq_lock);
}

static void test_edge(void **state)
{
	(void)state;
	ioapic_write_pin(vm, 5, DEST(1) | 0x45);
	port_out(vm, 0x21, 0xff);
	assert_int_equal(irq_set_gsi(vm, 5, 1), 1);
	assert_int_equal(fake_requests(vm->vcpus[1]), REQ_EVENT);
	assert_int_equal(fake_requests(cpu), 0);
	assert_int_equal(irq_ack(vm->vcpus[1]), 0x45);
	assert_int_equal(irq_set_gsi(vm, 5, 1), 0);	/* no edge */
	assert_int_equal(irq_pending(vm->vcpus[1]), -1);
	irq_set_gsi(vm, 5, 0);
	apic_write(vm->vcpus[1], APIC_EOI, 0);
	irq_set_gsi(vm, 5, 1);
	assert_int_equal(irq_ack(vm->vcpus[1]), 0x45);
	assert_int_equal(ioapic_read_reg(vm, 0x1a), 0x45);
	/* Masked edges are lost. */
	irq_set_gsi(vm, 6, 0);
	assert_int_equal(irq_set_gsi(vm, 6, 1), -1);
	ioapic_write_pin(vm, 6, DEST(1) | 0x46);
	apic_write(vm->vcpus[1], APIC_EOI, 0);
	assert_int_equal(irq_pending(vm->vcpus[1]), -1);
}

static void test_level(void **state)
{
	(void)state;
	ioapic_write_pin(vm, 17, DEST(2) | LEVEL | 0x61);
	assert_int_equal(irq_set_gsi(vm, 17, 1), 1);
	assert_int_equal(ioapic_read_reg(vm, 0x32), LEVEL | RIRR | 0x61);
	assert_true(irq_set_gsi(vm, 17, 1) < 0);	/* waits for its EOI */
	assert_int_equal(irq_ack(vm->vcpus[2]), 0x61);
	fake_requests(vm->vcpus[2]);
	apic_write(vm->vcpus[2], APIC_EOI, 0);	/* still asserted: again */
	assert_int_equal(fake_requests(vm->vcpus[2]), REQ_EVENT);
	assert_int_equal(irq_ack(vm->vcpus[2]), 0x61);
	irq_set_gsi(vm, 17, 0);
	apic_write(vm->vcpus[2], APIC_EOI, 0);
	assert_int_equal(irq_pending(vm->vcpus[2]), -1);
	assert_int_equal(ioapic_read_reg(vm, 0x32), LEVEL | 0x61);
	/* Masked while asserted, served when unmasked. */
	ioapic_write_pin(vm, 17, DEST(2) | LEVEL | MASKED | 0x61);
	assert_int_equal(irq_set_gsi(vm, 17, 1), -1);
	ioapic_write_pin(vm, 17, DEST(2) | LEVEL | 0x61);
	assert_int_equal(irq_ack(vm->vcpus[2]), 0x61);
	/* Made an edge entry and a level one again: an EOI without EOI register. */
	ioapic_write_reg(vm, 0x32, MASKED | 0x61);
	assert_int_equal(ioapic_read_reg(vm, 0x32), MASKED | 0x61);
}

static void test_disabled_target(void **state)
{
	(void)state;
	ioapic_write_pin(vm, 17, DEST(9) | LEVEL | 0x61);
	assert_int_equal(irq_set_gsi(vm, 17, 1), 0);
	assert_int_equal(ioapic_read_reg(vm, 0x32), LEVEL | 0x61);
	apic_write(vm->vcpus[3], APIC_SPIV, 0xff);
	ioapic_write_pin(vm, 18, DEST(3) | 0x62);
	assert_int_equal(irq_set_gsi(vm, 18, 1), 0);
}

static void test_destinations(void **state)
{
	u32 i, hit[4] = { 0 };

	(void)state;
	for (i = 0; i < 4; i++)
		apic_write(vm->vcpus[i], APIC_LDR, 1u << (24 + i));
	ioapic_write_pin(vm, 16, DEST(0xa) | LOGICAL | 0x71);
	assert_int_equal(irq_set_gsi(vm, 16, 1), 2);
	for (i = 0; i < 4; i++)
		assert_int_equal(irq_pending(vm->vcpus[i]), i & 1 ? 0x71 : -1);
	ioapic_write_pin(vm, 17, DEST(0xff) | 0x72);
	assert_int_equal(irq_set_gsi(vm, 17, 1), 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(irq_ack(vm->vcpus[i]), 0x72);
	/* Lowest priority: one of those named, spread by vector. */
	for (i = 0; i < 16; i++) {
		ioapic_write_pin(vm, 20, DEST(0xf) | LOGICAL | LOWEST | (0x80 + i));
		irq_set_gsi(vm, 20, 0);
		assert_int_equal(irq_set_gsi(vm, 20, 1), 1);
	}
	for (i = 0; i < 4; i++) {
		int v;

		while ((v = irq_ack(vm->vcpus[i])) >= 0) {
			apic_write(vm->vcpus[i], APIC_EOI, 0);
			hit[i] += v >= 0x80;
		}
		assert_int_equal(hit[i], 4);
	}
}

static void test_x2apic_broadcast(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 4; i++)
		apic_enter_x2(vm->vcpus[i]);
	ioapic_write_pin(vm, 17, DEST(0xff) | 0x72);
	assert_int_equal(irq_set_gsi(vm, 17, 1), 4);
	irq_set_gsi(vm, 17, 0);
	vm->x2apic_no_broadcast_quirk = true;
	assert_int_equal(irq_set_gsi(vm, 17, 1), 0);
	ioapic_write_pin(vm, 17, DEST(0xff) | LOGICAL | 0x72);	/* cluster 0, CPUs 0..7 */
	irq_set_gsi(vm, 17, 0);
	assert_int_equal(irq_set_gsi(vm, 17, 1), 4);
}

static void test_storm(void **state)
{
	u32 i;

	(void)state;
	ioapic_write_pin(vm, 17, LEVEL | 0x61);
	irq_set_gsi(vm, 17, 1);
	for (i = 0; i < 20000; i++) {
		if (irq_ack(cpu) < 0)
			break;
		apic_write(cpu, APIC_EOI, 0);
	}
	assert_int_equal(i, 10000);
	fake_advance(9000000);
	assert_int_equal(irq_pending(cpu), -1);
	fake_advance(2000000);
	assert_int_equal(irq_pending(cpu), 0x61);
}

static void test_state(void **state)
{
	struct kvm_irqchip a, b;
	u32 i;

	(void)state;
	ioapic_write_pin(vm, 17, LEVEL | 0x61);
	ioapic_write_pin(vm, 4, 0x44);
	irq_set_gsi(vm, 17, 1);
	irq_set_gsi(vm, 4, 1);
	memset(&a, 0, sizeof(a));
	a.chip_id = KVM_IRQCHIP_IOAPIC;
	assert_int_equal(irqchip_get(vm, &a), 0);
	assert_true(a.chip.ioapic.base_address == IOAPIC_BASE);
	assert_int_equal(a.chip.ioapic.irr, 1 << 17);	/* the edge was delivered */
	assert_int_equal(a.chip.ioapic.redirtbl[17].fields.remote_irr, 1);
	assert_int_equal(a.chip.ioapic.redirtbl[4].fields.vector, 0x44);
	assert_int_equal(irqchip_set(vm, &a), 0);
	b = a;
	assert_int_equal(irqchip_get(vm, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	/* An interrupt that waited is sent by the restored chip. */
	apic_write(cpu, APIC_EOI, 0);
	while (irq_ack(cpu) >= 0)
		apic_write(cpu, APIC_EOI, 0);
	irq_set_gsi(vm, 17, 0);
	a.chip.ioapic.redirtbl[17].fields.remote_irr = 0;
	assert_int_equal(irqchip_set(vm, &a), 0);
	assert_int_equal(irq_pending(cpu), 0x61);
	memset(&a, 0xff, sizeof(a));
	a.chip_id = KVM_IRQCHIP_IOAPIC;
	assert_int_equal(irqchip_set(vm, &a), 0);
	for (i = 0; i < 24; i++)
		irq_set_gsi(vm, i, 1);
	assert_int_equal(ioapic_read_reg(vm, 0x10), 0xffffffff);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_registers), T(test_edge), T(test_level), T(test_disabled_target),
		T(test_destinations), T(test_x2apic_broadcast), T(test_storm), T(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
