/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Direct jumps to other pages. Where such a jump leads depends on what the
 * page tables say of the other page, so each vCPU has a slot for it, through
 * which the jump goes: to the target while its translation is known, else to
 * a stub that comes here. A flush of the jump cache sets the slots back.
 *
 * Pages that follow each other in the program seldom do so in memory: the way
 * to a target then leads through a few instructions that correct
 * vcpu->code_delta (and restore the flags, where the jump left them saved).
 */
#include "soft.h"
#include "translate/far.h"

bool soft_far_new(struct soft_vm *s, struct far_jump *f)
{
	if (s->far_used == FAR_SLOTS)
		return false;
	f->slot = s->far_used++;
	return true;
}

/* Under the lock; nobody can run into f before the block is published. */
void soft_far_publish(struct vm *vm, const struct far_jump *f)
{
	struct soft_vm *s = soft_vm(vm);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);
	u64 stub = (u64)(uintptr_t)f->stub;

	s->far_stub[f->slot] = stub;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v)
			soft_cpu(v)->far[f->slot] = stub;
	}
}

void soft_far_first_run(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);

	soft_lock(s);
	for (u32 i = 0; i < s->far_used; i++)
		if (!c->far[i])
			c->far[i] = s->far_stub[i];
	host_mutex_unlock(&s->lock);
	c->far_stub = s->far_stub;
	c->far_ready = true;
}

void soft_far_flush(struct soft_cpu *c, int m)
{
	for (u32 i = 0; i < c->far_filled[m]; i++) {
		u32 k = c->far_list[m][i];

		c->far[k] = c->far_stub[k];
	}
	c->far_filled[m] = 0;
}

/* Where f leads to b; NULL: nowhere. */
static u8 *way_to(struct vcpu *v, struct far_jump *f, const struct block *b)
{
	struct soft_vm *s = soft_vm(v->vm);
	u8 *code;

	if (__atomic_load_n(&f->to, __ATOMIC_ACQUIRE) == b)
		return f->code;
	soft_lock(s);
	code = !b->dead && !s->full ? x_far_way(s, f, b) : NULL;
	if (code) {
		/* Who reads f without the lock sees a pair, or no block. */
		__atomic_store_n(&f->to, NULL, __ATOMIC_SEQ_CST);
		__atomic_store_n(&f->code, code, __ATOMIC_SEQ_CST);
		__atomic_store_n(&f->to, b, __ATOMIC_RELEASE);
	}
	host_mutex_unlock(&s->lock);
	return code;
}

void soft_far_link(struct vcpu *v, struct far_jump *f)
{
	struct soft_cpu *c = soft_cpu(v);
	struct block *b = soft_find(v, f->mode);
	int m = MODE_MMU(c->mode);
	u64 *to = &c->far[f->slot];
	u8 *code = b ? way_to(v, f, b) : NULL;

	if (!code)
		return;
	soft_jc_add(v, b);	/* notes the page, whose flush is the slot's */
	if (*to == c->far_stub[f->slot])
		c->far_list[m][c->far_filled[m]++] = (u16)f->slot;
	*to = (u64)(uintptr_t)code;
}
