/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's functions on descriptors. Those of libanykvm are memory
 * files, which everything works on; only ioctl must reach the library, and the
 * library hear of copies and closes, so that an object goes when its last
 * descriptor does. Other descriptors cost a look into the library's table.
 */
#include <anykvm.h>
#include <asm/ioctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"
#include "sys.h"

static int table_owner;		/* process id */

void shim_forked(void)
{
	table_owner = (int)SYS0(SYS_getpid);
}

__attribute__((constructor)) static void watch_forks(void)
{
	shim_forked();
	pthread_atfork(NULL, NULL, shim_forked);
}

bool shim_table_is_ours(void)
{
	return SYS0(SYS_getpid) == table_owner;
}

static int finish(long r)
{
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}

/* --- what libanykvm must hear of ------------------------------------------------------ */

void shim_copied(int from, int fd)
{
	int saved = errno;

	if ((anykvm_known(from) || anykvm_known(fd)) && shim_table_is_ours())
		anykvm_is(fd);
	errno = saved;
}

bool shim_close(int fd)
{
	int saved = errno;
	bool done = anykvm_known(fd) && shim_table_is_ours() && anykvm_close(fd) == 0;

	errno = saved;
	return done;
}

/*
 * Only KVM's own requests: others, such as FIOCLEX, are for the memory file.
 * Some other driver's request may look like one of KVM's.
 */
bool shim_ioctl(int fd, unsigned long request, unsigned long arg, long *result)
{
	int saved = errno, r;

	if (_IOC_TYPE(request) != KVMIO)
		return false;
	r = anykvm_ioctl(fd, request, arg);
	*result = r < 0 ? -errno : r;
	errno = saved;
	return *result != -ENOTTY || anykvm_known(fd);
}

/* --- the C library's functions ----------------------------------------------------------- */

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;
	long r;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (!shim_ioctl(fd, request, arg, &r))
		r = SYS3(SYS_ioctl, fd, request, arg);
	return finish(r);
}

int close(int fd)
{
	return shim_close(fd) ? 0 : NEXT(close)(fd);
}

/* A vCPU's memory is more than its file (anykvm_mmap). */
static void *map(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	long r;

	if (fd >= 0 && anykvm_known(fd))
		return anykvm_mmap(addr, length, prot, flags, fd, offset);
	r = SYS6(SYS_mmap, addr, length, prot, flags, fd, offset);
	if (!shim_failed(r))
		return (void *)r;
	errno = (int)-r;
	return MAP_FAILED;
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return map(addr, length, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
	return map(addr, length, prot, flags, fd, offset);
}

int dup(int fd)
{
	long r = SYS1(SYS_dup, fd);

	if (r >= 0)
		shim_copied(fd, (int)r);
	return finish(r);
}

int dup2(int fd, int to)
{
	long r = SYS2(SYS_dup2, fd, to);

	if (r >= 0)
		shim_copied(fd, to);
	return finish(r);
}

int dup3(int fd, int to, int flags)
{
	long r = SYS3(SYS_dup3, fd, to, flags);

	if (r >= 0)
		shim_copied(fd, to);
	return finish(r);
}

#define DEFINE_FCNTL(name) \
	int name(int fd, int cmd, ...) \
	{ \
		unsigned long arg; \
		va_list ap; \
		int r; \
\
		va_start(ap, cmd); \
		arg = va_arg(ap, unsigned long); \
		va_end(ap); \
		r = NEXT(name)(fd, cmd, arg); \
		if (r >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)) \
			shim_copied(fd, r); \
		return r; \
	}

DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

/* The kernel closes the numbers between ours and those that anykvm_known() is wrong about. */
int close_range(unsigned int first, unsigned int last, int flags)
{
	int fd;

	if (first > last)
		return finish(-EINVAL);
	if (!(flags & (int)CLOSE_RANGE_CLOEXEC))
		for (fd = anykvm_next((int)first); fd >= 0 && (unsigned int)fd <= last;
		     fd = anykvm_next(fd + 1))
			shim_close(fd);
	return finish(SYS3(SYS_close_range, first, last, flags));
}

void closefrom(int first)
{
	int fd;

	for (fd = anykvm_next(first); fd >= 0; fd = anykvm_next(fd + 1))
		shim_close(fd);
	NEXT(closefrom)(first);
}
