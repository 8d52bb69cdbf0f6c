/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address spaces that come back. A guest that uses PCIDs may load CR3 without
 * giving up what is known of the address space that it leaves, or of the one
 * that it enters (Intel SDM vol. 3, 4.10.4.1). The caches of translations hold
 * one address space; what they know of a few others is put aside here, and
 * put back.
 *
 * A cache may forget at any time. So whatever is not simply the change from
 * one address space to another (a flush of more than that, code that was
 * overwritten, a page that is no longer written without a look) drops all that
 * was put aside.
 */
#include "soft.h"

#define SPACES 8
#define MAX_SITES 1024
#define MAX_FAR 2048
#define MAX_JC 2048
#define MAX_TLB 1024

struct space {
	u64 cr3, used;		/* used: when last, 0: it holds nothing */
	bool split;
	u32 jc_context;
	u64 jc_base;
	u32 site_count[MMU_COUNT], far_count, jc_count[2], tlb_count[MMU_COUNT][2];
	struct {
		u16 k;
		struct site e;
	} site[MMU_COUNT][MAX_SITES];
	struct {
		u32 k;
		u8 region;	/* to which it leads */
		u64 code;
	} far[MAX_FAR];
	struct {
		u16 k;
		struct jc_entry e;
	} jc[2][MAX_JC];
	struct {
		u32 k;
		struct tlb_entry e;
	} tlb[MMU_COUNT][2][MAX_TLB];
	/* of the lower half */
	u64 site_pages[MMU_COUNT][SITE_PAGES / 64], jc_pages[JC_PAGES / 2 / 64];
};

struct spaces {
	u64 clock;
	bool any;
	struct space space[SPACES];
};

void soft_spaces_drop(struct soft_cpu *c)
{
	struct spaces *all = c->spaces;

	if (!all || !all->any)
		return;
	for (u32 i = 0; i < SPACES; i++)
		all->space[i].used = 0;
	all->any = false;
}

static void forget(struct space *sp, const struct soft_vm *s, u32 regions)
{
	u32 kept = 0;

	for (u32 i = 0; i < sp->far_count; i++)
		if (!((regions >> sp->far[i].k / REGION_FAR | regions >> sp->far[i].region) & 1))
			sp->far[kept++] = sp->far[i];
	sp->far_count = kept;
	for (int way = 0; way < 2; way++) {
		kept = 0;
		for (u32 i = 0; i < sp->jc_count[way]; i++) {
			u8 *code = (u8 *)(uintptr_t)sp->jc[way][i].e.code;

			if (!(regions >> soft_region_of(s, code) & 1))
				sp->jc[way][kept++] = sp->jc[way][i];
		}
		sp->jc_count[way] = kept;
	}
}

void soft_spaces_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions)
{
	for (u32 i = 0; c->spaces && i < SPACES; i++)
		if (c->spaces->space[i].used)
			forget(&c->spaces->space[i], s, regions);
}

void soft_spaces_free(struct soft_cpu *c)
{
	if (c->spaces)
		host_unmap(c->spaces, sizeof(*c->spaces));
	c->spaces = NULL;
}

/* The one of cr3, or with make the one longest not used. */
static struct space *find(struct soft_cpu *c, u64 cr3, bool make)
{
	struct space *s, *oldest;

	if (!c->spaces && make)
		c->spaces = host_map(sizeof(*c->spaces));
	if (!c->spaces)
		return NULL;
	oldest = s = c->spaces->space;
	for (; s < c->spaces->space + SPACES; s++) {
		if (s->used && s->cr3 == cr3)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	return make ? oldest : NULL;
}

/* --- putting aside --------------------------------------------------------------- */

static void save_sites(const struct soft_cpu *c, struct space *s, int m)
{
	u32 n = 0;

	for (u32 i = 0; i < c->site_count[m][0] && n < MAX_SITES; i++) {
		u16 k = c->site_list[m][0][i];

		if (c->site[m][k].tag >> 62)	/* empty, or of the other half */
			continue;
		s->site[m][n].k = k;
		s->site[m][n++].e = c->site[m][k];
	}
	s->site_count[m] = n;
	host_memcpy(s->site_pages[m], c->site_pages[m][0], sizeof(s->site_pages[m]));
}

static void save_tlb(const struct soft_cpu *c, struct space *s, int m, int way)
{
	u32 n = 0;

	for (u32 i = 0; i < c->tlb_filled[m][way][0] && n < MAX_TLB; i++) {
		u32 k = c->tlb_list[m][way][0][i];
		struct tlb_entry e = soft_tlb_get(c, m, way, k);

		if (e.rtag == soft_tlb_none(k) || e.gpa & TLB_GLOBAL)
			continue;
		s->tlb[m][way][n].k = k;
		s->tlb[m][way][n++].e = e;
	}
	s->tlb_count[m][way] = n;
}

/* Jumps of ring 3 alone: those of ring 0 are of global pages. */
static void save_jumps(const struct soft_cpu *c, struct space *s)
{
	u32 n = 0;

	for (u32 i = 0; i < c->far_filled[MMU_USER] && n < MAX_FAR; i++) {
		u32 listed = c->far_list[MMU_USER][i], k = soft_far_slot(listed);

		s->far[n].k = k;
		s->far[n].region = (u8)(listed >> FAR_REGION_SHIFT);
		s->far[n++].code = c->far[k];
	}
	s->far_count = n;
	for (int way = 0; way < 2; way++) {
		for (n = 0; n < c->jc_filled[MMU_USER][way] && n < MAX_JC; n++) {
			u16 k = c->jc_list[MMU_USER][way][n];

			s->jc[way][n].k = k;
			s->jc[way][n].e = c->jc[MMU_USER][way][k];
		}
		s->jc_count[way] = n;
	}
	s->jc_context = c->jc_context[MMU_USER];
	s->jc_base = c->jc_base[MMU_USER];
	host_memcpy(s->jc_pages, c->jc_pages[MMU_USER], sizeof(s->jc_pages));
}

void soft_space_save(struct soft_cpu *c, u64 cr3)
{
	struct space *s = find(c, cr3, true);

	if (!s)
		return;
	s->cr3 = cr3;
	s->used = ++c->spaces->clock;
	s->split = c->split;
	c->spaces->any = true;
	for (int m = 0; m < MMU_COUNT; m++) {
		save_sites(c, s, m);
		save_tlb(c, s, m, 0);
		save_tlb(c, s, m, 1);
	}
	save_jumps(c, s);
}

/* --- putting back, into what was just flushed --------------------------------------- */

static void load_sites(struct soft_cpu *c, const struct space *s, int m)
{
	for (u32 i = 0; i < s->site_count[m]; i++) {
		struct site *t = &c->site[m][s->site[m][i].k];

		if (t->tag != SITE_EMPTY || c->site_count[m][0] == SITE_LIST_MAX)
			continue;
		*t = s->site[m][i].e;
		c->site_list[m][0][c->site_count[m][0]++] = s->site[m][i].k;
	}
	for (u32 i = 0; i < ARRAY_SIZE(s->site_pages[m]); i++)
		c->site_pages[m][0][i] |= s->site_pages[m][i];
}

static void load_tlb(struct soft_cpu *c, const struct space *s, int m, int way)
{
	for (u32 i = 0; i < s->tlb_count[m][way]; i++) {
		u32 k = s->tlb[m][way][i].k;
		const struct tlb_entry *e = &s->tlb[m][way][i].e;

		if (soft_tlb_get(c, m, way, k).rtag != soft_tlb_none(k) ||
		    c->tlb_filled[m][way][0] == (way ? VICTIM_ENTRIES : TLB_ENTRIES))
			continue;
		soft_tlb_set(c, m, way, k, e);
		c->high_local[m] |= (s64)e->rtag < 0;
		c->tlb_list[m][way][0][c->tlb_filled[m][way][0]++] = k;
	}
}

static void load_jumps(struct soft_cpu *c, const struct space *s)
{
	int m = MMU_USER;

	if (!c->far_filled[m] && !c->jc_filled[m][0] && !c->jc_filled[m][1]) {
		c->jc_context[m] = s->jc_context;
		c->jc_base[m] = s->jc_base;
	}
	if (c->jc_context[m] != s->jc_context || c->jc_base[m] != s->jc_base)
		return;
	for (u32 i = 0; i < s->far_count; i++) {
		u64 *to = &c->far[s->far[i].k], stub = c->far_stub[s->far[i].k];

		if (*to != stub || s->far[i].code == stub)
			continue;
		*to = s->far[i].code;
		c->far_list[m][c->far_filled[m]++] =
			s->far[i].k | (u32)s->far[i].region << FAR_REGION_SHIFT;
	}
	for (int way = 0; way < 2; way++)
		for (u32 i = 0; i < s->jc_count[way]; i++) {
			u16 k = s->jc[way][i].k;
			struct jc_entry *e = &c->jc[m][way][k];

			if (e->rip != (k ? 0u : 1u) || s->jc[way][i].e.rip == e->rip)
				continue;
			*e = s->jc[way][i].e;
			c->jc_list[m][way][c->jc_filled[m][way]++] = k;
		}
	for (u32 i = 0; i < ARRAY_SIZE(s->jc_pages); i++)
		c->jc_pages[m][i] |= s->jc_pages[i];
	c->jc_local[m] = true;
}

static void drop_pcid(struct soft_cpu *c, u64 cr3)
{
	for (u32 i = 0; c->spaces && i < SPACES; i++)
		if (!((c->spaces->space[i].cr3 ^ cr3) & 0xfff))
			c->spaces->space[i].used = 0;
}

void soft_space_load(struct soft_cpu *c, u64 cr3, bool keep)
{
	struct space *s = find(c, cr3, false);

	c->split |= s && s->split;
	drop_pcid(c, cr3);	/* from now on the caches know better */
	if (!s || !keep)
		return;
	for (int m = 0; m < MMU_COUNT; m++) {
		load_sites(c, s, m);
		load_tlb(c, s, m, 0);
		load_tlb(c, s, m, 1);
	}
	load_jumps(c, s);
}
