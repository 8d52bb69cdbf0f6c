/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring of frames from the driver (3.3 in the manual): plain descriptors,
 * and such with a context that asks for checksums or segmentation.
 */
#include <string.h>

#include "e1000.h"

/* The command byte of a descriptor, and the type that the extended ones have. */
#define D_LAST (1 << 0)
#define D_SUM (1 << 2)			/* of a plain one */
#define D_SEGMENT (1 << 2)		/* of an extended one */
#define D_REPORT (1 << 3)
#define D_EXTENDED (1 << 5)
#define D_VLAN (1 << 6)
#define TYPE_DATA 1
#define OPTION_IP_SUM 1
#define OPTION_SUM 2
#define STATUS_DONE 1

#define FLUSH_FRAMES 64
#define SLICE_NS 20000000ULL		/* at a time */

struct descriptor {
	u8 b[E1000_DESCRIPTOR];
};

static u16 get16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}

/* What follows is under tx_lock. */
static void take_context(struct e1000 *e, const u8 *d)
{
	struct e1000_context c = {
		.ipcss = d[0], .ipcso = d[1], .ipcse = get16(d + 2),
		.tucss = d[4], .tucso = d[5],
		.command = d[11], .header = d[13], .mss = get16(d + 14),
	};

	if (c.command & D_SEGMENT)
		e->tso = c;
	else
		e->context = c;
}

static void append(struct e1000 *e, u64 gpa, u32 len)
{
	struct e1000_frame *f = &e->frame;

	if (len > sizeof(f->bytes) - f->len ||
	    !memory_read(e->b->mem, gpa, f->bytes + f->len, len))
		f->too_long = true;
	else
		f->len += len;
}

static void take_data(struct e1000 *e, const u8 *d)
{
	struct e1000_frame *f = &e->frame;
	const u8 command = d[11];
	const bool first = !f->len;
	u64 gpa;
	u32 len = get16(d + 8);

	memcpy(&gpa, d, sizeof(gpa));
	if (command & D_EXTENDED)
		len |= (u32)(d[10] & 15) << 16;
	append(e, gpa, len);
	if (command & D_EXTENDED && first) {	/* the first one tells how */
		f->segment = command & D_SEGMENT;
		f->ip_sum = d[13] & OPTION_IP_SUM;
		f->sum = d[13] & OPTION_SUM;
		f->context = f->segment ? e->tso : e->context;
	} else if (!(command & D_EXTENDED) && command & D_LAST && command & D_SUM) {
		f->sum = true;
		f->context = (struct e1000_context){ .tucss = d[13], .tucso = d[10] };
	}
	if (!(command & D_LAST))
		return;
	if (command & D_VLAN) {
		f->vlan = true;
		f->tag = get16(d + 14);
	}
	if (!f->too_long && f->len)
		e1000_send(e, f);
	memset(f, 0, offsetof(struct e1000_frame, bytes));
}

static void report(struct e1000 *e, u64 at)
{
	u8 *d = memory_ptr(e->b->mem, at, E1000_DESCRIPTOR);

	if (d)
		__atomic_fetch_or(d + 12, STATUS_DONE, __ATOMIC_RELEASE);
}

/* The next descriptor's place; false when there is none. */
static bool next(struct e1000 *e, u64 *at)
{
	const u32 size = *e1000_reg(e, R_TDLEN) / E1000_DESCRIPTOR;
	const u32 head = *e1000_reg(e, R_TDH), tail = *e1000_reg(e, R_TDT);

	if (!(*e1000_reg(e, R_TCTL) & TCTL_EN) || head >= size || tail >= size || head == tail)
		return false;
	*at = ((u64)*e1000_reg(e, R_TDBAH) << 32 | *e1000_reg(e, R_TDBAL)) +
		(u64)head * E1000_DESCRIPTOR;
	*e1000_reg(e, R_TDH) = (head + 1) % size;
	return true;
}

static void forget(struct e1000 *e)
{
	memset(&e->frame, 0, offsetof(struct e1000_frame, bytes));
	memset(&e->context, 0, sizeof(e->context));
	memset(&e->tso, 0, sizeof(e->tso));
}

/* One descriptor: false when there is none. */
static bool one(struct e1000 *e, bool *reported)
{
	struct descriptor d;
	u64 at;
	bool more;

	pthread_mutex_lock(&e->lock);
	more = next(e, &at);
	if (e->was_reset)
		forget(e);
	e->was_reset = false;
	pthread_mutex_unlock(&e->lock);
	if (!more || !memory_read(e->b->mem, at, &d, sizeof(d)))
		return false;
	if (d.b[11] & D_EXTENDED && d.b[10] >> 4 != TYPE_DATA)
		take_context(e, d.b);
	else
		take_data(e, d.b);
	if (d.b[11] & D_REPORT) {
		report(e, at);
		*reported = true;
	}
	return true;
}

void e1000_transmit(struct e1000 *e)
{
	const u64 until = monotonic_ns() + SLICE_NS;
	unsigned int n = 0, most;
	bool reported = false;

	pthread_mutex_lock(&e->tx_lock);
	pthread_mutex_lock(&e->lock);
	most = *e1000_reg(e, R_TDLEN) / E1000_DESCRIPTOR;
	pthread_mutex_unlock(&e->lock);
	/* a driver that goes on meanwhile calls again */
	while (n < most && one(e, &reported)) {
		if (++n % FLUSH_FRAMES == 0)
			net_flush(e->net);
		if (monotonic_ns() >= until) {
			timer_set(e->later, 1);
			break;
		}
	}
	net_flush(e->net);
	pthread_mutex_lock(&e->lock);
	if (n)
		e1000_interrupt(e, ICR_TX_EMPTY | (reported ? ICR_TX_DONE : 0));
	pthread_mutex_unlock(&e->lock);
	pthread_mutex_unlock(&e->tx_lock);
}
