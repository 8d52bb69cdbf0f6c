/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the rest of the shim stands on: where its own file is, and the C
 * library's functions behind ours.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "shim.h"

char shim_path[4096];

void *shim_next(void **cache, const char *name)
{
	void *fn = __atomic_load_n(cache, __ATOMIC_RELAXED);

	if (fn)
		return fn;
	fn = dlsym(RTLD_NEXT, name);
	if (!fn)
		abort();	/* no such C library */
	__atomic_store_n(cache, fn, __ATOMIC_RELAXED);
	return fn;
}

extern const char shim_start[];

/* ld.so takes a list of names with blanks or colons between them. */
__attribute__((constructor)) static void find_path(void)
{
	const char *name = "/proc/self/exe";
	char path[PATH_MAX];
	Dl_info info;

	if (getauxval(AT_ENTRY) != (unsigned long)shim_start) {	/* we were preloaded */
		if (!dladdr(shim_path, &info) || !info.dli_fname)
			return;
		name = info.dli_fname;
	}
	if (!realpath(name, path))
		return;
	if (!strpbrk(path, ": ") && strlen(path) < sizeof(shim_path))
		strcpy(shim_path, path);
}
