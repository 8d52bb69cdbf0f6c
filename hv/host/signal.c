/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals: how one that reaches a thread in KVM_RUN ends it with EINTR, as it
 * would end the system call (KVM API, KVM_RUN and KVM_SET_SIGNAL_MASK).
 *
 * KVM_RUN here is ordinary code, which a handler merely interrupts. So this
 * file stands between the program and the kernel: sigaction() and signal() are
 * defined here in place of the C library's, every handler that the program
 * installs is entered through trampoline(), and that asks the thread's vCPU to
 * leave before it calls the program's own. What the program reads back is what
 * it installed.
 *
 * The same trampoline hands processor faults to the engine before the program
 * hears of them (host_fault_hook).
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "cancel.h"
#include "host.h"
#include "syscall.h"

#define NSIGNALS 64
#define SIGBIT(n) BIT64((n) - 1)
#define FAULTS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | \
		SIGBIT(SIGTRAP))

/* The C library's own, which ours hides. */
extern int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/* What the program wants done: read by handlers, so under a sequence count. */
struct action {
	u32 seq;
	int flags;
	void (*handler)(int, siginfo_t *, void *);	/* or SIG_DFL, SIG_IGN */
};

static struct action actions[NSIGNALS + 1];
static u64 wrapped;		/* signals that the kernel sends to trampoline() */
static u32 table_lock;		/* taken with all signals blocked */
static bool (*fault_hook)(struct host_fault *f);

struct watch {
	bool active, pending, masked;
	bool faults_open;	/* blocked faults would kill the process: unblocked once */
	void (*kick)(void *);
	void *arg;
	u64 old_mask;
	u64 kept;		/* let through by KVM_SET_SIGNAL_MASK only to kick */
	bool based;		/* host_signal_base() */
	u64 base;
};

static __thread struct watch watch __attribute__((tls_model("initial-exec")));

static u64 set_mask(int how, u64 mask)
{
	u64 old = 0;

	SYS4(SYS_rt_sigprocmask, how, &mask, &old, sizeof(mask));
	return old;
}

static u64 lock_table(void)
{
	u64 old = set_mask(SIG_SETMASK, ~0ull);

	while (__atomic_exchange_n(&table_lock, 1, __ATOMIC_ACQUIRE))
		host_yield();
	return old;
}

static void unlock_table(u64 old)
{
	__atomic_store_n(&table_lock, 0, __ATOMIC_RELEASE);
	set_mask(SIG_SETMASK, old);
}

static void action_write(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct action *a = &actions[sig];

	__atomic_fetch_add(&a->seq, 1, __ATOMIC_ACQ_REL);
	__atomic_store_n(&a->handler, handler, __ATOMIC_RELAXED);
	__atomic_store_n(&a->flags, flags, __ATOMIC_RELAXED);
	__atomic_fetch_add(&a->seq, 1, __ATOMIC_ACQ_REL);
}

static void action_read(int sig, struct action *out)
{
	struct action *a = &actions[sig];
	u32 seq;

	do {
		seq = __atomic_load_n(&a->seq, __ATOMIC_ACQUIRE);
		out->handler = __atomic_load_n(&a->handler, __ATOMIC_RELAXED);
		out->flags = __atomic_load_n(&a->flags, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (seq & 1 || seq != __atomic_load_n(&a->seq, __ATOMIC_RELAXED));
}

/* Faults that the engine must see whatever the program does about them. */
static bool hooked(int sig)
{
	return FAULTS & SIGBIT(sig) && __atomic_load_n(&fault_hook, __ATOMIC_RELAXED);
}

static bool is_function(void (*h)(int, siginfo_t *, void *))
{
	return (void *)h != (void *)SIG_DFL && (void *)h != (void *)SIG_IGN;
}

static void trampoline(int sig, siginfo_t *info, void *ucontext);

/* The table of guest.h, which exists even where there is nothing else to put in it. */
static const struct host_guarded no_instruction
	__attribute__((section("anykvm_guarded"), used)) = { 0, 0 };
extern const struct host_guarded __start_anykvm_guarded[]
	__attribute__((visibility("hidden")));
extern const struct host_guarded __stop_anykvm_guarded[]
	__attribute__((visibility("hidden")));

/* --- handling -------------------------------------------------------------- */

/* Leaves sig blocked and pending when the handler returns. */
static void put_back(int sig, siginfo_t *info, ucontext_t *uc)
{
	*(u64 *)&uc->uc_sigmask |= SIGBIT(sig);
	set_mask(SIG_BLOCK, SIGBIT(sig));
	SYS4(SYS_rt_tgsigqueueinfo, SYS0(SYS_getpid), SYS0(SYS_gettid), sig, info);
}

/* The default action, which only the kernel can take: the signal anew, without us. */
static void take_default(int sig, siginfo_t *info)
{
	struct sigaction dfl;
	u64 old;

	memset(&dfl, 0, sizeof(dfl));
	old = lock_table();
	wrapped &= ~SIGBIT(sig);
	__sigaction(sig, &dfl, NULL);
	unlock_table(old);
	/* Blocked until the handler returns; a fault simply happens again. */
	if (!(FAULTS & SIGBIT(sig)) || info->si_code <= 0)
		SYS4(SYS_rt_tgsigqueueinfo, SYS0(SYS_getpid), SYS0(SYS_gettid), sig, info);
}

/* Where an access to guest memory at rip goes on when the memory is gone; 0: it is none. */
static u64 guarded(u64 rip)
{
	const struct host_guarded *g;

	for (g = __start_anykvm_guarded; g < __stop_anykvm_guarded; g++)
		if ((u64)&g->at + (u64)(s64)g->at == rip)
			return (u64)&g->to + (u64)(s64)g->to;
	return 0;
}

static bool offer_fault(int sig, siginfo_t *info, ucontext_t *uc)
{
	static const u8 order[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	bool (*hook)(struct host_fault *) = __atomic_load_n(&fault_hook, __ATOMIC_ACQUIRE);
	greg_t *regs = uc->uc_mcontext.gregs;
	struct host_fault f;
	int i;

	if (info->si_code <= 0)
		return false;
	f.addr = guarded((u64)regs[REG_RIP]);
	if (f.addr) {
		regs[REG_RIP] = (greg_t)f.addr;
		return true;
	}
	if (!hook)
		return false;
	f.signal = sig;
	f.code = info->si_code;
	f.addr = (u64)info->si_addr;
	f.trap = (u32)regs[REG_TRAPNO];
	f.error = (u32)regs[REG_ERR];
	for (i = 0; i < 16; i++)
		f.gpr[i] = (u64 *)&regs[order[i]];
	f.rip = (u64 *)&regs[REG_RIP];
	f.rflags = (u64 *)&regs[REG_EFL];
	f.fpstate = uc->uc_mcontext.fpregs;
	return hook(&f);
}

static void call_program(int sig, siginfo_t *info, void *uc)
{
	struct action a;

	action_read(sig, &a);
	if ((void *)a.handler == (void *)SIG_IGN)
		return;
	if ((void *)a.handler == (void *)SIG_DFL) {
		take_default(sig, info);
		return;
	}
	if (a.flags & (int)SA_RESETHAND) {
		u64 old = lock_table();

		action_write(sig, (void *)SIG_DFL, 0);
		if (!hooked(sig))
			wrapped &= ~SIGBIT(sig);	/* the kernel has reset it */
		unlock_table(old);
	}
	if (a.flags & SA_SIGINFO)
		a.handler(sig, info, uc);
	else
		((void (*)(int))(void *)a.handler)(sig);
}

static void trampoline(int sig, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	if (!(FAULTS & SIGBIT(sig)) || !offer_fault(sig, info, ucontext)) {
		if (watch.active) {
			watch.pending = true;
			watch.kick(watch.arg);
		}
		if (watch.active && watch.kept & SIGBIT(sig))
			put_back(sig, info, ucontext);
		else
			call_program(sig, info, ucontext);
	}
	errno = saved;
}

/* --- installing ------------------------------------------------------------ */

/* Tells the kernel; the table is locked. */
static int install(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction k = *act;
	bool wrap = is_function(act->sa_sigaction) || hooked(sig);
	int r;

	if (wrap) {
		k.sa_sigaction = trampoline;
		k.sa_flags |= SA_SIGINFO;
		if (hooked(sig))
			k.sa_flags &= ~(int)SA_RESETHAND;
	}
	r = __sigaction(sig, &k, old);
	if (r)
		return r;
	action_write(sig, act->sa_sigaction, act->sa_flags);
	if (wrap)
		wrapped |= SIGBIT(sig);
	else
		wrapped &= ~SIGBIT(sig);
	return 0;
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction new, was;
	struct action before;
	u64 mask;
	int r;

	if (sig < 1 || sig > NSIGNALS || sig == SIGKILL || sig == SIGSTOP)
		return __sigaction(sig, act, old);
	if (act)
		new = *act;
	mask = lock_table();
	action_read(sig, &before);
	r = act ? install(sig, &new, &was) : __sigaction(sig, NULL, &was);
	unlock_table(mask);
	if (r || !old)
		return r;
	if (was.sa_sigaction == trampoline) {
		was.sa_sigaction = before.handler;
		was.sa_flags = before.flags | (was.sa_flags & 0x04000000 /* SA_RESTORER */);
	}
	*old = was;
	return 0;
}

static __sighandler_t set_handler(int sig, __sighandler_t handler, int flags, bool block)
{
	struct sigaction act, old;

	if (handler == SIG_ERR || sig < 1 || sig > NSIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	if (block)
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) ? SIG_ERR : old.sa_handler;
}

/* BSD's: the handler stays, calls are restarted. */
__sighandler_t signal(int sig, __sighandler_t handler)
{
	return set_handler(sig, handler, SA_RESTART, true);
}

__sighandler_t bsd_signal(int sig, __sighandler_t handler)
	__attribute__((alias("signal"), nothrow, leaf));
__sighandler_t ssignal(int sig, __sighandler_t handler)
	__attribute__((alias("signal"), nothrow, leaf));

/* System V's: once, and not blocked meanwhile. */
__sighandler_t sysv_signal(int sig, __sighandler_t handler)
{
	return set_handler(sig, handler, (int)SA_RESETHAND | SA_NODEFER, false);
}

__sighandler_t __sysv_signal(int sig, __sighandler_t handler)
	__attribute__((alias("sysv_signal")));

/* Signals whose action was set before we came, or never: let them pass through us. */
static void wrap_now(int sig, bool defaults_too)
{
	struct sigaction k;
	u64 mask = lock_table();

	if (!(wrapped & SIGBIT(sig)) && !__sigaction(sig, NULL, &k) &&
	    (defaults_too || is_function(k.sa_sigaction))) {
		action_write(sig, k.sa_sigaction, k.sa_flags);
		if (!is_function(k.sa_sigaction))
			k.sa_flags |= SA_RESTART;
		k.sa_sigaction = trampoline;
		k.sa_flags |= SA_SIGINFO;
		if (hooked(sig))
			k.sa_flags &= ~(int)SA_RESETHAND;
		if (!__sigaction(sig, &k, NULL))
			wrapped |= SIGBIT(sig);
	}
	unlock_table(mask);
}

void host_fault_hook(bool (*fn)(struct host_fault *f))
{
	static const u8 faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	u32 i;

	__atomic_store_n(&fault_hook, fn, __ATOMIC_RELEASE);
	for (i = 0; fn && i < ARRAY_SIZE(faults); i++)
		wrap_now(faults[i], true);
}

/* --- KVM_RUN --------------------------------------------------------------- */

void host_signal_enter(void (*kick)(void *), void *arg, const u64 *mask)
{
	const u64 unblockable = SIGBIT(SIGKILL) | SIGBIT(SIGSTOP);
	u64 missing;

	watch.pending = false;
	watch.kick = kick;
	watch.arg = arg;
	watch.kept = 0;
	watch.masked = mask || watch.based;
	if (fault_hook && !watch.faults_open) {
		set_mask(SIG_UNBLOCK, FAULTS);
		watch.faults_open = true;
	}
	if (watch.masked)
		watch.old_mask = set_mask(SIG_BLOCK, 0);
	if (mask) {
		watch.kept = watch.based ? watch.base : watch.old_mask;
		watch.kept &= ~*mask & ~unblockable;
		missing = watch.kept & ~__atomic_load_n(&wrapped, __ATOMIC_RELAXED);
		for (; missing; missing &= missing - 1)
			wrap_now(__builtin_ctzll(missing) + 1, true);
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	watch.active = true;
	cancel_enter(kick, arg);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (watch.masked)
		set_mask(SIG_SETMASK, (mask ? *mask : watch.base) & ~(fault_hook ? FAULTS : 0));
}

void host_signal_base(const u64 *mask)
{
	watch.based = mask != NULL;
	if (mask)
		watch.base = *mask;
}

void host_signal_leave(void)
{
	cancel_leave();
	if (watch.masked)
		set_mask(SIG_SETMASK, watch.old_mask);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	watch.active = false;
	watch.masked = false;
}

bool host_in_run(void)
{
	return watch.active && __atomic_load_n(&fault_hook, __ATOMIC_RELAXED);
}

bool host_signal_pending(void)
{
	return __atomic_load_n(&watch.pending, __ATOMIC_RELAXED);
}

/* Handlers that were there before the library. */
__attribute__((constructor)) static void signal_init(void)
{
	int sig;

	for (sig = 1; sig <= NSIGNALS; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			wrap_now(sig, false);
}
