/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8254: counts and how they are read, every mode's output, channel 0's
 * ticks and their reinjection, the speaker port, state.
 */
#include "irq_fake.h"

#define TICK_NS(n) ((u64)(n) * NSEC_PER_SEC / 1193182 + 1)

static struct vm *vm;
static struct vcpu *cpu;

static int setup(void **state)
{
	struct kvm_pit_config cfg = { .flags = KVM_PIT_SPEAKER_DUMMY };

	(void)state;
	vm = fake_vm(1);
	cpu = vm->vcpus[0];
	assert_int_equal(pit_create(vm, &cfg), 0);
	assert_int_equal(pit_create(vm, &cfg), -EEXIST);
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

static void load(u32 channel, u8 control, u16 count)
{
	port_out(vm, 0x43, channel << 6 | control);
	port_out(vm, 0x40 + channel, (u8)count);
	port_out(vm, 0x40 + channel, count >> 8);
}

static u16 read_word(u32 channel)
{
	u8 low = port_in(vm, 0x40 + channel);

	return low | port_in(vm, 0x40 + channel) << 8;
}

static u16 latched(u32 channel)
{
	port_out(vm, 0x43, channel << 6);
	return read_word(channel);
}

static void eoi(void)
{
	port_out(vm, 0x20, 0x20);
}

/* Ticks that the guest takes while ns pass, looking every step. */
static u32 take_ticks(u64 ns, u64 step)
{
	u32 n = 0;
	u64 t;

	for (t = 0; t < ns; t += step) {
		fake_advance(step);
		if (irq_ack(cpu) == 0x20) {
			eoi();
			n++;
		}
	}
	return n;
}

static void test_counting(void **state)
{
	(void)state;
	port_out(vm, 0x61, 1);
	load(2, 0x30, 1000);
	assert_int_equal(latched(2), 1000);
	fake_advance(TICK_NS(300));
	assert_int_equal(read_word(2), 700);
	port_out(vm, 0x43, 0x80);
	fake_advance(TICK_NS(100));
	port_out(vm, 0x43, 0x80);		/* latched already */
	assert_int_equal(read_word(2), 700);
	assert_int_equal(read_word(2), 600);
	fake_advance(TICK_NS(700));
	assert_int_equal(read_word(2), 0xffff - 99);	/* wraps */
	/* Rate generator. */
	load(2, 0x34, 1000);
	fake_advance(TICK_NS(2300));
	assert_int_equal(read_word(2), 700);
	/* Square wave counts by two. */
	load(2, 0x36, 1000);
	fake_advance(TICK_NS(300));
	assert_int_equal(read_word(2), 400);
	/* BCD: 1000 is a thousand. */
	load(2, 0x31, 0x1000);
	fake_advance(TICK_NS(1));
	assert_int_equal(read_word(2), 0x0999);
	fake_advance(TICK_NS(1000));
	assert_int_equal(read_word(2), 0x9999);
	/* One byte only. */
	port_out(vm, 0x43, 0x90);
	port_out(vm, 0x42, 200);
	fake_advance(TICK_NS(100));
	assert_int_equal(port_in(vm, 0x42), 100);
	port_out(vm, 0x43, 0xa0);
	port_out(vm, 0x42, 2);
	fake_advance(TICK_NS(256));
	assert_int_equal(port_in(vm, 0x42), 1);
	assert_int_equal(port_in(vm, 0x43), 0);
}

static u8 status(u32 channel)
{
	port_out(vm, 0x43, 0xe0 | 2 << channel);
	return port_in(vm, 0x40 + channel);
}

static void test_status(void **state)
{
	(void)state;
	port_out(vm, 0x43, 0xb0);
	assert_int_equal(status(2), 0x70);	/* null count, output low */
	load(2, 0x30, 100);
	assert_int_equal(status(2), 0x30);
	port_out(vm, 0x61, 1);
	fake_advance(TICK_NS(100));
	assert_int_equal(status(2), 0xb0);
	load(2, 0x36, 100);
	assert_int_equal(status(2), 0xb6);
	fake_advance(TICK_NS(50));
	assert_int_equal(status(2), 0x36);
	/* Both latched at once: the status comes first. */
	port_out(vm, 0x43, 0xc8);
	assert_int_equal(port_in(vm, 0x42), 0x36);
	assert_int_equal(read_word(2), 100);
}

static bool out2(void)
{
	return port_in(vm, 0x61) & 0x20;
}

static void test_outputs(void **state)
{
	(void)state;
	/* Mode 0, and the gate that holds the count. */
	load(2, 0x30, 1000);
	fake_advance(TICK_NS(5000));
	assert_false(out2());
	port_out(vm, 0x61, 1);
	fake_advance(TICK_NS(600));
	port_out(vm, 0x61, 0);
	fake_advance(TICK_NS(5000));
	assert_int_equal(read_word(2), 400);
	port_out(vm, 0x61, 1);
	assert_false(out2());
	fake_advance(TICK_NS(400));
	assert_true(out2());
	/* Mode 1 waits for the gate to rise. */
	load(2, 0x32, 1000);
	assert_true(out2());
	port_out(vm, 0x61, 0);
	port_out(vm, 0x61, 1);
	assert_false(out2());
	fake_advance(TICK_NS(1000));
	assert_true(out2());
	/* Mode 2: low for the last tick. */
	load(2, 0x34, 1000);
	assert_true(out2());
	fake_advance(TICK_NS(999));
	assert_false(out2());
	fake_advance(TICK_NS(1));
	assert_true(out2());
	/* Mode 4: low for one tick. */
	load(2, 0x38, 1000);
	assert_true(out2());
	fake_advance(TICK_NS(1000));
	assert_false(out2());
	fake_advance(TICK_NS(1));
	assert_true(out2());
	assert_int_equal(port_in(vm, 0x61) & 3, 1);
	port_out(vm, 0x61, 3);
	assert_int_equal(port_in(vm, 0x61) & 3, 3);
}

static void test_periodic(void **state)
{
	u32 n;

	(void)state;
	load(0, 0x34, 11932);		/* 100 Hz */
	n = take_ticks(NSEC_PER_SEC, 1000000);
	assert_in_range(n, 99, 100);
	load(0, 0x36, 11932);
	n = take_ticks(NSEC_PER_SEC, 1000000);
	assert_in_range(n, 99, 100);
	/* No faster than 200 us. */
	load(0, 0x34, 2);
	fake_timers_rung = 0;
	fake_advance(NSEC_PER_SEC);
	assert_in_range(fake_timers_rung, 4000, 5001);
}

static void test_oneshot(void **state)
{
	(void)state;
	load(0, 0x30, 11932);
	assert_int_equal(take_ticks(NSEC_PER_SEC, 1000000), 1);
	load(0, 0x38, 11932);
	assert_int_equal(take_ticks(NSEC_PER_SEC, 1000000), 1);
	load(0, 0x30, 11932);
	port_out(vm, 0x43, 0x30);	/* a control word stops it */
	assert_int_equal(take_ticks(NSEC_PER_SEC, 1000000), 0);
	load(0, 0x32, 11932);		/* nothing raises its gate */
	assert_int_equal(take_ticks(NSEC_PER_SEC, 1000000), 0);
}

static void test_reinjection(void **state)
{
	u32 n;

	(void)state;
	load(0, 0x34, 1193);		/* 1000 Hz */
	fake_advance(50500000);		/* the guest does nothing for 50 ticks */
	for (n = 0; irq_ack(cpu) == 0x20; n++)
		eoi();
	assert_int_equal(n, 50);
	/* An hour is not made up for. */
	fake_timers_rung = 0;
	fake_now += 3600 * NSEC_PER_SEC;
	fake_advance(1);
	assert_int_equal(fake_timers_rung, 1);
	for (n = 0; irq_ack(cpu) == 0x20; n++)
		eoi();
	assert_in_range(n, 990, 1010);
	/* Without reinjection, one. */
	pit_set_reinject(vm->pit, false);
	fake_advance(50500000);
	for (n = 0; irq_ack(cpu) == 0x20; n++)
		eoi();
	assert_int_equal(n, 1);
}

static void test_masked(void **state)
{
	u32 n;

	(void)state;
	port_out(vm, 0x21, 0x01);
	load(0, 0x34, 1193);
	fake_advance(50500000);
	port_out(vm, 0x21, 0);
	for (n = 0; irq_ack(cpu) == 0x20; n++)
		eoi();
	assert_in_range(n, 0, 1);
	assert_in_range(take_ticks(100000000, 100000), 98, 101);
}

static void test_ioapic(void **state)
{
	u32 n = 0, i;

	(void)state;
	port_out(vm, 0x21, 0xff);
	apic_enable(cpu);
	ioapic_write_pin(vm, 0, 0x31);
	load(0, 0x34, 1193);
	for (i = 0; i < 1000; i++) {
		fake_advance(100000);
		if (irq_ack(cpu) == 0x31) {
			apic_write(cpu, APIC_EOI, 0);
			n++;
		}
	}
	assert_in_range(n, 99, 101);
	/* Reinjected on the LAPIC's EOI. */
	fake_advance(20500000);
	for (n = 0; irq_ack(cpu) == 0x31; n++)
		apic_write(cpu, APIC_EOI, 0);
	assert_in_range(n, 20, 21);
}

static void test_nmi_watchdog(void **state)
{
	(void)state;
	apic_enable(cpu);
	port_out(vm, 0x21, 0xff);
	ioapic_write_pin(vm, 0, 0x31);
	apic_write(cpu, APIC_LVT_LINT0, 0x400);
	load(0, 0x34, 1193);
	fake_advance(1100000);
	assert_int_equal(cpu->nmi.pending, 1);
	cpu->nmi.pending = 0;
	apic_write(cpu, APIC_LVT_LINT0, APIC_LVT_MASKED | 0x400);
	fake_advance(1100000);
	assert_int_equal(cpu->nmi.pending, 0);
}

static void test_state(void **state)
{
	struct kvm_pit_state2 a, b;
	u32 i, t;

	(void)state;
	load(0, 0x34, 11932);
	load(2, 0x36, 1000);
	port_out(vm, 0x61, 3);
	pit_get(vm->pit, &a);
	assert_int_equal(a.channels[0].count, 11932);
	assert_int_equal(a.channels[0].mode, 2);
	assert_int_equal(a.channels[2].gate, 1);
	assert_int_equal(a.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	load(0, 0x30, 1);
	fake_advance(1000000);
	irq_ack(cpu);
	eoi();
	assert_int_equal(pit_set(vm->pit, &a), 0);
	pit_get(vm->pit, &b);
	for (i = 0; i < 3; i++)
		a.channels[i].count_load_time = b.channels[i].count_load_time = 0;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_in_range(take_ticks(NSEC_PER_SEC, 1000000), 99, 100);
	/* HPET legacy mode takes channel 0's line away. */
	a.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	pit_set(vm->pit, &a);
	assert_int_equal(take_ticks(NSEC_PER_SEC, 1000000), 0);
	/* Hostile values. */
	for (i = 0; i < 256; i++) {
		memset(&a, (int)i, sizeof(a));
		a.flags = 0;
		pit_set(vm->pit, &a);
		for (t = 0; t < 3; t++) {
			port_in(vm, 0x40 + t);
			status(t);
			latched(t);
			port_out(vm, 0x40 + t, (u8)i);
		}
		out2();
		fake_advance(1000000);
	}
}

static void test_ports(void **state)
{
	u32 val = ~0u;

	(void)state;
	assert_int_equal(pit_io(vm->pit, 0x3f, 1, &val, false), -EOPNOTSUPP);
	assert_int_equal(pit_io(vm->pit, 0x44, 1, &val, false), -EOPNOTSUPP);
	assert_int_equal(pit_io(vm->pit, 0x62, 1, &val, false), -EOPNOTSUPP);
	assert_int_equal(pit_io(vm->pit, 0x61, 4, &val, false), 0);
	assert_int_equal(val & ~0x30u, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_counting), T(test_status), T(test_outputs), T(test_periodic),
		T(test_oneshot), T(test_reinjection), T(test_masked), T(test_ioapic),
		T(test_nmi_watchdog), T(test_state), T(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
