/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim under programs that make their system calls themselves: static
 * ones, Go's, those of another C library. The shim is the program that the
 * kernel executes; it maps the real one beside itself (load.c), turns on
 * syscall user dispatch (Linux's admin-guide/syscall-user-dispatch.rst) and
 * jumps to it. From then on every system call from outside the shim's own code
 * arrives as SIGSYS (handler.c). Most are sent back to be made from a stub
 * inside the shim (entry.S), as if nothing had happened. A seccomp filter can do
 * the same (filter.c).
 *
 * Most of this runs on the program's thread with the program's FS base, so
 * without the C library: no errno, no thread-local variable, no malloc. What
 * needs them goes through service() (threads.c), which lends the thread the
 * FS base and the stack of a thread of the C library.
 */
#ifndef SHIM_TRAP_TRAP_H
#define SHIM_TRAP_TRAP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "../shim.h"
#include "../sys.h"

/* --- the system call that trapped --------------------------------------------------- */

struct trap {
	ucontext_t *uc;		/* the program's registers; those of the result on return */
	long nr;
	unsigned long arg[6];
};

/* What the handler of a system call says. */
enum verdict {
	DONE,			/* the context is set: the result, or a stub to go to */
	PASS,			/* let the kernel do it */
};

static inline enum verdict trap_return(struct trap *t, long result)
{
	t->uc->uc_mcontext.gregs[REG_RAX] = result;
	return DONE;
}

/* Copies from and to the program's memory, wherever it says: 0 or -EFAULT. */
int trap_read(void *dst, unsigned long src, size_t n);
int trap_write(unsigned long dst, const void *src, size_t n);
/* A string that fits into size bytes: its length or -EFAULT. */
int trap_read_string(char *dst, unsigned long src, size_t size);

/* Calls the kernel with the program's arguments as they are in trap. */
static inline long trap_call(const struct trap *t)
{
	return SYS6(t->nr, t->arg[0], t->arg[1], t->arg[2], t->arg[3], t->arg[4], t->arg[5]);
}

/* --- entry.S ---------------------------------------------------------------------------- */

/*
 * How a stub finds its way back: what the handler puts on the program's stack
 * below the red zone. entry.S knows the layout.
 */
#define RED_ZONE 128
struct stub_args {
	unsigned long rip, rdi, rsi, rdx, r10, r8, r9;
	unsigned long room[5];	/* for structures that arguments point to */
};

extern const char trap_stub_pass[], trap_stub_args[], trap_stub_fork[], trap_stub_clone[],
	trap_stub_sigreturn[];
/* sa_restorer of every handler. */
void trap_restorer(void);
/* The kernel's handler of the program's signals. */
void trap_signal_entry(int sig, siginfo_t *info, void *uc);
void trap_sigsys_entry(int sig, siginfo_t *info, void *uc);
/* Starts the program: rsp its stack, ip its entry. FS base becomes 0. */
void trap_start(unsigned long rsp, unsigned long ip) __attribute__((noreturn));
/* fn(arg) on another stack. */
long trap_on_stack(long (*fn)(void *), void *arg, void *stack_top);

/* Where the shim's code is: system calls from there are not dispatched. */
extern unsigned long trap_text, trap_text_size;
/*
 * The process that owns this memory; 0 in a child made by fork until it is
 * known.
 */
extern int trap_pid __attribute__((visibility("hidden")));

/* --- the calls (files.c, signals.c, process.c) ---------------------------------------------- */

typedef enum verdict (*trap_fn)(struct trap *t);

enum verdict trap_path(struct trap *t);
enum verdict trap_fstat(struct trap *t);
enum verdict trap_ioctl(struct trap *t);
enum verdict trap_close(struct trap *t);
enum verdict trap_close_range(struct trap *t);
enum verdict trap_dup(struct trap *t);

enum verdict trap_sigaction(struct trap *t);
enum verdict trap_sigprocmask(struct trap *t);
enum verdict trap_sigwait(struct trap *t);	/* calls with a temporary signal mask */
enum verdict trap_sigreturn(struct trap *t);
/* Where the handler of a signal that came to the shim is: or NULL, it is dealt with. */
void *trap_signal_target(int sig, siginfo_t *info, ucontext_t *uc);

enum verdict trap_clone(struct trap *t);
enum verdict trap_execve(struct trap *t);
enum verdict trap_exit(struct trap *t);
enum verdict trap_brk(struct trap *t);
enum verdict trap_prctl(struct trap *t);

/*
 * The frame of trap_stub_args and trap_stub_fork, put below the program's stack
 * pointer with its registers in it; and the registers as trap->arg has them.
 */
struct stub_args *trap_push_args(struct trap *t);
void trap_set_args(struct trap *t);

/* --- signals (signals.c) ---------------------------------------------------------------------- */

#define SIGBIT(n) (1ul << ((n) - 1))
/* Those that a fault of the processor sends, which the engine must see. */
#define FAULTS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | \
		SIGBIT(SIGTRAP))

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

/* Takes the signals over, while the C library still works. */
void trap_signals_init(void);

/* --- threads (threads.c) ---------------------------------------------------------------------- */

struct thread {
	int tid;		/* atomic; 0: free */
	struct thread *next;	/* of the hash bucket; entries stay for ever */
	unsigned long fs;
	void *stack_top;
	bool running;		/* in KVM_RUN: signals are the engine's first */
	int state;		/* futex: the donor's */
};

int trap_threads_init(void);
/* The calling thread's, or NULL when it never needed one. */
struct thread *trap_thread(void);
/*
 * fn(arg) as a thread of the C library, with all signals blocked, on a stack
 * of its own: what fn returns, or -ENOMEM when no thread could be had.
 */
long trap_service(long (*fn)(void *), void *arg);
/*
 * The same for KVM_RUN, with the program's signal mask, that of uc: a signal
 * ends KVM_RUN and is then left for the program, which gets it when the trap
 * returns.
 */
long trap_run(long (*fn)(void *), void *arg, const ucontext_t *uc);
/* The calling thread ends. */
void trap_thread_exit(void);

/* --- the program (load.c, start.c) ------------------------------------------------------------ */

struct image {
	unsigned long entry;		/* where to begin: the interpreter's, if there is one */
	unsigned long program_entry, phdr, base;
	unsigned long phnum;
	unsigned long start, brk;	/* its segments: the first byte, and behind the last */
};

/* Maps the program at path and its interpreter. 0, or -errno with *why what failed. */
int trap_load(const char *path, struct image *image, const char **why);

extern char trap_program[4096];	/* the program's path, which /proc/self/exe must tell */
extern unsigned long trap_brk_start;

#endif
