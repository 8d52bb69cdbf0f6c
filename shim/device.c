/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a program sees of /dev/kvm in the file system: a character device,
 * major 10, minor 232 (Linux's admin-guide/devices.rst), that everyone may
 * read and write.
 *
 * The files of /dev that the host has are asked by system calls, as this also
 * runs on threads without the C library (trap/).
 */
#include <anykvm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shim.h"
#include "sys.h"

#define KVM_MAJOR 10
#define KVM_MINOR 232
#define DEVICE_MODE (S_IFCHR | 0666)
#define LOWEST_ADDRESS 4096	/* what vm.mmap_min_addr is at least */
#define DEVICE_INO 0x6b766d	/* any that stays the same */

static const char name[] = "/dev/kvm";

static bool same_directory(int dir, const char *path, const char *last)
{
	struct stat here, dev;
	char parent[64];
	size_t len = (size_t)(last - path);

	/* "/dev/./kvm" is possible, a long way round is not worth the time. */
	if (len >= sizeof(parent))
		return false;
	shim_copy(parent, path, len);
	parent[len] = 0;
	if (!len && dir == AT_FDCWD) {
		parent[0] = '.';
		parent[1] = 0;
	}
	return SYS4(SYS_newfstatat, dir, parent, &here, AT_EMPTY_PATH) == 0 &&
	       SYS4(SYS_newfstatat, AT_FDCWD, "/dev", &dev, 0) == 0 &&
	       here.st_dev == dev.st_dev && here.st_ino == dev.st_ino;
}

bool device_is(int dir, const char *path)
{
	size_t len;

	if ((uintptr_t)path < LOWEST_ADDRESS)	/* the kernel's to refuse */
		return false;
	for (len = 0; path[len] == name[len]; len++)
		if (!path[len])
			return true;
	for (; path[len]; len++)
		;
	if (len < 3 || path[len - 1] != 'm' || path[len - 2] != 'v' || path[len - 3] != 'k' ||
	    (len > 3 && path[len - 4] != '/'))
		return false;
	return same_directory(dir, path, path + len - 3);
}

int device_open(int flags)
{
	int fd;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	fd = anykvm_open(flags);
	if (fd < 0)
		return -errno;
	if (!(flags & O_CLOEXEC))
		SYS3(SYS_fcntl, fd, F_SETFD, 0);
	return fd;
}

int device_access(int mode)
{
	if (mode & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	return mode & X_OK ? -EACCES : 0;
}

/* As far as nothing else is known, it is like /dev/null. */
void device_stat(struct stat *st)
{
	if (SYS4(SYS_newfstatat, AT_FDCWD, "/dev/null", st, 0) < 0)
		shim_clear(st, sizeof(*st));
	st->st_ino = DEVICE_INO;
	st->st_mode = DEVICE_MODE;
	st->st_nlink = 1;
	st->st_uid = st->st_gid = 0;
	st->st_size = 0;
	st->st_rdev = makedev(KVM_MAJOR, KVM_MINOR);
}

void device_statx(struct statx *sx)
{
	if (SYS5(SYS_statx, AT_FDCWD, "/dev/null", 0, STATX_BASIC_STATS, sx) < 0) {
		shim_clear(sx, sizeof(*sx));
		sx->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID |
			       STATX_INO | STATX_SIZE;
	}
	sx->stx_ino = DEVICE_INO;
	sx->stx_mode = DEVICE_MODE;
	sx->stx_nlink = 1;
	sx->stx_uid = sx->stx_gid = 0;
	sx->stx_size = 0;
	sx->stx_rdev_major = KVM_MAJOR;
	sx->stx_rdev_minor = KVM_MINOR;
}

bool device_is_fd(int fd)
{
	int saved = errno;
	bool yes = anykvm_known(fd) &&
		   anykvm_ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	errno = saved;
	return yes;
}

bool device_is_at(int dir, const char *path, int flags)
{
	if (flags & AT_EMPTY_PATH && (uintptr_t)path >= LOWEST_ADDRESS && !*path)
		return device_is_fd(dir);
	return device_is(dir, path);
}
