/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs whose stack lies in two pages, to and fro between which they go, in the
 * software engine: they are noticed, and run on as before.
 */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "guest64.h"
#include "stats.h"

#define EDGE (STACK_MEMORY + 0x10000)	/* between two pages of the stack's memory */
#define CALLS 200000
#define TRIES 200

/* 2: is called with RSP before and behind the edge; RBX and R12 sum up what they should. */
CODE64(to_and_fro,
	"1: call	2f\n\t"
	"sub	$0x200, %rsp\n\t"
	"call	2f\n\t"
	"add	$0x200, %rsp\n\t"
	"dec	%rcx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	".skip	40, 0xcc\n"
	"2: push	%rcx\n\t"
	"push	%rbx\n\t"
	"lea	-0x20(%rsp), %rsp\n\t"
	"mov	%rcx, 8(%rsp)\n\t"
	"call	3f\n\t"
	"add	8(%rsp), %r12\n\t"
	"add	$0x20, %rsp\n\t"
	"pop	%rbx\n\t"
	"pop	%rax\n\t"
	"add	%rax, %rbx\n\t"
	"ret\n\t"
	".skip	40, 0xcc\n"
	"3: push	%rbx\n\t"
	"pop	%rdx\n\t"
	"ret\n\t");

static void on_alarm(int signal)
{
	(void)signal;
}

/* As good64(), polling every millisecond. */
static struct kvm_regs run_polled(struct kvm_regs r)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
	int ret;

	r.rflags = 2;
	r.rip = CODE64_AT;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
	do
		ret = anykvm_ioctl(cpu_fd, KVM_RUN, 0);
	while (ret < 0 && errno == EINTR);
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(ret, 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_HLT);
	return get_regs();
}

static void round_trip(void)
{
	int user = variant->access == ACCESS_USER;
	struct kvm_sregs s = get_sregs64();
	struct kvm_regs r;

	s.cs = segment64(user ? 0x23 : 8, 11, 1);
	s.ss = segment64(user ? 0x1b : 0x10, 3, 0);
	set_sregs64(&s);
	r = run_polled((struct kvm_regs){ .rcx = CALLS, .rsp = EDGE + 0x100 });
	assert_int_equal(r.rbx, (uint64_t)CALLS * (CALLS + 1));
	assert_int_equal(r.r12, (uint64_t)CALLS * (CALLS + 1));
	assert_int_equal(r.rdx, r.rbx - 1);
}

static void test_split(void **state)
{
	int expected = variant->access == ACCESS_USER && !*variant->switches, tries = 0;
	uint64_t fills;

	(void)state;
	PUT(CODE64_AT, to_and_fro);
	do
		round_trip();
	while (!counter(cpu_fd, "split_stacks") && ++tries < (expected ? TRIES : 20));
	assert_int_equal(counter(cpu_fd, "split_stacks"), expected);
	fills = counter(cpu_fd, "site_fills");
	round_trip();
	fills = counter(cpu_fd, "site_fills") - fills;
	if (variant->access == ACCESS_USER)
		assert_int_equal(fills < CALLS, expected);
}

int main(void)
{
	static const struct variant variants[] = {
		EACH_ACCESS,
		{ "user no-split", ACCESS_USER, "no-split" },
	};
	const struct CMUnitTest tests[] = { test64(test_split) };

	return RUN_VARIANTS(variants, tests);
}
