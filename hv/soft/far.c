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

/*
 * Each address space fills its slots anew, by way of C, a jump at a time; the
 * jump cache does it a target at a time.
 */
#define FAR_USED_MAX 65536u

bool soft_far_new(struct soft_vm *s, struct far_jump *f)
{
	struct region *r = &s->region[s->current];

	if (r->far_used == REGION_FAR || s->far_used == FAR_USED_MAX)
		return false;
	s->far_used++;
	f->slot = s->current * REGION_FAR + r->far_used++;
	r->far_most = MAX(r->far_most, r->far_used);
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

/* Slots that were ever used get their stubs where they are not led anywhere. */
static void stubs(struct soft_cpu *c, const struct soft_vm *s, u32 region, bool all)
{
	u32 from = region * REGION_FAR, to = from + s->region[region].far_most;

	for (u32 k = from; k < to; k++)
		if (all || !c->far[k])
			c->far[k] = s->far_stub[k];
}

void soft_far_first_run(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);

	soft_lock(s);
	for (u32 r = 0; r < REGIONS; r++)
		stubs(c, s, r, false);
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

void soft_far_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions)
{
	for (int m = 0; m < MMU_COUNT; m++) {
		u32 kept = 0;

		for (u32 i = 0; i < c->far_filled[m]; i++) {
			u32 k = c->far_list[m][i];

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
			stubs(c, s, r, true);
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
		f->indirect = b->indirect;
		f->region = b->region;
		f->age = s->region[b->region].age;
		__atomic_store_n(&f->to, b->serial, __ATOMIC_RELEASE);
	}
	host_mutex_unlock(&s->lock);
	return code;
}

static void lead(struct soft_cpu *c, const struct far_jump *f, u8 *code, u8 region)
{
	int m = MODE_MMU(c->mode);
	u64 *to = &c->far[f->slot];

	if (*to == c->far_stub[f->slot])
		c->far_list[m][c->far_filled[m]++] = f->slot;
	*to = (u64)(uintptr_t)code;
	c->far_to[f->slot] = region;
}

/* f leads to that code already, for another vCPU or in another address space. */
static bool lead_as_before(struct vcpu *v, struct far_jump *f)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 to = __atomic_load_n(&f->to, __ATOMIC_ACQUIRE);
	u8 *code = __atomic_load_n(&f->code, __ATOMIC_RELAXED), region = f->region;

	if (!to || soft_jc_known(c, v->rip) != (u64)(uintptr_t)f->indirect ||
	    f->age != soft_vm(v->vm)->region[region].age)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&f->to, __ATOMIC_RELAXED) != to)
		return false;
	lead(c, f, code, region);
	return true;
}

void soft_far_link(struct vcpu *v, struct far_jump *f)
{
	struct block *b;
	u8 *code;

	if (lead_as_before(v, f))
		return;
	soft_cpu(v)->linking = true;
	b = soft_find(v, f->mode);
	soft_cpu(v)->linking = false;
	code = b ? way_to(v, f, b) : NULL;
	if (!code)
		return;
	soft_jc_add(v, b);	/* notes the page, whose flush is the slot's */
	lead(soft_cpu(v), f, code, b->region);
}
