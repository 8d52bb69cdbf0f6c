/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors by their ID: see fdset.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdset.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int sets[FDSETS_MAX];		/* the descriptor and 1; 0: free */

int fdset_add(int fd)
{
	int id = -ENOSPC, i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < FDSETS_MAX && id < 0; i++)
		if (!sets[i]) {
			sets[i] = fd + 1;
			id = i;
		}
	pthread_mutex_unlock(&lock);
	return id;
}

int fdset_remove(unsigned int id)
{
	int fd = -1;

	pthread_mutex_lock(&lock);
	if (id < FDSETS_MAX) {
		fd = sets[id] - 1;
		sets[id] = 0;
	}
	pthread_mutex_unlock(&lock);
	return fd >= 0 ? close(fd) : -ENOENT;
}

int fdset_get(unsigned int id)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = id < FDSETS_MAX ? sets[id] - 1 : -1;
	pthread_mutex_unlock(&lock);
	return fd;
}

/* A descriptor of the same file, with what flags ask for, or -1. */
static int open_again(int fd, int flags)
{
	int has = fcntl(fd, F_GETFL), how = has & O_ACCMODE, want = flags & O_ACCMODE, copy;

	if (has < 0)
		return -1;
	if ((how != O_RDWR && how != want) || (flags & O_TRUNC && how == O_RDONLY)) {
		errno = EACCES;
		return -1;
	}
	if (flags & O_EXCL && flags & O_CREAT) {
		errno = EEXIST;
		return -1;
	}
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -1;
	if ((flags & O_DIRECT && fcntl(copy, F_SETFL, has | O_DIRECT) < 0) ||
	    (flags & O_TRUNC && ftruncate(copy, 0) < 0)) {
		int err = errno;

		close(copy);
		errno = err;
		return -1;
	}
	return copy;
}

int fdset_open(const char *path, int flags, mode_t mode)
{
	const char *id = path + strlen(FDSET_NAME);
	int fd;

	if (strncmp(path, FDSET_NAME, strlen(FDSET_NAME)))
		return open(path, flags, mode);
	fd = *id && strlen(id) < 4 && strspn(id, "0123456789") == strlen(id) ?
		fdset_get((unsigned int)atoi(id)) : -1;
	if (fd < 0) {
		errno = ENOENT;
		return -1;
	}
	return open_again(fd, flags);
}
