/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program for guests: it notices whether its world stays whole while the
 * guest is saved, moved or reset to an earlier state.
 *
 *	guest-memory MIB	says MEM ROUND PAGES every half second or what is wrong
 *
 * Two threads rewrite random pages at a steady rate; each page holds what its
 * number and the times that it was written give, and is compared with that
 * before. They also compare clocks: time must not go back, also not from one
 * processor to the other. A third thread keeps values in the vector and x87
 * registers for a long time.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 2
#define WORDS 512			/* of 8 bytes in a page */
#define PAGES_AT_ONCE 20		/* and then a rest, */
#define REST_NS 5000000
#define REPORT_NS 500000000

static uint64_t (*pages)[WORDS];
static uint32_t *times_written;
static size_t n_pages;
static uint64_t done, latest;		/* pages; the latest time that anyone saw */

__attribute__((noreturn)) static void bad(const char *what, uint64_t where, uint64_t want,
					  uint64_t got)
{
	printf("MEM BAD %s at %#lx: wanted %#lx, got %#lx\n", what, where, want, got);
	fflush(stdout);
	_exit(1);
}

/* splitmix64's finisher: every bit of the input reaches every one of the output. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t content(size_t page, size_t word)
{
	return mix((uint64_t)page << 41 | (uint64_t)times_written[page] << 9 | word);
}

static void check_page(size_t page)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (pages[page][i] != content(page, i))
			bad("memory", (uintptr_t)&pages[page][i], content(page, i), pages[page][i]);
}

static void fill_page(size_t page)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		pages[page][i] = content(page, i);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void check_time(void)
{
	uint64_t before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST), t = now();

	if (t < before)
		bad("time", 0, before, t);
	while (before < t && !__atomic_compare_exchange_n(&latest, &before, t, 0, __ATOMIC_SEQ_CST,
							  __ATOMIC_SEQ_CST))
		;
}

/* Each writer has the pages whose number it has as remainder. */
static void *writer(void *arg)
{
	struct timespec rest = { 0, REST_NS };
	uint64_t self = (uintptr_t)arg, random = self + 1;
	int i;

	for (;;) {
		for (i = 0; i < PAGES_AT_ONCE; i++) {
			size_t page = (random = mix(random + 0x9e3779b97f4a7c15)) %
					(n_pages / WRITERS) * WRITERS + self;

			check_page(page);
			times_written[page]++;
			fill_page(page);
			check_time();
		}
		__atomic_fetch_add(&done, PAGES_AT_ONCE, __ATOMIC_RELAXED);
		nanosleep(&rest, NULL);
	}
	return NULL;
}

#define EACH_VECTOR(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n) "vmovdqu " #n "*32(%0), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%1)\n"

/* x87: 80 bits that are no number that computing would give. */
__attribute__((target("avx"))) static void hold(const uint8_t *in, uint8_t *out, uint64_t turns)
{
	__asm__ volatile(EACH_VECTOR(LOAD)
			 "fldt 512(%0)\n"
			 "1: pause\n"
			 "dec %2\n"
			 "jnz 1b\n"
			 "fstpt 512(%1)\n" EACH_VECTOR(STORE) "vzeroupper\n"
			 : "+r"(in), "+r"(out), "+r"(turns)
			 :
			 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15", "st");
}

static void *holder(void *arg)
{
	uint8_t in[522], out[522];
	uint64_t random = 7;
	size_t i;

	for (;;) {
		for (i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)(random = mix(random + 1));
		in[519] |= 0x80;	/* a number's topmost bit */
		in[521] &= 0x3f;
		hold(in, out, 200000);
		for (i = 0; i < sizeof(in); i++)
			if (in[i] != out[i])
				bad("register", i, in[i], out[i]);
	}
	return arg;
}

int main(int argc, char **argv)
{
	size_t mib = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, i;
	struct timespec rest = { 0, REPORT_NS };
	unsigned int round;
	pthread_t t;

	n_pages = mib << 8;
	if (!mib || mib > 1024)
		return 2;
	pages = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	times_written = calloc(n_pages, sizeof(*times_written));
	if (pages == MAP_FAILED || !times_written)
		return 2;
	for (i = 0; i < n_pages; i++)
		fill_page(i);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&t, NULL, writer, (void *)i);
	if (__builtin_cpu_supports("avx"))
		pthread_create(&t, NULL, holder, NULL);
	for (round = 0;; round++) {
		printf("MEM %u %lu\n", round, __atomic_load_n(&done, __ATOMIC_RELAXED));
		fflush(stdout);
		nanosleep(&rest, NULL);
	}
}
