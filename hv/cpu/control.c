/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control registers, EFER, XCR0 and IA32_APIC_BASE as their instructions set
 * them: the checks, and what follows for paging and the TLB (SDM vol. 3
 * sections 2.5 and 4.1, 4.10; APM vol. 2 sections 3.1 and 5.5).
 */
#include "../irq/irq.h"
#include "state.h"

#define CR0_DEFINED (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
		     X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR0_PDPTE (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_DEFINED (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
		     X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | \
		     X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE | \
		     X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP)
#define CR4_TLB (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | \
		 X86_CR4_SMAP)
#define CR4_PDPTE (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP)
#define CR3_PCID 0xfffull
#define CR3_NOFLUSH BIT64(63)
#define EFER_DEFINED (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX)
#define PDPTE_RESERVED 0x1e6ull
#define APIC_ENABLE BIT64(11)
#define APIC_X2APIC BIT64(10)

/* --- CR0 --------------------------------------------------------------------- */

bool cr0_valid(u64 cr0)
{
	return !(cr0 >> 32) && !(cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD)) &&
	       !(cr0 & X86_CR0_PG && !(cr0 & X86_CR0_PE));
}

bool vcpu_pae_paging(const struct vcpu *v)
{
	return v->cr0 & X86_CR0_PG && v->cr4 & X86_CR4_PAE && !vcpu_long_mode(v);
}

bool vcpu_load_pdptes(struct vcpu *v, u64 cr3)
{
	u64 pdpte[4];
	int i;

	if (vcpu_phys_read(v, cr3 & 0xffffffe0, pdpte, sizeof(pdpte)))
		return false;
	for (i = 0; i < 4; i++)
		if (pdpte[i] & 1 && pdpte[i] & (PDPTE_RESERVED | vcpu_reserved_gpa(v)))
			return false;
	for (i = 0; i < 4; i++)
		v->pdpte[i] = pdpte[i];
	return true;
}

static void flush_all(struct vcpu *v)
{
	v->vm->engine->flush_tlb(v, false);
}

int vcpu_set_cr0(struct vcpu *v, u64 val)
{
	u64 old = v->cr0;
	bool on = val & X86_CR0_PG && !(old & X86_CR0_PG);

	if (!cr0_valid(val))
		return EXC_GP;
	val = (val & CR0_DEFINED) | X86_CR0_ET;
	if (on && v->efer & X86_EFER_LME) {
		if (!(v->cr4 & X86_CR4_PAE) || v->seg[SEG_CS].attr & SEG_L)
			return EXC_GP;
	}
	if (!(v->efer & X86_EFER_LME) && val & X86_CR0_PG && v->cr4 & X86_CR4_PAE &&
	    (val ^ old) & CR0_PDPTE && !vcpu_load_pdptes(v, v->cr3))
		return EXC_GP;
	if (!(val & X86_CR0_PG) && (vcpu_64bit(v) || v->cr4 & X86_CR4_PCIDE))
		return EXC_GP;
	v->cr0 = val;
	if (on && v->efer & X86_EFER_LME)
		v->efer |= X86_EFER_LMA;
	if (!(val & X86_CR0_PG))
		v->efer &= ~X86_EFER_LMA;
	if ((val ^ old) & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
		flush_all(v);
	if (val != old)
		v->mode_stale = true;
	return 0;
}

/* --- CR3 --------------------------------------------------------------------- */

/*
 * Entries carry no PCID, so a load that may keep the TLB keeps it only when it
 * loads what is there already.
 */
int vcpu_set_cr3(struct vcpu *v, u64 val)
{
	bool keep = v->cr4 & X86_CR4_PCIDE && val & CR3_NOFLUSH;
	u64 old;

	if (v->cr4 & X86_CR4_PCIDE)
		val &= ~CR3_NOFLUSH;
	if (val & vcpu_reserved_gpa(v))
		return EXC_GP;
	if (vcpu_pae_paging(v) && !vcpu_load_pdptes(v, val))
		return EXC_GP;
	old = v->cr3;
	v->cr3 = val;
	if (!keep || val != old)
		v->vm->engine->switch_space(v, old, val, keep);
	return 0;
}

/* --- CR4 --------------------------------------------------------------------- */

bool cr4_valid(struct vcpu *v, u64 cr4)
{
	static const struct {
		u64 bit, feature;
	} needs[] = {
		{ X86_CR4_OSXSAVE, FEAT_XSAVE },   { X86_CR4_SMEP, FEAT_SMEP },
		{ X86_CR4_SMAP, FEAT_SMAP },	   { X86_CR4_UMIP, FEAT_UMIP },
		{ X86_CR4_FSGSBASE, FEAT_FSGSBASE }, { X86_CR4_PCIDE, FEAT_PCID },
	};
	u32 i;

	if (cr4 & ~CR4_DEFINED)
		return false;
	for (i = 0; i < ARRAY_SIZE(needs) && v->cpuid_set; i++)
		if (cr4 & needs[i].bit && !vcpu_has(v, needs[i].feature))
			return false;
	return true;
}

int vcpu_set_cr4(struct vcpu *v, u64 val)
{
	u64 old = v->cr4;

	if (!cr4_valid(v, val))
		return EXC_GP;
	if (vcpu_long_mode(v)) {
		if (!(val & X86_CR4_PAE))
			return EXC_GP;
	} else if (v->cr0 & X86_CR0_PG && val & X86_CR4_PAE && (val ^ old) & CR4_PDPTE &&
		   !vcpu_load_pdptes(v, v->cr3)) {
		return EXC_GP;
	}
	if (val & X86_CR4_PCIDE && !(old & X86_CR4_PCIDE) &&
	    (v->cr3 & CR3_PCID || !vcpu_long_mode(v)))
		return EXC_GP;
	v->cr4 = val;
	if ((val ^ old) & CR4_TLB)
		flush_all(v);
	if ((val ^ old) & X86_CR4_OSXSAVE)
		vcpu_cpuid_update(v);
	if (val != old)
		v->mode_stale = true;
	return 0;
}

/* --- CR8 --------------------------------------------------------------------- */

int vcpu_set_cr8(struct vcpu *v, u64 val)
{
	if (val & ~0xfull)
		return EXC_GP;
	if (v->lapic)
		lapic_set_tpr(v, (u8)(val << 4));
	else
		v->cr8 = val;
	return 0;
}

u64 vcpu_get_cr8(struct vcpu *v)
{
	return v->lapic ? lapic_get_tpr(v) >> 4 : v->cr8;
}

/* --- EFER, XCR0 --------------------------------------------------------------- */

int vcpu_set_efer(struct vcpu *v, u64 val)
{
	u64 old = v->efer;

	if (val & ~EFER_DEFINED)
		return EXC_GP;
	if (v->cpuid_set && ((val & (X86_EFER_LME | X86_EFER_LMA) && !vcpu_has(v, FEAT_LM)) ||
			     (val & X86_EFER_NX && !vcpu_has(v, FEAT_NX))))
		return EXC_GP;
	if (v->cr0 & X86_CR0_PG && (val ^ old) & X86_EFER_LME)
		return EXC_GP;
	/* LMA is the processor's, not the writer's. */
	v->efer = (val & ~X86_EFER_LMA) | (old & X86_EFER_LMA);
	if ((val ^ old) & X86_EFER_NX)
		flush_all(v);
	v->mode_stale = true;
	return 0;
}

int vcpu_set_xcr0(struct vcpu *v, u64 val)
{
	u64 old = v->xcr0;

	if (!(val & XF_FP) || (val & XF_AVX && !(val & XF_SSE)))
		return EXC_GP;
	if (val & ~(vcpu_supported_xcr0(v) | XF_FP))
		return EXC_GP;
	if (val & XF_AVX512 && ((val & XF_AVX512) != XF_AVX512 || !(val & XF_AVX)))
		return EXC_GP;
	v->xcr0 = val;
	if (val != old) {
		vcpu_cpuid_update(v);
		v->mode_stale = true;
	}
	return 0;
}

/* --- IA32_APIC_BASE ------------------------------------------------------------ */

int vcpu_set_apic_base(struct vcpu *v, u64 val, bool host)
{
	u64 reserved = vcpu_reserved_gpa(v) | 0x2ff;
	u64 from = v->apic_base & (APIC_ENABLE | APIC_X2APIC);
	u64 to = val & (APIC_ENABLE | APIC_X2APIC);
	int r = 0;

	if (!vcpu_has(v, FEAT_X2APIC))
		reserved |= APIC_X2APIC;
	if (val & reserved || to == APIC_X2APIC)
		return 1;
	if (!host && ((from == (APIC_ENABLE | APIC_X2APIC) && to == APIC_ENABLE) ||
		      (!from && to == (APIC_ENABLE | APIC_X2APIC))))
		return 1;
	if (v->lapic)
		r = lapic_set_base(v, val, host);
	else
		v->apic_base = val;
	if (!r && (from ^ to) & APIC_ENABLE)
		vcpu_cpuid_update(v);
	return r;
}
