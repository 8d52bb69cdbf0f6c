/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop, on poll(2): there are tens of entries. A timer is a timerfd,
 * so another thread sets it with one system call and without waking the loop.
 *
 * The list of entries is under the lock; callbacks run without it. An entry
 * that was removed stays in the list, dead, until the loop's thread is between
 * two callbacks, so what poll(2) found can be matched without searching.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "loop.h"

struct loop_entry {
	struct loop_entry *next;
	struct loop *loop;
	int fd;
	short events, ready;
	bool dead, enabled;
	void (*fn)(void *);
	void *arg;
};

struct loop_job {
	struct loop_job *next;
	void (*fn)(void *);
	void *arg;
};

struct loop {
	pthread_mutex_t lock;
	pthread_cond_t idle;		/* no callback runs */
	int wake;			/* eventfd */
	bool stop;			/* atomic */
	bool entered;
	pthread_t thread;		/* that runs it, once entered */
	pthread_t own;			/* of loop_thread_new */
	struct loop_entry *first, *running;
	struct loop_job *jobs, **jobs_end;
	unsigned int count, capacity;	/* entries in the list; room in the arrays */
	struct pollfd *poll;
	struct loop_entry **polled;
};

struct timer {
	int fd;
	struct loop_entry *entry;
	void (*fn)(void *);
	void *arg;
};

u64 monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec;
}

/* --- waking, and jobs --------------------------------------------------------- */

static void wake(struct loop *l)
{
	const u64 one = 1;

	if (write(l->wake, &one, sizeof(one)) < 0)
		return;		/* the count is full: it wakes anyway */
}

static bool on_own_thread(const struct loop *l)
{
	return !l->entered || pthread_equal(l->thread, pthread_self());
}

static struct loop_job *take_job(struct loop *l)
{
	struct loop_job *j;

	pthread_mutex_lock(&l->lock);
	j = l->jobs;
	if (j && !(l->jobs = j->next))
		l->jobs_end = &l->jobs;
	pthread_mutex_unlock(&l->lock);
	return j;
}

static void on_wake(void *arg)
{
	struct loop *l = arg;
	struct loop_job *j;
	u64 count;

	if (read(l->wake, &count, sizeof(count)) < 0)
		return;
	while ((j = take_job(l))) {
		j->fn(j->arg);
		free(j);
	}
}

int loop_call(struct loop *l, void (*fn)(void *), void *arg)
{
	struct loop_job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->fn = fn;
	j->arg = arg;
	pthread_mutex_lock(&l->lock);
	*l->jobs_end = j;
	l->jobs_end = &j->next;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return 0;
}

void loop_forget(struct loop *l, const void *arg)
{
	struct loop_job **at, *j;

	pthread_mutex_lock(&l->lock);
	at = &l->jobs;
	while ((j = *at)) {
		if (j->arg == arg) {
			*at = j->next;
			free(j);
		} else {
			at = &j->next;
		}
	}
	l->jobs_end = at;
	pthread_mutex_unlock(&l->lock);
}

/* --- entries --------------------------------------------------------------------- */

/* Room in the arrays for one entry more. Under the lock. */
static int reserve(struct loop *l)
{
	unsigned int want = l->capacity ? l->capacity * 2 : 16;
	struct loop_entry **polled;
	struct pollfd *p;

	if (l->count < l->capacity)
		return 0;
	p = realloc(l->poll, want * sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->poll = p;
	polled = realloc(l->polled, want * sizeof(*polled));
	if (!polled)
		return -ENOMEM;
	l->polled = polled;
	l->capacity = want;
	return 0;
}

struct loop_entry *loop_add(struct loop *l, int fd, short events, void (*fn)(void *), void *arg)
{
	struct loop_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct loop_entry){
		.loop = l, .fd = fd, .events = events, .enabled = true, .fn = fn, .arg = arg,
	};
	pthread_mutex_lock(&l->lock);
	e->next = l->first;
	l->first = e;
	l->count++;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return e;
}

void loop_remove(struct loop_entry *e)
{
	struct loop *l;

	if (!e)
		return;
	l = e->loop;
	pthread_mutex_lock(&l->lock);
	e->dead = true;
	while (l->running == e && !on_own_thread(l))
		pthread_cond_wait(&l->idle, &l->lock);
	pthread_mutex_unlock(&l->lock);
	wake(l);
}

void loop_enable(struct loop_entry *e, bool on)
{
	bool was;

	pthread_mutex_lock(&e->loop->lock);
	was = e->enabled;
	e->enabled = on;
	pthread_mutex_unlock(&e->loop->lock);
	if (on && !was)
		wake(e->loop);
}

void loop_events(struct loop_entry *e, short events)
{
	bool more;

	pthread_mutex_lock(&e->loop->lock);
	more = events & ~e->events;
	e->events = events;
	pthread_mutex_unlock(&e->loop->lock);
	if (more)
		wake(e->loop);
}

short loop_ready(const struct loop_entry *e)
{
	return e->ready;
}

/* Frees the dead entries. Under the lock, on the loop's thread, between callbacks. */
static void sweep(struct loop *l)
{
	struct loop_entry **at = &l->first, *e;

	while ((e = *at)) {
		if (!e->dead) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		l->count--;
		free(e);
	}
}

/* --- running ------------------------------------------------------------------------ */

/* What poll(2) is to watch: how many, or -ENOMEM. */
static int gather(struct loop *l)
{
	struct loop_entry *e;
	int n = 0, err = 0;

	pthread_mutex_lock(&l->lock);
	sweep(l);
	while (l->count > l->capacity && !err)
		err = reserve(l);
	for (e = l->first; e && !err; e = e->next) {
		if (!e->enabled)
			continue;
		l->poll[n] = (struct pollfd){ e->fd, e->events, 0 };
		l->polled[n++] = e;
	}
	pthread_mutex_unlock(&l->lock);
	return err ? err : n;
}

static void dispatch(struct loop *l, struct loop_entry *e, short events)
{
	pthread_mutex_lock(&l->lock);
	if (!e->dead && e->enabled) {
		e->ready = events;
		l->running = e;
		pthread_mutex_unlock(&l->lock);
		e->fn(e->arg);
		pthread_mutex_lock(&l->lock);
		l->running = NULL;
		pthread_cond_broadcast(&l->idle);
	}
	pthread_mutex_unlock(&l->lock);
}

static void run_once(struct loop *l)
{
	int i, n = gather(l);

	if (n < 0) {
		error("the event loop is out of memory");
		usleep(100000);
		return;
	}
	if (poll(l->poll, (nfds_t)n, -1) < 0)
		return;		/* EINTR */
	for (i = 0; i < n; i++)
		if (l->poll[i].revents)
			dispatch(l, l->polled[i], l->poll[i].revents);
}

void loop_run(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->thread = pthread_self();
	l->entered = true;
	pthread_mutex_unlock(&l->lock);
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
		run_once(l);
	__atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	wake(l);
}

/* --- life --------------------------------------------------------------------------- */

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->idle, NULL);
	l->jobs_end = &l->jobs;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake >= 0 && loop_add(l, l->wake, POLLIN, on_wake, l))
		return l;
	loop_free(l);
	return NULL;
}

void loop_free(struct loop *l)
{
	struct loop_entry *e;
	struct loop_job *j;

	if (!l)
		return;
	while ((e = l->first)) {
		l->first = e->next;
		free(e);
	}
	while ((j = take_job(l)))
		free(j);
	if (l->wake >= 0)
		close(l->wake);
	free(l->poll);
	free(l->polled);
	free(l);
}

static void *thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

struct loop *loop_thread_new(const char *name)
{
	struct loop *l = loop_new();
	sigset_t all, old;
	int err = ENOMEM;

	/* signals are for the main thread */
	sigfillset(&all);
	sigdelset(&all, SIGSYS);	/* seccomp(2): a trapped system call, for this thread */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (l)
		err = pthread_create(&l->own, NULL, thread, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		loop_free(l);
		error("cannot start the thread %s: %s", name, strerror(err));
		return NULL;
	}
	pthread_setname_np(l->own, name);
	return l;
}

void loop_thread_free(struct loop *l)
{
	if (!l)
		return;
	loop_stop(l);
	pthread_join(l->own, NULL);
	loop_free(l);
}

/* --- timers ------------------------------------------------------------------------- */

/* The descriptor may have been rearmed since poll; then there is nothing to read. */
static void expired(void *arg)
{
	struct timer *t = arg;
	u64 count;

	if (read(t->fd, &count, sizeof(count)) == sizeof(count))
		t->fn(t->arg);
}

struct timer *timer_new(struct loop *l, void (*fn)(void *), void *arg)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->fd >= 0)
		t->entry = loop_add(l, t->fd, POLLIN, expired, t);
	if (!t->entry) {
		if (t->fd >= 0)
			close(t->fd);
		free(t);
		return NULL;
	}
	return t;
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	loop_remove(t->entry);
	close(t->fd);
	free(t);
}

void timer_set(struct timer *t, u64 ns)
{
	struct itimerspec when = {
		.it_value = { (time_t)(ns / NSEC), (long)(ns % NSEC) },
	};

	timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &when, NULL);
}
