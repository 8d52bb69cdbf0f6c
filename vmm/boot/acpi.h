/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI description of the machine, and the places of the fixed hardware
 * that it names (devices/power implements them).
 */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include "../machine/memory.h"

#define ACPI_PM1_EVT 0x600	/* status and enable, 2 bytes each */
#define ACPI_PM1_CNT 0x604	/* 2 bytes */
#define ACPI_PM_TMR 0x608	/* 4 bytes */
#define ACPI_RESET_PORT 0xcf9
#define ACPI_RESET_VALUE 0x06
#define ACPI_SCI_IRQ 9
#define ACPI_SLP_TYP_S5 5

#define LAPIC_BASE 0xfee00000
#define IOAPIC_BASE 0xfec00000

/*
 * Writes the tables to guest memory from BOOT_ACPI on, the RSDP first.
 * APIC id n is CPU n, and there are at most 255. 0, or -1 after an error line.
 */
int acpi_build(const struct guest_memory *m, unsigned int cpus);

#endif
