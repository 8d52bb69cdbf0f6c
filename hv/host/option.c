/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Switches for finding faults: $ANYKVM_SOFT holds their names, separated by
 * commas. The engine looks at them when a VM is made.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"

bool host_option(const char *name)
{
	const char *p = secure_getenv("ANYKVM_SOFT");
	size_t n = strlen(name);

	while (p && *p) {
		size_t len = strcspn(p, ",");

		if (len == n && !strncmp(p, name, n))
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}
