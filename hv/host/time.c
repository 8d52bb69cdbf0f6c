/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clocks. The C library's clock_gettime is the vDSO's, which may use vector
 * registers; the system call itself may not.
 *
 * The rate of the time stamp counter comes from CPUID where the processor
 * (leaf 0x15) or a hypervisor below (leaf 0x40000010) tells it, otherwise
 * from a measurement against CLOCK_MONOTONIC_RAW that starts when the library
 * is loaded, so that the first to ask need not wait long. That is before any
 * guest code runs: it may use the vDSO, which is more exact.
 */
#include <cpuid.h>
#include <time.h>

#include "host.h"
#include "syscall.h"

#define NSEC 1000000000ull
#define MEASURE_NS (2 * 1000000ull)	/* with as many tries, to a millionth */
#define MEASURE_READINGS 40000		/* and so many of them where they take long */
#define TRIES 256

static u64 read_clock(long id)
{
	struct timespec ts;

	SYS2(SYS_clock_gettime, id, &ts);
	return (u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec;
}

u64 host_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

u64 host_realtime_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* A moment on both clocks, taken where nothing came between, and what reading them took. */
struct moment {
	u64 tsc, ns, took;
};

static struct moment moment_now(void)
{
	struct moment best = { 0, 0, ~0ull };
	struct timespec ts;
	int i;

	for (i = 0; i < TRIES; i++) {
		u64 a = host_rdtsc(), b;

		clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		b = host_rdtsc();
		if (b - a < best.took)
			best = (struct moment){ a + (b - a) / 2,
						(u64)ts.tv_sec * NSEC + (u64)ts.tv_nsec, b - a };
	}
	return best;
}

static struct moment start;

__attribute__((constructor)) static void time_init(void)
{
	start = moment_now();
}

static u32 khz_from_cpuid(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	if (a >= 0x15) {
		__cpuid(0x15, a, b, c, d);
		if (a && b && c)
			return (u32)((u64)c * b / a / 1000);
	}
	__cpuid(1, a, b, c, d);
	if (!(c >> 31 & 1))
		return 0;
	__cpuid(0x40000000, a, b, c, d);
	if (a < 0x40000010 || a > 0x4000ffff)
		return 0;
	__cpuid(0x40000010, a, b, c, d);
	return a;
}

static u32 khz_measured(void)
{
	struct moment end;

	do {
		end = moment_now();
	} while (end.ns - start.ns < MEASURE_NS ||
		 end.tsc - start.tsc < end.took * MEASURE_READINGS);
	/* ticks * 10^6 / ns = kHz; a long run is cut so that it fits. */
	while (end.tsc - start.tsc > ~0ull / 1000000) {
		start.tsc = end.tsc - (end.tsc - start.tsc) / 2;
		start.ns = end.ns - (end.ns - start.ns) / 2;
	}
	return (u32)((end.tsc - start.tsc) * 1000000 / (end.ns - start.ns));
}

u32 host_tsc_khz(void)
{
	static struct host_mutex lock;
	static u32 khz;
	u32 v = __atomic_load_n(&khz, __ATOMIC_ACQUIRE);

	if (v)
		return v;
	host_mutex_lock(&lock);
	if (!khz) {
		v = khz_from_cpuid();
		__atomic_store_n(&khz, v ? v : khz_measured(), __ATOMIC_RELEASE);
	}
	v = khz;
	host_mutex_unlock(&lock);
	return v;
}
