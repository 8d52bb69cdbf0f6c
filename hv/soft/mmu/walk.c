/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page walks: from a linear address through the guest's page tables to a
 * guest-physical one, with the rights of the page, accessed and dirty bits and
 * the page-fault error code.
 *
 * Intel SDM vol. 3 chapter 4: 32-bit paging with PSE-36 (4.3), PAE paging with
 * the PDPTE registers (4.4), 4-level paging with 1G pages (4.5), access rights
 * (4.6), exceptions (4.7), accessed and dirty flags (4.8).
 *
 * What the manuals leave to the implementation: accessed and dirty bits are
 * set only once the whole walk and the rights have been checked; an entry in
 * read-only memory keeps its bits; a table that is not in memory, or in memory
 * that its owner has taken away, faults as an entry that is not present.
 */
#include <errno.h>

#include "mmu.h"

#define PTE_P BIT64(0)
#define PTE_W BIT64(1)
#define PTE_U BIT64(2)
#define PTE_A BIT64(5)
#define PTE_D BIT64(6)
#define PTE_PS BIT64(7)
#define PTE_G BIT64(8)
#define PTE_NX BIT64(63)
#define PTE_ADDR 0x000ffffffffff000ull

#define WALK_LEVELS 4

/* The entries a walk went through, root first. */
struct walk {
	struct vcpu *v;
	u64 linear;
	u64 rsvd;		/* reserved in every entry */
	u32 access;
	bool peek;
	u8 n;
	u8 shift;		/* of the page */
	u64 all;		/* AND of the entries: P, W, U, A */
	u64 any;		/* OR of the entries: NX */
	u64 entry[WALK_LEVELS];
	void *ptr[WALK_LEVELS];
	u64 gpa[WALK_LEVELS];
	struct memslot *slot[WALK_LEVELS];
};

enum { WALK_OK, WALK_ABSENT, WALK_RSVD };

struct memslot *mmu_slot_slow(struct vcpu *v, u64 gpa, u32 hint)
{
	const struct slot_array *slots = vcpu_slots(v);
	struct memslot *s = slot_array_find(slots, gpa >> PAGE_SHIFT);

	if (s) {
		v->mmu_hint[hint].slots = slots;
		v->mmu_hint[hint].slot = s;
	}
	return s;
}

static inline u64 physical_rsvd(const struct vcpu *v)
{
	u64 bits = v->cpuid_maxphyaddr;

	if (unlikely(bits < 32 || bits > 52))
		bits = VM_PHYS_BITS;
	return PTE_ADDR & ~(BIT64(bits) - 1);
}

/* KVM_TRANSLATE may come from a thread that fault signals would kill. */
static inline int fetch(const struct walk *w, const void *p, u32 size, u64 *e)
{
	*e = 0;
	if (likely(!w->peek || host_in_run()))
		return host_guest_load(p, size, e);
	return host_copy_from_user(e, (u64)(uintptr_t)p, size);
}

/* Fetches one entry (size 4 or 8) and accounts it. */
static inline int walk_entry(struct walk *w, u64 gpa, u32 size, u64 *entry)
{
	struct memslot *s = w->peek ? vcpu_find_slot(w->v, gpa >> PAGE_SHIFT) :
				      mmu_slot(w->v, gpa, MMU_HINT_TABLE);
	void *p;
	u64 e;

	if (unlikely(!s))
		return WALK_ABSENT;
	p = (void *)(uintptr_t)(s->hva + (gpa - (s->gfn << PAGE_SHIFT)));
	if (unlikely(fetch(w, p, size, &e)) || !(e & PTE_P))
		return WALK_ABSENT;
	if (unlikely(e & w->rsvd))
		return WALK_RSVD;
	w->all &= e;
	w->any |= e;
	w->entry[w->n] = e;
	w->ptr[w->n] = p;
	w->gpa[w->n] = gpa;
	w->slot[w->n++] = s;
	*entry = e;
	return WALK_OK;
}

/* Levels of 8-byte entries from the one that maps `shift` bits. */
static inline int walk_wide(struct walk *w, u64 table, u32 shift, struct xlate *x)
{
	u64 e;
	int r;

	for (;; shift -= 9) {
		r = walk_entry(w, table + ((w->linear >> shift & 511) << 3), 8, &e);
		if (unlikely(r))
			return r;
		if (shift == 12)
			break;
		if (e & PTE_PS) {
			/* The large page's address: all but the PAT bit must be aligned. */
			if (unlikely(shift == 39 || (e & (BIT64(shift) - 1) & ~0x1fffull)))
				return WALK_RSVD;
			break;
		}
		table = e & PTE_ADDR;
	}
	w->shift = (u8)shift;
	x->gpa = (e & PTE_ADDR & ~(BIT64(shift) - 1)) | (w->linear & (BIT64(shift) - 1));
	return WALK_OK;
}

static int walk_long(struct walk *w, struct xlate *x)
{
	const struct vcpu *v = w->v;

	w->rsvd = physical_rsvd(v) | (v->efer & X86_EFER_NX ? 0 : PTE_NX);
	return walk_wide(w, v->cr3 & PTE_ADDR, 39, x);
}

static int walk_pae(struct walk *w, struct xlate *x)
{
	const struct vcpu *v = w->v;
	u64 e = v->pdpte[w->linear >> 30 & 3];

	if (!(e & PTE_P))
		return WALK_ABSENT;
	/* Bits 52..62, which 4-level paging ignores, are reserved. */
	w->rsvd = physical_rsvd(v) | 0x7ff0000000000000ull |
		  (v->efer & X86_EFER_NX ? 0 : PTE_NX);
	return walk_wide(w, e & PTE_ADDR, 21, x);
}

static int walk_narrow(struct walk *w, struct xlate *x)
{
	const struct vcpu *v = w->v;
	u64 e, high;
	int r;

	r = walk_entry(w, (v->cr3 & 0xfffff000) + ((w->linear >> 22 & 1023) << 2), 4, &e);
	if (r)
		return r;
	if ((e & PTE_PS) && (v->cr4 & X86_CR4_PSE)) {
		/* PSE-36: bits 13..20 are address bits 32..39. */
		high = (e >> 13 & 0xff) << 32;
		if ((e & BIT64(21)) || (high & physical_rsvd(v)))
			return WALK_RSVD;
		w->shift = 22;
		x->gpa = high | (e & 0xffc00000) | (w->linear & 0x3fffff);
		return WALK_OK;
	}
	r = walk_entry(w, (e & 0xfffff000) + ((w->linear >> 12 & 1023) << 2), 4, &e);
	if (r)
		return r;
	w->shift = 12;
	x->gpa = (e & 0xfffff000) | (w->linear & 0xfff);
	return WALK_OK;
}

static inline bool is_user(const struct vcpu *v, u32 access)
{
	return v->cpl == 3 && !(access & MMU_SUPER);
}

/* The error-code bits that tell of the access itself. */
static u32 access_error(const struct vcpu *v, u32 access)
{
	u32 error = 0;

	if (access & MMU_WRITE)
		error |= PFERR_W;
	if (is_user(v, access))
		error |= PFERR_U;
	if ((access & MMU_EXEC) && ((v->cr4 & X86_CR4_SMEP) ||
				    ((v->cr4 & X86_CR4_PAE) && (v->efer & X86_EFER_NX))))
		error |= PFERR_I;
	return error;
}

static inline bool access_allowed(const struct vcpu *v, u32 access, const struct xlate *x)
{
	if (is_user(v, access)) {
		if (!x->user && (access & MMU_SYSTEM_MASK))
			return false;
		if ((access & MMU_WRITE) && !x->writable)
			return false;
	} else {
		if ((access & MMU_WRITE) && !x->writable && (v->cr0 & X86_CR0_WP))
			return false;
		if (x->user && (access & MMU_EXEC) && (v->cr4 & X86_CR4_SMEP))
			return false;
		if (x->user && (access & (MMU_READ | MMU_WRITE)) && (v->cr4 & X86_CR4_SMAP) &&
		    ((access & MMU_SUPER) || !(v->sysflags & X86_FL_AC)))
			return false;
	}
	return !(access & MMU_EXEC) || x->executable;
}

/* Sets accessed bits and the page's dirty bit: 1; 0 when an entry changed meanwhile; -EFAULT. */
static int walk_set_bits(struct walk *w, u32 size)
{
	u32 i;

	for (i = 0; i < w->n; i++) {
		u64 old = w->entry[i];
		u64 new = old | PTE_A;
		int done;

		if (i == w->n - 1u && (w->access & MMU_WRITE))
			new |= PTE_D;
		if (new == old || (w->slot[i]->flags & KVM_MEM_READONLY))
			continue;
		done = host_guest_exchange(w->ptr[i], size, old, new);
		if (done <= 0)
			return done;
		mmu_written(w->v, w->slot[i], w->gpa[i], size);
	}
	return 1;
}

static int identity(struct vcpu *v, u64 linear, struct xlate *x)
{
	x->gpa = vcpu_long_mode(v) ? linear : (u32)linear;
	x->page_shift = PAGE_SHIFT;
	x->user = x->writable = x->executable = x->dirty = true;
	x->global = false;
	x->error = 0;
	return 0;
}

static inline int walk_once(struct walk *w, struct xlate *x)
{
	struct vcpu *v = w->v;

	w->n = 0;
	w->all = PTE_P | PTE_W | PTE_U | PTE_A;
	w->any = 0;
	w->rsvd = 0;
	if (likely(vcpu_long_mode(v)))
		return walk_long(w, x);
	w->linear = (u32)w->linear;
	return v->cr4 & X86_CR4_PAE ? walk_pae(w, x) : walk_narrow(w, x);
}

static inline int walk(struct vcpu *v, u64 linear, u32 access, bool peek, struct xlate *x)
{
	struct walk w;
	u64 leaf;
	int r;

	if (!(v->cr0 & X86_CR0_PG))
		return identity(v, linear, x);
	w.v = v;
	w.linear = linear;
	w.access = access;
	w.peek = peek;
again:
	r = walk_once(&w, x);
	if (unlikely(r)) {
		x->error = access_error(v, access) |
			   (r == WALK_RSVD ? PFERR_P | PFERR_RSVD : 0);
		return -EFAULT;
	}
	leaf = w.entry[w.n - 1];
	x->page_shift = w.shift;
	x->user = !!(w.all & PTE_U);
	x->writable = !!(w.all & PTE_W);
	x->executable = !(w.any & PTE_NX);
	x->global = (leaf & PTE_G) && (v->cr4 & X86_CR4_PGE);
	x->error = 0;
	if (unlikely(!access_allowed(v, access, x))) {
		x->error = access_error(v, access) | PFERR_P;
		return -EFAULT;
	}
	x->dirty = (leaf & PTE_D) || (!peek && (access & MMU_WRITE));
	if (peek || likely((w.all & PTE_A) && ((leaf & PTE_D) || !(access & MMU_WRITE))))
		return 0;
	r = walk_set_bits(&w, v->cr4 & X86_CR4_PAE ? 8 : 4);
	if (!r)
		goto again;
	if (likely(r > 0))
		return 0;
	x->error = access_error(v, access);
	return -EFAULT;
}

int mmu_walk(struct vcpu *v, u64 linear, u32 access, struct xlate *x)
{
	v->stat.page_walks++;
	return walk(v, linear, access, false, x);
}

int mmu_peek(struct vcpu *v, u64 linear, u32 access, struct xlate *x)
{
	return walk(v, linear, access, true, x);
}
