/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest-linear memory as the emulation sees it: page walks with all of x86's
 * protection, and reads and writes that may meet RAM, read-only memory or
 * MMIO, cross pages, and fault.
 */
#ifndef HV_SOFT_MMU_MMU_H
#define HV_SOFT_MMU_MMU_H

#include "../../vm/vm.h"
#include "../insn.h"

#define MMU_READ BIT(0)
#define MMU_WRITE BIT(1)
#define MMU_EXEC BIT(2)
#define MMU_SUPER BIT(3)	/* an implicit supervisor access (descriptor tables, TSS) at any CPL */
#define MMU_STACK BIT(4)	/* a stack access: a non-canonical address is #SS(0) */
#define MMU_SYSTEM_MASK (MMU_READ | MMU_WRITE | MMU_EXEC)

#define PFERR_P BIT(0)
#define PFERR_W BIT(1)
#define PFERR_U BIT(2)
#define PFERR_RSVD BIT(3)
#define PFERR_I BIT(4)

/* What a walk found. */
struct xlate {
	u64 gpa;		/* of the address asked for */
	u8 page_shift;		/* 12, 21, 22 or 30 */
	bool user, writable, executable;	/* the combined rights of the page */
	bool global, dirty;
	u32 error;		/* page-fault error code when the walk failed */
};

/*
 * Translates linear with the access (MMU_*) at the present CPL, AC and
 * control registers, setting accessed and (for writes) dirty bits. 0, or
 * -EFAULT with x->error; nothing is raised. Non-canonical addresses are the
 * caller's business. Without paging: identity, all rights.
 */
int mmu_walk(struct vcpu *v, u64 linear, u32 access, struct xlate *x);
/* The same without side effects (KVM_TRANSLATE, debuggers). */
int mmu_peek(struct vcpu *v, u64 linear, u32 access, struct xlate *x);

/* The slot that holds gpa, by way of the vCPU's hints; NULL: not memory. */
enum { MMU_HINT_TABLE, MMU_HINT_DATA };

struct memslot *mmu_slot_slow(struct vcpu *v, u64 gpa, u32 hint);

static inline struct memslot *mmu_slot(struct vcpu *v, u64 gpa, u32 hint)
{
	struct memslot *s = v->mmu_hint[hint].slot;

	if (likely(v->mmu_hint[hint].slots == vcpu_slots(v) &&
		   s && (gpa >> PAGE_SHIFT) - s->gfn < s->npages))
		return s;
	return mmu_slot_slow(v, gpa, hint);
}

/* Must run whenever slots may have gone (REQ_TLB_FLUSH, before anything else is run). */
static inline void mmu_cache_flush(struct vcpu *v)
{
	v->mmu_hint[MMU_HINT_TABLE].slot = NULL;
	v->mmu_hint[MMU_HINT_DATA].slot = NULL;
}

/*
 * The translator's (translate/): whether the page of gfn in s holds translated
 * code; and what it must be told after a write to such a page.
 */
void soft_page_written(struct vm *vm, struct memslot *s, u64 gpa, u32 len);
bool soft_page_has_code(struct memslot *s, u64 gfn);

/* After a write by the emulation or a page walk to [gpa, gpa + len), one page of s. */
static inline void mmu_written(struct vcpu *v, struct memslot *s, u64 gpa, u32 len)
{
	memslot_mark_dirty(v, s, gpa >> PAGE_SHIFT);
	/* Store, then look: whoever translates marks the page, then reads it. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(soft_page_has_code(s, gpa >> PAGE_SHIFT)))
		soft_page_written(v->vm, s, gpa, len);
}

/*
 * Linear memory. EMU_NEXT, EMU_FAULT (#PF raised; #GP(0) for a non-canonical
 * address, or #SS(0) with MMU_STACK), or EMU_EXIT when an MMIO read waits for
 * user space. A write either completes whole or changes nothing.
 * EMU_UNHANDLED, with nothing changed, when one instruction needs more MMIO
 * fragments than there are or size exceeds MEM_MAX_SIZE. EMU_GONE when the
 * caller of KVM_RUN has taken the memory away; a part may have been written.
 *
 * A read that user space must answer puts gpa and len in
 * v->mmio[v->mmio_reads], fills v->run (KVM_EXIT_MMIO, is_write 0) and gives
 * EMU_EXIT. The run loop then copies run->mmio.data to that fragment, adds 1
 * to mmio_reads, clears mmio_read_next and mmio_writes, and starts the
 * instruction anew, which consumes the answers in order. A write that user
 * space must perform goes to v->mmio_write[v->mmio_writes++]; the run loop
 * tells them after the instruction has retired. When an instruction retires
 * or faults the run loop clears mmio_reads and mmio_read_next; writes of one
 * that faults are dropped.
 */
#define MEM_MAX_SIZE 8192u

/* Of what decides on access by page: what one instruction may change midway. */
static inline u32 mmu_rights(const struct vcpu *v)
{
	return (v->sysflags & X86_FL_AC) | (v->cpl == 3);
}

enum emu mem_read(struct vcpu *v, u64 linear, void *dst, u32 size, u32 access);
enum emu mem_write(struct vcpu *v, u64 linear, const void *src, u32 size, u32 access);
/* Checks that a later mem_write of the range will not fault. */
enum emu mem_probe_write(struct vcpu *v, u64 linear, u32 size, u32 access);

/*
 * Segment arithmetic: checks offset..offset+size-1 against the segment (limit,
 * type; canonical form in 64-bit mode) and gives the linear address. EMU_NEXT
 * or EMU_FAULT (#GP(0), or #SS(0) for SS).
 */
enum emu seg_linear(struct vcpu *v, u8 seg, u64 offset, u32 size, u32 access, u64 *linear);

/* seg_linear, then mem_*. */
enum emu seg_read(struct vcpu *v, u8 seg, u64 offset, void *dst, u32 size);
enum emu seg_write(struct vcpu *v, u8 seg, u64 offset, const void *src, u32 size);

/*
 * Host address of linear when [linear, linear + size) lies in one page of
 * RAM with this access allowed and may be used directly (no MMIO, no
 * translated code in it when writing); NULL otherwise, nothing raised. Valid
 * until the emulated instruction ends, but only for the accesses of
 * host/guest.h. Sets A/D and dirty-log bits.
 */
void *mem_ptr(struct vcpu *v, u64 linear, u32 size, u32 access);

#endif
