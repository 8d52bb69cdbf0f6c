/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads of the hypervisor: with every signal blocked, so that the program's
 * handlers run on the program's own threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "host.h"
#include "syscall.h"

struct host_thread {
	pthread_t id;
	void (*fn)(void *);
	void *arg;
	char name[16];
};

static void *thread_main(void *p)
{
	struct host_thread *t = p;

	SYS2(SYS_prctl, PR_SET_NAME, t->name);
	t->fn(t->arg);
	return NULL;
}

struct host_thread *host_thread_start(const char *name, void (*fn)(void *), void *arg)
{
	struct host_thread *t = host_zalloc(sizeof(*t));
	sigset_t all, old;
	int i, r;

	if (!t)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	for (i = 0; i < 15 && name[i]; i++)
		t->name[i] = name[i];
	sigfillset(&all);
	sigdelset(&all, SIGSYS);	/* seccomp(2): a trapped system call, for this thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		host_free(t);
		return NULL;
	}
	return t;
}

void host_thread_join(struct host_thread *t)
{
	if (!t)
		return;
	pthread_join(t->id, NULL);
	host_free(t);
}

u32 host_gettid(void)
{
	return (u32)SYS0(SYS_gettid);
}

u32 host_getpid(void)
{
	return (u32)SYS0(SYS_getpid);
}

u32 host_cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (u32)CPU_COUNT(&set);
}

/* Past the spaces at *i, a decimal number; 0 at the text's end. */
static u64 next_number(const char *text, long n, long *i)
{
	u64 v = 0;

	while (*i < n && text[*i] == ' ')
		(*i)++;
	for (; *i < n && text[*i] >= '0' && text[*i] <= '9'; (*i)++)
		v = v * 10 + (u64)(text[*i] - '0');
	return v;
}

/*
 * /proc/thread-self/schedstat: nanoseconds run, nanoseconds waited, and how
 * often it was run. A thread that asks has been run once at least, so a third
 * number of 0 is a kernel that keeps none. The second is 0 in threads that
 * never waited.
 */
bool host_run_delay(u64 *ns)
{
	int fd = (int)SYS4(SYS_openat, AT_FDCWD, "/proc/thread-self/schedstat",
			   O_RDONLY | O_CLOEXEC, 0);
	char text[80];
	long n, i = 0;

	*ns = 0;
	if (fd < 0)
		return false;
	n = SYS3(SYS_read, fd, text, sizeof(text));
	SYS1(SYS_close, fd);
	next_number(text, n, &i);
	*ns = next_number(text, n, &i);
	return next_number(text, n, &i) != 0;
}

static u32 forks;

void host_forked(void)
{
	forks++;
}

u32 host_fork_count(void)
{
	static u32 installed;

	if (unlikely(!__atomic_load_n(&installed, __ATOMIC_RELAXED)) &&
	    !__atomic_exchange_n(&installed, 1, __ATOMIC_RELAXED))
		pthread_atfork(NULL, NULL, host_forked);
	return __atomic_load_n(&forks, __ATOMIC_RELAXED);
}

void host_at_fork(void (*before)(void), void (*after)(void))
{
	pthread_atfork(before, after, after);
}
