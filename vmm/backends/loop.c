/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop. A timer is a timerfd, so another thread sets it with one
 * system call and without waking the loop. There are about ten entries, for
 * which poll(2) with a fixed array is enough.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define ENTRIES_MAX 32

struct loop_entry {
	struct loop *loop;
	int fd;
	short events;
	bool used, enabled;	/* enabled is atomic */
	void (*fn)(void *);
	void *arg;
};

struct loop {
	int wake;		/* eventfd */
	bool stop;		/* atomic */
	struct loop_entry entry[ENTRIES_MAX];
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

static void wake(struct loop *l)
{
	const u64 one = 1;

	if (write(l->wake, &one, sizeof(one)) < 0)
		return;		/* the count is full: it wakes anyway */
}

static void drain(void *arg)
{
	struct loop *l = arg;
	u64 count;

	if (read(l->wake, &count, sizeof(count)) < 0)
		return;
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake < 0) {
		free(l);
		return NULL;
	}
	loop_add(l, l->wake, POLLIN, drain, l);
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->wake);
	free(l);
}

struct loop_entry *loop_add(struct loop *l, int fd, short events, void (*fn)(void *), void *arg)
{
	unsigned int i;

	for (i = 0; i < ENTRIES_MAX; i++) {
		struct loop_entry *e = &l->entry[i];

		if (e->used)
			continue;
		*e = (struct loop_entry){ l, fd, events, true, true, fn, arg };
		return e;
	}
	return NULL;
}

void loop_remove(struct loop_entry *e)
{
	if (e)
		e->used = false;
}

void loop_enable(struct loop_entry *e, bool on)
{
	if (__atomic_exchange_n(&e->enabled, on, __ATOMIC_ACQ_REL) != on && on)
		wake(e->loop);
}

static void run_once(struct loop *l)
{
	struct loop_entry *entry[ENTRIES_MAX];
	struct pollfd p[ENTRIES_MAX];
	unsigned int i, n = 0;

	for (i = 0; i < ENTRIES_MAX; i++) {
		struct loop_entry *e = &l->entry[i];

		if (!e->used || !__atomic_load_n(&e->enabled, __ATOMIC_ACQUIRE))
			continue;
		p[n] = (struct pollfd){ e->fd, e->events, 0 };
		entry[n++] = e;
	}
	if (poll(p, n, -1) < 0)
		return;		/* EINTR */
	for (i = 0; i < n; i++)
		if (p[i].revents && entry[i]->used && entry[i]->fd == p[i].fd)
			entry[i]->fn(entry[i]->arg);
}

void loop_run(struct loop *l)
{
	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
		run_once(l);
	__atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	wake(l);
}

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
