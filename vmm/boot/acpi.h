/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI description of a machine. The tables are made once as one image in
 * which pointers are offsets; acpi_place() puts it into guest memory for a
 * direct start, and firmware gets it through fw_cfg with a script that tells
 * what to do (acpi_loader.c).
 */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include "../machine/memory.h"

/* The block of fixed hardware where nobody moves it. */
#define ACPI_PM_BASE 0x600
#define ACPI_RESET_PORT 0xcf9
#define ACPI_RESET_VALUE 0x06
#define ACPI_SCI_IRQ 9
#define ACPI_SLP_TYP_S5 0	/* as firmware for QEMU takes it for granted */

#define LAPIC_BASE 0xfee00000
#define IOAPIC_BASE 0xfec00000
#define HPET_BASE 0xfed00000

#define ACPI_MMIO_DEVICES_MAX 32

/* A virtio device at a fixed place, for the machine without PCI. */
struct acpi_mmio_device {
	u32 base, size, gsi;
};

struct acpi_config {
	unsigned int cpus;		/* at most 255; APIC id n is CPU n */
	u16 pm_base;			/* of the block of fixed hardware */
	u16 gpe;			/* port of the general purpose events, or 0 */
	u8 gpe_len;
	bool keyboard;			/* there is a keyboard controller with something on it */
	bool vga;
	bool hpet;
	/* the machine's own DSDT; NULL: all is in the table made here */
	const u8 *dsdt;
	size_t dsdt_size;
	/* PCI: configuration space (size 0: not in memory), windows for BARs */
	u64 ecam, ecam_size;
	u64 mem, mem_end, mem2, mem2_end, mem64, mem64_end;
	u16 level_irqs;			/* ISA interrupts that PCI shares: level, active high */
	struct acpi_mmio_device mmio[ACPI_MMIO_DEVICES_MAX];
	unsigned int mmio_count;
};

#define ACPI_POINTERS_MAX 24
#define ACPI_TABLES_MAX 12
#define ACPI_IMAGE_ALIGN 64
#define ACPI_RSDP_SIZE 36

/* A pointer in the image that holds the offset of what it points to. */
struct acpi_pointer {
	u32 at;
	u8 size;		/* 4 or 8 */
};

struct acpi_image {
	u8 *data;
	size_t size, capacity;
	struct acpi_pointer pointer[ACPI_POINTERS_MAX];
	unsigned int pointers;
	u32 table[ACPI_TABLES_MAX];	/* offsets of those with a checksum */
	unsigned int tables;
	u32 xsdt, rsdt;
};

/* 0, or -1 after an error line; acpi_image_free in either case. */
int acpi_image_make(struct acpi_image *img, const struct acpi_config *c);
void acpi_image_free(struct acpi_image *img);

/* The RSDP for tables whose image lies at base. */
void acpi_rsdp(const struct acpi_image *img, u64 base, u8 rsdp[ACPI_RSDP_SIZE]);

/*
 * Writes RSDP and tables to guest memory from gpa on, below end. 0, or -1 after
 * an error line.
 */
int acpi_place(const struct guest_memory *m, const struct acpi_image *img, u64 gpa, u64 end);

/* Of n bytes: what added to them gives 0. */
u8 acpi_checksum(const void *p, size_t n);

#endif
