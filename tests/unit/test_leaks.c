/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thousands of VMs, made with all that a VM can have, run and closed in any
 * order: nothing is left of them, neither descriptors nor threads nor memory.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "guest16.h"

#define WARM_UP 100
#define VMS 1500
#define CPUS 3

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* In KiB, of /proc/self/status. */
static long status_value(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long v = -1;

	assert_non_null(f);
	while (v < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			v = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return v;
}

/* --- one VM ------------------------------------------------------------------------------ */

CODE16(writes_and_leaves, "1:\tmovb $1, %es:0x3000\n\t"
			  "incw %es:0x9000\n\t"
			  "out %al, $0x40\n\t"
			  "out %al, $0x10\n\t"
			  "jmp 1b");

static int event[2];

static void vm_request(unsigned long request, void *arg)
{
	assert_int_equal(anykvm_ioctl(vm_fd, request, arg), 0);
}

static void interrupt_sources(void)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)event[0], .gsi = 5, .flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = (uint32_t)event[1],
	};
	struct kvm_ioeventfd port = {
		.addr = 0x40, .len = 1, .fd = event[1], .flags = KVM_IOEVENTFD_FLAG_PIO,
	};
	struct kvm_pit_config pit = { 0 };

	vm_request(KVM_CREATE_PIT2, &pit);
	vm_request(KVM_IRQFD, &irqfd);
	vm_request(KVM_IOEVENTFD, &port);
}

static void filter(void)
{
	uint8_t bits[128] = { 0 };
	struct kvm_msr_filter f = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ, .nmsrs = 1024, .base = 0x1000,
			       .bitmap = bits },
	};
	struct kvm_coalesced_mmio_zone z = { .addr = 0xd0000000, .size = 4096 };

	vm_request(KVM_X86_SET_MSR_FILTER, &f);
	vm_request(KVM_REGISTER_COALESCED_MMIO, &z);
}

static void *run_cpu(void *arg)
{
	return (void *)(intptr_t)anykvm_ioctl(*(int *)arg, KVM_RUN, 0);
}

static void statistics(void)
{
	int a = anykvm_ioctl(vm_fd, KVM_GET_STATS_FD, 0);
	int b = anykvm_ioctl(cpu_fd, KVM_GET_STATS_FD, 0);

	assert_true(a >= 0 && b >= 0);
	close(a);
	close(b);
}

static void close_all(const int *cpus, bool vm_first)
{
	if (vm_first)
		assert_int_equal(anykvm_close(vm_fd), 0);
	for (int i = 0; i < CPUS; i++)
		assert_int_equal(anykvm_close(cpus[i]), 0);
	if (!vm_first)
		assert_int_equal(anykvm_close(vm_fd), 0);
	assert_int_equal(anykvm_close(sys_fd), 0);
}

static void one_vm(unsigned int n)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	int cpus[CPUS];
	pthread_t other;
	void *result;

	sys_fd = anykvm_open(O_RDWR);
	vm_fd = anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0);
	assert_true(sys_fd >= 0 && vm_fd >= 0);
	vm_request(KVM_CREATE_IRQCHIP, NULL);
	if (n % 2)
		assert_int_equal(enable_cap(vm_fd, KVM_CAP_DIRTY_LOG_RING, 4096), 0);
	for (int i = 0; i < CPUS; i++) {
		cpus[i] = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, (long)i);
		assert_true(cpus[i] >= 0);
	}
	cpu_fd = cpus[0];
	run = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, cpu_fd, 0);
	assert_int_equal(set_slot(0, KVM_MEM_LOG_DIRTY_PAGES, 0, MEMORY, memory), 0);
	assert_int_equal(set_slot(1, 0, MEMORY, MEMORY, memory), 0);
	assert_int_equal(set_slot(1, 0, 0, 0, NULL), 0);
	set_supported_cpuid();
	interrupt_sources();
	filter();
	statistics();
	real_mode();
	cpu_fd = cpus[1];
	real_mode();
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_MP_STATE, &runnable), 0);
	cpu_fd = cpus[0];
	pthread_create(&other, NULL, run_cpu, &cpus[1]);
	run_to_out(0x10);
	run_to_out(0x10);
	pthread_join(other, &result);
	assert_null(result);
	munmap(run, 12288);
	close_all(cpus, n % 3);
}

static void test_leaks(void **state)
{
	long rss __attribute__((unused)), size __attribute__((unused));
	int files, threads;
	unsigned int i;

	(void)state;
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	PUT(ENTRY, writes_and_leaves);
	event[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i < WARM_UP; i++)
		one_vm(i);
	files = entries("/proc/self/fd");
	threads = entries("/proc/self/task");
	rss = status_value("VmRSS");
	size = status_value("VmSize");
	for (i = 0; i < VMS; i++)
		one_vm(i);
	assert_int_equal(entries("/proc/self/fd"), files);
	assert_int_equal(entries("/proc/self/task"), threads);
#ifndef __SANITIZE_ADDRESS__	/* which keeps what is freed for a while, and looks itself */
	assert_true(status_value("VmRSS") - rss < 2048);
	assert_true(status_value("VmSize") - size < 16 * 1024);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
