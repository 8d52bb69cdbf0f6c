/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls of the KVM API: descriptors, and a table of requests for each
 * kind of them.
 */
#ifndef HV_API_API_H
#define HV_API_API_H

#include <linux/ioctl.h>

#include "../cpu/state.h"
#include "../irq/irq.h"

/* --- descriptors (table.c) ---------------------------------------------------- */

enum api_kind { API_SYSTEM, API_VM, API_VCPU };

struct api_object {
	u32 refs;		/* atomic: descriptors and running ioctls */
	u8 kind;
	void *ptr;		/* struct vm or struct vcpu, whose reference this holds */
	u32 forks;		/* host_fork_count() of the process that made it */
	u64 dev, ino;		/* of its memory file */
	struct api_object *next;
};

/* Ties fd, a memory file just made, to a new object: 0 or -errno. Takes ptr over when 0. */
int api_install(int fd, enum api_kind kind, void *ptr);
/* The object of fd, held, or NULL. quick: trust the table without asking the system. */
struct api_object *api_get(int fd, bool quick);
void api_put(struct api_object *o);
int api_close(int fd);
int api_dup(int fd);
/* The table has an entry for fd, which may be out of date. No system call. */
bool api_known(int fd);
/* The lowest such descriptor from fd on, or -1. */
int api_next(int fd);

/* --- requests (dispatch.c) ------------------------------------------------------ */

#define API_IN BIT(0)	/* the argument points to the request's structure, to read */
#define API_OUT BIT(1)	/* ... and to write when the request succeeded */

/* self: NULL, struct vm or struct vcpu. arg: the ioctl's; buf: the structure. */
typedef long (*api_fn)(void *self, u64 arg, void *buf);

struct api_op {
	u32 request;
	u32 mode;		/* API_* */
	api_fn fn;
};

#define API_BUFFER 4096

/* Runs the request from ops (ended by a NULL fn); unknown: what an unknown one gets. */
long api_dispatch(const struct api_op *ops, void *self, u32 request, u64 arg, long unknown);

long api_system(u32 request, u64 arg);
long api_vm(struct vm *vm, u32 request, u64 arg);
long api_vcpu(struct vcpu *v, u32 request, u64 arg);

/* KVM_CHECK_EXTENSION (caps.c). */
long api_check_extension(u64 cap);
long api_vm_enable_cap(struct vm *vm, const struct kvm_enable_cap *cap);

/* Handlers about CPUID (cpuid.c). */
long api_get_supported_cpuid(void *self, u64 arg, void *buf);
long api_get_emulated_cpuid(void *self, u64 arg, void *buf);
long api_set_cpuid(void *self, u64 arg, void *buf);
long api_set_cpuid2(void *self, u64 arg, void *buf);
long api_get_cpuid2(void *self, u64 arg, void *buf);

/* KVM_GET/SET_MSRS on system and vCPU descriptors (msrs.c). v: NULL for feature MSRs. */
long api_get_msrs(struct vcpu *v, u64 arg);
long api_set_msrs(struct vcpu *v, u64 arg);

#define KVM_SYNC_FIELDS (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
#define GUESTDBG_VALID 0x1f0003

#endif
