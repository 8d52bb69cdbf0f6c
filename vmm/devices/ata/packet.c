/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet commands of a CD or DVD drive with a medium that nobody can take out
 * or write to (MMC-6; INQUIRY, REQUEST SENSE and MODE SENSE as SPC-3 has them).
 * What the drive and its medium are is told as by those on other buses (scsi/mmc.h).
 */
#include <string.h>

#include "../scsi/mmc.h"
#include "../scsi/scsi.h"
#include "ata.h"

enum packet_command {
	P_TEST_READY = 0x00, P_REQUEST_SENSE = 0x03, P_INQUIRY = 0x12, P_START_STOP = 0x1b,
	P_PREVENT = 0x1e, P_READ10 = 0x28, P_SEEK = 0x2b, P_SYNC = 0x35, P_MODE_SENSE10 = 0x5a,
	P_READ12 = 0xa8, P_SET_SPEED = 0xbb, P_MECHANISM = 0xbd, P_READ_CD = 0xbe,
};

#define PACKET_DONE 3			/* the count register after a packet command */
#define READ_MAX (32 * MIB)

static void fail(struct ata_drive *d, struct ata_plan *p, u8 sense, u8 asc)
{
	d->sense = sense;
	d->asc = asc;
	d->ascq = 0;
	p->kind = ATA_FAIL;
	p->status = ATA_READY | ATA_ERR;
	p->error = (u8)(sense << 4 | ATA_ABORTED);
}

/* An answer of n bytes, as much of it as the driver has room for. */
static void answer(struct ata_plan *p, u32 n, u32 room)
{
	p->length = n < room ? n : room;
	p->kind = p->length ? ATA_IN : ATA_DONE;
}

/* --- the drive --------------------------------------------------------------------- */

static void text(u8 *to, size_t size, const char *s)
{
	size_t len = strlen(s);

	memset(to, ' ', size);
	memcpy(to, s, len < size ? len : size);
}

static void inquiry(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	if (c[1] & 1) {			/* no pages of vital product data */
		fail(d, p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	p->data[0] = 5;			/* a CD drive */
	p->data[1] = 0x80;		/* its medium is removable */
	p->data[3] = 0x21;
	p->data[4] = 31;
	text(p->data + 8, 8, "anykvm");
	text(p->data + 16, 16, "CD-ROM");
	text(p->data + 32, 4, ANYKVM_VERSION);
	answer(p, 36, scsi_get16(c + 3));
}

static void request_sense(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	p->data[0] = 0x70;
	p->data[2] = d->sense;
	p->data[7] = 10;
	p->data[12] = d->asc;
	p->data[13] = d->ascq;
	d->sense = d->asc = d->ascq = 0;
	answer(p, 18, c[4]);
}

/* The pages that drivers of CDs look at: error recovery and capabilities. */
static void mode_sense(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	const u8 page = c[2] & 0x3f;
	u8 *at = p->data + 8;

	if (c[2] >> 6 == 3 || (page != 0x01 && page != 0x2a && page != 0x3f)) {
		fail(d, p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	if (page != 0x2a) {
		at[0] = 0x01;
		at[1] = 6;
		at += 8;
	}
	if (page != 0x01) {
		at[0] = 0x2a;
		at[1] = 18;
		at[2] = 0x3b;			/* reads CD-R, CD-RW and DVD */
		at[6] = 1 << 5;			/* a tray, not locked */
		scsi_put16(at + 8, 706);		/* kB/s */
		scsi_put16(at + 10, 2);
		scsi_put16(at + 12, 512);		/* kB of buffer */
		scsi_put16(at + 14, 706);
		at += 20;
	}
	scsi_put16(p->data, (u32)(at - p->data) - 2);
	answer(p, (u32)(at - p->data), scsi_get16(c + 7));
}

/* --- the medium ----------------------------------------------------------------------- */

static void read_blocks(struct ata_drive *d, struct ata_plan *p, u32 first, u32 count)
{
	const u32 all = mmc_blocks(d->limits.size);

	if (first > all || count > all - first) {
		fail(d, p, SENSE_ILLEGAL, ASC_ADDRESS);
	} else if (count > READ_MAX / CD_SECTOR) {
		fail(d, p, SENSE_ILLEGAL, ASC_FIELD);
	} else if (count) {
		p->kind = ATA_READ;
		p->offset = (u64)first * CD_SECTOR;
		p->length = count * CD_SECTOR;
	}
}

/* Of a CD's sectors only the data can be had. */
static void read_cd(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	if (!c[9])
		return;
	if (c[9] != 0x10 || c[10] & 7)
		fail(d, p, SENSE_ILLEGAL, ASC_FIELD);
	else
		read_blocks(d, p, scsi_get32(c + 2), scsi_get32(c + 5) & 0xffffff);
}

/* The drive neither opens nor stops. */
static void start_stop(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	if ((c[4] & 3) == 2)
		fail(d, p, SENSE_ILLEGAL, ASC_FIELD);
}

/* What a drive says on any bus. */
static void say(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	u32 room;
	int n = mmc_answer(d->limits.size, c, p->data, &room);

	if (n < 0)
		fail(d, p, SENSE_ILLEGAL, n == MMC_OTHER ? ASC_COMMAND : ASC_FIELD);
	else
		answer(p, (u32)n, room);
}

/* --- all of them ------------------------------------------------------------------------ */

static void medium_command(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	switch (c[0]) {
	case P_READ10:
		read_blocks(d, p, scsi_get32(c + 2), scsi_get16(c + 7));
		break;
	case P_READ12:
		read_blocks(d, p, scsi_get32(c + 2), scsi_get32(c + 6));
		break;
	case P_READ_CD:
		read_cd(d, c, p);
		break;
	default:
		say(d, c, p);
	}
}

static void decide(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	switch (c[0]) {
	case P_TEST_READY:
	case P_PREVENT:
	case P_SEEK:
	case P_SYNC:
	case P_SET_SPEED:
		break;
	case P_START_STOP:
		start_stop(d, c, p);
		break;
	case P_INQUIRY:
		inquiry(d, c, p);
		break;
	case P_MODE_SENSE10:
		mode_sense(d, c, p);
		break;
	case P_MECHANISM:
		p->data[5] = 1;
		answer(p, 8, scsi_get16(c + 8));
		break;
	default:
		medium_command(d, c, p);
	}
}

void ata_packet(struct ata_drive *d, const u8 packet[ATA_PACKET], struct ata_plan *p)
{
	const bool pio = p->pio;

	memset(p, 0, sizeof(*p));
	p->status = ATA_READY;
	p->pio = pio;
	p->packet = true;
	p->count = PACKET_DONE;
	p->sets_lba = true;
	if (packet[0] == P_REQUEST_SENSE) {
		request_sense(d, packet, p);
		return;
	}
	d->sense = d->asc = d->ascq = 0;
	decide(d, packet, p);
}

void ata_host_error(struct ata_drive *d, struct ata_plan *p)
{
	if (p->packet)
		fail(d, p, SENSE_MEDIUM, ASC_READ);
	else
		ata_fail(p, p->kind == ATA_READ ? ATA_BAD_DATA : ATA_ABORTED);
}
