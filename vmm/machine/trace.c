/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The traces. "exits" prints a line for each return of KVM_RUN with an exit.
 * "time" counts exits by kind and address with the time they took here, takes
 * a sample of each CPU's instruction pointer a hundred times a second, and
 * prints the most frequent ones at the end. A CPU's figures are written by its
 * own thread only and read when all threads have ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../backends/loop.h"
#include "../error.h"
#include "trace.h"
#include "vcpu.h"

#define KINDS_MAX 128		/* kinds of exit a CPU counts */
#define PLACES_MAX 4096		/* instruction pointers a CPU counts; power of two */
#define TOP 20			/* of them shown */

struct exit_kind {
	u32 reason;
	bool write;
	u64 address;
	u64 count, ns;
};

struct place {
	u64 rip;		/* linear */
	u8 bits, cpl;		/* bits 0: free */
	u64 count;
};

struct cpu_trace {
	u64 entered, guest_ns, device_ns;
	u64 exits, halted, running, lost;
	unsigned int kinds;
	struct exit_kind kind[KINDS_MAX];
	struct place place[PLACES_MAX];
};

struct trace {
	u64 start;
	unsigned int cpus;
	FILE *exits, *time;	/* NULL: not wanted */
	struct cpu_trace *cpu;
};

static struct cpu_trace *cpu_of(struct trace *t, const struct vcpu *v)
{
	return &t->cpu[v->id];
}

static const char *reason_name(u32 reason)
{
	static const char *const name[] = {
		[KVM_EXIT_UNKNOWN] = "unknown", [KVM_EXIT_EXCEPTION] = "exception",
		[KVM_EXIT_IO] = "io", [KVM_EXIT_HYPERCALL] = "hypercall",
		[KVM_EXIT_DEBUG] = "debug", [KVM_EXIT_HLT] = "hlt", [KVM_EXIT_MMIO] = "mmio",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window", [KVM_EXIT_SHUTDOWN] = "shutdown",
		[KVM_EXIT_FAIL_ENTRY] = "fail-entry", [KVM_EXIT_INTR] = "intr",
		[KVM_EXIT_INTERNAL_ERROR] = "internal-error",
		[KVM_EXIT_SYSTEM_EVENT] = "system-event",
	};

	return reason < ARRAY_SIZE(name) && name[reason] ? name[reason] : "other";
}

/* --- the end of an exit ---------------------------------------------------------- */

static void print_exit(struct trace *t, const struct vcpu *v, u64 ns)
{
	const struct kvm_run *run = v->run;
	double when = (double)(monotonic_ns() - t->start) / NSEC;
	u64 value = 0;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		memcpy(&value, (const u8 *)run + run->io.data_offset,
		       run->io.size <= 4 ? run->io.size : 4);
		fprintf(t->exits, "%12.6f cpu %u %s %#x size %u count %u value %#llx %llu ns\n",
			when, v->id, run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in",
			run->io.port, run->io.size, run->io.count, (unsigned long long)value,
			(unsigned long long)ns);
		break;
	case KVM_EXIT_MMIO:
		memcpy(&value, run->mmio.data, sizeof(value));
		fprintf(t->exits, "%12.6f cpu %u mmio %s %#llx size %u value %#llx %llu ns\n", when,
			v->id, run->mmio.is_write ? "write" : "read",
			(unsigned long long)run->mmio.phys_addr, run->mmio.len,
			(unsigned long long)value, (unsigned long long)ns);
		break;
	default:
		fprintf(t->exits, "%12.6f cpu %u %s\n", when, v->id,
			reason_name(run->exit_reason));
	}
}

static void count_exit(struct cpu_trace *c, const struct kvm_run *run, u64 ns)
{
	struct exit_kind k = { .reason = run->exit_reason };
	unsigned int i;

	if (k.reason == KVM_EXIT_IO) {
		k.address = run->io.port;
		k.write = run->io.direction == KVM_EXIT_IO_OUT;
	} else if (k.reason == KVM_EXIT_MMIO) {
		k.address = run->mmio.phys_addr;
		k.write = run->mmio.is_write;
	}
	for (i = 0; i < c->kinds; i++)
		if (c->kind[i].reason == k.reason && c->kind[i].address == k.address &&
		    c->kind[i].write == k.write)
			break;
	if (i == KINDS_MAX)
		return;
	if (i == c->kinds)
		c->kind[c->kinds++] = k;
	c->kind[i].count++;
	c->kind[i].ns += ns;
}

void trace_enter(struct trace *t, const struct vcpu *v)
{
	cpu_of(t, v)->entered = monotonic_ns();
}

u64 trace_leave(struct trace *t, const struct vcpu *v)
{
	struct cpu_trace *c = cpu_of(t, v);
	u64 now = monotonic_ns();

	c->guest_ns += now - c->entered;
	return now;
}

void trace_handled(struct trace *t, const struct vcpu *v, u64 left_ns)
{
	struct cpu_trace *c = cpu_of(t, v);
	u64 ns = monotonic_ns() - left_ns;

	c->exits++;
	c->device_ns += ns;
	if (t->exits)
		print_exit(t, v, ns);
	if (t->time)
		count_exit(c, v->run, ns);
}

/* --- samples ----------------------------------------------------------------------- */

static void count_place(struct cpu_trace *c, u64 rip, u8 bits, u8 cpl)
{
	u64 h = rip * 0x9e3779b97f4a7c15ULL >> 40;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		struct place *p = &c->place[(h + i) % PLACES_MAX];

		if (!p->bits)
			*p = (struct place){ rip, bits, cpl, 0 };
		if (p->rip == rip && p->bits == bits && p->cpl == cpl) {
			p->count++;
			return;
		}
	}
	c->lost++;
}

void trace_sample(struct trace *t, const struct vcpu *v)
{
	struct kvm_mp_state mp = { 0 };
	struct kvm_sregs s;
	struct kvm_regs r;
	struct cpu_trace *c;

	if (!t || !t->time)
		return;
	c = cpu_of(t, v);
	kvm_ioctl(v->m->kvm, v->fd, KVM_GET_MP_STATE, &mp);
	if (mp.mp_state != KVM_MP_STATE_RUNNABLE) {
		c->halted++;
		return;
	}
	if (kvm_ioctl(v->m->kvm, v->fd, KVM_GET_REGS, &r) < 0 ||
	    kvm_ioctl(v->m->kvm, v->fd, KVM_GET_SREGS, &s) < 0)
		return;
	c->running++;
	count_place(c, s.cs.l ? r.rip : s.cs.base + r.rip, s.cs.l ? 64 : s.cs.db ? 32 : 16,
		    s.ss.dpl);
}

bool trace_samples(const struct trace *t)
{
	return t && t->time;
}

/* --- the summary --------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static int by_time(const void *a, const void *b)
{
	const struct exit_kind *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : 0;
}

static void print_kind(FILE *f, const struct exit_kind *k)
{
	char what[64];

	if (k->reason == KVM_EXIT_IO)
		snprintf(what, sizeof(what), "%s port %#llx", k->write ? "out" : "in",
			 (unsigned long long)k->address);
	else if (k->reason == KVM_EXIT_MMIO)
		snprintf(what, sizeof(what), "mmio %s %#llx", k->write ? "write" : "read",
			 (unsigned long long)k->address);
	else
		snprintf(what, sizeof(what), "%s", reason_name(k->reason));
	fprintf(f, "  exit %-24s %10llu times %10.3f ms\n", what, (unsigned long long)k->count,
		(double)k->ns / 1e6);
}

static void print_cpu(FILE *f, struct cpu_trace *c, unsigned int id)
{
	u64 samples = c->running + c->halted;
	unsigned int i;

	fprintf(f, "CPU %u: KVM_RUN %.3f s, devices %.3f s, %llu exits, %llu samples, "
		"halted in %.1f %%\n", id, (double)c->guest_ns / NSEC, (double)c->device_ns / NSEC,
		(unsigned long long)c->exits, (unsigned long long)samples,
		samples ? 100.0 * (double)c->halted / (double)samples : 0);
	qsort(c->kind, c->kinds, sizeof(c->kind[0]), by_time);
	for (i = 0; i < c->kinds && i < TOP; i++)
		print_kind(f, &c->kind[i]);
	qsort(c->place, PLACES_MAX, sizeof(c->place[0]), by_count);
	for (i = 0; i < TOP && c->place[i].count; i++)
		fprintf(f, "  at %016llx  %2u-bit %s %6.2f %%\n",
			(unsigned long long)c->place[i].rip, c->place[i].bits,
			c->place[i].cpl == 3 ? "user  " : "kernel",
			100.0 * (double)c->place[i].count / (double)samples);
	if (c->lost)
		fprintf(f, "  %llu samples at other places\n", (unsigned long long)c->lost);
}

void trace_finish(struct trace *t)
{
	unsigned int i;

	if (!t)
		return;
	if (t->time) {
		fprintf(t->time, "anykvm: where the time of %.3f s went\n",
			(double)(monotonic_ns() - t->start) / NSEC);
		for (i = 0; i < t->cpus; i++)
			print_cpu(t->time, &t->cpu[i], i);
	}
	if (t->time && t->time != stderr)
		fclose(t->time);
	if (t->exits && t->exits != stderr)
		fclose(t->exits);
	free(t->cpu);
	free(t);
}

/* --- the option -------------------------------------------------------------------------- */

static int open_output(FILE **f, const char *path)
{
	FILE *new = stderr;

	if (path) {
		new = fopen(path, "we");
		if (!new)
			return error("cannot write the trace '%s': %s", path, strerror(errno));
	}
	if (*f && *f != stderr)
		fclose(*f);
	*f = new;
	return 0;
}

int trace_add(struct trace **t, const char *what, unsigned int cpus)
{
	const char *path = strchr(what, '=');
	size_t len = path ? (size_t)(path - what) : strlen(what);

	if (!*t) {
		*t = calloc(1, sizeof(**t));
		if (*t)
			(*t)->cpu = calloc(cpus, sizeof(*(*t)->cpu));
		if (!*t || !(*t)->cpu)
			return error("out of memory");
		(*t)->cpus = cpus;
		(*t)->start = monotonic_ns();
	}
	if (path)
		path++;
	if (len == 5 && !memcmp(what, "exits", len))
		return open_output(&(*t)->exits, path);
	if (len == 4 && !memcmp(what, "time", len))
		return open_output(&(*t)->time, path);
	return error("--trace takes exits or time, not '%.*s'", (int)len, what);
}
