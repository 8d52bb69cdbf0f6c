/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet commands of a CD or DVD drive with a medium that nobody can take out
 * or write to (MMC-6; INQUIRY, REQUEST SENSE and MODE SENSE as SPC-3 has them).
 * The medium has one track of data. An image that is larger than a CD is a DVD.
 */
#include <string.h>

#include "ata.h"

enum packet_command {
	P_TEST_READY = 0x00, P_REQUEST_SENSE = 0x03, P_INQUIRY = 0x12, P_START_STOP = 0x1b,
	P_PREVENT = 0x1e, P_READ_CAPACITY = 0x25, P_READ10 = 0x28, P_SEEK = 0x2b, P_SYNC = 0x35,
	P_READ_TOC = 0x43, P_GET_CONFIGURATION = 0x46, P_GET_EVENT = 0x4a,
	P_READ_DISC_INFORMATION = 0x51, P_READ_TRACK_INFORMATION = 0x52, P_MODE_SENSE10 = 0x5a,
	P_READ12 = 0xa8, P_SET_SPEED = 0xbb, P_MECHANISM = 0xbd, P_READ_CD = 0xbe,
};

enum { SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5 };
enum { ASC_BAD_COMMAND = 0x20, ASC_BAD_ADDRESS = 0x21, ASC_BAD_FIELD = 0x24, ASC_READ = 0x11 };

#define CD_BYTES_MAX (900 * MIB)	/* what fits on an overlong CD */
#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010
#define LEAD_OUT 0xaa
#define PREGAP 150			/* sectors before the first */
#define PACKET_DONE 3			/* the count register after a packet command */
#define READ_MAX (32 * MIB)

static u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static u32 be32(const u8 *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static void put16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static u32 blocks(const struct ata_drive *d)
{
	u64 n = d->limits.size / CD_SECTOR;

	return n > 0xffffffff ? 0xffffffff : (u32)n;
}

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
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
		return;
	}
	p->data[0] = 5;			/* a CD drive */
	p->data[1] = 0x80;		/* its medium is removable */
	p->data[3] = 0x21;
	p->data[4] = 31;
	text(p->data + 8, 8, "anykvm");
	text(p->data + 16, 16, "CD-ROM");
	text(p->data + 32, 4, ANYKVM_VERSION);
	answer(p, 36, be16(c + 3));
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
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
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
		put16(at + 8, 706);		/* kB/s */
		put16(at + 10, 2);
		put16(at + 12, 512);		/* kB of buffer */
		put16(at + 14, 706);
		at += 20;
	}
	put16(p->data, (u32)(at - p->data) - 2);
	answer(p, (u32)(at - p->data), be16(c + 7));
}

/* Features: profiles, core, morphing, removable medium, random reading. */
static void get_configuration(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	const u32 current = d->limits.size > CD_BYTES_MAX ? PROFILE_DVD : PROFILE_CD;
	static const u8 features[][12] = {
		{ 0x00, 0x01, 0x03, 4, 0, 0, 0, 1, 1, 0, 0, 0 },
		{ 0x00, 0x03, 0x03, 4, 0x29, 0, 0, 0 },
		{ 0x00, 0x10, 0x01, 8, 0, 0, CD_SECTOR >> 8, 0, 0, 1, 0, 0 },
	};
	u8 *at = p->data + 8;
	unsigned int i;

	put16(p->data + 6, current);
	at[2] = 0x03;				/* the list of profiles */
	at[3] = 8;
	put16(at + 4, PROFILE_DVD);
	at[6] = current == PROFILE_DVD;
	put16(at + 8, PROFILE_CD);
	at[10] = current == PROFILE_CD;
	at += 12;
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (be16(features[i]) < be16(c + 2))
			continue;
		memcpy(at, features[i], 4u + features[i][3]);
		at += 4 + features[i][3];
	}
	put32(p->data, (u32)(at - p->data) - 4);
	answer(p, (u32)(at - p->data), be16(c + 7));
}

/* Nothing ever happens to the medium. */
static void get_event(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	if (!(c[1] & 1)) {			/* only polling */
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
		return;
	}
	p->data[3] = 0x10;			/* class: medium */
	if (!(c[4] & 0x10)) {
		put16(p->data, 2);
		p->data[2] = 0x80;
		answer(p, 4, be16(c + 7));
		return;
	}
	put16(p->data, 6);
	p->data[2] = 4;
	p->data[5] = 2;				/* there is one, the tray is closed */
	answer(p, 8, be16(c + 7));
}

/* --- the medium ----------------------------------------------------------------------- */

static void put_address(u8 *at, u32 sector, bool time)
{
	if (!time) {
		put32(at, sector);
		return;
	}
	sector += PREGAP;
	at[0] = 0;
	at[1] = (u8)(sector / 75 / 60);
	at[2] = (u8)(sector / 75 % 60);
	at[3] = (u8)(sector % 75);
}

static void read_toc(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	const bool time = c[1] & 2;
	const u8 format = c[2] & 15 ? c[2] & 15 : c[9] >> 6;
	u8 *at = p->data + 4;

	if (format > 1 || (format == 0 && c[6] > 1 && c[6] != LEAD_OUT)) {
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
		return;
	}
	p->data[2] = p->data[3] = 1;		/* the first and the last track, or session */
	if (format == 1 || c[6] <= 1) {
		at[1] = 0x14;			/* data */
		at[2] = 1;
		put_address(at + 4, 0, time);
		at += 8;
	}
	if (format == 0) {
		at[1] = 0x14;
		at[2] = LEAD_OUT;
		put_address(at + 4, blocks(d), time);
		at += 8;
	}
	put16(p->data, (u32)(at - p->data) - 2);
	answer(p, (u32)(at - p->data), be16(c + 7));
}

static void disc_information(const u8 *c, struct ata_plan *p)
{
	put16(p->data, 32);
	p->data[2] = 0x0e;			/* complete, and so is its last session */
	p->data[3] = p->data[4] = p->data[5] = p->data[6] = 1;
	p->data[7] = 0x20;
	memset(p->data + 16, 0xff, 8);
	answer(p, 34, be16(c + 7));
}

static void track_information(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	put16(p->data, 34);
	p->data[2] = p->data[3] = 1;
	p->data[5] = 4;				/* data */
	p->data[6] = 1;
	put32(p->data + 24, blocks(d));
	answer(p, 36, be16(c + 7));
}

static void read_blocks(struct ata_drive *d, struct ata_plan *p, u32 first, u32 count)
{
	const u32 all = blocks(d);

	if (first > all || count > all - first) {
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_ADDRESS);
	} else if (count > READ_MAX / CD_SECTOR) {
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
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
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
	else
		read_blocks(d, p, be32(c + 2), be32(c + 5) & 0xffffff);
}

/* The drive neither opens nor stops. */
static void start_stop(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	if ((c[4] & 3) == 2)
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_FIELD);
}

/* --- all of them ------------------------------------------------------------------------ */

static void medium_command(struct ata_drive *d, const u8 *c, struct ata_plan *p)
{
	switch (c[0]) {
	case P_READ_CAPACITY:
		put32(p->data, blocks(d) ? blocks(d) - 1 : 0);
		put32(p->data + 4, CD_SECTOR);
		answer(p, 8, 8);
		break;
	case P_READ10:
		read_blocks(d, p, be32(c + 2), be16(c + 7));
		break;
	case P_READ12:
		read_blocks(d, p, be32(c + 2), be32(c + 6));
		break;
	case P_READ_CD:
		read_cd(d, c, p);
		break;
	case P_READ_TOC:
		read_toc(d, c, p);
		break;
	case P_READ_DISC_INFORMATION:
		disc_information(c, p);
		break;
	case P_READ_TRACK_INFORMATION:
		track_information(d, c, p);
		break;
	default:
		fail(d, p, SENSE_ILLEGAL, ASC_BAD_COMMAND);
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
	case P_GET_CONFIGURATION:
		get_configuration(d, c, p);
		break;
	case P_GET_EVENT:
		get_event(d, c, p);
		break;
	case P_MECHANISM:
		p->data[5] = 1;
		answer(p, 8, be16(c + 8));
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
