/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's threads as threads of the C library.
 *
 * libanykvm uses the C library, which finds what belongs to a thread through
 * the FS base. A thread that the program made has none of that. So when it
 * first needs libanykvm, a true thread of the C library is made to lend it FS
 * base and stack: the donor, which then sleeps until the borrower ends. The
 * program's first thread has those that the shim itself began with.
 *
 * Only pthread_create can make a donor, and it needs such a thread to be
 * called on: the manager.
 */
#include <anykvm.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "trap.h"

#define STACK_SIZE (192ul << 10)
#define DONOR_STACK (STACK_SIZE + (64ul << 10))
#define BUCKETS 256
#define HWCAP2_FSGSBASE 2
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

enum { DONOR_STARTING, DONOR_READY, DONOR_DONE };
enum { IDLE, POSTED, SERVED, FAILED };

static struct thread *buckets[BUCKETS];
static bool fsgsbase;
static unsigned long home_fs;		/* the manager's */
static int request_lock, request_state;	/* the latter a futex */
static struct thread *request;

static void futex_wait(int *word, int value)
{
	SYS4(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL);
}

static void futex_wake(int *word)
{
	SYS3(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1);
}

/* --- FS base --------------------------------------------------------------------------- */

static unsigned long get_fs(void)
{
	unsigned long fs = 0;

	if (fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(fs));
	else
		SYS2(SYS_arch_prctl, ARCH_GET_FS, &fs);
	return fs;
}

static void set_fs(unsigned long fs)
{
	if (fsgsbase)
		__asm__ volatile("wrfsbase %0" ::"r"(fs) : "memory");
	else
		SYS2(SYS_arch_prctl, ARCH_SET_FS, fs);
}

/* --- the table --------------------------------------------------------------------------- */

struct thread *trap_thread(void)
{
	int tid = (int)SYS0(SYS_gettid);
	struct thread *e = __atomic_load_n(&buckets[tid % BUCKETS], __ATOMIC_ACQUIRE);

	while (e && __atomic_load_n(&e->tid, __ATOMIC_RELAXED) != tid)
		e = e->next;
	return e;
}

/* An entry for the calling thread, with nothing in it; entries are never freed. */
static struct thread *new_entry(void)
{
	int tid = (int)SYS0(SYS_gettid), none;
	struct thread **head = &buckets[tid % BUCKETS];
	struct thread *e = __atomic_load_n(head, __ATOMIC_ACQUIRE);
	long page;

	for (; e; e = e->next) {
		none = 0;
		if (__atomic_compare_exchange_n(&e->tid, &none, tid, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return e;
	}
	page = SYS6(SYS_mmap, 0, sizeof(*e), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (shim_failed(page))
		return NULL;
	e = (struct thread *)page;
	e->tid = tid;
	e->next = __atomic_load_n(head, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(head, &e->next, e, true, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED))
		;
	return e;
}

/* --- donors --------------------------------------------------------------------------------- */

static void *donor(void *arg)
{
	char stack[STACK_SIZE] __attribute__((aligned(64)));
	struct thread *e = arg;

	e->fs = get_fs();
	e->stack_top = stack + sizeof(stack);
	__atomic_store_n(&e->state, DONOR_READY, __ATOMIC_RELEASE);
	futex_wake(&e->state);
	while (__atomic_load_n(&e->state, __ATOMIC_ACQUIRE) == DONOR_READY)
		futex_wait(&e->state, DONOR_READY);
	/* The entry may serve another thread from now on. */
	__atomic_store_n(&e->tid, 0, __ATOMIC_RELEASE);
	return NULL;
}

static bool make_donor(struct thread *e)
{
	pthread_attr_t attr;
	pthread_t id;
	int r;

	e->state = DONOR_STARTING;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, DONOR_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&id, &attr, donor, e);
	pthread_attr_destroy(&attr);
	if (r)
		return false;
	while (__atomic_load_n(&e->state, __ATOMIC_ACQUIRE) == DONOR_STARTING)
		futex_wait(&e->state, DONOR_STARTING);
	return true;
}

static void *manager(void *arg)
{
	(void)arg;
	SYS2(SYS_prctl, PR_SET_NAME, "anykvm-threads");
	home_fs = get_fs();
	for (;;) {
		while (__atomic_load_n(&request_state, __ATOMIC_ACQUIRE) != POSTED)
			futex_wait(&request_state, __atomic_load_n(&request_state,
								   __ATOMIC_RELAXED));
		__atomic_store_n(&request_state, make_donor(request) ? SERVED : FAILED,
				 __ATOMIC_RELEASE);
		futex_wake(&request_state);
	}
	return NULL;
}

static int start_manager(void)
{
	pthread_attr_t attr;
	pthread_t id;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, DONOR_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&id, &attr, manager, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static bool ask_manager(struct thread *e)
{
	bool served;
	int state;

	while (__atomic_exchange_n(&request_lock, 1, __ATOMIC_ACQUIRE))
		SYS0(SYS_sched_yield);
	request = e;
	__atomic_store_n(&request_state, POSTED, __ATOMIC_RELEASE);
	futex_wake(&request_state);
	while ((state = __atomic_load_n(&request_state, __ATOMIC_ACQUIRE)) == POSTED)
		futex_wait(&request_state, POSTED);
	served = state == SERVED;
	__atomic_store_n(&request_lock, 0, __ATOMIC_RELEASE);
	return served;
}

static void *map_stack(void)
{
	long p = SYS6(SYS_mmap, 0, STACK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return shim_failed(p) ? NULL : (char *)p + STACK_SIZE;
}

/* --- processes -------------------------------------------------------------------------------- */

/* In a child its maker's threads are gone, but not their memory. */
static long after_fork(void *arg)
{
	(void)arg;
	anykvm_forked();
	shim_forked();
	return start_manager();
}

static void dispatch(bool on)
{
	if (on)
		SYS5(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, trap_text,
		     trap_text_size, 0);
	else
		SYS5(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
}

static long call_as(const struct thread *e, long (*fn)(void *), void *arg)
{
	unsigned long fs = get_fs();
	long r;

	dispatch(false);
	set_fs(e->fs);
	r = trap_on_stack(fn, arg, e->stack_top);
	set_fs(fs);
	dispatch(true);
	return r;
}

static void take_process(int pid)
{
	struct thread *e;
	int i;

	for (i = 0; i < BUCKETS; i++)
		for (e = buckets[i]; e; e = e->next)
			e->tid = 0;
	request_lock = request_state = IDLE;
	trap_pid = pid;
	e = new_entry();
	if (!e)
		return;
	e->fs = home_fs;
	e->stack_top = map_stack();
	if (e->stack_top)
		call_as(e, after_fork, NULL);
	else
		e->tid = 0;
}

static struct thread *get_thread(void)
{
	int pid = (int)SYS0(SYS_getpid);
	struct thread *e;

	if (!trap_pid)
		take_process(pid);
	if (pid != trap_pid)	/* between vfork and exec: this memory is the parent's */
		return NULL;
	e = trap_thread();
	if (e)
		return e;
	e = new_entry();
	if (e && !ask_manager(e)) {
		__atomic_store_n(&e->tid, 0, __ATOMIC_RELEASE);
		e = NULL;
	}
	return e;
}

/* --- services --------------------------------------------------------------------------------- */

long trap_service(long (*fn)(void *), void *arg)
{
	struct thread *e = get_thread();

	return e ? call_as(e, fn, arg) : -ENOMEM;
}

struct run_call {
	long (*fn)(void *);
	void *arg;
	const ucontext_t *uc;
	struct thread *thread;
};

/*
 * Signals that come now must not use the program's alternate stack, on which
 * the frame of this trap may be; the end of the trap brings it back.
 */
static long run(void *arg)
{
	struct run_call *c = arg;
	const stack_t none = { .ss_flags = SS_DISABLE };
	uint64_t mask = *(const uint64_t *)&c->uc->uc_sigmask & ~(FAULTS | SIGBIT(SIGSYS));
	long r;

	if (!(c->uc->uc_stack.ss_flags & SS_DISABLE))
		SYS2(SYS_sigaltstack, &none, NULL);
	c->thread->running = true;
	anykvm_signal_mask(&mask);
	r = c->fn(c->arg);
	anykvm_signal_mask(NULL);
	c->thread->running = false;
	return r;
}

long trap_run(long (*fn)(void *), void *arg, const ucontext_t *uc)
{
	struct run_call c = { fn, arg, uc, get_thread() };

	return c.thread ? call_as(c.thread, run, &c) : -ENOMEM;
}

void trap_thread_exit(void)
{
	struct thread *e = trap_pid == (int)SYS0(SYS_getpid) ? trap_thread() : NULL;

	if (!e)
		return;
	if (e->state != DONOR_READY) {
		__atomic_store_n(&e->tid, 0, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&e->tid, -1, __ATOMIC_RELAXED);
	__atomic_store_n(&e->state, DONOR_DONE, __ATOMIC_RELEASE);
	futex_wake(&e->state);
}

/* By the first thread, while it is still the C library's. */
int trap_threads_init(void)
{
	struct thread *e;
	int r;

	fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
	trap_pid = (int)SYS0(SYS_getpid);
	e = new_entry();
	if (!e)
		return -ENOMEM;
	e->fs = get_fs();
	e->stack_top = map_stack();
	if (!e->stack_top)
		return -ENOMEM;
	r = start_manager();
	if (r)
		return r;
	while (!__atomic_load_n((volatile unsigned long *)&home_fs, __ATOMIC_ACQUIRE))
		SYS0(SYS_sched_yield);
	return 0;
}
