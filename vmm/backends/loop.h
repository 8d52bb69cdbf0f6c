/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop of the main thread: descriptors and timers with callbacks.
 * Callbacks run on the thread in loop_run; adding and removing is for that
 * thread, too. Every thread may set timers, enable descriptors and stop the
 * loop.
 */
#ifndef VMM_BACKENDS_LOOP_H
#define VMM_BACKENDS_LOOP_H

#include "../types.h"

struct loop;
struct loop_entry;

struct loop *loop_new(void);
void loop_free(struct loop *l);
/* Runs callbacks until loop_stop, which may come first. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* fn(arg) whenever fd has one of the poll(2) events; NULL when there is no room. */
struct loop_entry *loop_add(struct loop *l, int fd, short events, void (*fn)(void *), void *arg);
void loop_remove(struct loop_entry *e);
/* A disabled descriptor is not watched. */
void loop_enable(struct loop_entry *e, bool on);

struct timer;
/* NULL when there is no memory, room or descriptor. */
struct timer *timer_new(struct loop *l, void (*fn)(void *), void *arg);
void timer_free(struct timer *t);
/* One call of the callback when the monotonic clock reaches ns; 0 stops. */
void timer_set(struct timer *t, u64 ns);

u64 monotonic_ns(void);

#endif
