/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A local APIC as user space saves and restores it: KVM_GET_LAPIC and
 * KVM_SET_LAPIC.
 *
 * Specification: virt/kvm/api.rst. The registers as in the xAPIC page, 1 KiB
 * of it. In x2APIC mode the id register holds the id shifted left by 24, as in
 * xAPIC mode, unless KVM_CAP_X2APIC_API asked for 32-bit ids; ICR is always
 * two registers, and LDR follows from the id.
 */
#include "lapic.h"

static u32 get(const struct kvm_lapic_state *s, u32 off)
{
	u32 val;

	host_memcpy(&val, s->regs + off, sizeof(val));
	return val;
}

static void put(struct kvm_lapic_state *s, u32 off, u32 val)
{
	host_memcpy(s->regs + off, &val, sizeof(val));
}

int lapic_get_state(struct vcpu *v, struct kvm_lapic_state *s)
{
	struct lapic *l = v->lapic;

	if (!l)
		return -EINVAL;
	lapic_timer_poll(v);
	host_memcpy(s->regs, l->regs, sizeof(s->regs));
	put(s, APIC_VERSION, 0x14 | (lapic_has_cmci(l) ? 6u : 5u) << 16);
	put(s, APIC_PPR, lapic_ppr(l));
	put(s, APIC_TMCCT, lapic_timer_current_count(l));
	if (!lapic_has_cmci(l))
		put(s, APIC_LVT_CMCI, 0);
	if (lapic_x2apic(l) && !v->vm->x2apic_api_32bit)
		put(s, APIC_ID, v->id << 24);
	return 0;
}

int lapic_set_state(struct vcpu *v, const struct kvm_lapic_state *s)
{
	struct lapic *l = v->lapic;
	bool x2;

	if (!l)
		return -EINVAL;
	x2 = lapic_x2apic(l);
	if (x2 && v->vm->x2apic_api_32bit && get(s, APIC_ID) != v->id)
		return -EINVAL;
	host_memcpy(l->regs, s->regs, sizeof(l->regs));
	if (x2) {
		lapic_set_reg(l, APIC_ID, v->id);
		lapic_set_reg(l, APIC_LDR, lapic_x2apic_ldr(v->id));
	}
	if (!lapic_has_cmci(l))
		lapic_set_reg(l, APIC_LVT_CMCI, APIC_LVT_MASKED);
	lapic_update_counts(l);
	lapic_timer_restore(l);
	vcpu_request(v, REQ_EVENT);
	return 0;
}
