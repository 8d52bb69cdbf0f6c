/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks on images, in the manner of QEMU, so that its programs and ours keep
 * out of each other's way. They are open-file-description locks (fcntl(2)) on
 * single bytes, always shared ones: byte 100 + n is held by who does a thing,
 * byte 200 + n by who cannot bear that others do it. Whoever takes locks looks
 * then whether the opposite bytes are held by somebody else. The things: 0 read
 * consistent data, 1 write, 3 resize.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "file.h"

#define DOES 100
#define FORBIDS 200
#define TRIES 50
#define TRY_US 10000

enum { THING_READ, THING_WRITE, THING_RESIZE = 3, THINGS };

static const struct {
	unsigned int does, forbids;	/* masks of things */
} kind[] = {
	[FILE_LOCK_SHARED] = { 1 << THING_READ, 0 },
	[FILE_LOCK_READ] = { 1 << THING_READ, 1 << THING_WRITE | 1 << THING_RESIZE },
	[FILE_LOCK_WRITE] = { 1 << THING_READ | 1 << THING_WRITE | 1 << THING_RESIZE,
			      1 << THING_WRITE | 1 << THING_RESIZE },
};

static int take(struct file *f, int byte)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(f->fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* Whether somebody else holds the byte. */
static bool held(struct file *f, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(f->fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static int take_all(struct file *f, enum file_lock lock)
{
	int i, err = 0;

	for (i = 0; i < THINGS && !err; i++) {
		if (kind[lock].does & 1 << i)
			err = take(f, DOES + i);
		if (!err && kind[lock].forbids & 1 << i)
			err = take(f, FORBIDS + i);
	}
	return err;
}

/* The byte that stands in the way, 0 if there is none. */
static int conflict(struct file *f, enum file_lock lock)
{
	int i;

	for (i = 0; i < THINGS; i++) {
		if (kind[lock].does & 1 << i && held(f, FORBIDS + i))
			return FORBIDS + i;
		if (kind[lock].forbids & 1 << i && held(f, DOES + i))
			return DOES + i;
	}
	return 0;
}

int file_lock(struct file *f, enum file_lock lock)
{
	int byte, err, tries = 0;

	if (lock == FILE_LOCK_NONE)
		return 0;
	err = take_all(f, lock);
	if (err == -EAGAIN || err == -EACCES)
		return error("%s is locked by another program", f->path);
	if (err) {
		error("%s: warning: its file system has no locks (%s): nothing keeps a second "
		      "program from writing to it", f->path, strerror(-err));
		return 0;
	}
	/* a program that was killed keeps its locks until its last transfers are done */
	while ((byte = conflict(f, lock)) && tries++ < TRIES)
		usleep(TRY_US);
	if (byte >= FORBIDS)
		return error("%s is in use by another program, so it cannot be %s", f->path,
			     byte == FORBIDS + THING_READ ? "read" : "written");
	return byte ? error("%s is being written by another program", f->path) : 0;
}
