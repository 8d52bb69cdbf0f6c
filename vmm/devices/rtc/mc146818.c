/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The MC146818 real-time clock (data sheet MC146818A) with the PC's century
 * byte. The time is the host's plus an offset that the guest makes by setting
 * the clock. Nothing runs between accesses: flags are found from the time that
 * passed, and a timer runs only while the guest wants an interrupt.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mc146818.h"

enum {
	REG_SEC, REG_SEC_ALARM, REG_MIN, REG_MIN_ALARM, REG_HOUR, REG_HOUR_ALARM,
	REG_WEEKDAY, REG_DAY, REG_MONTH, REG_YEAR, REG_A, REG_B, REG_C, REG_D,
	REG_CENTURY = 0x32, CMOS_SIZE = 128,
};

#define A_UIP (1 << 7)
#define A_RATE 0x0f
#define A_DEFAULT 0x26		/* 32768 Hz, 1024 interrupts a second */

#define B_SET (1 << 7)
#define B_PIE (1 << 6)
#define B_AIE (1 << 5)
#define B_UIE (1 << 4)
#define B_BINARY (1 << 2)
#define B_24H (1 << 1)

#define C_IRQ (1 << 7)
#define C_PERIODIC (1 << 6)
#define C_ALARM (1 << 5)
#define C_UPDATE (1 << 4)

#define D_VALID (1 << 7)
#define PM (1 << 7)		/* of an hour in 12-hour form */
#define ALARM_ANY 0xc0		/* these bits: every value matches */
#define UPDATE_NS 244000	/* UIP rises this long before the update */
#define DAY 86400

struct rtc {
	pthread_mutex_t lock;
	struct irq_line irq;
	struct timer *timer;
	u8 index;
	u8 cmos[CMOS_SIZE];	/* also the registers; time registers only while B_SET */
	s64 offset;		/* seconds, added to the host's */
	u64 seen;		/* host time up to which flags are found, ns */
	bool irq_level;
};

static u64 realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec;
}

/* --- the forms of numbers -------------------------------------------------- */

static u8 encode(const struct rtc *r, int v)
{
	return (u8)(r->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 0xf);
}

static u8 encode_hour(const struct rtc *r, int h)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, h);
	return encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? PM : 0);
}

static int decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & (u8)~PM) % 12 + (v & PM ? 12 : 0);
}

/* --- time ------------------------------------------------------------------ */

static s64 guest_seconds(const struct rtc *r, u64 host_ns)
{
	return (s64)(host_ns / NSEC) + r->offset;
}

static void registers_from_time(struct rtc *r, u64 host_ns)
{
	time_t t = (time_t)guest_seconds(r, host_ns);
	struct tm tm;
	int year;

	if (!gmtime_r(&t, &tm))
		return;
	year = tm.tm_year + 1900 > 0 ? tm.tm_year + 1900 : 0;
	r->cmos[REG_SEC] = encode(r, tm.tm_sec);
	r->cmos[REG_MIN] = encode(r, tm.tm_min);
	r->cmos[REG_HOUR] = encode_hour(r, tm.tm_hour);
	r->cmos[REG_WEEKDAY] = encode(r, tm.tm_wday + 1);
	r->cmos[REG_DAY] = encode(r, tm.tm_mday);
	r->cmos[REG_MONTH] = encode(r, tm.tm_mon + 1);
	r->cmos[REG_YEAR] = encode(r, year % 100);
	r->cmos[REG_CENTURY] = encode(r, year / 100 % 100);
}

static void time_from_registers(struct rtc *r, u64 host_ns)
{
	struct tm tm = {
		.tm_sec = decode(r, r->cmos[REG_SEC]),
		.tm_min = decode(r, r->cmos[REG_MIN]),
		.tm_hour = decode_hour(r, r->cmos[REG_HOUR]),
		.tm_mday = decode(r, r->cmos[REG_DAY]),
		.tm_mon = decode(r, r->cmos[REG_MONTH]) - 1,
		.tm_year = decode(r, r->cmos[REG_YEAR]) +
			   decode(r, r->cmos[REG_CENTURY]) * 100 - 1900,
	};

	r->offset = (s64)timegm(&tm) - (s64)(host_ns / NSEC);
}

static u64 period_ns(const struct rtc *r)
{
	unsigned int rate = r->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate < 3)
		rate += 7;	/* the two slots of the other time base */
	return (NSEC << (rate - 1)) / 32768;
}

static bool alarm_field(u8 alarm, u8 value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/* Seconds from guest time t (excluded) to the next alarm; 0: none within the limit. */
static unsigned int alarm_distance(const struct rtc *r, s64 t, u64 limit)
{
	unsigned int second = (unsigned int)(((t % DAY) + DAY) % DAY), i;

	for (i = 1; i <= DAY && i <= limit; i++) {
		unsigned int s = (second + i) % DAY;

		if (alarm_field(r->cmos[REG_SEC_ALARM], encode(r, (int)(s % 60))) &&
		    alarm_field(r->cmos[REG_MIN_ALARM], encode(r, (int)(s / 60 % 60))) &&
		    alarm_field(r->cmos[REG_HOUR_ALARM], encode_hour(r, (int)(s / 3600))))
			return i;
	}
	return 0;
}

/* --- flags and the interrupt ------------------------------------------------ */

/* Sets the flags of what happened between the last look and now. */
static void find_flags(struct rtc *r, u64 now)
{
	u64 period = period_ns(r);
	u8 flags = 0;

	if (now <= r->seen) {	/* the host's clock was set back */
		r->seen = now;
		return;
	}
	if (period && now / period != r->seen / period)
		flags |= C_PERIODIC;
	if (!(r->cmos[REG_B] & B_SET) && now / NSEC != r->seen / NSEC) {
		u64 seconds = now / NSEC - r->seen / NSEC;
		unsigned int alarm = 0;

		flags |= C_UPDATE;
		if (!(r->cmos[REG_C] & C_ALARM))
			alarm = alarm_distance(r, guest_seconds(r, r->seen), seconds);
		if (alarm)
			flags |= C_ALARM;
	}
	r->cmos[REG_C] |= flags;
	r->seen = now;
}

static void update_irq(struct rtc *r)
{
	bool level = r->cmos[REG_C] & r->cmos[REG_B] & (C_PERIODIC | C_ALARM | C_UPDATE);

	if (level)
		r->cmos[REG_C] |= C_IRQ;
	if (level == r->irq_level)
		return;
	r->irq_level = level;
	irq_set(&r->irq, level);
}

/* Arms the timer for the next event that interrupts, if there is none yet. */
static void arm(struct rtc *r, u64 now)
{
	u8 b = r->cmos[REG_B];
	u64 wait = 0, next = 0, period = period_ns(r);

	if (!r->irq_level) {
		if ((b & B_PIE) && period)
			wait = period - now % period;
		if ((b & B_UIE) && !(b & B_SET))
			next = NSEC - now % NSEC;
		else if ((b & B_AIE) && !(b & B_SET))
			next = alarm_distance(r, guest_seconds(r, now), DAY) * NSEC;
		if (next && (b & B_UIE) == 0)
			next -= now % NSEC;
		if (next && (!wait || next < wait))
			wait = next;
	}
	timer_set(r->timer, wait ? monotonic_ns() + wait + 1000 : 0);
}

static void refresh(struct rtc *r, u64 now)
{
	update_irq(r);
	arm(r, now);
}

static void on_timer(void *arg)
{
	struct rtc *r = arg;
	u64 now;

	pthread_mutex_lock(&r->lock);
	now = realtime_ns();
	find_flags(r, now);
	refresh(r, now);
	pthread_mutex_unlock(&r->lock);
}

/* --- the two ports ---------------------------------------------------------- */

static bool is_time(u8 reg)
{
	return reg == REG_SEC || reg == REG_MIN || reg == REG_HOUR ||
	       (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == REG_CENTURY;
}

static u8 read_data(struct rtc *r, u64 now)
{
	bool set = r->cmos[REG_B] & B_SET;
	u8 v;

	if (is_time(r->index) && !set)
		registers_from_time(r, now);
	v = r->cmos[r->index];
	switch (r->index) {
	case REG_A:
		if (!set && now % NSEC >= NSEC - UPDATE_NS)
			v |= A_UIP;
		break;
	case REG_C:
		find_flags(r, now);
		update_irq(r);
		v = r->cmos[REG_C];
		r->cmos[REG_C] = 0;
		refresh(r, now);
		break;
	}
	return v;
}

static void write_data(struct rtc *r, u8 v, u64 now)
{
	bool set = r->cmos[REG_B] & B_SET;

	find_flags(r, now);
	switch (r->index) {
	case REG_A:
		r->cmos[REG_A] = v & (u8)~A_UIP;
		break;
	case REG_B:
		/* the registers keep their form while they hold the time */
		if (!set)
			registers_from_time(r, now);
		if (set && !(v & B_SET))
			time_from_registers(r, now);
		r->cmos[REG_B] = v & B_SET ? v & (u8)~B_UIE : v;
		break;
	case REG_C:
	case REG_D:
		return;
	default:
		if (is_time(r->index) && !set) {
			registers_from_time(r, now);
			r->cmos[r->index] = v;
			time_from_registers(r, now);
		}
		r->cmos[r->index] = v;
	}
	refresh(r, now);
}

static u64 port_read(void *dev, u64 offset, unsigned int size)
{
	struct rtc *r = dev;
	u8 v = 0xff;		/* the index cannot be read */

	(void)size;
	if (offset == 0)
		return v;
	pthread_mutex_lock(&r->lock);
	v = read_data(r, realtime_ns());
	pthread_mutex_unlock(&r->lock);
	return v;
}

static void port_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct rtc *r = dev;

	(void)size;
	pthread_mutex_lock(&r->lock);
	if (offset == 0)
		r->index = value & (CMOS_SIZE - 1);	/* bit 7 masks NMI */
	else
		write_data(r, (u8)value, realtime_ns());
	pthread_mutex_unlock(&r->lock);
}

/* The memory sizes as a PC's firmware leaves them. */
static void put_sizes(struct rtc *r, u64 low, u64 high)
{
	u64 kib = low > MIB ? (low - MIB) / KIB : 0;
	u64 blocks = low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0;

	if (kib > 0xffff)
		kib = 0xffff;
	if (blocks > 0xffff)
		blocks = 0xffff;
	r->cmos[0x15] = 640 & 0xff;
	r->cmos[0x16] = 640 >> 8;
	r->cmos[0x17] = r->cmos[0x30] = (u8)kib;
	r->cmos[0x18] = r->cmos[0x31] = (u8)(kib >> 8);
	r->cmos[0x34] = (u8)blocks;
	r->cmos[0x35] = (u8)(blocks >> 8);
	high /= 64 * KIB;
	r->cmos[0x5b] = (u8)high;
	r->cmos[0x5c] = (u8)(high >> 8);
	r->cmos[0x5d] = (u8)(high >> 16);
}

void rtc_set(struct rtc *r, u8 at, u8 value)
{
	pthread_mutex_lock(&r->lock);
	r->cmos[at % CMOS_SIZE] = value;
	pthread_mutex_unlock(&r->lock);
}

struct rtc *rtc_new(struct bus *ports, const struct irq_line *irq, struct loop *l, u64 low,
		    u64 high)
{
	struct rtc *r = calloc(1, sizeof(*r));
	const struct bus_region region = { "rtc", RTC_PORT, 2, 1, port_read, port_write, r };

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->irq = *irq;
	r->cmos[REG_A] = A_DEFAULT;
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VALID;
	r->cmos[0x14] = 0x02;	/* equipment: a coprocessor */
	put_sizes(r, low, high);
	r->seen = realtime_ns();
	r->timer = timer_new(l, on_timer, r);
	if (!r->timer || bus_add(ports, &region) < 0) {
		rtc_free(r);
		return NULL;
	}
	return r;
}

void rtc_free(struct rtc *r)
{
	if (!r)
		return;
	timer_free(r->timer);
	free(r);
}
