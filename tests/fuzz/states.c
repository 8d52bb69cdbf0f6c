/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * States of vCPUs: sensible ones with something wrong about them, and
 * nonsense. And KVM_RUN, whose kvm_run user space may have written anything to.
 */
#include <errno.h>
#include <string.h>

#include <anykvm.h>

#include "fuzz.h"

#define LAST_EXIT KVM_EXIT_NOTIFY

/* What user space reads, changes a little and writes back. */
static const struct {
	uint64_t get, set;
	uint32_t size;
} pairs[] = {
	{ KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) },
	{ KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) },
	{ KVM_GET_SREGS2, KVM_SET_SREGS2, sizeof(struct kvm_sregs2) },
	{ KVM_GET_FPU, KVM_SET_FPU, sizeof(struct kvm_fpu) },
	{ KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
	{ KVM_GET_XSAVE2, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
	{ KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) },
	{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs) },
	{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events) },
	{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) },
	{ KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
};

static void get_and_set(struct session *s, int fd)
{
	uint32_t i = below(ARRAY_SIZE(pairs));
	uint8_t *at = args_buffer() + ARGS_SIZE - pairs[i].size;

	if (request(s, fd, pairs[i].get, (uint64_t)at) < 0)
		return;
	if (percent(10))
		random_bytes(at, pairs[i].size);
	else
		mutate(at, pairs[i].size);
	request(s, fd, pairs[i].set, percent(95) ? (uint64_t)at : pointer(pairs[i].size));
}

/* Any of the supported leaves, some changed. */
static void set_cpuid(struct session *s, int fd)
{
	struct kvm_cpuid2 *c = (void *)args_buffer();
	uint32_t max = (ARGS_SIZE - sizeof(*c)) / sizeof(c->entries[0]);

	memset(c, 0, sizeof(*c));
	c->nent = max;
	if (request(s, s->sys, KVM_GET_SUPPORTED_CPUID, (uint64_t)c) < 0)
		return;
	if (percent(50))
		mutate(c->entries, c->nent * sizeof(c->entries[0]));
	if (percent(10))
		random_bytes(c->entries, c->nent * sizeof(c->entries[0]));
	if (percent(10))
		c->nent = (uint32_t)number();
	request(s, fd, percent(90) ? KVM_SET_CPUID2 : KVM_SET_CPUID, (uint64_t)c);
}

static void set_msrs(struct session *s, int fd)
{
	static __thread uint32_t known[512];
	struct kvm_msrs *m = (void *)args_buffer();
	uint32_t i, n = 1 + below(8);

	if (!known[0]) {
		known[0] = ARRAY_SIZE(known) - 1;
		request(s, s->sys, KVM_GET_MSR_INDEX_LIST, (uint64_t)known);
	}
	m->nmsrs = percent(97) ? n : (uint32_t)number();
	for (i = 0; i < n; i++) {
		m->entries[i].index = percent(80) ? known[1 + below(known[0])] :
						    (uint32_t)number();
		m->entries[i].data = number();
	}
	request(s, fd, percent(70) ? KVM_SET_MSRS : KVM_GET_MSRS, (uint64_t)m);
}

static void set_guest_debug(struct session *s, int fd)
{
	struct kvm_guest_debug *d = (void *)(args_buffer() + ARGS_SIZE - sizeof(*d));
	uint32_t i;

	memset(d, 0, sizeof(*d));
	d->control = percent(90) ? (uint32_t)(rnd() & 0x1f0003) : (uint32_t)number();
	if (percent(30))
		d->control = 0;
	for (i = 0; i < 4; i++)
		d->arch.debugreg[i] = CODE_GPA + below(PAGE);
	d->arch.debugreg[7] = percent(80) ? (uint32_t)rnd() & 0xffff00ff : number();
	request(s, fd, KVM_SET_GUEST_DEBUG, (uint64_t)d);
}

/* The alarm must get through. */
static void set_signal_mask(struct session *s, int fd)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) *m = (void *)(args_buffer() + ARGS_SIZE - sizeof(*m));

	m->head.len = percent(90) ? 8 : (uint32_t)number();
	m->set = number() & 0xfff;	/* no signal above 12 */
	request(s, fd, KVM_SET_SIGNAL_MASK, percent(70) ? (uint64_t)m : 0);
}

static void set_plain(struct session *s, int fd)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (request(s, fd, KVM_GET_SREGS, (uint64_t)&sregs) < 0)
		return;
	plain_state(&sregs, &regs);
	request(s, fd, KVM_SET_SREGS, (uint64_t)&sregs);
	request(s, fd, KVM_SET_REGS, (uint64_t)&regs);
	/* A triple fault, a halt or INIT ended the last attempt. */
	request(s, fd, KVM_SET_MP_STATE, (uint64_t)&(struct kvm_mp_state) { KVM_MP_STATE_RUNNABLE });
}

void random_state(struct session *s, uint32_t i)
{
	int fd = __atomic_load_n(&s->cpu[i], __ATOMIC_RELAXED);

	switch (below(16)) {
	case 0 ... 5:
		set_plain(s, fd);
		break;
	case 6:
		set_cpuid(s, fd);
		break;
	case 7 ... 8:
		set_msrs(s, fd);
		break;
	case 9:
		set_guest_debug(s, fd);
		break;
	case 10:
		set_signal_mask(s, fd);
		break;
	default:
		get_and_set(s, fd);
		break;
	}
}

/* --- KVM_RUN ---------------------------------------------------------------------------- */

static void spoil_run(struct kvm_run *run)
{
	if (percent(30)) {
		run->request_interrupt_window = (uint8_t)below(2);
		run->cr8 = percent(90) ? below(16) : number();
		run->immediate_exit = percent(10);
	}
	if (percent(10)) {
		run->kvm_valid_regs = below(8);
		run->kvm_dirty_regs = below(8);
		mutate(&run->s.regs, sizeof(run->s.regs));
	}
	if (percent(10))
		mutate(run, sizeof(*run));
	if (percent(5))
		random_bytes(run, sizeof(*run));
	if (percent(10))	/* port data, the coalesced ring */
		mutate((uint8_t *)run + PAGE, 2 * PAGE);
}

/* kvm_run says what happened as long as no other thread writes to it. */
static void check_exit(const struct session *s, const struct kvm_run *run, long r, int err)
{
	if (r < 0 && err != EINTR && err != EAGAIN && err != EFAULT && err != EINVAL &&
	    err != EBADF && err != ENOTTY)
		complain("KVM_RUN failed with the error %d", err);
	if (r > 0)
		complain("KVM_RUN returned %ld", r);
	if (r == 0 && s->alone && run->exit_reason > LAST_EXIT)
		complain("KVM_RUN gave the exit reason %u", run->exit_reason);
}

void run_cpu(struct session *s, uint32_t i)
{
	struct kvm_run *run = s->run[i];
	int fd = __atomic_load_n(&s->cpu[i], __ATOMIC_RELAXED);
	long r;

	spoil_run(run);
	errno = 0;
	r = anykvm_ioctl(fd, KVM_RUN, percent(99) ? 0 : number());
	check_exit(s, run, r, errno);
}
