/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hypervisor's own lines on standard error.
 */
#include <stdarg.h>
#include <stdio.h>

#include "host.h"
#include "syscall.h"

void host_log(const char *fmt, ...)
{
	static const char prefix[] = "anykvm: ";
	char line[512];
	va_list ap;
	int n;

	host_memcpy(line, prefix, sizeof(prefix) - 1);
	va_start(ap, fmt);
	n = vsnprintf(line + sizeof(prefix) - 1, sizeof(line) - sizeof(prefix), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = MIN(n + (int)sizeof(prefix) - 1, (int)sizeof(line) - 2);
	line[n++] = '\n';
	SYS3(SYS_write, 2, line, n);
}
