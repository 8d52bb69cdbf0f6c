/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is translated: blocks found by guest-physical address and mode, links
 * between them, and the watch over the guest memory that they were made from.
 * Where all of it lies is cache.c's.
 *
 * soft_vm.lock guards all of this but two things that run without: lookups
 * (blocks are published whole, and stay readable until every vCPU has left
 * soft_run() after their end) and the jumps that links patch, which are single
 * aligned stores.
 *
 * A page of guest memory with translations gets no fast write access. Whoever
 * becomes a writer announces it in page_state.writers before it looks for
 * code; whoever makes the first translation publishes the code_page before it
 * looks at the writers, and waits until they have let go.
 */
#include "mmu/mmu.h"
#include "soft.h"

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

/* The bits of chunk c that stand for bytes of [off, end), some of which are in it. */
static u64 chunk_mask(u32 c, u32 off, u32 end)
{
	u32 start = c * PAGE_CHUNK;

	return byte_mask(MAX(off, start) - start, MIN(end, start + PAGE_CHUNK) - start);
}

/* Is something translated within [off, off + len) of the page? */
static bool overlaps(const struct code_page *cp, u32 off, u32 len)
{
	u32 end = MIN(off + len, (u32)PAGE_SIZE);

	for (u32 c = off / PAGE_CHUNK; c * PAGE_CHUNK < end; c++)
		if (cp->bytes[c] & chunk_mask(c, off, end))
			return true;
	return false;
}

bool soft_page_overlaps(struct code_page *cp, u64 gpa, u32 len)
{
	return overlaps(cp, gpa & ~PAGE_MASK, len);
}

static u8 *copy_of(struct soft_vm *s, const struct code_page *cp, u32 c)
{
	return soft_copy(s, cp->copy[c]);
}

static void copy_chunk(struct soft_vm *s, struct code_page *cp, u32 c, const u8 *host)
{
	if (!cp->copy[c])
		cp->copy[c] = soft_copy_new(s);
	/* Where the memory is gone the copy is not of what it will be. */
	host_guest_move(copy_of(s, cp, c), host + c * PAGE_CHUNK, PAGE_CHUNK);
}

/* Notes bytes of code as translated; host: their page. */
static void cover(struct soft_vm *s, struct code_page *cp, u32 off, const u8 *host, u32 len)
{
	u32 end = off + len;

	for (u32 c = off / PAGE_CHUNK; c * PAGE_CHUNK < end; c++) {
		if (!cp->bytes[c])
			copy_chunk(s, cp, c, host);
		cp->bytes[c] |= chunk_mask(c, off, end);
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
	if (c->mail_regions || c->mail_jc)
		soft_itlb_forget_code(c);
	if (c->mail_regions)
		soft_regions_forget(v, c->mail_regions);
	if (c->mail_jc) {
		soft_spaces_drop(c);
		for (int m = 0; m < MMU_COUNT; m++)
			soft_jc_flush(c, m);
	}
	c->mail_count = 0;
	c->mail_flush = c->mail_jc = false;
	__atomic_store_n(&c->mail_regions, 0, __ATOMIC_SEQ_CST);
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
	cp->serial = ++s->page_serial;
	cp->write_gen = __atomic_load_n(&s->write_gen, __ATOMIC_SEQ_CST);
	cp->prev = &s->pages;
	cp->next = s->pages;
	if (cp->next)
		cp->next->prev = &cp->next;
	s->pages = cp;
	s->page_count++;
	__atomic_store_n(&ps->code, cp, __ATOMIC_SEQ_CST);
	stop_writers(v, ps, gpa);
	return cp;
}

static struct block *block_at(const struct soft_vm *s, u32 n)
{
	return n ? &s->block[n - 1] : NULL;
}

static u32 block_number(const struct soft_vm *s, const struct block *b)
{
	return b ? (u32)(b - s->block) + 1 : 0;
}

static bool is_empty(const struct code_page *cp)
{
	for (u32 i = 0; i < ARRAY_SIZE(cp->blocks); i++)
		if (cp->blocks[i])
			return false;
	return !cp->straddlers;
}

static void let_die(struct soft_vm *s, struct code_page *cp)
{
	cp->next = s->dying;
	s->dying = cp;
	s->dying_count++;
}

/* Empty: writes may be fast again. Who found cp without the lock may still look at it. */
static void retire(struct soft_vm *s, struct code_page *cp)
{
	__atomic_store_n(&cp->state->code, NULL, __ATOMIC_SEQ_CST);
	for (u32 c = 0; c < ARRAY_SIZE(cp->copy); c++)
		soft_copy_free(s, cp->copy[c]);
	*cp->prev = cp->next;
	if (cp->next)
		cp->next->prev = cp->prev;
	cp->gone = true;
	if (!cp->thin)
		let_die(s, cp);
}

void soft_page_note_thin(struct soft_vm *s, struct code_page *cp)
{
	if (cp->thin || cp->gone)
		return;
	cp->thin = true;
	cp->next_thin = s->thin;
	s->thin = cp;
}

static void mark(u64 *bytes, u32 off, u32 len)
{
	u32 end = MIN(off + len, (u32)PAGE_SIZE);

	for (u32 c = off / PAGE_CHUNK; c * PAGE_CHUNK < end; c++)
		bytes[c] |= chunk_mask(c, off, end);
}

void soft_page_thin(struct soft_vm *s, struct code_page *cp)
{
	u64 bytes[ARRAY_SIZE(cp->bytes)];

	cp->thin = false;
	if (cp->gone) {
		let_die(s, cp);
		return;
	}
	if (is_empty(cp)) {
		retire(s, cp);
		return;
	}
	host_memset(bytes, 0, sizeof(bytes));
	for (u32 i = 0; i < ARRAY_SIZE(cp->blocks); i++)
		for (struct block *b = block_at(s, cp->blocks[i]); b; b = b->next)
			mark(bytes, b->gpa & ~PAGE_MASK, b->size);
	if (cp->straddlers)
		mark(bytes, 0, 15);
	/* Without the lock others see at any time at least the bytes that count. */
	for (u32 c = 0; c < ARRAY_SIZE(bytes); c++) {
		cp->bytes[c] &= bytes[c];
		if (cp->copy[c] && !bytes[c]) {
			soft_copy_free(s, cp->copy[c]);
			cp->copy[c] = 0;
		}
	}
}

/* --- blocks ------------------------------------------------------------------ */

static u32 bucket(u64 gpa)
{
	return (gpa ^ gpa >> 7) % CODE_BUCKETS;
}

struct block *soft_block_find(const struct soft_vm *s, const struct code_page *cp, u64 gpa,
			      u32 mode)
{
	struct block *b = block_at(s, __atomic_load_n(&cp->blocks[bucket(gpa)], __ATOMIC_ACQUIRE));

	while (b && (b->gpa != gpa || b->mode != mode || b->dead))
		b = b->next;
	return b;
}

void soft_block_add(struct vcpu *v, struct code_page *cp, struct block *b, const u8 *host,
		    const u8 *host2)
{
	struct soft_vm *s = soft_vm(v->vm);
	u32 off = b->gpa & ~PAGE_MASK, here = MIN(b->size, (u32)PAGE_SIZE - off);
	u32 *head = &cp->blocks[bucket(b->gpa)];
	struct region *r = &s->region[s->current];

	cover(s, cp, off, host, here);
	if (b->gpa2) {
		struct code_page *cp2 = soft_code_page(v, b->gpa2);

		if (cp2) {
			cover(s, cp2, 0, host2, MAX(b->size - here, 1u));
			b->next_straddler = cp2->straddlers;
			cp2->straddlers = b;
			b->page2 = cp2;
		}
	}
	b->region = (u8)s->current;
	b->serial = ++s->serial;
	__atomic_store_n(&r->blocks, r->blocks + 1, __ATOMIC_RELEASE);
	s->barren = 0;
	b->page = cp;
	b->next = block_at(s, *head);
	__atomic_store_n(head, block_number(s, b), __ATOMIC_RELEASE);
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
	l->prev_in = &to->incoming;
	l->next_in = to->incoming;
	if (l->next_in)
		l->next_in->prev_in = &l->next_in;
	to->incoming = l;
	if (!l->listed) {
		l->listed = true;
		l->next_out = l->from->outgoing;
		l->from->outgoing = l;
	}
	soft_cpu(v)->stats.links++;
}

/* No page lists b any more. */
static void block_unlist(struct soft_vm *s, struct block *b)
{
	struct block **p;

	if (b->page) {
		u32 *head = &b->page->blocks[bucket(b->gpa)];
		struct block *before = block_at(s, *head);

		if (before == b) {
			__atomic_store_n(head, block_number(s, b->next), __ATOMIC_RELEASE);
		} else {
			while (before->next != b)
				before = before->next;
			__atomic_store_n(&before->next, b->next, __ATOMIC_RELEASE);
		}
		soft_page_note_thin(s, b->page);
	}
	if (b->page2) {
		for (p = &b->page2->straddlers; *p != b;)
			p = &(*p)->next_straddler;
		*p = b->next_straddler;
		soft_page_note_thin(s, b->page2);
	}
	b->page = b->page2 = NULL;
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
	block_unlist(s, b);
	/* The links out of b stay in their targets' lists; they only undo jumps in b. */
}

void soft_block_evict(struct soft_vm *s, struct block *b)
{
	if (!b->dead)
		block_kill(s, b);
	for (struct exit_link *l = b->outgoing; l; l = l->next_out) {
		if (!l->to)
			continue;
		*l->prev_in = l->next_in;
		if (l->next_in)
			l->next_in->prev_in = l->prev_in;
		l->to = NULL;
	}
	b->outgoing = NULL;
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

static void kill_blocks(struct soft_vm *s, struct code_page *cp)
{
	for (u32 i = 0; i < ARRAY_SIZE(cp->blocks); i++)
		while (cp->blocks[i])
			block_kill(s, block_at(s, cp->blocks[i]));
	while (cp->straddlers)
		block_kill(s, cp->straddlers);
	retire(s, cp);
}

static void page_drop(struct vm *vm, struct code_page *cp)
{
	if (soft_running)
		soft_cpu(soft_running)->stats.dropped_pages++;
	kill_blocks(soft_vm(vm), cp);
	forget_targets(vm);
}

/* A vCPU inside keeps cp from being freed; others may look at it under the lock only. */
static bool may_overlap(const struct code_page *cp, u32 off, u32 len)
{
	return cp && (!soft_running || overlaps(cp, off, len));
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
				page_drop(vm, cp);
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

	for (struct code_page *cp = s->pages, *next; cp; cp = next) {
		u64 i = (cp->gpa >> PAGE_SHIFT) - slot->gfn;

		next = cp->next;
		if (i < slot->npages && ps && cp->state == &ps[i])
			kill_blocks(s, cp);
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

/* The page of code that was found after cp. */
static const struct code_page *newer(const struct soft_vm *s, const struct code_page *cp)
{
	return cp->prev == &s->pages ? NULL : (const struct code_page *)(const void *)cp->prev;
}

/* Where they are not in the host's caches, all that is compared is fetched at once. */
static void prefetch_page(struct soft_vm *s, const struct code_page *cp, const u8 *host)
{
	for (u32 c = 0; c < ARRAY_SIZE(cp->copy); c++)
		if (cp->copy[c]) {
			host_prefetch(host + c * PAGE_CHUNK);
			host_prefetch(copy_of(s, cp, c));
		}
}

/* The page after that one, and where what is to be known of the one behind that is. */
static void prefetch_next(struct soft_vm *s, const struct code_page *cp)
{
	const struct code_page *next = newer(s, cp), *behind = next ? newer(s, next) : NULL;

	if (next && next->host && next->write_gen != s->write_gen)
		prefetch_page(s, next, next->host);
	if (!behind)
		return;
	host_prefetch(behind);
	for (u32 c = 0; c < ARRAY_SIZE(behind->copy); c += 16)
		host_prefetch(&behind->copy[c]);
}

static void page_compare(struct vcpu *v, struct code_page *cp, const u8 *host, u64 gen)
{
	struct soft_vm *s = soft_vm(v->vm);
	u8 now[PAGE_CHUNK];

	if (!soft_switch.no_prefetch) {
		prefetch_page(s, cp, host);
		prefetch_next(s, cp);
	}
	cp->host = host;
	for (u32 c = 0; c < ARRAY_SIZE(cp->bytes); c++) {
		u8 *was = copy_of(s, cp, c);

		if (!cp->copy[c] || !chunk_changes(host + c * PAGE_CHUNK, was))
			continue;
		if (host_guest_move(now, host + c * PAGE_CHUNK, PAGE_CHUNK))
			host_memset(now, 0, PAGE_CHUNK);
		for (u32 i = 0; i < PAGE_CHUNK; i++)
			if ((cp->bytes[c] >> i & 1) && now[i] != was[i]) {
				page_drop(v->vm, cp);
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
	if (!cp->gone)
		page_compare(v, cp, host, gen);
	host_mutex_unlock(&s->lock);
}
