/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places in the arena: each test's code goes to fresh addresses, so that what
 * the engine remembers of one test is not in the way of the next, until the
 * arena is full and everything starts over.
 */
#include <string.h>

#include "native.h"

struct arena_pos {
	u32 window, offset;
	bool tail_used;
};

static struct arena_pos pos[2];
static bool wrapped;

/* Room that plain tests leave at a window's end for one that runs off it. */
#define TAIL MAX_CODE

bool place_wrapped(void)
{
	bool w = wrapped;

	wrapped = false;
	return w;
}

static void next_window(struct arena_pos *p)
{
	p->offset = 0;
	p->tail_used = false;
	if (++p->window < CODE_WINDOWS)
		return;
	p->window = 0;
	wrapped = true;
}

/* The offset in the window for len bytes. */
static u32 choose_offset(struct test *t, struct arena_pos *p, u32 len)
{
	u32 at;

	if (opt.overwrite) {
		p->offset = 0;
		if (t->place == PLACE_END)
			t->place = PLACE_PLAIN;
	}
	if (t->place == PLACE_END && !p->tail_used) {
		p->tail_used = true;
		return CODE_USABLE - len;
	}
	if (t->place == PLACE_END)
		t->place = PLACE_PLAIN;
	for (;;) {
		at = p->offset + (t->shift & 15);
		if (t->place == PLACE_CROSS && len > 1) {
			at = ((p->offset + len) | 0xfff) + 1;
			at -= 1 + t->shift % (len - 1);
		}
		if (at + len + 8 <= CODE_USABLE - TAIL)
			break;
		next_window(p);
	}
	p->offset = at + len + 8;
	return at;
}

static u64 fix_value(const struct test *t, int i)
{
	const struct insn *in = &t->insn[i];
	u64 next = t->at[i] + in->len;

	switch (in->fix) {
	case FIX_RIP:
		return in->fix_to - next;
	case FIX_BRANCH:
		return t->at[in->fix_to] - next;
	case FIX_CODE:
		return t->at[in->fix_to] + (u64)(s64)in->fix_add;
	default:
		return t->at[in->fix_to] + (u64)(s64)in->fix_add - next;
	}
}

static void put_end(struct test *t, u64 window)
{
	u64 end = t->at[t->count], disp;
	int size = opt.bits == 16 ? 2 : 4;

	disp = window + CODE_EXIT - (end + 1 + (u64)size);
	t->code[t->code_len++] = 0xe9;
	memcpy(t->code + t->code_len, &disp, (size_t)size);
	t->code_len += (u32)size;
}

int test_place(struct test *t)
{
	struct arena_pos *p = &pos[t->high];
	u32 len = 0, off;
	u64 window, v;
	int i;

	for (i = 0; i < t->count; i++)
		len += t->insn[i].len;
	if (!len || len + 8 > MAX_CODE)
		return -1;
	off = choose_offset(t, p, len);
	window = (t->high ? HIGH_BASE : LOW_BASE) + (u64)p->window * CODE_WINDOW;
	t->at[0] = window + off;
	for (i = 0; i < t->count; i++)
		t->at[i + 1] = t->at[i] + t->insn[i].len;
	t->code_len = 0;
	for (i = 0; i < t->count; i++) {
		memcpy(t->code + t->code_len, t->insn[i].bytes, t->insn[i].len);
		if (t->insn[i].fix) {
			v = fix_value(t, i);
			memcpy(t->code + t->code_len + t->insn[i].fix_off, &v, t->insn[i].fix_size);
		}
		t->code_len += t->insn[i].len;
	}
	if (t->place != PLACE_END)
		put_end(t, window);
	return 0;
}
