/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The caches of address translations: the data TLB that translated code reads,
 * the jump cache from rip to code, and the executable pages behind it. What
 * was filled is listed, so that a flush costs what was used since the last.
 */
#include <errno.h>

#include "mmu/mmu.h"
#include "soft.h"

static u32 tlb_index(int way, u64 linear)
{
	u64 page = linear >> PAGE_SHIFT;

	return way ? (page ^ page >> VICTIM_BITS) & (VICTIM_ENTRIES - 1) :
		     soft_tlb_index(linear);
}

u64 soft_tlb_none(u32 i)
{
	return i ? 0 : PAGE_SIZE;
}

struct tlb_entry soft_tlb_get(const struct soft_cpu *c, int m, int way, u32 i)
{
	const struct tlb *t = &c->tlb[m];

	if (way)
		return c->victim[m][i];
	return (struct tlb_entry){ t->rtag[i], t->wtag[i], t->delta[i], t->gpa[i] };
}

void soft_tlb_set(struct soft_cpu *c, int m, int way, u32 i, const struct tlb_entry *e)
{
	struct tlb *t = &c->tlb[m];

	if (way) {
		c->victim[m][i] = *e;
		return;
	}
	t->rtag[i] = e->rtag;
	t->wtag[i] = e->wtag;
	t->delta[i] = e->delta;
	t->gpa[i] = e->gpa;
}

static u64 *wtag(struct soft_cpu *c, int m, int way, u32 i)
{
	return way ? &c->victim[m][i].wtag : &c->tlb[m].wtag[i];
}

static u64 rtag(const struct soft_cpu *c, int m, int way, u32 i)
{
	return way ? c->victim[m][i].rtag : c->tlb[m].rtag[i];
}

static u64 gpa_of(const struct soft_cpu *c, int m, int way, u32 i)
{
	return way ? c->victim[m][i].gpa : c->tlb[m].gpa[i];
}

static void tlb_clear(struct soft_cpu *c, int m, int way, u32 i)
{
	struct tlb_entry none = { .rtag = soft_tlb_none(i), .wtag = soft_tlb_none(i) };

	soft_tlb_set(c, m, way, i, &none);
}

static struct site *stack_sites(struct soft_cpu *c)
{
	return (struct site *)((u8 *)soft_vcpu(c) + OFF_STACK_SITES);
}

static void stack_sites_drop(struct soft_cpu *c)
{
	for (u32 i = 0; i < STACK_SITES; i++)
		stack_sites(c)[i] = (struct site){ .tag = SITE_EMPTY };
}

int soft_tlb_map(struct tlb *t)
{
	u64 *const array[] = { t->rtag, t->wtag, t->delta };
	int e = 0;

	for (u32 i = 0; i < ARRAY_SIZE(array) && !e; i++)
		e = host_repeat(array[i], sizeof(u64) * TLB_ENTRIES, TLB_VIEWS);
	return e;
}

void soft_tlb_init(struct soft_cpu *c)
{
	for (int m = 0; m < MMU_COUNT; m++) {
		tlb_clear(c, m, 0, 0);	/* 0 is right for all others */
		tlb_clear(c, m, 1, 0);
		for (u32 i = 0; i < SITE_CLASSES * SITES; i++)
			c->site[m][i].tag = SITE_EMPTY;
		c->jc[m][0][0].rip = c->jc[m][1][0].rip = 1;
	}
	stack_sites_drop(c);
}

/* --- the sites ---------------------------------------------------------------- */

static u32 page_bit(u64 linear)
{
	return linear >> PAGE_SHIFT & (SITE_PAGES - 1);
}

/* Those of one half of the address space; write: only those for writing. */
static void sites_drop(struct soft_cpu *c, int m, int half, bool write)
{
	struct site *sites = c->site[m];
	u32 kept = 0;

	for (u32 i = 0; i < c->site_count[m][half]; i++) {
		u16 k = c->site_list[m][half][i];

		if (write && !(k / SITES & 1))
			c->site_list[m][half][kept++] = k;
		else
			sites[k] = (struct site){ .tag = SITE_EMPTY };
	}
	c->site_count[m][half] = kept;
}

static void sites_flush(struct soft_cpu *c, int m, bool keep_global)
{
	if (m == MMU_USER)
		stack_sites_drop(c);
	for (int half = 0; half < 2; half++) {
		if (half && keep_global && !c->high_local[m])
			continue;
		sites_drop(c, m, half, false);
		host_memset(c->site_pages[m][half], 0, sizeof(c->site_pages[m][half]));
	}
}

static void sites_drop_page(struct soft_cpu *c, int m, u64 page)
{
	u32 half = page >> 63, bit = page_bit(page);
	struct site *sites = c->site[m];

	if (m == MMU_USER)
		stack_sites_drop(c);
	if (!(c->site_pages[m][half][bit / 64] >> (bit % 64) & 1))
		return;
	for (u32 i = 0; i < c->site_count[m][half]; i++) {
		struct site *t = &sites[c->site_list[m][half][i]];

		if ((t->tag & PAGE_MASK) == page)
			*t = (struct site){ .tag = SITE_EMPTY };
	}
}

/* The list has filled up with sites that were emptied one by one, and filled again. */
static void sites_list_anew(struct soft_cpu *c, int m, u32 half)
{
	const struct site *sites = c->site[m];
	u32 n = 0;

	for (u32 k = 0; k < SITE_LIST_MAX; k++)
		if (sites[k].tag >> 62 == (half ? 3 : 0))
			c->site_list[m][half][n++] = (u16)k;
	c->site_count[m][half] = n;
}

/* As the fill routines in entry.S do it. */
static void class_site_fill(struct soft_cpu *c, int m, s32 place, u64 linear, u64 delta)
{
	u32 k = ((u32)place - OFF_SITE - (u32)m * SITE_MODE_SIZE) / (u32)sizeof(struct site);
	u32 half = linear >> 63, bit = page_bit(linear);
	struct site *t = &c->site[m][k];

	if ((t->tag ^ linear) >> 62) {	/* empty, or of the other half */
		if (c->site_count[m][half] == SITE_LIST_MAX)
			sites_list_anew(c, m, half);
		c->site_list[m][half][c->site_count[m][half]++] = (u16)k;
	}
	if (k / SITES < SITE_CONST_READ)
		*t = (struct site){ linear & PAGE_MASK, delta };
	else if (k / SITES < SITE_SEG_READ || (linear & ~PAGE_MASK) <= SITE_SEG_MAX)
		*t = (struct site){ linear, linear + delta };
	else
		return;
	c->site_pages[m][half][bit / 64] |= BIT64(bit % 64);
}

/* Those of the stack hold what may be written to; accesses that share a check want the rest. */
static void stack_site_fill(struct soft_cpu *c, s32 place, u64 linear, u64 delta, bool write)
{
	struct site *t = stack_sites(c) + (place - OFF_STACK_SITES) / (s32)sizeof(*t);

	c->fills.stack++;
	*t = (struct site){ write ? linear & PAGE_MASK : SITE_EMPTY, delta };
}

static void site_fill(struct soft_cpu *c, int m, s32 place, u64 linear, u64 delta, bool write)
{
	c->fills.sites++;
	if (place < 0)
		stack_site_fill(c, place, linear, delta, write);
	else
		class_site_fill(c, m, place, linear, delta);
}

/* --- the jump cache -------------------------------------------------------------- */

void soft_jc_flush(struct soft_cpu *c, int m)
{
	c->stats.jc_flushes += c->jc_filled[m][0] != 0;
	soft_far_flush(c, m);
	soft_ret_cut(soft_vcpu(c), m, 0);
	for (int way = 0; way < 2; way++) {
		for (u32 i = 0; i < c->jc_filled[m][way]; i++) {
			u32 k = c->jc_list[m][way][i];

			c->jc[m][way][k].rip = k ? 0 : 1;
		}
		c->jc_filled[m][way] = 0;
	}
	c->jc_local[m] = false;
	host_memset(c->jc_pages[m], 0, sizeof(c->jc_pages[m]));
}

void soft_jc_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions)
{
	for (int m = 0; m < MMU_COUNT; m++)
		for (int way = 0; way < 2; way++) {
			u32 kept = 0;

			for (u32 i = 0; i < c->jc_filled[m][way]; i++) {
				u16 k = c->jc_list[m][way][i];
				struct jc_entry *e = &c->jc[m][way][k];

				if (regions >> soft_region_of(s, (u8 *)(uintptr_t)e->code) & 1)
					e->rip = k ? 0 : 1;
				else
					c->jc_list[m][way][kept++] = k;
			}
			c->jc_filled[m][way] = kept;
		}
}

/* The halves of the address space apart: programs' pages come and go, the kernel's stay. */
static u32 jc_page_bit(u64 linear)
{
	return (linear >> PAGE_SHIFT & (JC_PAGES / 2 - 1)) | (linear >> 63 ? JC_PAGES / 2 : 0);
}

void soft_jc_note(struct soft_cpu *c, int m, u64 linear, bool global)
{
	u32 bit = jc_page_bit(linear);

	c->jc_pages[m][bit / 64] |= BIT64(bit % 64);
	c->jc_local[m] |= !global;
}

static bool jc_knows_page(const struct soft_cpu *c, int m, u64 linear)
{
	u32 bit = jc_page_bit(linear);

	return c->jc_pages[m][bit / 64] >> (bit % 64) & 1;
}

/* Returns what was in the entry; its code is 0 when that was nothing. */
static struct jc_entry jc_put(struct soft_cpu *c, int m, int way, struct jc_entry e)
{
	u32 k = jc_index(way, e.rip);
	struct jc_entry *at = &c->jc[m][way][k], old = *at;

	if (old.rip == (k ? 0u : 1u)) {
		c->jc_list[m][way][c->jc_filled[m][way]++] = (u16)k;
		old.code = 0;
	}
	at->code = e.code;
	at->rip = e.rip;
	return old;
}

static bool is_global(const struct soft_cpu *c, u64 linear)
{
	const struct itlb_entry *e = &c->itlb[linear >> PAGE_SHIFT & (ITLB_ENTRIES - 1)];

	return (e->linear & ~(u64)ITLB_USER) == ((linear & PAGE_MASK) | ITLB_VALID) && e->global;
}

void soft_jc_add(struct vcpu *v, struct block *b)
{
	struct soft_cpu *c = soft_cpu(v);
	int m = MODE_MMU(c->mode);
	u64 rip = v->rip, linear = rip + c->cs_base;
	struct jc_entry old;

	old = jc_put(c, m, 0, (struct jc_entry){ rip, (u64)(uintptr_t)b->indirect });
	if (old.code && old.rip != rip)
		jc_put(c, m, 1, old);
	soft_jc_note(c, m, linear, is_global(c, linear));
	if (b->gpa2)
		soft_jc_note(c, m, linear + PAGE_SIZE, is_global(c, linear + PAGE_SIZE));
}

void soft_itlb_forget_code(struct soft_cpu *c)
{
	for (u32 i = 0; i < ITLB_ENTRIES; i++)
		c->itlb[i].checked = 0;
}

static void itlb_flush(struct soft_cpu *c, bool keep_global)
{
	for (u32 i = 0; i < ITLB_ENTRIES; i++)
		if (!keep_global || !c->itlb[i].global)
			c->itlb[i].linear = 0;
}

/* Entries of one kind; one that has become of the other kind stays, and is in its list. */
static void tlb_flush(struct soft_cpu *c, int m, int way, bool global)
{
	for (u32 i = 0; i < c->tlb_filled[m][way][global]; i++) {
		u32 k = c->tlb_list[m][way][global][i];

		if (!(gpa_of(c, m, way, k) & TLB_GLOBAL) == !global)
			tlb_clear(c, m, way, k);
	}
	c->tlb_filled[m][way][global] = 0;
}

static void flush(struct vcpu *v, bool keep_global)
{
	struct soft_cpu *c = soft_cpu(v);

	keep_global &= !!(v->cr4 & X86_CR4_PGE);
	if (keep_global)
		c->stats.tlb_flushes_local++;
	else
		c->stats.tlb_flushes++;
	for (int m = 0; m < MMU_COUNT; m++) {
		for (int way = 0; way < 2; way++) {
			tlb_flush(c, m, way, false);
			if (!keep_global)
				tlb_flush(c, m, way, true);
		}
		sites_flush(c, m, keep_global);
		c->high_local[m] &= keep_global;
		if (!keep_global || c->jc_local[m])
			soft_jc_flush(c, m);
		soft_ret_cut(v, m, 0);	/* calls from pages that are not in it: STAC */
	}
	itlb_flush(c, keep_global);
	if (!keep_global) {
		c->huge_pages[0] = c->huge_pages[1] = false;
		host_memset(c->large_map, 0, sizeof(c->large_map));
	}
	c->refetch = true;
}

/* Pages of code are compared with what was translated when they are entered next. */
void soft_flush_code(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);

	for (int m = 0; m < MMU_COUNT; m++)
		soft_jc_flush(c, m);
	c->refetch = true;
}

void soft_flush_tlb(struct vcpu *v, bool keep_global)
{
	soft_spaces_drop(soft_cpu(v));
	flush(v, keep_global);
}

void soft_switch_space(struct vcpu *v, u64 from, u64 to, bool keep)
{
	struct soft_cpu *c = soft_cpu(v);

	/* A flush of everything forgets which pages were large. */
	if (soft_switch.no_spaces || !(v->cr4 & X86_CR4_PCIDE) || !(v->cr4 & X86_CR4_PGE)) {
		soft_flush_tlb(v, true);
		c->split &= from == to;
		return;
	}
	if ((from ^ to) & 0xfff)	/* the PCID */
		soft_space_save(c, from);
	flush(v, true);
	c->split &= from == to;
	soft_space_load(c, to, keep);
}

/* The halves of the address space apart: the kernel's map of all memory has large pages. */
static u32 large_bit(u64 linear)
{
	return (linear >> 21 & (LARGE_PAGES / 2 - 1)) | (linear >> 63 ? LARGE_PAGES / 2 : 0);
}

static void note_page_size(struct soft_cpu *c, u64 linear, u8 shift)
{
	u32 bit = large_bit(linear);

	if (shift == 30)
		c->huge_pages[linear >> 63] = true;
	else if (shift == 22)	/* two of the regions that the map knows */
		c->large_map[bit / 64] |= 3ull << (bit % 64 & ~1u);
	else if (shift > PAGE_SHIFT)
		c->large_map[bit / 64] |= BIT64(bit % 64);
}

static bool in_large_page(const struct soft_cpu *c, u64 linear)
{
	u32 bit = large_bit(linear);

	return c->large_map[bit / 64] >> (bit % 64) & 1;
}

void soft_flush_tlb_page(struct vcpu *v, u64 linear)
{
	struct soft_cpu *c = soft_cpu(v);
	struct itlb_entry *e = &c->itlb[linear >> PAGE_SHIFT & (ITLB_ENTRIES - 1)];

	/* A piece of a larger page? */
	if (c->huge_pages[linear >> 63] || in_large_page(c, linear)) {
		soft_flush_tlb(v, false);
		return;
	}
	c->stats.tlb_flushes_page++;
	for (int m = 0; m < MMU_COUNT; m++) {
		for (int way = 0; way < 2; way++) {
			u32 i = tlb_index(way, linear);

			/* A tag for writing comes with one for reading. */
			if (rtag(c, m, way, i) == (linear & PAGE_MASK))
				tlb_clear(c, m, way, i);
		}
		sites_drop_page(c, m, linear & PAGE_MASK);
		soft_ret_cut(v, m, 0);	/* as in flush() */
		if (jc_knows_page(c, m, linear)) {
			soft_jc_flush(c, m);
			c->refetch = true;
		}
	}
	if ((e->linear & ~(u64)ITLB_USER) == ((linear & PAGE_MASK) | ITLB_VALID))
		e->linear = 0;
	/* The code that asks may be of a page that no jump cache knows: as in flush(). */
	if (!(((v->rip + c->cs_base) ^ linear) & PAGE_MASK))
		c->refetch = true;
}

static void tlb_drop_writes(struct soft_cpu *c, int m, int way, u64 gpa)
{
	for (u32 global = 0; global < 2; global++)
		for (u32 i = 0; i < c->tlb_filled[m][way][global]; i++) {
			u32 k = c->tlb_list[m][way][global][i];

			if ((gpa_of(c, m, way, k) & PAGE_MASK) == gpa)
				*wtag(c, m, way, k) = soft_tlb_none(k);
		}
}

/* No fast write to the page at gpa any more: it holds translated code. */
void soft_tlb_drop_writes(struct vcpu *v, u64 gpa)
{
	struct soft_cpu *c = soft_cpu(v);

	soft_spaces_drop(c);
	gpa &= PAGE_MASK;
	stack_sites_drop(c);
	for (int m = 0; m < MMU_COUNT; m++) {
		sites_drop(c, m, 0, true);
		sites_drop(c, m, 1, true);
		tlb_drop_writes(c, m, 0, gpa);
		tlb_drop_writes(c, m, 1, gpa);
	}
}

/* Puts e at index i; true when something else was there, which *old then is. */
static bool tlb_put(struct soft_cpu *c, int m, int way, u32 i, const struct tlb_entry *e,
		    struct tlb_entry *old)
{
	bool global = e->gpa & TLB_GLOBAL;

	*old = soft_tlb_get(c, m, way, i);
	if (old->rtag == soft_tlb_none(i) || !(old->gpa & TLB_GLOBAL) == global) {
		u32 *n = &c->tlb_filled[m][way][global];

		/* What was cleared one by one stays listed. */
		if (*n == (way ? VICTIM_ENTRIES : TLB_ENTRIES)) {
			tlb_flush(c, m, way, false);
			tlb_flush(c, m, way, true);
			*old = soft_tlb_get(c, m, way, i);
		}
		c->tlb_list[m][way][global][(*n)++] = i;
	}
	soft_tlb_set(c, m, way, i, e);
	if (e->wtag != e->rtag)
		*wtag(c, m, way, i) = soft_tlb_none(i);
	return old->rtag != soft_tlb_none(i) && old->rtag != e->rtag;
}

static void tlb_fill(struct soft_cpu *c, int m, u64 linear, const struct xlate *x, u8 *host,
		     bool write)
{
	u64 tag = linear & PAGE_MASK;
	struct tlb_entry old, gone, e = {
		.rtag = tag,
		.wtag = write ? tag : ~tag,
		.delta = ((u64)(uintptr_t)host & PAGE_MASK) - tag,
		.gpa = (x->gpa & PAGE_MASK) | (x->global ? TLB_GLOBAL : 0),
	};
	u32 i = tlb_index(1, linear);

	/* Way 1 may know less than is known now. */
	if (rtag(c, m, 1, i) == tag)
		tlb_clear(c, m, 1, i);
	if (tlb_put(c, m, 0, tlb_index(0, linear), &e, &old))
		tlb_put(c, m, 1, tlb_index(1, old.rtag), &old, &gone);
	c->high_local[m] |= (s64)linear < 0 && !x->global;
	c->stats.tlb_fills++;
}

static void *odd(struct vcpu *v)
{
	v->scratch[0] = SOFT_ODD;
	return NULL;
}

static void *fault(struct vcpu *v)
{
	v->scratch[0] = SOFT_FAULT;
	return NULL;
}

static bool canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

static struct memslot *find_slot(struct vcpu *v, u64 gpa)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 gfn = gpa >> PAGE_SHIFT;

	if (!c->slot_hint || gfn - c->slot_hint->gfn >= c->slot_hint->npages ||
	    c->slot_hint->id >> 16 != v->smm)
		c->slot_hint = vcpu_find_slot(v, gfn);
	return c->slot_hint;
}

/* Looks at a write to a page of slot s: may it go through, may later ones be fast? */
static bool write_access(struct vcpu *v, struct memslot *s, u64 gpa, u32 size, bool *fast)
{
	struct page_state *ps = (struct page_state *)s->engine + ((gpa >> PAGE_SHIFT) - s->gfn);
	struct code_page *cp;

	memslot_mark_dirty(v, s, gpa >> PAGE_SHIFT);
	*fast = true;
	/* Announce the writer before looking for code: soft_code_page looks the other way round. */
	__atomic_fetch_or(&ps->writers, BIT(v->index % 32), __ATOMIC_SEQ_CST);
	cp = __atomic_load_n(&ps->code, __ATOMIC_SEQ_CST);
	if (!cp)
		return true;
	*fast = false;
	return !soft_page_overlaps(cp, gpa, size);
}

/* Turns a fault of an x87 or MMX instruction into the #MF that waits for it. */
static void *fault_after_x87(struct vcpu *v, u32 info)
{
	u16 status;

	if (info & MISS_X87) {
		__asm__ volatile("fnstsw %0" : "=m"(status));
		if (status & BIT(7))
			vcpu_raise(v, EXC_MF);
	}
	return fault(v);
}

/* The exception that the address alone earns, 0: none. */
static u8 refused(const struct soft_cpu *c, u64 linear, u32 info)
{
	u32 align = info & MISS_AC ? MIN(MISS_ALIGN_OF(info), AC_ALIGN_MAX) : MISS_ALIGN_OF(info);
	bool misaligned = align > 1 && (linear & (align - 1));

	if (misaligned && !(info & MISS_AC))
		return EXC_GP;
	if (MODE_BITS(c->mode) == MODE_64 && !canonical(linear))
		return info & MISS_STACK ? EXC_SS : EXC_GP;
	return misaligned ? EXC_AC : 0;
}

static void *group_fails(struct vcpu *v)
{
	soft_cpu(v)->fills.groups++;
	v->scratch[0] = SOFT_GROUP;
	return NULL;
}

/* D bits and the dirty log must not tell of writes that may not come. */
static bool dirty_already(const struct vcpu *v, const struct memslot *s, const struct xlate *x)
{
	u64 i = (x->gpa >> PAGE_SHIFT) - s->gfn;

	if ((v->cr0 & X86_CR0_PG) && !(x->writable && x->dirty))
		return false;
	return !s->dirty || (s->dirty[i / 64] >> (i % 64) & 1);
}

/* The range of a group: it passes whole, with nothing left to note, or not at all. */
static void *group_miss(struct vcpu *v, u64 linear, u32 info, s32 site)
{
	struct soft_cpu *c = soft_cpu(v);
	bool write = info & MISS_WRITE, fast = false;
	struct memslot *s;
	struct xlate x;
	u8 *host;

	if (!canonical(linear) || (linear & ~PAGE_MASK) + MISS_SIZE(info) > PAGE_SIZE ||
	    mmu_walk(v, linear, MMU_READ, &x))
		return group_fails(v);
	s = find_slot(v, x.gpa);
	if (!s || (write && ((s->flags & KVM_MEM_READONLY) || !dirty_already(v, s, &x))))
		return group_fails(v);
	if (write && (!write_access(v, s, x.gpa, MISS_SIZE(info), &fast) || !fast))
		return group_fails(v);
	host = (u8 *)(uintptr_t)(s->hva + (x.gpa - (s->gfn << PAGE_SHIFT)));
	note_page_size(c, linear, x.page_shift);
	tlb_fill(c, MODE_MMU(c->mode), linear, &x, host, write);
	if (site)
		site_fill(c, MODE_MMU(c->mode), site, linear, (u64)(uintptr_t)host - linear, write);
	return host;
}

/*
 * size bytes from linear on lie in two pages: an instruction that only reads finds
 * them in the bounce buffer. NULL: it is no plain memory, or not there.
 */
static void *crossing_read(struct vcpu *v, u64 linear, u32 size)
{
	struct soft_cpu *c = soft_cpu(v);
	u32 first = (u32)(PAGE_SIZE - (linear & ~PAGE_MASK));
	const void *from;

	if (soft_switch.no_crossing || MODE_BITS(c->mode) != MODE_64 || size > 64)
		return NULL;
	from = mem_ptr(v, linear, first, MMU_READ);
	if (!from || host_guest_copy(c->bounce, from, first))
		return NULL;
	from = mem_ptr(v, linear + first, size - first, MMU_READ);
	if (!from || host_guest_copy(c->bounce + first, from, size - first))
		return NULL;
	return c->bounce;
}

static void *tlb_miss(struct vcpu *v, u64 linear, u32 info, s32 site)
{
	struct soft_cpu *c = soft_cpu(v);
	bool write = info & MISS_WRITE, fast = false;
	u32 size = MISS_SIZE(info);
	int m = MODE_MMU(c->mode);
	struct memslot *s;
	struct xlate x;
	u8 *host, vector;

	c->stats.tlb_misses++;
	v->fault_stack = info & MISS_STACK;
	if (MODE_BITS(c->mode) != MODE_64)
		v->rip = (u32)v->rip;
	if (info & MISS_GROUP)
		return group_miss(v, linear, info, site);
	vector = refused(c, linear, info);
	if (unlikely(vector)) {
		if (info & MISS_MASKED)
			return odd(v);
		vcpu_raise_error(v, vector, 0);
		return fault_after_x87(v, info);
	}
	if ((linear & ~PAGE_MASK) + size > PAGE_SIZE) {
		host = write ? NULL : crossing_read(v, linear, size);
		return host ? host : odd(v);
	}
	if (mmu_walk(v, linear, write ? MMU_WRITE | MMU_READ : MMU_READ, &x)) {
		if (info & MISS_MASKED)
			return odd(v);
		vcpu_raise_pf(v, linear, x.error);
		return fault_after_x87(v, info);
	}
	s = find_slot(v, x.gpa);
	if (!s || (write && (s->flags & KVM_MEM_READONLY)))
		return odd(v);
	if (write && memslot_write_waits(v, s, x.gpa >> PAGE_SHIFT)) {
		vcpu_request(v, REQ_EVENT);
		return fault(v);	/* no exception: it starts again when there is room */
	}
	host = (u8 *)(uintptr_t)(s->hva + (x.gpa - (s->gfn << PAGE_SHIFT)));
	note_page_size(c, linear, x.page_shift);
	if (write && !write_access(v, s, x.gpa, size, &fast))
		return odd(v);
	tlb_fill(c, m, linear, &x, host, write && fast);
	if (site && (!write || fast))
		site_fill(c, m, site, linear, (u64)(uintptr_t)host - linear, write);
	return host;
}

void *soft_tlb_miss(struct vcpu *v, u64 linear, u32 info, s32 site)
{
	u64 start = soft_clock();
	void *host = tlb_miss(v, linear, info, site);

	soft_cpu(v)->stats.tlb_time += soft_clock() - start;
	return host;
}

void soft_tlb_note(struct vcpu *v, const struct tlb *t, u64 linear, const struct xlate *x,
		   struct memslot *s, bool write)
{
	struct soft_cpu *c = soft_cpu(v);
	bool fast = false;

	note_page_size(c, linear, x->page_shift);
	if (write && !memslot_write_waits(v, s, x->gpa >> PAGE_SHIFT))
		write_access(v, s, x->gpa, 1, &fast);
	tlb_fill(c, (int)(t - c->tlb), linear, x,
		 (u8 *)(uintptr_t)(s->hva + (x->gpa - (s->gfn << PAGE_SHIFT))), fast);
}

struct itlb_entry *soft_itlb(struct vcpu *v, u64 linear)
{
	struct soft_cpu *c = soft_cpu(v);
	struct itlb_entry *e = &c->itlb[linear >> PAGE_SHIFT & (ITLB_ENTRIES - 1)];
	u64 key = (linear & PAGE_MASK) | ITLB_VALID | (v->cpl == 3 ? ITLB_USER : 0);
	struct memslot *s;
	struct xlate x;

	if (e->linear == key)
		return e;
	if (vcpu_64bit(v) && !canonical(linear)) {
		vcpu_raise_error(v, EXC_GP, 0);
		return NULL;
	}
	c->stats.itlb_misses++;
	if (mmu_walk(v, linear, MMU_EXEC, &x)) {
		vcpu_raise_pf(v, linear, x.error);
		return NULL;
	}
	note_page_size(c, linear, x.page_shift);
	s = find_slot(v, x.gpa);
	e->linear = key;
	e->checked = 0;
	e->gpa = x.gpa & PAGE_MASK;
	e->global = x.global;
	e->host = s ? (u8 *)(uintptr_t)(s->hva + (e->gpa - (s->gfn << PAGE_SHIFT))) : NULL;
	return e;
}
