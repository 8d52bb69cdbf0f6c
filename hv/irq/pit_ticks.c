/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channel 0 of the 8254 as a clock: its ticks on GSI 0, and their reinjection.
 *
 * Reinjection is KVM's: a tick that comes before the guest ended the last one
 * is given as soon as it did. What accumulates so is bounded by a second's
 * worth. Acknowledgements come under vm->irq_lock, so that state is atomic.
 */
#include "lapic.h"
#include "pit.h"

void pit_reset_reinjection(struct pit *p)
{
	__atomic_store_n(&p->pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&p->acked, true, __ATOMIC_SEQ_CST);
}

/* May a tick go out now? With reinjection, only after the last was ended. */
static bool may_tick(struct pit *p)
{
	return !__atomic_load_n(&p->reinject, __ATOMIC_SEQ_CST) ||
	       __atomic_exchange_n(&p->acked, false, __ATOMIC_SEQ_CST);
}

static void add_pending(struct pit *p, u64 n)
{
	u32 max = __atomic_load_n(&p->pending_max, __ATOMIC_SEQ_CST);
	u32 old = __atomic_load_n(&p->pending, __ATOMIC_SEQ_CST), new;

	do {
		new = n >= max || old >= max - n ? max : old + (u32)n;
	} while (!__atomic_compare_exchange_n(&p->pending, &old, new, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
}

/* Ends a tick: true when others still wait. */
static bool take_pending(struct pit *p)
{
	u32 old = __atomic_load_n(&p->pending, __ATOMIC_SEQ_CST);

	while (old && !__atomic_compare_exchange_n(&p->pending, &old, old - 1, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return old > 1;
}

/* A tick that nobody took will be ended by nobody. */
static void went_out(struct pit *p, int taken)
{
	if (taken <= 0)
		pit_reset_reinjection(p);
	lapic_pit_nmi(p->vm);
}

/* The guest ended the interrupt of GSI 0. Under vm->irq_lock. */
void pit_ack(struct pit *p)
{
	if (!pit_wants_ack(p))
		return;
	__atomic_store_n(&p->acked, true, __ATOMIC_SEQ_CST);
	if (take_pending(p) && may_tick(p))
		went_out(p, irq_pulse_locked(p->vm, IRQ_SOURCE_PIT, 0));
}

/* What came while GSI 0 was masked is gone, and nobody will end it. */
void pit_unmasked(struct pit *p)
{
	pit_reset_reinjection(p);
}

bool pit_wants_ack(struct pit *p)
{
	return __atomic_load_n(&p->reinject, __ATOMIC_SEQ_CST);
}

/* How many ticks have come due; arms the timer for the next. */
static u64 collect_ticks(struct pit *p)
{
	u64 now = host_monotonic_ns(), n = 0;

	if (!p->next_ns)
		return 0;
	if (now >= p->next_ns) {
		n = p->period_ns ? (now - p->next_ns) / p->period_ns + 1 : 1;
		p->next_ns = p->period_ns ? p->next_ns + n * p->period_ns : 0;
	}
	if (p->next_ns)
		host_timer_set(&p->timer, p->next_ns);
	return n;
}

/* On the poller's thread; perhaps for a deadline that is none any more. */
static void timer_rings(void *arg)
{
	struct pit *p = arg;
	u64 n;

	host_mutex_lock(&p->lock);
	n = collect_ticks(p);
	host_mutex_unlock(&p->lock);
	if (!n)
		return;
	if (pit_wants_ack(p))
		add_pending(p, n);
	if (may_tick(p))
		went_out(p, irq_pulse(p->vm, IRQ_SOURCE_PIT, 0));
}

void pit_arm_ticks(struct pit *p)
{
	const struct channel *c = &p->ch[0];
	u64 ns = pit_scale(c->s.count, NSEC_PER_SEC, PIT_HZ);
	bool periodic = c->s.mode == 2 || c->s.mode == 3;

	p->next_ns = 0;
	if (!p->vm->ioapic || (p->flags & KVM_PIT_FLAGS_HPET_LEGACY) || !c->loaded)
		return;
	if (!periodic && c->s.mode != 0 && c->s.mode != 4)
		return;
	p->period_ns = periodic ? MAX(ns, TIMER_MIN_PERIOD_NS) : 0;
	p->next_ns = (u64)c->s.count_load_time + ns;
	__atomic_store_n(&p->pending_max, MAX((u32)(NSEC_PER_SEC / MAX(ns, TIMER_MIN_PERIOD_NS)),
					      1u), __ATOMIC_SEQ_CST);
	pit_reset_reinjection(p);
	host_timer_set(&p->timer, p->next_ns);
}

void pit_init_ticks(struct pit *p)
{
	p->pending_max = 1;
	host_timer_init(&p->timer, p->vm->poller, timer_rings, p);
}
