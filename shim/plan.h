/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a program must be started for the shim to be under it, told from its
 * file. Used by "anykvm exec" and, on behalf of the programs it started, by
 * the shim itself.
 */
#ifndef SHIM_PLAN_H
#define SHIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>

enum plan_how {
	PLAN_PRELOAD,	/* it calls the C library, which loads the shim when asked to */
	PLAN_LOAD,	/* the shim must load it and trap its system calls */
	PLAN_SCRIPT,	/* it begins with #! and an interpreter that needs PLAN_LOAD */
	PLAN_NONE,	/* the shim cannot serve it; why says the reason */
};

#define PLAN_LINE 256	/* of a script's first line the kernel looks at as much */

struct plan {
	enum plan_how how;
	const char *why;		/* "is a program for another processor architecture" */
	char line[PLAN_LINE];		/* PLAN_SCRIPT: what the next two point into */
	const char *interpreter;
	const char *argument;		/* or NULL */
};

/*
 * Looks at the file at path. trap: take PLAN_LOAD wherever PLAN_PRELOAD would
 * do. Makes system calls only. 0, or -errno when it cannot be executed at all
 * (as execve(2)).
 */
int plan_program(const char *path, bool trap, struct plan *plan);

/*
 * The environment for a program started by plan: env with LD_PRELOAD and
 * ANYKVM_LOAD as they must be. out has room for plan_env_room(env) pointers
 * and text for plan_env_text(env, load) bytes. load: NULL, or the program that
 * the shim is to load.
 */
size_t plan_env_room(char *const *env);
size_t plan_env_text(char *const *env, const char *shim, const char *load);
void plan_env(char *const *env, const char *shim, const char *load, char **out, char *text);

/* The value of a variable in env, or NULL. */
const char *plan_getenv(char *const *env, const char *name);

#endif
