/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's public functions (include/anykvm.h), and how a request finds
 * its handler with its structure copied in and out.
 */
#include <anykvm.h>
#include <errno.h>
#include <stdarg.h>

#include "api.h"

#define MAX_ERRNO 4095

long api_dispatch(const struct api_op *ops, void *self, u32 request, u64 arg, long unknown)
{
	u64 buf[API_BUFFER / 8];
	u32 size = _IOC_SIZE(request);
	long r;

	while (ops->fn && ops->request != request)
		ops++;
	if (!ops->fn)
		return unknown;
	if (ops->mode && size > sizeof(buf))
		return -EINVAL;
	if (ops->mode & API_IN && host_copy_from_user(buf, arg, size))
		return -EFAULT;
	r = ops->fn(self, arg, buf);
	if (r >= 0 && ops->mode & API_OUT && host_copy_to_user(arg, buf, size))
		return -EFAULT;
	return r;
}

static long run_request(struct api_object *o, u32 request, u64 arg)
{
	if (o->kind == API_SYSTEM)
		return api_system(request, arg);
	if (unlikely(host_fork_count() != o->forks))
		return -EIO;
	if (o->kind == API_VM)
		return api_vm(o->ptr, request, arg);
	return api_vcpu(o->ptr, request, arg);
}

static int finish(long r)
{
	if (r >= 0 || r < -MAX_ERRNO)
		return (int)r;
	host_set_errno((int)-r);
	return -1;
}

int anykvm_ioctl(int fd, unsigned long request, ...)
{
	struct api_object *o;
	u64 arg, dev, ino;
	va_list ap;
	int cancel;
	long r;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	cancel = host_cancel_hold();
	o = api_get(fd, (u32)request == KVM_RUN);
	if (o) {
		r = run_request(o, (u32)request, arg);
		api_put(o);
	} else {
		r = fd < 0 || host_fd_identity(fd, &dev, &ino) ? -EBADF : -ENOTTY;
	}
	host_cancel_release(cancel);
	return finish(r);
}

int anykvm_open(int flags)
{
	int fd = host_memfd("kvm", 0), r;

	(void)flags;
	if (fd < 0)
		return finish(fd);
	r = api_install(fd, API_SYSTEM, NULL);
	if (r) {
		host_close(fd);
		return finish(r);
	}
	return fd;
}

int anykvm_close(int fd)
{
	return finish(api_close(fd));
}

int anykvm_dup(int fd)
{
	return finish(api_dup(fd));
}

bool anykvm_is(int fd)
{
	struct api_object *o = api_get(fd, false);

	if (o)
		api_put(o);
	return o != NULL;
}

bool anykvm_known(int fd)
{
	return api_known(fd);
}

int anykvm_next(int fd)
{
	return api_next(fd);
}

void anykvm_signal_mask(const uint64_t *mask)
{
	host_signal_base(mask);
}

void anykvm_forked(void)
{
	host_forked();
}
