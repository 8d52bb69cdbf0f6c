/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages on unix sockets that bring an open file with them (SCM_RIGHTS, unix(7)). */
#ifndef VMM_DESCRIPTOR_H
#define VMM_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>

/* Sends n bytes in one piece, with fd unless it is negative: 0, or -errno. */
int descriptor_send(int socket, const void *data, size_t n, int fd);
/*
 * Asks on a socket that keeps messages apart: the length of the answer, of which
 * at most n bytes are kept, or -errno. *fd is what came with it, or -1.
 */
ssize_t descriptor_ask(int socket, const void *question, size_t length, void *answer, size_t n,
		       int *fd);

#endif
