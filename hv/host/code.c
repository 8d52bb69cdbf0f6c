/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for generated code, mapped once to write and once to execute, so that
 * no page is ever both at one address; and telling perf what lies where in it.
 *
 * The memory is shared but has no file: perf looks names up for anonymous
 * memory only, in the file /tmp/perf-PID.map. A line there is an address and a
 * size in hexadecimal, and a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

int host_code_memory(size_t size, u8 **rw, u8 **rx)
{
	void *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *x;

	*rw = *rx = NULL;
	if (w == MAP_FAILED)
		return -ENOMEM;
	x = mremap(w, 0, size, MREMAP_MAYMOVE);	/* of nothing: one more mapping of the same */
	if (x == MAP_FAILED || mprotect(x, size, PROT_READ | PROT_EXEC)) {
		if (x != MAP_FAILED)
			munmap(x, size);
		munmap(w, size);
		return -ENOMEM;
	}
	*rw = w;
	*rx = x;
	return 0;
}

static int perf_map = -1;

bool host_perf_map_start(void)
{
	char path[64];
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC;

	if (perf_map >= 0)
		return ftruncate(perf_map, 0) == 0;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	perf_map = open(path, flags, 0600);
	if (perf_map < 0)
		host_log("cannot write %s", path);
	return perf_map >= 0;
}

void host_perf_map_add(const void *code, size_t size, const char *kind, u64 address)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%lx %zx %s:%llx\n", (unsigned long)code, size, kind,
			 (unsigned long long)address);

	/* A line that is not written is a name that is not there. */
	if (perf_map >= 0 && n > 0 && write(perf_map, line, (size_t)n) != n)
		return;
}
