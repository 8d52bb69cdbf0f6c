/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events on their way into the guest: exceptions that instructions raised,
 * with the rules by which one during the delivery of another becomes a double
 * fault and that a shutdown (AMD64 APM vol. 2, 8.2.9; Intel SDM vol. 3, 6.15),
 * NMIs, and external interrupts.
 */
#include <errno.h>

#include "../irq/irq.h"
#include "../soft/insn.h"
#include "run.h"

/* --- raising -------------------------------------------------------------------- */

static void raise(struct vcpu *v, u8 vector, bool has_error, u32 error, bool has_payload,
		  u64 payload)
{
	struct pending_exception *e = &v->exc;

	e->pending = true;
	e->injected = false;
	e->vector = vector;
	e->has_error = has_error;
	e->error = error;
	e->has_payload = has_payload;
	e->payload = payload;
}

void vcpu_raise(struct vcpu *v, u8 vector)
{
	raise(v, vector, false, 0, false, 0);
}

void vcpu_raise_error(struct vcpu *v, u8 vector, u32 error)
{
	raise(v, vector, true, error, false, 0);
}

void vcpu_raise_pf(struct vcpu *v, u64 addr, u32 error)
{
	raise(v, EXC_PF, true, error, true, addr);
}

void vcpu_raise_db(struct vcpu *v, u64 dr6)
{
	raise(v, EXC_DB, false, 0, true, dr6);
}

/* --- delivering ------------------------------------------------------------------- */

static bool contributory(u8 vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* What the second exception becomes that arose while the first was delivered. */
static void merge(struct vcpu *v, u8 first)
{
	u8 second = v->exc.vector;

	if (first == EXC_DF) {
		v->exc.pending = false;
		v->triple_fault = true;
	} else if ((contributory(first) && contributory(second)) ||
		   (first == EXC_PF && (second == EXC_PF || contributory(second)))) {
		if (second == EXC_PF && v->exc.has_payload)
			v->cr2 = v->exc.payload;
		vcpu_raise_error(v, EXC_DF, 0);
	}
}

static void apply_payload(struct vcpu *v)
{
	if (!v->exc.has_payload)
		return;
	if (v->exc.vector == EXC_PF)
		v->cr2 = v->exc.payload;
	if (v->exc.vector == EXC_DB) {
		v->dr6 = (v->dr6 & ~15ull) | v->exc.payload;
		v->dr7 &= ~BIT64(13);	/* GD */
	}
	v->exc.has_payload = false;
}

/* 0: delivered, or turned into another exception; -EFAULT: it is to be tried again. */
static int deliver(struct vcpu *v, u8 vector, bool exception, bool has_error, u32 error)
{
	int e = v->vm->engine->deliver(v, vector, false, has_error, error);

	if (e == EMU_GONE)
		return -EFAULT;
	v->irq_shadow = 0;
	if (e == EMU_FAULT) {
		if (exception)
			merge(v, vector);
		else if (!v->exc.pending)
			v->triple_fault = true;
		return 0;
	}
	if (e == EMU_JUMP || e == EMU_NEXT)
		return 0;
	/* A stack or table that is not memory: nothing sensible can be delivered there. */
	v->triple_fault = true;
	return 0;
}

static int deliver_exception(struct vcpu *v)
{
	struct pending_exception *e = &v->exc;
	u8 vector = e->vector;
	bool has_error = e->has_error && vcpu_protected(v);
	u32 error = e->error;

	/* Faults push RF, so that the instruction's breakpoint does not hit again. */
	if (vector != EXC_DB && vector != EXC_BP && vector != EXC_OF)
		v->sysflags |= X86_FL_RF;
	apply_payload(v);
	e->pending = false;
	v->mmio_reads = v->mmio_read_next = v->mmio_writes = 0;
	if (!deliver(v, vector, true, has_error, error))
		return 0;
	e->pending = true;
	return -EFAULT;
}

static bool smi_due(struct vcpu *v)
{
	return v->smi_pending && !v->smm && !v->irq_shadow;
}

/* One whose delivery has begun comes again until it is delivered. */
static int deliver_begun_nmi(struct vcpu *v)
{
	int r = deliver(v, EXC_NMI, false, false, 0);

	v->nmi.injected = r != 0;
	return r;
}

static int deliver_begun_interrupt(struct vcpu *v)
{
	int r = deliver(v, v->intr.vector, false, false, 0);

	v->intr.injected = r != 0;
	return r;
}

static int deliver_nmi(struct vcpu *v)
{
	__atomic_fetch_sub(&v->nmi.pending, 1, __ATOMIC_SEQ_CST);
	v->nmi.masked = true;
	v->stat.nmi_injections++;
	return deliver_begun_nmi(v);
}

static int deliver_interrupt(struct vcpu *v)
{
	int vector;

	if (irq_pending(v) < 0) {
		v->irq_blocked = false;
		return 0;
	}
	if (!v->irq_enable || v->irq_shadow) {
		v->irq_blocked = true;
		return 0;
	}
	vector = irq_ack(v);
	if (vector < 0)
		return 0;
	v->stat.irq_injections++;
	/* Another may wait behind it. */
	v->irq_blocked = true;
	v->intr.vector = (u8)vector;
	v->intr.soft = false;
	return deliver_begun_interrupt(v);
}

static int shutdown(struct vcpu *v)
{
	v->triple_fault = false;
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 1;
}

int events_deliver(struct vcpu *v)
{
	int r = 0;

	for (int i = 0; v->exc.pending && i < 4 && !r; i++)
		r = deliver_exception(v);
	if (r)
		return r;
	if (v->triple_fault)
		return shutdown(v);
	if (v->intr.injected) {	/* user space restored it half delivered */
		r = deliver_begun_interrupt(v);
	} else if (v->nmi.injected) {
		r = deliver_begun_nmi(v);
	} else if (smi_due(v)) {
		v->smi_pending = false;
		v->smi_count++;
		smm_enter(v);
	} else if (v->guest_debug.control & KVM_GUESTDBG_BLOCKIRQ) {
		v->irq_blocked = true;
	} else if (__atomic_load_n(&v->nmi.pending, __ATOMIC_SEQ_CST) && !v->nmi.masked &&
		   !v->irq_shadow) {
		r = deliver_nmi(v);
	} else {
		r = deliver_interrupt(v);
	}
	return v->triple_fault ? shutdown(v) : r;
}

int debug_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = EXC_DB;
	run->debug.arch.pc = v->rip + v->seg[SEG_CS].base;
	run->debug.arch.dr6 = 0xffff0ff0u | v->debug_dr6;
	run->debug.arch.dr7 = vcpu_dr7(v);
	return 1;
}
