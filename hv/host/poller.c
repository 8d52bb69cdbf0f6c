/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that waits: for descriptors with epoll(7), for deadlines with one
 * timerfd(2) that is always set to the nearest of them.
 *
 * Descriptors are told apart by numbers never used again, and events are taken
 * one at a time, so that an event of a descriptor that has been given up in
 * the meantime is recognised and dropped. Whoever takes something away waits
 * until its callback is not running (unless it is the callback).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "host.h"
#include "syscall.h"

#define BUCKETS 64
#define ID_TIMER 0ull
#define ID_STOP 1ull
#define ID_FIRST 2ull

struct source {
	struct source *next;
	u64 id;
	int fd;
	void (*fn)(void *);
	void *arg;
};

struct host_poller {
	struct host_thread *thread;
	int epoll, timer_fd, stop_fd;
	struct host_mutex lock;
	struct source *sources[BUCKETS];	/* by id */
	u64 next_id;
	struct host_timer *timers;		/* by deadline */
	void *busy;				/* the source or timer whose callback runs */
	u32 busy_seq;				/* futex: changes when it has ended */
	u32 waiters;
	u32 tid;
};

/* --- taking away ------------------------------------------------------------ */

/* With the lock held, which is let go while waiting. */
static void wait_idle(struct host_poller *p, void *what)
{
	if (p->tid == host_gettid())
		return;
	while (p->busy == what) {
		u32 seq = p->busy_seq;

		p->waiters++;
		host_mutex_unlock(&p->lock);
		host_futex_wait(&p->busy_seq, seq, 0);
		host_mutex_lock(&p->lock);
		p->waiters--;
	}
}

/* Runs a callback without the lock. */
static void call(struct host_poller *p, void *what, void (*fn)(void *), void *arg)
{
	p->busy = what;
	host_mutex_unlock(&p->lock);
	fn(arg);
	host_mutex_lock(&p->lock);
	p->busy = NULL;
	p->busy_seq++;
	if (p->waiters)
		host_futex_wake(&p->busy_seq, 0x7fffffff);
}

/* --- descriptors ------------------------------------------------------------ */

static struct source **find_id(struct host_poller *p, u64 id)
{
	struct source **s = &p->sources[id % BUCKETS];

	while (*s && (*s)->id != id)
		s = &(*s)->next;
	return s;
}

static struct source **find_fd(struct host_poller *p, int fd)
{
	u32 i;

	for (i = 0; i < BUCKETS; i++) {
		struct source **s = &p->sources[i];

		for (; *s; s = &(*s)->next)
			if ((*s)->fd == fd)
				return s;
	}
	return NULL;
}

static int watch(struct host_poller *p, int fd, u64 id)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = id };

	return (int)SYS4(SYS_epoll_ctl, p->epoll, EPOLL_CTL_ADD, fd, &ev);
}

int host_poller_add(struct host_poller *p, int fd, void (*fn)(void *), void *arg)
{
	struct source *s = host_zalloc(sizeof(*s)), **at;
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->fn = fn;
	s->arg = arg;
	host_mutex_lock(&p->lock);
	s->id = p->next_id++;
	at = &p->sources[s->id % BUCKETS];
	s->next = *at;
	*at = s;
	r = watch(p, fd, s->id);
	if (r)
		*at = s->next;
	host_mutex_unlock(&p->lock);
	if (r)
		host_free(s);
	return r;
}

void host_poller_del(struct host_poller *p, int fd)
{
	struct source **at, *s = NULL;

	host_mutex_lock(&p->lock);
	at = find_fd(p, fd);
	if (at) {
		s = *at;
		*at = s->next;
		SYS4(SYS_epoll_ctl, p->epoll, EPOLL_CTL_DEL, fd, 0);
		wait_idle(p, s);
	}
	host_mutex_unlock(&p->lock);
	host_free(s);
}

/* --- timers ------------------------------------------------------------------ */

static void arm(struct host_poller *p)
{
	struct itimerspec its = { 0 };
	u64 ns = p->timers ? MAX(p->timers->deadline_ns, 1ull) : 0;

	its.it_value.tv_sec = (long)(ns / 1000000000);
	its.it_value.tv_nsec = (long)(ns % 1000000000);
	SYS4(SYS_timerfd_settime, p->timer_fd, TFD_TIMER_ABSTIME, &its, 0);
}

/* True when the nearest deadline was its. */
static bool unlink_timer(struct host_poller *p, struct host_timer *t)
{
	struct host_timer **at = &p->timers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = t->next;
	t->next = NULL;
	return at == &p->timers;
}

void host_timer_init(struct host_timer *t, struct host_poller *p, void (*fn)(void *), void *arg)
{
	t->poller = p;
	t->fn = fn;
	t->arg = arg;
	t->deadline_ns = 0;
	t->next = NULL;
}

void host_timer_set(struct host_timer *t, u64 deadline_ns)
{
	struct host_poller *p = t->poller;
	struct host_timer **at;
	bool first;

	host_mutex_lock(&p->lock);
	first = unlink_timer(p, t);
	t->deadline_ns = deadline_ns;
	for (at = &p->timers; *at && (*at)->deadline_ns <= deadline_ns;)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	if (first || p->timers == t)
		arm(p);
	host_mutex_unlock(&p->lock);
}

void host_timer_cancel(struct host_timer *t)
{
	struct host_poller *p = t->poller;

	if (!p)
		return;
	host_mutex_lock(&p->lock);
	if (unlink_timer(p, t))
		arm(p);
	wait_idle(p, t);
	/* Its callback may have set it again. */
	if (unlink_timer(p, t))
		arm(p);
	host_mutex_unlock(&p->lock);
}

static void run_timers(struct host_poller *p)
{
	u64 now = host_monotonic_ns();

	while (p->timers && p->timers->deadline_ns <= now) {
		struct host_timer *t = p->timers;

		p->timers = t->next;
		t->next = NULL;
		call(p, t, t->fn, t->arg);
	}
	arm(p);
}

/* --- the thread --------------------------------------------------------------- */

static void poller_main(void *arg)
{
	struct host_poller *p = arg;

	host_mutex_lock(&p->lock);
	p->tid = host_gettid();
	for (;;) {
		struct epoll_event ev;
		struct source *s;
		long n;

		host_mutex_unlock(&p->lock);
		n = SYS6(SYS_epoll_pwait, p->epoll, &ev, 1, -1, 0, 8);
		host_mutex_lock(&p->lock);
		if (n != 1)
			continue;
		if (ev.data.u64 == ID_STOP)
			break;
		if (ev.data.u64 == ID_TIMER) {
			host_eventfd_take(p->timer_fd);
			run_timers(p);
			continue;
		}
		s = *find_id(p, ev.data.u64);
		if (s)
			call(p, s, s->fn, s->arg);
	}
	host_mutex_unlock(&p->lock);
}

static void close_all(struct host_poller *p)
{
	if (p->epoll >= 0)
		host_close(p->epoll);
	if (p->timer_fd >= 0)
		host_close(p->timer_fd);
	if (p->stop_fd >= 0)
		host_close(p->stop_fd);
}

struct host_poller *host_poller_start(const char *name)
{
	struct host_poller *p = host_zalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->next_id = ID_FIRST;
	p->epoll = (int)SYS1(SYS_epoll_create1, EPOLL_CLOEXEC);
	p->timer_fd = (int)SYS2(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	p->stop_fd = (int)SYS2(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->epoll >= 0 && p->timer_fd >= 0 && p->stop_fd >= 0 &&
	    !watch(p, p->timer_fd, ID_TIMER) && !watch(p, p->stop_fd, ID_STOP))
		p->thread = host_thread_start(name, poller_main, p);
	if (!p->thread) {
		close_all(p);
		host_free(p);
		return NULL;
	}
	return p;
}

void host_poller_stop(struct host_poller *p)
{
	u32 i;

	if (!p)
		return;
	host_eventfd_signal(p->stop_fd);
	host_thread_join(p->thread);
	for (i = 0; i < BUCKETS; i++) {
		while (p->sources[i]) {
			struct source *s = p->sources[i];

			p->sources[i] = s->next;
			host_free(s);
		}
	}
	close_all(p);
	host_free(p);
}
