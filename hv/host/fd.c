/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors: memory files, which are what a VM or vCPU descriptor is to the
 * C library, and eventfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "host.h"
#include "syscall.h"

int host_memfd(const char *name, u64 size)
{
	int fd = (int)SYS2(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long r;

	if (fd < 0)
		return fd;
	r = SYS2(SYS_ftruncate, fd, size);
	/* Nobody shall take a page away from under a mapping. */
	if (!r)
		r = SYS3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (r < 0) {
		host_close(fd);
		return (int)r;
	}
	return fd;
}

void *host_map_fd(int fd, size_t size)
{
	long p = SYS6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return host_syscall_failed(p) ? NULL : (void *)p;
}

long host_mmap(u64 addr, u64 length, int prot, int flags, int fd, u64 offset)
{
	return SYS6(SYS_mmap, addr, length, prot, flags, fd, offset);
}

/* mremap of nothing copies a shared mapping. */
int host_map_alias(u64 addr, void *page, u64 size, int prot)
{
	long r = SYS5(SYS_mremap, page, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, addr);

	if (host_syscall_failed(r))
		return (int)r;
	return (int)SYS3(SYS_mprotect, addr, size, prot);
}

int host_close(int fd)
{
	return (int)SYS1(SYS_close, fd);
}

int host_dup(int fd)
{
	return (int)SYS3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

int host_eventfd_signal(int fd)
{
	u64 one = 1;
	long r = SYS3(SYS_write, fd, &one, sizeof(one));

	/* EAGAIN of a non-blocking one: the count is full, the reader is told anyway. */
	return r == sizeof(one) || r == -EAGAIN ? 0 : (int)r;
}

u64 host_eventfd_take(int fd)
{
	struct {
		int fd;
		short events, revents;
	} p = { fd, 1 /* POLLIN */, 0 };
	u64 count = 0;

	/* Ours may be a blocking descriptor: ask first. */
	if (SYS3(SYS_poll, &p, 1, 0) != 1 || !(p.revents & 1))
		return 0;
	if (SYS3(SYS_read, fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

#define FD_PATH_SIZE 32

static void fd_path(char path[FD_PATH_SIZE], int fd)
{
	static const char dir[] = "/proc/self/fd/";
	char digits[12];
	int n = 0, at = sizeof(dir) - 1;

	host_memcpy(path, dir, sizeof(dir));
	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		path[at++] = digits[--n];
	path[at] = 0;
}

int host_reopen(int fd)
{
	char path[FD_PATH_SIZE];

	fd_path(path, fd);
	return (int)SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

bool host_is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[FD_PATH_SIZE], link[sizeof(want)];
	long r;

	if (fd < 0)
		return false;
	fd_path(path, fd);
	r = SYS4(SYS_readlinkat, AT_FDCWD, path, link, sizeof(link));
	return r == sizeof(want) - 1 && !host_memcmp(link, want, sizeof(want) - 1);
}

/* Whatever is no eventfd is never copied, not even for a moment. */
int host_eventfd_copy(int fd)
{
	int copy;

	if (!host_is_eventfd(fd))
		return SYS2(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF : -EINVAL;
	copy = host_dup(fd);
	if (copy >= 0 && !host_is_eventfd(copy)) {
		host_close(copy);
		return -EINVAL;
	}
	return copy;
}

int host_fd_identity(int fd, u64 *dev, u64 *ino)
{
	struct stat st;
	long r = SYS2(SYS_fstat, fd, &st);

	if (r < 0)
		return (int)r;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return 0;
}

void host_set_errno(int err)
{
	errno = err;
}
