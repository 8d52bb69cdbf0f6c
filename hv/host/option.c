/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Switches for finding faults: $ANYKVM_SOFT holds their names, separated by
 * commas, or NAME=VALUE. The engine looks at them when a VM is made.
 */
#include <stdio.h>
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

bool host_option_value(const char *name, char *value, size_t size)
{
	const char *p = secure_getenv("ANYKVM_SOFT");
	size_t n = strlen(name);

	while (p && *p) {
		size_t len = strcspn(p, ",");

		if (len > n && !strncmp(p, name, n) && p[n] == '=') {
			snprintf(value, size, "%.*s", (int)(len - n - 1), p + n + 1);
			return true;
		}
		p += len + (p[len] == ',');
	}
	return false;
}

/* A name that ends in '=' stands for all that begin so. */
static bool among(const char *const *names, const char *p, size_t len)
{
	for (; *names; names++) {
		size_t n = strlen(*names);

		if ((n == len || (n < len && (*names)[n - 1] == '=')) && !strncmp(*names, p, n))
			return true;
	}
	return false;
}

void host_options_known(const char *const *names)
{
	const char *p = secure_getenv("ANYKVM_SOFT");
	static bool told;

	for (; p && *p && !told; ) {
		size_t len = strcspn(p, ",");

		if (len && !among(names, p, len))
			host_log("ANYKVM_SOFT: there is no switch '%.*s'", (int)len, p);
		p += len + (p[len] == ',');
	}
	told = true;
}
