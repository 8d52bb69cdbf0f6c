/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work that is the kernel's: a pipe between two processes, reads and writes of
 * one byte, page faults of new mappings, signals, files made and removed, and
 * processes.
 *   kernel pipe|rw|faults|signals|files|fork|exec|stat COUNT
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

/* A byte goes to another process on the same CPU and comes back. */
static void pipes(long count)
{
	int there[2], back[2];
	cpu_set_t set;
	char c = 0;
	pid_t pid;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	check(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
	check(!pipe(there) && !pipe(back), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			check(write(back[1], &c, 1) == 1, "write");
		_exit(0);
	}
	while (count--) {
		check(write(there[1], &c, 1) == 1, "write");
		check(read(back[0], &c, 1) == 1, "read");
	}
	close(there[1]);
	waitpid(pid, NULL, 0);
}

static void read_write(long count)
{
	int from = open("/dev/zero", O_RDONLY), to = open("/dev/null", O_WRONLY);
	char c;

	check(from >= 0 && to >= 0, "open");
	while (count--) {
		check(read(from, &c, 1) == 1, "read");
		check(write(to, &c, 1) == 1, "write");
	}
}

#define PAGES 256

static void faults(long count)
{
	for (; count > 0; count -= PAGES) {
		char *p = mmap(NULL, PAGES << 12, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		check(p != MAP_FAILED, "mmap");
		madvise(p, PAGES << 12, MADV_NOHUGEPAGE);
		for (int i = 0; i < PAGES; i++)
			p[i << 12] = 1;
		munmap(p, PAGES << 12);
	}
}

static volatile sig_atomic_t taken;

static void handler(int sig)
{
	taken += sig == SIGUSR1;
}

static void signals(long count)
{
	struct sigaction sa = { .sa_handler = handler };

	sigaction(SIGUSR1, &sa, NULL);
	for (long i = 0; i < count; i++) {
		raise(SIGUSR1);
		check(taken == i + 1, "signal");
	}
}

static void files(long count)
{
	char name[64];

	check(!mkdir("files", 0700), "mkdir");
	for (long i = 0; i < count; i++) {
		int fd;

		snprintf(name, sizeof(name), "files/%ld", i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		check(fd >= 0 && write(fd, name, 10) == 10, "create");
		close(fd);
	}
	for (long i = 0; i < count; i++) {
		struct stat st;

		snprintf(name, sizeof(name), "files/%ld", i);
		check(!stat(name, &st) && st.st_size == 10 && !unlink(name), "unlink");
	}
	check(!rmdir("files"), "rmdir");
}

static void forks(long count)
{
	while (count--) {
		int status;
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (!pid)
			_exit(7);
		check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7, "waitpid");
	}
}

static void execs(long count)
{
	while (count--) {
		int status;
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (!pid) {
			execl("/proc/self/exe", "kernel", "stat", "1", NULL);
			_exit(1);
		}
		check(waitpid(pid, &status, 0) == pid && !status, "exec");
	}
}

static void stats(long count)
{
	struct stat st;

	while (count--)
		check(!stat("/bin/busybox", &st), "stat");
}

static const struct {
	const char *name;
	void (*work)(long count);
} works[] = {
	{ "pipe", pipes }, { "rw", read_write }, { "faults", faults }, { "signals", signals },
	{ "files", files }, { "fork", forks }, { "exec", execs }, { "stat", stats },
};

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	for (size_t i = 0; count > 0 && i < sizeof(works) / sizeof(works[0]); i++)
		if (!strcmp(argv[1], works[i].name)) {
			works[i].work(count);
			return 0;
		}
	return 2;
}
