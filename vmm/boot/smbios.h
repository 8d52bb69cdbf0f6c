/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SMBIOS tables of a machine: what it is called, its processors, its memory. */
#ifndef VMM_BOOT_SMBIOS_H
#define VMM_BOOT_SMBIOS_H

#include "../types.h"

#define SMBIOS_ANCHOR_SIZE 31
#define SMBIOS_SIZE_MAX 0x8000

struct smbios_config {
	const char *machine;		/* its type */
	unsigned int cpus;
	bool bios;			/* tell of firmware, too, as there is none to do so */
	u64 memory, low, high;		/* bytes, and how they are split at 4 GiB */
};

struct smbios {
	u8 anchor[SMBIOS_ANCHOR_SIZE];	/* with the address of the tables */
	u8 tables[SMBIOS_SIZE_MAX];
	u32 size;
};

/* The tables for guest-physical address base: 0, or -1 when they do not fit. */
int smbios_make(struct smbios *s, const struct smbios_config *c, u32 base);

#endif
