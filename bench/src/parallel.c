/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads side by side. Each line printed is the seconds that the threads took
 * between a common start and the last one's end.
 *   parallel work THREADS COUNT	each thread does COUNT rounds of its own:
 *					arithmetic, calls and memory, nothing shared
 *   parallel lock THREADS COUNT	COUNT rounds in all, a small part of each in the
 *					kernel under one lock that all threads take
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORDS 32768

static pthread_barrier_t start;
static long rounds;
static int shared_fd;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((noipa)) static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	return x ^ x >> 29;
}

static uint64_t compute(uint64_t *words, uint64_t seed, long steps)
{
	while (steps--) {
		seed = mix(seed + words[seed % WORDS]);
		words[seed >> 40 & (WORDS - 1)] += seed;
	}
	return seed;
}

static void *work(void *arg)
{
	uint64_t *words = calloc(WORDS, sizeof(*words)), seed = (uintptr_t)arg;

	if (!words)
		exit(1);
	pthread_barrier_wait(&start);
	for (long i = 0; i < rounds; i++)
		seed = compute(words, seed, 1000);
	words[0] = seed;
	free(words);
	return NULL;
}

/* dup() and close() take the spin lock of the descriptor table that threads share. */
static void *lock(void *arg)
{
	uint64_t *words = calloc(WORDS, sizeof(*words)), seed = (uintptr_t)arg;

	if (!words)
		exit(1);
	pthread_barrier_wait(&start);
	while (__atomic_sub_fetch(&rounds, 1, __ATOMIC_RELAXED) >= 0) {
		seed = compute(words, seed, 3000);
		close(dup(shared_fd));
	}
	words[0] = seed;
	free(words);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc == 4 ? atoi(argv[2]) : 0;
	void *(*run)(void *) = NULL;
	pthread_t t[64];
	double from;

	if (argc == 4)
		run = !strcmp(argv[1], "work") ? work : !strcmp(argv[1], "lock") ? lock : NULL;
	rounds = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	if (!run || threads < 1 || threads > 64 || rounds < 1)
		return 2;
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, run, (void *)(uintptr_t)(i + 1)))
			return 1;
	pthread_barrier_wait(&start);
	from = now();
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	printf("%.6f\n", now() - from);
	return 0;
}
