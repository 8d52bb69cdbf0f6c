/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state after power-up, RESET and INIT (SDM vol. 3 table 10-1, APM vol. 2
 * table 14-1), and what KVM gives a new vCPU beyond that.
 */
#include "../irq/irq.h"
#include "state.h"

#define DR6_RESET 0xffff0ff0
#define DR7_RESET 0x400
#define PAT_RESET 0x0007040600070406ull
/* Fast strings, no BTS, no PEBS. */
#define MISC_ENABLE_RESET (BIT64(0) | BIT64(11) | BIT64(12))
#define APIC_BASE_RESET 0xfee00000ull
#define MIN_SIGNATURE 0x600	/* family 6: what RDX holds when there is no CPUID leaf 1 */

static void reset_segments(struct vcpu *v)
{
	int i;

	for (i = 0; i < SEG_COUNT; i++) {
		struct seg *s = &v->seg[i];

		host_memset(s, 0, sizeof(*s));
		s->limit = 0xffff;
		s->attr = SEG_P | SEG_S | SEG_W | SEG_A;
	}
	v->seg[SEG_CS].attr |= SEG_CODE;
	v->seg[SEG_CS].selector = 0xf000;
	v->seg[SEG_CS].base = 0xffff0000;
	v->seg[SEG_LDTR].attr = SEG_P | 2;
	v->seg[SEG_TR].attr = SEG_P | 11;	/* busy 32-bit TSS */
	v->gdt.base = v->idt.base = 0;
	v->gdt.limit = v->idt.limit = 0xffff;
}

static void reset_events(struct vcpu *v)
{
	host_memset(&v->exc, 0, sizeof(v->exc));
	host_memset(&v->intr, 0, sizeof(v->intr));
	host_memset(&v->nmi, 0, sizeof(v->nmi));
	v->triple_fault = false;
	v->user_irq_pending = false;
	v->smm = v->smm_inside_nmi = v->smi_pending = false;
	v->smi_count = 0;
	v->wants = 0;
	v->pv_unhalted = false;
	v->irq_shadow = 0;
	v->mmio_reads = v->mmio_read_next = v->mmio_writes = 0;
	host_memset(v->dr, 0, sizeof(v->dr));
	v->dr6 = DR6_RESET;
	v->dr7 = DR7_RESET;
}

/* What RESET clears and INIT leaves alone. */
static void reset_cold(struct vcpu *v)
{
	v->smbase = 0x30000;
	v->misc_enable = MISC_ENABLE_RESET;
	v->misc_features = 0;
	v->xss = 0;
	v->xcr0 = XF_FP;
	xsave_reset(v);
}

void vcpu_reset(struct vcpu *v, bool init)
{
	const struct kvm_cpuid_entry2 *e = vcpu_cpuid_entry(v, 1, 0);
	u64 caching = init ? v->cr0 & (X86_CR0_CD | X86_CR0_NW) : X86_CR0_CD | X86_CR0_NW;

	if (v->lapic)
		lapic_reset(v, init);
	else if (!init)
		v->apic_base = APIC_BASE_RESET | BIT64(11) |
			       (v->id == v->vm->boot_cpu_id ? BIT64(8) : 0);
	if (!init)
		reset_cold(v);
	reset_events(v);
	reset_segments(v);
	v->kvm_async_pf = v->kvm_async_pf_int = 0;
	v->apf_wake = v->apf_told = false;
	v->kvm_steal_time = 0;
	v->kvm_system_time = 0;
	host_memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[REG_RDX] = e ? e->eax : MIN_SIGNATURE;
	v->rip = 0xfff0;
	v->cpl = 0;
	vcpu_set_rflags(v, X86_FL_FIXED);
	v->cr0 = X86_CR0_ET | caching;
	v->cr2 = v->cr3 = v->cr4 = v->efer = 0;
	if (!v->lapic)
		v->cr8 = 0;
	vcpu_cpuid_update(v);
	v->mode_stale = true;
	v->vm->engine->flush_tlb(v, false);
	v->vm->engine->state_changed(v);
	vcpu_request(v, REQ_EVENT);
}

void vcpu_power_up(struct vcpu *v)
{
	v->cpuid_maxphyaddr = 36;
	v->pat = PAT_RESET;
	v->mcg_cap = MCE_BANKS;
	v->arch_capabilities = host_arch_capabilities();
	v->kvm_poll_control = 1;
	v->feature_control = 1;		/* locked, nothing enabled */
	v->tsc_scale = TSC_SCALE_ONE;
	vcpu_set_tsc_khz(v, v->vm->tsc_khz);
	vcpu_reset(v, false);
	vcpu_write_tsc_host(v, 0);
}
