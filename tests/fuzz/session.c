/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One case: a few VMs, one after another, each with a thread that sends
 * requests and none or some that run vCPUs, under alarms. In the end as many
 * descriptors and threads must be there as in the beginning.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <anykvm.h>

#include "fuzz.h"

#define VMS 3
#define MAX_RUNNERS 3
#define STEPS 150

static uint64_t case_seed;

/* --- the alarm: ends whatever KVM_RUN is in ----------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

static timer_t start_alarm(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	long ns = 300000 + (long)below(4000000);
	struct itimerspec t = { { 0, ns }, { 0, ns } };
	timer_t id;

	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &id) || timer_settime(id, 0, &t, NULL))
		complain("no timer");
	return id;
}

/* --- one VM ----------------------------------------------------------------------------------- */

struct runner {
	struct session *s;
	pthread_t thread;
	uint64_t seed;
	bool *stop;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;
	timer_t alarm;

	seed_thread(r->seed);
	alarm = start_alarm();
	while (!__atomic_load_n(r->stop, __ATOMIC_ACQUIRE)) {
		uint32_t n = __atomic_load_n(&r->s->cpus, __ATOMIC_ACQUIRE), i;

		if (!n) {
			sched_yield();
			continue;
		}
		i = below(n);
		if (percent(60))
			random_state(r->s, i);
		run_cpu(r->s, i);
	}
	timer_delete(alarm);
	return NULL;
}

/* A mapping of anything, as anything. */
static void map_something(struct session *s)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC, PROT_NONE };
	int prot = prots[below(ARRAY_SIZE(prots))];
	int flags = percent(80) ? MAP_SHARED : MAP_PRIVATE;
	size_t size = percent(80) ? (1 + below(80)) * PAGE : 1 + below(1 << 20);
	uint64_t page = percent(50) ? KVM_DIRTY_LOG_PAGE_OFFSET : below(100);
	int fd = s->cpus ? s->cpu[below(s->cpus)] : s->vm;
	struct kvm_dirty_gfn *g;
	struct stat st;

	g = anykvm_mmap(NULL, size, prot, flags, fd, (long)(page * PAGE));
	if (g == MAP_FAILED)
		return;
	/* A dirty ring: hand entries back that never were. */
	if (page == KVM_DIRTY_LOG_PAGE_OFFSET && prot == (PROT_READ | PROT_WRITE) && size >= PAGE &&
	    !fstat(fd, &st) && st.st_size > (off_t)(page * PAGE)) {
		random_bytes(g, PAGE);
		for (uint32_t i = 0; i < PAGE / sizeof(*g); i++)
			g[i].flags = percent(50) ? KVM_DIRTY_GFN_F_RESET : below(4);
		request(s, s->vm, KVM_RESET_DIRTY_RINGS, 0);
	}
	munmap(g, size);
}

static void descriptors(struct session *s)
{
	uint32_t n = s->cpus;
	uint64_t one = 1;
	int fd;

	switch (below(6)) {
	case 0:
		if (!n || percent(80))
			break;
		anykvm_close(__atomic_exchange_n(&s->cpu[below(n)], -1, __ATOMIC_RELAXED));
		break;
	case 1:
		fd = anykvm_dup(percent(50) ? s->vm : (int)number());
		if (fd >= 0)
			anykvm_close(fd);
		break;
	case 2:
		map_something(s);
		break;
	default:
		if (write(s->event[below(MAX_EVENTS)], &one, 8) < 0)
			break;
	}
}

static void step(struct session *s)
{
	uint32_t n = s->cpus;

	switch (below(20)) {
	case 0 ... 6:
		random_request(s);
		break;
	case 7 ... 11:
		if (n)
			random_state(s, below(n));
		break;
	case 12 ... 16:
		if (n)
			run_cpu(s, below(n));
		break;
	case 17:
		descriptors(s);
		break;
	case 18:
		change_protection();
		break;
	default:
		if (percent(20))
			fill_guest();
		else
			fill_code();
		break;
	}
}

static void open_session(struct session *s, bool alone)
{
	uint32_t i;

	memset(s, 0, sizeof(*s));
	memset(s->cpu, -1, sizeof(s->cpu));
	s->alone = alone;
	s->sys = anykvm_open(O_RDWR);
	s->vm = anykvm_ioctl(s->sys, KVM_CREATE_VM, 0);
	s->run_size = (uint32_t)anykvm_ioctl(s->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	s->other = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (i = 0; i < MAX_EVENTS; i++)
		s->event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->vm < 0 || s->other < 0 || s->event[MAX_EVENTS - 1] < 0)
		complain("no VM");
}

/* What most VMs have, so that the random part starts from something that works. */
static void usual_setup(struct session *s)
{
	struct kvm_userspace_memory_region all = {
		.memory_size = GUEST_PAGES * PAGE, .userspace_addr = (uint64_t)arena,
		.flags = percent(30) ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};
	struct kvm_enable_cap ring = {
		.cap = KVM_CAP_DIRTY_LOG_RING, .args[0] = PAGE << below(3),
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };

	if (percent(15))
		request(s, s->vm, KVM_ENABLE_CAP, (uint64_t)&ring);
	if (percent(90))
		request(s, s->vm, KVM_SET_USER_MEMORY_REGION, (uint64_t)&all);
	if (percent(50))
		request(s, s->vm, KVM_CREATE_IRQCHIP, 0);
	else if (percent(30))
		request(s, s->vm, KVM_ENABLE_CAP, (uint64_t)&split);
	if (percent(90))
		request(s, s->vm, KVM_CREATE_VCPU, 0);
	if (percent(50))
		request(s, s->vm, KVM_CREATE_VCPU, 1);
}

/* In any order: the vCPUs' descriptors outlive the VM's, or not. */
static void close_session(struct session *s)
{
	bool vm_first = percent(50);
	uint32_t i;

	if (vm_first)
		anykvm_close(s->vm);
	for (i = 0; i < s->cpus; i++) {
		if (s->cpu[i] >= 0)
			anykvm_close(s->cpu[i]);
		munmap(s->run[i], s->run_size);
	}
	if (!vm_first)
		anykvm_close(s->vm);
	anykvm_close(s->sys);
	for (i = 0; i < MAX_EVENTS; i++)
		close(s->event[i]);
	close(s->other);
}

static void live(void)
{
	uint32_t runners = percent(50) ? 0 : 1 + below(MAX_RUNNERS), i;
	struct runner r[MAX_RUNNERS];
	bool stop = false;
	struct session s;

	open_session(&s, !runners);
	fill_guest();
	usual_setup(&s);
	for (i = 0; i < runners; i++) {
		r[i] = (struct runner) { .s = &s, .seed = rnd(), .stop = &stop };
		if (pthread_create(&r[i].thread, NULL, runner_main, &r[i]))
			complain("no thread");
	}
	for (i = 0; i < STEPS; i++)
		step(&s);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < runners; i++)
		pthread_join(r[i].thread, NULL);
	close_session(&s);
}

/* --- what is left ---------------------------------------------------------------------------- */

static int count(const char *directory)
{
	DIR *d = opendir(directory);
	int n = 0;

	if (!d)
		complain("no %s", directory);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void complain(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "case %#lx: ", (unsigned long)case_seed);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

int run_case(uint64_t seed)
{
	struct sigaction act = { .sa_handler = on_alarm };
	int fds, threads, n, vm;
	timer_t alarm;

	case_seed = seed;
	seed_thread(seed);
	memory_init();
	sigaction(SIGALRM, &act, NULL);
	/* What the library opens once and keeps is there after the first VM. */
	n = anykvm_open(O_RDWR);
	vm = anykvm_ioctl(n, KVM_CREATE_VM, 0);
	anykvm_close(vm);
	anykvm_close(n);
	fds = count("/proc/self/fd");
	threads = count("/proc/self/task");
	alarm = start_alarm();
	for (int i = 0; i < VMS; i++)
		live();
	timer_delete(alarm);
	n = count("/proc/self/fd");
	if (n != fds)
		complain("%d descriptors, %d before", n, fds);
	n = count("/proc/self/task");
	if (n != threads)
		complain("%d threads, %d before", n, threads);
	return 0;
}
