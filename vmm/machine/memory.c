/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory. It is one anonymous mapping without reserved swap, so a page
 * costs the host nothing until the guest touches it. Nothing is mapped next to
 * it: who runs off its ends meets no other data.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../error.h"
#include "memory.h"

#define GUARD 65536u

int memory_create(struct guest_memory *m, u64 size, u64 low_max)
{
	u8 *p = mmap(NULL, size + 2 * GUARD, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	memset(m, 0, sizeof(*m));
	if (p == MAP_FAILED || mprotect(p + GUARD, size, PROT_READ | PROT_WRITE)) {
		error("cannot reserve %llu MiB of guest memory: %s",
		      (unsigned long long)(size / MIB), strerror(errno));
		if (p != MAP_FAILED)
			munmap(p, size + 2 * GUARD);
		return -1;
	}
	m->host = p + GUARD;
	m->size = size;
	m->low = size < low_max ? size : low_max;
	m->high = size - m->low;
	return 0;
}

void memory_destroy(struct guest_memory *m)
{
	if (m->host)
		munmap(m->host - GUARD, m->size + 2 * GUARD);
	memset(m, 0, sizeof(*m));
}

void *memory_ptr(const struct guest_memory *m, u64 gpa, u64 len)
{
	if (gpa <= m->low && len <= m->low - gpa)
		return m->host + gpa;
	if (gpa < MEMORY_HIGH_BASE)
		return NULL;
	gpa -= MEMORY_HIGH_BASE;
	if (gpa <= m->high && len <= m->high - gpa)
		return m->host + m->low + gpa;
	return NULL;
}

bool memory_read(const struct guest_memory *m, u64 gpa, void *to, u64 len)
{
	const void *p = memory_ptr(m, gpa, len);

	if (p)
		memcpy(to, p, len);
	return p;
}

bool memory_write(const struct guest_memory *m, u64 gpa, const void *from, u64 len)
{
	void *p = memory_ptr(m, gpa, len);

	if (p)
		memcpy(p, from, len);
	return p;
}

bool memory_discard(const struct guest_memory *m, u64 gpa, u64 len)
{
	u8 *p = memory_ptr(m, gpa, len);
	uintptr_t start = align_up((uintptr_t)p, 4096), end = align_down((uintptr_t)p + len, 4096);

	if (p && start < end)
		return madvise((void *)start, end - start, MADV_DONTNEED) == 0;
	return p;
}
