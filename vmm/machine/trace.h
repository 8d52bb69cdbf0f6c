/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching a guest from outside, by the KVM API alone: every exit, line by
 * line, and where a guest's time goes, by samples of the CPUs' registers.
 */
#ifndef VMM_MACHINE_TRACE_H
#define VMM_MACHINE_TRACE_H

#include "../types.h"

struct trace;
struct vcpu;

#define TRACE_SAMPLE_NS 10000000ULL	/* 100 samples a second */

/*
 * what is "exits" or "time", with "=FILE" after it to write to a file instead
 * of standard error. Adds it to *t, made with the first. 0, or -1 after an
 * error line.
 */
int trace_add(struct trace **t, const char *what, unsigned int cpus);
/* True when samples are wanted. */
bool trace_samples(const struct trace *t);
/* The summary, if one was asked for; then frees t, which may be NULL. */
void trace_finish(struct trace *t);

/* --- from the thread of vCPU v; t may not be NULL unless noted --------------- */

/* Before KVM_RUN. */
void trace_enter(struct trace *t, const struct vcpu *v);
/* After KVM_RUN: the time, for trace_handled. */
u64 trace_leave(struct trace *t, const struct vcpu *v);
/* After the exit was handled. */
void trace_handled(struct trace *t, const struct vcpu *v, u64 left_ns);
/* Notes where v is; t may be NULL. */
void trace_sample(struct trace *t, const struct vcpu *v);

#endif
