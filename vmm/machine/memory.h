/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory: RAM from 0 up to 3 GiB, and what is more from 4 GiB on. The
 * gigabyte between is for the interrupt controllers and other devices.
 */
#ifndef VMM_MACHINE_MEMORY_H
#define VMM_MACHINE_MEMORY_H

#include "../types.h"

#define MEMORY_LOW_MAX (3 * GIB)
#define MEMORY_HIGH_BASE (4 * GIB)

struct guest_memory {
	u8 *host;	/* one reservation: low RAM, then high RAM */
	u64 size;	/* bytes, all RAM */
	u64 low;	/* bytes from guest-physical 0 */
	u64 high;	/* bytes from MEMORY_HIGH_BASE */
};

/*
 * Reserves size bytes (a multiple of 4 KiB) of zeroed guest memory, which is
 * not touched. 0, or -1 after an error line.
 */
int memory_create(struct guest_memory *m, u64 size);
void memory_destroy(struct guest_memory *m);

/*
 * The host's address of len bytes of guest-physical memory at gpa; NULL when
 * they are not all in one piece of RAM.
 */
void *memory_ptr(const struct guest_memory *m, u64 gpa, u64 len);

#endif
