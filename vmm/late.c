/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Libraries that are loaded when they are needed: see late.h. */
#include <dlfcn.h>

#include "error.h"
#include "late.h"

int late_load(const char *library, const char *const *names, void *functions, unsigned int n)
{
	/* all of its symbols now: in the sandbox nothing is to be looked for */
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), **to = functions;
	unsigned int i;

	if (!handle)
		return error("cannot load a library: %s", dlerror());
	for (i = 0; i < n; i++) {
		to[i] = dlsym(handle, names[i]);
		if (!to[i])
			return error("cannot load a library: %s", dlerror());
	}
	return 0;
}
