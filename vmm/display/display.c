/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The surface, who draws on it and who shows it: see display.h. For each sink
 * the dirty part of every row is kept as one span; rows with like spans are
 * told as one rectangle.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "display.h"

#define SOURCES_MAX 16
#define START_WIDTH 640
#define START_HEIGHT 480

struct span {
	u16 x0, x1;			/* empty: x0 >= x1 */
};

struct display_sink {
	struct display *d;
	struct display_sink_ops ops;
	struct span *span;		/* of each row of the surface */
	unsigned int first, end;	/* rows that may be dirty */
	bool resized, new_cursor;
	struct display_sink *next;
};

struct display {
	pthread_mutex_t lock;
	struct surface s;
	struct {
		struct display_source s;
		bool shown;
	} source[SOURCES_MAX];		/* the newest last */
	unsigned int sources;
	const void *drawn;		/* whose picture it is */
	struct display_sink *sinks;
	struct display_cursor *cursor;	/* or NULL */
};

/* --- dirty rows -------------------------------------------------------------------- */

static void sink_mark(struct display_sink *k, unsigned int y, unsigned int x0, unsigned int x1)
{
	struct span *s = &k->span[y];

	if (s->x0 >= s->x1) {
		*s = (struct span){ (u16)x0, (u16)x1 };
	} else {
		s->x0 = s->x0 < x0 ? s->x0 : (u16)x0;
		s->x1 = s->x1 > x1 ? s->x1 : (u16)x1;
	}
	if (k->first >= k->end) {
		k->first = y;
		k->end = y + 1;
	} else if (y < k->first) {
		k->first = y;
	} else if (y >= k->end) {
		k->end = y + 1;
	}
}

/* A sink of a new surface, all of it dirty. Without memory it has no rows: false. */
static bool sink_reset(struct display_sink *k)
{
	const struct surface *s = &k->d->s;
	struct span *span = realloc(k->span, s->height * sizeof(*span));
	unsigned int y;

	if (!span)
		return false;
	k->span = span;
	for (y = 0; y < s->height; y++)
		k->span[y] = (struct span){ 0, (u16)s->width };
	k->first = 0;
	k->end = s->height;
	k->resized = true;
	return true;
}

static void sink_tell(struct display_sink *k)
{
	const struct surface *s = &k->d->s;
	unsigned int y = k->first, end;

	for (; y < k->end; y = end) {
		const struct span span = k->span[y];
		struct display_rect r = { span.x0, y, 0, 0 };

		for (end = y; end < k->end && k->span[end].x0 == span.x0 &&
		     k->span[end].x1 == span.x1; end++)
			k->span[end] = (struct span){ 0, 0 };
		if (span.x0 >= span.x1)
			continue;
		r.w = span.x1 - span.x0;
		r.h = end - y;
		k->ops.update(k->ops.ctx, s, &r);
	}
	k->first = k->end = 0;
}

/* --- drawing ------------------------------------------------------------------------ */

bool display_resize(struct display *d, unsigned int width, unsigned int height)
{
	struct display_sink *k;
	u32 *pixels;

	if (width < 1 || height < 1 || width > DISPLAY_WIDTH_MAX || height > DISPLAY_HEIGHT_MAX ||
	    width * height > DISPLAY_PIXELS_MAX || (width == d->s.width && height == d->s.height))
		return false;
	pixels = calloc((size_t)width * height, sizeof(*pixels));
	if (!pixels)
		return false;
	/* a sink that cannot hold so many rows keeps the old number, so all do */
	for (k = d->sinks; k; k = k->next) {
		struct span *span = realloc(k->span, height * sizeof(*span));

		if (!span) {
			free(pixels);
			return false;
		}
		k->span = span;
	}
	free(d->s.pixels);
	d->s = (struct surface){ pixels, width, height, width };
	for (k = d->sinks; k; k = k->next)
		sink_reset(k);
	return true;
}

void display_row(struct display *d, unsigned int x, unsigned int y, const u32 *row, unsigned int n)
{
	struct display_sink *k;
	unsigned int x0 = 0, x1;
	u32 *to;

	if (y >= d->s.height || x >= d->s.width)
		return;
	if (n > d->s.width - x)
		n = d->s.width - x;
	to = d->s.pixels + (size_t)y * d->s.stride + x;
	if (!memcmp(to, row, n * sizeof(*row)))
		return;
	while (x0 < n && to[x0] == row[x0])
		x0++;
	for (x1 = n; x1 > x0 && to[x1 - 1] == row[x1 - 1]; x1--)
		;
	memcpy(to + x0, row + x0, (x1 - x0) * sizeof(*row));
	for (k = d->sinks; k; k = k->next)
		sink_mark(k, y, x + x0, x + x1);
}

const struct surface *display_surface(const struct display *d)
{
	return &d->s;
}

static const struct display_source *in_charge(const struct display *d)
{
	unsigned int i;

	for (i = d->sources; i > 0; i--)
		if (d->source[i - 1].shown)
			return &d->source[i - 1].s;
	return NULL;
}

static void refresh(struct display *d)
{
	const struct display_source *s = in_charge(d);
	bool all = s && s->ctx != d->drawn;

	if (!s)
		return;
	d->drawn = s->ctx;
	s->refresh(s->ctx, d, all);
}

/* --- sources -------------------------------------------------------------------------- */

int display_add(struct display *d, const struct display_source *s, bool shown)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&d->lock);
	if (d->sources < SOURCES_MAX) {
		d->source[d->sources].s = *s;
		d->source[d->sources++].shown = shown;
		err = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return err;
}

void display_remove(struct display *d, const void *ctx)
{
	unsigned int i, to = 0;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->sources; i++)
		if (d->source[i].s.ctx != ctx)
			d->source[to++] = d->source[i];
	d->sources = to;
	if (d->drawn == ctx)
		d->drawn = NULL;
	pthread_mutex_unlock(&d->lock);
}

void display_show(struct display *d, const void *ctx, bool shown)
{
	unsigned int i;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->sources; i++)
		if (d->source[i].s.ctx == ctx)
			d->source[i].shown = shown;
	pthread_mutex_unlock(&d->lock);
}

void display_cursor(struct display *d, const struct display_cursor *c)
{
	struct display_cursor *copy = c ? malloc(sizeof(*copy)) : NULL;
	struct display_sink *k;

	if (copy)
		*copy = *c;
	pthread_mutex_lock(&d->lock);
	free(d->cursor);
	d->cursor = copy;
	for (k = d->sinks; k; k = k->next)
		k->new_cursor = true;
	pthread_mutex_unlock(&d->lock);
}

/* --- sinks ------------------------------------------------------------------------------ */

struct display_sink *display_sink_new(struct display *d, const struct display_sink_ops *ops)
{
	struct display_sink *k = calloc(1, sizeof(*k));
	bool ok;

	if (!k)
		return NULL;
	k->d = d;
	k->ops = *ops;
	k->new_cursor = true;
	pthread_mutex_lock(&d->lock);
	ok = sink_reset(k);
	if (ok) {
		k->next = d->sinks;
		d->sinks = k;
	}
	pthread_mutex_unlock(&d->lock);
	if (!ok) {
		free(k);
		return NULL;
	}
	return k;
}

void display_sink_free(struct display_sink *k)
{
	struct display_sink **at;

	if (!k)
		return;
	pthread_mutex_lock(&k->d->lock);
	for (at = &k->d->sinks; *at != k; at = &(*at)->next)
		;
	*at = k->next;
	pthread_mutex_unlock(&k->d->lock);
	free(k->span);
	free(k);
}

void display_poll(struct display_sink *k)
{
	struct display *d = k->d;

	pthread_mutex_lock(&d->lock);
	refresh(d);
	if (k->resized)
		k->ops.resize(k->ops.ctx, &d->s);
	k->resized = false;
	sink_tell(k);
	if (k->new_cursor && k->ops.cursor)
		k->ops.cursor(k->ops.ctx, d->cursor);
	k->new_cursor = false;
	pthread_mutex_unlock(&d->lock);
}

bool display_wish(struct display *d, unsigned int width, unsigned int height)
{
	const struct display_source *s;
	bool can;

	if (width < 1 || height < 1 || width > DISPLAY_WIDTH_MAX || height > DISPLAY_HEIGHT_MAX ||
	    width * height > DISPLAY_PIXELS_MAX)
		return false;
	pthread_mutex_lock(&d->lock);
	s = in_charge(d);
	can = s && s->wish;
	if (can)
		s->wish(s->ctx, width, height);
	pthread_mutex_unlock(&d->lock);
	return can;
}

struct surface *display_snapshot(struct display *d)
{
	struct surface *copy;
	size_t size;

	pthread_mutex_lock(&d->lock);
	refresh(d);
	size = (size_t)d->s.stride * d->s.height * sizeof(u32);
	copy = malloc(sizeof(*copy) + size);
	if (copy) {
		*copy = d->s;
		copy->pixels = (u32 *)(copy + 1);
		memcpy(copy->pixels, d->s.pixels, size);
	}
	pthread_mutex_unlock(&d->lock);
	return copy;
}

/* --- life --------------------------------------------------------------------------------- */

struct display *display_new(void)
{
	struct display *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	pthread_mutex_init(&d->lock, NULL);
	if (!display_resize(d, START_WIDTH, START_HEIGHT)) {
		free(d);
		return NULL;
	}
	return d;
}

void display_free(struct display *d)
{
	if (!d)
		return;
	free(d->s.pixels);
	free(d->cursor);
	free(d);
}
