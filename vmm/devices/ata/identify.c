/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a drive tells of itself: IDENTIFY (PACKET) DEVICE (ATA8-ACS, 7.16 and 7.17). */
#include <stdio.h>
#include <string.h>

#include "ata.h"

#define QUEUE_DEPTH 32

static void put(u8 *data, unsigned int word, u16 v)
{
	data[word * 2] = (u8)v;
	data[word * 2 + 1] = (u8)(v >> 8);
}

static void put32(u8 *data, unsigned int word, u32 v)
{
	put(data, word, (u16)v);
	put(data, word + 1, (u16)(v >> 16));
}

/* Text has its bytes exchanged in every word, and spaces behind it. */
static void put_text(u8 *data, unsigned int word, unsigned int words, const char *text)
{
	size_t len = strlen(text), i;

	for (i = 0; i < words * 2u; i++)
		data[word * 2 + (i ^ 1)] = i < len ? (u8)text[i] : ' ';
}

/* Modes: PIO 4, multiword DMA 2, Ultra DMA 5. */
static void put_modes(u8 *data)
{
	unsigned int word;

	put(data, 53, 0x0006);
	put(data, 63, 0x0007);
	put(data, 64, 0x0003);
	for (word = 65; word <= 68; word++)
		put(data, word, 120);
	put(data, 80, 0x01f0);		/* ATA/ATAPI-4 to ATA8-ACS */
	put(data, 88, 0x203f);
	put(data, 93, 0x6001);		/* a cable for the fast modes */
}

static void put_sata(const struct ata_drive *d, u8 *data)
{
	put(data, 75, QUEUE_DEPTH - 1);
	put(data, 76, 0x0106);		/* queueing; 1.5 and 3 Gbit/s */
	put(data, 93, 0);
	if (d->limits.readonly)
		return;
	put(data, 69, 1 << 14 | 1 << 5);	/* trimmed sectors read as zeros */
	put(data, 105, 1);			/* ranges to trim: one block of them */
	put(data, 169, 1);
}

static void put_geometry(const struct ata_drive *d, u8 *data)
{
	u64 sectors = d->limits.size / ATA_SECTOR;
	u64 cylinders = sectors / (16 * 63);
	u32 chs;

	if (cylinders > 16383)
		cylinders = 16383;
	chs = (u32)cylinders * 16 * 63;
	put(data, 1, (u16)cylinders);
	put(data, 3, 16);
	put(data, 6, 63);
	put(data, 54, (u16)cylinders);
	put(data, 55, 16);
	put(data, 56, 63);
	put32(data, 57, chs);
	put32(data, 60, sectors > 0x0fffffff ? 0x0fffffff : (u32)sectors);
	put32(data, 100, (u32)sectors);
	put32(data, 102, (u32)(sectors >> 32));
}

static void disk(const struct ata_drive *d, u8 *data)
{
	unsigned int exponent = (unsigned int)__builtin_ctz(d->limits.best / ATA_SECTOR);

	put(data, 0, 0x0040);
	put_geometry(d, data);
	put(data, 47, 0x8010);		/* READ MULTIPLE of 16 sectors */
	put(data, 49, 0x0f00);		/* DMA, LBA, IORDY */
	put(data, 50, 0x4000);
	put(data, 53, 0x0007);
	if (d->multiple)
		put(data, 59, 0x0100 | d->multiple);
	put(data, 82, 0x4020);		/* NOP, write cache */
	put(data, 83, 0x7400);		/* FLUSH CACHE (EXT), 48 bits */
	put(data, 84, 0x4060);		/* FUA, logs */
	put(data, 85, 0x4000 | (d->writeback ? 0x20 : 0));
	put(data, 86, 0x3400);
	put(data, 87, 0x4060);
	if (exponent)
		put(data, 106, (u16)(0x6000 | (exponent & 15)));
	put(data, 217, 1);		/* it does not rotate */
	if (d->ncq)
		put_sata(d, data);
}

static void cd(const struct ata_drive *d, u8 *data)
{
	put(data, 0, 0x85c0);		/* a CD drive, removable medium, packets of 12 bytes */
	put(data, 49, 0x0b00);
	put(data, 82, 0x4210);		/* NOP, DEVICE RESET, PACKET */
	put(data, 83, 0x4000);
	put(data, 84, 0x4000);
	put(data, 85, 0x4210);
	put(data, 87, 0x4000);
	if (d->ncq) {
		put(data, 76, 0x0006);
		put(data, 93, 0);
	}
}

void ata_identify(const struct ata_drive *d, u8 data[ATA_BLOCK])
{
	char serial[DISK_SERIAL_MAX + 1];
	u8 sum = 0xa5;
	unsigned int i;

	memset(data, 0, ATA_BLOCK);
	snprintf(serial, sizeof(serial), "%s", *d->disk->serial ? d->disk->serial : d->disk->id);
	put_text(data, 10, 10, serial);
	put_text(data, 23, 4, ANYKVM_VERSION);
	put_text(data, 27, 20, d->cd ? "anykvm CD-ROM" : "anykvm disk");
	put_modes(data);
	if (d->cd)
		cd(d, data);
	else
		disk(d, data);
	put(data, 255, 0xa5);
	for (i = 0; i < ATA_BLOCK - 2; i++)
		sum += data[i];
	data[ATA_BLOCK - 1] = (u8)-sum;
}
