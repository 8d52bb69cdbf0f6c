/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers as KVM_GET/SET_REGS, _SREGS, _SREGS2 and _DEBUGREGS carry
 * them, and KVM_SET_GUEST_DEBUG (KVM API sections 4.11 to 4.14, 4.87).
 */
#include <errno.h>

#include "state.h"

/* --- general registers ------------------------------------------------------------ */

void vcpu_get_regs(struct vcpu *v, struct kvm_regs *r)
{
	r->rax = v->gpr[REG_RAX];
	r->rbx = v->gpr[REG_RBX];
	r->rcx = v->gpr[REG_RCX];
	r->rdx = v->gpr[REG_RDX];
	r->rsi = v->gpr[REG_RSI];
	r->rdi = v->gpr[REG_RDI];
	r->rsp = v->gpr[REG_RSP];
	r->rbp = v->gpr[REG_RBP];
	host_memcpy(&r->r8, &v->gpr[REG_R8], 8 * sizeof(u64));
	r->rip = v->rip;
	r->rflags = vcpu_rflags(v);
}

void vcpu_update_cpl(struct vcpu *v)
{
	if (!vcpu_protected(v))
		v->cpl = 0;
	else if (vcpu_v86(v))
		v->cpl = 3;
	else
		v->cpl = SEG_DPL(v->seg[SEG_SS].attr);
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *r)
{
	v->gpr[REG_RAX] = r->rax;
	v->gpr[REG_RBX] = r->rbx;
	v->gpr[REG_RCX] = r->rcx;
	v->gpr[REG_RDX] = r->rdx;
	v->gpr[REG_RSI] = r->rsi;
	v->gpr[REG_RDI] = r->rdi;
	v->gpr[REG_RSP] = r->rsp;
	v->gpr[REG_RBP] = r->rbp;
	host_memcpy(&v->gpr[REG_R8], &r->r8, 8 * sizeof(u64));
	v->rip = r->rip;
	vcpu_set_rflags(v, r->rflags);
	vcpu_update_cpl(v);
	v->exc.pending = false;
	v->mode_stale = true;
	vcpu_request(v, REQ_EVENT);
	v->vm->engine->state_changed(v);
}

/* --- segments ------------------------------------------------------------------------ */

static void get_segment(const struct vcpu *v, int i, struct kvm_segment *k)
{
	const struct seg *s = &v->seg[i];

	host_memset(k, 0, sizeof(*k));
	k->base = s->base;
	k->limit = s->limit;
	k->selector = s->selector;
	k->type = SEG_TYPE(s->attr);
	k->s = !!(s->attr & SEG_S);
	k->dpl = SEG_DPL(s->attr);
	k->present = !!(s->attr & SEG_P);
	k->avl = !!(s->attr & SEG_AVL);
	k->l = !!(s->attr & SEG_L);
	k->db = !!(s->attr & SEG_DB);
	k->g = !!(s->attr & SEG_GRAN);
	k->unusable = !k->present;
	if (i == SEG_TR)
		k->type |= 2;	/* the loaded TSS is always busy */
	if (i == SEG_SS)
		k->dpl = v->cpl;
}

static void set_segment(struct vcpu *v, int i, const struct kvm_segment *k)
{
	struct seg *s = &v->seg[i];

	s->base = k->base;
	s->limit = k->limit;
	s->selector = k->selector;
	s->attr = (k->type & 15u) | (k->s & 1 ? SEG_S : 0) | (k->dpl & 3u) << SEG_DPL_SHIFT |
		  (k->present & 1 && !k->unusable ? SEG_P : 0) | (k->avl & 1 ? SEG_AVL : 0) |
		  (k->l & 1 ? SEG_L : 0) | (k->db & 1 ? SEG_DB : 0) | (k->g & 1 ? SEG_GRAN : 0);
}

/* kvm_sregs and kvm_sregs2 begin alike; SREGS lists their segments in both. */
#define SREGS(fn, v, s) \
	do { \
		fn(v, SEG_CS, &(s)->cs); \
		fn(v, SEG_DS, &(s)->ds); \
		fn(v, SEG_ES, &(s)->es); \
		fn(v, SEG_FS, &(s)->fs); \
		fn(v, SEG_GS, &(s)->gs); \
		fn(v, SEG_SS, &(s)->ss); \
		fn(v, SEG_TR, &(s)->tr); \
		fn(v, SEG_LDTR, &(s)->ldt); \
	} while (0)

_Static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base),
	       "the common part of sregs");

static void get_common(struct vcpu *v, struct kvm_sregs *s)
{
	SREGS(get_segment, v, s);
	s->gdt.base = v->gdt.base;
	s->gdt.limit = v->gdt.limit;
	s->idt.base = v->idt.base;
	s->idt.limit = v->idt.limit;
	s->cr0 = v->cr0;
	s->cr2 = v->cr2;
	s->cr3 = v->cr3;
	s->cr4 = v->cr4;
	s->cr8 = vcpu_get_cr8(v);
	s->efer = v->efer;
	s->apic_base = v->apic_base;
}

void vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *s)
{
	host_memset(s, 0, sizeof(*s));
	get_common(v, s);
	if (v->intr.injected && !v->intr.soft)
		s->interrupt_bitmap[v->intr.vector / 64] |= BIT64(v->intr.vector % 64);
}

void vcpu_get_sregs2(struct vcpu *v, struct kvm_sregs2 *s)
{
	int i;

	host_memset(s, 0, sizeof(*s));
	get_common(v, (struct kvm_sregs *)s);
	if (!vcpu_pae_paging(v))
		return;
	for (i = 0; i < 4; i++)
		s->pdptrs[i] = v->pdpte[i];
	s->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

static bool sregs_valid(struct vcpu *v, const struct kvm_sregs *s)
{
	if (s->efer & X86_EFER_LME && s->cr0 & X86_CR0_PG) {
		if (!(s->cr4 & X86_CR4_PAE) || !(s->efer & X86_EFER_LMA))
			return false;
		if (s->cr3 & vcpu_reserved_gpa(v))
			return false;
	} else if (s->efer & X86_EFER_LMA || s->cs.l) {
		return false;
	}
	return cr4_valid(v, s->cr4) && cr0_valid(s->cr0);
}

/* Older user space resets the boot CPU by its registers alone. */
static bool is_reset_state(const struct vcpu *v)
{
	return v->id == v->vm->boot_cpu_id && v->rip == 0xfff0 &&
	       v->seg[SEG_CS].selector == 0xf000 && v->seg[SEG_CS].base == 0xffff0000 &&
	       !vcpu_protected(v);
}

static int set_common(struct vcpu *v, const struct kvm_sregs *s, bool load_pdptes)
{
	if (!sregs_valid(v, s) || vcpu_set_apic_base(v, s->apic_base, true))
		return -EINVAL;
	v->gdt.base = s->gdt.base;
	v->gdt.limit = s->gdt.limit;
	v->idt.base = s->idt.base;
	v->idt.limit = s->idt.limit;
	v->cr2 = s->cr2;
	v->cr3 = s->cr3;
	vcpu_set_cr8(v, s->cr8);
	v->efer = s->efer & (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX);
	v->cr0 = (s->cr0 & 0xe005003f) | X86_CR0_ET;
	v->cr4 = s->cr4;
	vcpu_cpuid_update(v);
	if (load_pdptes && vcpu_pae_paging(v))
		vcpu_load_pdptes(v, v->cr3);
	SREGS(set_segment, v, s);
	vcpu_update_cpl(v);
	if (is_reset_state(v))
		v->mp_state = KVM_MP_STATE_RUNNABLE;
	v->mode_stale = true;
	v->vm->engine->flush_tlb(v, false);
	v->vm->engine->state_changed(v);
	return 0;
}

int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *s)
{
	int i, r = set_common(v, s, true);

	if (r)
		return r;
	for (i = 0; i < 4; i++) {
		if (!s->interrupt_bitmap[i])
			continue;
		v->intr.injected = true;
		v->intr.soft = false;
		v->intr.vector = (u8)(i * 64 + __builtin_ctzll(s->interrupt_bitmap[i]));
		vcpu_request(v, REQ_EVENT);
		break;
	}
	return 0;
}

int vcpu_set_sregs2(struct vcpu *v, const struct kvm_sregs2 *s)
{
	bool given = s->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	bool pae = s->cr0 & X86_CR0_PG && s->cr4 & X86_CR4_PAE && !(s->efer & X86_EFER_LMA);
	int i, r;

	if (s->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID || (given && !pae))
		return -EINVAL;
	r = set_common(v, (const struct kvm_sregs *)s, !given);
	for (i = 0; i < 4 && given && !r; i++)
		v->pdpte[i] = s->pdptrs[i];
	return r;
}

/* --- debugging -------------------------------------------------------------------------- */

void vcpu_get_debugregs(struct vcpu *v, struct kvm_debugregs *d)
{
	int i;

	host_memset(d, 0, sizeof(*d));
	for (i = 0; i < 4; i++)
		d->db[i] = v->dr[i];
	d->dr6 = v->dr6;
	d->dr7 = v->dr7;
}

int vcpu_set_debugregs(struct vcpu *v, const struct kvm_debugregs *d)
{
	int i;

	if (d->flags || d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	for (i = 0; i < 4; i++)
		v->dr[i] = d->db[i];
	v->dr6 = d->dr6;
	v->dr7 = d->dr7;
	v->mode_stale = true;
	v->vm->engine->state_changed(v);
	return 0;
}

int vcpu_set_guest_debug(struct vcpu *v, const struct kvm_guest_debug *d)
{
	if (d->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (v->exc.pending || v->exc.injected)
			return -EBUSY;
		host_memset(&v->exc, 0, sizeof(v->exc));
		v->exc.pending = true;
		v->exc.vector = d->control & KVM_GUESTDBG_INJECT_DB ? EXC_DB : EXC_BP;
		vcpu_request(v, REQ_EVENT);
	}
	host_memcpy(&v->guest_debug, d, sizeof(*d));
	if (!(d->control & KVM_GUESTDBG_ENABLE))
		v->guest_debug.control = 0;
	v->mode_stale = true;
	v->vm->engine->state_changed(v);
	return 0;
}
