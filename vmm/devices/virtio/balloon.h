/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the control of the machine asks of its balloon. There is one in a process,
 * whose wishes outlive resets: a machine that starts again gets as much memory
 * as it last was to have. On the main thread.
 */
#ifndef VMM_DEVICES_VIRTIO_BALLOON_H
#define VMM_DEVICES_VIRTIO_BALLOON_H

#include "virtio.h"

/* What a driver tells of itself (5.5.6.3), by its tags. */
#define BALLOON_STATS 10
extern const char *const balloon_stat_names[BALLOON_STATS];	/* as QEMU calls them */

struct balloon_stats {
	u64 value[BALLOON_STATS];	/* ~0: not told */
	u64 when;			/* seconds since 1970; 0: nothing was told yet */
};

/* The machine has a balloon; without one nothing below may be called. */
bool balloon_is_there(void);
/* The user's name for the device, or "". */
const char *balloon_id(void);
/* Bytes that the guest is to have, at most all; takes effect as the guest likes. */
void balloon_set_target(u64 bytes);
/* Bytes that the guest has. */
u64 balloon_actual(void);
/* Seconds between two statistics; 0: none. */
void balloon_set_interval(unsigned int seconds);
unsigned int balloon_interval(void);
void balloon_get_stats(struct balloon_stats *stats);

#endif
