/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks and waiting on futexes (futex(2)).
 *
 * A mutex word is 0 (free), 1 (held) or 2 (held, somebody sleeps), after
 * Drepper's "Futexes are tricky".
 */
#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#include "host.h"
#include "syscall.h"

#define SPINS 100

/* Far enough to be "never", near enough to be a valid time. */
#define FOREVER_NS (1000000000ull * 3600 * 24 * 365 * 200)

static bool mutex_try(struct host_mutex *m, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&m->state, &from, to, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

void host_mutex_lock(struct host_mutex *m)
{
	int i;

	for (i = 0; i < SPINS; i++) {
		if (mutex_try(m, 0, 1))
			return;
		host_cpu_relax();
	}
	while (__atomic_exchange_n(&m->state, 2, __ATOMIC_ACQUIRE))
		SYS6(SYS_futex, &m->state, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

void host_mutex_unlock(struct host_mutex *m)
{
	if (__atomic_exchange_n(&m->state, 0, __ATOMIC_RELEASE) == 2)
		SYS6(SYS_futex, &m->state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

/*
 * Always with a timeout: a futex wait without one is restarted after a signal
 * handler installed with SA_RESTART, and would then sleep through the kick.
 */
int host_futex_wait(u32 *word, u32 expected, u64 deadline_ns)
{
	struct timespec ts;
	long r;

	if (!deadline_ns || deadline_ns > FOREVER_NS)
		deadline_ns = FOREVER_NS;
	ts.tv_sec = (long)(deadline_ns / 1000000000);
	ts.tv_nsec = (long)(deadline_ns % 1000000000);
	r = SYS6(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, &ts, 0,
		 FUTEX_BITSET_MATCH_ANY);
	return r == -ETIMEDOUT || r == -EINTR ? (int)r : 0;
}

void host_futex_wake(u32 *word, int count)
{
	SYS6(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, 0, 0, 0);
}

void host_yield(void)
{
	SYS0(SYS_sched_yield);
}
