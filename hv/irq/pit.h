/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of the 8254, shared by pit.c (counters and ports) and pit_ticks.c
 * (channel 0's interrupts). p->lock guards it, but for what is marked atomic,
 * and is taken before vm->irq_lock.
 */
#ifndef HV_IRQ_PIT_H
#define HV_IRQ_PIT_H

#include "internal.h"

#define PIT_HZ 1193182u

struct channel {
	struct kvm_pit_channel_state s;
	bool loaded;	/* since the control word */
	bool triggered;	/* modes 1 and 5: the gate has risen since */
	u64 held_ns;	/* how long it had run when the gate fell */
};

struct pit {
	struct vm *vm;
	struct host_mutex lock;
	struct channel ch[3];
	u32 flags;		/* KVM_PIT_FLAGS_* */
	bool speaker;
	u64 next_ns;		/* when channel 0 ticks, 0: never */
	u64 period_ns;		/* 0: once */
	struct host_timer timer;

	/* atomic */
	bool reinject;
	bool acked;		/* the guest has ended the last tick */
	u32 pending;		/* ticks it has not ended */
	u32 pending_max;
};

/* a * b / c without overflow, where the quotient fits. */
static inline u64 pit_scale(u64 a, u32 b, u32 c)
{
	return a / c * b + a % c * b / c;
}

void pit_init_ticks(struct pit *p);
/* Channel 0 was given a count or lost it. Under p->lock. */
void pit_arm_ticks(struct pit *p);
void pit_reset_reinjection(struct pit *p);

#endif
