/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_RUN: takes requests, delivers events, lets the engine run, and turns
 * what it came back for into a sleep, another round or an exit to user space
 * (KVM API, sections 4.10 and 5).
 */
#include <errno.h>

#include "../irq/irq.h"
#include "../soft/mmu/mmu.h"
#include "../vm/vm.h"
#include "run.h"

#define HALT_POLL_NS 20000

void vcpu_request(struct vcpu *v, u32 bits)
{
	__atomic_fetch_or(&v->request, bits, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->sleeping, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&v->halt_word, 1, __ATOMIC_SEQ_CST);
		host_futex_wake(&v->halt_word, 1);
	}
}

/* From a signal handler on the thread that is in KVM_RUN. */
static void kick(void *arg)
{
	struct vcpu *v = arg;

	__atomic_fetch_or(&v->request, REQ_EXIT, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->halt_word, 1, __ATOMIC_SEQ_CST);
}

static bool must_exit(struct vcpu *v)
{
	return (__atomic_load_n(&v->request, __ATOMIC_SEQ_CST) & REQ_EXIT) ||
	       *(volatile u8 *)&v->run->immediate_exit || host_signal_pending();
}

void vcpu_flush(struct vcpu *v)
{
	mmu_cache_flush(v);
	v->vm->engine->flush_tlb(v, false);
}

/* --- waiting ------------------------------------------------------------------ */

/* What a vCPU that does not run waits for has come. */
static bool wakes(struct vcpu *v)
{
	if (v->lapic)
		lapic_accept_events(v);
	if (v->mp_state == KVM_MP_STATE_RUNNABLE)
		return true;
	if (!irq_wakes(v))
		return false;
	if (v->mp_state == KVM_MP_STATE_HALTED || v->mp_state == KVM_MP_STATE_AP_RESET_HOLD) {
		v->mp_state = KVM_MP_STATE_RUNNABLE;
		return true;
	}
	return false;
}

static void take_quiet_requests(struct vcpu *v)
{
	u32 r = __atomic_fetch_and(&v->request, REQ_EXIT | REQ_ENGINE, __ATOMIC_SEQ_CST);

	if (r & REQ_TLB_FLUSH)
		vcpu_flush(v);
	if (r & REQ_CLOCK)
		pvclock_update(v);
}

static void sleep_until_woken(struct vcpu *v)
{
	u64 deadline = v->lapic ? lapic_timer_deadline(v) : 0;

	__atomic_store_n(&v->halt_word, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->sleeping, 1, __ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&v->request, __ATOMIC_SEQ_CST) & ~REQ_ENGINE) && !wakes(v) &&
	    !must_exit(v))
		host_futex_wait(&v->halt_word, 0, deadline);
	__atomic_store_n(&v->sleeping, 0, __ATOMIC_SEQ_CST);
	if (v->lapic)
		lapic_timer_poll(v);
}

/* Blocks until v is runnable: 0, or -EINTR. */
static int block(struct vcpu *v)
{
	u64 poll_end = host_monotonic_ns() + HALT_POLL_NS;

	v->stat.halt_exits++;
	for (;;) {
		take_quiet_requests(v);
		if (wakes(v))
			return 0;
		if (must_exit(v))
			return -EINTR;
		if (host_monotonic_ns() < poll_end)
			host_cpu_relax();
		else
			sleep_until_woken(v);
	}
}

/* --- exits ---------------------------------------------------------------------- */

static int complete_mmio_read(struct vcpu *v)
{
	host_memcpy(v->mmio[v->mmio_reads].data, v->run->mmio.data, 8);
	v->mmio_reads++;
	v->mmio_read_next = 0;
	return 0;
}

/* Tells user space of the next queued write: 1, or 0 when none is left. */
static int next_mmio_write(struct vcpu *v)
{
	const struct mmio_fragment *f = &v->mmio_write[v->mmio_write_next];

	if (v->mmio_write_next >= v->mmio_writes) {
		v->mmio_writes = v->mmio_write_next = 0;
		return 0;
	}
	v->mmio_write_next++;
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = f->gpa;
	v->run->mmio.len = f->len;
	v->run->mmio.is_write = 1;
	host_memcpy(v->run->mmio.data, f->data, 8);
	v->complete = next_mmio_write;
	v->stat.mmio_exits++;
	return 1;
}

static void user_exit(struct vcpu *v)
{
	if (v->mmio_writes) {
		next_mmio_write(v);
	} else if (v->run->exit_reason == KVM_EXIT_MMIO && !v->complete) {
		v->complete = complete_mmio_read;
		v->stat.mmio_exits++;
	} else {
		v->stat.io_exits++;
	}
}

/* User space wants to know when it may KVM_INTERRUPT, and it may. */
static bool window_exit(struct vcpu *v)
{
	if (v->vm->irqchip || !v->run->request_interrupt_window || !v->irq_enable ||
	    v->irq_shadow || v->user_irq_pending || v->exc.pending)
		return false;
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	v->stat.request_irq_exits++;
	return true;
}

static void publish(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->if_flag = v->irq_enable;
	run->flags = 0;
	run->cr8 = vcpu_get_cr8(v);
	run->apic_base = v->apic_base;
	run->ready_for_interrupt_injection =
		v->vm->irqchip || (v->irq_enable && !v->irq_shadow && !v->user_irq_pending &&
				   !v->exc.pending);
}

/* --- the loop ---------------------------------------------------------------------- */

/* What to do after an engine run: go on (0), leave with success (1), or -errno. */
static int after_run(struct vcpu *v, enum engine_exit why)
{
	v->stat.exits++;
	switch (why) {
	case ENGINE_REQUEST:
		return 0;
	case ENGINE_DEBUG:
		return debug_exit(v);
	case ENGINE_HALT:
		if (!v->vm->irqchip && !v->vm->split_irqchip) {
			v->run->exit_reason = KVM_EXIT_HLT;
			return 1;
		}
		v->mp_state = KVM_MP_STATE_HALTED;
		return 0;
	case ENGINE_USER:
		user_exit(v);
		return 1;
	case ENGINE_TRIPLE_FAULT:
		v->triple_fault = true;
		return 0;
	case ENGINE_EFAULT:
		return -EFAULT;
	default:
		return 1;
	}
}

static int one_round(struct vcpu *v)
{
	int r;

	if (must_exit(v)) {
		v->stat.signal_exits++;
		v->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	if (unlikely(v->mp_state != KVM_MP_STATE_RUNNABLE)) {
		r = block(v);
		if (r)
			v->run->exit_reason = KVM_EXIT_INTR;
		return r;
	}
	take_quiet_requests(v);
	if (v->lapic)
		lapic_accept_events(v);
	if (v->mp_state != KVM_MP_STATE_RUNNABLE)
		return 0;
	r = events_deliver(v);
	if (r)
		return r;
	if (window_exit(v))
		return 1;
	return after_run(v, v->vm->engine->run(v));
}

static int run_loop(struct vcpu *v)
{
	int r = 0;

	if (v->complete) {
		int (*complete)(struct vcpu *) = v->complete;

		v->complete = NULL;
		r = complete(v);
	}
	if (!r && *(volatile u8 *)&v->run->immediate_exit)	/* the exit reason stays */
		r = -EINTR;
	while (!r)
		r = one_round(v);
	return r > 0 ? 0 : r;
}

int vcpu_run(struct vcpu *v)
{
	bool wait = v->mp_state == KVM_MP_STATE_UNINITIALIZED;
	int r;

	host_signal_enter(kick, v, v->sigmask_set ? &v->sigmask : NULL);
	__atomic_store_n(&v->thread, host_gettid(), __ATOMIC_RELAXED);
	__atomic_store_n(&v->running, 1, __ATOMIC_SEQ_CST);
	v->vm->engine->entered(v);
	if (wait) {	/* as the kernel: the first KVM_RUN of such a vCPU ends when it starts */
		r = block(v);
		r = r ? r : -EAGAIN;
		v->run->exit_reason = KVM_EXIT_INTR;
	} else {
		r = run_loop(v);
	}
	v->vm->engine->fpu_put(v);
	publish(v);
	__atomic_store_n(&v->running, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->thread, 0, __ATOMIC_RELAXED);
	host_signal_leave();
	__atomic_fetch_and(&v->request, ~REQ_EXIT, __ATOMIC_SEQ_CST);
	return r;
}
