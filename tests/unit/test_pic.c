/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8259 pair: initialisation, priorities and their rotation, cascade, edge
 * and level, the three kinds of EOI, poll, special mask, state.
 */
#include "irq_fake.h"

static struct vm *vm;
static struct vcpu *cpu;

static int setup(void **state)
{
	(void)state;
	vm = fake_vm(1);
	cpu = vm->vcpus[0];
	pic_init_pc(vm);
	fake_requests(cpu);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_free(vm);
	return 0;
}

static void eoi(u16 port)
{
	port_out(vm, port, 0x20);
}

static void test_edge(void **state)
{
	(void)state;
	assert_int_equal(irq_pending(cpu), -1);
	assert_true(irq_set_gsi(vm, 4, 1) > 0);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_pending(cpu), 0x24);
	/* Held high is no second edge; a second edge before the first was taken is coalesced. */
	assert_int_equal(port_in(vm, 0x20), 0x10);
	irq_set_gsi(vm, 4, 0);
	assert_int_equal(irq_set_gsi(vm, 4, 1), 0);
	assert_int_equal(irq_ack(cpu), 0x24);
	assert_int_equal(irq_ack(cpu), -1);
	port_out(vm, 0x20, 0x0b);
	assert_int_equal(port_in(vm, 0x20), 0x10);
	/* Blocked by its own service until EOI. */
	irq_set_gsi(vm, 4, 0);
	irq_set_gsi(vm, 4, 1);
	assert_int_equal(irq_pending(cpu), -1);
	fake_requests(cpu);
	eoi(0x20);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0x24);
}

static void test_level(void **state)
{
	(void)state;
	port_out(vm, 0x4d0, 0xff);
	assert_int_equal(port_in(vm, 0x4d0), 0xf8);
	port_out(vm, 0x4d1, 0xff);
	assert_int_equal(port_in(vm, 0x4d1), 0xde);
	irq_set_gsi(vm, 11, 1);
	assert_int_equal(irq_ack(cpu), 0x2b);
	eoi(0xa0);
	eoi(0x20);
	assert_int_equal(irq_ack(cpu), 0x2b);
	irq_set_gsi(vm, 11, 0);
	eoi(0xa0);
	eoi(0x20);
	assert_int_equal(irq_pending(cpu), -1);
	/* Withdrawn before the acknowledgement. */
	irq_set_gsi(vm, 11, 1);
	irq_set_gsi(vm, 11, 0);
	assert_int_equal(irq_pending(cpu), 0x2f);	/* the slave's spurious vector */
}

static void test_priorities(void **state)
{
	(void)state;
	irq_set_gsi(vm, 7, 1);
	irq_set_gsi(vm, 3, 1);
	irq_set_gsi(vm, 9, 1);
	assert_int_equal(irq_ack(cpu), 0x29);
	irq_set_gsi(vm, 1, 1);
	assert_int_equal(irq_ack(cpu), 0x21);	/* nests over the slave */
	assert_int_equal(irq_pending(cpu), -1);
	eoi(0x20);
	eoi(0xa0);
	eoi(0x20);
	assert_int_equal(irq_ack(cpu), 0x23);
	/* Specific EOI of something else, then the right one. */
	port_out(vm, 0x20, 0x65);
	assert_int_equal(irq_pending(cpu), -1);
	port_out(vm, 0x20, 0x63);
	assert_int_equal(irq_ack(cpu), 0x27);
}

static void test_rotation(void **state)
{
	(void)state;
	port_out(vm, 0x20, 0xc2);	/* pin 2 lowest: pin 3 highest */
	irq_set_gsi(vm, 1, 1);
	irq_set_gsi(vm, 5, 1);
	assert_int_equal(irq_ack(cpu), 0x25);
	port_out(vm, 0x20, 0xa0);	/* rotating EOI: 5 becomes lowest */
	irq_set_gsi(vm, 5, 0);
	irq_set_gsi(vm, 5, 1);
	assert_int_equal(irq_ack(cpu), 0x21);
	eoi(0x20);
	assert_int_equal(irq_ack(cpu), 0x25);
}

static void test_mask(void **state)
{
	(void)state;
	port_out(vm, 0x21, 0x10);
	assert_int_equal(port_in(vm, 0x21), 0x10);
	irq_set_gsi(vm, 4, 1);
	assert_int_equal(irq_pending(cpu), -1);
	fake_requests(cpu);
	port_out(vm, 0x21, 0);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_pending(cpu), 0x24);
}

static void test_special_mask(void **state)
{
	(void)state;
	irq_set_gsi(vm, 3, 1);
	assert_int_equal(irq_ack(cpu), 0x23);
	irq_set_gsi(vm, 5, 1);
	assert_int_equal(irq_pending(cpu), -1);
	port_out(vm, 0x20, 0x68);	/* special mask mode on */
	port_out(vm, 0x21, 0x08);
	assert_int_equal(irq_pending(cpu), 0x25);
	port_out(vm, 0x20, 0x48);
	assert_int_equal(irq_pending(cpu), -1);
}

static void test_poll_and_auto_eoi(void **state)
{
	(void)state;
	irq_set_gsi(vm, 6, 1);
	port_out(vm, 0x20, 0x0c);
	assert_int_equal(port_in(vm, 0x20) & 7, 6);
	assert_int_equal(irq_pending(cpu), -1);
	port_out(vm, 0x20, 0x11);
	port_out(vm, 0x21, 0x20);
	port_out(vm, 0x21, 0x04);
	port_out(vm, 0x21, 0x03);	/* automatic EOI */
	irq_set_gsi(vm, 6, 0);
	irq_set_gsi(vm, 6, 1);
	assert_int_equal(irq_ack(cpu), 0x26);
	port_out(vm, 0x20, 0x0b);
	assert_int_equal(port_in(vm, 0x20), 0);
}

static void test_lint0(void **state)
{
	(void)state;
	apic_enable(cpu);
	irq_set_gsi(vm, 4, 1);
	assert_int_equal(irq_pending(cpu), 0x24);
	apic_write(cpu, APIC_LVT_LINT0, APIC_LVT_MASKED | 0x700);
	assert_int_equal(irq_pending(cpu), -1);
	fake_requests(cpu);
	apic_write(cpu, APIC_LVT_LINT0, 0x700);
	assert_int_equal(fake_requests(cpu), REQ_EVENT);
	assert_int_equal(irq_ack(cpu), 0x24);
}

static void test_state(void **state)
{
	struct kvm_irqchip a, b;
	u32 id;

	(void)state;
	irq_set_gsi(vm, 4, 1);
	irq_set_gsi(vm, 12, 1);
	assert_int_equal(irq_ack(cpu), 0x2c);
	for (id = 0; id < 2; id++) {
		memset(&a, 0, sizeof(a));
		a.chip_id = id;
		assert_int_equal(irqchip_get(vm, &a), 0);
		assert_int_equal(a.chip.pic.irq_base, id ? 0x28 : 0x20);
		assert_int_equal(a.chip.pic.isr, id ? 0x10 : 0x04);
		assert_int_equal(irqchip_set(vm, &a), 0);
		b = a;
		assert_int_equal(irqchip_get(vm, &b), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	/* Anything a hostile caller writes is survived. */
	memset(&a, 0xff, sizeof(a));
	a.chip_id = 0;
	assert_int_equal(irqchip_set(vm, &a), 0);
	a.chip_id = 1;
	assert_int_equal(irqchip_set(vm, &a), 0);
	for (id = 0; id < 16; id++) {
		irq_set_gsi(vm, id, 1);
		irq_pending(cpu);
		irq_ack(cpu);
		port_out(vm, 0x20, 0x20);
	}
	a.chip_id = 3;
	assert_int_equal(irqchip_get(vm, &a), -EINVAL);
	assert_int_equal(irqchip_set(vm, &a), -EINVAL);
}

static void test_odd_accesses(void **state)
{
	u32 val = 0xffffffff;

	(void)state;
	assert_int_equal(pic_io(vm->pic, 0x20, 2, &val, false), 0);
	assert_int_equal(val, 0xffff0000);
	assert_int_equal(pic_io(vm->pic, 0x21, 4, &val, true), 0);
	assert_int_equal(port_in(vm, 0x21), 0);
	assert_int_equal(pic_io(vm->pic, 0x22, 1, &val, true), -EOPNOTSUPP);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_edge), T(test_level), T(test_priorities), T(test_rotation), T(test_mask),
		T(test_special_mask), T(test_poll_and_auto_eoi), T(test_lint0), T(test_state),
		T(test_odd_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
