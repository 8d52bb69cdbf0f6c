/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's functions that execute programs: the environment already
 * names the shim for programs that are given it, but not all are, and those
 * that make their system calls themselves need more (launch.c).
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "shim.h"

extern char **environ;

static int do_execve(void *ctx, const char *path, char *const *argv, char *const *env)
{
	(void)ctx;
	return NEXT(execve)(path, argv, env);
}

int execve(const char *path, char *const argv[], char *const env[])
{
	return launch(path, argv, env, do_execve, NULL);
}

int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

/* --- along PATH --------------------------------------------------------------------- */

/*
 * The first file called name that may be executed, as execvp(3): 0 with path
 * filled, or an errno.
 */
static int search(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH"), *end;
	int err = ENOENT;

	if (!*name)
		return ENOENT;
	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX)
			return ENAMETOOLONG;
		strcpy(path, name);
		return 0;
	}
	for (list = list ? list : _PATH_STDPATH; list; list = *end ? end + 1 : NULL) {
		struct stat st;

		end = strchrnul(list, ':');
		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)(end - list), list,
			     end > list ? "/" : "", name) >= PATH_MAX)
			continue;
		if (!access(path, X_OK) && !stat(path, &st) && S_ISREG(st.st_mode))
			return 0;
		if (errno == EACCES)
			err = EACCES;
	}
	return err;
}

/* A file that the kernel does not know how to execute is a script of the shell. */
static int by_shell(const char *path, char *const argv[], char *const env[])
{
	size_t n = 0;
	const char **new_argv;

	while (argv[n])
		n++;
	new_argv = alloca((n + 3) * sizeof(*new_argv));
	new_argv[0] = _PATH_BSHELL;
	new_argv[1] = path;
	memcpy(new_argv + 2, argv + (n > 0), n * sizeof(*argv));
	new_argv[n + 2] = NULL;
	return execve(_PATH_BSHELL, (char *const *)new_argv, env);
}

int execvpe(const char *name, char *const argv[], char *const env[])
{
	char path[PATH_MAX];
	int err = search(name, path);

	if (err) {
		errno = err;
		return -1;
	}
	execve(path, argv, env);
	return errno == ENOEXEC ? by_shell(path, argv, env) : -1;
}

int execvp(const char *name, char *const argv[])
{
	return execvpe(name, argv, environ);
}

/* --- arguments as a list --------------------------------------------------------------- */

static size_t count_args(const char *first, va_list from)
{
	va_list ap;
	size_t n = 0;

	va_copy(ap, from);
	for (; first; first = va_arg(ap, const char *))
		n++;
	va_end(ap);
	return n;
}

#define TAKE_ARGS(argv, first, ap) \
	do { \
		size_t n__, i__; \
\
		va_start(ap, first); \
		n__ = count_args(first, ap); \
		argv = alloca((n__ + 1) * sizeof(*argv)); \
		argv[0] = (char *)first; \
		for (i__ = 1; i__ <= n__; i__++) \
			argv[i__] = va_arg(ap, char *); \
	} while (0)

int execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	TAKE_ARGS(argv, arg, ap);
	va_end(ap);
	return execve(path, argv, environ);
}

int execlp(const char *name, const char *arg, ...)
{
	char **argv;
	va_list ap;

	TAKE_ARGS(argv, arg, ap);
	va_end(ap);
	return execvpe(name, argv, environ);
}

int execle(const char *path, const char *arg, ...)
{
	char **argv, **env;
	va_list ap;

	TAKE_ARGS(argv, arg, ap);
	env = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, env);
}

/* --- by descriptor ----------------------------------------------------------------------- */

struct at {
	int dir;
	const char *path;
	int flags;
};

static int do_execveat(void *ctx, const char *path, char *const *argv, char *const *env)
{
	const struct at *at = ctx;

	if (path)
		return NEXT(execve)(path, argv, env);
	return NEXT(execveat)(at->dir, at->path, argv, env, at->flags);
}

int execveat(int dir, const char *path, char *const argv[], char *const env[], int flags)
{
	struct at at = { dir, path, flags };

	return launch_at(dir, path, flags, argv, env, do_execveat, &at);
}

int fexecve(int fd, char *const argv[], char *const env[])
{
	return execveat(fd, "", argv, env, AT_EMPTY_PATH);
}

/* --- spawning ---------------------------------------------------------------------------- */

struct spawn {
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attr;
};

static int do_spawn(void *ctx, const char *path, char *const *argv, char *const *env)
{
	struct spawn *s = ctx;

	return NEXT(posix_spawn)(s->pid, path, s->actions, s->attr, argv, env);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
	struct spawn s = { pid, actions, attr };

	return launch(path, argv, env, do_spawn, &s);
}

int posix_spawnp(pid_t *pid, const char *name, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
	char path[PATH_MAX];
	int err = search(name, path);

	return err ? err : posix_spawn(pid, path, actions, attr, argv, env);
}
