/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the run loop's files share.
 */
#ifndef HV_CPU_RUN_H
#define HV_CPU_RUN_H

#include "vcpu.h"

/*
 * Delivers what may be delivered now: exceptions first, then NMIs, then
 * interrupts. 0: run the guest; 1: leave to user space, v->run says why;
 * -EFAULT: guest memory that is wanted for it is gone.
 */
int events_deliver(struct vcpu *v);

/* KVM_EXIT_DEBUG with v->debug_dr6. Returns 1. */
int debug_exit(struct vcpu *v);

/* Takes requests of other threads; REQ_EXIT and the engine's stay. */
void vcpu_take_requests(struct vcpu *v);

/*
 * Those alone that are part of the state that user space asks for: nothing that
 * changes the guest's memory, which is being saved with it.
 */
void vcpu_take_events(struct vcpu *v);

/* Forgets address translations and what hangs on memory slots. */
void vcpu_flush(struct vcpu *v);

#endif
