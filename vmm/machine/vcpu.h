/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A virtual CPU: its descriptor, its thread and the handling of its exits. */
#ifndef VMM_MACHINE_VCPU_H
#define VMM_MACHINE_VCPU_H

#include <pthread.h>

#include "machine.h"

/* What another thread asks of a CPU. */
#define VCPU_STOP (1 << 0)
#define VCPU_INFO (1 << 1)
#define VCPU_SAMPLE (1 << 2)
#define VCPU_STATS (1 << 3)
#define VCPU_PAUSE (1 << 4)	/* wait while the machine is paused */

struct vcpu {
	struct machine *m;
	unsigned int id;	/* also its APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	int tid;		/* of the thread, once it runs; atomic */
	u32 requests;		/* VCPU_*, atomic */
	int stats;		/* KVM_GET_STATS_FD; -1: not opened, atomic */
	u32 pauses;		/* the last pause of the machine that counted this CPU */
};

/* Makes vCPU id and sets it up for the start: 0, or -1 after an error line. */
int cpu_create(struct vcpu *v, struct machine *m, unsigned int id);
void cpu_destroy(struct vcpu *v);
int cpu_start(struct vcpu *v);
/* Makes the CPU leave the guest and do what is asked. */
void cpu_request(struct vcpu *v, u32 what);
/*
 * Opens the CPU's counters, from its own thread or when it does not run: all
 * ioctls of a CPU wait for KVM_RUN.
 */
void cpu_open_stats(struct vcpu *v);
/* Waits for the CPU's thread, which was asked to stop; false when it does not end in time. */
bool cpu_join(struct vcpu *v, u64 deadline_ns);

/* --- cpu_setup.c: the registers before the first instruction ---------------- */

int cpu_setup(struct vcpu *v);

/* --- cpuid.c ---------------------------------------------------------------- */

/* Gives vCPU v the CPUID that its engine supports, made true for this machine. */
int cpuid_setup(struct vcpu *v);
/* The entries for CPU id of cpus in place; returns their new number (at most max). */
unsigned int cpuid_adjust(struct kvm_cpuid_entry2 *e, unsigned int n, unsigned int max,
			  unsigned int id, unsigned int cpus, u32 tsc_khz, u64 memory_end);
/* How wide physical addresses are at most when RAM ends at memory_end. */
unsigned int cpuid_address_bits(u64 memory_end);

/* --- registers.c ------------------------------------------------------------- */

/* Tells the CPU's registers and the code at its instruction pointer on standard error. */
void registers_print(const struct vcpu *v, const char *title);

#endif
