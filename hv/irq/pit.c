/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 8254 interval timer of a PC, and port 0x61, which gates its third
 * channel and shows its output.
 *
 * Specification: Intel 8254 data sheet (order 231164); port 0x61: Intel 82371
 * (PIIX) data sheet, "NMI status and control". State as in struct
 * kvm_pit_state2. Channel 0's ticks are pit_ticks.c's.
 */
#include "pit.h"

#define PIT_BASE 0x40
#define PIT_CONTROL 3
#define PIT_SPEAKER 0x61
#define COUNT_MAX 0x10000u

#define CONTROL_READ_BACK 3
#define READ_BACK_NO_COUNT BIT(5)
#define READ_BACK_NO_STATUS BIT(4)

/* rw_mode of a control word; read_state and write_state count on from it. */
enum { RW_LATCH, RW_LSB, RW_MSB, RW_WORD, RW_WORD_HIGH };

/* --- counting ------------------------------------------------------------------ */

/* Only the third channel's gate is wired to anything. */
static bool gate(const struct pit *p, int n)
{
	return n != 2 || p->ch[2].s.gate;
}

static bool needs_trigger(const struct channel *c)
{
	return c->s.mode == 1 || c->s.mode == 5;
}

static bool counting(const struct channel *c)
{
	return c->loaded && (!needs_trigger(c) || c->triggered);
}

/* Ticks of the input clock since the count began. */
static u64 ticks(const struct pit *p, int n)
{
	const struct channel *c = &p->ch[n];
	u64 now = host_monotonic_ns(), from = (u64)c->s.count_load_time, ns;

	if (!counting(c))
		return 0;
	if (!gate(p, n) && !needs_trigger(c))
		ns = c->held_ns;
	else
		ns = now > from ? now - from : 0;
	return pit_scale(ns, PIT_HZ, NSEC_PER_SEC);
}

static u32 to_bcd(u32 val)
{
	return val % 10 | val / 10 % 10 << 4 | val / 100 % 10 << 8 | val / 1000 % 10 << 12;
}

static u32 from_bcd(u32 val)
{
	return (val & 15) + (val >> 4 & 15) * 10 + (val >> 8 & 15) * 100 + (val >> 12 & 15) * 1000;
}

/* What a counter holds now, in binary, 1..count in the periodic modes. */
static u32 present_count(const struct pit *p, int n)
{
	const struct kvm_pit_channel_state *s = &p->ch[n].s;
	u64 t = ticks(p, n);
	u32 wrap = s->bcd ? 10000 : COUNT_MAX;

	switch (s->mode) {
	case 2:
		return s->count - (u32)(t % s->count);
	case 3:
		return s->count - (u32)(t * 2 % s->count);
	}
	return (u32)((s->count + wrap - t % wrap) % wrap);
}

static u32 read_count(const struct pit *p, int n)
{
	u32 val = present_count(p, n);

	return (p->ch[n].s.bcd ? to_bcd(val) : val) & 0xffff;
}

static bool output(const struct pit *p, int n)
{
	const struct channel *c = &p->ch[n];
	u64 t = ticks(p, n);
	u32 count = c->s.count;

	switch (c->s.mode) {
	case 1:
		return !counting(c) || t >= count;
	case 2:
		return !gate(p, n) || !counting(c) || t % count != count - 1;
	case 3:
		return !gate(p, n) || !counting(c) || t % count < (count + 1) / 2;
	case 4:
	case 5:
		return !counting(c) || t != count;
	}
	return counting(c) && t >= count;
}

/* --- ports --------------------------------------------------------------------------- */

static void load_count(struct pit *p, int n, u32 val)
{
	struct channel *c = &p->ch[n];
	u32 count = c->s.bcd ? from_bcd(val) : val;

	c->s.count = count ? count : c->s.bcd ? 10000 : COUNT_MAX;
	c->s.count_load_time = (s64)host_monotonic_ns();
	c->loaded = true;
	c->held_ns = 0;
	if (n == 0)
		pit_arm_ticks(p);
}

static void set_gate(struct pit *p, bool on)
{
	struct channel *c = &p->ch[2];
	u64 now = host_monotonic_ns();
	bool was = c->s.gate;

	c->s.gate = on;
	if (was == on)
		return;
	if (!on) {
		c->held_ns = now - (u64)c->s.count_load_time;
	} else if (c->s.mode == 0 || c->s.mode == 4) {
		/* Goes on where it was. */
		c->s.count_load_time = (s64)(now - c->held_ns);
	} else {
		c->s.count_load_time = (s64)now;
		c->triggered = true;
	}
}

static void latch_count(struct pit *p, int n)
{
	struct kvm_pit_channel_state *s = &p->ch[n].s;

	if (s->count_latched)
		return;
	s->latched_count = (u16)read_count(p, n);
	s->count_latched = s->rw_mode;
}

static void latch_status(struct pit *p, int n)
{
	struct kvm_pit_channel_state *s = &p->ch[n].s;

	if (s->status_latched)
		return;
	s->status = (u8)(output(p, n) << 7 | !p->ch[n].loaded << 6 | (s->rw_mode & 3) << 4 |
			 (s->mode & 7) << 1 | s->bcd);
	s->status_latched = 1;
}

static void write_control(struct pit *p, u8 val)
{
	int n = val >> 6, i;
	struct channel *c;

	if (n == CONTROL_READ_BACK) {
		for (i = 0; i < 3; i++) {
			if (!(val >> (i + 1) & 1))
				continue;
			if (!(val & READ_BACK_NO_COUNT))
				latch_count(p, i);
			if (!(val & READ_BACK_NO_STATUS))
				latch_status(p, i);
		}
		return;
	}
	if ((val >> 4 & 3) == RW_LATCH) {
		latch_count(p, n);
		return;
	}
	c = &p->ch[n];
	c->s.rw_mode = c->s.read_state = c->s.write_state = val >> 4 & 3;
	c->s.mode = val >> 1 & 7;
	if (c->s.mode > 5)
		c->s.mode -= 4;
	c->s.bcd = val & 1;
	c->s.count_latched = c->s.status_latched = 0;
	c->loaded = c->triggered = false;
	if (n == 0)
		pit_arm_ticks(p);
}

static void write_counter(struct pit *p, int n, u8 val)
{
	struct kvm_pit_channel_state *s = &p->ch[n].s;

	switch (s->write_state) {
	case RW_MSB:
		load_count(p, n, (u32)val << 8);
		break;
	case RW_WORD:
		s->write_latch = val;
		s->write_state = RW_WORD_HIGH;
		break;
	case RW_WORD_HIGH:
		s->write_state = RW_WORD;
		load_count(p, n, s->write_latch | (u32)val << 8);
		break;
	default:
		load_count(p, n, val);
	}
}

static u8 read_latched(struct kvm_pit_channel_state *s)
{
	u8 high = s->latched_count >> 8;

	switch (s->count_latched) {
	case RW_MSB:
		s->count_latched = 0;
		return high;
	case RW_WORD:
		s->count_latched = RW_MSB;
		break;
	default:
		s->count_latched = 0;
	}
	return (u8)s->latched_count;
}

static u8 read_counter(struct pit *p, int n)
{
	struct kvm_pit_channel_state *s = &p->ch[n].s;
	u32 count;

	if (s->status_latched) {
		s->status_latched = 0;
		return s->status;
	}
	if (s->count_latched)
		return read_latched(s);
	count = read_count(p, n);
	switch (s->read_state) {
	case RW_MSB:
		return (u8)(count >> 8);
	case RW_WORD:
		s->read_state = RW_WORD_HIGH;
		break;
	case RW_WORD_HIGH:
		s->read_state = RW_WORD;
		return (u8)(count >> 8);
	}
	return (u8)count;
}

static u8 read_speaker(struct pit *p)
{
	/* The refresh clock turns every 15 us; nearly. */
	u8 refresh = host_monotonic_ns() >> 14 & 1;

	return (u8)(p->ch[2].s.gate | !!(p->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) << 1 |
		    refresh << 4 | output(p, 2) << 5);
}

static void write_speaker(struct pit *p, u8 val)
{
	if (val & 2)
		p->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	else
		p->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	set_gate(p, val & 1);
}

static void access(struct pit *p, u16 port, u8 *val, bool write)
{
	int n = port & 3;

	if (port == PIT_SPEAKER) {
		if (write)
			write_speaker(p, *val);
		else
			*val = read_speaker(p);
	} else if (write) {
		if (n == PIT_CONTROL)
			write_control(p, *val);
		else
			write_counter(p, n, *val);
	} else {
		*val = n == PIT_CONTROL ? 0 : read_counter(p, n);
	}
}

int pit_io(struct pit *p, u16 port, u32 size, void *data, bool write)
{
	if ((port & ~3) != PIT_BASE && !(port == PIT_SPEAKER && p->speaker))
		return -EOPNOTSUPP;
	if (!write)
		host_memset(data, 0, size);
	host_mutex_lock(&p->lock);
	access(p, port, data, write);
	host_mutex_unlock(&p->lock);
	return 0;
}

/* --- state, life ----------------------------------------------------------------------- */

void pit_get(struct pit *p, struct kvm_pit_state2 *s)
{
	int n;

	host_memset(s, 0, sizeof(*s));
	host_mutex_lock(&p->lock);
	for (n = 0; n < 3; n++)
		host_memcpy(&s->channels[n], &p->ch[n].s, sizeof(s->channels[n]));
	s->flags = p->flags;
	host_mutex_unlock(&p->lock);
}

static void set_channel(struct pit *p, int n, const struct kvm_pit_channel_state *s)
{
	struct channel *c = &p->ch[n];

	host_memcpy(&c->s, s, sizeof(*s));
	c->s.bcd &= 1;
	c->s.gate &= 1;
	if (!c->s.count || c->s.count > COUNT_MAX)
		c->s.count = COUNT_MAX;
	/* The counts start anew, as in KVM. */
	c->s.count_load_time = (s64)host_monotonic_ns();
	c->held_ns = 0;
	c->loaded = true;
	c->triggered = n == 2 && c->s.gate;
}

int pit_set(struct pit *p, const struct kvm_pit_state2 *s)
{
	int n;

	host_mutex_lock(&p->lock);
	p->flags = s->flags;
	for (n = 0; n < 3; n++)
		set_channel(p, n, &s->channels[n]);
	pit_arm_ticks(p);
	host_mutex_unlock(&p->lock);
	return 0;
}

void pit_set_reinject(struct pit *p, bool reinject)
{
	host_mutex_lock(&p->vm->irq_lock);
	pit_reset_reinjection(p);
	__atomic_store_n(&p->reinject, reinject, __ATOMIC_SEQ_CST);
	if (p->vm->ioapic)
		ioapic_update_watch(p->vm->ioapic);
	host_mutex_unlock(&p->vm->irq_lock);
}

int pit_create(struct vm *vm, const struct kvm_pit_config *cfg)
{
	struct pit *p;
	int n;

	if (vm->pit)
		return -EEXIST;
	p = host_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->vm = vm;
	p->speaker = cfg->flags & KVM_PIT_SPEAKER_DUMMY;
	for (n = 0; n < 3; n++) {
		p->ch[n].s.mode = 0xff;		/* none yet */
		p->ch[n].s.gate = n != 2;
		p->ch[n].s.count = COUNT_MAX;
		p->ch[n].s.count_load_time = (s64)host_monotonic_ns();
	}
	pit_init_ticks(p);
	__atomic_store_n(&vm->pit, p, __ATOMIC_SEQ_CST);
	pit_set_reinject(p, true);
	return 0;
}

/* Under no lock: waits for the timer's callback. */
void pit_destroy(struct pit *p)
{
	if (!p)
		return;
	host_timer_cancel(&p->timer);
	host_free(p);
}
