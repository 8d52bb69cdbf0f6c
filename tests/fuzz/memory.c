/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that requests and guests are let loose on. Whatever they are told to
 * write lies between holes here, so that a byte too much is noticed, and no
 * address that is handed out belongs to the library or this program.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define GUARD_PAGES 16u
#define READ_ONLY GUEST_PAGES
#define NO_ACCESS (GUEST_PAGES + 4u)
#define BEYOND_END (GUEST_PAGES + 8u)
#define FILE_PAGES 2u		/* of the last 8 */

uint8_t *arena;

static void *reserve(size_t pages)
{
	void *p = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		complain("no memory");
	return p;
}

void memory_init(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	arena = (uint8_t *)reserve(ARENA_PAGES + 2 * GUARD_PAGES) + GUARD_PAGES * PAGE;
	if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE) ||
	    mprotect(arena, GUEST_PAGES * PAGE, PROT_READ | PROT_WRITE) ||
	    mprotect(arena + READ_ONLY * PAGE, (NO_ACCESS - READ_ONLY) * PAGE, PROT_READ) ||
	    mmap(arena + BEYOND_END * PAGE, (ARENA_PAGES - BEYOND_END) * PAGE,
		 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		complain("no memory");
	close(fd);
}

uint8_t *args_buffer(void)
{
	static __thread uint8_t *args;

	if (!args) {
		args = (uint8_t *)reserve(2 * GUARD_PAGES + ARGS_SIZE / PAGE) + GUARD_PAGES * PAGE;
		if (mprotect(args, ARGS_SIZE, PROT_READ | PROT_WRITE))
			complain("no memory");
	}
	return args;
}

static uint64_t nowhere(void)
{
	static const uint64_t places[] = {
		0, 1, 0xfff, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000, 0xffff800000000000,
		0xffffffff81000000, 0xffffffffffffe000, 0xffffffffffffffff,
	};

	if (percent(50))
		return (uint64_t)arena - (1 + below(GUARD_PAGES - 1)) * PAGE + below(64);
	return places[below(ARRAY_SIZE(places))];
}

uint64_t pointer(size_t size)
{
	uint8_t *args = args_buffer();

	if (size > ARGS_SIZE)
		size = ARGS_SIZE;
	switch (below(20)) {
	case 0:
		return nowhere();
	case 1:		/* a part is missing */
		return (uint64_t)args + ARGS_SIZE - below((uint32_t)size + 1);
	case 2:		/* may be read, not written */
		return (uint64_t)arena + READ_ONLY * PAGE + below(PAGE);
	case 3:
		return (uint64_t)arena + below(GUEST_PAGES) * PAGE + below(PAGE);
	default:
		return (uint64_t)args + ARGS_SIZE - size;
	}
}

uint64_t slot_address(void)
{
	uint64_t a = percent(90) ? (uint64_t)arena + below(ARENA_PAGES) * PAGE : nowhere();

	return percent(95) ? a & ~(PAGE - 1) : a;
}

void change_protection(void)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	uint32_t first = below(GUEST_PAGES), n = 1 + below(4);

	if (percent(30))
		first = 0, n = GUEST_PAGES;	/* all is well again */
	if (n > GUEST_PAGES - first)
		n = GUEST_PAGES - first;
	mprotect(arena + first * PAGE, n * PAGE, n == GUEST_PAGES ? prot[2] : prot[below(3)]);
}
