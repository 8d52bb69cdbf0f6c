/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest may do in its own memory instead of in its local APIC.
 *
 * PV EOI (KVM documentation x86/msr, MSR_KVM_PV_EOI_EN): while exactly one
 * interrupt is in service and none waits, a bit says that the guest may end it
 * by clearing that bit. The virtual APIC page (KVM API 4.36, KVM_SET_VAPIC_ADDR)
 * holds the TPR, with the vectors in service and waiting beside it.
 *
 * Both are brought up to date before guest code runs and looked at after; in
 * between, whatever the guest does at its APIC looks first.
 */
#include "lapic.h"

#define ENABLED 1ull
#define PENDING 1

/* The host's address of a byte or word of the guest's memory; 0: not there. */
static u64 address(struct vcpu *v, u64 gpa, struct memslot **slot)
{
	struct memslot *s = vm_find_slot(v->vm, gpa >> PAGE_SHIFT);

	if (!s || s->flags & KVM_MEM_READONLY)
		return 0;
	*slot = s;
	return s->hva + (gpa - (s->gfn << PAGE_SHIFT));
}

/* The byte's old value, or -errno. */
static int swap(struct vcpu *v, u8 val)
{
	u64 gpa = v->kvm_pv_eoi & ~ENABLED;
	struct memslot *s;
	u64 at = address(v, gpa, &s);
	int old = at ? host_guest_swap8(at, val) : -EFAULT;

	if (old >= 0)
		memslot_mark_dirty(v, s, gpa >> PAGE_SHIFT);
	return old;
}

int pv_eoi_set(struct vcpu *v, u64 val)
{
	if (val & 2 || (val & ENABLED && !vm_find_slot(v->vm, val >> PAGE_SHIFT)))
		return 1;
	if (v->pv_eoi_pending)	/* it may have ended the interrupt where the bit was so far */
		pv_eoi_from_guest(v);
	v->kvm_pv_eoi = val;
	return 0;
}

/* The one vector in service whose end concerns nobody but the APIC, or -1. */
static int lonely_vector(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	int vector = lapic_highest(l, APIC_ISR), i;
	u32 bits = 0;

	if (vector < 0 || lapic_highest(l, APIC_IRR) >= 0)
		return -1;
	for (i = 0; i < 8; i++)
		bits += (u32)__builtin_popcount(lapic_reg(l, APIC_ISR + (u32)i * 16));
	if (bits != 1 || lapic_eoi_concerns(l, (u8)vector))
		return -1;
	return vector;
}

static void eoi_to_guest(struct vcpu *v)
{
	if (lonely_vector(v) < 0)
		return;
	v->pv_eoi_pending = swap(v, PENDING) >= 0;
}

void pv_eoi_from_guest(struct vcpu *v)
{
	v->pv_eoi_pending = false;
	if (swap(v, 0) == 0)	/* the guest has cleared it */
		lapic_eoi(v->lapic);
}

/* --- the virtual APIC page -------------------------------------------------------- */

int vapic_set(struct vcpu *v, u64 gpa)
{
	struct memslot *s;

	if (gpa && !address(v, gpa, &s))
		return -EINVAL;
	v->vapic_addr = gpa;
	return 0;
}

void vapic_to_guest(struct vcpu *v)
{
	u32 irr = (u32)MAX(lapic_highest(v->lapic, APIC_IRR), 0);
	u32 isr = (u32)MAX(lapic_highest(v->lapic, APIC_ISR), 0) & 0xf0;
	u32 data = (u8)lapic_reg(v->lapic, APIC_TPR) | isr << 8 | irr << 24;

	vcpu_write(v, v->vapic_addr, &data, sizeof(data));
}

static void vapic_from_guest(struct vcpu *v)
{
	u32 data;

	if (!vm_read(v->vm, v->vapic_addr, &data, sizeof(data)))
		lapic_set_reg(v->lapic, APIC_TPR, data & 0xff);
}

/* --- around guest code -------------------------------------------------------------- */

void irq_to_guest(struct vcpu *v)
{
	if (v->kvm_pv_eoi & ENABLED)
		eoi_to_guest(v);
	if (v->vapic_addr)
		vapic_to_guest(v);
}

void irq_from_guest(struct vcpu *v)
{
	if (v->pv_eoi_pending)
		pv_eoi_from_guest(v);
	if (v->vapic_addr)
		vapic_from_guest(v);
}
