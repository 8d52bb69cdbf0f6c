/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program without any C library: every system call is an instruction of its
 * own text, its threads have no thread-local storage, its handlers return
 * through a restorer of its own. Prints "raw ok".
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <stddef.h>
#include <stdint.h>

#define ENOTTY 25
#define EINTR 4

static inline long call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define call(nr, a, b, c) call6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static void say(const char *text)
{
	const char *end = text;

	while (*end)
		end++;
	call(__NR_write, 1, text, end - text);
}

static void quit(int status)
{
	call(__NR_exit_group, status, 0, 0);
	__builtin_unreachable();
}

static void check(int good, const char *what)
{
	if (good)
		return;
	say("not so: ");
	say(what);
	say("\n");
	quit(1);
}

/* --- a guest ---------------------------------------------------------------------- */

/* out 0x10, al; jmp . */
static const uint8_t code[] = { 0xe6, 0x10, 0xeb, 0xfe };
static uint8_t memory[0x1000] __attribute__((aligned(4096)));
static int vcpu;
static struct kvm_run *run;

static void make_guest(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = sizeof(memory),
						    .userspace_addr = (uintptr_t)memory };
	struct kvm_regs regs = { .rflags = 2 };
	static struct kvm_sregs sregs;
	long kvm, vm, size;
	unsigned int i;

	kvm = call(__NR_open, "/dev/kvm", O_RDWR | O_CLOEXEC, 0);
	check(kvm >= 0, "open /dev/kvm");
	check(call(__NR_ioctl, kvm, KVM_GET_API_VERSION, 0) == 12, "API version");
	vm = call(__NR_ioctl, kvm, KVM_CREATE_VM, 0);
	check(vm >= 0, "a VM");
	for (i = 0; i < sizeof(code); i++)
		memory[i] = code[i];
	check(call(__NR_ioctl, vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0, "a slot");
	vcpu = (int)call(__NR_ioctl, vm, KVM_CREATE_VCPU, 0);
	check(vcpu >= 0, "a vCPU");
	size = call(__NR_ioctl, kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = (struct kvm_run *)call6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
				      vcpu, 0);
	check((long)run > 0, "its page");
	check(call(__NR_ioctl, vcpu, KVM_GET_SREGS, &sregs) == 0, "its registers");
	sregs.cs.base = sregs.cs.selector = 0;
	check(call(__NR_ioctl, vcpu, KVM_SET_SREGS, &sregs) == 0, "segments");
	check(call(__NR_ioctl, vcpu, KVM_SET_REGS, &regs) == 0, "registers");
	check(call(__NR_ioctl, 1, KVM_CREATE_VM, 0) == -ENOTTY, "no VM of another descriptor");
}

/* --- signals ------------------------------------------------------------------------- */

struct action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static volatile int handled;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	handled = sig;
}

void restorer(void);
__asm__("restorer:\n\tmov $15, %eax\n\tsyscall");

static void install(int sig)
{
	struct action a = { on_signal, 4 /* SA_SIGINFO */ | 0x04000000 /* SA_RESTORER */,
			    restorer, ~0ul }, old;

	check(call6(__NR_rt_sigaction, sig, (long)&a, 0, 8, 0, 0) == 0, "rt_sigaction");
	check(call6(__NR_rt_sigaction, sig, 0, (long)&old, 8, 0, 0) == 0, "rt_sigaction again");
	check(old.handler == on_signal && old.restorer == restorer, "the action read back");
}

/* Registers that a system call keeps, vector registers among them. */
static void check_registers(void)
{
	static const uint64_t want[2] __attribute__((aligned(16))) = { 1, 2 };
	static uint64_t got[2] __attribute__((aligned(16)));
	long pid, bad = 0;

	__asm__ volatile("movdqa %3, %%xmm7\n\t"
			 "mov $0x1234, %%r12\n\tmov $0x5678, %%rdi\n\tmov $0x9abc, %%r9\n\t"
			 "mov %4, %%eax\n\tsyscall\n\tmov %%rax, %0\n\t"
			 "movdqa %%xmm7, %2\n\t"
			 "sub $0x1234, %%r12\n\tsub $0x5678, %%rdi\n\tsub $0x9abc, %%r9\n\t"
			 "or %%rdi, %%r12\n\tor %%r9, %%r12\n\tmov %%r12, %1"
			 : "=&r"(pid), "=&r"(bad), "=m"(got)
			 : "m"(want), "i"(__NR_getpid)
			 : "rax", "rcx", "rdi", "r9", "r11", "r12", "xmm7", "memory");
	check(!bad && pid == call(__NR_getpid, 0, 0, 0), "registers kept");
	check(got[0] == 1 && got[1] == 2, "vector registers kept");
}

/* --- a thread --------------------------------------------------------------------------- */

static int thread_id;		/* the kernel clears it at the thread's end */
static volatile int running, result;
static uint8_t stack[16384] __attribute__((aligned(16)));

/* KVM_RUN twice: a port access, then the endless loop until a signal comes. */
static void thread_main(void)
{
	check(call(__NR_ioctl, vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
	check(run->exit_reason == KVM_EXIT_IO && run->io.port == 0x10, "a port access");
	running = 1;
	result = (int)call(__NR_ioctl, vcpu, KVM_RUN, 0);
	check(result == -EINTR && handled == 10, "a signal ends KVM_RUN");
	call(__NR_exit, 0, 0, 0);
	__builtin_unreachable();
}

static long start_thread(void)
{
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			   CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	register long r10 __asm__("r10") = (long)&thread_id;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%eax, %%eax\n\t"
			 "jnz 1f\n\t"
			 "call *%5\n\t"
			 "1:"
			 : "=a"(ret)
			 : "0"(__NR_clone), "D"(flags), "S"(stack + sizeof(stack)),
			   "d"(&thread_id), "r"(thread_main), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static void nap(void)
{
	struct timespec ts = { 0, 5000000 };

	call(__NR_nanosleep, &ts, 0, 0);
}

static void check_thread(void)
{
	long tid = start_thread();
	int id;

	check(tid > 0, "clone");
	while (!running)
		nap();
	while ((id = __atomic_load_n(&thread_id, __ATOMIC_ACQUIRE))) {
		call(__NR_tgkill, call(__NR_getpid, 0, 0, 0), tid, 10);
		nap();
	}
	check(result == -EINTR, "the thread's end");
}

/* --- children ---------------------------------------------------------------------------- */

static void check_child(long nr)
{
	char *argv[] = { "raw", "child", NULL }, *env[] = { NULL };
	int status = -1;
	long pid = call(nr, 0, 0, 0);

	if (!pid) {
		call(__NR_execve, "/proc/self/exe", argv, env);
		quit(9);
	}
	check(call6(__NR_wait4, pid, (long)&status, 0, 0, 0, 0) == pid && status == 0,
	      "a child with /dev/kvm");
}

/* The break belongs to the program alone. */
static void check_break(void)
{
	long start = call(__NR_brk, 0, 0, 0), i;

	check(call(__NR_brk, start + 100000, 0, 0) == start + 100000, "brk");
	for (i = 0; i < 100000; i += 1000)
		*(volatile char *)(start + i) = 1;
	check(call(__NR_brk, start, 0, 0) == start && call(__NR_brk, 0, 0, 0) == start,
	      "brk given back");
}

__attribute__((used)) void begin(long *sp)
{
	if (sp[0] > 1) {	/* an argument: the child */
		make_guest();
		quit(0);
	}
	check_registers();
	check_break();
	install(10);
	install(31);		/* SIGSYS, which the program may want, too */
	make_guest();
	check_thread();
	check_child(__NR_fork);
	check_child(__NR_vfork);
	say("raw ok\n");
	quit(0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\t"
	"and $-16, %rsp\n\tcall begin");
