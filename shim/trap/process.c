/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads, processes and programs of the program, and its data segment's end.
 *
 * A new thread or process begins without dispatch of its system calls; the
 * stubs turn it on before the program goes on. A child that would share its
 * parent's stack (vfork) gets a copy of the memory instead: the parent's way
 * back lies on that stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../launch.h"
#include "trap.h"

#define PAGE 4096ul

/* --- clone(2) ---------------------------------------------------------------------- */

static enum verdict fork_by_stub(struct trap *t)
{
	trap_push_args(t);
	trap_set_args(t);
	t->uc->uc_mcontext.gregs[REG_RIP] = (greg_t)trap_stub_fork;
	return DONE;
}

enum verdict trap_clone(struct trap *t)
{
	greg_t *r = t->uc->uc_mcontext.gregs;

	if (t->nr != SYS_clone) {
		t->arg[0] = SIGCHLD | (t->nr == SYS_vfork ? CLONE_VFORK : 0);
		t->arg[1] = t->arg[2] = t->arg[3] = t->arg[4] = 0;
		t->nr = SYS_clone;
		return fork_by_stub(t);
	}
	if (!t->arg[1]) {
		t->arg[0] &= ~(unsigned long)CLONE_VM;
		return fork_by_stub(t);
	}
	if (!(t->arg[0] & CLONE_VM)) {
		/* The copy of the stub's frame would be on the old stack. */
		return trap_return(t, -EINVAL);
	}
	if (trap_write(t->arg[1] - 8, &r[REG_RIP], 8) < 0)
		return trap_return(t, -EFAULT);
	r[REG_RSP] -= RED_ZONE + 8;
	*(greg_t *)r[REG_RSP] = r[REG_RIP];
	r[REG_RIP] = (greg_t)trap_stub_clone;
	return DONE;
}

enum verdict trap_exit(struct trap *t)
{
	(void)t;
	trap_thread_exit();
	return PASS;
}

/* --- execve(2) ----------------------------------------------------------------------- */

/* path: what is to be executed in place of what the program asked for, or NULL. */
static int do_execve(void *ctx, const char *path, char *const *argv, char *const *env)
{
	const struct trap *t = ctx;

	if (path)
		return (int)SYS3(SYS_execve, path, argv, env);
	return (int)SYS5(SYS_execveat, t->arg[0], t->arg[1], argv, env, t->arg[4]);
}

static bool is_own_exe(const char *path)
{
	const char *own = "/proc/self/exe";

	while (*own && *path == *own) {
		path++;
		own++;
	}
	return *path == *own;
}

/* Bad pointers are the kernel's to refuse. */
static bool readable(const unsigned long *a)
{
	unsigned long first;

	return trap_read(&first, a[0], 1) == 0 && (!a[1] || trap_read(&first, a[1], 8) == 0) &&
	       (!a[2] || trap_read(&first, a[2], 8) == 0);
}

/* The new program inherits the signal mask, so it is first made this program's. */
enum verdict trap_execve(struct trap *t)
{
	unsigned long all = ~(FAULTS | SIGBIT(SIGSYS));
	bool at = t->nr == SYS_execveat;
	const unsigned long *a = t->arg + at;
	const char *path = (const char *)a[0];
	long r;

	if (!readable(a))
		return PASS;
	if (is_own_exe(path))
		path = trap_program;
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &t->uc->uc_sigmask, NULL, 8);
	r = launch_at(at ? (int)t->arg[0] : AT_FDCWD, path, at ? (int)t->arg[4] : 0,
		      (char *const *)a[1], (char *const *)a[2], do_execve, t);
	SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	return trap_return(t, r);
}

/* --- the rest ---------------------------------------------------------------------------- */

unsigned long trap_brk_start;
static unsigned long brk_end;		/* what the program was told */
static unsigned long brk_mapped;
static int brk_lock;

/* The kernel's own break is the shim's heap. */
static unsigned long set_brk(unsigned long want)
{
	unsigned long top = (want + PAGE - 1) & ~(PAGE - 1);
	long r;

	if (!brk_end)
		brk_end = brk_mapped = trap_brk_start;
	if (want < trap_brk_start || top < want)
		return brk_end;
	if (top > brk_mapped) {
		r = SYS6(SYS_mmap, brk_mapped, top - brk_mapped, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (r != (long)brk_mapped) {
			if (!shim_failed(r))	/* a kernel without MAP_FIXED_NOREPLACE */
				SYS2(SYS_munmap, r, top - brk_mapped);
			return brk_end;
		}
	} else if (top < brk_mapped) {
		SYS2(SYS_munmap, top, brk_mapped - top);
	}
	brk_mapped = top;
	brk_end = want;
	return brk_end;
}

enum verdict trap_brk(struct trap *t)
{
	unsigned long r;

	while (__atomic_exchange_n(&brk_lock, 1, __ATOMIC_ACQUIRE))
		SYS0(SYS_sched_yield);
	r = set_brk(t->arg[0]);
	__atomic_store_n(&brk_lock, 0, __ATOMIC_RELEASE);
	return trap_return(t, (long)r);
}

enum verdict trap_prctl(struct trap *t)
{
	return t->arg[0] == PR_SET_SYSCALL_USER_DISPATCH ? trap_return(t, -EINVAL) : PASS;
}
