/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory: RAM from 0 up to at most 3 GiB, and what is more from 4 GiB on.
 * The gigabyte or two between are for devices.
 *
 * Devices reach guest memory only through these functions, from any thread.
 * The guest's CPUs change it at the same time: what is read from it is copied
 * first and then checked. An address stays valid as long as the machine.
 */
#ifndef VMM_MACHINE_MEMORY_H
#define VMM_MACHINE_MEMORY_H

#include "../types.h"

#define MEMORY_LOW_MAX (3 * GIB)	/* a machine may have less */
#define MEMORY_HIGH_BASE (4 * GIB)

struct guest_memory {
	u8 *host;	/* one reservation: low RAM, then high RAM */
	u64 size;	/* bytes, all RAM */
	u64 low;	/* bytes from guest-physical 0 */
	u64 high;	/* bytes from MEMORY_HIGH_BASE */
};

/*
 * Reserves size bytes (a multiple of 4 KiB) of zeroed guest memory, which is
 * not touched, at most low_max of it low. 0, or -1 after an error line.
 */
int memory_create(struct guest_memory *m, u64 size, u64 low_max);
void memory_destroy(struct guest_memory *m);

/*
 * The host's address of len bytes of guest-physical memory at gpa; NULL when
 * they are not all in one piece of RAM.
 */
void *memory_ptr(const struct guest_memory *m, u64 gpa, u64 len);

/* Copies; false, with nothing copied, when it is not all RAM. */
bool memory_read(const struct guest_memory *m, u64 gpa, void *to, u64 len);
bool memory_write(const struct guest_memory *m, u64 gpa, const void *from, u64 len);

/* Gives the pages that lie wholly in the range back to the host; they read as zeroes. */
bool memory_discard(const struct guest_memory *m, u64 gpa, u64 len);
/* The same for memory at an address that memory_ptr gave. */
bool memory_discard_host(const struct guest_memory *m, void *host, u64 len);

#endif
