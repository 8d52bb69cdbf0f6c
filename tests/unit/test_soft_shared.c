/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vCPUs that share translations: code that they reach by different page tables,
 * and code that one of them overwrites while the other is out of it.
 */
#include <pthread.h>

#include "guest64.h"

#define F CODE64_AT			/* pages of code */
#define G (CODE64_AT + 0x1000)
#define OTHER 0x30000ul			/* G for the second vCPU */
#define STACK2 (STACK - 0x10000)

/* The second vCPU; guest64.h's functions are about the first. */
static int cpu2_fd;
static struct kvm_run *run2;

static int setup_two(void **state)
{
	struct kvm_sregs s;
	int first;

	if (setup64(state))
		return -1;
	s = get_sregs64();
	s.cr3 = TABLES2;
	cpu2_fd = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 1);
	if (cpu2_fd < 0)
		return -1;
	run2 = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, cpu2_fd, 0);
	if (run2 == MAP_FAILED)
		return -1;
	first = cpu_fd;
	cpu_fd = cpu2_fd;
	set_supported_cpuid();
	set_sregs64(&s);
	cpu_fd = first;
	return 0;
}

static int teardown_two(void **state)
{
	munmap(run2, 12288);
	return anykvm_close(cpu2_fd) || teardown64(state);
}

/* --- one jump, two targets ------------------------------------------------------------ */

struct cpu {
	int fd;
	struct kvm_run *run;
	struct kvm_regs r;
};

/* Every fourth time round forgets where the jump to G led. */
static const unsigned char jump_away[] = {
	0x41, 0x0f, 0x22, 0xd8,			/* mov cr3, r8 */
	0xe9, 0xf7, 0x0f, 0x00, 0x00,		/* jmp G */
};
static const unsigned char jump_back[] = {
	0x48, 0xff, 0xc0,			/* inc rax, or rbx */
	0xff, 0xc9,				/* dec ecx */
	0x74, 0x0f,				/* jz to the INT */
	0xf6, 0xc1, 0x03,			/* test cl, 3 */
	0x74, 0x05,				/* jz to the second JMP */
	0xe9, 0xf3, 0xef, 0xff, 0xff,		/* jmp F + 4 */
	0xe9, 0xea, 0xef, 0xff, 0xff,		/* jmp F */
	0xcd, END,
};

/* For any thread: NULL when it ended in a handler. */
static void *run_cpu(void *arg)
{
	struct cpu *c = arg;
	int bad = anykvm_ioctl(c->fd, KVM_SET_REGS, &c->r) || anykvm_ioctl(c->fd, KVM_RUN, 0) ||
		  c->run->exit_reason != KVM_EXIT_HLT ||
		  anykvm_ioctl(c->fd, KVM_GET_REGS, &c->r);

	return bad ? c : NULL;
}

/* Both go through the same code at F all the time, and on to different code. */
static void test_two_targets(void **state)
{
	const uint64_t rounds = 300000;
	struct cpu c[2] = {
		{ cpu_fd, run, { .rip = F, .rsp = STACK, .r8 = TABLES, .rcx = rounds,
				 .rflags = 2 } },
		{ cpu2_fd, run2, { .rip = F, .rsp = STACK2, .r8 = TABLES2, .rcx = rounds,
				   .rflags = 2 } },
	};
	pthread_t thread;
	void *bad;

	(void)state;
	kernel_only();
	memcpy(memory + F, jump_away, sizeof(jump_away));
	memcpy(memory + G, jump_back, sizeof(jump_back));
	memcpy(memory + OTHER, jump_back, sizeof(jump_back));
	memory[OTHER + 2] = 0xc3;
	put64(pte_of(TABLES2, G), OTHER | PTE_BASE);
	assert_int_equal(pthread_create(&thread, NULL, run_cpu, &c[1]), 0);
	assert_null(run_cpu(&c[0]));
	pthread_join(thread, &bad);
	assert_null(bad);
	assert_int_equal(c[0].r.rax, rounds);
	assert_int_equal(c[0].r.rbx, 0);
	assert_int_equal(c[1].r.rax, 0);
	assert_int_equal(c[1].r.rbx, rounds);
}

/* --- code in the way of an event's frame ----------------------------------------------- */

#define SHARED 0x40000ul		/* the first's stack, with a function of the second's */
#define FRAME (SHARED + 0x408)		/* where a frame of it ends */
#define ALIAS 0xc00000ul		/* all of memory again */
#define VECTOR 0x40u
#define FL_IF 0x200ul
#define FL_IOPL3 0x3000ul

CODE64(stack_user, "push	$0\n\tadd	$8, %rsp\n\tout	%al, $0x10\n\t");
CODE64(stack_handler, "out	%al, $0x11\n\t");
CODE64(stack_caller, "1: call	*%rbx\n\tout	%al, $0x12\n\tjmp	1b\n\t");

/* mov al, value; ret: as an address, one in the alias */
static uint64_t function(unsigned char value)
{
	return 0xc300b0 | (uint64_t)value << 8;
}

/* The second's run, up to its OUT: AL. */
static unsigned char run_second(void)
{
	assert_int_equal(anykvm_ioctl(cpu2_fd, KVM_RUN, 0), 0);
	assert_int_equal(run2->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run2->io.port, 0x12);
	return *((unsigned char *)run2 + run2->io.data_offset);
}

/*
 * The first vCPU knows the page as one to write to, and leaves KVM_RUN. Then the
 * page becomes the second's code, which an interrupt of the first overwrites before
 * translated code runs again there: the RIP that it pushes is the function anew.
 */
static void test_frame_over_code(void **state)
{
	uint64_t selector = variant->access == ACCESS_USER ? 0x23 : 8;
	uint64_t start = function(2) - (uint64_t)(stack_user_end - stack_user);
	struct kvm_regs r = { .rip = start, .rsp = FRAME + 40, .rflags = FL_IOPL3 | FL_IF | 2 };

	(void)state;
	put64(TABLES + 0x2000 + 8 * (ALIAS >> 21), PTE_BASE | PTE_LARGE | user_bit());
	PUT(start - ALIAS, stack_user);
	PUT(F, stack_handler);
	PUT(G, stack_caller);
	put64(IDT + 16 * VECTOR, (F & 0xffff) | selector << 16 | 0xee00ull << 32 | F >> 16 << 48);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
	run_to_out(0x10);

	put64(FRAME, function(1));
	r = (struct kvm_regs){ .rip = G, .rsp = STACK2, .rbx = FRAME, .rflags = FL_IOPL3 | 2 };
	assert_int_equal(anykvm_ioctl(cpu2_fd, KVM_SET_REGS, &r), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_second(), 1);

	assert_int_equal(interrupt(VECTOR), 0);
	run_to_out(0x11);
	assert_int_equal(get64(FRAME), function(2));
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_second(), 2);
}

#define two64(f) cmocka_unit_test_setup_teardown(f, setup_two, teardown_two)

int main(void)
{
	static const struct variant variants[] = {
		{ "kernel", ACCESS_KERNEL, "" },
		{ "kernel code-cache=4M", ACCESS_KERNEL, "code-cache=4M" },
		{ "user", ACCESS_USER, "" },
	};
	const struct CMUnitTest tests[] = {
		two64(test_two_targets),
		two64(test_frame_over_code),
	};

	return RUN_VARIANTS(variants, tests);
}
