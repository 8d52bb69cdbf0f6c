/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single events. Each prints one number:
 *   latency port COUNT		ns of a read of the serial port's scratch register,
 *				which the machine answers (a guest's root only)
 *   latency interrupt COUNT	us from one CPU's signal to a thread that is busy on
 *				another to that thread's handler, the median
 *   latency cold COUNT		millions of instructions a second of code that has
 *				never run: COUNT thousand of them, each once
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#define SCRATCH 0x3ff	/* of the first serial port: no driver uses it */

static int port(long count)
{
	double from;
	uint8_t sum = 0;

	if (ioperm(SCRATCH, 1, 1)) {
		perror("ioperm");
		return 1;
	}
	outb(0x5a, SCRATCH);
	from = now();
	for (long i = 0; i < count; i++)
		sum |= inb(SCRATCH) ^ 0x5a;
	printf("%.1f\n", (now() - from) * 1e9 / (double)count);
	return sum != 0;
}

static volatile double arrived;

static void handler(int sig)
{
	(void)sig;
	arrived = now();
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static volatile int stop, ready;
static int cpus[2];

static void *busy(void *arg)
{
	pin(cpus[1]);
	ready = 1;
	while (!stop)
		;
	return arg;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

static int find_cpus(void)
{
	cpu_set_t set;
	int n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	return n == 2;
}

static int interrupt(long count)
{
	struct sigaction sa = { .sa_handler = handler };
	double *took = calloc((size_t)count, sizeof(*took));
	pthread_t t;

	if (!took || !find_cpus() || sigaction(SIGUSR1, &sa, NULL) ||
	    pthread_create(&t, NULL, busy, NULL))
		return 1;
	pin(cpus[0]);
	while (!ready)
		sched_yield();
	for (long i = 0; i < count; i++) {
		double from = now();

		while (now() < from + 300e-6)	/* the other is in its loop again */
			;
		arrived = 0;
		from = now();
		pthread_kill(t, SIGUSR1);
		while (arrived == 0)
			__builtin_ia32_pause();
		took[i] = arrived - from;
	}
	stop = 1;
	pthread_join(t, NULL);
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%.2f\n", took[count / 2] * 1e6);
	return 0;
}

/* Ordinary instructions, as compilers mix them; RDI points to memory. */
static const struct {
	uint8_t len, code[10];
} pieces[] = {
	{ 3, { 0x48, 0x01, 0xc8 } },			/* add %rcx,%rax */
	{ 3, { 0x48, 0x89, 0xc2 } },			/* mov %rax,%rdx */
	{ 4, { 0x48, 0x8b, 0x47, 0x10 } },		/* mov 16(%rdi),%rax */
	{ 4, { 0x48, 0x8d, 0x4c, 0x02 } },		/* lea d(%rdx,%rax),%rcx (and a byte) */
	{ 3, { 0x48, 0x31, 0xd0 } },			/* xor %rdx,%rax */
	{ 4, { 0x48, 0x89, 0x57, 0x18 } },		/* mov %rdx,24(%rdi) */
	{ 5, { 0xb9, 0x39, 0x30, 0x00, 0x00 } },	/* mov $12345,%ecx */
	{ 4, { 0x48, 0xc1, 0xe1, 0x03 } },		/* shl $3,%rcx */
	{ 3, { 0x48, 0x39, 0xc8 } },			/* cmp %rcx,%rax */
	{ 2, { 0x74, 0x00 } },				/* je to the next */
	{ 4, { 0x0f, 0xb6, 0x57, 0x05 } },		/* movzbl 5(%rdi),%edx */
	{ 2, { 0x85, 0xc0 } },				/* test %eax,%eax */
	{ 2, { 0x75, 0x00 } },				/* jne to the next */
	{ 4, { 0x48, 0x83, 0xc0, 0x07 } },		/* add $7,%rax */
};

static int cold(long thousands)
{
	size_t count = (size_t)thousands * 1000, size = count * 8 + 4096, at = 0;
	uint8_t *code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint64_t memory[16];
	uint64_t state = (uint64_t)(now() * 1e9);	/* other code than the last time's */
	void (*run)(uint64_t *);
	double from;

	if (code == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < count; i++) {
		unsigned k;

		state = state * 6364136223846793005ull + 1442695040888963407ull;
		k = (unsigned)(state >> 33) % (sizeof(pieces) / sizeof(pieces[0]));
		memcpy(code + at, pieces[k].code, pieces[k].len);
		at += pieces[k].len;
		if (k == 3)
			code[at++] = (uint8_t)(state >> 50);
	}
	code[at] = 0xc3;
	memcpy(&run, &code, sizeof(run));
	from = now();
	run(memory);
	printf("%.3f\n", (double)count / (now() - from) * 1e-6);
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (count < 1 || count > 100000000)
		return 2;
	if (!strcmp(argv[1], "port"))
		return port(count);
	if (!strcmp(argv[1], "interrupt"))
		return interrupt(count);
	if (!strcmp(argv[1], "cold"))
		return cold(count);
	return 2;
}
