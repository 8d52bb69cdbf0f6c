/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The probe: one vCPU runs the guest of probe_guest.S, which enters long mode
 * as a kernel does and sends a sum that is known. A hung KVM_RUN cannot be
 * waited for, so it runs in a child process that is killed at the time limit;
 * what the child found lies in memory that both share.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "probe.h"
#include "probe_guest.h"

#define SLOW 8.0		/* an engine slower than the host by this much is refused */
/* Shorter times prove nothing: anything may have happened in them. */
#define SLOW_MIN_NS 8000000ULL
#define OUTS 7			/* five steps, two halves of the sum */

extern const u8 probe_guest_start[], probe_guest_end[];

/* Shared with the child. */
struct report {
	u32 outs;		/* how many came, atomic */
	u32 value[OUTS];
	u64 at[OUTS];		/* when, ns */
	bool finished;
	char why[160];		/* if it could not even start */
	u32 exit_reason;	/* that ended it too early */
};

/* --- the child ---------------------------------------------------------------- */

static int fail(struct report *rep, const char *what, int err)
{
	snprintf(rep->why, sizeof(rep->why), "cannot %s: %s", what, strerror(-err));
	return -1;
}

static struct kvm_segment flat(u16 selector, u8 type)
{
	return (struct kvm_segment){ .selector = selector, .limit = 0xffffffff, .type = type,
				     .present = 1, .s = 1, .db = 1, .g = 1 };
}

static int set_registers(const struct kvm *k, int fd, struct report *rep)
{
	struct kvm_regs regs = { .rip = PROBE_CODE, .rflags = 2 };
	struct kvm_sregs s;
	int err = kvm_ioctl(k, fd, KVM_GET_SREGS, &s);

	if (err < 0)
		return fail(rep, "read registers", err);
	s.cs = flat(0x8, 0xb);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(0x10, 0x3);
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	s.cr0 = 0x11;
	s.cr4 = s.efer = 0;
	err = kvm_ioctl(k, fd, KVM_SET_SREGS, &s);
	if (err >= 0)
		err = kvm_ioctl(k, fd, KVM_SET_REGS, &regs);
	return err < 0 ? fail(rep, "set registers", err) : 0;
}

static int set_cpuid(const struct kvm *k, int fd, struct report *rep)
{
	static union {
		struct kvm_cpuid2 c;
		u8 room[sizeof(struct kvm_cpuid2) + 512 * sizeof(struct kvm_cpuid_entry2)];
	} all;
	int err;

	all.c.nent = 512;
	err = kvm_ioctl(k, k->fd, KVM_GET_SUPPORTED_CPUID, &all);
	if (err >= 0)
		err = kvm_ioctl(k, fd, KVM_SET_CPUID2, &all);
	return err < 0 ? fail(rep, "set CPUID", err) : 0;
}

static int make_vm(const struct kvm *k, struct report *rep)
{
	u8 *ram = mmap(NULL, PROBE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	struct kvm_userspace_memory_region slot = {
		.memory_size = PROBE_RAM, .userspace_addr = (uintptr_t)ram,
	};
	int vm, err;

	if (ram == MAP_FAILED)
		return fail(rep, "get memory", -errno);
	memcpy(ram + PROBE_CODE, probe_guest_start,
	       (size_t)(probe_guest_end - probe_guest_start));
	vm = kvm_ioctl(k, k->fd, KVM_CREATE_VM, 0);
	if (vm < 0)
		return fail(rep, "create a virtual machine", vm);
	err = kvm_ioctl(k, vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);
	if (err >= 0)
		err = kvm_ioctl(k, vm, KVM_SET_USER_MEMORY_REGION, &slot);
	return err < 0 ? fail(rep, "set up a virtual machine", err) : vm;
}

/* Runs until all outs came (0), or something else ends it (-1). */
static int run(const struct kvm *k, int fd, struct kvm_run *run, struct report *rep)
{
	while (rep->outs < OUTS) {
		int err = kvm_ioctl(k, fd, KVM_RUN, 0);

		if (err == -EINTR || err == -EAGAIN)
			continue;
		if (err < 0)
			return fail(rep, "run", err);
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != PROBE_PORT ||
		    run->io.size != 4 || run->io.direction != KVM_EXIT_IO_OUT) {
			rep->exit_reason = run->exit_reason;
			return -1;
		}
		memcpy(&rep->value[rep->outs], (u8 *)run + run->io.data_offset, 4);
		rep->at[rep->outs] = monotonic_ns();
		__atomic_fetch_add(&rep->outs, 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static void child(enum kvm_engine engine, struct report *rep)
{
	struct kvm_run *mapped;
	struct kvm k;
	int vm, fd, err, size;

	err = kvm_open(&k, engine);
	if (err < 0) {
		fail(rep, "open it", err);
		return;
	}
	vm = make_vm(&k, rep);
	if (vm < 0)
		return;
	fd = kvm_ioctl(&k, vm, KVM_CREATE_VCPU, 0);
	size = kvm_ioctl(&k, k.fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (fd < 0 || size < (int)sizeof(*mapped)) {
		fail(rep, "create a CPU", fd < 0 ? fd : -EPROTO);
		return;
	}
	mapped = kvm_mmap(&k, fd, (size_t)size);
	if (!mapped) {
		fail(rep, "map a CPU", -errno);
		return;
	}
	if (set_cpuid(&k, fd, rep) < 0 || set_registers(&k, fd, rep) < 0)
		return;
	if (run(&k, fd, mapped, rep) == 0)
		rep->finished = true;
}

/* --- judging -------------------------------------------------------------------- */

/* The guest's sum, made by the host; *ns is the time of its computing part. */
static u64 expected_sum(u64 *ns)
{
	u64 start = monotonic_ns();
	u64 x = 1, sum = 0;
	u32 i;

	for (i = 0; i < PROBE_LOOPS; i++) {
		x = x * PROBE_MUL + PROBE_ADD;
		sum = (sum << 7 | sum >> 57) ^ x;
		__asm__ volatile("" : "+r"(sum));	/* no cleverness: this is measured */
	}
	*ns = monotonic_ns() - start;
	sum += (u64)PROBE_ROUNDS * PROBE_WALK_PAGES;
	/* CR2, the error code 0, and one for #UD */
	return sum + PROBE_FAULTS * ((u64)PROBE_FAULT_VA + 1);
}

static void judge_result(struct probe_result *r, const struct report *rep)
{
	u64 native_ns, guest_ns, sum;

	sum = expected_sum(&native_ns);
	if (((u64)rep->value[6] << 32 | rep->value[5]) != sum) {
		snprintf(r->why, sizeof(r->why), "the probe guest computed a wrong result");
		return;
	}
	guest_ns = rep->at[2] - rep->at[1];
	r->ratio = (double)guest_ns / (double)(native_ns ? native_ns : 1);
	if (r->ratio > SLOW && guest_ns > SLOW_MIN_NS) {
		snprintf(r->why, sizeof(r->why), "the probe guest ran %.0f times too slowly",
			 r->ratio);
		return;
	}
	r->ok = true;
	snprintf(r->why, sizeof(r->why), "the probe guest ran in %.1f ms", r->ms);
}

static void judge_unfinished(struct probe_result *r, const struct report *rep, bool timeout)
{
	static const char *const step[] = {
		"did not start", "did not reach 64-bit mode", "did not end its computation",
		"did not end its page table walks", "did not handle its exceptions",
		"did not end", "did not end",
	};
	u32 outs = __atomic_load_n(&rep->outs, __ATOMIC_ACQUIRE);
	const char *how = step[outs < OUTS ? outs : OUTS - 1];

	if (timeout)
		snprintf(r->why, sizeof(r->why), "the probe guest %s within %d ms", how,
			 PROBE_LIMIT_MS);
	else if (rep->why[0])
		snprintf(r->why, sizeof(r->why), "%s", rep->why);
	else if (rep->exit_reason)
		snprintf(r->why, sizeof(r->why), "the probe guest %s: exit reason %u", how,
			 rep->exit_reason);
	else
		snprintf(r->why, sizeof(r->why), "the probe ended by itself: the guest %s", how);
}

/* Waits for the child until the limit; true when it said something or ended. */
static bool wait_child(int pipe_fd, u64 start)
{
	u64 end = start + PROBE_LIMIT_MS * 1000000ULL;

	for (;;) {
		struct pollfd p = { pipe_fd, POLLIN, 0 };
		u64 now = monotonic_ns();

		if (now >= end)
			return false;
		if (poll(&p, 1, (int)((end - now + 999999) / 1000000)) > 0)
			return true;
	}
}

/* The child's end may take long (a VM is torn down); do not wait for it much. */
static void reap(pid_t pid)
{
	int i;

	for (i = 0; i < 20 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		usleep(500);
}

void probe_engine(enum kvm_engine engine, struct probe_result *r)
{
	struct report *rep = mmap(NULL, sizeof(*rep), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u64 start = monotonic_ns();
	bool answered;
	int fds[2];
	pid_t pid;

	memset(r, 0, sizeof(*r));
	if (rep == MAP_FAILED || pipe(fds) < 0) {
		snprintf(r->why, sizeof(r->why), "the probe failed: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		child(engine, rep);
		_exit(write(fds[1], "", 1) != 1);
	}
	close(fds[1]);
	answered = pid > 0 && wait_child(fds[0], start);
	r->ms = (double)(monotonic_ns() - start) / 1e6;
	if (pid < 0)
		snprintf(r->why, sizeof(r->why), "the probe failed: %s", strerror(errno));
	else if (answered && rep->finished)
		judge_result(r, rep);
	else
		judge_unfinished(r, rep, !answered);
	if (pid > 0) {
		kill(pid, SIGKILL);
		reap(pid);
	}
	close(fds[0]);
	munmap(rep, sizeof(*rep));
}

/* --- choosing ------------------------------------------------------------------------ */

enum kvm_engine probe_choose(struct probe_result *r)
{
	struct kvm k;
	int err = kvm_open(&k, KVM_ENGINE_KERNEL);

	memset(r, 0, sizeof(*r));
	if (err < 0) {
		if (err == -ENOENT)
			snprintf(r->why, sizeof(r->why), "it is not there");
		else
			snprintf(r->why, sizeof(r->why), "cannot open it: %s", strerror(-err));
		return KVM_ENGINE_SOFT;
	}
	kvm_close(&k);
	probe_engine(KVM_ENGINE_KERNEL, r);
	return r->ok ? KVM_ENGINE_KERNEL : KVM_ENGINE_SOFT;
}
