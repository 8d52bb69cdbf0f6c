/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals of a thread in KVM_RUN, and the program's handlers in general. */
#include <asm/prctl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "program.h"

static volatile sig_atomic_t handled;
static siginfo_t last_info;
static volatile unsigned long handler_rsp, handler_gs, handler_rip;

static unsigned long get_gs(void)
{
	unsigned long gs = 0;

	syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	return gs;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)sig;
	last_info = *info;
	handler_rip = (unsigned long)uc->uc_mcontext.gregs[REG_RIP];
	handler_rsp = (unsigned long)__builtin_frame_address(0);
	handler_gs = get_gs();
	handled++;
}

static void install(int sig, int flags)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags }, old;

	CHECK(sigaction(sig, &act, NULL) == 0);
	CHECK(sigaction(sig, NULL, &old) == 0);
	CHECK(old.sa_sigaction == on_signal && (old.sa_flags & ~0x04000000) == act.sa_flags);
}

static void nap(long ms)
{
	struct timespec ts = { 0, ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* --- a vCPU on a thread of its own -------------------------------------------------- */

struct vcpu_thread {
	struct guest g;
	pthread_t id;
	volatile int rounds, result;
	volatile bool stop;
};

static void *vcpu_main(void *arg)
{
	struct vcpu_thread *t = arg;

	while (!t->stop) {
		t->result = guest_run(&t->g);
		t->rounds++;
	}
	return NULL;
}

static void kick_once(struct vcpu_thread *t, int sig)
{
	int before = t->rounds, tries = 0;

	CHECK(pthread_kill(t->id, sig) == 0);
	while (t->rounds == before && tries++ < 2000)
		nap(1);
	CHECK(t->rounds > before && t->result == EINTR);
}

static void start(struct vcpu_thread *t)
{
	memset(t, 0, sizeof(*t));
	guest_new(&t->g, guest_loop, sizeof(guest_loop));
	CHECK(pthread_create(&t->id, NULL, vcpu_main, t) == 0);
	nap(20);
}

static void stop(struct vcpu_thread *t, int sig)
{
	t->stop = true;
	t->g.run->immediate_exit = 1;
	CHECK(pthread_kill(t->id, sig) == 0);
	CHECK(pthread_join(t->id, NULL) == 0);
	guest_free(&t->g);
}

static void check_kicks(void)
{
	struct vcpu_thread t;
	int i;

	install(SIGUSR1, 0);
	install(SIGRTMIN + 3, SA_RESTART);
	start(&t);
	for (i = 0; i < 50; i++) {
		handled = 0;
		kick_once(&t, i % 2 ? SIGUSR1 : SIGRTMIN + 3);
		CHECK(handled >= 1 && last_info.si_signo == (i % 2 ? SIGUSR1 : SIGRTMIN + 3));
		CHECK(last_info.si_code == SI_TKILL && last_info.si_pid == getpid());
	}
	stop(&t, SIGUSR1);
}

static void check_immediate_exit(void)
{
	struct guest g;

	guest_new(&g, guest_loop, sizeof(guest_loop));
	g.run->immediate_exit = 1;
	CHECK(guest_run(&g) == EINTR);
	CHECK(guest_run(&g) == EINTR);
	g.run->immediate_exit = 0;
	guest_free(&g);
}

/* The signal of a timer, which nobody sends to a thread. */
static void check_timer(void)
{
	struct itimerval t = { { 0, 0 }, { 0, 30000 } };
	struct guest g;

	install(SIGALRM, SA_RESTART);
	guest_new(&g, guest_loop, sizeof(guest_loop));
	handled = 0;
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	CHECK(guest_run(&g) == EINTR && handled == 1);
	guest_free(&g);
}

int test_signals(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	check_kicks();
	check_immediate_exit();
	check_timer();
	return 0;
}

/* --- KVM_SET_SIGNAL_MASK -------------------------------------------------------------- */

static void set_kvm_mask(struct guest *g, const sigset_t *set)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t bits[8];
	} m;

	m.head.len = 8;
	memcpy(m.head.sigset, set, 8);
	CHECK(ioctl(g->vcpu, KVM_SET_SIGNAL_MASK, &m) == 0);
}

/* The classic use: blocked outside of KVM_RUN, taken with sigtimedwait. */
static void check_blocked_outside(void)
{
	struct timespec none = { 0, 0 };
	struct guest g;
	sigset_t set, inside, pending;

	install(SIGUSR2, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &inside) == 0);
	sigdelset(&inside, SIGUSR2);
	guest_new(&g, guest_loop, sizeof(guest_loop));
	set_kvm_mask(&g, &inside);
	handled = 0;
	CHECK(raise(SIGUSR2) == 0);
	CHECK(guest_run(&g) == EINTR);
	CHECK(handled == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
	CHECK(sigtimedwait(&set, NULL, &none) == SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &inside) == 0 && sigismember(&inside, SIGUSR2));
	CHECK(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, NULL) == 0);
	guest_free(&g);
	CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

/* The opposite: one that the mask blocks does not end KVM_RUN. */
static void check_blocked_inside(void)
{
	struct itimerval t = { { 0, 0 }, { 0, 100000 } };
	struct guest g;
	sigset_t inside;

	install(SIGUSR2, 0);
	install(SIGALRM, 0);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &inside) == 0);
	sigaddset(&inside, SIGUSR2);
	guest_new(&g, guest_loop, sizeof(guest_loop));
	set_kvm_mask(&g, &inside);
	handled = 0;
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	CHECK(guest_run(&g) == EINTR && handled == 1 && last_info.si_signo == SIGALRM);
	guest_free(&g);
}

int test_signal_mask(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	check_blocked_outside();
	check_blocked_inside();
	return 0;
}

/* --- the program's own handlers ---------------------------------------------------------- */

static bool within(unsigned long at, const void *start, size_t size)
{
	return at >= (unsigned long)start && at < (unsigned long)start + size;
}

/* On the alternate stack, also when the signal comes in KVM_RUN; GS base as it was. */
static void check_stack_and_gs(void)
{
	static char gs_area[64];
	const size_t size = 65536;
	stack_t alt = { .ss_sp = malloc(size), .ss_size = size }, now;
	struct itimerval t = { { 0, 0 }, { 0, 30000 } };
	struct guest g;

	CHECK(alt.ss_sp && sigaltstack(&alt, NULL) == 0);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, gs_area) == 0);
	install(SIGUSR1, SA_ONSTACK);
	install(SIGALRM, SA_ONSTACK);
	handled = 0;
	CHECK(raise(SIGUSR1) == 0 && handled == 1);
	CHECK(within(handler_rsp, alt.ss_sp, size) && handler_gs == (unsigned long)gs_area);
	guest_new(&g, guest_loop, sizeof(guest_loop));
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	CHECK(guest_run(&g) == EINTR && handled == 2);
	CHECK(within(handler_rsp, alt.ss_sp, size) && handler_gs == (unsigned long)gs_area);
	CHECK(get_gs() == (unsigned long)gs_area);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == alt.ss_sp && now.ss_flags == 0);
	guest_free(&g);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
	alt.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&alt, NULL) == 0);
	free(alt.ss_sp);
}

static void *bad_page;

static void repair(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_addr != bad_page)
		_exit(20);
	handled++;
	if (mprotect(bad_page, 4096, PROT_READ | PROT_WRITE))
		_exit(21);
}

static void check_faults(void)
{
	struct sigaction act = { .sa_sigaction = repair, .sa_flags = SA_SIGINFO };
	struct guest g;

	guest_new(&g, guest_halt, sizeof(guest_halt));	/* the engine has its handlers now */
	CHECK(guest_run(&g) == 0);
	bad_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(bad_page != MAP_FAILED && sigaction(SIGSEGV, &act, NULL) == 0);
	handled = 0;
	*(volatile char *)bad_page = 1;
	CHECK(handled == 1);
	guest_free(&g);
}

static void check_once(void)
{
	struct sigaction old;

	install(SIGUSR2, (int)SA_RESETHAND);
	handled = 0;
	CHECK(raise(SIGUSR2) == 0 && handled == 1);
	CHECK(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

/* System calls that a handler interrupts, with and without SA_RESTART; masks of waits. */
static void check_interrupted(void)
{
	struct itimerval t = { { 0, 0 }, { 0, 20000 } };
	struct timespec second = { 2, 0 };
	sigset_t most;
	char byte;
	int pipes[2];

	CHECK(pipe(pipes) == 0);
	install(SIGALRM, 0);
	handled = 0;
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	FAILS(read(pipes[0], &byte, 1), EINTR);
	CHECK(handled == 1);
	sigfillset(&most);
	sigdelset(&most, SIGALRM);
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	FAILS(ppoll(NULL, 0, &second, &most), EINTR);
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	FAILS(sigsuspend(&most), EINTR);
	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
	FAILS(pselect(0, NULL, NULL, NULL, &second, &most), EINTR);
	CHECK(handled == 4);
	close(pipes[0]);
	close(pipes[1]);
}

int test_handlers(int argc, char **argv)
{
	sigset_t all, old;

	(void)argc;
	(void)argv;
	check_stack_and_gs();
	check_faults();
	check_once();
	check_interrupted();
	/* Everything blocked: nothing may need a signal then. */
	sigfillset(&all);
	CHECK(sigprocmask(SIG_SETMASK, &all, &old) == 0);
	CHECK(access("/dev/kvm", F_OK) == 0 && close(guest_open_kvm()) == 0);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	return 0;
}
