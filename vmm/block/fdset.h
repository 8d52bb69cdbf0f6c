/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that others have opened for this process: QMP's add-fd takes their
 * descriptors, and the name /dev/fdset/ID stands for one wherever a file is named.
 * So a machine gets files that it may not open itself. From any thread.
 */
#ifndef VMM_BLOCK_FDSET_H
#define VMM_BLOCK_FDSET_H

#include <sys/types.h>

#include "../types.h"

#define FDSETS_MAX 64
#define FDSET_NAME "/dev/fdset/"

/* Takes a descriptor: its ID, or -ENOSPC; then it is still the caller's. */
int fdset_add(int fd);
/* Forgets it; what was opened by it stays open. 0 or -ENOENT. */
int fdset_remove(unsigned int id);
/* The descriptor, or -1. */
int fdset_get(unsigned int id);
/*
 * As open(2), of any file: -1 with errno. What /dev/fdset/ID gives shares its position
 * with the other; EACCES when it was not opened for what is asked.
 */
int fdset_open(const char *path, int flags, mode_t mode);

#endif
