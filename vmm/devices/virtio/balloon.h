/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the control of the machine asks of its balloon. The state is in the
 * registry (kind "balloon", id "balloon") from the first balloon on and outlives
 * resets: a machine that starts again gets as much memory as it last was to
 * have. On the main thread, but for what is said to be atomic.
 */
#ifndef VMM_DEVICES_VIRTIO_BALLOON_H
#define VMM_DEVICES_VIRTIO_BALLOON_H

#include "virtio.h"

/* What a driver tells of itself (5.5.6.3), by its tags. */
#define BALLOON_STATS 10
extern const char *const balloon_stat_names[BALLOON_STATS];	/* as QEMU calls them */

struct balloon;

struct balloon_state {
	u64 target;			/* bytes that the guest is to have; 0: all */
	unsigned int interval;		/* seconds between two statistics; 0: none */
	struct balloon *balloon;	/* the device of the running machine, or NULL */
	/* The guest has given or taken memory: how many bytes it has. May be NULL. */
	void (*changed)(void *ctx, u64 actual);
	void *ctx;
};

struct balloon_stats {
	u64 value[BALLOON_STATS];	/* ~0: not told */
	u64 when;			/* seconds since 1970; 0: nothing was told yet */
};

/* NULL when the machine has no balloon. */
struct balloon_state *balloon_find(const struct registry *r);
/* Bytes that the guest is to have, at most all; takes effect as the guest likes. */
void balloon_set_target(struct balloon_state *s, u64 bytes);
/* Bytes that the guest has. */
u64 balloon_actual(const struct balloon_state *s);
void balloon_set_interval(struct balloon_state *s, unsigned int seconds);
void balloon_get_stats(const struct balloon_state *s, struct balloon_stats *stats);

#endif
