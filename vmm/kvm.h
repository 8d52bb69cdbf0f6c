/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The KVM API, whoever provides it: the kernel's /dev/kvm or libanykvm. Above
 * this header nothing differs between the two. The contract is Linux's
 * Documentation/virt/kvm/api.rst.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>

#include "types.h"

enum kvm_engine {
	KVM_ENGINE_SOFT,	/* libanykvm */
	KVM_ENGINE_KERNEL,	/* /dev/kvm */
};

/* An open KVM system descriptor. */
struct kvm {
	enum kvm_engine engine;
	int fd;
	u64 code_cache;		/* ANYKVM_CAP_CODE_CACHE of its VMs, 0: as it is */
};

/* Opens the engine and checks KVM_GET_API_VERSION: 0 or -errno (-EPROTO: another version). */
int kvm_open(struct kvm *k, enum kvm_engine engine);
void kvm_close(struct kvm *k);

/* An ioctl on a descriptor that came from k: the result, or -errno. */
int kvm_do_ioctl(const struct kvm *k, int fd, unsigned long request, unsigned long arg);
#define kvm_ioctl(k, fd, request, arg) kvm_do_ioctl(k, fd, request, (unsigned long)(arg))

/* The value of KVM_CHECK_EXTENSION; 0 also when the call fails. */
int kvm_check_extension(const struct kvm *k, int fd, int cap);

/* Closes a VM or vCPU descriptor. */
void kvm_close_fd(const struct kvm *k, int fd);

/* Maps the run structure of a vCPU: its address, or NULL with errno set. */
void *kvm_mmap(const struct kvm *k, int fd, size_t size);

const char *kvm_engine_name(enum kvm_engine engine);

#endif
