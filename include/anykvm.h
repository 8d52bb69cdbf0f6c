/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libanykvm: the KVM API in user space.
 *
 * A program that drives /dev/kvm drives this library by calling anykvm_open
 * instead of open("/dev/kvm"), anykvm_ioctl instead of ioctl and anykvm_close
 * instead of close. Requests, structures, exit reasons and errors are those of
 * <linux/kvm.h> and of the kernel's KVM API documentation; what differs is in
 * docs/api.md.
 *
 * Descriptors are real ones (memory files, always close-on-exec): mmap, poll,
 * fstat, dup and fcntl of the C library work on them. The memory of a vCPU's
 * descriptor is KVM_GET_VCPU_MMAP_SIZE bytes: struct kvm_run, then the data of
 * port accesses, then the ring of coalesced accesses.
 *
 * All functions may be called from any thread. The thread that calls KVM_RUN
 * is the vCPU. A signal that is handled on it meanwhile ends KVM_RUN with
 * EINTR; for that the library defines sigaction() and signal() in place of
 * the C library's, with the same behaviour.
 *
 * After fork(), VM and vCPU descriptors do not work in the child (EIO).
 */
#ifndef ANYKVM_H
#define ANYKVM_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A capability of this library's own, for KVM_ENABLE_CAP of a VM's descriptor
 * that has no vCPUs yet: args[0] is the size in bytes of the memory in which
 * translated code is kept. It is rounded up to whole pages; 128 MiB when nothing
 * is said. KVM_CHECK_EXTENSION answers the greatest size, and 0 in the kernel.
 *
 * EINVAL: flags, or a size that is none of these; EEXIST: there is a vCPU; ENOMEM.
 */
#define ANYKVM_CAP_CODE_CACHE 0x616b0001
#define ANYKVM_CODE_CACHE_MIN (4ull << 20)
#define ANYKVM_CODE_CACHE_MAX (1ull << 30)

/*
 * A system descriptor, as open("/dev/kvm", flags) gives. flags: O_RDWR,
 * O_CLOEXEC; others are ignored.
 *
 * The descriptor, or -1 with errno: EMFILE, ENFILE, ENOMEM.
 */
int anykvm_open(int flags);

/*
 * The ioctl of a system, VM or vCPU descriptor, with its one argument, as
 * ioctl(2).
 *
 * The request's result (0 or more), or -1 with errno: EBADF (not open), ENOTTY
 * (no descriptor of this library, or no such request), EFAULT (the argument
 * points nowhere), EIO (after fork), or what the request's documentation says.
 */
int anykvm_ioctl(int fd, unsigned long request, ...);

/*
 * Closes a descriptor of this library. A VM goes when its last descriptor and
 * those of its vCPUs are closed. Closing with close(2) instead leaves the
 * object behind until the number is used again.
 *
 * 0, or -1 with errno: EBADF (not a descriptor of this library).
 */
int anykvm_close(int fd);

/*
 * mmap(2) of a vCPU's descriptor, with what the memory file alone cannot do:
 * the ring of coalesced accesses is the VM's one ring on whichever vCPU it is
 * mapped, and dirty rings are refused to private and executable mappings
 * (EINVAL). After plain mmap() the coalesced ring is that of the vCPU created
 * first. Other descriptors are mapped as by mmap(2).
 *
 * The address, or MAP_FAILED with errno.
 */
void *anykvm_mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);

/*
 * True when fd is open and refers to an object of this library, also when it
 * is a duplicate that the library has not seen being made. Does not change
 * errno.
 */
bool anykvm_is(int fd);

/*
 * True when the library has an object under the number fd, which it may have
 * kept from a descriptor that close(2) closed. A look into a table, without a
 * system call; anykvm_is() tells for sure, and corrects the table.
 */
bool anykvm_known(int fd);

/* The lowest number from fd on of which anykvm_known() is true, or -1. */
int anykvm_next(int fd);

/*
 * For a caller that keeps all signals of its thread blocked and wants those
 * outside *mask (bit n - 1 for signal n) to end KVM_RUN all the same. Applies to
 * KVM_RUN of the calling thread until the next call; NULL ends it. *mask is
 * read then.
 */
void anykvm_signal_mask(const uint64_t *mask);

/*
 * To be called in a child process that was made without fork() of the C
 * library, before anything else of this library.
 */
void anykvm_forked(void);

/*
 * Another descriptor of the same object, as dup(2), which must be closed too.
 *
 * The descriptor, or -1 with errno: EBADF, EMFILE.
 */
int anykvm_dup(int fd);

#ifdef __cplusplus
}
#endif

#endif
