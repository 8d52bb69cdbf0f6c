/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ACPI tables for firmware: the image and the RSDP as files of fw_cfg, and the
 * script that tells firmware where to put them, which pointers to relocate and
 * what to sum (QEMU's linker/loader commands, which SeaBIOS and OVMF know).
 */
#include <string.h>

#include "acpi_loader.h"

#define COMMAND_SIZE 128
#define NAME_SIZE 56

enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER, CMD_ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_FSEG };

#define RSDP_RSDT 16
#define RSDP_XSDT 24
#define RSDP_CHECKSUM 8
#define RSDP_CHECKSUM2 32
#define RSDP_SIZE1 20
#define TABLE_CHECKSUM 9

struct script {
	u8 *data;
	u32 size, used;
	bool full;
};

static u8 *command(struct script *s, u32 number)
{
	u8 *c = s->data + s->used;

	if (s->used + COMMAND_SIZE > s->size) {
		s->full = true;
		return NULL;
	}
	memset(c, 0, COMMAND_SIZE);
	memcpy(c, &number, 4);
	s->used += COMMAND_SIZE;
	return c;
}

static void allocate(struct script *s, const char *file, u32 align, u8 zone)
{
	u8 *c = command(s, CMD_ALLOCATE);

	if (!c)
		return;
	strcpy((char *)c + 4, file);
	memcpy(c + 4 + NAME_SIZE, &align, 4);
	c[8 + NAME_SIZE] = zone;
}

static void add_pointer(struct script *s, const char *file, u32 at, u8 size)
{
	u8 *c = command(s, CMD_ADD_POINTER);

	if (!c)
		return;
	strcpy((char *)c + 4, file);
	strcpy((char *)c + 4 + NAME_SIZE, ACPI_FILE_TABLES);
	memcpy(c + 4 + 2 * NAME_SIZE, &at, 4);
	c[8 + 2 * NAME_SIZE] = size;
}

static void add_checksum(struct script *s, const char *file, u32 at, u32 start, u32 length)
{
	u8 *c = command(s, CMD_ADD_CHECKSUM);

	if (!c)
		return;
	strcpy((char *)c + 4, file);
	memcpy(c + 4 + NAME_SIZE, &at, 4);
	memcpy(c + 8 + NAME_SIZE, &start, 4);
	memcpy(c + 12 + NAME_SIZE, &length, 4);
}

/* The checksum bytes are zero in the files: firmware adds up and puts them in. */
void acpi_loader_files(const struct acpi_image *img, u8 *tables, u8 *rsdp)
{
	unsigned int i;

	memcpy(tables, img->data, img->size);
	for (i = 0; i < img->tables; i++)
		tables[img->table[i] + TABLE_CHECKSUM] = 0;
	acpi_rsdp(img, 0, rsdp);
	rsdp[RSDP_CHECKSUM] = rsdp[RSDP_CHECKSUM2] = 0;
}

int acpi_loader_script(const struct acpi_image *img, u8 *script, u32 size)
{
	struct script s = { .data = script, .size = size };
	unsigned int i;
	u32 length;

	allocate(&s, ACPI_FILE_RSDP, 16, ZONE_FSEG);
	allocate(&s, ACPI_FILE_TABLES, ACPI_IMAGE_ALIGN, ZONE_HIGH);
	for (i = 0; i < img->pointers; i++)
		add_pointer(&s, ACPI_FILE_TABLES, img->pointer[i].at, img->pointer[i].size);
	for (i = 0; i < img->tables; i++) {
		memcpy(&length, img->data + img->table[i] + 4, 4);
		add_checksum(&s, ACPI_FILE_TABLES, img->table[i] + TABLE_CHECKSUM,
			     img->table[i], length);
	}
	add_pointer(&s, ACPI_FILE_RSDP, RSDP_RSDT, 4);
	add_pointer(&s, ACPI_FILE_RSDP, RSDP_XSDT, 8);
	add_checksum(&s, ACPI_FILE_RSDP, RSDP_CHECKSUM, 0, RSDP_SIZE1);
	add_checksum(&s, ACPI_FILE_RSDP, RSDP_CHECKSUM2, 0, ACPI_RSDP_SIZE);
	return s.full ? -1 : 0;
}
