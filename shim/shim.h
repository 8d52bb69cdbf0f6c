/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim: the KVM API of libanykvm under programs that were written for
 * /dev/kvm and know nothing of it. It is one library, libanykvm-shim.so, used
 * in two ways: preloaded into programs that call the C library (files.c,
 * descriptors.c, exec.c), and as the loader of programs that make their
 * system calls themselves (trap/).
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* What the shim tells its children in the environment. */
#define ENV_PRELOAD "LD_PRELOAD"
#define ENV_LOAD "ANYKVM_LOAD"	/* the program to load, and nothing to be preloaded into */
#define ENV_TRAP "ANYKVM_TRAP"	/* "always": load every program that way */

/* The library's own file, absolute; "" when it cannot be told. */
extern char shim_path[4096];

/* The C library's function that ours stands in front of. */
void *shim_next(void **cache, const char *name);
#define NEXT(name) \
	({ \
		static void *cache__; \
		(__typeof__(&name))shim_next(&cache__, #name); \
	})

/* --- what /dev/kvm looks like (device.c) ------------------------------------- */

/* True when path, relative to dir as for openat(2), names /dev/kvm. */
bool device_is(int dir, const char *path);
/* open(2) of it: a descriptor or -errno. */
int device_open(int flags);
/* access(2) of it: 0 or -errno. */
int device_access(int mode);
/* stat(2) of it, whether or not this host has one. */
void device_stat(struct stat *st);
struct statx;
void device_statx(struct statx *sx);
/* True when fd is a descriptor that device_open gave, or a duplicate. */
bool device_is_fd(int fd);
/* Either, as fstatat(2) takes them with its flags. */
bool device_is_at(int dir, const char *path, int flags);

/* --- descriptors (descriptors.c) ----------------------------------------------- */

/*
 * False in a child that vfork made, which shares this memory: what it closes
 * stays open in its parent.
 */
bool shim_table_is_ours(void);
/* In a child that was not made by the C library's fork. */
void shim_forked(void);
/* Descriptor fd was made or replaced by a copy of from. */
void shim_copied(int from, int fd);
/* Drops fd from the library's table ahead of close(2): true when that closed it. */
bool shim_close(int fd);
/* The ioctl of a descriptor that may be ours: true with *result (-errno) when it is. */
bool shim_ioctl(int fd, unsigned long request, unsigned long arg, long *result);

#endif
