/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cutting of a stream into JSON values (RFC 8259): see frame.h. */
#include "frame.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum frame_result fail(struct frame *f, char c, enum frame_result why)
{
	f->len = 0;
	f->depth = 0;
	f->string = f->escape = false;
	f->skip = c != '\n';
	return why;
}

static enum frame_result in_string(struct frame *f, char c)
{
	if (c == '\n')
		return fail(f, c, FRAME_BAD);
	if (f->escape)
		f->escape = false;
	else if (c == '\\')
		f->escape = true;
	else if (c == '"')
		f->string = false;
	return FRAME_MORE;
}

/* A byte that was put at the end of the value. */
static enum frame_result take(struct frame *f, char c)
{
	if (f->string)
		return in_string(f, c);
	switch (c) {
	case '"':
		f->string = true;
		break;
	case '{':
	case '[':
		if (f->depth == FRAME_DEPTH)
			return fail(f, c, FRAME_DEEP);
		f->depth++;
		break;
	case '}':
	case ']':
		if (!--f->depth)
			return FRAME_VALUE;
	}
	return FRAME_MORE;
}

enum frame_result frame_feed(struct frame *f, const char *p, size_t n, size_t *taken)
{
	enum frame_result r;
	size_t i;

	if (!f->depth)
		f->len = 0;
	for (i = 0; i < n; i++) {
		char c = p[i];

		*taken = i + 1;
		if (f->skip) {
			f->skip = c != '\n';
			continue;
		}
		if (!f->depth && is_space(c))
			continue;
		if (!f->depth && c != '{' && c != '[')
			return fail(f, c, FRAME_BAD);
		if (f->len == FRAME_MAX)
			return fail(f, c, FRAME_LONG);
		f->text[f->len++] = c;
		r = take(f, c);
		if (r != FRAME_MORE)
			return r;
	}
	*taken = n;
	return FRAME_MORE;
}
