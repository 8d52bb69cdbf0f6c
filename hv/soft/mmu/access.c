/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and writes of linear memory by the emulation. An access is cut where
 * it crosses pages; each piece is translated before any is performed, so that
 * a fault changes nothing. A piece meets RAM, read-only memory (KVM: reads
 * are memory, writes are MMIO) or a hole, which is a device of ours or one of
 * user space. Device accesses are cut into fragments of at most 8 bytes, the
 * size of struct kvm_run's mmio.data (KVM API, 5. The kvm_run structure).
 *
 * Accesses of 1, 2, 4 and 8 bytes to RAM are single host instructions, and so
 * are as atomic as the guest may expect.
 */
#include <errno.h>

#include "../soft.h"
#include "mmu.h"

#define MAX_PIECES (MEM_MAX_SIZE / PAGE_SIZE + 1)

/* The part of an access that lies in one page. */
struct piece {
	u8 *host;	/* NULL: MMIO */
	struct memslot *slot;
	u64 gpa;
	u32 len;
};

static inline bool canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

/* Where the RAM of gpa is in the host, for this access; NULL: MMIO. */
static u8 *ram(struct vcpu *v, u64 gpa, u32 access, struct memslot **slot)
{
	struct memslot *s = mmu_slot(v, gpa, MMU_HINT_DATA);

	if (!s || ((access & MMU_WRITE) && (s->flags & KVM_MEM_READONLY)))
		return NULL;
	*slot = s;
	return (u8 *)(uintptr_t)(s->hva + (gpa - (s->gfn << PAGE_SHIFT)));
}

/*
 * The TLB of translated code that may answer; NULL: none. That of supervisors who may not
 * touch users' pages, where there are such, is right for implicit accesses at any CPL.
 */
static inline struct tlb *tlb_for(const struct vcpu *v, u32 access)
{
	if (v->mode_stale || (access & ~(MMU_READ | MMU_WRITE | MMU_STACK | MMU_SUPER)))
		return NULL;
	if (access & MMU_SUPER)
		return v->system_tlb;
	return v->data_rights == mmu_rights(v) ? v->data_tlb : NULL;
}

/* What it knows: the host address, or NULL. */
static inline u8 *known(struct vcpu *v, u64 linear, u32 size, u32 access)
{
	const struct tlb *t = tlb_for(v, access);

	if (!t || (linear & ~PAGE_MASK) + size > PAGE_SIZE)
		return NULL;
	return soft_tlb_known(t, linear, access & MMU_WRITE);
}

static inline void note(struct vcpu *v, u64 linear, const struct xlate *x, struct memslot *s,
			u32 access)
{
	struct tlb *t = tlb_for(v, access);

	if (t)
		soft_tlb_note(v, t, linear, x, s, access & MMU_WRITE);
}

/* Cuts and translates an access. Fills p[MAX_PIECES] and *n. */
static enum emu translate(struct vcpu *v, u64 linear, u32 size, u32 access, struct piece *p,
			  u32 *n)
{
	bool wide = vcpu_long_mode(v);
	struct xlate x;
	u32 i;

	if (unlikely(size > MEM_MAX_SIZE))
		return EMU_UNHANDLED;
	for (i = 0; size; i++, p++) {
		if (!wide) {
			linear = (u32)linear;
		} else if (unlikely(!canonical(linear))) {
			vcpu_raise_error(v, access & MMU_STACK ? EXC_SS : EXC_GP, 0);
			return EMU_FAULT;
		}
		if (unlikely(mmu_walk(v, linear, access, &x))) {
			vcpu_raise_pf(v, linear, x.error);
			return EMU_FAULT;
		}
		p->gpa = x.gpa;
		p->len = MIN(size, (u32)(PAGE_SIZE - (linear & ~PAGE_MASK)));
		p->host = ram(v, x.gpa, access, &p->slot);
		if (p->host)
			note(v, linear, &x, p->slot, access);
		linear += p->len;
		size -= p->len;
	}
	*n = i;
	return EMU_NEXT;
}

/* --- MMIO ------------------------------------------------------------------ */

static enum emu mmio_ask(struct vcpu *v, u64 gpa, u32 len)
{
	struct mmio_fragment *f;

	if (v->mmio_reads >= MMIO_FRAGMENTS)
		return EMU_UNHANDLED;
	f = &v->mmio[v->mmio_reads];
	f->gpa = gpa;
	f->len = len;
	host_memset(f->data, 0, sizeof(f->data));
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = gpa;
	v->run->mmio.len = len;
	v->run->mmio.is_write = 0;
	host_memset(v->run->mmio.data, 0, sizeof(v->run->mmio.data));
	return EMU_EXIT;
}

static enum emu mmio_read(struct vcpu *v, u64 gpa, u8 *dst, u32 size)
{
	while (size) {
		u32 len = MIN(size, 8u);

		if (bus_mmio(v->vm, v, gpa, len, dst, false)) {
			struct mmio_fragment *f = &v->mmio[v->mmio_read_next];

			if (v->mmio_read_next >= MIN(v->mmio_reads, (u32)MMIO_FRAGMENTS))
				return mmio_ask(v, gpa, len);
			if (f->gpa != gpa || f->len != len) {
				/* The guest changed its mind since: ask for what it wants now. */
				v->mmio_reads = v->mmio_read_next;
				return mmio_ask(v, gpa, len);
			}
			host_memcpy(dst, f->data, len);
			v->mmio_read_next++;
		}
		gpa += len;
		dst += len;
		size -= len;
	}
	return EMU_NEXT;
}

/* The caller has made sure that the queue holds all of it. */
static void mmio_write(struct vcpu *v, u64 gpa, const u8 *src, u32 size)
{
	while (size) {
		struct mmio_fragment *f = &v->mmio_write[v->mmio_writes];
		u32 len = MIN(size, 8u);
		u8 data[8];

		host_memcpy(data, src, len);
		if (bus_mmio(v->vm, v, gpa, len, data, true)) {
			f->gpa = gpa;
			f->len = len;
			host_memset(f->data, 0, sizeof(f->data));
			host_memcpy(f->data, src, len);
			v->mmio_writes++;
		}
		gpa += len;
		src += len;
		size -= len;
	}
}

static bool mmio_room(const struct vcpu *v, const struct piece *p, u32 n)
{
	u64 need = v->mmio_writes;

	for (; n; n--, p++)
		if (!p->host)
			need += (p->len + 7) / 8;
	return need <= MMIO_FRAGMENTS;
}

/* --- the interface --------------------------------------------------------- */

enum emu mem_read(struct vcpu *v, u64 linear, void *dst, u32 size, u32 access)
{
	struct piece piece[MAX_PIECES];
	u8 *d = dst, *host = known(v, linear, size, access);
	u32 i, n;
	enum emu e;

	if (likely(host))
		return host_guest_copy(d, host, size) ? EMU_GONE : EMU_NEXT;
	e = translate(v, linear, size, access, piece, &n);
	for (i = 0; e == EMU_NEXT && i < n; i++) {
		if (likely(piece[i].host))
			e = host_guest_copy(d, piece[i].host, piece[i].len) ? EMU_GONE : EMU_NEXT;
		else
			e = mmio_read(v, piece[i].gpa, d, piece[i].len);
		d += piece[i].len;
	}
	return e;
}

enum emu mem_write(struct vcpu *v, u64 linear, const void *src, u32 size, u32 access)
{
	struct piece piece[MAX_PIECES];
	u8 *host = known(v, linear, size, access | MMU_WRITE);
	const u8 *s = src;
	u32 i, n;
	enum emu e;

	if (likely(host))
		return host_guest_copy(host, s, size) ? EMU_GONE : EMU_NEXT;
	e = translate(v, linear, size, access | MMU_WRITE, piece, &n);
	if (e != EMU_NEXT)
		return e;
	if (unlikely(!mmio_room(v, piece, n)))
		return EMU_UNHANDLED;
	for (i = 0; i < n; i++) {
		struct piece *p = &piece[i];

		if (likely(p->host)) {
			if (unlikely(host_guest_copy(p->host, s, p->len)))
				return EMU_GONE;
			mmu_written(v, p->slot, p->gpa, p->len);
		} else {
			mmio_write(v, p->gpa, s, p->len);
		}
		s += p->len;
	}
	return EMU_NEXT;
}

enum emu mem_probe_write(struct vcpu *v, u64 linear, u32 size, u32 access)
{
	struct piece piece[MAX_PIECES];
	u32 i, n;
	enum emu e;
	u8 *host;

	host = known(v, linear, size, access | MMU_WRITE);
	if (likely(host))
		return host_guest_touch(host) ? EMU_GONE : EMU_NEXT;
	e = translate(v, linear, size, access | MMU_WRITE, piece, &n);
	if (e == EMU_NEXT && unlikely(!mmio_room(v, piece, n)))
		return EMU_UNHANDLED;
	for (i = 0; e == EMU_NEXT && i < n; i++)
		if (piece[i].host && host_guest_touch(piece[i].host))
			e = EMU_GONE;
	return e;
}

void *mem_ptr(struct vcpu *v, u64 linear, u32 size, u32 access)
{
	struct memslot *s;
	struct xlate x;
	u8 *host = known(v, linear, size, access);

	if (likely(host))
		return host;
	if (!vcpu_long_mode(v))
		linear = (u32)linear;
	else if (!canonical(linear))
		return NULL;
	if (size > PAGE_SIZE || (linear & ~PAGE_MASK) + size > PAGE_SIZE)
		return NULL;
	if (mmu_walk(v, linear, access, &x))
		return NULL;
	host = ram(v, x.gpa, access, &s);
	if (host)
		note(v, linear, &x, s, access);
	if (!host || !(access & MMU_WRITE))
		return host;
	if (soft_page_has_code(s, x.gpa >> PAGE_SHIFT))
		return NULL;
	memslot_mark_dirty(v, s, x.gpa >> PAGE_SHIFT);
	return host;
}
