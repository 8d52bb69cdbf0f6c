/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GSI routing, MSIs, irqfds with and without resampling, ioeventfds.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "irq_fake.h"

static struct vm *vm;
static struct vcpu *cpu;

static int setup(void **state)
{
	u32 i;

	(void)state;
	vm = fake_vm(4);
	cpu = vm->vcpus[0];
	for (i = 0; i < 4; i++)
		apic_enable(vm->vcpus[i]);
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

static struct kvm_irq_routing_entry pin(u32 gsi, u32 chip, u32 n)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

	e.u.irqchip.irqchip = chip;
	e.u.irqchip.pin = n;
	return e;
}

static struct kvm_irq_routing_entry msi(u32 gsi, u32 lo, u32 hi, u32 data)
{
	struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };

	e.u.msi.address_lo = lo;
	e.u.msi.address_hi = hi;
	e.u.msi.data = data;
	return e;
}

static int set_one(struct kvm_irq_routing_entry e)
{
	return routing_set(vm, &e, 1);
}

static int set_two(struct kvm_irq_routing_entry a, struct kvm_irq_routing_entry b)
{
	struct kvm_irq_routing_entry e[2] = { a, b };

	return routing_set(vm, e, 2);
}

static void test_default(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 24; i++)
		ioapic_write_pin(vm, i, 1ull << 56 | (0x40 + i));
	for (i = 0; i < 24; i++) {
		int n = irq_set_gsi(vm, i, 1);

		/* Pin 2 of the PIC is the cascade, and takes an edge as well. */
		assert_int_equal(n, i < 16 ? 2 : 1);
		assert_int_equal(irq_ack(vm->vcpus[1]), 0x40 + i);
		apic_write(vm->vcpus[1], APIC_EOI, 0);
		irq_set_gsi(vm, i, 0);
	}
	assert_int_equal(irq_ack(cpu), 0x20);
	assert_int_equal(irq_set_gsi(vm, 24, 1), -1);
	assert_int_equal(irq_set_gsi(vm, 0xffffffff, 1), -1);
}

static void test_validation(void **state)
{
	struct kvm_irq_routing_entry e;

	(void)state;
	assert_int_equal(set_one(pin(4095, KVM_IRQCHIP_IOAPIC, 23)), 0);
	assert_int_equal(set_one(pin(4096, KVM_IRQCHIP_IOAPIC, 0)), -EINVAL);
	assert_int_equal(set_one(pin(0xffffffff, KVM_IRQCHIP_IOAPIC, 0)), -EINVAL);
	assert_int_equal(set_one(pin(1, KVM_IRQCHIP_IOAPIC, 24)), -EINVAL);
	assert_int_equal(set_one(pin(1, KVM_IRQCHIP_PIC_MASTER, 8)), -EINVAL);
	assert_int_equal(set_one(pin(1, KVM_IRQCHIP_PIC_SLAVE, 8)), -EINVAL);
	assert_int_equal(set_one(pin(1, 3, 0)), -EINVAL);
	assert_int_equal(set_one(pin(1, 0xffffffff, 0)), -EINVAL);
	e = pin(1, 0, 0);
	e.flags = 1;
	assert_int_equal(set_one(e), -EINVAL);
	e.flags = 0;
	e.type = 0;
	assert_int_equal(set_one(e), -EINVAL);
	e.type = KVM_IRQ_ROUTING_S390_ADAPTER;
	assert_int_equal(set_one(e), -EINVAL);
	e = msi(1, 0xfee00000, 0, 0x41);
	e.flags = KVM_MSI_VALID_DEVID;
	assert_int_equal(set_one(e), 0);
	e.flags = 2;
	assert_int_equal(set_one(e), -EINVAL);
	assert_int_equal(set_two(pin(1, 0, 1), pin(1, 0, 2)), -EINVAL);
	assert_int_equal(set_two(pin(1, 0, 1), msi(1, 0xfee00000, 0, 0x41)), -EINVAL);
	assert_int_equal(set_two(msi(1, 0xfee00000, 0, 0x41), pin(1, 0, 1)), -EINVAL);
	assert_int_equal(set_two(pin(1, 0, 1), pin(1, 1, 1)), 0);
	vm->x2apic_api_32bit = true;
	assert_int_equal(set_one(msi(1, 0xfee00000, 1, 0x41)), -EINVAL);
	assert_int_equal(set_one(msi(1, 0xfee00000, 0x100, 0x41)), 0);
	/* A refused table leaves the old one. */
	assert_int_equal(set_one(pin(77, KVM_IRQCHIP_IOAPIC, 5)), 0);
	assert_int_equal(set_one(pin(78, 9, 9)), -EINVAL);
	ioapic_write_pin(vm, 5, 0x55);
	assert_int_equal(irq_set_gsi(vm, 77, 1), 1);
	assert_int_equal(routing_set(vm, NULL, 0), 0);
	assert_int_equal(irq_set_gsi(vm, 77, 1), -1);
}

static void test_msi(void **state)
{
	struct kvm_msi m = { .address_lo = 0xfee02000, .data = 0x41 };

	(void)state;
	assert_int_equal(irq_send_msi(vm, &m), 1);
	assert_int_equal(irq_ack(vm->vcpus[2]), 0x41);
	m.flags = 2;
	assert_int_equal(irq_send_msi(vm, &m), -EINVAL);
	m.flags = 0;
	m.address_lo = 0xfee09000;
	assert_int_equal(irq_send_msi(vm, &m), 0);
	m.address_lo = 0xfee03000;
	m.data = 0x400;
	assert_int_equal(irq_send_msi(vm, &m), 1);
	assert_int_equal(vm->vcpus[3]->nmi.pending, 1);
	assert_int_equal(set_one(msi(100, 0xfee01000, 0, 0x61)), 0);
	assert_int_equal(irq_set_gsi(vm, 100, 1), 1);
	assert_int_equal(irq_set_gsi(vm, 100, 0), -1);
	assert_int_equal(irq_ack(vm->vcpus[1]), 0x61);
}

static void test_msi_x2apic(void **state)
{
	struct vcpu *big = fake_add_vcpu(vm, 0x123);
	struct kvm_msi m = { .address_lo = 0xfee23000, .address_hi = 0x100, .data = 0x41 };

	(void)state;
	apic_enable(big);
	apic_enter_x2(big);
	assert_int_equal(irq_send_msi(vm, &m), 0);
	vm->x2apic_api_32bit = true;
	assert_int_equal(irq_send_msi(vm, &m), 1);
	assert_int_equal(irq_ack(big), 0x41);
	m.address_hi = 0x1ff;
	assert_int_equal(irq_send_msi(vm, &m), -EINVAL);
}

/* --- irqfd --------------------------------------------------------------------------- */

static int irqfd(int fd, u32 gsi, u32 flags, int resample)
{
	struct kvm_irqfd a = { .fd = (u32)fd, .gsi = gsi, .flags = flags,
			       .resamplefd = (u32)resample };

	return irqfd_assign(vm, &a);
}

static void test_irqfd(void **state)
{
	int fd = eventfd(0, 0), again = dup(fd), fd2 = eventfd(0, 0), p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(irqfd(-1, 4, 0, 0), -EBADF);
	assert_int_equal(irqfd(999, 4, 0, 0), -EBADF);
	assert_int_equal(irqfd(p[0], 4, 0, 0), -EINVAL);
	assert_int_equal(irqfd(fd, 4, 4, 0), -EINVAL);
	assert_int_equal(irqfd(fd, 4, 0, 0), 0);
	assert_int_equal(irqfd(fd, 5, 0, 0), -EBUSY);
	assert_int_equal(irqfd(again, 5, 0, 0), -EBUSY);
	assert_int_equal(irqfd(fd2, 4, 0, 0), 0);
	fake_ring_fd(fd);
	assert_int_equal(irq_pending(cpu), -1);
	host_eventfd_signal(fd);
	fake_ring_fd(fd);
	assert_int_equal(irq_ack(cpu), 0x24);
	port_out(vm, 0x20, 0x20);
	host_eventfd_signal(fd2);
	fake_ring_fd(fd2);
	assert_int_equal(irq_ack(cpu), 0x24);
	/* Deassigned by another number of the same eventfd, and only for its GSI. */
	assert_int_equal(irqfd(again, 5, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(fake_watched(), 2);
	assert_int_equal(irqfd(again, 4, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(fake_watched(), 1);
	assert_int_equal(irqfd(fd, 7, 0, 0), 0);
	close(fd);
	close(again);
	close(fd2);
	close(p[0]);
	close(p[1]);
}

static u64 count_of(int fd)
{
	return host_eventfd_take(fd);
}

static void test_resample(void **state)
{
	int a = eventfd(0, 0), b = eventfd(0, 0), ra = eventfd(0, 0), rb = eventfd(0, 0);

	(void)state;
	ioapic_write_pin(vm, 17, BIT(15) | 0x61);
	assert_int_equal(irqfd(a, 17, KVM_IRQFD_FLAG_RESAMPLE, -1), -EBADF);
	assert_int_equal(irqfd(a, 17, KVM_IRQFD_FLAG_RESAMPLE, ra), 0);
	assert_int_equal(irqfd(b, 17, KVM_IRQFD_FLAG_RESAMPLE, rb), 0);
	host_eventfd_signal(a);
	fake_ring_fd(a);
	assert_int_equal(irq_ack(cpu), 0x61);
	assert_int_equal(count_of(ra), 0);
	apic_write(cpu, APIC_EOI, 0);
	/* The line fell by itself; both are asked to look. */
	assert_int_equal(irq_pending(cpu), -1);
	assert_int_equal(count_of(ra), 1);
	assert_int_equal(count_of(rb), 1);
	/* Another source keeps it up. */
	irq_set_gsi(vm, 17, 1);
	assert_int_equal(irq_ack(cpu), 0x61);
	host_eventfd_signal(b);
	fake_ring_fd(b);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_ack(cpu), 0x61);
	irq_set_gsi(vm, 17, 0);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_pending(cpu), -1);
	count_of(ra);
	/* Deassigning the last lets the line go. */
	host_eventfd_signal(a);
	fake_ring_fd(a);
	assert_int_equal(irq_ack(cpu), 0x61);
	assert_int_equal(irqfd(a, 17, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	assert_int_equal(irqfd(b, 17, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(irq_pending(cpu), -1);
	assert_int_equal(count_of(ra), 0);
	/* Through the PIC, and through an edge pin of the IOAPIC. */
	assert_int_equal(irqfd(a, 11, KVM_IRQFD_FLAG_RESAMPLE, ra), 0);
	port_out(vm, 0x4d1, 0x08);
	host_eventfd_signal(a);
	fake_ring_fd(a);
	assert_int_equal(irq_ack(cpu), 0x2b);
	port_out(vm, 0xa0, 0x20);
	assert_int_equal(count_of(ra), 1);
	port_out(vm, 0x20, 0x20);
	assert_int_equal(irq_pending(cpu), -1);
	port_out(vm, 0xa1, 0xff);
	ioapic_write_pin(vm, 11, 0x4b);
	host_eventfd_signal(a);
	fake_ring_fd(a);
	assert_int_equal(irq_ack(cpu), 0x4b);
	apic_write(cpu, APIC_EOI, 0);
	assert_int_equal(count_of(ra), 1);
	close(a);
	close(b);
	close(ra);
	close(rb);
}

/* --- ioeventfd ------------------------------------------------------------------------ */

static int ioefd(int fd, u64 addr, u32 len, u32 flags, u64 match)
{
	struct kvm_ioeventfd a = { .datamatch = match, .addr = addr, .len = len, .fd = fd,
				   .flags = flags };

	return ioeventfd_assign(vm, &a);
}

#define PIO KVM_IOEVENTFD_FLAG_PIO
#define MATCH KVM_IOEVENTFD_FLAG_DATAMATCH
#define DEASSIGN KVM_IOEVENTFD_FLAG_DEASSIGN

static void test_ioeventfd_args(void **state)
{
	int fd = eventfd(0, 0);

	(void)state;
	assert_int_equal(ioefd(-1, 0x100, 4, 0, 0), -EBADF);
	assert_int_equal(ioefd(0, 0x100, 4, 0, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 3, 0, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 16, 0, 0), -EINVAL);
	assert_int_equal(ioefd(fd, ~0ull, 2, 0, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 0, MATCH, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 4, KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 4, 0x10, 0), -EINVAL);
	assert_int_equal(ioefd(fd, 0x100, 4, DEASSIGN, 0), -ENOENT);
	assert_int_equal(ioefd(fd, 0x100, 4, 0, 0), 0);
	assert_int_equal(ioefd(fd, 0x100, 4, MATCH, 7), -EEXIST);
	assert_int_equal(ioefd(fd, 0x100, 0, 0, 0), -EEXIST);
	assert_int_equal(ioefd(fd, 0x100, 2, 0, 0), 0);
	assert_int_equal(ioefd(fd, 0x100, 4, PIO | MATCH, 7), 0);
	assert_int_equal(ioefd(fd, 0x100, 4, PIO | MATCH, 8), 0);
	assert_int_equal(ioefd(fd, 0x100, 4, PIO | MATCH, 7), -EEXIST);
	assert_int_equal(ioefd(fd, 0x100, 4, PIO, 0), -EEXIST);
	close(fd);
}

static void test_ioeventfd(void **state)
{
	int a = eventfd(0, 0), b = eventfd(0, 0), c = eventfd(0, 0), other = dup(a);
	u64 val = 7;
	u32 i;

	(void)state;
	assert_false(ioeventfd_write(vm, false, 0x1000, 4, &val));
	assert_int_equal(ioefd(a, 0x1000, 4, MATCH, 7), 0);
	assert_int_equal(ioefd(b, 0x1000, 4, MATCH, 8), 0);
	assert_int_equal(ioefd(c, 0x1000, 0, PIO, 0), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(ioefd(c, 0x2000 + (i * 37 % 100) * 8, 2, 0, 0), 0);
	assert_true(ioeventfd_write(vm, false, 0x1000, 4, &val));
	assert_int_equal(count_of(a), 1);
	val = 8;
	assert_true(ioeventfd_write(vm, false, 0x1000, 4, &val));
	assert_int_equal(count_of(b), 1);
	val = 9;
	assert_false(ioeventfd_write(vm, false, 0x1000, 4, &val));
	assert_false(ioeventfd_write(vm, false, 0x1000, 2, &val));
	assert_false(ioeventfd_write(vm, false, 0x1001, 4, &val));
	assert_true(ioeventfd_write(vm, true, 0x1000, 1, &val));
	assert_true(ioeventfd_write(vm, true, 0x1000, 4, &val));
	assert_int_equal(count_of(c), 2);
	for (i = 0; i < 100; i++)
		assert_true(ioeventfd_write(vm, false, 0x2000 + i * 8, 2, &val));
	assert_int_equal(count_of(c), 100);
	assert_int_equal(ioefd(other, 0x1000, 4, MATCH | DEASSIGN, 8), -ENOENT);
	assert_int_equal(ioefd(other, 0x1000, 4, DEASSIGN, 7), -ENOENT);
	assert_int_equal(ioefd(other, 0x1000, 4, MATCH | DEASSIGN, 7), 0);
	val = 7;
	assert_false(ioeventfd_write(vm, false, 0x1000, 4, &val));
	val = 8;
	assert_true(ioeventfd_write(vm, false, 0x1000, 4, &val));
	for (i = 0; i < 100; i += 2)
		assert_int_equal(ioefd(c, 0x2000 + i * 8, 2, DEASSIGN, 0), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(ioeventfd_write(vm, false, 0x2000 + i * 8, 2, &val), i & 1);
	close(a);
	close(b);
	close(c);
	close(other);
}

static void test_create(void **state)
{
	(void)state;
	assert_int_equal(irqchip_create(vm), -EEXIST);
	vm->irqchip = false;
	assert_int_equal(irqchip_create(vm), -EINVAL);	/* there are vCPUs */
	vm->irqchip = true;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_default), T(test_validation), T(test_msi), T(test_msi_x2apic),
		T(test_irqfd), T(test_resample), T(test_ioeventfd_args), T(test_ioeventfd),
		T(test_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
