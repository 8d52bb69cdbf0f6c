/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ACPI tables for firmware, which places and links them itself. */
#ifndef VMM_BOOT_ACPI_LOADER_H
#define VMM_BOOT_ACPI_LOADER_H

#include "acpi.h"

#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"

/* The contents of the two files: img->size and ACPI_RSDP_SIZE bytes. */
void acpi_loader_files(const struct acpi_image *img, u8 *tables, u8 *rsdp);
/* The script, in zeroed memory: 0, or -1 when it does not fit. */
int acpi_loader_script(const struct acpi_image *img, u8 *script, u32 size);

#endif
