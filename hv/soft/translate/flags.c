/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the guest's arithmetic flags are. They live in RFLAGS; a TLB check
 * clobbers RFLAGS, so before it they are saved to vcpu->arith by LAHF and
 * SETO if any later instruction of the block may read them, and come back by
 * SAHF only before an instruction that does.
 */
#include "emit.h"

/* May raise an exception in the middle of translated code. */
static bool may_fault(const struct xinsn *xi)
{
	return xi->mem >= 0 || xi->kind == K_COPY || xi->kind == K_DIV || xi->kind == K_PUSH ||
	       xi->kind == K_POP || xi->kind == K_LEAVE;
}

static bool leaves_exactly(const struct xinsn *xi)
{
	switch (xi->kind) {
	case K_JCC:
		return xi->inner < 0;
	case K_HELPER:
	case K_TRAP:
	case K_JMP:
	case K_LOOP:
	case K_CALL:
	case K_RET:
	case K_JMP_IND:
	case K_CALL_IND:
	case K_STI:
		return true;
	default:
		return false;
	}
}

/* Are they saved before anything reads or changes them? */
static bool saved_first(const struct xl *x)
{
	for (u32 i = 0; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];

		switch (xi->kind) {
		case K_PUSH:
		case K_POP:
		case K_LEAVE:
		case K_CALL:
		case K_CALL_IND:
		case K_RET:
		case K_JMP_IND:
		case K_HELPER:
		case K_TRAP:
		case K_MOFFS:
		case K_PREFETCH:
		case K_PROBE:
			return true;
		default:
			break;
		}
		if (xi->mem >= 0 && xi->kind == K_COPY)
			return true;
		if (xi->fl_read || xi->fl_write || leaves_exactly(xi))
			return false;
	}
	return false;
}

void x_flags_liveness(struct xl *x)
{
	u16 live = FLAGS_ALL;

	for (u32 i = x->n; i-- > 0;) {
		struct xinsn *xi = &x->x[i];

		if (i && x->x[i - 1].kind == K_STI)	/* may leave behind it */
			live = FLAGS_ALL;
		if (xi->inner >= 0)
			live |= x->x[xi->inner].live_in;
		xi->live_out = live;
		if (leaves_exactly(xi))
			live = FLAGS_ALL;
		else
			live = (live & ~xi->fl_kill) | xi->fl_read;
		if (soft_switch.exact_flags && may_fault(xi))
			live = FLAGS_ALL;
		xi->live_in = live;
	}
	x->b->flags_live = live != 0;
	x->b->flags_saved = live && saved_first(x);
}

bool x_flags_must_move(enum flags_at at, const struct block *b)
{
	return b->flags_live && at != FLAGS_BOTH && b->flags_saved != (at == FLAGS_MEM);
}

void x_flags_move(struct xl *x, enum flags_at at)
{
	enum flags_at fs = x->fs;

	if (at == FLAGS_MEM)
		x_flags_restore(x, S0);
	else
		x_flags_save(x, S0);
	x->fs = fs;
}

void x_flags_save(struct xl *x, int tmp)
{
	if (tmp == S0)
		x->s0_holds = 0;
	e_mov(x, true, tmp, H_RAX);
	e8(x, 0x9f);				/* lahf */
	e8(x, 0x0f), e8(x, 0x90), e8(x, 0xc0);	/* seto al */
	e8(x, 0x66);
	e_op_state(x, false, 0x89, H_RAX, OFF_ARITH);
	e_mov(x, true, H_RAX, tmp);
}

void x_flags_restore(struct xl *x, int tmp)
{
	if (tmp == S0)
		x->s0_holds = 0;
	if (tmp < 0)
		e_store(x, H_RAX, OFF_SCRATCH0);
	else
		e_mov(x, true, tmp, H_RAX);
	e8(x, 0x0f), e8(x, 0xb7);		/* movzx eax, word */
	e_modrm_state(x, H_RAX, OFF_ARITH);
	e8(x, 0x04), e8(x, 0x7f);		/* add al, 0x7f: OF */
	e8(x, 0x9e);				/* sahf */
	if (tmp < 0)
		e_load(x, H_RAX, OFF_SCRATCH0);
	else
		e_mov(x, true, H_RAX, tmp);
	x->fs = FLAGS_BOTH;
}

u16 x_flags_needed(const struct xinsn *xi)
{
	if (leaves_exactly(xi) || (soft_switch.exact_flags && may_fault(xi)))
		return FLAGS_ALL;
	return (xi->live_out & ~xi->fl_kill) | xi->fl_read;
}

/* CF and OF alone, into their places in vcpu->arith; the others there are dead. */
static void save_carries(struct xl *x, u16 flags)
{
	if (flags & FLAG_CF) {
		e8(x, 0x0f), e8(x, 0x92);		/* setc */
		e_modrm_state(x, 0, OFF_ARITH + 1);
	}
	if (flags & FLAG_OF) {
		e8(x, 0x0f), e8(x, 0x90);		/* seto */
		e_modrm_state(x, 0, OFF_ARITH);
	}
}

static void restore_cf(struct xl *x, int tmp)
{
	if (tmp == S0)
		x->s0_holds = 0;
	e_rex(x, false, tmp, 0, 0);
	e8(x, 0x0f), e8(x, 0xb6);			/* movzx tmp, byte */
	e_modrm_state(x, tmp, OFF_ARITH + 1);
	e_rex(x, false, 0, 0, tmp);
	e8(x, 0x0f), e8(x, 0xba), e8(x, 0xe0 | (tmp & 7)), e8(x, 0);	/* bt tmp, 0 */
}

void x_flags_clobber(struct xl *x, const struct xinsn *xi)
{
	u16 flags = x->fs == FLAGS_HOST ? x_flags_needed(xi) : 0;

	if (flags && !(flags & ~(FLAG_CF | FLAG_OF)))
		save_carries(x, flags);
	else if (flags)
		x_flags_save(x, S0);
	x->fs = FLAGS_MEM;
}

void x_flags_to_mem(struct xl *x)
{
	if (x->fs == FLAGS_HOST)
		x_flags_save(x, S0);
	x->fs = FLAGS_MEM;
}

void x_flags_written(struct xl *x)
{
	x->fs = FLAGS_HOST;
}

void x_flags_for(struct xl *x, const struct xinsn *xi, int tmp)
{
	bool merges = xi->fl_write && (xi->live_out & ~xi->fl_kill);

	/* ADC and the like: carries in, all flags out. */
	if (x->fs == FLAGS_MEM && xi->kind == K_COPY && xi->fl_read == FLAG_CF &&
	    !(xi->live_out & ~xi->fl_kill) && tmp >= 0) {
		restore_cf(x, tmp);
		return;
	}
	if (x->fs == FLAGS_MEM && (xi->fl_read || merges))
		x_flags_restore(x, tmp);
}
