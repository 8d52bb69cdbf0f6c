/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's signals.
 *
 * The kernel sends those that it handles to trap_signal_entry, which goes on
 * to the program's handler: on the stack that the kernel chose, with the frame
 * that it made. Only a thread in KVM_RUN is different. There libanykvm's own
 * handler comes first and makes KVM_RUN end; then the signal is put back, and
 * when the trap has returned the program gets it, behind its system call as
 * from the kernel.
 *
 * Faults of the processor always go to trap_signal_entry, since the engine may
 * have to see them. SIGSYS is never blocked: a blocked one kills.
 */
#include <errno.h>
#include <string.h>

#include "trap.h"

#define NSIGNALS 64
#define MASK_SIZE 8

static struct kernel_sigaction actions[NSIGNALS + 1];	/* as the program wants them */
static int actions_lock;
static void (*engine_handler)(int, siginfo_t *, void *);	/* libanykvm's */

static long set_action(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old)
{
	return SYS4(SYS_rt_sigaction, sig, act, old, MASK_SIZE);
}

static bool is_function(const struct kernel_sigaction *a)
{
	return (void *)a->handler != (void *)SIG_DFL && (void *)a->handler != (void *)SIG_IGN;
}

/* What the kernel is told for an action of the program. */
static void translate(int sig, const struct kernel_sigaction *want, struct kernel_sigaction *k)
{
	*k = *want;
	k->mask &= ~SIGBIT(SIGSYS);
	if (!is_function(want) && !(FAULTS & SIGBIT(sig)))
		return;
	k->handler = trap_signal_entry;
	k->restorer = trap_restorer;
	k->flags |= SA_SIGINFO | 0x04000000 /* SA_RESTORER */;
	k->flags &= ~(unsigned long)SA_RESETHAND;	/* it might come while KVM_RUN runs */
}

/* --- signals that come ----------------------------------------------------------------- */

/* The kernel's default action, which takes effect when the handler has returned. */
static void take_default(int sig, siginfo_t *info)
{
	struct kernel_sigaction dfl = { 0 };

	set_action(sig, &dfl, NULL);
	if (!(FAULTS & SIGBIT(sig)) || info->si_code <= 0)
		SYS4(SYS_rt_tgsigqueueinfo, SYS0(SYS_getpid), SYS0(SYS_gettid), sig, info);
}

/* libanykvm calls this as the program's handler: leave the signal for later. */
static void put_back(int as, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	int sig = info->si_signo;
	unsigned long bit = SIGBIT(sig);

	(void)as;
	if (FAULTS & bit && info->si_code > 0) {	/* a fault of the shim itself */
		take_default(sig, info);
		return;
	}
	*(unsigned long *)&uc->uc_sigmask |= bit;
	SYS4(SYS_rt_sigprocmask, SIG_BLOCK, &bit, NULL, MASK_SIZE);
	SYS4(SYS_rt_tgsigqueueinfo, SYS0(SYS_getpid), SYS0(SYS_gettid), sig, info);
}

/* The real-time signals that the C library keeps for itself it does not let us set. */
static bool known_to_library(int sig)
{
	return sig != 32 && sig != 33;
}

void *trap_signal_target(int sig, siginfo_t *info, ucontext_t *uc)
{
	struct kernel_sigaction *a = &actions[sig], dfl = { 0 };
	struct thread *t = trap_thread();
	void *handler;

	if (t && t->running) {
		engine_handler(known_to_library(sig) ? sig : SIGUSR1, info, uc);
		return NULL;
	}
	handler = (void *)__atomic_load_n(&a->handler, __ATOMIC_ACQUIRE);
	if (handler == (void *)SIG_DFL || (handler == (void *)SIG_IGN && info->si_code > 0)) {
		take_default(sig, info);
		return NULL;
	}
	if (handler == (void *)SIG_IGN)
		return NULL;
	if (a->flags & SA_RESETHAND) {
		__atomic_store_n((void **)&a->handler, (void *)SIG_DFL, __ATOMIC_RELEASE);
		translate(sig, a, &dfl);
		set_action(sig, &dfl, NULL);
	}
	return handler;
}

/* --- the program's calls ------------------------------------------------------------------ */

static void lock(void)
{
	while (__atomic_exchange_n(&actions_lock, 1, __ATOMIC_ACQUIRE))
		SYS0(SYS_sched_yield);
}

static void unlock(void)
{
	__atomic_store_n(&actions_lock, 0, __ATOMIC_RELEASE);
}

/*
 * A child between vfork and exec shares the table, but not the actions: it may
 * only give up handlers.
 */
static bool table_is_ours(void)
{
	return !trap_pid || trap_pid == (int)SYS0(SYS_getpid);
}

static long change(int sig, const struct kernel_sigaction *want)
{
	struct kernel_sigaction k;
	long r = 0;

	translate(sig, want, &k);
	if (sig != SIGSYS && (table_is_ours() || !is_function(want)))
		r = set_action(sig, &k, NULL);
	if (!r && table_is_ours())
		actions[sig] = *want;
	return r;
}

enum verdict trap_sigaction(struct trap *t)
{
	struct kernel_sigaction want, old;
	int sig = (int)t->arg[0];
	long r = 0;

	if (sig < 1 || sig > NSIGNALS || t->arg[3] != MASK_SIZE)
		return PASS;
	if (t->arg[1] && trap_read(&want, t->arg[1], sizeof(want)) < 0)
		return trap_return(t, -EFAULT);
	if (t->arg[1] && (sig == SIGKILL || sig == SIGSTOP))
		return trap_return(t, -EINVAL);
	lock();
	old = actions[sig];
	if (t->arg[1])
		r = change(sig, &want);
	unlock();
	if (!r && t->arg[2] && trap_write(t->arg[2], &old, sizeof(old)) < 0)
		r = -EFAULT;
	return trap_return(t, r);
}

/* The mask that the trap's return sets. */
enum verdict trap_sigprocmask(struct trap *t)
{
	unsigned long *mask = (unsigned long *)&t->uc->uc_sigmask, old = *mask, set;

	if (t->arg[3] != MASK_SIZE)
		return trap_return(t, -EINVAL);
	if (t->arg[1]) {
		if (trap_read(&set, t->arg[1], sizeof(set)) < 0)
			return trap_return(t, -EFAULT);
		set &= ~(SIGBIT(SIGSYS) | SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
		switch ((int)t->arg[0]) {
		case SIG_BLOCK:
			*mask |= set;
			break;
		case SIG_UNBLOCK:
			*mask &= ~set;
			break;
		case SIG_SETMASK:
			*mask = set;
			break;
		default:
			return trap_return(t, -EINVAL);
		}
	}
	if (t->arg[2] && trap_write(t->arg[2], &old, sizeof(old)) < 0)
		return trap_return(t, -EFAULT);
	return trap_return(t, 0);
}

/*
 * A mask for the time of the call: one that blocks SIGSYS is replaced by a copy
 * that does not, since handlers may run meanwhile.
 */
enum verdict trap_sigwait(struct trap *t)
{
	int which = t->nr == SYS_rt_sigsuspend ? 0 : t->nr == SYS_ppoll ? 3 :
		    t->nr == SYS_pselect6      ? 5 : 4;
	unsigned long mask, pair[2];
	struct stub_args *a;

	if (!t->arg[which])
		return PASS;
	if (which == 5) {	/* the address of the mask, and its size */
		if (trap_read(pair, t->arg[5], sizeof(pair)) < 0 || !pair[0])
			return PASS;
	} else {
		pair[0] = t->arg[which];
	}
	if (trap_read(&mask, pair[0], sizeof(mask)) < 0 || !(mask & SIGBIT(SIGSYS)))
		return PASS;
	a = trap_push_args(t);
	a->room[0] = mask & ~SIGBIT(SIGSYS);
	a->room[1] = (unsigned long)&a->room[0];
	a->room[2] = pair[1];
	t->arg[which] = (unsigned long)(which == 5 ? &a->room[1] : &a->room[0]);
	trap_set_args(t);
	t->uc->uc_mcontext.gregs[REG_RIP] = (greg_t)trap_stub_args;
	return DONE;
}

/* From a restorer of the program's own. */
enum verdict trap_sigreturn(struct trap *t)
{
	t->uc->uc_mcontext.gregs[REG_RIP] = (greg_t)trap_stub_sigreturn;
	return DONE;
}

/* --- the start -------------------------------------------------------------------------------- */

/*
 * libanykvm learns that every signal has a handler, put_back(), and leaves the
 * kernel's actions alone from then on.
 */
void trap_signals_init(void)
{
	struct kernel_sigaction was[NSIGNALS + 1], k;
	struct sigaction act;
	int sig;

	memset(&act, 0, sizeof(act));
	act.sa_sigaction = put_back;
	act.sa_flags = SA_SIGINFO;
	for (sig = 1; sig <= NSIGNALS; sig++) {
		if (set_action(sig, NULL, &was[sig]) < 0 || sig == SIGKILL || sig == SIGSTOP)
			continue;
		if ((void *)was[sig].handler != (void *)SIG_IGN)	/* ours, or none */
			memset(&was[sig], 0, sizeof(was[sig]));
		actions[sig] = was[sig];
		if (!known_to_library(sig) || sig == SIGSYS)
			continue;
		sigaction(sig, &act, NULL);
		set_action(sig, NULL, &k);
		engine_handler = k.handler;
		translate(sig, &was[sig], &k);
		set_action(sig, &k, NULL);
	}
	memset(&k, 0, sizeof(k));
	k.handler = trap_sigsys_entry;
	k.flags = SA_SIGINFO | SA_ONSTACK | 0x04000000 /* SA_RESTORER */;
	k.restorer = trap_restorer;
	k.mask = ~(FAULTS | SIGBIT(SIGSYS));
	set_action(SIGSYS, &k, NULL);
}
