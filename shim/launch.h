/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting programs with the shim under them. */
#ifndef SHIM_LAUNCH_H
#define SHIM_LAUNCH_H

typedef int (*launch_fn)(void *ctx, const char *path, char *const *argv, char *const *env);

/*
 * Calls go with what to execute so that program path runs with the shim: path
 * itself with the shim preloaded, or the shim as its loader. Where the shim
 * cannot serve it, go gets what the caller wanted. Returns what go does.
 * Makes system calls only.
 */
int launch(const char *path, char *const *argv, char *const *env, launch_fn go, void *ctx);

/*
 * The same for execveat(2). Where that itself is to be called, go gets NULL as
 * path.
 */
int launch_at(int dir, const char *path, int flags, char *const *argv, char *const *env,
	      launch_fn go, void *ctx);

/* What the loader closes when it has loaded the program from there. */
#define LAUNCH_FD "/proc/thread-self/fd/"

#endif
