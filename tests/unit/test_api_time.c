/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time as the guest finds it: its TSC at other rates and offsets, kvmclock's
 * note that the guest was stopped; and the pages that asynchronous page faults
 * are told of.
 */
#include <time.h>

#include "guest16.h"

#define SYSTEM_TIME 0x4b564d01
#define ASYNC_PF_EN 0x4b564d02
#define ASYNC_PF_INT 0x4b564d06
#define ASYNC_PF_ACK 0x4b564d07
#define ENABLED 9		/* with delivery by an interrupt */

/* --- the TSC ------------------------------------------------------------------------ */

CODE16(read_tsc, "1:\trdtsc\n\t"
		 "mov %eax, %es:0x3000\n\t"
		 "mov %edx, %es:0x3004\n\t"
		 "out %al, $0x10\n\t"
		 "jmp 1b");

/* In a loop that is translated as a whole. */
CODE16(read_hot, "1:\tmov $1000, %cx\n"
		 "2:\trdtsc\n\t"
		 "mov %eax, %es:0x3000\n\t"
		 "mov %edx, %es:0x3004\n\t"
		 "loop 2b\n\t"
		 "out %al, $0x10\n\t"
		 "jmp 1b");

/* RDTSCP, and IA32_TSC as an MSR. */
CODE16(read_others, "1:\t.byte 0x0f, 0x01, 0xf9\n\t"
		    "mov %eax, %es:0x3000\n\t"
		    "mov %edx, %es:0x3004\n\t"
		    "out %al, $0x10\n\t"
		    "mov $0x10, %ecx\n\t"
		    "rdmsr\n\t"
		    "mov %eax, %es:0x3000\n\t"
		    "mov %edx, %es:0x3004\n\t"
		    "out %al, $0x10\n\t"
		    "jmp 1b");

static uint64_t host_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t guest_tsc(void)
{
	uint64_t t;

	run_to_out(0x10);
	memcpy(&t, memory + 0x3000, 8);
	return t;
}

/* Runs the guest's clock beside the host's for 20 ms: how fast it goes, in percent. */
static unsigned int percent_of_host(void)
{
	const struct timespec pause = { 0, 20000000 };
	uint64_t host, guest;

	guest_tsc();
	host = host_tsc();
	guest = guest_tsc();
	nanosleep(&pause, NULL);
	host = host_tsc() - host;
	guest = guest_tsc() - guest;
	return (unsigned int)(guest * 100 / host);
}

static void check_rate(int host_khz, unsigned int percent)
{
	unsigned int p;
	uint64_t before = guest_tsc();

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_TSC_KHZ, (long)host_khz * percent / 100), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_TSC_KHZ, 0),
			 (long)host_khz * percent / 100);
	/* It goes on from where it is. */
	assert_true(guest_tsc() >= before);
	p = percent_of_host();
	assert_in_range(p, percent - percent / 10, percent + percent / 10);
}

static void test_rates(void **state)
{
	int khz;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	khz = anykvm_ioctl(cpu_fd, KVM_GET_TSC_KHZ, 0);
	assert_true(khz > 0);
	PUT(ENTRY, read_tsc);
	check_rate(khz, 100);
	check_rate(khz, 200);
	check_rate(khz, 33);
	PUT(0x1200, read_hot);
	set_regs(0x1200, 0);
	check_rate(khz, 150);
	check_rate(khz, 100);
	PUT(0x1400, read_others);
	set_regs(0x1400, 0);
	check_rate(khz, 400);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_TSC_KHZ, 0x7fffffffl), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_TSC_KHZ, 0x7fffffffl), EINVAL);
	guest16_end();
}

static void default_rate(void)
{
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_TSC_KHZ, 1000000), 0);
}

static void test_default_rate(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, default_rate);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_GET_TSC_KHZ, 0), 1000000);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_TSC_KHZ, 0), 1000000);
	guest16_end();
}

static void test_offset(void **state)
{
	uint64_t offset = 1ull << 52, got = 0, before, now;
	struct kvm_device_attr a = { .group = KVM_VCPU_TSC_CTRL, .addr = (uint64_t)&offset };

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, read_tsc);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_HAS_DEVICE_ATTR, &a), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_DEVICE_ATTR, &a), 0);
	a.addr = (uint64_t)&got;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_DEVICE_ATTR, &a), 0);
	assert_int_equal(got, offset);
	before = host_tsc();
	now = guest_tsc() - offset;
	assert_true(now > before && now < host_tsc());
	a.addr = 1;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_GET_DEVICE_ATTR, &a), EFAULT);
	a.attr = 1;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_DEVICE_ATTR, &a), ENXIO);
	guest16_end();
}

/* --- kvmclock ---------------------------------------------------------------------------- */

static void test_stopped(void **state)
{
	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, read_tsc);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_KVMCLOCK_CTRL, 0), EINVAL);
	set_msr(SYSTEM_TIME, 0x4001, 1);
	run_to_out(0x10);
	assert_int_equal(memory[0x4000 + 29], 1);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_KVMCLOCK_CTRL, 0), 0);
	run_to_out(0x10);
	assert_int_equal(memory[0x4000 + 29], 3);
	/* The guest clears the bit when it has read it. */
	memory[0x4000 + 29] = 1;
	run_to_out(0x10);
	assert_int_equal(memory[0x4000 + 29], 1);
	guest16_end();
}

static void enable_clock(int fd, uint64_t gpa)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e = { .index = SYSTEM_TIME, .data = gpa | 1 } };

	assert_int_equal(anykvm_ioctl(fd, KVM_SET_MSRS, &m), 1);
}

static uint64_t system_time(size_t gpa)
{
	uint64_t t;

	memcpy(&t, memory + gpa + 16, sizeof(t));
	return t;
}

/*
 * A program may read the page of CPU 0 on any CPU: with KVM_SET_CLOCK each that
 * runs has to find all of them written.
 */
static void test_clock_of_others(void **state)
{
	struct kvm_clock_data c = { .clock = 5000000000 };
	int other;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, read_tsc);
	other = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 1);
	assert_true(other >= 0);
	enable_clock(cpu_fd, 0x4000);
	enable_clock(other, 0x5000);
	run_to_out(0x10);
	for (int i = 0; i < 3; i++, c.clock += 1000000000) {
		assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_CLOCK, &c), 0);
		run_to_out(0x10);
		assert_int_equal(system_time(0x4000), c.clock);
		assert_int_equal(system_time(0x5000), c.clock);
		assert_int_equal(memory[0x5000] & 1, 0);
	}
	anykvm_close(other);
	guest16_end();
}

/* --- asynchronous page faults ---------------------------------------------------------------- */

CODE16(apic_idle, "movl $0x1ff, 0xf0\n\t"
		  "out %al, $0x10\n\t"
		  "sti\n"
		  "1:\tnop\n\t"
		  "jmp 1b");
/* The token as the answer; then the slot is free, and that is said. */
CODE16(page_ready, "mov %es:0x5004, %al\n\t"
		   "movl $0, %es:0x5004\n\t"
		   "out %al, $0x30\n\t"
		   "movl $0, 0xb0\n\t"
		   "mov $0x4b564d07, %ecx\n\t"
		   "mov $1, %eax\n\t"
		   "xor %edx, %edx\n\t"
		   "wrmsr\n\t"
		   "iret");

/* Nobody says that a page is missing; but all who may wait from before are woken. */
static void test_async_pf(void **state)
{
	(void)state;
	guest16(CHIPS_ALL, NULL);
	PUT(ENTRY, apic_idle);
	PUT(0x2000, page_ready);
	set_vector(0x60, 0x2000);
	run_to_out(0x10);
	set_msr(ASYNC_PF_INT, 0x160, 0);
	set_msr(ASYNC_PF_INT, 0x60, 1);
	set_msr(ASYNC_PF_EN, 0x5000 | 0x10, 0);
	set_msr(ASYNC_PF_EN, (MEMORY + 0x5000) | ENABLED, 0);
	set_msr(ASYNC_PF_EN, 0x5000 | ENABLED, 1);
	assert_int_equal(run_to_out(0x30), 0xff);
	/* A second time only when the first was acknowledged and its slot is free. */
	set_msr(ASYNC_PF_EN, 0x5000 | ENABLED, 1);
	assert_int_equal(run_to_out(0x30), 0xff);
	memory[0x5004] = 1;
	set_msr(ASYNC_PF_EN, 0x5000 | ENABLED, 1);
	alarm_in(20);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	memory[0x5004] = 0;
	set_msr(ASYNC_PF_ACK, 1, 1);
	assert_int_equal(run_to_out(0x30), 0xff);
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_default_rate),
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_clock_of_others),
		cmocka_unit_test(test_async_pf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
