/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading a kernel: from files to guest memory and the registers of the boot
 * processor. There is no firmware; what it would have left behind (memory map,
 * ACPI tables) is written here.
 *
 * Guest-physical layout below 1 MiB:
 *
 *	0x00500  GDT of the entry state
 *	0x01000  PVH: start info, module list, memory map
 *	0x07000  Linux: boot_params (the "zero page")
 *	0x20000  command line, up to 64 KiB
 *	0x9fc00  end of conventional memory
 *	0xe0000  ACPI tables, RSDP first
 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include "../machine/memory.h"

#define BOOT_GDT 0x500
#define BOOT_PVH_INFO 0x1000
#define BOOT_ZERO_PAGE 0x7000
#define BOOT_CMDLINE 0x20000
#define BOOT_CMDLINE_MAX 0x10000
#define BOOT_LOW_END 0x9fc00
#define BOOT_ACPI 0xe0000
#define BOOT_ACPI_END 0x100000
#define BOOT_HIGH_START 0x100000

/* The types of E820 and of PVH's memory map are the same. */
#define E820_RAM 1
#define E820_RESERVED 2
#define E820_ACPI 3

struct boot_range {
	u64 start, size;
	u32 type;
};

#define BOOT_RESERVED_MAX 4

/* A linear screen of 32 bits a pixel; size 0: there is none. */
struct boot_screen {
	u64 base, size;
	unsigned int width, height, pitch;	/* pitch in bytes */
};

struct boot_config {
	const char *kernel;	/* path, or NULL: firmware starts */
	const char *initrd;	/* path or NULL */
	const char *cmdline;
	unsigned int cpus;
	/* what the memory map has besides RAM and the BIOS area */
	struct boot_range reserved[BOOT_RESERVED_MAX];
	unsigned int nreserved;
	struct boot_screen screen;
};

/*
 * The state in which the boot processor starts: 32-bit protected mode, flat
 * segments from the GDT at BOOT_GDT, paging and interrupts off.
 */
struct boot_entry {
	u32 eip, ebx, esi;
	u16 cs, ds, tr;	/* selectors: flat code, flat data, a busy TSS */
};

/*
 * Loads the kernel, its initial ramdisk and the command line, and writes the
 * memory map. 0, or -1 after an error line.
 */
int boot_load(const struct guest_memory *m, const struct boot_config *c, struct boot_entry *e);

/* --- the two kinds of kernel; image is the whole file --------------------- */

struct boot_file {
	const char *path;
	u8 *data;
	u64 size;
};

/* True when the file is an image of the Linux boot protocol. */
bool bzimage_match(const struct boot_file *f);
int bzimage_load(const struct guest_memory *m, const struct boot_config *c,
		 const struct boot_file *f, struct boot_entry *e);

/* True when the file is ELF. */
bool elf_match(const struct boot_file *f);
int elf_load(const struct guest_memory *m, const struct boot_config *c,
	     const struct boot_file *f, struct boot_entry *e);

/* --- shared pieces -------------------------------------------------------- */

#define BOOT_RANGES_MAX (5 + BOOT_RESERVED_MAX)

/* The memory map: the number of ranges written to r. */
unsigned int boot_memory_map(const struct guest_memory *m, const struct boot_config *c,
			     struct boot_range r[BOOT_RANGES_MAX]);

/* Copies the command line and its NUL to BOOT_CMDLINE; limit is the kernel's, without NUL. */
int boot_put_cmdline(const struct guest_memory *m, const char *cmdline, u64 limit);

/*
 * Reads the ramdisk of c to the highest page-aligned place in low RAM that
 * ends at or below max_addr + 1 and begins at or above kernel_end; 0 and its
 * place (size 0: there is none), or -1 after an error line.
 */
int boot_put_initrd(const struct guest_memory *m, const struct boot_config *c, u64 kernel_end,
		    u64 max_addr, u64 *start, u64 *size);

#endif
