/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for generated code: one memfd, mapped once to write and once to
 * execute, so that no page is ever both at one address.
 */
#include <errno.h>
#include <sys/mman.h>

#include "host.h"

int host_code_memory(size_t size, u8 **rw, u8 **rx)
{
	int fd = host_memfd("anykvm-code", size);
	void *w, *x;

	*rw = *rx = NULL;
	if (fd < 0)
		return fd;
	w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED || x == MAP_FAILED) {
		if (w != MAP_FAILED)
			munmap(w, size);
		if (x != MAP_FAILED)
			munmap(x, size);
		host_close(fd);
		return -ENOMEM;
	}
	*rw = w;
	*rx = x;
	return fd;
}
