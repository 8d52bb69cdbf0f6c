/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code cache and what it was made from: blocks found by guest-physical
 * address and mode, links between them, and the watch over the guest memory
 * that was translated.
 *
 * The cache is shared memory mapped twice, writable and executable. Space is
 * handed out upwards and taken back all at once, when no vCPU runs.
 * soft_vm.lock guards all of this but two things that run without: lookups
 * (blocks are published whole, and stay readable until the next reset) and
 * the jumps that links patch, which are single aligned stores.
 *
 * A page of guest memory with translations gets no fast write access. Whoever
 * becomes a writer announces it in page_state.writers before it looks for
 * code; whoever makes the first translation publishes the code_page before it
 * looks at the writers, and waits until they have let go.
 */
#include <errno.h>

#include "mmu/mmu.h"
#include "soft.h"

#define CACHE_SIZE (128ull << 20)
#define META_SIZE (192ull << 20)
#define META_START 16u		/* a place 0 is none */
#define META_RESERVE 4096u	/* copies of a block's bytes always find room */
#define INDEX_SIZE (META_SIZE / sizeof(struct block) * sizeof(struct block *))
#define PAD 16u			/* bytes of a thunk's pad */
#define PRECISE_AFTER 8		/* overwrites of a page that drop all of its code */

/* --- pages ------------------------------------------------------------------ */

static struct page_state *state_in(struct memslot *s, u64 gpa)
{
	return s && s->engine ? (struct page_state *)s->engine + ((gpa >> PAGE_SHIFT) - s->gfn) :
				NULL;
}

struct page_state *soft_page(struct vcpu *v, u64 gpa)
{
	return state_in(vcpu_find_slot(v, gpa >> PAGE_SHIFT), gpa);
}

bool soft_page_has_code(struct memslot *s, u64 gfn)
{
	struct page_state *ps = (struct page_state *)s->engine + (gfn - s->gfn);

	return s->engine && __atomic_load_n(&ps->code, __ATOMIC_RELAXED);
}

static u64 byte_mask(u32 from, u32 to)
{
	u64 m = ~0ull << from;

	return to >= 64 ? m : m & (BIT64(to) - 1);
}

/* Calls per chunk of [off, off + len) within the page until fn says true. */
static bool overlaps(const struct code_page *cp, u32 off, u32 len)
{
	u32 end = MIN(off + len, (u32)PAGE_SIZE);

	for (u32 c = off / PAGE_CHUNK; c * PAGE_CHUNK < end; c++) {
		u32 from = MAX(off, c * PAGE_CHUNK) - c * PAGE_CHUNK;
		u32 to = MIN(end, (c + 1) * PAGE_CHUNK) - c * PAGE_CHUNK;

		if (cp->bytes[c] & byte_mask(from, to))
			return true;
	}
	return false;
}

bool soft_page_overlaps(struct code_page *cp, u64 gpa, u32 len)
{
	return overlaps(cp, gpa & ~PAGE_MASK, len);
}

static u8 *copy_of(struct soft_vm *s, const struct code_page *cp, u32 c)
{
	return s->meta + 8ull * cp->copy[c];
}

static void copy_chunk(struct soft_vm *s, struct code_page *cp, u32 c, const u8 *host)
{
	if (!cp->copy[c]) {
		cp->copy[c] = (u32)(s->meta_used / 8);
		s->meta_used += PAGE_CHUNK;	/* of META_RESERVE, when need be */
	}
	/* Where the memory is gone the copy is not of what it will be. */
	host_guest_move(copy_of(s, cp, c), host + c * PAGE_CHUNK, PAGE_CHUNK);
}

/* Notes bytes of code as translated; host: their page, NULL: they were before. */
static void cover(struct soft_vm *s, struct code_page *cp, u32 off, const u8 *host, u32 len)
{
	u32 end = off + len;

	for (u32 c = off / PAGE_CHUNK; c * PAGE_CHUNK < end; c++) {
		u32 from = MAX(off, c * PAGE_CHUNK) - c * PAGE_CHUNK;
		u32 to = MIN(end, (c + 1) * PAGE_CHUNK) - c * PAGE_CHUNK;

		if (!cp->bytes[c] && host)
			copy_chunk(s, cp, c, host);
		cp->bytes[c] |= byte_mask(from, to);
	}
}

/*
 * Waits until v is outside translated code. The caller holds the lock and has
 * sent mail, which v takes, under the lock, before it goes in again.
 */
static void wait_outside(struct vcpu *v)
{
	u32 spins = 0;

	while (__atomic_load_n(&soft_cpu(v)->in_code, __ATOMIC_SEQ_CST)) {
		if (++spins > 1000)
			host_yield();
		else
			host_cpu_relax();
	}
}

static void mail(struct vcpu *v, u64 drop_gpa, bool jc)
{
	struct soft_cpu *c = soft_cpu(v);

	if (jc)
		c->mail_jc = true;
	else if (c->mail_count < ARRAY_SIZE(c->mail_drop))
		c->mail_drop[c->mail_count++] = drop_gpa;
	else
		c->mail_flush = true;
	__atomic_store_n(&c->mail, 1, __ATOMIC_SEQ_CST);
	vcpu_request(v, REQ_ENGINE);
}

/* What other vCPUs asked of this one; under the lock. */
void soft_mail_take(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);

	for (u32 i = 0; i < c->mail_count; i++)
		soft_tlb_drop_writes(v, c->mail_drop[i]);
	if (c->mail_flush)
		soft_flush_tlb(v, false);
	if (c->mail_jc)
		soft_spaces_drop(c);
	if (c->mail_jc)
		for (int m = 0; m < MMU_COUNT; m++)
			soft_jc_flush(c, m);
	c->mail_count = 0;
	c->mail_flush = c->mail_jc = false;
	__atomic_store_n(&c->mail, 0, __ATOMIC_SEQ_CST);
}

static void stop_writers(struct vcpu *self, struct page_state *ps, u64 gpa)
{
	struct vm *vm = self->vm;
	u32 writers = __atomic_exchange_n(&ps->writers, 0, __ATOMIC_SEQ_CST);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	if (writers & BIT(self->index % 32))
		soft_tlb_drop_writes(self, gpa);
	for (u32 i = 0; i < n && writers; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (!v || v == self || !(writers & BIT(v->index % 32)))
			continue;
		mail(v, gpa, false);
		wait_outside(v);
	}
}

struct code_page *soft_code_page(struct vcpu *v, u64 gpa)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct page_state *ps = soft_page(v, gpa);
	struct code_page *cp = ps ? ps->code : NULL;

	if (!ps || cp)
		return cp;
	cp = host_zalloc(sizeof(*cp));
	if (!cp)
		return NULL;
	cp->state = ps;
	cp->gpa = gpa & PAGE_MASK;
	cp->write_gen = __atomic_load_n(&s->write_gen, __ATOMIC_SEQ_CST);
	cp->next = s->pages;
	s->pages = cp;
	__atomic_store_n(&ps->code, cp, __ATOMIC_SEQ_CST);
	stop_writers(v, ps, gpa);
	return cp;
}

/* --- blocks ------------------------------------------------------------------ */

static u32 bucket(u64 gpa)
{
	return (gpa ^ gpa >> 7) % CODE_BUCKETS;
}

struct block *soft_block_find(struct code_page *cp, u64 gpa, u32 mode)
{
	struct block *b = __atomic_load_n(&cp->blocks[bucket(gpa)], __ATOMIC_ACQUIRE);

	while (b && (b->gpa != gpa || b->mode != mode || b->dead))
		b = b->next;
	return b;
}

void soft_block_add(struct vcpu *v, struct code_page *cp, struct block *b, const u8 *host,
		    const u8 *host2)
{
	struct soft_vm *s = soft_vm(v->vm);
	u32 off = b->gpa & ~PAGE_MASK, here = MIN(b->size, (u32)PAGE_SIZE - off);
	struct block **head = &cp->blocks[bucket(b->gpa)];

	cover(s, cp, off, host, here);
	if (b->gpa2) {
		struct code_page *cp2 = soft_code_page(v, b->gpa2);

		if (cp2) {
			cover(s, cp2, 0, host2, MAX(b->size - here, 1u));
			b->next_straddler = cp2->straddlers;
			cp2->straddlers = b;
		}
	}
	s->index[s->index_count] = b;
	__atomic_store_n(&s->index_count, s->index_count + 1, __ATOMIC_RELEASE);
	b->next = *head;
	__atomic_store_n(head, b, __ATOMIC_RELEASE);
}

/* The rel32 at a place in the cache leads to another. */
static void patch(struct soft_vm *s, u32 rel32, u32 target)
{
	__atomic_store_n((s32 *)(void *)(s->rw + rel32), (s32)(target - (rel32 + 4)),
			 __ATOMIC_RELEASE);
}

void soft_link(struct vcpu *v, struct exit_link *l, struct block *to)
{
	struct soft_vm *s = soft_vm(v->vm);
	u32 target = (u32)((l->back ? to->poll : to->entry) - s->rx);

	if (l->to || to->dead || l->from->dead || to->gpa2)
		return;
	if (x_flags_must_move(l->at, to)) {
		patch(s, l->flags_jump, target);
		target = l->flags;
	}
	patch(s, l->jump, target);
	l->to = to;
	l->next_in = to->incoming;
	to->incoming = l;
	soft_cpu(v)->stats.links++;
}

static void block_kill(struct soft_vm *s, struct block *b)
{
	struct exit_link *l = b->incoming, *next;

	b->dead = true;
	for (; l; l = next) {
		next = l->next_in;
		patch(s, l->jump, l->stub);
		l->to = NULL;
	}
	b->incoming = NULL;
	/* The links out of b stay in their targets' lists; they only undo jumps in b. */
}

/* --- overwritten code ---------------------------------------------------------- */

static void forget_targets(struct vm *vm)
{
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v)
			mail(v, 0, true);
	}
}

static bool in_range(const struct block *b, u64 page, u32 off, u32 len)
{
	u64 from = page + off, to = from + len;

	return b->gpa < to && b->gpa + b->size > from;
}

/* Kills the blocks that overlap; true when any block is left. */
static bool kill_blocks(struct soft_vm *s, struct code_page *cp, u32 off, u32 len)
{
	bool left = false;

	host_memset(cp->bytes, 0, sizeof(cp->bytes));
	for (u32 i = 0; i < ARRAY_SIZE(cp->blocks); i++) {
		struct block **p = &cp->blocks[i];

		while (*p) {
			struct block *b = *p;

			if (in_range(b, cp->gpa, off, len)) {
				__atomic_store_n(p, b->next, __ATOMIC_RELEASE);
				block_kill(s, b);
				continue;
			}
			left = true;
			cover(s, cp, b->gpa & ~PAGE_MASK, NULL,
			      MIN(b->size, (u32)(PAGE_SIZE - (b->gpa & ~PAGE_MASK))));
			p = &b->next;
		}
	}
	for (struct block *b = cp->straddlers; b; b = b->next_straddler) {
		if (!b->dead && off < 15)
			block_kill(s, b);
		if (!b->dead) {
			left = true;
			cover(s, cp, 0, NULL, 15);
		}
	}
	return left;
}

static void page_drop(struct vm *vm, struct code_page *cp, u32 off, u32 len)
{
	if (soft_running)
		soft_cpu(soft_running)->stats.dropped_pages++;
	if (cp->dropped++ < PRECISE_AFTER) {
		off = 0;
		len = (u32)PAGE_SIZE;
	}
	if (!kill_blocks(soft_vm(vm), cp, off, len)) {
		/* Empty: writes may be fast again. The memory waits for the reset. */
		if (cp->state && cp->dropped < PRECISE_AFTER) {
			__atomic_store_n(&cp->state->code, NULL, __ATOMIC_SEQ_CST);
			cp->state = NULL;
		} else {
			host_memset(cp->bytes, 0, sizeof(cp->bytes));
		}
	}
	forget_targets(vm);
}

/* A vCPU inside keeps cp from being freed; others may look at it under the lock only. */
static bool may_overlap(const struct code_page *cp, u32 off, u32 len)
{
	bool inside = soft_running && soft_cpu(soft_running)->in_code;

	return cp && (!inside || overlaps(cp, off, len));
}

void soft_page_written(struct vm *vm, struct memslot *slot, u64 gpa, u32 len)
{
	struct soft_vm *s = soft_vm(vm);

	while (len) {
		u32 off = gpa & ~PAGE_MASK, n = MIN(len, (u32)PAGE_SIZE - off);
		struct page_state *ps = state_in(slot, gpa);
		struct code_page *cp = ps ? __atomic_load_n(&ps->code, __ATOMIC_SEQ_CST) : NULL;

		if (may_overlap(cp, off, n)) {
			if (soft_running)
				soft_cpu(soft_running)->stats.code_writes++;
			soft_lock(s);
			if (ps->code == cp && overlaps(cp, off, n))
				page_drop(vm, cp, off, n);
			host_mutex_unlock(&s->lock);
		}
		gpa += n;
		len -= n;
	}
}

void soft_slot_forget(struct vm *vm, struct memslot *slot)
{
	struct soft_vm *s = soft_vm(vm);
	struct page_state *ps = slot->engine;

	for (struct code_page *cp = s->pages; cp; cp = cp->next) {
		u64 i = (cp->gpa >> PAGE_SHIFT) - slot->gfn;

		if (i >= slot->npages || !ps || cp->state != &ps[i])
			continue;
		kill_blocks(s, cp, 0, (u32)PAGE_SIZE);
		ps[i].code = NULL;
		cp->state = NULL;
	}
	forget_targets(vm);
}

/* What has changed of a chunk: all ones where the memory is gone. */
static u64 chunk_changes(const u8 *host, const u8 *copy)
{
	u64 diff = 0, now;

	for (u32 i = 0; i < PAGE_CHUNK; i += 8) {
		if (unlikely(host_guest_load(host + i, 8, &now)))
			return ~0ull;
		diff |= now ^ *(const u64 *)(copy + i);
	}
	return diff;
}

static void page_compare(struct vcpu *v, struct code_page *cp, const u8 *host, u64 gen)
{
	struct soft_vm *s = soft_vm(v->vm);
	u8 now[PAGE_CHUNK];

	for (u32 c = 0; c < ARRAY_SIZE(cp->bytes); c++) {
		u8 *was = copy_of(s, cp, c);

		if (!cp->bytes[c] || !chunk_changes(host + c * PAGE_CHUNK, was))
			continue;
		if (host_guest_move(now, host + c * PAGE_CHUNK, PAGE_CHUNK))
			host_memset(now, 0, PAGE_CHUNK);
		for (u32 i = 0; i < PAGE_CHUNK; i++)
			if ((cp->bytes[c] >> i & 1) && now[i] != was[i]) {
				page_drop(v->vm, cp, 0, (u32)PAGE_SIZE);
				return;
			}
		host_memcpy(was, now, PAGE_CHUNK);
	}
	cp->write_gen = gen;
}

void soft_page_verify(struct vcpu *v, struct code_page *cp, const u8 *host)
{
	struct soft_vm *s = soft_vm(v->vm);
	u64 gen = __atomic_load_n(&s->write_gen, __ATOMIC_SEQ_CST);

	if (cp->write_gen == gen)
		return;
	soft_lock(s);
	page_compare(v, cp, host, gen);
	host_mutex_unlock(&s->lock);
}

/* --- the cache ------------------------------------------------------------------ */

void *soft_meta_alloc(struct soft_vm *s, size_t size)
{
	void *p = s->meta + s->meta_used;

	size = ALIGN_UP(size, 16ul);
	if (s->meta_used + size > s->meta_size - META_RESERVE)
		return NULL;
	s->meta_used += size;
	host_memset(p, 0, size);
	return p;
}

static void free_pages(struct soft_vm *s)
{
	struct code_page *cp = s->pages, *next;

	for (; cp; cp = next) {
		next = cp->next;
		if (cp->state)
			__atomic_store_n(&cp->state->code, NULL, __ATOMIC_SEQ_CST);
		host_free(cp);
	}
	s->pages = NULL;
}

/* Empties the cache. Under the lock; nobody runs. */
static void reset(struct vcpu *self)
{
	struct soft_vm *s = soft_vm(self->vm);

	forget_targets(self->vm);
	free_pages(s);
	s->used = s->start;
	s->cold_used = s->middle;
	s->meta_used = META_START;
	s->index_count = 0;
	s->far_used = 0;
	soft_cpu(self)->stats.cache_flushes++;
}

static void wait_until_out(struct vcpu *v)
{
	while (__atomic_load_n(&soft_cpu(v)->in_run, __ATOMIC_SEQ_CST))
		host_yield();
}

/*
 * Blocks and what describes them are used without the lock by who is in
 * soft_run(), so all others leave it first; soft_enter_run() lets nobody in.
 */
void soft_code_empty(struct vcpu *self)
{
	struct vm *vm = self->vm;
	struct soft_vm *s = soft_vm(vm);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);
	bool mine;

	host_mutex_lock(&s->lock);
	mine = s->full && !s->emptying;
	if (mine)
		__atomic_store_n(&s->emptying, 1, __ATOMIC_SEQ_CST);
	host_mutex_unlock(&s->lock);
	if (!mine)
		return;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v && v != self) {
			vcpu_request(v, REQ_ENGINE);
			wait_until_out(v);
		}
	}
	host_mutex_lock(&s->lock);
	reset(self);
	__atomic_store_n(&s->full, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->emptying, 0, __ATOMIC_SEQ_CST);
	host_mutex_unlock(&s->lock);
}

void soft_enter_run(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);

	for (;;) {
		__atomic_store_n(&c->in_run, 1, __ATOMIC_SEQ_CST);
		if (likely(!__atomic_load_n(&s->emptying, __ATOMIC_SEQ_CST)))
			return;
		__atomic_store_n(&c->in_run, 0, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&s->emptying, __ATOMIC_SEQ_CST))
			host_yield();
	}
}

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
	pad(s, THUNK_HELPER, soft_thunk_helper);
	pad(s, THUNK_LINK_MEM, soft_thunk_link_mem);
	pad(s, THUNK_LINK_HOST, soft_thunk_link_host);
	pad(s, THUNK_JC_MISS, soft_thunk_jc_miss);
	pad(s, THUNK_FAR_MEM, soft_thunk_far_mem);
	pad(s, THUNK_FAR_HOST, soft_thunk_far_host);
	pad(s, THUNK_EXIT_MEM, soft_thunk_exit_mem);
	pad(s, THUNK_EXIT_HOST, soft_thunk_exit_host);
	for (int m = 0; m < MMU_COUNT; m++)
		pad(s, THUNK_JC_WAY1 + m, soft_jc_thunks[m]);
	for (int m = 0; m < MMU_COUNT; m++)
		pad(s, THUNK_RET_MISS + m, soft_ret_thunks[m]);
	for (int i = 0; i < SITE_CLASSES * MMU_COUNT; i++)
		pad(s, THUNK_SITE + i, soft_site_thunks[i]);
	for (int i = 0; i < STRING_THUNKS * MMU_COUNT; i++)
		pad(s, THUNK_STRING + i, soft_string_thunks[i]);
	s->used = s->start = THUNK_COUNT * PAD;
	s->cold_used = s->middle = ALIGN_UP(s->size / 5 * 2, PAGE_SIZE);
}

int soft_code_init(struct vm *vm)
{
	struct soft_vm *s = host_zalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	vm->engine_data = s;
	s->size = CACHE_SIZE;
	s->meta_size = META_SIZE;
	s->meta_used = META_START;
	host_code_memory(s->size, &s->rw, &s->rx);
	s->meta = host_map(s->meta_size);
	s->scratch = host_map(soft_scratch_size());
	s->insn_scratch = host_map(soft_insn_scratch_size());
	s->code_scratch = host_map(2 * PAGE_SIZE);
	s->index = host_map(INDEX_SIZE);
	s->far_stub = host_map(FAR_SLOTS * sizeof(*s->far_stub));
	if (!s->rw || !s->meta || !s->index || !s->far_stub || !s->scratch || !s->insn_scratch || !s->code_scratch) {
		soft_code_destroy(vm);
		return -ENOMEM;
	}
	pads(s);
	soft_features_init();
	soft_switches_init();
	soft_fault_init();
	soft_stats_init(s);
	return 0;
}

void soft_code_destroy(struct vm *vm)
{
	struct soft_vm *s = soft_vm(vm);

	if (!s)
		return;
	free_pages(s);
	if (s->rw) {
		host_unmap(s->rw, s->size);
		host_unmap(s->rx, s->size);
	}
	if (s->meta)
		host_unmap(s->meta, s->meta_size);
	if (s->scratch)
		host_unmap(s->scratch, soft_scratch_size());
	if (s->insn_scratch)
		host_unmap(s->insn_scratch, soft_insn_scratch_size());
	if (s->code_scratch)
		host_unmap(s->code_scratch, 2 * PAGE_SIZE);
	if (s->index)
		host_unmap(s->index, INDEX_SIZE);
	if (s->far_stub)
		host_unmap(s->far_stub, FAR_SLOTS * sizeof(*s->far_stub));
	host_free(s);
	vm->engine_data = NULL;
}
