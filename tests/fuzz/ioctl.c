/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random and hostile use of the KVM API, for as long as one likes:
 *
 *	ioctl [--seed N] [--seconds N] [--jobs N] [--case N]
 *
 * Every case is a process of its own, so that a crash or a hang is a case's,
 * which --case runs again. The status is 0 when all cases ended well.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_JOBS 64
#define CASE_SECONDS 60		/* how long a case may take before it counts as a hang */

static struct job {
	pid_t pid;
	uint64_t seed;
	time_t since;
	bool late;
} jobs[MAX_JOBS];

static uint32_t done, failed;

static time_t seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void start(struct job *j, uint64_t seed)
{
	fflush(NULL);
	*j = (struct job) { .pid = fork(), .seed = seed, .since = seconds_now() };
	if (j->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!j->pid)
		exit(run_case(seed));
}

static void finished(struct job *j, int status)
{
	j->pid = 0;
	done++;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	failed++;
	if (j->late)
		printf("FAIL case %#lx: no end after %d s\n", (unsigned long)j->seed, CASE_SECONDS);
	else if (WIFSIGNALED(status))
		printf("FAIL case %#lx: signal %d\n", (unsigned long)j->seed, WTERMSIG(status));
	else
		printf("FAIL case %#lx: status %d\n", (unsigned long)j->seed, WEXITSTATUS(status));
}

static struct job *job_of(pid_t pid)
{
	for (uint32_t i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid == pid)
			return &jobs[i];
	return NULL;
}

/* Ends those that do not end; a core or a debugger shows where they hang. */
static void stop_late_ones(void)
{
	for (uint32_t i = 0; i < MAX_JOBS; i++) {
		struct job *j = &jobs[i];

		if (j->pid && seconds_now() - j->since > CASE_SECONDS) {
			kill(j->pid, j->late ? SIGKILL : SIGABRT);
			j->late = true;
			j->since = seconds_now();
		}
	}
}

/* Waits for one job to end, or a moment. */
static void reap(void)
{
	const struct timespec moment = { 0, 2000000 };
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);

	if (pid > 0)
		finished(job_of(pid), status);
	else
		nanosleep(&moment, NULL);
	stop_late_ones();
}

static bool running(void)
{
	for (uint32_t i = 0; i < MAX_JOBS; i++)
		if (jobs[i].pid)
			return true;
	return false;
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

int main(int argc, char **argv)
{
	uint64_t seed = option(argc, argv, "--seed", 1), one = option(argc, argv, "--case", 0);
	time_t end = seconds_now() + (time_t)option(argc, argv, "--seconds", 20);
	uint32_t n = (uint32_t)option(argc, argv, "--jobs", 2), i;

	if (one)
		return run_case(one);
	if (!n || n > MAX_JOBS) {
		fprintf(stderr, "ioctl: --jobs: 1 to %d\n", MAX_JOBS);
		return 2;
	}
	seed_thread(seed);
	do {
		for (i = 0; i < n; i++)
			if (!jobs[i].pid)
				start(&jobs[i], rnd());
		reap();
	} while (seconds_now() < end);
	while (running())
		reap();
	printf("%u cases, %u failed; seed %#lx\n", done, failed, (unsigned long)seed);
	return failed ? 1 : 0;
}
