/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv/irq/ with its real threads: vCPU threads that halt on their futex or
 * spin, the poller that rings their timers and irqfds, and user threads that
 * pull lines. What is tested is that no interrupt and no wake-up is lost: a
 * lost one leaves the test waiting, until its deadline fails it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "irq/lapic.h"

#define CPUS 4
#define TOKEN_VECTOR 0x41
#define TIMER_VECTOR 0xec
#define LINE_VECTOR 0x61
#define EDGE_VECTOR 0x71
#define PATIENCE_NS (30 * NSEC_PER_SEC)

struct cpu {
	struct vcpu v;
	struct host_thread *thread;
	u32 stop;
	u32 count[256];
	bool spin;			/* instead of halting */
	void (*handler)(struct cpu *c, int vector);
	u64 deadline;			/* what the timer was set to */
	u64 worst_late, early;
};

static struct vm *vm;
static struct cpu *cpus;
static u32 asserted;			/* the device behind the level line */

/* --- vcpu.h -------------------------------------------------------------------------- */

void vcpu_request(struct vcpu *v, u32 bits)
{
	__atomic_fetch_or(&v->request, bits, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->halt_word, 1, __ATOMIC_SEQ_CST);
	host_futex_wake(&v->halt_word, 1);
}

void vcpu_reset(struct vcpu *v, bool init)
{
	lapic_reset(v, init);
}

void vcpu_cpuid_update(struct vcpu *v)
{
	(void)v;
}

const struct kvm_cpuid_entry2 *vcpu_cpuid_entry(struct vcpu *v, u32 leaf, u32 subleaf)
{
	static const struct kvm_cpuid_entry2 leaf1 = { .function = 1, .ecx = BIT(21) | BIT(24) };

	(void)v;
	(void)subleaf;
	return leaf == 1 ? &leaf1 : NULL;
}

void pv_eoi_from_guest(struct vcpu *v)
{
	(void)v;
}

void vapic_to_guest(struct vcpu *v)
{
	(void)v;
}

u64 vcpu_guest_tsc(struct vcpu *v)
{
	(void)v;
	return host_rdtsc();
}

u64 vcpu_guest_to_host_tsc(struct vcpu *v, u64 guest)
{
	(void)v;
	return guest;
}

void host_set_errno(int err);

/* --- the vCPU threads ------------------------------------------------------------------- */

static void take_all(struct cpu *c)
{
	int vector;

	while (irq_pending(&c->v) >= 0) {
		vector = irq_ack(&c->v);
		if (vector < 0)
			continue;
		if (c->handler)
			c->handler(c, vector);
		lapic_x2apic_write(&c->v, 0x80b, 0);
		__atomic_fetch_add(&c->count[vector], 1, __ATOMIC_SEQ_CST);
	}
}

static void halt(struct cpu *c)
{
	struct vcpu *v = &c->v;

	while (!irq_wakes(v) && !__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&v->halt_word, 0, __ATOMIC_SEQ_CST);
		if (irq_wakes(v) || __atomic_load_n(&c->stop, __ATOMIC_SEQ_CST))
			break;
		host_futex_wait(&v->halt_word, 0, lapic_timer_deadline(v));
		lapic_timer_poll(v);
	}
}

static void run(void *arg)
{
	struct cpu *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		if (__atomic_exchange_n(&c->v.request, 0, __ATOMIC_SEQ_CST))
			take_all(c);
		else if (c->spin)
			host_cpu_relax();
		else
			halt(c);
		if (irq_pending(&c->v) >= 0)
			take_all(c);
	}
}

static void start(void (*handler)(struct cpu *c, int vector), u32 spinning)
{
	u32 i;

	for (i = 0; i < CPUS; i++) {
		cpus[i].handler = handler;
		cpus[i].spin = spinning >> i & 1;
		cpus[i].thread = host_thread_start("vcpu", run, &cpus[i]);
		assert_non_null(cpus[i].thread);
	}
}

static void stop(void)
{
	u32 i;

	for (i = 0; i < CPUS; i++) {
		__atomic_store_n(&cpus[i].stop, 1, __ATOMIC_SEQ_CST);
		vcpu_request(&cpus[i].v, REQ_EXIT);
		host_thread_join(cpus[i].thread);
	}
}

static u32 taken(u32 cpu, u32 vector)
{
	return __atomic_load_n(&cpus[cpu].count[vector], __ATOMIC_SEQ_CST);
}

/* The other threads go on: no test can follow. */
static void lost(const char *what, u32 n)
{
	fprintf(stderr, "lost: %s, after %u\n", what, n);
	_exit(1);
}

static void wait_for(u32 cpu, u32 vector, u32 n)
{
	u64 until = host_monotonic_ns() + PATIENCE_NS;

	while (taken(cpu, vector) < n) {
		if (host_monotonic_ns() > until)
			lost("a vector", taken(cpu, vector));
		usleep(100);
	}
}

static int setup(void **state)
{
	u32 i;

	(void)state;
	vm = calloc(1, sizeof(*vm));
	cpus = calloc(CPUS, sizeof(*cpus));
	vm->vcpus = calloc(VM_MAX_VCPUS, sizeof(*vm->vcpus));
	vm->poller = host_poller_start("test");
	assert_int_equal(irqchip_create(vm), 0);
	for (i = 0; i < CPUS; i++) {
		struct vcpu *v = &cpus[i].v;

		v->vm = vm;
		v->id = v->index = i;
		v->cpuid_maxphyaddr = 48;
		v->irq_enable = 1;
		v->mp_state = KVM_MP_STATE_RUNNABLE;
		assert_int_equal(lapic_create(v), 0);
		vm->vcpus[vm->vcpu_count++] = v;
		assert_int_equal(lapic_set_base(v, v->apic_base | APIC_BASE_X2APIC, false), 0);
		assert_int_equal(lapic_x2apic_write(v, 0x80f, 0x1ff), 0);
		assert_int_equal(lapic_x2apic_write(v, 0x835, APIC_LVT_MASKED), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < CPUS; i++)
		lapic_destroy(&cpus[i].v);
	vm->vcpu_count = 0;
	irqchip_destroy(vm);
	host_poller_stop(vm->poller);
	free(vm->vcpus);
	free(vm);
	free(cpus);
	return 0;
}

static void write_pin(u32 pin, u64 entry)
{
	u32 i, index, val;

	host_mutex_lock(&vm->irq_lock);
	for (i = 2; i-- > 0;) {
		index = 0x10 + pin * 2 + i;
		val = (u32)(entry >> (i * 32));
		ioapic_mmio(vm->ioapic, IOAPIC_BASE, 4, &index, true);
		ioapic_mmio(vm->ioapic, IOAPIC_BASE + 0x10, 4, &val, true);
	}
	host_mutex_unlock(&vm->irq_lock);
}

/* --- a token round the CPUs ---------------------------------------------------------------- */

#define ROUNDS 5000u

static void pass_on(struct cpu *c, int vector)
{
	u64 next = (c->v.id + 1) % CPUS;

	if (vector != TOKEN_VECTOR)
		return;
	if (next == 0 && taken(CPUS - 1, TOKEN_VECTOR) + 1 >= ROUNDS)
		return;
	lapic_x2apic_write(&c->v, 0x830, next << 32 | TOKEN_VECTOR);
}

static void test_token(void **state)
{
	struct kvm_msi m = { .address_lo = 0xfee00000, .data = TOKEN_VECTOR };

	(void)state;
	start(pass_on, 0);
	assert_int_equal(irq_send_msi(vm, &m), 1);
	wait_for(CPUS - 1, TOKEN_VECTOR, ROUNDS);
	stop();
	assert_int_equal(taken(0, TOKEN_VECTOR), ROUNDS);
}

/* --- TSC deadlines, halted and spinning --------------------------------------------- */

#define TICKS 500u

static void next_deadline(struct cpu *c)
{
	u64 now = host_rdtsc(), us = host_tsc_khz() / 1000;

	/*
	 * Some are moved away, and back, before the one that counts; far enough off
	 * that they do not come to pass when this thread has to wait for a CPU.
	 */
	lapic_set_tscdeadline(&c->v, now + 300000 * us);
	lapic_set_tscdeadline(&c->v, now + 5000000 * us);
	c->deadline = now + (100 + c->count[TIMER_VECTOR] % 7 * 200) * us;
	lapic_set_tscdeadline(&c->v, c->deadline);
}

static void on_tick(struct cpu *c, int vector)
{
	u64 now = host_rdtsc();

	if (vector != TIMER_VECTOR)
		return;
	if (now < c->deadline)
		c->early++;
	else if (now - c->deadline > c->worst_late)
		c->worst_late = now - c->deadline;
	if (c->count[TIMER_VECTOR] + 1 < TICKS)
		next_deadline(c);
}

static void test_deadlines(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < CPUS; i++) {
		lapic_x2apic_write(&cpus[i].v, 0x832, APIC_TIMER_TSCDEADLINE | TIMER_VECTOR);
		next_deadline(&cpus[i]);
	}
	start(on_tick, 1);
	for (i = 0; i < CPUS; i++)
		wait_for(i, TIMER_VECTOR, TICKS);
	stop();
	for (i = 0; i < CPUS; i++) {
		assert_int_equal(cpus[i].early, 0);
		assert_int_equal(taken(i, TIMER_VECTOR), TICKS);
	}
}

/* --- lines and irqfds ------------------------------------------------------------ */

/* The guest's handler serves its device, which lowers its line. */
static void serve_device(struct cpu *c, int vector)
{
	(void)c;
	if (vector == LINE_VECTOR) {
		irq_set_gsi(vm, 17, 0);
		__atomic_store_n(&asserted, 0, __ATOMIC_SEQ_CST);
	}
}

static u32 line_total(u32 vector)
{
	u32 i, n = 0;

	for (i = 0; i < CPUS; i++)
		n += taken(i, vector);
	return n;
}

static void test_level_line(void **state)
{
	u64 until = host_monotonic_ns() + PATIENCE_NS;
	u32 i;

	(void)state;
	/* Lowest priority over all CPUs. */
	write_pin(17, 0xffull << 56 | BIT(15) | BIT(11) | BIT(8) | LINE_VECTOR);
	start(serve_device, 0);
	for (i = 0; i < 3000; i++) {
		__atomic_store_n(&asserted, 1, __ATOMIC_SEQ_CST);
		irq_set_gsi(vm, 17, 1);
		while (__atomic_load_n(&asserted, __ATOMIC_SEQ_CST)) {
			if (host_monotonic_ns() > until)
				lost("the line's interrupt", i);
			host_yield();
		}
	}
	stop();
	assert_true(line_total(LINE_VECTOR) >= 3000);
}

static void test_irqfds(void **state)
{
	struct kvm_irqfd a = { .gsi = 18 }, r = { .gsi = 19, .flags = KVM_IRQFD_FLAG_RESAMPLE };
	int fd = eventfd(0, EFD_NONBLOCK), level = eventfd(0, EFD_NONBLOCK);
	int again = eventfd(0, EFD_NONBLOCK);
	u64 until = host_monotonic_ns() + PATIENCE_NS, n;
	u32 i;

	(void)state;
	write_pin(18, 1ull << 56 | EDGE_VECTOR);
	write_pin(19, 2ull << 56 | BIT(15) | LINE_VECTOR);
	a.fd = (u32)fd;
	r.fd = (u32)level;
	r.resamplefd = (u32)again;
	assert_int_equal(irqfd_assign(vm, &a), 0);
	assert_int_equal(irqfd_assign(vm, &r), 0);
	start(NULL, 0);
	for (i = 1; i <= 2000; i++) {
		host_eventfd_signal(fd);
		host_eventfd_signal(level);
		wait_for(1, EDGE_VECTOR, i);
		while (read(again, &n, sizeof(n)) != sizeof(n)) {
			if (host_monotonic_ns() > until)
				lost("a resampling", i);
			host_yield();
		}
	}
	/* Taken away in full flight. */
	for (i = 0; i < 200; i++) {
		a.flags = 0;
		host_eventfd_signal(fd);
		assert_int_equal(irqfd_assign(vm, &a), i ? 0 : -EBUSY);
		a.flags = KVM_IRQFD_FLAG_DEASSIGN;
		assert_int_equal(irqfd_assign(vm, &a), 0);
	}
	stop();
	close(fd);
	close(level);
	close(again);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_token), T(test_deadlines), T(test_level_line), T(test_irqfds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
