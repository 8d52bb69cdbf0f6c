/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls on paths and descriptors. Of paths two matter: /dev/kvm, and
 * /proc/self/exe, which would be the shim.
 */
#include <anykvm.h>
#include <asm/ioctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kvm.h>
#include <unistd.h>

#include "trap.h"

#define PATH_LOOK 64	/* what we know is shorter */

char trap_program[4096];

/* --- paths --------------------------------------------------------------------------- */

struct path_call {
	bool at;			/* the first argument is dir */
	int dir;
	unsigned long path;
	unsigned int flags;		/* of open, or AT_* */
	unsigned long out;		/* struct stat, statx; readlink's buffer */
	unsigned long size;
	int mode;
};

static void decode(const struct trap *t, struct path_call *c)
{
	const unsigned long *a = t->arg;

	c->at = t->nr != SYS_open && t->nr != SYS_access && t->nr != SYS_stat &&
		t->nr != SYS_lstat && t->nr != SYS_readlink;
	c->dir = c->at ? (int)*a++ : AT_FDCWD;
	c->path = *a++;
	c->flags = 0;
	c->mode = 0;
	c->size = 0;
	c->out = 0;
	switch (t->nr) {
	case SYS_open:
	case SYS_openat:
		c->flags = (unsigned int)a[0];
		break;
	case SYS_openat2:
		c->out = a[0];		/* struct open_how */
		break;
	case SYS_access:
	case SYS_faccessat:
	case SYS_faccessat2:
		c->mode = (int)a[0];
		break;
	case SYS_statx:
		c->flags = (unsigned int)a[0];
		c->out = a[2];
		break;
	case SYS_newfstatat:
		c->flags = (unsigned int)a[1];
		c->out = a[0];
		break;
	default:
		c->out = a[0];
		c->size = a[1];
	}
}

static long open_device(void *arg)
{
	return device_open(*(int *)arg);
}

static long write_stat(unsigned long to)
{
	struct stat st;

	device_stat(&st);
	return trap_write(to, &st, sizeof(st));
}

static long write_statx(unsigned long to)
{
	struct statx sx;

	device_statx(&sx);
	return trap_write(to, &sx, sizeof(sx));
}

static long on_device(const struct trap *t, struct path_call *c)
{
	unsigned long how;
	int flags = (int)c->flags;

	switch (t->nr) {
	case SYS_openat2:
		if (trap_read(&how, c->out, sizeof(how)) < 0)
			return -EFAULT;
		flags = (int)how;
		return trap_service(open_device, &flags);
	case SYS_open:
	case SYS_openat:
		return trap_service(open_device, &flags);
	case SYS_access:
	case SYS_faccessat:
	case SYS_faccessat2:
		return device_access(c->mode);
	case SYS_statx:
		return write_statx(c->out);
	case SYS_readlink:
	case SYS_readlinkat:
		return -EINVAL;
	default:
		return write_stat(c->out);
	}
}

/* The call again, of the program's own file. */
static long on_program(const struct trap *t, const struct path_call *c)
{
	struct trap own = *t;
	size_t len = 0;

	if (t->nr == SYS_readlink || t->nr == SYS_readlinkat) {
		if ((int)c->size <= 0)
			return -EINVAL;
		while (trap_program[len] && len < c->size)
			len++;
		return trap_write(c->out, trap_program, len) < 0 ? -EFAULT : (long)len;
	}
	own.arg[c->at] = (unsigned long)trap_program;
	return trap_call(&own);
}

static bool is_own_exe(const char *path, const struct trap *t, const struct path_call *c)
{
	static const char name[] = "/proc/self/exe";
	unsigned int i;

	if (t->nr == SYS_lstat)
		return false;
	if ((t->nr == SYS_newfstatat || t->nr == SYS_statx) && c->flags & AT_SYMLINK_NOFOLLOW)
		return false;
	for (i = 0; i < sizeof(name); i++)
		if (path[i] != name[i])
			return false;
	return true;
}

static long is_device_fd(void *arg)
{
	return device_is_fd(*(int *)arg);
}

enum verdict trap_path(struct trap *t)
{
	char path[PATH_LOOK];
	struct path_call c;
	int n;

	decode(t, &c);
	n = trap_read_string(path, c.path, sizeof(path));
	if (n < 0)
		return PASS;
	if (n == 0) {
		if (!(c.flags & AT_EMPTY_PATH) || !anykvm_known(c.dir) ||
		    (t->nr != SYS_newfstatat && t->nr != SYS_statx) ||
		    trap_service(is_device_fd, &c.dir) <= 0)
			return PASS;
		return trap_return(t, on_device(t, &c));
	}
	if (device_is(c.dir, path))
		return trap_return(t, on_device(t, &c));
	if (is_own_exe(path, t, &c))
		return trap_return(t, on_program(t, &c));
	return PASS;
}

enum verdict trap_fstat(struct trap *t)
{
	int fd = (int)t->arg[0];

	if (!anykvm_known(fd) || trap_service(is_device_fd, &fd) <= 0)
		return PASS;
	return trap_return(t, write_stat(t->arg[1]));
}

/* --- descriptors -------------------------------------------------------------------------- */

struct ioctl_call {
	struct trap *trap;
	bool ours;
	long result;
};

static long do_ioctl(void *arg)
{
	struct ioctl_call *c = arg;
	const unsigned long *a = c->trap->arg;

	c->ours = shim_ioctl((int)a[0], a[1], a[2], &c->result);
	return 0;
}

enum verdict trap_ioctl(struct trap *t)
{
	struct ioctl_call c = { .trap = t };
	long r;

	if (_IOC_TYPE(t->arg[1]) != KVMIO)
		return PASS;
	if ((unsigned int)t->arg[1] == KVM_RUN && anykvm_known((int)t->arg[0]))
		r = trap_run(do_ioctl, &c, t->uc);
	else
		r = trap_service(do_ioctl, &c);
	if (r < 0)
		return trap_return(t, r);
	return c.ours ? trap_return(t, c.result) : PASS;
}

static long do_close(void *arg)
{
	return shim_close(*(int *)arg);
}

enum verdict trap_close(struct trap *t)
{
	int fd = (int)t->arg[0];

	if (!anykvm_known(fd) || trap_service(do_close, &fd) <= 0)
		return PASS;
	return trap_return(t, 0);
}

static long close_all(void *arg)
{
	const struct trap *t = arg;
	unsigned int first = (unsigned int)t->arg[0], last = (unsigned int)t->arg[1];
	int fd;

	for (fd = anykvm_next((int)first); fd >= 0 && (unsigned int)fd <= last;
	     fd = anykvm_next(fd + 1))
		shim_close(fd);
	return 0;
}

enum verdict trap_close_range(struct trap *t)
{
	unsigned int first = (unsigned int)t->arg[0], last = (unsigned int)t->arg[1];
	int fd = first <= last && !(t->arg[2] & CLOSE_RANGE_CLOEXEC) ? anykvm_next((int)first) :
								       -1;

	if (fd >= 0 && (unsigned int)fd <= last)
		trap_service(close_all, t);
	return PASS;
}

struct copy_call {
	int from, to;
};

static long tell_copied(void *arg)
{
	const struct copy_call *c = arg;

	shim_copied(c->from, c->to);
	return 0;
}

/* dup and its likes; none of them waits, so they are made here. */
enum verdict trap_dup(struct trap *t)
{
	struct copy_call c = { .from = (int)t->arg[0] };
	bool to_known = (t->nr == SYS_dup2 || t->nr == SYS_dup3) && anykvm_known((int)t->arg[1]);
	long r;

	if (t->nr == SYS_fcntl && t->arg[1] != F_DUPFD && t->arg[1] != F_DUPFD_CLOEXEC)
		return PASS;
	if (!anykvm_known(c.from) && !to_known)
		return PASS;
	r = trap_call(t);
	c.to = (int)r;
	if (r >= 0)
		trap_service(tell_copied, &c);
	return trap_return(t, r);
}
