/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream of characters between a device (the front) and the outside (the
 * back). The back calls the front with what came in; the front takes what it
 * has room for and says so when there is room again.
 *
 * Locks: the back may hold a lock of its own while it calls the front, so the
 * front calls the back without holding the lock that its functions take; only
 * writable() may call write() and send() right away.
 *
 * The command line's --chardev makes backs and adds them to the registry (kind
 * "chardev"); the terminal is there as "stdio".
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
	/* These may be NULL. There is room again after write() took less than all. */
	void (*writable)(void *front);
	/* Somebody is at the other end, or has gone; connect() tells it, too. */
	void (*opened)(void *front, bool on);
};

struct chardev {
	/* Sends n bytes. The terminal waits while it is slow; others lose what finds no room. */
	void (*send)(struct chardev *c, const u8 *p, size_t n);
	/* Sends what there is room for, without waiting: how many of n. */
	size_t (*write)(struct chardev *c, const u8 *p, size_t n);
	/* The front has room again. */
	void (*ready)(struct chardev *c);
	/* Connects a front; NULL disconnects, after which it is not called. */
	void (*connect)(struct chardev *c, const struct chardev_front *front);
	/* The screen at the other end in characters; false when there is none. NULL: never */
	bool (*size)(struct chardev *c, u16 *columns, u16 *rows);
};

struct loop;
struct registry;

/* Makes one by the text of a --chardev option and adds it: 0, or -1 after an error line. */
int chardev_open(struct registry *r, struct loop *l, const char *text);
/* One that nobody listens to; it is static. */
struct chardev *chardev_null(void);

/* stream.c: a unix socket that listens, or a pseudo-terminal; NULL after an error line. */
struct chardev *stream_unix(struct loop *l, const char *path);
struct chardev *stream_pty(struct loop *l, const char *link, const char *id);
void stream_free(struct chardev *c);

#endif
