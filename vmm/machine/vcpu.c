/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a virtual CPU: its thread runs the guest (KVM_RUN) and handles
 * each exit until the machine ends. Another thread makes it leave the guest
 * with a signal; immediate_exit closes the gap before KVM_RUN is entered.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "trace.h"
#include "vcpu.h"

#define KICK_SIGNAL SIGRTMIN	/* SIGUSR1 is the user's: it prints statistics */
#define REKICK_NS 100000000L

/* --- exits -------------------------------------------------------------------- */

static void handle_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u8 *data = (u8 *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;
	u32 i;

	for (i = 0; i < run->io.count; i++, data += run->io.size)
		bus_access(&v->m->ports, run->io.port, data, run->io.size, write);
}

static void handle_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u32 len = run->mmio.len < 8 ? run->mmio.len : 8;

	bus_access(&v->m->mmio, run->mmio.phys_addr, run->mmio.data, len, run->mmio.is_write);
}

static void stop_failed(struct vcpu *v, const char *why)
{
	char title[192];

	snprintf(title, sizeof(title), "CPU %u %s", v->id, why);
	registers_print(v, title);
	machine_set_end(v->m, MACHINE_FAILED);
}

/* Adds the instruction bytes that the engine could not emulate, if it gives them. */
static void handle_internal_error(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	u32 i, n = 0, suberror = run->internal.suberror;
	char why[160];
	int len;

	len = snprintf(why, sizeof(why), "stopped: internal error of the engine, kind %u",
		       suberror);
	if (suberror == KVM_INTERNAL_ERROR_EMULATION) {
		len = snprintf(why, sizeof(why), "stopped: instruction not supported");
		if (run->emulation_failure.ndata >= 3 &&
		    (run->emulation_failure.flags &
		     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
			n = run->emulation_failure.insn_size;
		if (n > sizeof(run->emulation_failure.insn_bytes))
			n = sizeof(run->emulation_failure.insn_bytes);
		for (i = 0; i < n; i++)
			len += snprintf(why + len, sizeof(why) - (size_t)len, "%s%02x",
					i ? " " : ":  ", run->emulation_failure.insn_bytes[i]);
	} else {
		n = run->internal.ndata < 4 ? run->internal.ndata : 4;
		for (i = 0; i < n; i++)
			len += snprintf(why + len, sizeof(why) - (size_t)len, " %#llx",
					(unsigned long long)run->internal.data[i]);
	}
	stop_failed(v, why);
}

static void handle_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		machine_set_end(v->m, MACHINE_OFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		machine_set_end(v->m, MACHINE_RESET);
		break;
	default:
		stop_failed(v, "stopped: the guest reports a crash");
	}
}

static void handle_exit(struct vcpu *v)
{
	char why[96];

	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(v);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(v);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		stop_failed(v, "stopped: triple fault");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		handle_internal_error(v);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(why, sizeof(why), "cannot enter the guest: hardware reason %#llx",
			 (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
		stop_failed(v, why);
		break;
	default:
		snprintf(why, sizeof(why), "stopped: unexpected exit reason %u",
			 v->run->exit_reason);
		stop_failed(v, why);
	}
}

void cpu_open_stats(struct vcpu *v)
{
	if (v->stats < 0)
		__atomic_store_n(&v->stats, kvm_ioctl(v->m->kvm, v->fd, KVM_GET_STATS_FD, 0),
				 __ATOMIC_RELEASE);
}

/* --- the thread ------------------------------------------------------------------ */

/*
 * Waits outside of the guest until the machine goes on or ends. The guest is
 * told, so that its clocks make nothing of the gap.
 */
static void pause_here(struct vcpu *v)
{
	struct machine *m = v->m;
	bool waited = false;

	pthread_mutex_lock(&m->pause_lock);
	while (m->pausing) {
		waited = true;
		if (v->pauses != m->pauses) {
			v->pauses = m->pauses;
			if (++m->paused == m->cpus)
				machine_all_paused(m);
		}
		pthread_cond_wait(&m->resumed, &m->pause_lock);
	}
	pthread_mutex_unlock(&m->pause_lock);
	if (waited)
		kvm_ioctl(m->kvm, v->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* False when the CPU is to stop. */
static bool handle_requests(struct vcpu *v)
{
	u32 what;
	char title[32];

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	what = __atomic_exchange_n(&v->requests, 0, __ATOMIC_SEQ_CST);
	if (what & VCPU_STOP)
		return false;
	if (what & VCPU_INFO) {
		snprintf(title, sizeof(title), "CPU %u", v->id);
		registers_print(v, title);
	}
	if (what & VCPU_SAMPLE)
		trace_sample(v->m->config->trace, v);
	if (what & VCPU_STATS)
		cpu_open_stats(v);
	if (what & VCPU_PAUSE)
		pause_here(v);
	return true;
}

static void run_guest(struct vcpu *v)
{
	struct trace *trace = v->m->config->trace;

	while (machine_get_end(v->m) == MACHINE_RUNNING) {
		u64 left = 0;
		int err;

		if (trace)
			trace_enter(trace, v);
		err = kvm_ioctl(v->m->kvm, v->fd, KVM_RUN, 0);
		if (trace)
			left = trace_leave(trace, v);
		if (err == 0) {
			handle_exit(v);
			if (trace)
				trace_handled(trace, v, left);
		} else if (err != -EINTR && err != -EAGAIN) {
			char why[96];

			snprintf(why, sizeof(why), "cannot run: %s", strerror(-err));
			stop_failed(v, why);
		}
		if ((err || __atomic_load_n(&v->requests, __ATOMIC_RELAXED)) &&
		    !handle_requests(v))
			return;
	}
}

static void *thread(void *arg)
{
	struct vcpu *v = arg;
	char name[16];
	sigset_t kick;

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name);
	__atomic_store_n(&v->tid, gettid(), __ATOMIC_RELAXED);
	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	pause_here(v);		/* if the machine starts paused */
	run_guest(v);
	return NULL;
}

static void on_kick(int sig)
{
	(void)sig;	/* it only interrupts KVM_RUN */
}

void cpu_request(struct vcpu *v, u32 what)
{
	if (!v->started)
		return;
	__atomic_fetch_or(&v->requests, what, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(v->thread, KICK_SIGNAL);
}

/* --- life -------------------------------------------------------------------------- */

int cpu_create(struct vcpu *v, struct machine *m, unsigned int id)
{
	v->m = m;
	v->id = id;
	v->stats = -1;
	v->fd = kvm_ioctl(m->kvm, m->vm.fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0)
		return error("cannot create CPU %u: %s", id, strerror(-v->fd));
	v->run = kvm_mmap(m->kvm, v->fd, m->run_size);
	if (!v->run)
		return error("cannot map CPU %u: %s", id, strerror(errno));
	if (cpuid_setup(v) < 0)
		return -1;
	return cpu_setup(v);
}

void cpu_destroy(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->m->run_size);
	if (v->stats >= 0)
		close(v->stats);
	kvm_close_fd(v->m->kvm, v->fd);
}

int cpu_start(struct vcpu *v)
{
	struct sigaction sa = { .sa_handler = on_kick };
	int err;

	sigaction(KICK_SIGNAL, &sa, NULL);
	err = pthread_create(&v->thread, NULL, thread, v);
	if (err)
		return error("cannot start the thread of CPU %u: %s", v->id, strerror(err));
	v->started = true;
	return 0;
}

bool cpu_join(struct vcpu *v, u64 deadline_ns)
{
	while (v->started) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += REKICK_NS;
		if (until.tv_nsec >= (long)NSEC) {
			until.tv_nsec -= (long)NSEC;
			until.tv_sec++;
		}
		if (pthread_timedjoin_np(v->thread, NULL, &until) == 0)
			v->started = false;
		else if (monotonic_ns() >= deadline_ns)
			return false;
		else
			cpu_request(v, VCPU_STOP);
	}
	return true;
}
