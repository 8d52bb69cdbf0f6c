/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input events on their way to the newest device of a kind. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "input.h"

#define SINKS_MAX 16

struct input {
	pthread_mutex_t lock;
	struct input_sink sink[SINKS_MAX];	/* the newest last */
	unsigned int count;
};

struct input *input_new(void)
{
	struct input *in = calloc(1, sizeof(*in));

	if (in)
		pthread_mutex_init(&in->lock, NULL);
	return in;
}

void input_free(struct input *in)
{
	free(in);
}

int input_add(struct input *in, const struct input_sink *sink)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&in->lock);
	if (in->count < SINKS_MAX) {
		in->sink[in->count++] = *sink;
		err = 0;
	}
	pthread_mutex_unlock(&in->lock);
	return err;
}

void input_remove(struct input *in, const void *ctx)
{
	unsigned int i, to = 0;

	pthread_mutex_lock(&in->lock);
	for (i = 0; i < in->count; i++)
		if (in->sink[i].ctx != ctx)
			in->sink[to++] = in->sink[i];
	in->count = to;
	pthread_mutex_unlock(&in->lock);
}

/* The newest of a kind, or NULL. Under the lock, as are the calls of a sink. */
static const struct input_sink *newest(const struct input *in, enum input_kind kind)
{
	unsigned int i;

	for (i = in->count; i > 0; i--)
		if (in->sink[i - 1].kind == kind)
			return &in->sink[i - 1];
	return NULL;
}

static const struct input_sink *pointer(const struct input *in)
{
	const struct input_sink *s = newest(in, INPUT_TABLET);

	return s ? s : newest(in, INPUT_MOUSE);
}

void input_key(struct input *in, u16 code, bool down)
{
	const struct input_sink *s;

	pthread_mutex_lock(&in->lock);
	s = newest(in, INPUT_KEYBOARD);
	if (s && s->key)
		s->key(s->ctx, code, down);
	pthread_mutex_unlock(&in->lock);
}

void input_button(struct input *in, u16 code, bool down)
{
	const struct input_sink *s;

	pthread_mutex_lock(&in->lock);
	s = pointer(in);
	if (s && s->key)
		s->key(s->ctx, code, down);
	pthread_mutex_unlock(&in->lock);
}

void input_wheel(struct input *in, int steps)
{
	const struct input_sink *s;

	pthread_mutex_lock(&in->lock);
	s = pointer(in);
	if (s && s->wheel)
		s->wheel(s->ctx, steps);
	pthread_mutex_unlock(&in->lock);
}

bool input_takes_positions(struct input *in)
{
	bool takes;

	pthread_mutex_lock(&in->lock);
	takes = newest(in, INPUT_TABLET);
	pthread_mutex_unlock(&in->lock);
	return takes;
}

void input_move(struct input *in, int dx, int dy)
{
	const struct input_sink *s;

	pthread_mutex_lock(&in->lock);
	s = newest(in, INPUT_MOUSE);
	if (s && s->move)
		s->move(s->ctx, dx, dy);
	pthread_mutex_unlock(&in->lock);
}

void input_position(struct input *in, unsigned int x, unsigned int y)
{
	const struct input_sink *s;

	pthread_mutex_lock(&in->lock);
	s = newest(in, INPUT_TABLET);
	if (s && s->position)
		s->position(s->ctx, x < INPUT_RANGE ? x : INPUT_RANGE,
			    y < INPUT_RANGE ? y : INPUT_RANGE);
	pthread_mutex_unlock(&in->lock);
}

void input_sync(struct input *in)
{
	unsigned int kind;

	pthread_mutex_lock(&in->lock);
	for (kind = 0; kind < INPUT_KINDS; kind++) {
		const struct input_sink *s = newest(in, (enum input_kind)kind);

		if (s && s->sync)
			s->sync(s->ctx);
	}
	pthread_mutex_unlock(&in->lock);
}
