/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which code belongs to a block. Without care the code behind the place where
 * two ways meet would be translated once for each way. So a conditional jump
 * forward to an instruction of its own block stays within the block; what is
 * known where the ways meet is what both know. And a block ends where a loop
 * begins that closes in it, or where there is a block already.
 */
#include "emit.h"

s64 x_jump_to(const struct xinsn *xi)
{
	return (s64)xi->off + xi->zi.length + xi->op[0].imm.value.s;
}

/* The instruction at offset to, one of those from from on; x->n: none. */
static u32 index_of(const struct xl *x, u32 from, s64 to)
{
	while (from < x->n && (s64)x->x[from].off < to)
		from++;
	return from < x->n && (s64)x->x[from].off == to ? from : x->n;
}

/* The first instruction behind the block's start to which a jump of the block goes back. */
static u32 loop_start(const struct xl *x)
{
	u32 first = x->n, t;

	for (u32 i = 1; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];

		if (xi->kind != K_JCC && xi->kind != K_JMP && xi->kind != K_LOOP)
			continue;
		if (x_jump_to(xi) > (s64)xi->off)
			continue;
		t = index_of(x, 1, x_jump_to(xi));
		first = MIN(first, t);
	}
	return first;
}

/*
 * The first instruction behind a call to which a jump of the block leads. One comes
 * there with the flags in RFLAGS and the other with them saved.
 */
static u32 meeting_behind_call(const struct xl *x)
{
	u32 first = x->n, t;

	for (u32 i = 0; i < first; i++) {
		if (x->x[i].kind != K_JCC || x_jump_to(&x->x[i]) <= (s64)x->x[i].off)
			continue;
		t = index_of(x, i + 1, x_jump_to(&x->x[i]));
		if (t < first && x_past_call(x, &x->x[t - 1]))
			first = t;
	}
	return first;
}

const struct block *x_block_known(const struct xl *x, u32 off)
{
	const struct block *b;

	if (!x->page || soft_switch.no_inner)
		return NULL;
	b = soft_block_find(x->s, x->page, x->gpa + off, x->mode);
	if (!b)	/* one without groups goes on in one with them where there is one */
		b = soft_block_find(x->s, x->page, x->gpa + off, x->mode & ~MODE_PLAIN);
	return b && !b->gpa2 ? b : NULL;
}

void x_find_inner(struct xl *x)
{
	for (u32 i = 0; i < x->n; i++)
		x->x[i].inner = x->x[i].join = -1;
	if (soft_switch.no_inner || MODE_BITS(x->mode) != MODE_64 || (x->mode & (MODE_ONE | MODE_BOUNCE)))
		return;
	x_cut(x, loop_start(x));
	x_cut(x, meeting_behind_call(x));
	for (u32 i = 0; i < x->n; i++) {
		struct xinsn *xi = &x->x[i];
		u32 t;

		if (xi->kind != K_JCC || x_jump_to(xi) <= (s64)xi->off)
			continue;
		t = index_of(x, i + 1, x_jump_to(xi));
		if (t == x->n || x->x[t - 1].kind == K_STI)	/* its shadow ends behind t */
			continue;
		xi->inner = (s8)t;
		if (x->x[t].join < 0)
			x->x[t].join = (s8)i;
	}
}

void x_inner_jump(struct xl *x, struct xinsn *xi, u8 cc)
{
	xi->jump = e_jcc(x, cc);
}

/* The flags are in RFLAGS on the way of the jump, which has just used them. */
void x_join(struct xl *x, u32 t)
{
	struct xinsn *xi = &x->x[t];

	if (xi->join < 0)
		return;
	x_rsp_catch_up(x);
	x->s0_holds = 0;
	if (x->fs == FLAGS_MEM && xi->live_in)
		x_flags_restore(x, S0);
	x->fs = FLAGS_HOST;
	for (u32 i = (u32)xi->join; i < t; i++)
		if (x->x[i].inner == (s32)t)
			e_aim(x->x[i].jump, x->p);
}
