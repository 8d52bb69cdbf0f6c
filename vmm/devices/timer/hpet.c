/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HPET (IA-PC HPET specification 1.0a): a counter of 100 MHz and three
 * comparators, each of which can be periodic and interrupt by a line or by a
 * message. In legacy mode the first two take the place of the PIT and of the
 * real-time clock. The counter runs with the monotonic clock; nothing happens
 * between accesses but the event loop's timers.
 */
#include <stdlib.h>

#include "../../boot/acpi.h"
#include "../../error.h"
#include "hpet.h"

#define SIZE 0x400
#define TICK_NS 10
#define PERIOD_FS 10000000ULL
#define TIMERS 3

#define CAP_ID (PERIOD_FS << 32 | 0x8086ULL << 16 | 1 << 15 | 1 << 13 | (TIMERS - 1) << 8 | 1)

#define REG_CAP 0x000
#define REG_CONFIG 0x010
#define REG_STATUS 0x020
#define REG_COUNTER 0x0f0
#define REG_TIMERS 0x100
#define TIMER_STEP 0x20
#define TIMER_CONFIG 0x00
#define TIMER_COMPARATOR 0x08
#define TIMER_MESSAGE 0x10

#define CONFIG_ENABLE (1 << 0)
#define CONFIG_LEGACY (1 << 1)

#define TN_LEVEL (1 << 1)
#define TN_ENABLE (1 << 2)
#define TN_PERIODIC (1 << 3)
#define TN_PERIODIC_CAP (1 << 4)
#define TN_64BIT_CAP (1 << 5)
#define TN_SET (1 << 6)
#define TN_32BIT (1 << 8)
#define TN_ROUTE_SHIFT 9
#define TN_MESSAGE (1 << 14)
#define TN_MESSAGE_CAP (1 << 15)
#define TN_WRITABLE 0x7f4eULL
#define TN_CAPS (0x00ff0104ULL << 32 | TN_PERIODIC_CAP | TN_64BIT_CAP | TN_MESSAGE_CAP)

#define LEGACY_PIT_GSI 0
#define LEGACY_RTC_GSI 8

/* Interrupts closer together would keep the event loop busy. */
#define INTERVAL_MIN_NS 50000
#define WAIT_MAX_NS (3600 * NSEC)

struct hpet_timer {
	struct hpet *h;
	unsigned int index;
	u64 config, comparator, period, message;
	bool level;			/* its line is up */
	u64 fired_ns;
	struct timer *timer;
};

struct hpet {
	struct board *b;
	pthread_mutex_t lock;
	u64 config, status;
	u64 counter;			/* while it stands; while it runs, at start_ns */
	u64 start_ns;
	struct hpet_timer t[TIMERS];
	unsigned int rtc_gsi;
};

/* --- the counter: under the lock, as is all that follows ------------------------------- */

static u64 counter(const struct hpet *h)
{
	if (!(h->config & CONFIG_ENABLE))
		return h->counter;
	return h->counter + (monotonic_ns() - h->start_ns) / TICK_NS;
}

static u64 mask(const struct hpet_timer *t)
{
	return t->config & TN_32BIT ? 0xffffffff : ~0ULL;
}

/* Ticks until the comparator is reached; 0 when it lies in the past half of the range. */
static u64 distance(const struct hpet_timer *t, u64 now)
{
	u64 m = mask(t), d = (t->comparator - now) & m;

	return d > m / 2 ? 0 : d;
}

/* --- interrupts --------------------------------------------------------------------------- */

static unsigned int gsi_of(const struct hpet_timer *t)
{
	if (t->h->config & CONFIG_LEGACY && t->index == 0)
		return LEGACY_PIT_GSI;
	if (t->h->config & CONFIG_LEGACY && t->index == 1)
		return LEGACY_RTC_GSI;
	return t->config >> TN_ROUTE_SHIFT & 0x1f;
}

static void drop_line(struct hpet_timer *t)
{
	if (t->level)
		vm_line(t->h->b->vm, gsi_of(t), false);
	t->level = false;
}

static void interrupt(struct hpet_timer *t)
{
	struct hpet *h = t->h;
	unsigned int gsi = gsi_of(t);

	if (t->config & TN_MESSAGE) {
		vm_msi(h->b->vm, t->message >> 32, (u32)t->message);
	} else if (gsi < VM_IRQCHIP_GSIS && t->config & TN_LEVEL) {
		h->status |= 1u << t->index;
		t->level = true;
		vm_line(h->b->vm, gsi, true);
	} else if (gsi < VM_IRQCHIP_GSIS) {
		vm_line(h->b->vm, gsi, true);
		vm_line(h->b->vm, gsi, false);
	}
}

static void arm(struct hpet_timer *t)
{
	u64 now = monotonic_ns(), wait, at;

	if (!(t->h->config & CONFIG_ENABLE) || !(t->config & TN_ENABLE)) {
		timer_set(t->timer, 0);
		return;
	}
	wait = distance(t, counter(t->h));
	wait = wait > WAIT_MAX_NS / TICK_NS ? WAIT_MAX_NS : wait * TICK_NS;
	at = now + wait;
	if (at < t->fired_ns + INTERVAL_MIN_NS)
		at = t->fired_ns + INTERVAL_MIN_NS;
	timer_set(t->timer, at);
}

static void arm_all(struct hpet *h)
{
	unsigned int i;

	for (i = 0; i < TIMERS; i++)
		arm(&h->t[i]);
}

/* Moves a periodic comparator on to its next value after now. */
static void next_period(struct hpet_timer *t, u64 now)
{
	u64 m = mask(t), period = t->period & m, late = (now - t->comparator) & m;

	if (!period)
		return;
	if (late > m / 2)
		late = 0;
	t->comparator = (t->comparator + (late / period + 1) * period) & m;
}

static void on_timer(void *arg)
{
	struct hpet_timer *t = arg;
	struct hpet *h = t->h;
	u64 now;

	pthread_mutex_lock(&h->lock);
	now = counter(h);
	if (!(h->config & CONFIG_ENABLE) || !(t->config & TN_ENABLE) || distance(t, now)) {
		arm(t);		/* it was set anew meanwhile, or is far away */
	} else {
		t->fired_ns = monotonic_ns();
		interrupt(t);
		if (t->config & TN_PERIODIC && t->period) {
			next_period(t, now);
			arm(t);
		}
	}
	pthread_mutex_unlock(&h->lock);
}

/* --- registers ------------------------------------------------------------------------------- */

static void write_config(struct hpet *h, u64 v)
{
	u64 changed = (h->config ^ v) & (CONFIG_ENABLE | CONFIG_LEGACY);
	unsigned int i;

	if (changed & CONFIG_LEGACY)
		for (i = 0; i < TIMERS; i++)
			drop_line(&h->t[i]);
	if (changed & CONFIG_ENABLE) {
		h->counter = counter(h);
		h->start_ns = monotonic_ns();
	}
	h->config ^= changed;
	if (changed & CONFIG_LEGACY)
		vm_pit_off(h->b->vm, v & CONFIG_LEGACY);
	arm_all(h);
}

static void write_status(struct hpet *h, u64 v)
{
	unsigned int i;

	h->status &= ~v;
	for (i = 0; i < TIMERS; i++)
		if (v >> i & 1)
			drop_line(&h->t[i]);
}

static void write_timer(struct hpet_timer *t, unsigned int reg, u64 v, u64 bits)
{
	u64 m;

	switch (reg) {
	case TIMER_CONFIG:
		v = (t->config & ~bits) | (v & bits);
		if ((v ^ t->config) & (TN_ENABLE | TN_LEVEL | TN_MESSAGE | 0x1f << TN_ROUTE_SHIFT))
			drop_line(t);
		t->config = (v & TN_WRITABLE) | TN_CAPS;
		t->comparator &= mask(t);
		break;
	case TIMER_COMPARATOR:
		m = bits & mask(t);
		/* of a periodic one, the value is the period, unless it is to set both */
		if (!(t->config & TN_PERIODIC) || t->config & TN_SET)
			t->comparator = (t->comparator & ~m) | (v & m);
		if (t->config & TN_PERIODIC)
			t->period = (t->period & ~m) | (v & m);
		if (bits >> 32 || t->config & TN_32BIT)
			t->config &= ~(u64)TN_SET;
		break;
	case TIMER_MESSAGE:
		t->message = (t->message & ~bits) | (v & bits);
		break;
	}
	arm(t);
}

static u64 read_reg(struct hpet *h, unsigned int reg)
{
	const struct hpet_timer *t;

	switch (reg) {
	case REG_CAP:
		return CAP_ID;
	case REG_CONFIG:
		return h->config;
	case REG_STATUS:
		return h->status;
	case REG_COUNTER:
		return counter(h);
	}
	if (reg < REG_TIMERS || reg >= REG_TIMERS + TIMERS * TIMER_STEP)
		return 0;
	t = &h->t[(reg - REG_TIMERS) / TIMER_STEP];
	switch (reg % TIMER_STEP) {
	case TIMER_CONFIG:
		return t->config;
	case TIMER_COMPARATOR:
		return t->comparator;
	case TIMER_MESSAGE:
		return t->message;
	}
	return 0;
}

/* bits: which of the register are written; v has them in place. */
static void write_reg(struct hpet *h, unsigned int reg, u64 v, u64 bits)
{
	switch (reg) {
	case REG_CONFIG:
		write_config(h, (h->config & ~bits) | (v & bits));
		break;
	case REG_STATUS:
		write_status(h, v & bits);
		break;
	case REG_COUNTER:
		h->counter = (counter(h) & ~bits) | (v & bits);
		h->start_ns = monotonic_ns();
		arm_all(h);
		break;
	default:
		if (reg >= REG_TIMERS && reg < REG_TIMERS + TIMERS * TIMER_STEP)
			write_timer(&h->t[(reg - REG_TIMERS) / TIMER_STEP], reg % TIMER_STEP, v,
				    bits);
	}
}

static u64 mmio_read(void *dev, u64 offset, unsigned int size)
{
	struct hpet *h = dev;
	u64 v = 0;

	if ((offset & 7) + size > 8)
		return 0;
	pthread_mutex_lock(&h->lock);
	v = read_reg(h, (unsigned int)offset & ~7u) >> (offset & 7) * 8;
	pthread_mutex_unlock(&h->lock);
	return v;
}

static void mmio_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct hpet *h = dev;
	unsigned int shift = (unsigned int)(offset & 7) * 8;
	u64 bits = size == 8 ? ~0ULL : ((1ULL << size * 8) - 1) << shift;

	/* a register is written as a whole, or one half of it */
	if (size < 4 || offset % size)
		return;
	pthread_mutex_lock(&h->lock);
	write_reg(h, (unsigned int)offset & ~7u, value << shift, bits);
	pthread_mutex_unlock(&h->lock);
}

/* --- the clock's line ------------------------------------------------------------------------- */

static void rtc_line(void *ctx, unsigned int gsi, bool level)
{
	struct hpet *h = ctx;

	/* one word, which changes when a system switches its timers over */
	if (!(__atomic_load_n(&h->config, __ATOMIC_RELAXED) & CONFIG_LEGACY))
		vm_line(h->b->vm, gsi, level);
}

struct irq_line hpet_rtc_line(struct hpet *h, unsigned int gsi)
{
	return (struct irq_line){ rtc_line, h, gsi };
}

/* --- life ------------------------------------------------------------------------------------- */

struct hpet *hpet_new(struct board *b)
{
	struct hpet *h = calloc(1, sizeof(*h));
	const struct bus_region r = { "hpet", HPET_BASE, SIZE, 8, mmio_read, mmio_write, h };
	bool ok = h;
	unsigned int i;

	if (h) {
		h->b = b;
		pthread_mutex_init(&h->lock, NULL);
	}
	for (i = 0; h && i < TIMERS; i++) {
		struct hpet_timer *t = &h->t[i];

		t->h = h;
		t->index = i;
		t->config = TN_CAPS;
		t->comparator = ~0ULL;
		t->timer = timer_new(b->loop, on_timer, t);
		ok = ok && t->timer;
	}
	if (ok && bus_add(b->mmio, &r) == 0)
		return h;
	hpet_free(h);
	error("cannot create the HPET");
	return NULL;
}

void hpet_free(struct hpet *h)
{
	unsigned int i;

	if (!h)
		return;
	for (i = 0; i < TIMERS; i++)
		timer_free(h->t[i].timer);
	free(h);
}
