/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests in real mode for tests through the API: code written in place, VMs
 * with the interrupt controllers that a test wants, and an APIC page within
 * reach of 16-bit code (DS begins there).
 */
#ifndef TESTS_UNIT_GUEST16_H
#define TESTS_UNIT_GUEST16_H

#include <signal.h>
#include <sys/time.h>

#include "api.h"

/* Defines name[] and name_end[]: code of 16 bits. */
#define CODE16(name, text) \
	__asm__(".pushsection .rodata\n\t.code16\n" #name ":\n\t" text "\n" #name "_end:\n\t" \
		".code64\n\t.popsection"); \
	extern const unsigned char name[], name##_end[]

#define ENTRY 0x1000u
#define APIC 0xfee00000u

enum chips { CHIPS_NONE, CHIPS_SPLIT, CHIPS_ALL };

static inline int enable_cap(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args[0] = arg };

	return anykvm_ioctl(fd, KVM_ENABLE_CAP, &c);
}

static inline void put_code(uint32_t at, const unsigned char *from, const unsigned char *end)
{
	memcpy(memory + at, from, (size_t)(end - from));
}
#define PUT(at, name) put_code(at, name, name##_end)

/* Handler of a vector: at 0:at. */
static inline void set_vector(unsigned int vector, uint16_t at)
{
	memory[vector * 4] = (unsigned char)at;
	memory[vector * 4 + 1] = (unsigned char)(at >> 8);
	memory[vector * 4 + 2] = memory[vector * 4 + 3] = 0;
}

static inline void set_regs(uint64_t rip, uint64_t rflags)
{
	struct kvm_regs r = { .rip = rip, .rsp = 0x8000, .rflags = rflags | 2 };

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
}

static inline void real_mode(void)
{
	struct kvm_sregs s;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cs.base = s.cs.selector = 0;
	s.ds.base = APIC;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	set_regs(ENTRY, 0);
}

/* A VM in place of setup_vm()'s, with what must be asked for before the first vCPU. */
static inline void guest16(enum chips chips, void (*before)(void))
{
	assert_int_equal(setup_vm(NULL), 0);
	if (chips == CHIPS_ALL)
		assert_int_equal(anykvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), 0);
	if (chips == CHIPS_SPLIT)
		assert_int_equal(enable_cap(vm_fd, KVM_CAP_SPLIT_IRQCHIP, 24), 0);
	if (before)
		before();
	cpu_fd = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	assert_true(cpu_fd >= 0);
	run = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, cpu_fd, 0);
	assert_true(run != MAP_FAILED);
	assert_int_equal(set_slot(0, 0, 0, MEMORY, memory), 0);
	set_supported_cpuid();
	real_mode();
}

static inline void guest16_end(void)
{
	assert_int_equal(teardown_cpu(NULL), 0);
}

static inline uint32_t run_once(void)
{
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_RUN, 0), 0);
	return run->exit_reason;
}

/* Runs up to an OUT to that port: AL. */
static inline unsigned char run_to_out(uint16_t port)
{
	assert_int_equal(run_once(), KVM_EXIT_IO);
	assert_int_equal(run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(run->io.port, port);
	return *((unsigned char *)run + run->io.data_offset);
}

static inline struct kvm_regs get_regs(void)
{
	struct kvm_regs r;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_REGS, &r), 0);
	return r;
}

static inline struct kvm_vcpu_events get_events(void)
{
	struct kvm_vcpu_events e;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_VCPU_EVENTS, &e), 0);
	return e;
}

static inline void set_msr(uint32_t index, uint64_t data, int result)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e = { .index = index, .data = data } };

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_MSRS, &m), result);
}

static inline uint64_t get_msr(uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e = { .index = index } };

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_MSRS, &m), 1);
	return m.e.data;
}

static inline void send_msi(uint8_t vector, int level)
{
	struct kvm_msi m = { .address_lo = APIC, .data = vector | (level ? 0xc000u : 0) };

	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SIGNAL_MSI, &m), 1);
}

static inline int interrupt(uint32_t vector)
{
	struct kvm_interrupt i = { vector };

	return anykvm_ioctl(cpu_fd, KVM_INTERRUPT, &i);
}

static inline void nothing(int sig)
{
	(void)sig;
}

/* A signal in ms milliseconds. */
static inline void alarm_in(unsigned int ms)
{
	struct itimerval t = { .it_value.tv_usec = ms * 1000 };

	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &t, NULL);
}

#endif
