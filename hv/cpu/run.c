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
#include "state.h"

#define HALT_POLL_NS 20000ull
#define DR6_BS BIT64(14)

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
	if (!irq_wakes(v) && !(v->smi_pending && !v->smm))
		return false;
	v->pv_unhalted = false;
	if (v->mp_state == KVM_MP_STATE_HALTED || v->mp_state == KVM_MP_STATE_AP_RESET_HOLD) {
		v->mp_state = KVM_MP_STATE_RUNNABLE;
		return true;
	}
	return false;
}

static void take_events(struct vcpu *v, u32 r)
{
	if (r & REQ_UNHALT)
		v->pv_unhalted = true;
	if (r & REQ_SMI)
		v->smi_pending = true;
}

void vcpu_take_requests(struct vcpu *v)
{
	u32 r = __atomic_fetch_and(&v->request, REQ_EXIT | REQ_ENGINE, __ATOMIC_SEQ_CST);

	if (r & REQ_TLB_FLUSH)
		vcpu_flush(v);
	if (r & REQ_CLOCK)
		pvclock_update(v);
	if (r & REQ_ASYNC_PF)
		async_pf_tell(v);
	take_events(v, r);
}

void vcpu_take_events(struct vcpu *v)
{
	take_events(v, __atomic_fetch_and(&v->request, ~(REQ_UNHALT | REQ_SMI), __ATOMIC_SEQ_CST));
}

static void sleep_until_woken(struct vcpu *v)
{
	u64 deadline = v->lapic ? lapic_timer_deadline(v) : 0;

	steal_time_stop(v);
	__atomic_store_n(&v->halt_word, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->sleeping, 1, __ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&v->request, __ATOMIC_SEQ_CST) & ~REQ_ENGINE) && !wakes(v) &&
	    !must_exit(v))
		host_futex_wait(&v->halt_word, 0, deadline);
	__atomic_store_n(&v->sleeping, 0, __ATOMIC_SEQ_CST);
	steal_time_start(v);
	if (v->lapic)
		lapic_timer_poll(v);
}

/* How long to wait with open eyes: what user space and the guest allow of it. */
static u64 halt_poll_ns(const struct vcpu *v)
{
	if (!(v->kvm_poll_control & 1))
		return 0;
	return v->vm->halt_poll_set ? MIN(v->vm->max_halt_poll_ns, HALT_POLL_NS) : HALT_POLL_NS;
}

/* Blocks until v is runnable: 0, or -EINTR. */
static int block(struct vcpu *v)
{
	u64 start = host_monotonic_ns(), poll_end = start + halt_poll_ns(v);
	int r;

	v->stat.halt_exits++;
	for (;;) {
		vcpu_take_requests(v);
		r = wakes(v) ? 0 : must_exit(v) ? -EINTR : 1;
		if (r <= 0) {
			v->stat.halt_wait_ns += host_monotonic_ns() - start;
			return r;
		}
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

void vcpu_leave_to_user(struct vcpu *v, int (*complete)(struct vcpu *), u64 next_rip)
{
	v->complete = complete;
	v->exit_rip = v->rip;
	v->next_rip = next_rip;
}

bool vcpu_exit_stands(const struct vcpu *v)
{
	return v->rip == v->exit_rip;
}

int vcpu_skip(struct vcpu *v)
{
	if (!vcpu_exit_stands(v))
		return 0;
	v->rip = v->next_rip;
	v->irq_shadow = 0;
	if (v->guest_debug.control & KVM_GUESTDBG_SINGLESTEP) {
		v->debug_dr6 = DR6_BS;
		return debug_exit(v);
	}
	if (v->sysflags & X86_FL_TF)
		vcpu_raise_db(v, DR6_BS);
	return 0;
}

/* What the last instruction asked user space to hear. */
static int wanted_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u8 wants = v->wants;

	if (wants & WANT_TPR_ACCESS) {
		wants = WANT_TPR_ACCESS;
		run->exit_reason = KVM_EXIT_TPR_ACCESS;
		run->tpr_access.rip = v->tpr_rip;
		run->tpr_access.is_write = v->tpr_write;
	} else if (wants & WANT_IOAPIC_EOI) {
		wants = WANT_IOAPIC_EOI;
		run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		run->eoi.vector = v->eoi_vector;
	} else {
		run->exit_reason = KVM_EXIT_SET_TPR;
	}
	v->wants &= ~wants;
	return 1;
}

static int ring_full_exit(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return 1;
}

/* User space wants to know when it may KVM_INTERRUPT, and it may. */
static bool window_exit(struct vcpu *v)
{
	if (v->vm->pic || !v->run->request_interrupt_window)
		return false;
	if (!irq_user_ready(v)) {
		v->irq_blocked = true;	/* have a look when RFLAGS.IF becomes 1 */
		return false;
	}
	v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	v->stat.request_irq_exits++;
	return true;
}

static void publish(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->if_flag = v->irq_enable;
	run->flags = v->smm ? KVM_RUN_X86_SMM : 0;
	run->cr8 = vcpu_get_cr8(v);
	run->apic_base = v->apic_base;
	run->ready_for_interrupt_injection = v->vm->pic || irq_user_ready(v);
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
		if (v->vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT) {
			v->halted_inside = true;
		} else if (!v->lapic) {
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

static int run_guest(struct vcpu *v)
{
	enum engine_exit why;

	if (irq_in_guest_memory(v))
		irq_to_guest(v);
	why = v->vm->engine->run(v);
	if (irq_in_guest_memory(v))
		irq_from_guest(v);
	return after_run(v, why);
}

static int one_round(struct vcpu *v)
{
	int r;

	if (must_exit(v)) {
		v->stat.signal_exits++;
		v->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	vcpu_take_requests(v);
	steal_time_poll(v);
	if (unlikely(v->wants))
		return wanted_exit(v);
	if (unlikely(v->mp_state != KVM_MP_STATE_RUNNABLE)) {
		if (window_exit(v))
			return 1;
		r = block(v);
		if (r)
			v->run->exit_reason = KVM_EXIT_INTR;
		return r;
	}
	if (unlikely(v->dirty_ring) && dirty_ring_full(v))
		return ring_full_exit(v);
	if (v->lapic)
		lapic_accept_events(v);
	if (v->mp_state != KVM_MP_STATE_RUNNABLE)
		return 0;
	r = events_deliver(v);
	if (r)
		return r;
	if (window_exit(v))
		return 1;
	return run_guest(v);
}

/*
 * What the last exit left undone, also when user space only comes to have it
 * done (immediate_exit, a signal).
 */
static int finish_last(struct vcpu *v)
{
	int (*complete)(struct vcpu *) = v->complete;
	int r;

	if (!complete)
		return 0;
	v->complete = NULL;
	r = complete(v);
	if (r || !v->mmio_reads)
		return r;
	/* The instruction starts again with the answer, ahead of any event. */
	vcpu_take_requests(v);
	return run_guest(v);
}

static int run_loop(struct vcpu *v)
{
	int r = finish_last(v);

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

	if (!v->lapic && vcpu_set_cr8(v, v->run->cr8))
		return -EINVAL;
	host_signal_enter(kick, v, v->sigmask_set ? &v->sigmask : NULL);
	__atomic_store_n(&v->running, 1, __ATOMIC_SEQ_CST);
	v->vm->engine->entered(v);
	steal_time_start(v);
	if (wait) {	/* as the kernel: the first KVM_RUN of such a vCPU ends when it starts */
		r = block(v);
		r = r ? r : -EAGAIN;
		v->run->exit_reason = KVM_EXIT_INTR;
	} else {
		r = run_loop(v);
	}
	v->vm->engine->fpu_put(v);
	if (v->halted_inside && v->mp_state == KVM_MP_STATE_HALTED)
		v->mp_state = KVM_MP_STATE_RUNNABLE;
	v->halted_inside = false;
	steal_time_stop(v);
	publish(v);
	__atomic_store_n(&v->running, 0, __ATOMIC_SEQ_CST);
	host_signal_leave();
	__atomic_fetch_and(&v->request, ~REQ_EXIT, __ATOMIC_SEQ_CST);
	return r;
}
