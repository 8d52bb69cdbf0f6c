/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that the hypervisor asks of its operating system: memory, threads,
 * locks, waiting, time and event descriptors. api/ vm/ cpu/ irq/ and soft/
 * touch the system only through this header.
 *
 * While guest code runs, the guest's vector and x87 registers are live in
 * the host's. Everything declared here except where noted "may use vectors"
 * is safe to call then: hv/ is compiled with -mgeneral-regs-only and these
 * functions make their system calls directly.
 */
#ifndef HV_HOST_HOST_H
#define HV_HOST_HOST_H

#include "guest.h"

/* --- memory -------------------------------------------------------------- */

/* Zeroed heap memory; NULL when there is none. May use vectors. */
void *host_zalloc(size_t size);
void host_free(void *p);

/* Zeroed page-granular memory, touched only on use; NULL when there is none. */
void *host_map(size_t size);
void host_unmap(void *p, size_t size);
/* No access to pages of it from now on: 0 or -errno. */
int host_forbid(void *p, size_t size);
/*
 * The first size bytes at p, of such memory and zeroes from now on, are there views times,
 * each time behind the last: 0 or -errno.
 */
int host_repeat(void *p, size_t size, u32 views);

/*
 * Memory for generated code: size bytes mapped writable at *rw and executable
 * at *rx, never both. 0, or -errno with both NULL.
 */
int host_code_memory(size_t size, u8 **rw, u8 **rx);
/*
 * Names for perf of what lies in such memory (as it is executed): starts the
 * process's map, or empties it; false when it cannot be written. Then a name,
 * "kind:address", for each piece. Both may use vectors.
 */
bool host_perf_map_start(void);
void host_perf_map_add(const void *code, size_t size, const char *kind, u64 address);

/* The string instructions instead of the C library's vector code. */
static inline void host_memcpy(void *d, const void *s, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
}

static inline void host_memset(void *d, int c, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
}

static inline int host_memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

/*
 * Copies between the hypervisor and memory that its caller named, which may
 * not be there. 0 or -EFAULT.
 */
int host_copy_from_user(void *dst, u64 src, size_t n);
int host_copy_to_user(u64 dst, const void *src, size_t n);

/*
 * The same, without a system call when the calling thread is in KVM_RUN
 * (between host_signal_enter and _leave), for guest memory.
 */
int host_copy_from_guest(void *dst, u64 src, size_t n);
int host_copy_to_guest(u64 dst, const void *src, size_t n);

/* True when every page of [hva, hva + size) is mapped in this process. */
bool host_range_mapped(u64 hva, u64 size);

/* --- locks and waiting --------------------------------------------------- */

/* A futex lock; zero-initialised is unlocked. Not recursive. */
struct host_mutex {
	u32 state;
};
void host_mutex_lock(struct host_mutex *m);
void host_mutex_unlock(struct host_mutex *m);

/*
 * Sleeps while *word == expected, until woken or until the monotonic clock
 * reaches deadline_ns (0: no deadline). Returns 0 when woken or the word had
 * changed, -ETIMEDOUT, or -EINTR when a signal came.
 */
int host_futex_wait(u32 *word, u32 expected, u64 deadline_ns);
void host_futex_wake(u32 *word, int count);

static inline void host_cpu_relax(void)
{
	__asm__ volatile("pause");
}

/* p is read soon. No builtin: GCC drops calls of functions that consist of those alone. */
static inline void host_prefetch(const void *p)
{
	__asm__ volatile("prefetcht0 (%0)" : : "r"(p));
}

void host_yield(void);

/* --- threads ------------------------------------------------------------- */

struct host_thread;
/* A thread with all signals blocked. NULL when it cannot be made. */
struct host_thread *host_thread_start(const char *name, void (*fn)(void *), void *arg);
void host_thread_join(struct host_thread *t);
/* The kernel's id of the calling thread. */
u32 host_gettid(void);

/*
 * True when a signal is waiting for the calling thread that KVM_RUN with the
 * thread's present signal mask must end for.
 */
bool host_signal_pending(void);

/* True between host_signal_enter() and host_signal_leave() on this thread. */
bool host_in_run(void);

/*
 * KVM_RUN's bracket. Between the two, a signal whose handler is about to run
 * on the calling thread calls kick(arg) first, in signal context; kick must be
 * async-signal-safe. enter forgets what was pending before.
 *
 * mask: NULL, or the signals (bit n - 1 for signal n) blocked meanwhile, as
 * KVM_SET_SIGNAL_MASK sets. A signal that the mask lets through and the
 * thread's own mask blocks is not handled: it kicks and stays pending.
 * Neither call touches vector registers.
 */
void host_signal_enter(void (*kick)(void *), void *arg, const u64 *mask);
void host_signal_leave(void);
/*
 * The calling thread has all signals blocked, and *mask is to count as its mask
 * in the bracket. NULL: its mask is what it is.
 */
void host_signal_base(const u64 *mask);

/*
 * Around every call into the library: an asynchronous pthread_cancel() of the
 * calling thread strikes at the release, when nothing is held any more.
 */
int host_cancel_hold(void);
void host_cancel_release(int old);

/*
 * A fault of the processor in this process (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP) with the registers it happened in, which the hook may change.
 */
#define HOST_SIGILL 4
#define HOST_SIGFPE 8
#define HOST_SIGSEGV 11
struct host_fault {
	int signal, code;	/* Linux's numbers */
	u64 addr;		/* si_addr */
	u32 trap, error;	/* vector and error code */
	u64 *gpr[16];		/* in the order of REG_* */
	u64 *rip, *rflags;
	void *fpstate;		/* XSAVE image (standard format), loaded on return */
};

/*
 * fn sees every such fault before the program's own handler, on the faulting
 * thread; true: dealt with, execution goes on with the registers as they are.
 */
void host_fault_hook(bool (*fn)(struct host_fault *f));

/* --- time ---------------------------------------------------------------- */

u64 host_monotonic_ns(void);
/* Nanoseconds since 1970 (UTC). */
u64 host_realtime_ns(void);

static inline u64 host_rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* The rate of host_rdtsc(), measured once, in kHz. */
u32 host_tsc_khz(void);

/* --- descriptors --------------------------------------------------------- */

/* An in-memory file of size bytes, close-on-exec: descriptor or -errno. */
int host_memfd(const char *name, u64 size);
/* A shared mapping of the descriptor's first size bytes; NULL on failure. */
void *host_map_fd(int fd, size_t size);
/* mmap(2) as the program asked for it: the address or -errno. */
long host_mmap(u64 addr, u64 length, int prot, int flags, int fd, u64 offset);
#define HOST_PROT_EXEC 4
#define HOST_MAP_SHARED 1	/* set for MAP_SHARED_VALIDATE too */
#define HOST_MAP_TYPE 0xf
/* Makes the size bytes at addr the same shared memory as at page: 0 or -errno. */
int host_map_alias(u64 addr, void *page, u64 size, int prot);
int host_close(int fd);
int host_dup(int fd);
/* Adds 1 to an eventfd: 0 or -errno. Never blocks. */
int host_eventfd_signal(int fd);
/* Takes an eventfd's count without blocking: the count, or 0. */
u64 host_eventfd_take(int fd);
/* True when fd is an eventfd. */
bool host_is_eventfd(int fd);
/* Another descriptor of the eventfd fd; -EINVAL when it is something else. */
int host_eventfd_copy(int fd);
/* True when both descriptors are of one eventfd. */
bool host_same_eventfd(int a, int b);
/* Another open file of fd's memory file, to read only: descriptor or -errno. */
int host_reopen(int fd);
/* What two descriptors of one open file share: 0 or -errno. */
int host_fd_identity(int fd, u64 *dev, u64 *ino);

/* --- the process ----------------------------------------------------------- */

u32 host_getpid(void);
/* Processors this process may run on. */
u32 host_cpu_count(void);
/*
 * How long the calling thread was ready to run and had no processor, so far, in
 * nanoseconds; false (and 0) where the kernel does not say.
 */
bool host_run_delay(u64 *ns);
/* Changes in a child made by fork. */
u32 host_fork_count(void);
/* In a child that was not made by the C library's fork. */
void host_forked(void);
/* Around every fork: before in the parent, after in the parent and in the child. */
void host_at_fork(void (*before)(void), void (*after)(void));
/* Sets the C library's errno. */
void host_set_errno(int err);

/*
 * A thread that waits for descriptors to become readable and for deadlines.
 * Callbacks run on that thread.
 */
struct host_poller;
struct host_poller *host_poller_start(const char *name);
void host_poller_stop(struct host_poller *p);
/* fn(arg) whenever fd is readable. 0 or -errno. */
int host_poller_add(struct host_poller *p, int fd, void (*fn)(void *), void *arg);
/* After the return no callback of fd runs or will run (unless called from it). */
void host_poller_del(struct host_poller *p, int fd);

struct host_timer {
	struct host_poller *poller;
	void (*fn)(void *);
	void *arg;
	u64 deadline_ns;
	struct host_timer *next;
};
void host_timer_init(struct host_timer *t, struct host_poller *p, void (*fn)(void *), void *arg);
/* Arms for the monotonic time deadline_ns, replacing an earlier deadline. */
void host_timer_set(struct host_timer *t, u64 deadline_ns);
/* After the return the callback does not run (unless called from it). */
void host_timer_cancel(struct host_timer *t);

/* --- switches ------------------------------------------------------------- */

/* True when the environment variable ANYKVM_SOFT lists name. May use vectors. */
bool host_option(const char *name);
/* What is behind NAME=, cut to size - 1 bytes; false when it is not given. */
bool host_option_value(const char *name, char *value, size_t size);
/* Tells once of names in it that are not among these, which NULL ends. May use vectors. */
void host_options_known(const char *const *names);

/* --- telling ------------------------------------------------------------- */

/* One line on standard error, for the hypervisor's own diagnosis. May use vectors. */
void host_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
