/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event loop: descriptors and timers with callbacks, which run on the one
 * thread in loop_run. The main thread has one; loop_thread_new makes more, each
 * with a thread of its own, for work that must not wait behind other work.
 *
 * Every function may be called from any thread. loop_remove and timer_free
 * wait for a callback of that entry that is running on the loop's thread, so
 * their caller holds no lock that the callback takes; called on the loop's own
 * thread they never wait.
 */
#ifndef VMM_BACKENDS_LOOP_H
#define VMM_BACKENDS_LOOP_H

#include "../types.h"

struct loop;
struct loop_entry;

struct loop *loop_new(void);
/* With nobody in loop_run. Entries that are left go, too. */
void loop_free(struct loop *l);
/* Runs callbacks until loop_stop, which may come first. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* A loop that a new thread of this name (at most 15 characters) runs; NULL after an error line. */
struct loop *loop_thread_new(const char *name);
/* Ends the thread and frees the loop. */
void loop_thread_free(struct loop *l);

/* fn(arg) whenever fd has one of the poll(2) events; NULL when there is no memory. */
struct loop_entry *loop_add(struct loop *l, int fd, short events, void (*fn)(void *), void *arg);
/* The entry is gone; NULL is none. */
void loop_remove(struct loop_entry *e);
/* A disabled descriptor is not watched. */
void loop_enable(struct loop_entry *e, bool on);
/* Which poll(2) events are watched for from now on. */
void loop_events(struct loop_entry *e, short events);
/* The events of the call that is running; for the callback itself. */
short loop_ready(const struct loop_entry *e);

/* Has the loop's thread call fn(arg) soon; -ENOMEM or 0. */
int loop_call(struct loop *l, void (*fn)(void *), void *arg);
/* Drops calls with this arg that have not begun; on the loop's thread, or when it is not run. */
void loop_forget(struct loop *l, const void *arg);

struct timer;
/* NULL when there is no memory or descriptor. */
struct timer *timer_new(struct loop *l, void (*fn)(void *), void *arg);
void timer_free(struct timer *t);
/* One call of the callback when the monotonic clock reaches ns; 0 stops. */
void timer_set(struct timer *t, u64 ns);

u64 monotonic_ns(void);

#endif
