/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code cache: where translations lie, and how it gives up the oldest.
 *
 * The cache is shared memory mapped twice, writable and executable, of a fixed
 * size (KVM_ENABLE_CAP, see anykvm.h). It is a ring of regions, and what
 * describes blocks is divided in the same way: space is handed out upwards in
 * one region after the other, and taken back a region at a time. While one is
 * filled, the next is drained, a few blocks with each translation: they are
 * taken from their pages' lists and unlinked, then all vCPUs are told to forget
 * what leads there. When each has done so, or is outside of soft_run() and will
 * before it returns, the region may be used again. Only when it is needed
 * before that, vCPUs wait.
 *
 * What leads to a block outlives it nowhere: links are listed with it; jump
 * caches, stacks of calls, slots of far jumps and address spaces that were put
 * aside are each vCPU's own; code apart from blocks is younger than both its
 * ends, and regions go in the order of their age.
 */
#include <anykvm.h>
#include <errno.h>

#include "mmu/mmu.h"
#include "soft.h"

#define META_FACTOR 3 / 2	/* bytes that describe a byte of the cache, at most */
#define META_START 16u		/* a place 0 is none */
#define COPIES_FRACTION 4	/* of the cache, for copies of the guest's code */
#define COPIES_RESERVE 64u	/* more than a translation needs */
#define PAGE_FRACTION 2048	/* of the cache: that many pages have code */
#define DYING_FRACTION 16	/* of those: so many wait to be freed */
#define START_ROOM 1024u	/* bytes that are there when a block is begun */
#define PAD 16u			/* bytes of a thunk's pad */
#define STEP 4u			/* blocks drained for one that is translated */
#define HURRY 256u		/* ... and under one hold of the lock when somebody waits */

/* --- space --------------------------------------------------------------------- */

void *soft_meta_alloc(struct soft_vm *s, size_t size)
{
	void *p = s->meta + s->meta_used;

	size = ALIGN_UP(size, 16ul);
	if (s->meta_used + size > s->meta_end)
		return NULL;
	s->meta_used += size;
	host_memset(p, 0, size);
	return p;
}

struct block *soft_block_new(struct soft_vm *s)
{
	u32 n = s->region[s->current].blocks;
	struct block *b = &s->block[(u64)s->current * s->block_max + n];

	if (n == s->block_max)
		return NULL;
	host_memset(b, 0, sizeof(*b));
	return b;
}

u32 soft_copy_new(struct soft_vm *s)
{
	u32 n = s->copies_free;

	if (!n)
		return ++s->copies_used;
	s->copies_free = *(u32 *)(void *)soft_copy(s, n);
	s->copies_free_count--;
	return n;
}

void soft_copy_free(struct soft_vm *s, u32 n)
{
	if (!n)
		return;
	*(u32 *)(void *)soft_copy(s, n) = s->copies_free;
	s->copies_free = n;
	s->copies_free_count++;
}

/* What is written when there is too little space is lost, but must not be in front of its start. */
bool soft_code_room(const struct soft_vm *s)
{
	return s->used + START_ROOM < s->end && s->cold_used + START_ROOM < s->cold_end &&
	       s->page_count < s->page_max &&
	       s->copies_max - s->copies_used + s->copies_free_count > COPIES_RESERVE;
}

/* --- giving up a region ------------------------------------------------------------ */

/* v will not use what the mail about the region is about any more. */
static bool has_passed(struct vcpu *v, u32 region)
{
	struct soft_cpu *c = soft_cpu(v);

	return !(__atomic_load_n(&c->mail_regions, __ATOMIC_SEQ_CST) & BIT(region)) ||
	       !__atomic_load_n(&c->in_run, __ATOMIC_SEQ_CST);
}

static bool all_have_passed(struct vm *vm)
{
	u32 region = __atomic_load_n(&soft_vm(vm)->drain_region, __ATOMIC_SEQ_CST);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v && !has_passed(v, region))
			return false;
	}
	return true;
}

/* From now on nobody finds what the region holds; all are to forget it. */
static void send_mail(struct vm *vm)
{
	struct soft_vm *s = soft_vm(vm);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	s->waiting = s->dying;
	s->dying = NULL;
	s->dying_count = 0;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);
		struct soft_cpu *c;

		if (!v)
			continue;
		c = soft_cpu(v);
		__atomic_fetch_or(&c->mail_regions, BIT(s->drain_region), __ATOMIC_SEQ_CST);
		__atomic_store_n(&c->mail, 1, __ATOMIC_SEQ_CST);
		/* One that is outside looks before it goes in, and need not wake up for this. */
		if (__atomic_load_n(&c->in_run, __ATOMIC_SEQ_CST))
			vcpu_request(v, REQ_ENGINE);
	}
	__atomic_store_n(&s->drain, DRAIN_WAIT, __ATOMIC_SEQ_CST);
}

static void free_list(struct soft_vm *s, struct code_page **list)
{
	struct code_page *cp = *list, *next;

	for (; cp; cp = next) {
		next = cp->next;
		host_free(cp);
		s->page_count--;
	}
	*list = NULL;
}

/* Nobody uses it any more. */
static void drained(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct region *r = s->drain_region < REGIONS ? &s->region[s->drain_region] : NULL;

	if (s->waiting && v->fpu_loaded)	/* free() may use vectors */
		soft_fpu_put(v);
	free_list(s, &s->waiting);
	if (r) {
		s->far_used -= r->far_used;
		r->blocks = r->far_used = 0;
		r->used = false;
		__atomic_store_n(&r->age, r->age + 1, __ATOMIC_SEQ_CST);
		soft_cpu(v)->stats.evictions++;
	}
	__atomic_store_n(&s->drain, DRAIN_PAGES, __ATOMIC_SEQ_CST);
}

static void begin_drain(struct soft_vm *s, u32 region, enum drain first)
{
	s->drain_next = 0;
	__atomic_store_n(&s->drain_region, region, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->drain, first, __ATOMIC_SEQ_CST);
}

/* The region that comes after the present one is given up in time. */
static bool drain_next(struct soft_vm *s)
{
	u32 next = (s->current + 1) % REGIONS;

	if (!s->region[next].used)
		return false;
	__atomic_store_n(&s->region[next].age, s->region[next].age + 1, __ATOMIC_SEQ_CST);
	begin_drain(s, next, DRAIN_BLOCKS);
	return true;
}

static bool many_dying(const struct soft_vm *s)
{
	return s->dying_count > s->page_max / DYING_FRACTION;
}

static bool evict_one(struct soft_vm *s)
{
	u32 n = s->drain_next++, r = s->drain_region;

	if (n == s->region[r].blocks)
		return false;
	soft_block_evict(s, &s->block[(u64)r * s->block_max + n]);
	return true;
}

/* Writes to memory whose code could still run are seen as such: pages come last. */
static bool thin_one(struct soft_vm *s)
{
	struct code_page *cp = s->thin;

	if (!cp)
		return false;
	s->thin = cp->next_thin;
	soft_page_thin(s, cp);
	return true;
}

/* One block, one page, or the next stage; false when there is nothing to be done now. */
static bool drain_one(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);

	switch (s->drain) {
	case DRAIN_BLOCKS:
		if (!evict_one(s))
			send_mail(v->vm);
		return true;
	case DRAIN_WAIT:
		if (!all_have_passed(v->vm))
			return false;
		drained(v);
		return true;
	case DRAIN_PAGES:
		if (!thin_one(s))
			__atomic_store_n(&s->drain, DRAIN_NONE, __ATOMIC_SEQ_CST);
		return true;
	case DRAIN_NONE:
		break;
	}
	if (drain_next(s) || thin_one(s))
		return true;
	if (!many_dying(s))
		return false;
	begin_drain(s, REGION_NONE, DRAIN_NONE);
	send_mail(v->vm);
	return true;
}

static void note_pause(struct vcpu *v, u64 start)
{
	struct soft_stats *st = &soft_cpu(v)->stats;
	u64 took = host_rdtsc() - start;

	st->evict_time += took;
	st->evict_longest = MAX(st->evict_longest, took);
}

void soft_code_step(struct vcpu *v)
{
	u64 start = host_rdtsc();
	u32 done = 0;

	while (done < STEP && drain_one(v))
		done++;
	if (done)
		note_pause(v, start);
}

/* --- going on to the next region ------------------------------------------------------ */

static void begin_region(struct soft_vm *s, u32 k)
{
	u64 cold = s->start + REGIONS * s->hot_size;

	s->current = k;
	s->region[k].used = true;
	s->used = s->start + k * s->hot_size;
	s->end = s->used + s->hot_size;
	s->cold_used = cold + k * s->cold_size;
	s->cold_end = s->cold_used + s->cold_size;
	s->meta_used = k * s->meta_size + META_START;
	s->meta_end = (k + 1) * s->meta_size;
}

static bool turn(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	u32 next = (s->current + 1) % REGIONS;

	if (s->region[next].used)
		return false;
	if (!next)
		soft_cpu(v)->stats.cache_turns++;
	begin_region(s, next);
	s->barren++;
	__atomic_store_n(&s->full, 0, __ATOMIC_SEQ_CST);
	return true;
}

bool soft_code_turn(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);

	if (s->barren > 2 * REGIONS)	/* it is not for want of room */
		return false;
	if (turn(v))
		return true;
	soft_cpu(v)->no_room = true;
	__atomic_store_n(&s->full, 1, __ATOMIC_SEQ_CST);
	return false;
}

void soft_code_make_room(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	u64 start = host_rdtsc();

	if (!__atomic_load_n(&s->full, __ATOMIC_SEQ_CST))
		return;
	host_mutex_lock(&s->lock);
	while (s->full && !turn(v)) {
		for (u32 i = 0; i < HURRY && drain_one(v); i++)
			;
		host_mutex_unlock(&s->lock);
		while (__atomic_load_n(&s->full, __ATOMIC_SEQ_CST) &&
		       __atomic_load_n(&s->drain, __ATOMIC_SEQ_CST) == DRAIN_WAIT &&
		       !all_have_passed(v->vm))
			host_yield();
		host_mutex_lock(&s->lock);
	}
	host_mutex_unlock(&s->lock);
	note_pause(v, start);
}

void soft_regions_forget(struct vcpu *v, u32 regions)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);
	u64 start = host_rdtsc();

	regions &= BIT(REGIONS) - 1;
	if (!regions)
		return;
	for (int m = 0; m < MMU_COUNT; m++)
		soft_ret_cut(v, m, 0);
	soft_jc_forget(c, s, regions);
	soft_far_forget(c, s, regions);
	soft_spaces_forget(c, s, regions);
	note_pause(v, start);
}

/* --- a VM's cache ------------------------------------------------------------------------ */

static void pad(struct soft_vm *s, enum thunk t, const u8 *to)
{
	u8 *p = s->rw + t * PAD;

	p[0] = 0xff, p[1] = 0x25;	/* jmp [rip + 0] */
	p[2] = p[3] = p[4] = p[5] = 0;
	host_memcpy(p + 6, &to, 8);
	s->thunk[t] = s->rx + t * PAD;
}

static void pads(struct soft_vm *s)
{
	_Static_assert(THUNK_COUNT * PAD <= PAGE_SIZE, "the pads' page");
	pad(s, THUNK_HELPER, soft_thunk_helper);
	pad(s, THUNK_LINK_MEM, soft_thunk_link_mem);
	pad(s, THUNK_LINK_HOST, soft_thunk_link_host);
	pad(s, THUNK_JC_MISS, soft_thunk_jc_miss);
	pad(s, THUNK_FAR_MEM, soft_thunk_far_mem);
	pad(s, THUNK_FAR_HOST, soft_thunk_far_host);
	pad(s, THUNK_EXIT_MEM, soft_thunk_exit_mem);
	pad(s, THUNK_EXIT_HOST, soft_thunk_exit_host);
	pad(s, THUNK_RDTSC, soft_thunk_rdtsc);
	for (int m = 0; m < MMU_COUNT; m++)
		pad(s, THUNK_JC_WAY1 + m, soft_jc_thunks[m]);
	for (int m = 0; m < MMU_COUNT; m++)
		pad(s, THUNK_RET_MISS + m, soft_ret_thunks[m]);
	for (int i = 0; i < SITE_CLASSES * MMU_COUNT + STACK_FILLS; i++)
		pad(s, THUNK_SITE + i, soft_site_thunks[i]);
	for (int i = 0; i < STRING_THUNKS * MMU_COUNT; i++)
		pad(s, THUNK_STRING + i, soft_string_thunks[i]);
}

static u64 copies_size(const struct soft_vm *s)
{
	return s->size / COPIES_FRACTION;
}

static u64 blocks_size(const struct soft_vm *s)
{
	return (u64)REGIONS * s->block_max * sizeof(*s->block);
}

/* All that its size decides about. */
static int cache_map(struct soft_vm *s, u64 size)
{
	s->size = size;
	s->start = PAGE_SIZE;
	s->hot_size = (size - PAGE_SIZE) / 9 * 5 / REGIONS & PAGE_MASK;
	s->cold_size = ((size - PAGE_SIZE) / REGIONS - s->hot_size) & PAGE_MASK;
	s->meta_size = size / REGIONS * META_FACTOR;
	s->block_max = (u32)(s->meta_size / sizeof(struct block));
	s->copies_max = (u32)(copies_size(s) / PAGE_CHUNK) - 1;
	s->copies_used = 0;
	s->page_max = (u32)(size / PAGE_FRACTION);
	host_code_memory(size, &s->rw, &s->rx);
	s->meta = host_map(REGIONS * s->meta_size);
	s->block = host_map(blocks_size(s));
	s->copies = host_map(copies_size(s));
	if (!s->rw || !s->meta || !s->block || !s->copies)
		return -ENOMEM;
	pads(s);
	begin_region(s, 0);
	return 0;
}

static void cache_unmap(struct soft_vm *s)
{
	if (s->rw) {
		host_unmap(s->rw, s->size);
		host_unmap(s->rx, s->size);
	}
	if (s->meta)
		host_unmap(s->meta, REGIONS * s->meta_size);
	if (s->block)
		host_unmap(s->block, blocks_size(s));
	if (s->copies)
		host_unmap(s->copies, copies_size(s));
	s->rw = s->rx = s->meta = s->copies = NULL;
	s->block = NULL;
}

int soft_code_init(struct vm *vm)
{
	u64 size = CODE_CACHE_DEFAULT;
	struct soft_vm *s;

	soft_switches_init();
	if (!soft_switch_size("code-cache", ANYKVM_CODE_CACHE_MIN, ANYKVM_CODE_CACHE_MAX, &size))
		return -EINVAL;
	s = host_zalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	vm->engine_data = s;
	s->write_gen = 1;	/* 0 is none */
	s->scratch = host_map(soft_scratch_size());
	s->insn_scratch = host_map(soft_insn_scratch_size());
	s->code_scratch = host_map(2 * PAGE_SIZE);
	s->far_stub = host_map(FAR_SLOTS * sizeof(*s->far_stub));
	s->far_jump = host_map(soft_far_size());
	if (!s->far_stub || !s->far_jump || !s->scratch || !s->insn_scratch || !s->code_scratch ||
	    cache_map(s, ALIGN_UP(size, PAGE_SIZE))) {
		soft_code_destroy(vm);
		return -ENOMEM;
	}
	soft_features_init();
	soft_fault_init();
	soft_stats_init(s);
	return 0;
}

int soft_code_size(struct vm *vm, u64 size)
{
	struct soft_vm *s = soft_vm(vm), old = *s;
	int r;

	if (size < ANYKVM_CODE_CACHE_MIN || size > ANYKVM_CODE_CACHE_MAX)
		return -EINVAL;
	r = cache_map(s, ALIGN_UP(size, PAGE_SIZE));
	if (r) {
		cache_unmap(s);
		*s = old;
		return r;
	}
	cache_unmap(&old);
	return 0;
}

static void free_pages(struct soft_vm *s)
{
	for (struct code_page *cp = s->pages; cp; cp = cp->next)
		__atomic_store_n(&cp->state->code, NULL, __ATOMIC_SEQ_CST);
	while (thin_one(s))
		;
	free_list(s, &s->pages);
	free_list(s, &s->dying);
	free_list(s, &s->waiting);
}

void soft_code_destroy(struct vm *vm)
{
	struct soft_vm *s = soft_vm(vm);

	if (!s)
		return;
	free_pages(s);
	cache_unmap(s);
	if (s->scratch)
		host_unmap(s->scratch, soft_scratch_size());
	if (s->insn_scratch)
		host_unmap(s->insn_scratch, soft_insn_scratch_size());
	if (s->code_scratch)
		host_unmap(s->code_scratch, 2 * PAGE_SIZE);
	if (s->far_jump)
		host_unmap(s->far_jump, soft_far_size());
	if (s->far_stub)
		host_unmap(s->far_stub, FAR_SLOTS * sizeof(*s->far_stub));
	host_free(s);
	vm->engine_data = NULL;
}
