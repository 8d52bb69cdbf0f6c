/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that the program starts, in every way there is: /dev/kvm is there for them, too. */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

extern char **environ;

static char *program;

static void check_status(pid_t pid)
{
	int status = -1;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

static void by_execve(char *const env[])
{
	char *argv[] = { program, "device", NULL };
	pid_t pid = fork();

	if (!pid) {
		execve(program, argv, env);
		_exit(99);
	}
	check_status(pid);
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl(program, program, "hello", (char *)NULL);
		_exit(99);
	}
	check_status(pid);
}

static void by_descriptor(int flags)
{
	char *argv[] = { program, "device", NULL };
	int fd = open(program, O_RDONLY | flags);
	pid_t pid = fork();

	if (!pid) {
		fexecve(fd, argv, environ);
		_exit(99);
	}
	check_status(pid);
	close(fd);
}

static void by_spawn(void)
{
	char *argv[] = { program, "device", NULL }, *none[] = { NULL };
	pid_t pid;

	CHECK(posix_spawn(&pid, program, NULL, NULL, argv, environ) == 0);
	check_status(pid);
	CHECK(posix_spawn(&pid, program, NULL, NULL, argv, none) == 0);
	check_status(pid);
	CHECK(posix_spawn(&pid, "/nosuch/program", NULL, NULL, argv, none) == ENOENT);
}

/* Through a shell, and by a name that is searched for. */
static void by_name(void)
{
	char command[4096];
	pid_t pid;

	snprintf(command, sizeof(command), "'%s' device && test -c /dev/kvm", program);
	CHECK(system(command) == 0);
	pid = fork();
	if (!pid) {
		execlp("sh", "sh", "-c", command, (char *)NULL);
		_exit(99);
	}
	check_status(pid);
	FAILS(execlp("no-such-program", "x", (char *)NULL), ENOENT);
	FAILS(execv("/etc/passwd", (char *[]){ "x", NULL }), EACCES);
}

/* argv[2]: a program built like this one that can do "device" and "hello". */
int test_children(int argc, char **argv)
{
	char *none[] = { NULL };

	CHECK(argc > 2);
	program = argv[2];
	by_execve(environ);
	by_execve(none);
	by_vfork();
	by_descriptor(0);
	by_descriptor(O_CLOEXEC);
	by_spawn();
	by_name();
	printf("served\n");
	return 0;
}

/* What the program can tell of how it was started. */
int test_environment(int argc, char **argv)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	int i, fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	unsigned char head[4] = { 0 };

	CHECK(n > 0);
	path[n] = 0;
	printf("exe %s\n", path);
	CHECK(fd >= 0 && read(fd, head, 4) == 4 && !memcmp(head, "\177ELF", 4));
	CHECK(close(fd) == 0);
	for (i = 0; i < argc; i++)
		printf("argument %s\n", argv[i]);
	printf("variable %s\n", getenv("EXEC_TEST") ? getenv("EXEC_TEST") : "none");
	printf("loader %s\n", getenv("ANYKVM_LOAD") ? getenv("ANYKVM_LOAD") : "none");
	return argc > 2 ? atoi(argv[2]) : 0;
}
