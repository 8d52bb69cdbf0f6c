/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's functions that take a path, or say what a descriptor is:
 * they answer for /dev/kvm themselves and pass everything else on. Names with
 * a 64 are the same functions here, as off_t has 64 bits; those with "xstat"
 * are what programs built for a C library before 2.33 call.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

static int finish(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

/* --- opening ------------------------------------------------------------------- */

static bool takes_mode(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

#define DEFINE_OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		mode_t mode = 0; \
		va_list ap; \
\
		if (device_is(AT_FDCWD, path)) \
			return finish(device_open(flags)); \
		va_start(ap, flags); \
		if (takes_mode(flags)) \
			mode = va_arg(ap, mode_t); \
		va_end(ap); \
		return NEXT(name)(path, flags, mode); \
	}

#define DEFINE_OPENAT(name) \
	int name(int dir, const char *path, int flags, ...) \
	{ \
		mode_t mode = 0; \
		va_list ap; \
\
		if (device_is(dir, path)) \
			return finish(device_open(flags)); \
		va_start(ap, flags); \
		if (takes_mode(flags)) \
			mode = va_arg(ap, mode_t); \
		va_end(ap); \
		return NEXT(name)(dir, path, flags, mode); \
	}

/* What open becomes where the compiler checks that a mode is given. */
#define DEFINE_OPEN_2(name) \
	int name(const char *path, int flags) \
	{ \
		if (device_is(AT_FDCWD, path)) \
			return finish(device_open(flags)); \
		return NEXT(name)(path, flags); \
	}

#define DEFINE_OPENAT_2(name) \
	int name(int dir, const char *path, int flags) \
	{ \
		if (device_is(dir, path)) \
			return finish(device_open(flags)); \
		return NEXT(name)(dir, path, flags); \
	}

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)
DEFINE_OPEN_2(__open_2)
DEFINE_OPEN_2(__open64_2)
DEFINE_OPENAT_2(__openat_2)
DEFINE_OPENAT_2(__openat64_2)

static FILE *open_stream(const char *mode)
{
	int fd = finish(device_open(O_RDWR | (strchr(mode, 'e') ? O_CLOEXEC : 0)));
	FILE *f = fd < 0 ? NULL : fdopen(fd, mode);

	if (fd >= 0 && !f)
		close(fd);
	return f;
}

FILE *fopen(const char *path, const char *mode)
{
	return device_is(AT_FDCWD, path) ? open_stream(mode) : NEXT(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return device_is(AT_FDCWD, path) ? open_stream(mode) : NEXT(fopen64)(path, mode);
}

/* --- may I? -------------------------------------------------------------------------- */

int access(const char *path, int mode)
{
	return device_is(AT_FDCWD, path) ? finish(device_access(mode)) : NEXT(access)(path, mode);
}

int eaccess(const char *path, int mode)
{
	return device_is(AT_FDCWD, path) ? finish(device_access(mode)) : NEXT(eaccess)(path, mode);
}

int euidaccess(const char *path, int mode)
{
	return device_is(AT_FDCWD, path) ? finish(device_access(mode)) :
					   NEXT(euidaccess)(path, mode);
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	return device_is(dir, path) ? finish(device_access(mode)) :
				      NEXT(faccessat)(dir, path, mode, flags);
}

char *realpath(const char *path, char *resolved)
{
	static const char name[] = "/dev/kvm";

	if (!device_is(AT_FDCWD, path))
		return NEXT(realpath)(path, resolved);
	return resolved ? memcpy(resolved, name, sizeof(name)) : strdup(name);
}

/* --- what is it? ------------------------------------------------------------------------ */

#define SAY(st) (device_stat((struct stat *)(st)), 0)

#define DEFINE_STAT(name, type) \
	int name(const char *path, type *st) \
	{ \
		return device_is(AT_FDCWD, path) ? SAY(st) : NEXT(name)(path, st); \
	}

#define DEFINE_FSTAT(name, type) \
	int name(int fd, type *st) \
	{ \
		return device_is_fd(fd) ? SAY(st) : NEXT(name)(fd, st); \
	}

#define DEFINE_FSTATAT(name, type) \
	int name(int dir, const char *path, type *st, int flags) \
	{ \
		return device_is_at(dir, path, flags) ? SAY(st) : \
							NEXT(name)(dir, path, st, flags); \
	}

#define DEFINE_XSTAT(name, type) \
	int name(int version, const char *path, type *st); \
	int name(int version, const char *path, type *st) \
	{ \
		return device_is(AT_FDCWD, path) ? SAY(st) : NEXT(name)(version, path, st); \
	}

#define DEFINE_FXSTAT(name, type) \
	int name(int version, int fd, type *st); \
	int name(int version, int fd, type *st) \
	{ \
		return device_is_fd(fd) ? SAY(st) : NEXT(name)(version, fd, st); \
	}

#define DEFINE_FXSTATAT(name, type) \
	int name(int version, int dir, const char *path, type *st, int flags); \
	int name(int version, int dir, const char *path, type *st, int flags) \
	{ \
		return device_is_at(dir, path, flags) ? \
			       SAY(st) : \
			       NEXT(name)(version, dir, path, st, flags); \
	}

DEFINE_STAT(stat, struct stat)
DEFINE_STAT(stat64, struct stat64)
DEFINE_STAT(lstat, struct stat)
DEFINE_STAT(lstat64, struct stat64)
DEFINE_FSTAT(fstat, struct stat)
DEFINE_FSTAT(fstat64, struct stat64)
DEFINE_FSTATAT(fstatat, struct stat)
DEFINE_FSTATAT(fstatat64, struct stat64)
DEFINE_XSTAT(__xstat, struct stat)
DEFINE_XSTAT(__xstat64, struct stat64)
DEFINE_XSTAT(__lxstat, struct stat)
DEFINE_XSTAT(__lxstat64, struct stat64)
DEFINE_FXSTAT(__fxstat, struct stat)
DEFINE_FXSTAT(__fxstat64, struct stat64)
DEFINE_FXSTATAT(__fxstatat, struct stat)
DEFINE_FXSTATAT(__fxstatat64, struct stat64)

int statx(int dir, const char *path, int flags, unsigned int mask, struct statx *sx)
{
	if (!device_is_at(dir, path, flags))
		return NEXT(statx)(dir, path, flags, mask, sx);
	device_statx(sx);
	return 0;
}
