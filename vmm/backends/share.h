/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Folders of the host that guests see, by the --share option, in the registry
 * (kind "share"). What a guest can reach begins at the descriptor that is opened
 * here; nothing is opened by a whole path later.
 */
#ifndef VMM_BACKENDS_SHARE_H
#define VMM_BACKENDS_SHARE_H

#include "../types.h"

struct registry;

#define SHARE_TAG_MAX 64

struct share {
	int root;		/* the folder, O_PATH */
	int descriptors;	/* /proc/self/fd: descriptors of this process by their number */
	int server;		/* the socket to the process that opens files; -1: this one */
	bool readonly;
	bool mapped;		/* owners, modes and kinds are kept in extended attributes */
	char tag[SHARE_TAG_MAX + 1];
	char *id;
	char *device;		/* what to give to --device */
};

/*
 * PATH[,tag=][,readonly=][,security=none|mapped][,apart=]; NULL after an error line.
 * Unless apart=off says otherwise the files are opened by a process of their own.
 */
struct share *share_open(struct registry *r, const char *text);

/* That process: the server of 9P (devices/virtio/p9/apart.c). arg is the struct share. */
void share_serve(const void *arg);

#endif
