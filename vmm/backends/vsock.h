/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's side of a guest's vsock, by the --vsock option: a unix socket at
 * PATH, at which programs of the host ask for a port of the guest, and sockets
 * PATH_N that they listen at for connections of the guest to port N. It is in
 * the registry (kind "vsock") and outlives the machine's resets. Connections are
 * made by a process of its own, so that the machine's needs no right to.
 */
#ifndef VMM_BACKENDS_VSOCK_H
#define VMM_BACKENDS_VSOCK_H

#include <sys/stat.h>

#include "../types.h"

struct registry;

#define VSOCK_PATH_MAX 96	/* leaves room for _ and a port in a socket's address */

struct vsock_backend {
	char path[VSOCK_PATH_MAX + 1];
	struct stat made;
	int listener;
	int connector;		/* the socket to the process that connects */
	u64 cid;		/* the guest's address */
	char *device;		/* what to give to --device */
};

/* PATH[,cid=N]; NULL after an error line. */
struct vsock_backend *vsock_open(struct registry *r, const char *text);
/* A connection to PATH_PORT, non-blocking; -1 when nobody is there. One call at a time. */
int vsock_connect(const struct vsock_backend *b, u32 port);

#endif
