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
	struct region *r = &s->region[s->current];

	if (r->far_used == REGION_FAR)
		return false;
	f->slot = s->current * REGION_FAR + r->far_used++;
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
	for (u32 i = 0; i < FAR_SLOTS; i++)
		if (!c->far[i] && s->far_stub[i])
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

void soft_far_forget(struct soft_cpu *c, u32 regions)
{
	for (int m = 0; m < MMU_COUNT; m++) {
		u32 kept = 0;

		for (u32 i = 0; i < c->far_filled[m]; i++) {
			u16 k = c->far_list[m][i];

			if ((regions >> k / REGION_FAR | regions >> c->far_to[k]) & 1)
				c->far[k] = c->far_stub[k];
			else
				c->far_list[m][kept++] = k;
		}
		c->far_filled[m] = kept;
	}
	/* Slots that are used anew already: outside of soft_run() old stubs may have come back. */
	for (u32 r = 0; r < REGIONS; r++)
		if (regions >> r & 1)
			host_memcpy(&c->far[r * REGION_FAR], &c->far_stub[r * REGION_FAR],
				    REGION_FAR * sizeof(c->far[0]));
}

/* Under the lock. */
static u8 *new_way(struct vcpu *v, struct far_jump *f, const struct block *b)
{
	struct soft_vm *s = soft_vm(v->vm);
	u8 *code = soft_code_room(s) ? x_far_way(s, f, b) : NULL;

	return code || !soft_code_turn(v) ? code : x_far_way(s, f, b);
}

/* Where f leads to b; NULL: nowhere. */
static u8 *way_to(struct vcpu *v, struct far_jump *f, const struct block *b)
{
	struct soft_vm *s = soft_vm(v->vm);
	u8 *code;

	if (__atomic_load_n(&f->to, __ATOMIC_ACQUIRE) == b->serial)
		return f->code;
	soft_lock(s);
	code = !b->dead && !s->full ? new_way(v, f, b) : NULL;
	if (code) {
		/* Who reads f without the lock sees a pair, or no block. */
		__atomic_store_n(&f->to, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&f->code, code, __ATOMIC_SEQ_CST);
		__atomic_store_n(&f->to, b->serial, __ATOMIC_RELEASE);
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
	c->far_to[f->slot] = b->region;
}
