/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest VM: 64 KiB at 0, one vCPU in real mode that begins there. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "program.h"

const uint8_t guest_loop[2] = { 0xeb, 0xfe };
const uint8_t guest_halt[1] = { 0xf4 };
const uint8_t guest_ports[4] = { 0xe6, 0x10, 0xeb, 0xfc };
const uint8_t guest_hello[] = {
	0xbe, 0x10, 0x00,		/* mov si, 0x10 */
	0xba, 0xf8, 0x03,		/* mov dx, 0x3f8 */
	0xb9, 0x06, 0x00,		/* mov cx, 6 */
	0xf3, 0x6e,			/* rep outsb */
	0xf4,				/* hlt */
	0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o', '\n',
};
const size_t guest_hello_size = sizeof(guest_hello);

int guest_open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION);
	return fd;
}

static void set_registers(struct guest *g)
{
	struct kvm_regs regs = { .rflags = 2, .rsp = 0x8000 };
	struct kvm_sregs sregs;

	CHECK(ioctl(g->vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(ioctl(g->vcpu, KVM_SET_SREGS, &sregs) == 0);
	CHECK(ioctl(g->vcpu, KVM_SET_REGS, &regs) == 0);
}

void guest_new(struct guest *g, const void *code, size_t size)
{
	struct kvm_userspace_memory_region slot = { .memory_size = GUEST_MEMORY };

	g->kvm = guest_open_kvm();
	g->vm = ioctl(g->kvm, KVM_CREATE_VM, 0);
	CHECK(g->vm >= 0);
	g->memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	CHECK(g->memory != MAP_FAILED);
	memcpy(g->memory, code, size);
	slot.userspace_addr = (uint64_t)(uintptr_t)g->memory;
	CHECK(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0);
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	CHECK(g->vcpu >= 0);
	g->run_size = (size_t)ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	CHECK((ssize_t)g->run_size > 0);
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	CHECK(g->run != MAP_FAILED);
	set_registers(g);
}

void guest_free(struct guest *g)
{
	CHECK(munmap(g->run, g->run_size) == 0);
	CHECK(close(g->vcpu) == 0);
	CHECK(close(g->vm) == 0);
	CHECK(close(g->kvm) == 0);
	CHECK(munmap(g->memory, GUEST_MEMORY) == 0);
}

int guest_run(struct guest *g)
{
	return ioctl(g->vcpu, KVM_RUN, 0) < 0 ? errno : 0;
}

void guest_output(struct guest *g, char *text, size_t size)
{
	size_t n = 0, i;

	for (;;) {
		CHECK(guest_run(g) == 0);
		if (g->run->exit_reason == KVM_EXIT_HLT)
			break;
		CHECK(g->run->exit_reason == KVM_EXIT_IO && g->run->io.port == 0x3f8);
		for (i = 0; i < g->run->io.count && n + 1 < size; i++)
			text[n++] = *((char *)g->run + g->run->io.data_offset + i);
	}
	text[n] = 0;
}
