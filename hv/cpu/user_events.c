/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events as user space reads, writes and injects them: KVM_GET/SET_VCPU_EVENTS,
 * _MP_STATE, KVM_INTERRUPT, KVM_NMI, KVM_SMI (KVM API sections 4.16, 4.31,
 * 4.32, 4.38, 4.39, 4.64, 4.96).
 */
#include <errno.h>

#include "../irq/irq.h"
#include "run.h"
#include "state.h"

#define DELIVER_STARTUP 6
#define SHADOWS (KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI)

/* The payload goes where the handler looks for it (SDM vol. 3 sections 6.15, 17.2.3). */
static void deliver_payload(struct vcpu *v)
{
	if (!v->exc.has_payload)
		return;
	if (v->exc.vector == EXC_PF)
		v->cr2 = v->exc.payload;
	else if (v->exc.vector == EXC_DB)
		v->dr6 = (v->dr6 & ~0xfull) | v->exc.payload;
	v->exc.has_payload = false;
	v->exc.payload = 0;
}

static bool is_soft(u8 vector)
{
	return vector == EXC_BP || vector == EXC_OF;
}

static void get_exception(struct vcpu *v, struct kvm_vcpu_events *e)
{
	if (!v->vm->exception_payload && v->exc.pending)
		deliver_payload(v);
	if (v->exc.pending && !is_soft(v->exc.vector)) {
		e->exception.injected = v->exc.injected;
		e->exception.pending = !v->exc.injected;
		/* Without the capability the two are one. */
		if (!v->vm->exception_payload)
			e->exception.injected = 1;
	}
	e->exception.nr = v->exc.vector;
	e->exception.has_error_code = v->exc.has_error;
	e->exception.error_code = v->exc.error;
	e->exception_has_payload = v->exc.has_payload;
	e->exception_payload = v->exc.payload;
}

void vcpu_get_events(struct vcpu *v, struct kvm_vcpu_events *e)
{
	host_memset(e, 0, sizeof(*e));
	vcpu_take_events(v);
	get_exception(v, e);
	e->interrupt.injected = v->intr.injected && !v->intr.soft;
	e->interrupt.nr = v->intr.vector;
	e->interrupt.shadow = v->irq_shadow & SHADOWS;
	e->nmi.injected = v->nmi.injected;
	e->nmi.pending = __atomic_load_n(&v->nmi.pending, __ATOMIC_RELAXED) != 0;
	e->nmi.masked = v->nmi.masked;
	e->smi.smm = v->smm;
	e->smi.pending = v->smi_pending;
	e->smi.smm_inside_nmi = v->smm_inside_nmi;
	e->smi.latched_init = lapic_latched_init(v);
	e->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		   KVM_VCPUEVENT_VALID_SMM;
	if (v->vm->exception_payload)
		e->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (v->vm->triple_fault_event) {
		e->triple_fault.pending = v->triple_fault;
		e->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

static int check_events(struct vcpu *v, struct kvm_vcpu_events *e)
{
	const u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			  KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
			  KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;

	if (e->flags & ~known)
		return -EINVAL;
	if (e->flags & KVM_VCPUEVENT_VALID_PAYLOAD) {
		if (!v->vm->exception_payload)
			return -EINVAL;
		if (e->exception.pending)
			e->exception.injected = 0;
		else
			e->exception_has_payload = 0;
	} else {
		e->exception.pending = 0;
		e->exception_has_payload = 0;
	}
	if ((e->exception.injected || e->exception.pending) &&
	    (e->exception.nr > 31 || e->exception.nr == EXC_NMI))
		return -EINVAL;
	/* INIT waits while there is an SMI. */
	if (e->flags & KVM_VCPUEVENT_VALID_SMM && (e->smi.smm || e->smi.pending) &&
	    v->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return -EINVAL;
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && !v->vm->triple_fault_event)
		return -EINVAL;
	return 0;
}

static void set_smi(struct vcpu *v, const struct kvm_vcpu_events *e)
{
	if (v->smm != !!e->smi.smm)
		smm_changed(v, e->smi.smm);
	v->smi_pending = e->smi.pending;
	if (v->smm)
		v->smm_inside_nmi = e->smi.smm_inside_nmi;
	lapic_latch_init(v, e->smi.latched_init);
}

int vcpu_set_events(struct vcpu *v, struct kvm_vcpu_events *e)
{
	int r = check_events(v, e);

	if (r)
		return r;
	/* One whose delivery had begun is delivered from the start. */
	v->exc.injected = e->exception.injected;
	v->exc.pending = e->exception.pending || e->exception.injected;
	v->exc.vector = e->exception.nr;
	v->exc.has_error = e->exception.has_error_code;
	v->exc.error = e->exception.error_code;
	v->exc.has_payload = e->exception_has_payload;
	v->exc.payload = e->exception_payload;
	v->intr.injected = e->interrupt.injected;
	v->intr.vector = e->interrupt.nr;
	v->intr.soft = e->interrupt.soft;
	if (e->flags & KVM_VCPUEVENT_VALID_SHADOW)
		v->irq_shadow = e->interrupt.shadow & SHADOWS;
	v->nmi.injected = e->nmi.injected;
	if (e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		__atomic_store_n(&v->nmi.pending, !!e->nmi.pending, __ATOMIC_RELAXED);
	v->nmi.masked = e->nmi.masked;
	if (e->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR && v->lapic)
		v->sipi_vector = e->sipi_vector;
	if (e->flags & KVM_VCPUEVENT_VALID_SMM)
		set_smi(v, e);
	if (e->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		v->triple_fault = !!e->triple_fault.pending;
	v->mode_stale = true;
	vcpu_request(v, REQ_EVENT);
	return 0;
}

int vcpu_get_mp_state(struct vcpu *v, struct kvm_mp_state *s)
{
	vcpu_take_events(v);
	if (v->lapic)
		lapic_accept_events(v);
	s->mp_state = v->mp_state;
	if (v->pv_unhalted && (v->mp_state == KVM_MP_STATE_HALTED ||
			       v->mp_state == KVM_MP_STATE_AP_RESET_HOLD))
		s->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

/* SIPI_RECEIVED stands for INIT_RECEIVED with a SIPI about to be taken. */
int vcpu_set_mp_state(struct vcpu *v, const struct kvm_mp_state *s)
{
	const struct apic_msg sipi = {
		.dest = v->id, .vector = (u8)v->sipi_vector, .delivery = DELIVER_STARTUP,
	};

	switch (s->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_SIPI_RECEIVED:
	case KVM_MP_STATE_AP_RESET_HOLD:
		if (!v->lapic)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if ((v->smm || v->smi_pending) && (s->mp_state == KVM_MP_STATE_SIPI_RECEIVED ||
					   s->mp_state == KVM_MP_STATE_INIT_RECEIVED))
		return -EINVAL;
	if (s->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		v->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		apic_deliver(v->vm, NULL, &sipi);
	} else {
		v->mp_state = s->mp_state;
	}
	vcpu_request(v, REQ_EVENT);
	return 0;
}

int vcpu_interrupt(struct vcpu *v, u32 vector)
{
	if (vector > 255)
		return -EINVAL;
	if (v->vm->pic)
		return -ENXIO;
	if (v->lapic && v->user_irq_pending)
		return -EEXIST;
	if (v->lapic) {
		v->user_irq = (u8)vector;
		v->user_irq_pending = true;
	} else {	/* at once, whatever RFLAGS.IF says */
		v->intr.injected = true;
		v->intr.soft = false;
		v->intr.vector = (u8)vector;
	}
	vcpu_request(v, REQ_EVENT);
	return 0;
}

/* One in service and one waiting; one at most while NMIs are masked. */
void vcpu_nmi(struct vcpu *v)
{
	u8 limit = v->nmi.masked || v->nmi.injected ? 1 : 2;
	u8 n = __atomic_load_n(&v->nmi.pending, __ATOMIC_RELAXED);

	while (n < limit && !__atomic_compare_exchange_n(&v->nmi.pending, &n, n + 1, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	vcpu_request(v, REQ_EVENT);
}
