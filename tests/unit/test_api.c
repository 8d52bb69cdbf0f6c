/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API's surface: descriptors and what the C library's calls do to them,
 * the errors that requests give for bad arguments on each kind of descriptor,
 * and how signals and immediate_exit end KVM_RUN.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "api.h"

#define BAD ((void *)0x10)

/* --- descriptors ------------------------------------------------------------------ */

static void test_descriptors(void **state)
{
	int copy, other;

	(void)state;
	assert_true(anykvm_is(sys_fd) && anykvm_is(vm_fd) && anykvm_is(cpu_fd));
	assert_false(anykvm_is(0));
	assert_false(anykvm_is(-1));
	assert_false(anykvm_is(1 << 28));
	assert_true(fcntl(cpu_fd, F_GETFD) & FD_CLOEXEC);

	/* The C library's dup is recognised, and its close noticed. */
	copy = dup(cpu_fd);
	assert_true(anykvm_is(copy));
	assert_int_equal(anykvm_ioctl(copy, KVM_GET_TSC_KHZ, 0),
			 anykvm_ioctl(cpu_fd, KVM_GET_TSC_KHZ, 0));
	close(copy);
	assert_false(anykvm_is(copy));
	other = open("/dev/null", O_RDWR);
	assert_int_equal(other, copy);
	assert_false(anykvm_is(other));
	assert_errno(anykvm_ioctl(other, KVM_GET_REGS, BAD), ENOTTY);
	assert_errno(anykvm_close(other), EBADF);
	close(other);
	assert_errno(anykvm_ioctl(other, KVM_GET_REGS, BAD), EBADF);

	copy = anykvm_dup(vm_fd);
	assert_true(copy >= 0 && anykvm_is(copy));
	assert_int_equal(anykvm_ioctl(copy, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
	assert_int_equal(anykvm_close(copy), 0);
	assert_errno(anykvm_close(copy), EBADF);
	assert_errno(anykvm_dup(-1), EBADF);
}

/* A VM lives until its last vCPU descriptor is closed. */
static void test_lifetime(void **state)
{
	struct kvm_regs r;
	int vm, cpu;

	(void)state;
	vm = anykvm_ioctl(sys_fd, KVM_CREATE_VM, 0);
	cpu = anykvm_ioctl(vm, KVM_CREATE_VCPU, 3);
	assert_int_equal(anykvm_close(vm), 0);
	assert_int_equal(anykvm_ioctl(cpu, KVM_GET_REGS, &r), 0);
	assert_int_equal(anykvm_close(cpu), 0);
	assert_errno(anykvm_ioctl(cpu, KVM_GET_REGS, &r), EBADF);
}

static void test_run_pages(void **state)
{
	int size = anykvm_ioctl(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	(void)state;
	assert_int_equal(size, 12288);
	assert_int_equal(ftruncate(cpu_fd, 0), -1);
	run->immediate_exit = 1;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	run->immediate_exit = 0;
}

static void test_fork(void **state)
{
	struct kvm_regs r;
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		int bad = 0;

		bad |= anykvm_ioctl(sys_fd, KVM_GET_API_VERSION, 0) != 12;
		bad |= anykvm_ioctl(cpu_fd, KVM_GET_REGS, &r) != -1 || errno != EIO;
		bad |= anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 9) != -1 || errno != EIO;
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_REGS, &r), 0);
}

/* --- errors ------------------------------------------------------------------------- */

static void test_unknown_requests(void **state)
{
	(void)state;
	assert_errno(anykvm_ioctl(sys_fd, KVM_RUN, 0), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_RUN, 0), ENOTTY);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_CREATE_VM, 0), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, 0x5401, 0), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, _IO(KVMIO, 0xff), 0), ENOTTY);
}

static void test_system_errors(void **state)
{
	struct {
		struct kvm_msr_list head;
		uint32_t room[4];
	} list = { .head.nmsrs = 4 };
	struct kvm_cpuid2 none = { .nent = 0 };
	struct kvm_device_attr attr = { .attr = 7 };
	uint64_t val;

	(void)state;
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_API_VERSION, 1), EINVAL);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	assert_errno(anykvm_ioctl(sys_fd, KVM_CREATE_VM, 77), EINVAL);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_MSR_INDEX_LIST, BAD), EFAULT);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_MSR_INDEX_LIST, &list), E2BIG);
	assert_true(list.head.nmsrs > 4);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, &none), E2BIG);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, BAD), EFAULT);
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_DEVICE_ATTR, &attr), ENXIO);
	attr.attr = KVM_X86_XCOMP_GUEST_SUPP;
	assert_errno(anykvm_ioctl(sys_fd, KVM_GET_DEVICE_ATTR, &attr), EFAULT);
	attr.addr = (uintptr_t)&val;
	assert_int_equal(anykvm_ioctl(sys_fd, KVM_GET_DEVICE_ATTR, &attr), 0);
	assert_true(val & 1);
	assert_int_equal(anykvm_ioctl(sys_fd, KVM_CHECK_EXTENSION, 0xffffffff), 0);
}

static void test_vm_errors(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .flags = 1 };
	struct kvm_irq_level level = { .irq = 3, .level = 1 };
	struct kvm_msi msi = { 0 };
	struct kvm_irq_routing routing = { .nr = 5000 };
	struct kvm_irqfd irqfd = { .fd = 0 };
	struct kvm_clock_data clock = { .flags = 1 };
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_pit_state2 pit;
	struct kvm_irqchip chip = { .chip_id = 0 };
	uint64_t addr = 0xfffbc000;

	(void)state;
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 0), EEXIST);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 4096), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, -1), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.flags = 0;
	cap.cap = 60000;
	assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, BAD), EFAULT);
	assert_errno(anykvm_ioctl(vm_fd, KVM_IRQ_LINE, &level), ENXIO);
	assert_errno(anykvm_ioctl(vm_fd, KVM_IRQ_LINE, BAD), EFAULT);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SIGNAL_MSI, &msi), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_GSI_ROUTING, &routing), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_GET_IRQCHIP, &chip), ENXIO);
	assert_errno(anykvm_ioctl(vm_fd, KVM_GET_PIT2, &pit), ENXIO);
	assert_errno(anykvm_ioctl(vm_fd, KVM_IRQFD, &irqfd), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_CLOCK, &clock), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xffffe000), EINVAL);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000), 0);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &addr), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_BOOT_CPU_ID, 1), EBUSY);
	assert_errno(anykvm_ioctl(vm_fd, KVM_SET_NR_MMU_PAGES, 1), EINVAL);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_DEVICE, &dev), ENODEV);
	assert_errno(anykvm_ioctl(vm_fd, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
}

static void test_cpu_errors(void **state)
{
	struct kvm_interrupt irq = { .irq = 256 };
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_HALTED };
	struct kvm_lapic_state lapic;
	struct kvm_debugregs dbg = { .flags = 1 };
	struct kvm_vcpu_events ev = { .flags = 1u << 31 };
	struct kvm_sregs s;
	struct kvm_signal_mask mask = { .len = 4 };
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = 2 };
	struct kvm_xsave xs;
	uint64_t mce = 0;

	(void)state;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 1), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_GET_REGS, BAD), EFAULT);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_REGS, BAD), EFAULT);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_INTERRUPT, &irq), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_MP_STATE, &mp), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_GET_LAPIC, &lapic), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_DEBUGREGS, &dbg), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.flags = 0;
	ev.exception.injected = 1;
	ev.exception.nr = 2;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_X86_SETUP_MCE, &mce), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_KVMCLOCK_CTRL, 0), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XCRS, &x), EINVAL);
	x.nr_xcrs = 17;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XCRS, &x), EINVAL);

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr0 = 1ul << 31;	/* paging without protection */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.efer = 1 << 10;	/* LMA without paging */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr4 |= 1ul << 40;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), EINVAL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.apic_base |= 1ul << 60;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), EINVAL);

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_XSAVE, &xs), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, &xs), 0);
	xs.region[130] = 1;	/* XCOMP_BV */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, &xs), EINVAL);
	xs.region[130] = 0;
	xs.region[129] = 1u << 30;	/* a component that nobody has */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, &xs), EINVAL);
	xs.region[129] = 0;
	xs.region[6] |= 1u << 31;	/* MXCSR */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, &xs), EINVAL);
}

/* --- what goes in comes out ------------------------------------------------------------ */

static void test_register_round_trip(void **state)
{
	struct kvm_regs r, r2;
	struct kvm_sregs s, s2;
	struct kvm_fpu f, f2;
	struct kvm_debugregs d = { .db = { 1, 2, 3, 4 }, .dr6 = 0xffff0ff0, .dr7 = 0x401 }, d2;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(r); i++)
		((unsigned char *)&r)[i] = (unsigned char)(i * 7 + 1);
	r.rflags = 0x246;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_REGS, &r2), 0);
	assert_memory_equal(&r, &r2, sizeof(r));

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr0 = 0x60000011;
	s.ds.base = 0x12345;
	s.ds.selector = 0x1234;
	s.fs.limit = 0xffffffff;
	s.fs.g = s.fs.db = 1;
	s.gs.present = 0;
	s.gs.unusable = 1;
	s.cr2 = 0x1122334455667788;
	s.cr8 = 5;
	s.interrupt_bitmap[1] = 1ul << 5;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s2), 0);
	assert_memory_equal(&s, &s2, sizeof(s));

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_FPU, &f), 0);
	assert_int_equal(f.fcw, 0x37f);
	assert_int_equal(f.mxcsr, 0x1f80);
	f.xmm[3][2] = 0xab;
	f.fpr[1][4] = 0xcd;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_FPU, &f), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_FPU, &f2), 0);
	assert_memory_equal(&f, &f2, sizeof(f));

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_DEBUGREGS, &d), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_DEBUGREGS, &d2), 0);
	assert_memory_equal(&d, &d2, sizeof(d));
}

static void test_events_round_trip(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args[0] = 1 };
	struct kvm_vcpu_events e = { .flags = KVM_VCPUEVENT_VALID_PAYLOAD |
						KVM_VCPUEVENT_VALID_SHADOW |
						KVM_VCPUEVENT_VALID_NMI_PENDING };
	struct kvm_vcpu_events got;

	(void)state;
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap), 0);
	e.exception.pending = 1;
	e.exception.nr = 14;
	e.exception.has_error_code = 1;
	e.exception.error_code = 7;
	e.exception_has_payload = 1;
	e.exception_payload = 0x1234;
	e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	e.nmi.pending = e.nmi.masked = 1;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &e), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_VCPU_EVENTS, &got), 0);
	got.flags = e.flags;
	assert_memory_equal(&e, &got, sizeof(e));
	e.exception.pending = 0;
	e.exception_has_payload = 0;
	e.exception_payload = 0;
	e.exception.injected = 1;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &e), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_VCPU_EVENTS, &got), 0);
	got.flags = e.flags;
	assert_memory_equal(&e, &got, sizeof(e));
}

static void test_clock(void **state)
{
	struct kvm_clock_data c = { .clock = 1000000000000 }, got;

	(void)state;
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_CLOCK, &c), 0);
	usleep(10000);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_GET_CLOCK, &got), 0);
	assert_true(got.clock >= c.clock + 10000000 && got.clock < c.clock + 5000000000);
	assert_int_equal(got.flags, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_SET_CLOCK, &got), 0);
}

/* What is saved with the vCPU's state must not change because that is asked for. */
static void test_clock_page(void **state)
{
	static const unsigned char out[] = { 0xe6, 0x10, 0xeb, 0xfc };	/* out; back to it */
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e = { .index = 0x4b564d01, .data = 0x3000 | 1 } };
	volatile uint32_t *version = (void *)(memory + 0x3000);
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;

	(void)state;
	set_supported_cpuid();
	load_code(out, sizeof(out));
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_MSRS, &m), 1);
	assert_int_equal(*version, 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_RUN, 0), 0);
	assert_int_equal(*version, 2);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_KVMCLOCK_CTRL, 0), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_VCPU_EVENTS, &events), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(*version, 2);
	assert_int_equal(memory[0x3000 + 29] & 2, 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_RUN, 0), 0);
	assert_int_equal(*version, 4);
	assert_int_equal(memory[0x3000 + 29] & 2, 2);	/* the guest was stopped */
}

static void test_many_cpus(void **state)
{
	int fd[300], i;

	(void)state;
	for (i = 0; i < 300; i++) {
		fd[i] = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 4000 - i);
		assert_true(fd[i] >= 0);
	}
	for (i = 0; i < 300; i++)
		assert_int_equal(anykvm_close(fd[i]), 0);
}

static void test_irqchip(void **state)
{
	struct kvm_pit_config pit = { 0 };
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_interrupt irq = { .irq = 32 };
	struct kvm_mp_state mp;
	int cpu0, cpu1;

	(void)state;
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), 0);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0), EEXIST);
	assert_int_equal(anykvm_ioctl(vm_fd, KVM_CREATE_PIT2, &pit), 0);
	assert_errno(anykvm_ioctl(vm_fd, KVM_CREATE_PIT2, &pit), EEXIST);
	assert_errno(anykvm_ioctl(vm_fd, KVM_GET_IRQCHIP, &chip), EINVAL);
	cpu0 = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	cpu1 = anykvm_ioctl(vm_fd, KVM_CREATE_VCPU, 1);
	assert_int_equal(anykvm_ioctl(cpu0, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(anykvm_ioctl(cpu1, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	assert_errno(anykvm_ioctl(cpu0, KVM_INTERRUPT, &irq), ENXIO);
	assert_int_equal(anykvm_close(cpu0), 0);
	assert_int_equal(anykvm_close(cpu1), 0);
}

/* --- leaving KVM_RUN ---------------------------------------------------------------------- */

static const unsigned char loop[] = { 0xeb, 0xfe };
static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	handled = sig;
}

static void on_info(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	handled = info->si_signo == sig ? sig : -1;
}

static void alarm_in(long us)
{
	struct itimerval t = { .it_value = { us / 1000000, us % 1000000 } };

	handled = 0;
	setitimer(ITIMER_REAL, &t, NULL);
}

static void test_signal_ends_run(void **state)
{
	struct sigaction act = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction old;

	(void)state;
	load_code(loop, sizeof(loop));
	assert_true(signal(SIGALRM, on_signal) != SIG_ERR);
	alarm_in(20000);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(run->exit_reason, KVM_EXIT_INTR);
	assert_int_equal(handled, SIGALRM);

	assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
	assert_ptr_equal(old.sa_handler, on_signal);
	assert_false(old.sa_flags & SA_SIGINFO);
	alarm_in(20000);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(handled, SIGALRM);
	assert_int_equal(sigaction(SIGALRM, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, on_info);
	assert_true(old.sa_flags & SA_SIGINFO);

	act.sa_flags |= SA_RESETHAND;
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	alarm_in(20000);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(sigaction(SIGALRM, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	assert_true(signal(SIGALRM, SIG_IGN) == SIG_DFL);
	assert_true(signal(SIGALRM, SIG_DFL) == SIG_IGN);
}

/* A signal blocked outside and let through by the mask stays pending. */
static void signal_mask(void (*handler)(int))
{
	struct {
		struct kvm_signal_mask head;
		uint64_t bits;
	} __attribute__((packed)) mask = { .head.len = 8, .bits = 0 };
	sigset_t set, pending;
	int sig;

	load_code(loop, sizeof(loop));
	signal(SIGALRM, handler);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SIGNAL_MASK, &mask), 0);
	alarm_in(20000);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(handled, 0);
	/* Still pending: it ends the next KVM_RUN at once. */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	assert_int_equal(sigpending(&pending), 0);
	assert_true(sigismember(&pending, SIGALRM));
	assert_int_equal(sigwait(&set, &sig), 0);
	assert_int_equal(sig, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SIGNAL_MASK, NULL), 0);
	signal(SIGALRM, SIG_DFL);
}

static void test_signal_mask(void **state)
{
	(void)state;
	signal_mask(on_signal);
}

static void test_signal_mask_default(void **state)
{
	(void)state;
	signal_mask(SIG_DFL);
}

static void test_immediate_exit(void **state)
{
	(void)state;
	load_code(loop, sizeof(loop));
	run->immediate_exit = 1;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
	run->immediate_exit = 0;
}

static void *kicker(void *arg)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void test_kick_from_thread(void **state)
{
	pthread_t self = pthread_self(), t;
	int i;

	(void)state;
	load_code(loop, sizeof(loop));
	signal(SIGUSR1, on_signal);
	for (i = 0; i < 10; i++) {
		pthread_create(&t, NULL, kicker, &self);
		assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINTR);
		pthread_join(t, NULL);
	}
	signal(SIGUSR1, SIG_DFL);
}

static void *endless(void *arg)
{
	int old;

	(void)arg;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (;;)
		anykvm_ioctl(cpu_fd, KVM_RUN, 0);
	return NULL;
}

/* A cancelled thread leaves a vCPU that others can go on with. */
static void test_cancel(void **state)
{
	struct kvm_regs r;
	pthread_t t;
	void *end;
	int i;

	(void)state;
	load_code(loop, sizeof(loop));
	for (i = 0; i < 200; i++) {
		pthread_create(&t, NULL, endless, NULL);
		usleep(i * 10);
		assert_int_equal(pthread_cancel(t), 0);
		assert_int_equal(pthread_join(t, &end), 0);
		assert_ptr_equal(end, PTHREAD_CANCELED);
		assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_REGS, &r), 0);
		assert_int_equal(r.rip, 0x1000);
	}
}

/* --- registers in struct kvm_run -------------------------------------------------------------- */

static void test_sync_regs(void **state)
{
	static const unsigned char code[] = { 0x40, 0xe6, 0x80, 0xeb, 0xfb }; /* inc, out, jmp */

	(void)state;
	load_code(code, sizeof(code));
	run->kvm_valid_regs = 1u << 20;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_RUN, 0), EINVAL);
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_RUN, 0), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->s.regs.regs.rax & 0xffff, 1);
	run->s.regs.regs.rax = 41;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_RUN, 0), 0);
	assert_int_equal(run->s.regs.regs.rax & 0xffff, 42);
	assert_int_equal(run->kvm_dirty_regs, 0);
	run->kvm_valid_regs = 0;
}

/* --- slots under a running vCPU ------------------------------------------------------------- */

static volatile bool stop;

static void *runner(void *arg)
{
	(void)arg;
	while (!stop)
		anykvm_ioctl(cpu_fd, KVM_RUN, 0);
	return NULL;
}

/* A slot comes, goes and moves under a vCPU that never leaves the guest by itself. */
static void test_running(void **state)
{
	/* mov al,[0x5000]; mov [0x5000],al; inc word [0x3000]; jmp back */
	static const unsigned char code[] = {
		0xa0, 0x00, 0x50, 0xa2, 0x00, 0x50, 0xff, 0x06, 0x00, 0x30, 0xeb, 0xf4,
	};
	volatile uint16_t *count;
	uint16_t before;
	pthread_t t;
	unsigned i;

	(void)state;
	load_code(code, sizeof(code));
	assert_int_equal(set_slot(0, 0, 0, 0, 0), 0);
	assert_int_equal(set_slot(1, 0, 0, 0x5000, memory), 0);
	assert_int_equal(set_slot(2, 0, 0x5000, 0x1000, memory + 0x5000), 0);
	count = (uint16_t *)(memory + 0x3000);
	stop = false;
	signal(SIGUSR1, on_signal);
	pthread_create(&t, NULL, runner, NULL);
	for (i = 0; i < 200; i++) {
		unsigned first = i & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0;
		unsigned then = first ^ KVM_MEM_LOG_DIRTY_PAGES;

		assert_int_equal(set_slot(2, 0, 0x5000, 0, 0), 0);
		assert_int_equal(set_slot(2, first, 0x5000, 0x1000, memory + 0x5000), 0);
		assert_int_equal(set_slot(2, then, 0x5000, 0x1000, memory + 0x5000), 0);
		assert_int_equal(set_slot(2, 0, 0x9000, 0x1000, memory + 0x5000), 0);
		assert_int_equal(set_slot(2, 0, 0x5000, 0x1000, memory + 0x5000), 0);
	}
	before = *count;
	for (i = 0; i < 1000 && *count == before; i++)
		usleep(1000);
	assert_int_not_equal(*count, before);
	stop = true;
	pthread_kill(t, SIGUSR1);
	pthread_join(t, NULL);
}

#define CPU_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_cpu, teardown_cpu)
#define VM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_vm, teardown_vm)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CPU_TEST(test_descriptors),
		CPU_TEST(test_lifetime),
		CPU_TEST(test_run_pages),
		CPU_TEST(test_fork),
		CPU_TEST(test_unknown_requests),
		CPU_TEST(test_system_errors),
		CPU_TEST(test_vm_errors),
		CPU_TEST(test_cpu_errors),
		CPU_TEST(test_register_round_trip),
		CPU_TEST(test_events_round_trip),
		CPU_TEST(test_clock),
		CPU_TEST(test_clock_page),
		VM_TEST(test_many_cpus),
		VM_TEST(test_irqchip),
		CPU_TEST(test_signal_ends_run),
		CPU_TEST(test_signal_mask),
		CPU_TEST(test_signal_mask_default),
		CPU_TEST(test_immediate_exit),
		CPU_TEST(test_kick_from_thread),
		CPU_TEST(test_cancel),
		CPU_TEST(test_sync_regs),
		CPU_TEST(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
