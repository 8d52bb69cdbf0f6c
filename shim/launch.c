/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is really executed when a program under the shim executes another, so
 * that the shim is under that one too. As plan.c, this may run in a child
 * that shares its parent's memory: all is on the stack.
 */
#include <alloca.h>
#include <fcntl.h>
#include <unistd.h>

#include "launch.h"
#include "plan.h"
#include "shim.h"
#include "sys.h"

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool always_trap(char *const *env)
{
	const char *v = plan_getenv(env, ENV_TRAP);

	return v && v[0] == 'a';
}

static int preload(const char *path, char *const *argv, char *const *env, launch_fn go, void *ctx)
{
	char **new_env = alloca(plan_env_room(env) * sizeof(*new_env));
	char *text = alloca(plan_env_text(env, shim_path, NULL));

	plan_env(env, shim_path, NULL, new_env, text);
	return go(ctx, path, argv, new_env);
}

static int load(const char *program, char *const *argv, char *const *env, launch_fn go, void *ctx)
{
	char **new_env = alloca(plan_env_room(env) * sizeof(*new_env));
	char *text = alloca(plan_env_text(env, shim_path, program));

	plan_env(env, shim_path, program, new_env, text);
	return go(ctx, shim_path, argv, new_env);
}

/* As the kernel: interpreter, its argument, the script, the script's arguments. */
static int interpret(const struct plan *plan, const char *path, char *const *argv,
		     char *const *env, launch_fn go, void *ctx)
{
	size_t n = count(argv), i, k = 0;
	const char **new_argv = alloca((n + 4) * sizeof(*new_argv));

	new_argv[k++] = plan->interpreter;
	if (plan->argument)
		new_argv[k++] = plan->argument;
	new_argv[k++] = path;
	for (i = 1; i < n; i++)
		new_argv[k++] = argv[i];
	new_argv[k] = NULL;
	return load(plan->interpreter, (char *const *)new_argv, env, go, ctx);
}

int launch(const char *path, char *const *argv, char *const *env, launch_fn go, void *ctx)
{
	struct plan plan;
	int r;

	/* A child in another root or namespace may not see the library. */
	if (!shim_path[0] || SYS4(SYS_faccessat, AT_FDCWD, shim_path, R_OK | X_OK, 0) < 0)
		return go(ctx, path, argv, env);
	r = plan_program(path, always_trap(env), &plan);
	if (r < 0)
		return preload(path, argv, env, go, ctx);	/* the kernel knows what to say */
	switch (plan.how) {
	case PLAN_PRELOAD:
		return preload(path, argv, env, go, ctx);
	case PLAN_LOAD:
		return load(path, argv, env, go, ctx);
	case PLAN_SCRIPT:
		return interpret(&plan, path, argv, env, go, ctx);
	default:
		return go(ctx, path, argv, env);
	}
}

/* --- by descriptor ------------------------------------------------------------------ */

struct by_fd {
	launch_fn go;
	void *ctx;
	int fd;
	char name[sizeof(LAUNCH_FD) + 12];
};

static void write_name(struct by_fd *b)
{
	char digits[12], *to = b->name + sizeof(LAUNCH_FD) - 1;
	int n = 0, fd = b->fd;

	shim_copy(b->name, LAUNCH_FD, sizeof(LAUNCH_FD));
	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		*to++ = digits[--n];
	*to = 0;
}

/* The loader finds the program by its descriptor, which must outlive the execution. */
static int go_by_fd(void *ctx, const char *path, char *const *argv, char *const *env)
{
	struct by_fd *b = ctx;

	if (path == b->name)
		return b->go(b->ctx, NULL, argv, env);
	SYS3(SYS_fcntl, b->fd, F_SETFD, 0);
	return b->go(b->ctx, path, argv, env);
}

int launch_at(int dir, const char *path, int flags, char *const *argv, char *const *env,
	      launch_fn go, void *ctx)
{
	struct by_fd b = { .go = go, .ctx = ctx };
	int r;

	if (!(flags & AT_EMPTY_PATH && !*path) && (dir == AT_FDCWD || *path == '/') && !flags)
		return launch(path, argv, env, go, ctx);
	if (flags & AT_EMPTY_PATH && !*path)
		b.fd = (int)SYS3(SYS_fcntl, dir, F_DUPFD_CLOEXEC, 0);
	else
		b.fd = (int)SYS4(SYS_openat, dir, path, O_RDONLY | O_CLOEXEC, 0);
	if (b.fd < 0 || flags & ~AT_EMPTY_PATH) {
		r = go(ctx, NULL, argv, env);
	} else {
		write_name(&b);
		r = launch(b.name, argv, env, go_by_fd, &b);
	}
	if (b.fd >= 0)
		SYS1(SYS_close, b.fd);
	return r;
}
