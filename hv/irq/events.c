/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a vCPU asks the interrupt controllers before it enters the guest and
 * while it is halted: is there an interrupt for it, which vector, did an INIT
 * or a start-up message come.
 *
 * Specification: Intel SDM vol. 3, "Handling Interrupts" of the APIC chapter,
 * and "Multiple-Processor Initialization" for INIT and SIPI. The PIC goes
 * before the APIC, as in KVM; where it is user space's (split irqchip), the one
 * vector of KVM_INTERRUPT stands for it. Without controllers of ours
 * KVM_INTERRUPT delivers at once, and nothing is ever pending here.
 *
 * Everything here is called by the vCPU's own thread, under no lock.
 */
#include "lapic.h"

static bool extint(struct vcpu *v)
{
	struct pic *pic = v->vm->pic;

	return (pic ? pic_output(pic) : v->user_irq_pending) && lapic_takes_extint(v->lapic);
}

static void look_at_timer(struct vcpu *v)
{
	if (__atomic_load_n(&v->lapic->timer_due, __ATOMIC_SEQ_CST))
		lapic_timer_poll(v);
}

int irq_pending(struct vcpu *v)
{
	int vector;

	if (!v->lapic)
		return -1;
	look_at_timer(v);
	if (!extint(v))
		return lapic_deliverable(v->lapic);
	if (!v->vm->pic)
		return v->user_irq;
	host_mutex_lock(&v->vm->irq_lock);
	vector = pic_peek(v->vm->pic);
	host_mutex_unlock(&v->vm->irq_lock);
	return vector;
}

static int ack_pic(struct vcpu *v)
{
	int vector = -1;

	if (!v->vm->pic) {
		v->user_irq_pending = false;
		return v->user_irq;
	}
	host_mutex_lock(&v->vm->irq_lock);
	/* Another CPU may have been faster, or the device withdrew. */
	if (pic_output(v->vm->pic))
		vector = pic_ack(v->vm->pic);
	host_mutex_unlock(&v->vm->irq_lock);
	return vector;
}

int irq_ack(struct vcpu *v)
{
	int vector = -1;

	v->irq_inside = false;
	if (!v->lapic)
		return -1;
	look_at_timer(v);
	if (extint(v))
		vector = ack_pic(v);
	if (vector >= 0)
		return vector;
	vector = lapic_deliverable(v->lapic);
	if (vector < 0)
		return -1;
	lapic_clear_vector(v->lapic, APIC_IRR, (u8)vector);
	lapic_set_vector(v->lapic, APIC_ISR, (u8)vector);
	v->irq_inside = !lapic_take_outside(v->lapic, (u8)vector);
	return vector;
}

static bool interrupts_allowed(struct vcpu *v)
{
	return v->irq_enable && !v->irq_shadow;
}

static bool nmi_due(struct vcpu *v)
{
	return __atomic_load_n(&v->nmi.pending, __ATOMIC_SEQ_CST) && !v->nmi.masked;
}

bool irq_wakes(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	u32 events = l ? __atomic_load_n(&l->pending_events, __ATOMIC_SEQ_CST) : 0;

	if (events && !v->smm)
		return true;
	/* A CPU that waits for INIT or SIPI hears nothing else. */
	if (v->mp_state == KVM_MP_STATE_UNINITIALIZED || v->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return false;
	if (nmi_due(v) || v->pv_unhalted || v->intr.injected || v->exc.pending)
		return true;
	if (l)
		look_at_timer(v);
	if (!l || !interrupts_allowed(v))
		return false;
	return extint(v) || lapic_deliverable(l) >= 0;
}

bool irq_user_room(struct vcpu *v)
{
	if (!v->lapic)
		return !v->intr.injected;
	return !v->user_irq_pending && lapic_takes_extint(v->lapic);
}

bool irq_user_ready(struct vcpu *v)
{
	return interrupts_allowed(v) && !v->exc.pending && !v->intr.injected && !v->nmi.injected &&
	       irq_user_room(v);
}

/* SIPI: real mode at page vector of the first megabyte. */
static void start_up(struct vcpu *v)
{
	u32 vector = __atomic_load_n(&v->sipi_vector, __ATOMIC_SEQ_CST) & 0xff;

	v->seg[SEG_CS].selector = (u16)(vector << 8);
	v->seg[SEG_CS].base = vector << 12;
	v->rip = 0;
	v->mode_stale = true;
	v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static bool take_event(struct lapic *l, u32 event)
{
	return __atomic_fetch_and(&l->pending_events, ~event, __ATOMIC_SEQ_CST) & event;
}

bool lapic_latched_init(struct vcpu *v)
{
	return v->lapic && __atomic_load_n(&v->lapic->pending_events, __ATOMIC_SEQ_CST) &
				   APIC_EVENT_INIT;
}

void lapic_latch_init(struct vcpu *v, bool latched)
{
	if (v->lapic && latched)
		__atomic_fetch_or(&v->lapic->pending_events, APIC_EVENT_INIT, __ATOMIC_SEQ_CST);
	else if (v->lapic)
		take_event(v->lapic, APIC_EVENT_INIT);
}

void lapic_accept_events(struct vcpu *v)
{
	struct lapic *l = v->lapic;

	if (!l || !__atomic_load_n(&l->pending_events, __ATOMIC_SEQ_CST))
		return;
	if (v->smm) {	/* INIT waits, SIPI is lost */
		take_event(l, APIC_EVENT_SIPI);
		return;
	}
	if (take_event(l, APIC_EVENT_INIT)) {
		vcpu_reset(v, true);
		v->mp_state = v->id == v->vm->boot_cpu_id ? KVM_MP_STATE_RUNNABLE :
							    KVM_MP_STATE_INIT_RECEIVED;
	}
	/* Only a CPU that waits for it takes a SIPI; others drop it. */
	if (take_event(l, APIC_EVENT_SIPI) && v->mp_state == KVM_MP_STATE_INIT_RECEIVED)
		start_up(v);
}
