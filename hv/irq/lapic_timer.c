/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The timer of a local APIC: one-shot, periodic and TSC-deadline.
 *
 * Specification: Intel SDM vol. 3, "APIC Timer". The bus clock is KVM's: one
 * count a nanosecond before the divider.
 *
 * Only the vCPU's own thread (or who holds v->lock while it does not run)
 * lets the timer expire. A host timer is no more than a bell: its callback,
 * on the poller's thread, marks the timer due and asks for the vCPU's
 * attention, which then looks at the clock itself. So nothing is lost when
 * the guest sets, stops or moves the timer at the same moment, and a sleeping
 * vCPU may also wake by itself. The bell may ring early: it is left alone when
 * the deadline moves away from it, as it does at every tick of a busy guest,
 * and moves itself then.
 */
#include "lapic.h"

#define LVT_COMMON (APIC_LVT_MASKED | 0xffu)
#define FAR_TICKS (1ull << 56)

/* a * b / c without overflow for b, c < 2^32 and a quotient that fits. */
static u64 mul_div(u64 a, u32 b, u32 c)
{
	return a / c * b + a % c * b / c;
}

static u64 load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(u64 *p, u64 val)
{
	__atomic_store_n(p, val, __ATOMIC_SEQ_CST);
}

/* --- the bell --------------------------------------------------------------- */

static void bell_rings(void *arg)
{
	struct lapic *l = arg;
	u64 deadline, now = host_monotonic_ns();
	bool due;

	host_mutex_lock(&l->timer_lock);
	/* In this order: whoever moves the deadline now sees no bell and sets it. */
	store(&l->host_deadline_ns, 0);
	deadline = load(&l->deadline_ns);
	due = deadline && now >= deadline;
	if (deadline && !due) {
		store(&l->host_deadline_ns, deadline);
		host_timer_set(&l->host_timer, deadline);
	}
	host_mutex_unlock(&l->timer_lock);
	if (!due)
		return;
	__atomic_store_n(&l->timer_due, true, __ATOMIC_SEQ_CST);
	vcpu_request(l->vcpu, REQ_EVENT);
}

/* Sees to it that the bell rings at the deadline or before. */
static void set_bell(struct lapic *l)
{
	u64 bell = load(&l->host_deadline_ns), deadline = load(&l->deadline_ns);

	if (!deadline || (bell && bell <= deadline))
		return;
	host_mutex_lock(&l->timer_lock);
	bell = l->host_deadline_ns;
	if (!bell || deadline < bell) {
		store(&l->host_deadline_ns, deadline);
		host_timer_set(&l->host_timer, deadline);
	}
	host_mutex_unlock(&l->timer_lock);
}

/* --- running and expiring ---------------------------------------------------- */

void lapic_timer_stop(struct lapic *l)
{
	store(&l->deadline_ns, 0);
	__atomic_store_n(&l->timer_due, false, __ATOMIC_SEQ_CST);
}

static u64 tscdeadline_to_ns(struct lapic *l, u64 now)
{
	u64 guest_now = vcpu_guest_tsc(l->vcpu), ticks;

	if (l->tscdeadline <= guest_now)
		return now;
	ticks = vcpu_guest_to_host_tsc(l->vcpu, l->tscdeadline) - host_rdtsc();
	if ((s64)ticks <= 0)	/* just now, or so far away that the host's count wraps */
		ticks = l->tscdeadline - guest_now < FAR_TICKS ? 0 : FAR_TICKS;
	return now + mul_div(MIN(ticks, FAR_TICKS), 1000000, host_tsc_khz()) + 1;
}

static void expire(struct lapic *l, u64 now)
{
	u64 deadline = l->deadline_ns;

	switch (l->timer_mode) {
	case APIC_TIMER_TSCDEADLINE:
		/* The two clocks drift, and the guest's may have been set. */
		if (vcpu_guest_tsc(l->vcpu) < l->tscdeadline) {
			store(&l->deadline_ns, tscdeadline_to_ns(l, now));
			set_bell(l);
			return;
		}
		l->tscdeadline = 0;
		store(&l->deadline_ns, 0);
		break;
	case APIC_TIMER_PERIODIC:
		/* Periods that nobody saw become one interrupt. */
		store(&l->deadline_ns,
		      deadline + ((now - deadline) / l->period_ns + 1) * l->period_ns);
		set_bell(l);
		break;
	default:
		store(&l->deadline_ns, 0);
	}
	lapic_local_deliver(l, APIC_LVT_TIMER);
}

static void run_until(struct lapic *l, u64 deadline, u64 now)
{
	store(&l->deadline_ns, deadline ? deadline : 1);
	if (deadline <= now)
		expire(l, now);
	else
		set_bell(l);
}

void lapic_timer_poll(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	u64 now;

	if (!l)
		return;
	__atomic_store_n(&l->timer_due, false, __ATOMIC_SEQ_CST);
	if (!l->deadline_ns)
		return;
	now = host_monotonic_ns();
	if (now >= l->deadline_ns)
		expire(l, now);
	else
		set_bell(l);
}

u64 lapic_timer_deadline(struct vcpu *v)
{
	if (!v->lapic || (lapic_reg(v->lapic, APIC_LVT_TIMER) & APIC_LVT_MASKED))
		return 0;
	return load(&v->lapic->deadline_ns);
}

/* --- registers ---------------------------------------------------------------- */

u32 lapic_timer_lvt_bits(struct lapic *l)
{
	const struct kvm_cpuid_entry2 *leaf1 = vcpu_cpuid_entry(l->vcpu, 1, 0);
	bool has_deadline = leaf1 && (leaf1->ecx & BIT(24));

	return LVT_COMMON | APIC_TIMER_PERIODIC | (has_deadline ? APIC_TIMER_TSCDEADLINE : 0);
}

static bool counts(const struct lapic *l)
{
	return l->timer_mode == APIC_TIMER_ONESHOT || l->timer_mode == APIC_TIMER_PERIODIC;
}

static void set_period(struct lapic *l)
{
	l->period_ns = (u64)lapic_reg(l, APIC_TMICT) * l->divide;
	if (l->timer_mode == APIC_TIMER_PERIODIC && l->period_ns)
		l->period_ns = MAX(l->period_ns, TIMER_MIN_PERIOD_NS);
}

static void set_mode(struct lapic *l)
{
	u32 mode = lapic_reg(l, APIC_LVT_TIMER) & (APIC_TIMER_PERIODIC | APIC_TIMER_TSCDEADLINE);
	bool was_deadline = l->timer_mode == APIC_TIMER_TSCDEADLINE;

	if (mode == l->timer_mode)
		return;
	if (was_deadline != (mode == APIC_TIMER_TSCDEADLINE)) {
		lapic_timer_stop(l);
		lapic_set_reg(l, APIC_TMICT, 0);
		l->tscdeadline = 0;
	}
	l->timer_mode = mode;
	set_period(l);
}

void lapic_timer_write_lvt(struct lapic *l, u32 val)
{
	/* An expiry belongs to the entry that was there. */
	lapic_timer_poll(l->vcpu);
	lapic_set_reg(l, APIC_LVT_TIMER, val);
	set_mode(l);
}

void lapic_timer_write_tmict(struct lapic *l, u32 val)
{
	u64 now = host_monotonic_ns();

	if (!counts(l))
		return;
	lapic_timer_stop(l);
	lapic_set_reg(l, APIC_TMICT, val);
	set_period(l);
	if (l->period_ns)
		run_until(l, now + l->period_ns, now);
}

static void set_divide(struct lapic *l)
{
	u32 tdcr = lapic_reg(l, APIC_TDCR);

	l->divide = 1u << ((((tdcr & 3) | (tdcr >> 1 & 4)) + 1) & 7);
}

void lapic_timer_write_tdcr(struct lapic *l, u32 val)
{
	u64 now = host_monotonic_ns(), left;
	u32 old = l->divide;

	lapic_timer_poll(l->vcpu);
	lapic_set_reg(l, APIC_TDCR, val & 0xb);
	set_divide(l);
	if (l->divide == old || !counts(l))
		return;
	set_period(l);
	if (!l->deadline_ns)
		return;
	left = l->deadline_ns > now ? l->deadline_ns - now : 0;
	run_until(l, now + left * l->divide / old, now);
}

u32 lapic_timer_current_count(struct lapic *l)
{
	u64 now = host_monotonic_ns(), deadline = l->deadline_ns, left;

	if (!counts(l) || !deadline || !l->period_ns)
		return 0;
	if (deadline > now)
		left = deadline - now;
	else if (l->timer_mode == APIC_TIMER_PERIODIC)
		left = l->period_ns - (now - deadline) % l->period_ns;
	else
		left = 0;
	return (u32)(left / l->divide);
}

void lapic_timer_restore(struct lapic *l)
{
	u64 now = host_monotonic_ns(), left;

	lapic_timer_stop(l);
	lapic_set_reg(l, APIC_LVT_TIMER, lapic_reg(l, APIC_LVT_TIMER) & lapic_timer_lvt_bits(l));
	lapic_set_reg(l, APIC_TDCR, lapic_reg(l, APIC_TDCR) & 0xb);
	set_divide(l);
	set_mode(l);
	set_period(l);
	left = (u64)lapic_reg(l, APIC_TMCCT) * l->divide;
	lapic_set_reg(l, APIC_TMCCT, 0);
	if (l->timer_mode == APIC_TIMER_TSCDEADLINE) {
		if (l->tscdeadline)
			run_until(l, tscdeadline_to_ns(l, now), now);
		return;
	}
	if (!counts(l) || !l->period_ns)
		return;
	/* A one-shot count that reached zero is over. */
	if (!left && l->timer_mode == APIC_TIMER_ONESHOT)
		return;
	if (!left || left > l->period_ns)
		left = l->period_ns;
	run_until(l, now + left, now);
}

u64 lapic_get_tscdeadline(struct vcpu *v)
{
	struct lapic *l = v->lapic;

	if (!l || !lapic_hw_enabled(l) || l->timer_mode != APIC_TIMER_TSCDEADLINE)
		return 0;
	lapic_timer_poll(v);
	return l->tscdeadline;
}

void lapic_set_tscdeadline(struct vcpu *v, u64 val)
{
	struct lapic *l = v->lapic;
	u64 now;

	if (!l || !lapic_hw_enabled(l) || l->timer_mode != APIC_TIMER_TSCDEADLINE)
		return;
	lapic_timer_stop(l);
	l->tscdeadline = val;
	if (!val)
		return;
	now = host_monotonic_ns();
	run_until(l, tscdeadline_to_ns(l, now), now);
}

/* --- life --------------------------------------------------------------------- */

void lapic_timer_init(struct lapic *l)
{
	l->divide = 2;
	host_timer_init(&l->host_timer, l->vcpu->vm->poller, bell_rings, l);
}

void lapic_timer_destroy(struct lapic *l)
{
	lapic_timer_stop(l);
	host_timer_cancel(&l->host_timer);
}
