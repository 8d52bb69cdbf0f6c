/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream of characters between a device (the front) and the outside (the
 * back). The back calls the front with what came in; the front takes what it
 * has room for and says so when there is room again.
 *
 * Locks: the back may hold a lock of its own while it calls the front, so the
 * front calls the back without holding the lock that its functions take.
 */
#ifndef VMM_BACKENDS_CHARDEV_H
#define VMM_BACKENDS_CHARDEV_H

#include "../types.h"

struct chardev_front {
	/* Takes up to n bytes: how many. */
	size_t (*receive)(void *front, const u8 *p, size_t n);
	/* A break condition came. */
	void (*receive_break)(void *front);
	void *front;
};

struct chardev {
	/* Sends n bytes; waits while the outside is slow. */
	void (*send)(struct chardev *c, const u8 *p, size_t n);
	/* The front has room again. */
	void (*ready)(struct chardev *c);
	/* Connects a front; NULL disconnects, after which it is not called. */
	void (*connect)(struct chardev *c, const struct chardev_front *front);
};

#endif
