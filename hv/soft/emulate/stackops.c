/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pushing and popping by instructions that move several values, or that do so
 * on a stack that is not the present one yet.
 *
 * A frame that does not wrap around the end of the stack segment is written
 * at once, so that a page fault leaves nothing behind. Intel SDM vol. 1, 6.2
 * (stack address size), vol. 3, 5.3 (limits).
 */
#include "emulate.h"

u64 emu_stack_mask(const struct vcpu *v)
{
	if (vcpu_64bit(v))
		return ~0ull;
	return v->seg[SEG_SS].attr & SEG_DB ? 0xffffffff : 0xffff;
}

void emu_stack_now(const struct vcpu *v, struct emu_stack *st)
{
	st->ss = v->seg[SEG_SS];
	st->mask = emu_stack_mask(v);
	st->sp = v->gpr[REG_RSP] & st->mask;
	st->error = 0;
	st->access = 0;
	st->flat = vcpu_64bit(v);
}

void emu_stack_new(struct emu_stack *st, const struct seg *ss, u64 sp, u8 cpl, bool flat,
		   u32 error)
{
	st->ss = *ss;
	st->mask = flat ? ~0ull : ss->attr & SEG_DB ? 0xffffffff : 0xffff;
	st->sp = sp & st->mask;
	st->error = error;
	st->access = cpl < 3 ? MMU_SUPER : 0;
	st->flat = flat;
}

static bool in_limit(const struct seg *s, u64 first, u64 last)
{
	if ((s->attr & (SEG_S | SEG_CODE | SEG_E)) == (SEG_S | SEG_E))
		return first > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

/* The stack of an inner privilege is not checked: it is no ring 3 access. */
static enum emu stack_aligned(struct vcpu *v, const struct emu_stack *st, u64 linear, u32 size)
{
	return st->access & MMU_SUPER ? EMU_NEXT : emu_check_align(v, linear, size);
}

/* The linear address of n values of size bytes on the stack at offset, or #SS or #AC. */
static enum emu stack_linear(struct vcpu *v, const struct emu_stack *st, u64 offset, u32 n,
			     u32 size, u64 *linear)
{
	u64 last = offset + n * size - 1;

	if (st->flat) {
		*linear = offset;
		if (emu_canonical(offset) && emu_canonical(last))
			return stack_aligned(v, st, offset, size);
		return emu_fault(v, EXC_SS, st->error);
	}
	if (!vcpu_real_or_v86(v) && !(st->ss.attr & SEG_P))
		return emu_fault(v, EXC_SS, st->error);
	if (!in_limit(&st->ss, offset, last))
		return emu_fault(v, EXC_SS, st->error);
	*linear = (u32)(st->ss.base + offset);
	return stack_aligned(v, st, *linear, size);
}

/* A frame that wraps: each value is checked first, then each is written. */
static enum emu push_wrapped(struct vcpu *v, struct emu_stack *st, const u64 *val, u32 n, u32 size)
{
	u64 sp = st->sp, linear;
	u32 i;

	for (i = 0; i < n; i++) {
		sp = (sp - size) & st->mask;
		TRY(stack_linear(v, st, sp, 1, size, &linear));
		TRY(mem_probe_write(v, linear, size, MMU_WRITE | MMU_STACK | st->access));
	}
	for (i = 0, sp = st->sp; i < n; i++) {
		sp = (sp - size) & st->mask;
		TRY(stack_linear(v, st, sp, 1, size, &linear));
		TRY(mem_write(v, linear, &val[i], size, MMU_WRITE | MMU_STACK | st->access));
	}
	st->sp = sp;
	return EMU_NEXT;
}

enum emu emu_stack_push(struct vcpu *v, struct emu_stack *st, const u64 *val, u32 n, u32 size)
{
	u32 i, j, total = n * size;
	u64 low = (st->sp - total) & st->mask, linear;
	u8 frame[EMU_FRAME_MAX * 8];

	if (n > EMU_FRAME_MAX || !n)
		return n ? EMU_UNHANDLED : EMU_NEXT;
	if (low > st->mask - (total - 1))
		return push_wrapped(v, st, val, n, size);
	TRY(stack_linear(v, st, low, n, size, &linear));
	for (i = 0; i < n; i++)
		for (j = 0; j < size; j++)
			frame[(n - 1 - i) * size + j] = (u8)(val[i] >> 8 * j);
	TRY(mem_write(v, linear, frame, total, MMU_WRITE | MMU_STACK | st->access));
	st->sp = low;
	return EMU_NEXT;
}

enum emu emu_stack_probe(struct vcpu *v, const struct emu_stack *st, u32 size)
{
	u64 linear;

	TRY(stack_linear(v, st, (st->sp - size) & st->mask, 1, size, &linear));
	return mem_probe_write(v, linear, size, MMU_WRITE | MMU_STACK | st->access);
}

enum emu emu_stack_pop(struct vcpu *v, struct emu_stack *st, u64 *val, u32 size)
{
	u64 linear;

	*val = 0;
	TRY(stack_linear(v, st, st->sp, 1, size, &linear));
	TRY(mem_read(v, linear, val, size, MMU_READ | MMU_STACK | st->access));
	st->sp = (st->sp + size) & st->mask;
	return EMU_NEXT;
}

void emu_stack_commit(struct vcpu *v, const struct emu_stack *st)
{
	if (st->mask == 0xffff)
		reg_write(v, REG_RSP, st->sp, 2);
	else
		v->gpr[REG_RSP] = st->sp;
}

enum emu emu_push(struct vcpu *v, u64 val, u32 size)
{
	struct emu_stack st;

	emu_stack_now(v, &st);
	TRY(emu_stack_push(v, &st, &val, 1, size));
	emu_stack_commit(v, &st);
	return EMU_NEXT;
}
