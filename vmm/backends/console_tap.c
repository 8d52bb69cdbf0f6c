/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tap: a ring of what was printed, and one of what was typed and the device
 * has had no room for yet. The device's functions are called under in_lock, as
 * the terminal does under its own.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "console_tap.h"

#define KEPT 65536u		/* powers of two */
#define TYPED 4096u

struct console_tap {
	struct chardev c;
	struct chardev *inner;

	pthread_mutex_t out_lock;
	u8 kept[KEPT];
	u64 printed;			/* bytes ever */
	void (*watch)(void *ctx);
	void *watch_ctx;
	bool dry;			/* the reader has read all */

	pthread_mutex_t in_lock;
	struct chardev_front front;
	u8 typed[TYPED];
	u32 put, got;			/* ever-growing positions */
};

static struct console_tap *tap_of(struct chardev *c)
{
	return (struct console_tap *)((char *)c - offsetof(struct console_tap, c));
}

/* --- what the guest prints --------------------------------------------------------- */

static void tap_send(struct chardev *c, const u8 *p, size_t n)
{
	struct console_tap *t = tap_of(c);
	size_t i;

	t->inner->send(t->inner, p, n);
	pthread_mutex_lock(&t->out_lock);
	for (i = 0; i < n; i++)
		t->kept[t->printed++ % KEPT] = p[i];
	if (t->watch && t->dry)
		t->watch(t->watch_ctx);
	t->dry = false;
	pthread_mutex_unlock(&t->out_lock);
}

void console_tap_watch(struct console_tap *t, void (*fn)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&t->out_lock);
	t->watch = fn;
	t->watch_ctx = ctx;
	pthread_mutex_unlock(&t->out_lock);
}

size_t console_tap_read(struct console_tap *t, u64 *position, u8 *to, size_t n)
{
	size_t i;

	pthread_mutex_lock(&t->out_lock);
	if (*position > t->printed)
		*position = t->printed;
	if (t->printed - *position > KEPT)
		*position = t->printed - KEPT;
	if (n > t->printed - *position)
		n = (size_t)(t->printed - *position);
	t->dry |= !n;
	for (i = 0; i < n; i++)
		to[i] = t->kept[(*position)++ % KEPT];
	pthread_mutex_unlock(&t->out_lock);
	return n;
}

/* --- what is typed -------------------------------------------------------------------- */

/* Gives the device what it has room for. Under in_lock. */
static void deliver(struct console_tap *t)
{
	while (t->front.receive && t->put != t->got) {
		u32 from = t->got % TYPED, n = t->put - t->got;
		size_t taken;

		if (n > TYPED - from)
			n = TYPED - from;
		taken = t->front.receive(t->front.front, t->typed + from, n);
		t->got += (u32)taken;
		if (taken < n)
			break;
	}
}

void console_tap_type(struct console_tap *t, const u8 *p, size_t n)
{
	pthread_mutex_lock(&t->in_lock);
	for (; n && t->put - t->got < TYPED; n--)
		t->typed[t->put++ % TYPED] = *p++;
	deliver(t);
	pthread_mutex_unlock(&t->in_lock);
}

static void tap_ready(struct chardev *c)
{
	struct console_tap *t = tap_of(c);

	t->inner->ready(t->inner);
	pthread_mutex_lock(&t->in_lock);
	deliver(t);
	pthread_mutex_unlock(&t->in_lock);
}

static void tap_connect(struct chardev *c, const struct chardev_front *front)
{
	struct console_tap *t = tap_of(c);

	pthread_mutex_lock(&t->in_lock);
	if (front)
		t->front = *front;
	else
		memset(&t->front, 0, sizeof(t->front));
	pthread_mutex_unlock(&t->in_lock);
	t->inner->connect(t->inner, front);
}

/* --- life -------------------------------------------------------------------------------- */

struct console_tap *console_tap_new(struct chardev *inner)
{
	struct console_tap *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->c = (struct chardev){ tap_send, tap_ready, tap_connect };
	t->inner = inner;
	pthread_mutex_init(&t->out_lock, NULL);
	pthread_mutex_init(&t->in_lock, NULL);
	return t;
}

void console_tap_free(struct console_tap *t)
{
	free(t);
}

struct chardev *console_tap_chardev(struct console_tap *t)
{
	return &t->c;
}
