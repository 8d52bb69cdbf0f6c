/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks made early. A check clobbers the arithmetic flags; between an
 * instruction that sets them and one that wants them it costs saving them and
 * bringing them back, and an addition that waits for its carry waits for memory.
 * Where the registers of the address are the same before the flags are set, the
 * access becomes a group (share.c), of one perhaps, whose check is made there:
 * nothing of it is visible to the guest.
 */
#include "emit.h"

#define MAX_DISTANCE 8		/* instructions */

static bool passes(const struct xinsn *xi)
{
	return xi->kind == K_COPY || xi->kind == K_LEA || xi->kind == K_NOP || xi->kind == K_PUSH ||
	       xi->kind == K_POP;
}

/* xi leaves the address alone, but for steps of the base, which are taken off *off. */
static bool keeps_address(const struct xinsn *xi, const struct x_group *g, s64 *off)
{
	s64 by;

	for (int i = 0, reg; (reg = x_written(xi, &i)) >= 0;) {
		if (reg == g->index)
			return false;
		if (reg != g->base)
			continue;
		if (xi->kind == K_PUSH || xi->kind == K_POP || !x_constant_step(xi, reg, &by))
			return false;
		*off -= by;
	}
	return true;
}

/* The check of what instruction i opens moves to before flags, which sets them, or further. */
static bool move_up(struct xl *x, struct x_group *g, u32 i, s32 flags)
{
	s64 off = g->off;

	for (s32 k = (s32)i - 1; k >= 0 && i - (u32)k <= MAX_DISTANCE; k--) {
		if (!passes(&x->x[k]) || x->x[k + 1].join >= 0 || !keeps_address(&x->x[k], g, &off))
			return false;
		if (k <= flags && !x_flags_needed(&x->x[k])) {
			g->at = k;
			g->off = off;
			return true;
		}
	}
	return false;
}

/* *flags: the instruction whose flags are in RFLAGS, -1: none. */
static void look_at(struct xl *x, u32 i, const struct x_share *s, s32 *flags)
{
	struct x_group *g;

	if (s->group < 0)
		return;
	g = &x->groups[s->group];
	if (g->first != i || g->at >= 0)	/* a PUSH of memory comes twice */
		return;
	if (*flags < 0 || !x_flags_needed(&x->x[i]) || !move_up(x, g, i, *flags))
		*flags = -1;
}

void x_checks_early(struct xl *x)
{
	s32 flags = -1;

	if (soft_switch.no_early)
		return;
	for (u32 i = 0; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];

		look_at(x, i, &xi->share, &flags);
		look_at(x, i, &xi->stack, &flags);
		if ((xi->mem >= 0 && xi->kind != K_LEA && xi->kind != K_NOP && xi->share.group < 0) ||
		    (!passes(xi) && xi->kind != K_JCC))
			flags = -1;
		else if (xi->fl_write)
			flags = (s32)i;
	}
}
