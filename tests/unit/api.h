/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helpers for tests through the library's public functions: a VM with a vCPU
 * and a little memory.
 */
#ifndef TESTS_UNIT_API_H
#define TESTS_UNIT_API_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include <anykvm.h>

#define MEMORY 0x100000ul

static int sys_fd, vm_fd, cpu_fd;
static struct kvm_run *run;
static unsigned char *memory;

static inline int set_slot(uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *at)
{
	struct kvm_userspace_memory_region r = { slot, flags, gpa, size, (uintptr_t)at };

	return anykvm_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static inline int setup_vm(void **state)
{
	(void)state;
	sys_fd = anykvm_open(O_RDWR | O_CLOEXEC);
	vm_fd = anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return sys_fd < 0 || vm_fd < 0 || memory == MAP_FAILED;
}

static inline int setup_cpu(void **state)
{
	if (setup_vm(state))
		return -1;
	cpu_fd = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (cpu_fd < 0)
		return -1;
	run = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, cpu_fd, 0);
	return run == MAP_FAILED;
}

static inline int teardown_vm(void **state)
{
	(void)state;
	munmap(memory, MEMORY);
	return anykvm_close(vm_fd) || anykvm_close(sys_fd);
}

static inline int teardown_cpu(void **state)
{
	munmap(run, 12288);
	return anykvm_close(cpu_fd) || teardown_vm(state);
}

/* The host's CPUID as the guest's. */
static inline void set_supported_cpuid(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[256];
	} c = { .head.nent = 256 };

	assert_int_equal(anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, &c), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_CPUID2, &c), 0);
}

/* Real-mode code at gpa 0x1000, with all of memory in slot 0. */
static inline void load_code(const void *code, size_t size)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = 0x1000, .rsp = 0x8000, .rflags = 2 };

	memcpy(memory + 0x1000, code, size);
	assert_int_equal(set_slot(0, 0, 0, MEMORY, memory), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cs.base = s.cs.selector = 0;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
}

#define assert_errno(expr, err) \
	do { \
		errno = 0; \
		assert_int_equal((expr), -1); \
		assert_int_equal(errno, (err)); \
	} while (0)

#endif
