/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filter on system calls (seccomp(2)): a list of those that a running machine
 * makes, with their arguments where that matters. Calls that libraries try and do
 * without fail; those that open, look at or remove a file by its name are
 * taken to the opener by the handler of SIGSYS; any other ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/fs.h>

#include "../error.h"
#include "broker.h"
#include "sandbox.h"

#define NAMES_MAX 512
#define TRAPPED 1		/* si_code: by a filter, not sent */
#define KVM_IOCTLS 0xae00	/* the type of all of KVM's, in bits 8 to 15 */

/* Of any arguments. */
static const int allowed[] = {
	/* descriptors that it has */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fstat), SCMP_SYS(flock),
	SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(close),
	SCMP_SYS(getdents64), SCMP_SYS(fadvise64), SCMP_SYS(sync_file_range),
	/* waiting */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(signalfd4),
	SCMP_SYS(pipe2), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(futex),
	SCMP_SYS(restart_syscall), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	/* memory */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mincore),
	SCMP_SYS(msync), SCMP_SYS(memfd_create), SCMP_SYS(membarrier), SCMP_SYS(mlock),
	SCMP_SYS(munlock),
	/* threads, signals of its own, helpers that have ended */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address), SCMP_SYS(arch_prctl), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(gettid), SCMP_SYS(getpid),
	SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(wait4),
	/* time, facts */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage),
	SCMP_SYS(getcpu), SCMP_SYS(times),
	/* connections that it has, and those to its own sockets */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(socketpair),
};

/* What libraries try, and can do without: the errno that tells them so. */
static const struct {
	int call, err;
} failing[] = {
	{ SCMP_SYS(clone3), ENOSYS },	/* its flags cannot be seen; clone(2) is tried next */
	{ SCMP_SYS(statx), ENOSYS }, { SCMP_SYS(io_uring_setup), ENOSYS },
	{ SCMP_SYS(openat2), ENOSYS }, { SCMP_SYS(futex_waitv), ENOSYS },
	{ SCMP_SYS(access), EACCES }, { SCMP_SYS(faccessat), EACCES },
	{ SCMP_SYS(faccessat2), EACCES }, { SCMP_SYS(mkdir), EACCES },
	{ SCMP_SYS(mkdirat), EACCES }, { SCMP_SYS(renameat2), EACCES },
	{ SCMP_SYS(getcwd), EACCES }, { SCMP_SYS(chmod), EACCES }, { SCMP_SYS(statfs), EACCES },
	{ SCMP_SYS(fchmod), EPERM }, { SCMP_SYS(umask), EPERM },
	{ SCMP_SYS(setpriority), EPERM }, { SCMP_SYS(sched_setscheduler), EPERM },
};

/* The requests that the terminal, tap interfaces and block devices get. */
static const unsigned long requests[] = {
	TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, FIONBIO, FIONREAD, FIOCLEX, FIONCLEX,
	TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNGETIFF, BLKGETSIZE64, BLKSSZGET, BLKDISCARD,
	BLKZEROOUT, BLKFLSBUF,
};

/* What is done with descriptors; not F_SETOWN, which sends signals to others. */
static const int controls[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_OFD_SETLK, F_OFD_GETLK,
	F_ADD_SEALS, F_GET_SEALS, F_GETPIPE_SZ,
};

static int opener = -1;
static void (*dying)(void);
static char *names[NAMES_MAX];
static __thread bool refused;

/* --- calls that were trapped ----------------------------------------------------------------- */

const char *filter_hint(void)
{
	bool was = refused;

	refused = false;
	return was ? "the sandbox keeps it closed: see --allow, add-fd and --sandbox off" : NULL;
}

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static void die(int call)
{
	const char *name = call >= 0 && call < NAMES_MAX ? names[call] : NULL;

	if (dying)
		dying();
	say("anykvm: the sandbox ends this machine, for a system call that is not allowed: ");
	say(name ? name : "an unknown one");
	say("\n");
	signal(SIGSYS, SIG_DFL);
	raise(SIGSYS);
}

/* Asks the opener for what a call wants; dir is where a relative path would begin. */
static long ask(u32 op, int dir, const char *path, int flags, u32 mode, union broker_data *data)
{
	struct broker_request r = { .op = op, .flags = flags, .mode = mode };
	union broker_data none;
	size_t len = strnlen(path, sizeof(r.path));
	long result;

	if (len == sizeof(r.path))
		return -ENAMETOOLONG;
	if (dir != AT_FDCWD && path[0] != '/')
		return -EACCES;
	memcpy(r.path, path, len);
	result = broker_ask(opener, &r, data ? data : &none);
	if (result == -EACCES)
		refused = true;
	return result;
}

static long ask_stat(bool follow, int dir, const char *path, struct stat *st)
{
	union broker_data data;
	long result = ask(follow ? BROKER_STAT : BROKER_LSTAT, dir, path, 0, 0, &data);

	if (!result)
		*st = data.st;
	return result;
}

static long ask_link(int dir, const char *path, char *text, size_t size)
{
	union broker_data data;
	long n = ask(BROKER_LINK, dir, path, 0, 0, &data);

	if (n > (long)size)
		n = (long)size;
	if (n > 0)
		memcpy(text, data.link, (size_t)n);
	return n;
}

static long ask_rename(int dir, const char *path, int new_dir, const char *to)
{
	struct broker_request r = { .op = BROKER_RENAME };
	union broker_data none;
	long result = -EACCES;

	if (strnlen(path, sizeof(r.path)) == sizeof(r.path) ||
	    strnlen(to, sizeof(r.to)) == sizeof(r.to))
		return -ENAMETOOLONG;
	strcpy(r.path, path);
	strcpy(r.to, to);
	if ((dir == AT_FDCWD || path[0] == '/') && (new_dir == AT_FDCWD || to[0] == '/'))
		result = broker_ask(opener, &r, &none);
	if (result == -EACCES)
		refused = true;
	return result;
}

#define PATH(n) ((const char *)arg[n])

static long emulate(int call, const long *arg)
{
	switch (call) {
	case SYS_open:
		return ask(BROKER_OPEN, AT_FDCWD, PATH(0), (int)arg[1], (u32)arg[2], NULL);
	case SYS_openat:
		return ask(BROKER_OPEN, (int)arg[0], PATH(1), (int)arg[2], (u32)arg[3], NULL);
	case SYS_stat:
	case SYS_lstat:
		return ask_stat(call == SYS_stat, AT_FDCWD, PATH(0), (struct stat *)arg[1]);
	case SYS_newfstatat:
		return ask_stat(!(arg[3] & AT_SYMLINK_NOFOLLOW), (int)arg[0], PATH(1),
				(struct stat *)arg[2]);
	case SYS_readlink:
		return ask_link(AT_FDCWD, PATH(0), (char *)arg[1], (size_t)arg[2]);
	case SYS_readlinkat:
		return ask_link((int)arg[0], PATH(1), (char *)arg[2], (size_t)arg[3]);
	case SYS_rename:
		return ask_rename(AT_FDCWD, PATH(0), AT_FDCWD, PATH(1));
	case SYS_renameat:
		return ask_rename((int)arg[0], PATH(1), (int)arg[2], PATH(3));
	case SYS_unlink:
		return ask(BROKER_REMOVE, AT_FDCWD, PATH(0), 0, 0, NULL);
	case SYS_unlinkat:
		return arg[2] ? -EACCES : ask(BROKER_REMOVE, (int)arg[0], PATH(1), 0, 0, NULL);
	}
	die(call);
	return -ENOSYS;
}

static void on_trap(int sig, siginfo_t *info, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	const long arg[] = { g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10] };
	int saved = errno;

	(void)sig;
	if (info->si_code != TRAPPED)
		die(-1);
	g[REG_RAX] = emulate(info->si_syscall, arg);
	errno = saved;
}

/* Names are found now: the handler must not allocate. */
static int watch_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigset_t set;
	int i;

	for (i = 0; i < NAMES_MAX; i++)
		names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return sigaction(SIGSYS, &sa, NULL);
}

/* --- the rules ----------------------------------------------------------------------- */

#define RULE(call, n, ...) \
	(seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(call), n, ##__VA_ARGS__))
#define WX (PROT_WRITE | PROT_EXEC)

static int add_lists(scmp_filter_ctx c)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(allowed); i++)
		err = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
	for (i = 0; !err && i < ARRAY_SIZE(failing); i++)
		err = seccomp_rule_add(c, SCMP_ACT_ERRNO((u32)failing[i].err), failing[i].call, 0);
	for (i = 0; !err && i < ARRAY_SIZE(requests); i++)
		err = RULE(ioctl, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, requests[i]));
	for (i = 0; !err && i < ARRAY_SIZE(controls); i++)
		err = RULE(fcntl, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff,
					     (u64)controls[i]));
	return err;
}

/* Threads and no processes, signals to itself, memory that is not both writable and code. */
static int add_own(scmp_filter_ctx c)
{
	const u64 thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, pid = (u64)getpid();
	static const int own[] = {
		SCMP_SYS(tgkill), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(kill),
		SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	};
	unsigned int i;
	int err;

	err = RULE(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, thread | CLONE_NEWUSER | CLONE_NEWNS,
				     thread));
	for (i = 0; !err && i < ARRAY_SIZE(own); i++)
		err = seccomp_rule_add(c, SCMP_ACT_ALLOW, own[i], 1, SCMP_A0(SCMP_CMP_EQ, pid));
	if (!err)
		err = RULE(kcmp, 2, SCMP_A0(SCMP_CMP_EQ, pid), SCMP_A1(SCMP_CMP_EQ, pid));
	if (!err)	/* reading limits */
		err = RULE(prlimit64, 2, SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
	if (!err)	/* fstat */
		err = RULE(newfstatat, 1, SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH,
						  AT_EMPTY_PATH));
	if (!err)
		err = RULE(prctl, 1, SCMP_A0(SCMP_CMP_EQ, 15));		/* PR_SET_NAME */
	/* the combinations that are not both */
	for (i = 0; !err && i < 3; i++) {
		static const u64 prot[] = { 0, PROT_WRITE, PROT_EXEC };

		err = RULE(mmap, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, WX, prot[i]));
		if (!err)
			err = RULE(mprotect, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, WX, prot[i]));
	}
	return err;
}

static int add_needs(scmp_filter_ctx c, unsigned int needs)
{
	static const int making[] = { SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen) };
	const u32 no = SCMP_ACT_ERRNO(EACCES);
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(making); i++)
		err = seccomp_rule_add(c, needs & SANDBOX_INET ? SCMP_ACT_ALLOW : no, making[i], 0);
	if (!err && needs & SANDBOX_INET)
		err = RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET));
	if (!err && needs & SANDBOX_INET)
		err = RULE(socket, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	/* those of the host and of its kernel fail, the ones that nobody has today are deadly */
	if (!err)
		err = seccomp_rule_add(c, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_LT, AF_INET));
	if (!err)
		err = seccomp_rule_add(c, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6));
	if (!err && !(needs & SANDBOX_INET))
		err = seccomp_rule_add(c, no, SCMP_SYS(socket), 0);
	if (!err && needs & SANDBOX_KVM)
		err = RULE(ioctl, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, KVM_IOCTLS));
	return err;
}

int filter_load(const struct sandbox_policy *p, int fd, void (*before_death)(void))
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_TRAP);
	int err = c ? 0 : -ENOMEM;

	opener = fd;
	dying = before_death;
	if (!err)
		err = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!err)
		err = add_lists(c);
	if (!err)
		err = add_own(c);
	if (!err)
		err = add_needs(c, p->needs);
	if (!err && watch_traps() < 0)
		err = -errno;
	if (!err) {
		/* a tree where the library knows how to make one: a quicker answer */
		seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		err = seccomp_load(c);
	}
	seccomp_release(c);
	if (err)
		return error("--sandbox: the filter on system calls cannot be used (%s): "
			     "--sandbox off runs without", strerror(-err));
	return 0;
}
