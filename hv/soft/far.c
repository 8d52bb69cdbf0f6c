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
#define FETCHED 4	/* jumps after one that is led */

size_t soft_far_size(void)
{
	return (FAR_SLOTS + FETCHED) * sizeof(struct far_jump);
}

struct far_jump *soft_far_new(struct soft_vm *s)
{
	struct region *r = &s->region[s->current];
	struct far_jump *f;

	if (r->far_used == REGION_FAR || s->far_used == FAR_USED_MAX)
		return NULL;
	s->far_used++;
	f = &s->far_jump[s->current * REGION_FAR + r->far_used++];
	*f = (struct far_jump){ 0 };
	r->far_most = MAX(r->far_most, r->far_used);
	return f;
}

/* A program meets its jumps in the order in which they were translated, mostly. */
static void fetch_next(const struct far_jump *f)
{
	for (u32 i = 1; i <= FETCHED; i++)
		host_prefetch(f + i);
}

/* Under the lock; nobody can run into f before the block is published. */
void soft_far_publish(struct vm *vm, const struct far_jump *f)
{
	struct soft_vm *s = soft_vm(vm);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);
	u32 k = soft_far_place(s, f);
	u64 stub = (u64)(uintptr_t)f->stub;

	s->far_stub[k] = stub;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v)
			soft_cpu(v)->far[k] = stub;
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
}

void soft_far_flush(struct soft_cpu *c, int m)
{
	for (u32 i = 0; i < c->far_filled[m]; i++) {
		u32 k = soft_far_slot(c->far_list[m][i]);

		c->far[k] = c->far_stub[k];
	}
	c->far_filled[m] = 0;
}

void soft_far_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions)
{
	for (int m = 0; m < MMU_COUNT; m++) {
		u32 kept = 0;

		for (u32 i = 0; i < c->far_filled[m]; i++) {
			u32 listed = c->far_list[m][i], k = soft_far_slot(listed);

			if ((regions >> k / REGION_FAR | regions >> (listed >> FAR_REGION_SHIFT)) & 1)
				c->far[k] = c->far_stub[k];
			else
				c->far_list[m][kept++] = listed;
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

/* What f says of the block to which it leads. */
struct way {
	u64 to;
	u8 *code;
	const u8 *indirect;
	u64 page;
	u32 age;
	u8 region;
};

/* False: there is none, or it is being changed. */
static bool last_way(const struct far_jump *f, struct way *w)
{
	u32 version = __atomic_load_n(&f->version, __ATOMIC_ACQUIRE);

	*w = (struct way){ f->to, f->code, f->indirect, f->page, f->age, f->region };
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return w->to && !(version & 1) &&
	       __atomic_load_n(&f->version, __ATOMIC_RELAXED) == version;
}

/* Under the lock. */
static void set_way(struct far_jump *f, const struct way *w)
{
	__atomic_store_n(&f->version, f->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	f->to = w->to;
	f->code = w->code;
	f->indirect = w->indirect;
	f->page = w->page;
	f->age = w->age;
	f->region = w->region;
	__atomic_store_n(&f->version, f->version + 1, __ATOMIC_RELEASE);
}

/*
 * The page of b, where b lives as long as the page is the same and the region is of
 * the same age: not where it is about to be given up, or reaches into a second page.
 */
static u64 page_of(const struct soft_vm *s, const struct block *b)
{
	bool going = s->drain != DRAIN_NONE && s->drain_region == b->region;

	return going || b->gpa2 || !b->page ? 0 : b->page->serial;
}

/* Where f leads to b; NULL: nowhere. */
static u8 *way_to(struct vcpu *v, struct far_jump *f, const struct block *b)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct way w;

	if (last_way(f, &w) && w.to == b->serial)
		return w.code;
	w = (struct way){ .to = b->serial, .indirect = b->indirect, .region = b->region };
	soft_lock(s);
	w.age = s->region[b->region].age;
	w.code = !b->dead && !s->full ? new_way(v, f, b) : NULL;
	if (w.code) {
		w.page = page_of(s, b);
		set_way(f, &w);
	}
	host_mutex_unlock(&s->lock);
	return w.code;
}

/* Where it leads is known, at the vCPU's RIP. */
static void lead(struct vcpu *v, const struct far_jump *f, u8 *code, u8 region)
{
	struct soft_cpu *c = soft_cpu(v);
	u32 k = soft_far_place(soft_vm(v->vm), f);
	int m = MODE_MMU(c->mode);

	if (c->far[k] != (u64)(uintptr_t)f->stub)
		return;
	c->far_list[m][c->far_filled[m]++] = k | (u32)region << FAR_REGION_SHIFT;
	c->far[k] = (u64)(uintptr_t)code;
}

static bool is_of_age(const struct soft_vm *s, const struct way *w)
{
	return w->age == __atomic_load_n(&s->region[w->region].age, __ATOMIC_SEQ_CST);
}

/*
 * Most jumps of a new process lead where they led in others. Their target's page was
 * entered already, and is the one in which the block is: then so is the block.
 */
u64 soft_far_again(struct vcpu *v, struct far_jump *f)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);
	const struct itlb_entry *e = soft_itlb_known(c, v->rip, v->cpl == 3);
	struct way w;

	if (!soft_switch.no_prefetch)
		fetch_next(f);
	if (!e || c->mode != f->mode || !last_way(f, &w) || !w.page || e->code_serial != w.page ||
	    e->checked != __atomic_load_n(&s->write_gen, __ATOMIC_SEQ_CST) || !is_of_age(s, &w))
		return 0;
	lead(v, f, w.code, w.region);
	soft_jc_note(c, MODE_MMU(c->mode), v->rip, e->global);
	return (u64)(uintptr_t)w.indirect;
}

/* f leads to that code already, for another vCPU or in another address space. */
static bool lead_as_before(struct vcpu *v, const struct far_jump *f)
{
	struct way w;

	if (!last_way(f, &w) || !is_of_age(soft_vm(v->vm), &w) ||
	    soft_jc_known(soft_cpu(v), v->rip) != (u64)(uintptr_t)w.indirect)
		return false;
	lead(v, f, w.code, w.region);
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
	lead(v, f, code, b->region);
}
