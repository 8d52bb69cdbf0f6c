/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts libanykvm under a program that was written for /dev/kvm, by LD_PRELOAD:
 * opening that path gives a descriptor of the library, whether or not the
 * device exists, and ioctls and closes of such descriptors go to the library.
 * The rest are the system calls that the C library would have made.
 *
 * This is for the KVM selftests, which are ordinary programs; it covers the
 * functions that they use.
 */
#include <asm/ioctl.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "anykvm.h"

static int open_at(int dir, const char *path, int flags, va_list ap)
{
	mode_t mode = 0;

	if (path && !strcmp(path, "/dev/kvm"))
		return anykvm_open(flags);
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		mode = va_arg(ap, mode_t);
	return (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define DEFINE_OPEN(name)                                                                          \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		va_start(ap, flags);                                                               \
		fd = open_at(AT_FDCWD, path, flags, ap);                                           \
		va_end(ap);                                                                        \
		return fd;                                                                         \
	}

#define DEFINE_OPENAT(name)                                                                        \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		va_start(ap, flags);                                                               \
		fd = open_at(dir, path, flags, ap);                                                \
		va_end(ap);                                                                        \
		return fd;                                                                         \
	}

#undef open64
#undef openat64
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (_IOC_TYPE(request) == KVMIO && anykvm_is(fd))
		return anykvm_ioctl(fd, request, arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

int close(int fd)
{
	if (anykvm_is(fd))
		return anykvm_close(fd);
	return (int)syscall(SYS_close, fd);
}

int dup(int fd)
{
	if (anykvm_is(fd))
		return anykvm_dup(fd);
	return (int)syscall(SYS_dup, fd);
}
