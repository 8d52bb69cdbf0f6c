/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A local APIC's life: its modes (IA32_APIC_BASE), reset and INIT, making and
 * ending it.
 *
 * Specification: Intel SDM vol. 3, "Local APIC State After Power-Up or Reset"
 * and "x2APIC State Transitions".
 */
#include "lapic.h"

static void set_base(struct vcpu *v, u64 val)
{
	u64 changed = v->apic_base ^ val;
	struct lapic *l = v->lapic;

	__atomic_store_n(&v->apic_base, val, __ATOMIC_SEQ_CST);
	if (changed & APIC_BASE_ENABLE)
		vcpu_cpuid_update(v);
	if (!l)
		return;
	if (changed & val & APIC_BASE_X2APIC) {
		lapic_set_reg(l, APIC_ID, v->id);
		lapic_set_reg(l, APIC_LDR, lapic_x2apic_ldr(v->id));
	} else if ((val & APIC_BASE_ENABLE) && !(val & APIC_BASE_X2APIC) &&
		   (changed & (APIC_BASE_ENABLE | APIC_BASE_X2APIC))) {
		lapic_set_reg(l, APIC_ID, v->id << 24);
	}
	lapic_update_counts(l);
	lapic_recheck(l);
}

/* Off, xAPIC and x2APIC: the steps that the SDM's state diagram allows. */
static bool step_allowed(u64 old, u64 val)
{
	bool old_x2 = old & APIC_BASE_X2APIC, val_x2 = val & APIC_BASE_X2APIC;

	if (old_x2 && !val_x2 && (val & APIC_BASE_ENABLE))
		return false;
	return !(val_x2 && !(old & APIC_BASE_ENABLE));
}

int lapic_set_base(struct vcpu *v, u64 val, bool host)
{
	const struct kvm_cpuid_entry2 *leaf1 = vcpu_cpuid_entry(v, 1, 0);
	u64 bits = v->cpuid_maxphyaddr ? v->cpuid_maxphyaddr : 36;
	u64 reserved = 0x2ff;

	if (bits < 64)
		reserved |= ~0ull << bits;
	if (!leaf1 || !(leaf1->ecx & BIT(21)))
		reserved |= APIC_BASE_X2APIC;
	if ((val & reserved) || (val & (APIC_BASE_X2APIC | APIC_BASE_ENABLE)) == APIC_BASE_X2APIC)
		return 1;
	if (!host && !step_allowed(v->apic_base, val))
		return 1;
	set_base(v, val);
	return 0;
}

static void reset_regs(struct lapic *l)
{
	u32 off;

	for (off = APIC_LVT_THERMAL; off <= APIC_LVT_ERROR; off += 0x10)
		lapic_set_reg(l, off, APIC_LVT_MASKED);
	lapic_set_reg(l, APIC_LVT_CMCI, APIC_LVT_MASKED);
	/* KVM's default quirk: firmware finds the PIC wired through already. */
	if (l->vcpu->vm->boot_cpu_id == l->vcpu->id &&
	    !(l->vcpu->vm->disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED))
		lapic_set_reg(l, APIC_LVT_LINT0, APIC_DM_EXTINT << 8);
	lapic_set_reg(l, APIC_DFR, APIC_DFR_FLAT);
	lapic_set_reg(l, APIC_SPIV, 0xff);
	lapic_set_reg(l, APIC_TPR, 0);
	if (!lapic_x2apic(l))
		lapic_set_reg(l, APIC_LDR, 0);
	lapic_set_reg(l, APIC_ESR, 0);
	lapic_set_reg(l, APIC_ICR, 0);
	lapic_set_reg(l, APIC_ICR2, 0);
	for (off = 0; off < 0x80; off += 0x10) {
		lapic_set_reg(l, APIC_IRR + off, 0);
		lapic_set_reg(l, APIC_ISR + off, 0);
		lapic_set_reg(l, APIC_TMR + off, 0);
	}
	__atomic_store_n(&l->esr_pending, 0, __ATOMIC_SEQ_CST);
}

void lapic_reset(struct vcpu *v, bool init)
{
	struct lapic *l = v->lapic;
	u64 base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;

	if (v->vm->boot_cpu_id == v->id)
		base |= APIC_BASE_BSP;
	if (!init)
		set_base(v, base);
	if (!l)
		return;
	if (!init)
		lapic_set_reg(l, APIC_ID, v->id << 24);
	lapic_timer_stop(l);
	lapic_timer_write_lvt(l, APIC_LVT_MASKED);
	lapic_set_reg(l, APIC_TMICT, 0);
	lapic_timer_write_tdcr(l, 0);
	reset_regs(l);
	lapic_update_counts(l);
}

int lapic_create(struct vcpu *v)
{
	struct apic_map *map = apic_map_get(v->vm);
	struct lapic *l;

	if (!map)
		return -ENOMEM;
	l = host_zalloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->vcpu = v;
	lapic_timer_init(l);
	v->lapic = l;
	__atomic_fetch_add(&map->lapics, 1, __ATOMIC_SEQ_CST);
	lapic_reset(v, false);
	return 0;
}

/* Under no lock: waits for the timer's callback. */
void lapic_destroy(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	struct apic_map *map = v->vm->apic_map;

	if (!l)
		return;
	lapic_timer_destroy(l);
	if (map) {
		__atomic_fetch_sub(&map->lapics, 1, __ATOMIC_SEQ_CST);
		if (l->x2apic)
			__atomic_fetch_sub(&map->x2apic, 1, __ATOMIC_SEQ_CST);
		if (l->lint0_nmi)
			__atomic_fetch_sub(&map->lint0_nmi, 1, __ATOMIC_SEQ_CST);
		if (v->id < VM_MAX_VCPU_ID)
			__atomic_store_n(&map->by_id[v->id], NULL, __ATOMIC_SEQ_CST);
	}
	v->lapic = NULL;
	host_free(l);
}
