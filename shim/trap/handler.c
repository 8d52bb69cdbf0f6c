/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGSYS: a system call of the program. Here it is decided who makes it: the
 * kernel, called from a stub, or one of the functions that stand in for it.
 */
#include <errno.h>
#include <sys/uio.h>

#include "trap.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2	/* si_code */
#endif

#define PAGE 4096ul

unsigned long trap_text, trap_text_size;

int trap_pid;

void *trap_sigsys(int sig, siginfo_t *info, ucontext_t *uc);

/* --- the program's memory ----------------------------------------------------------- */

/*
 * The kernel copies, and tells what is not there. Where a sandbox forbids
 * that, the program's pointer is taken at its word.
 */
static int copy(long nr, void *mine, unsigned long theirs, size_t n)
{
	struct iovec local = { mine, n }, remote[2];
	size_t first = PAGE - (theirs & (PAGE - 1));
	long r;

	if (first > n)
		first = n;
	remote[0].iov_base = (void *)theirs;
	remote[0].iov_len = first;
	remote[1].iov_base = (void *)(theirs + first);
	remote[1].iov_len = n - first;
	r = SYS6(nr, SYS0(SYS_getpid), &local, 1, remote, 2, 0);
	if (r == -ENOSYS || r == -EPERM) {
		if (nr == SYS_process_vm_readv)
			shim_copy(mine, (void *)theirs, n);
		else
			shim_copy((void *)theirs, mine, n);
		return (int)n;
	}
	return r < 0 ? 0 : (int)r;
}

int trap_read(void *dst, unsigned long src, size_t n)
{
	return copy(SYS_process_vm_readv, dst, src, n) == (int)n ? 0 : -EFAULT;
}

int trap_read_string(char *dst, unsigned long src, size_t size)
{
	int n = copy(SYS_process_vm_readv, dst, src, size), i;

	for (i = 0; i < n; i++)
		if (!dst[i])
			return i;
	return -EFAULT;
}

int trap_write(unsigned long dst, const void *src, size_t n)
{
	return copy(SYS_process_vm_writev, (void *)src, dst, n) == (int)n ? 0 : -EFAULT;
}

/* --- sending it on -------------------------------------------------------------------- */

static void pass(ucontext_t *uc, const char *stub)
{
	greg_t *r = uc->uc_mcontext.gregs;

	r[REG_RSP] -= RED_ZONE + 8;
	*(greg_t *)r[REG_RSP] = r[REG_RIP];
	r[REG_RIP] = (greg_t)stub;
}

struct stub_args *trap_push_args(struct trap *t)
{
	greg_t *r = t->uc->uc_mcontext.gregs;
	struct stub_args *a;

	r[REG_RSP] -= RED_ZONE + (long)sizeof(*a);
	a = (struct stub_args *)r[REG_RSP];
	a->rip = (unsigned long)r[REG_RIP];
	a->rdi = (unsigned long)r[REG_RDI];
	a->rsi = (unsigned long)r[REG_RSI];
	a->rdx = (unsigned long)r[REG_RDX];
	a->r10 = (unsigned long)r[REG_R10];
	a->r8 = (unsigned long)r[REG_R8];
	a->r9 = (unsigned long)r[REG_R9];
	return a;
}

void trap_set_args(struct trap *t)
{
	greg_t *r = t->uc->uc_mcontext.gregs;

	r[REG_RAX] = t->nr;
	r[REG_RDI] = (greg_t)t->arg[0];
	r[REG_RSI] = (greg_t)t->arg[1];
	r[REG_RDX] = (greg_t)t->arg[2];
	r[REG_R10] = (greg_t)t->arg[3];
	r[REG_R8] = (greg_t)t->arg[4];
	r[REG_R9] = (greg_t)t->arg[5];
}

/* --- who makes it ------------------------------------------------------------------------ */

static enum verdict none_such(struct trap *t)
{
	return trap_return(t, -ENOSYS);
}

static const trap_fn table[] = {
	[SYS_open] = trap_path,
	[SYS_openat] = trap_path,
	[SYS_openat2] = trap_path,
	[SYS_access] = trap_path,
	[SYS_faccessat] = trap_path,
	[SYS_faccessat2] = trap_path,
	[SYS_stat] = trap_path,
	[SYS_lstat] = trap_path,
	[SYS_newfstatat] = trap_path,
	[SYS_statx] = trap_path,
	[SYS_readlink] = trap_path,
	[SYS_readlinkat] = trap_path,
	[SYS_fstat] = trap_fstat,
	[SYS_ioctl] = trap_ioctl,
	[SYS_close] = trap_close,
	[SYS_close_range] = trap_close_range,
	[SYS_dup] = trap_dup,
	[SYS_dup2] = trap_dup,
	[SYS_dup3] = trap_dup,
	[SYS_fcntl] = trap_dup,
	[SYS_rt_sigaction] = trap_sigaction,
	[SYS_rt_sigprocmask] = trap_sigprocmask,
	[SYS_rt_sigsuspend] = trap_sigwait,
	[SYS_ppoll] = trap_sigwait,
	[SYS_pselect6] = trap_sigwait,
	[SYS_epoll_pwait] = trap_sigwait,
	[SYS_epoll_pwait2] = trap_sigwait,
	[SYS_rt_sigreturn] = trap_sigreturn,
	[SYS_clone] = trap_clone,
	[SYS_fork] = trap_clone,
	[SYS_vfork] = trap_clone,
	[SYS_clone3] = none_such,	/* the C libraries then use clone */
	[SYS_execve] = trap_execve,
	[SYS_execveat] = trap_execve,
	[SYS_exit] = trap_exit,
	[SYS_brk] = trap_brk,
	[SYS_prctl] = trap_prctl,
};

static void system_call(ucontext_t *uc)
{
	greg_t *r = uc->uc_mcontext.gregs;
	struct trap t = {
		.uc = uc,
		.nr = r[REG_RAX],
		.arg = { (unsigned long)r[REG_RDI], (unsigned long)r[REG_RSI],
			 (unsigned long)r[REG_RDX], (unsigned long)r[REG_R10],
			 (unsigned long)r[REG_R8], (unsigned long)r[REG_R9] },
	};
	trap_fn fn = NULL;

	if ((unsigned long)t.nr < sizeof(table) / sizeof(table[0]))
		fn = table[t.nr];
	if (!fn || fn(&t) == PASS)
		pass(uc, trap_stub_pass);
}

/* 0, or the program's own handler for a SIGSYS that is not ours. */
void *trap_sigsys(int sig, siginfo_t *info, ucontext_t *uc)
{
	if (info->si_code != SYS_USER_DISPATCH)
		return trap_signal_target(sig, info, uc);
	system_call(uc);
	return NULL;
}
