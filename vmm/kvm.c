/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two providers of the KVM API behind one set of calls: the kernel through
 * open and ioctl of /dev/kvm, libanykvm through the functions of anykvm.h.
 * Both fail with -1 and errno; here that becomes -errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../include/anykvm.h"
#include "kvm.h"

int kvm_do_ioctl(const struct kvm *k, int fd, unsigned long request, unsigned long arg)
{
	int r;

	if (k->engine == KVM_ENGINE_KERNEL)
		r = ioctl(fd, request, arg);
	else
		r = anykvm_ioctl(fd, request, arg);
	return r < 0 ? -errno : r;
}

int kvm_check_extension(const struct kvm *k, int fd, int cap)
{
	int r = kvm_ioctl(k, fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

int kvm_open(struct kvm *k, enum kvm_engine engine)
{
	int version;

	k->engine = engine;
	if (engine == KVM_ENGINE_KERNEL)
		k->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	else
		k->fd = anykvm_open(O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return -errno;
	version = kvm_ioctl(k, k->fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return 0;
	kvm_close(k);
	return version < 0 ? version : -EPROTO;
}

void kvm_close_fd(const struct kvm *k, int fd)
{
	if (fd < 0)
		return;
	if (k->engine == KVM_ENGINE_KERNEL)
		close(fd);
	else
		anykvm_close(fd);
}

void kvm_close(struct kvm *k)
{
	kvm_close_fd(k, k->fd);
	k->fd = -1;
}

void *kvm_mmap(const struct kvm *k, int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)k;	/* libanykvm's descriptors are real and map as the kernel's do */
	return p == MAP_FAILED ? NULL : p;
}

const char *kvm_engine_name(enum kvm_engine engine)
{
	return engine == KVM_ENGINE_KERNEL ? "kvm" : "soft";
}
