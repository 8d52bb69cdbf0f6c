/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the workloads, in a guest or on the host: reads lines "NAME COMMAND",
 * gives each command to busybox's shell and says when it began and ended, how,
 * how many seconds it took by the monotonic clock, and the last line that it
 * printed. Who sends the lines sees the beginnings and ends by a clock of its
 * own and can compare.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT "/tmp/bench.out"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void quiet_terminal(void)
{
	struct termios t;

	if (tcgetattr(0, &t))
		return;
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(0, TCSANOW, &t);
}

static void child(const char *command)
{
	int out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int in = open("/dev/null", O_RDONLY);

	if (in < 0 || out < 0)
		_exit(126);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	close(in);
	close(out);
	execl("/bin/busybox", "sh", "-c", command, NULL);
	_exit(127);
}

static void last_line(char *buf, size_t size)
{
	int fd = open(OUTPUT, O_RDONLY);
	ssize_t n = 0;
	char *p;

	if (fd >= 0) {
		off_t end = lseek(fd, 0, SEEK_END);

		lseek(fd, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0, SEEK_SET);
		n = read(fd, buf, size - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = 0;
	while (n > 0 && buf[n - 1] == '\n')
		buf[--n] = 0;
	p = strrchr(buf, '\n');
	if (p)
		memmove(buf, p + 1, strlen(p));
}

static void run(const char *name, const char *command)
{
	char last[200];
	int status = -1;
	double from, to;
	pid_t pid;

	printf("START %s\n", name);
	from = now();
	pid = fork();
	if (!pid)
		child(command);
	if (pid > 0)
		waitpid(pid, &status, 0);
	to = now();
	last_line(last, sizeof(last));
	printf("END %s %d %.6f %s\n", name, WIFEXITED(status) ? WEXITSTATUS(status) : 255,
	       to - from, last);
}

int main(void)
{
	static char line[4000];

	setvbuf(stdout, NULL, _IOLBF, 0);
	quiet_terminal();
	mkdir("/tmp/bench", 0700);
	if (chdir("/tmp/bench")) {
		perror("/tmp/bench");
		return 1;
	}
	printf("READY\n");
	while (fgets(line, sizeof(line), stdin)) {
		char *space = strchr(line, ' ');

		line[strcspn(line, "\r\n")] = 0;
		if (!strcmp(line, "quit"))
			return 0;
		if (space) {
			*space = 0;
			run(line, space + 1);
		}
	}
	return 0;
}
