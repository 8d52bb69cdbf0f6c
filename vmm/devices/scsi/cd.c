/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of CD and DVD drives (MMC-6): the medium is an image with one track
 * of data, which stays in. What is larger than a CD is a DVD.
 */
#include <string.h>

#include "scsi.h"

enum {
	M_READ_CAPACITY = 0x25, M_READ10 = 0x28, M_SYNC = 0x35, M_READ_TOC = 0x43,
	M_GET_CONFIGURATION = 0x46, M_GET_EVENT = 0x4a, M_DISC_INFORMATION = 0x51,
	M_TRACK_INFORMATION = 0x52, M_READ12 = 0xa8, M_SET_SPEED = 0xbb,
};

#define CD_BYTES_MAX (900 * MIB)
#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010
#define LEAD_OUT 0xaa
#define PREGAP 150		/* blocks before the first one, in addresses by time */
#define EVENT_MEDIUM 0x10

static u32 blocks(const struct scsi_unit *u)
{
	return scsi_blocks(u) < 0xffffffff ? (u32)scsi_blocks(u) : 0xffffffff;
}

static bool is_dvd(const struct scsi_unit *u)
{
	return u->limits.size > CD_BYTES_MAX;
}

/* Error recovery, and what the drive can do. */
u8 *scsi_cd_pages(const struct scsi_unit *u, u8 page, u8 *at)
{
	(void)u;
	if (page == 0x01 || page == 0x3f) {
		at[0] = 0x01;
		at[1] = 10;
		at += 12;
	}
	if (page == 0x2a || page == 0x3f) {
		at[0] = 0x2a;
		at[1] = 18;
		at[2] = 0x3b;		/* reads CD-R, CD-RW, DVD-ROM and writable DVDs */
		at[6] = 0x20;		/* a tray */
		at += 20;
	}
	return page == 0x01 || page == 0x2a || page == 0x3f ? at : NULL;
}

/* --- the table of contents --------------------------------------------------------------- */

static void put_address(u8 *at, u32 block, bool time)
{
	if (!time) {
		scsi_put32(at, block);
		return;
	}
	block += PREGAP;
	at[1] = (u8)(block / 75 / 60);
	at[2] = (u8)(block / 75 % 60);
	at[3] = (u8)(block % 75);
}

static u8 *put_track(u8 *at, u8 number, u32 block, bool time)
{
	at[1] = 0x14;			/* data, not to be copied as sound */
	at[2] = number;
	put_address(at + 4, block, time);
	return at + 8;
}

static void read_toc(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	bool time = cdb[1] & 2;
	u8 format = cdb[2] & 15, *at = p->data + 4;

	if (format > 1 || (format == 0 && cdb[6] > 1 && cdb[6] != LEAD_OUT)) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	p->data[2] = p->data[3] = 1;	/* the first and the last: track, or session */
	if (format == 1 || cdb[6] <= 1)
		at = put_track(at, 1, 0, time);
	if (format == 0)
		at = put_track(at, LEAD_OUT, blocks(u), time);
	scsi_put16(p->data, (u32)(at - p->data) - 2);
	scsi_answer(p, (u64)(at - p->data), scsi_get16(cdb + 7));
}

/* --- what the drive is --------------------------------------------------------------------- */

/* From the feature that is asked for on; only the one with its number, when type is 2. */
static void get_configuration(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	const u8 features[][12] = {
		{ 0, 0x00, 0x03, 8, 0, PROFILE_DVD, is_dvd(u), 0, 0, PROFILE_CD, !is_dvd(u), 0 },
		{ 0, 0x01, 0x03, 8, 0, 0, 0, 1, 0, 0, 0, 0 },
		{ 0, 0x03, 0x03, 4, 0x29, 0, 0, 0 },
		{ 0, 0x10, 0x01, 8, 0, 0, SCSI_CD_BLOCK >> 8, 0, 0, 1, 0, 0 },
	};
	u32 from = scsi_get16(cdb + 2);
	u8 *at = p->data + 8;
	unsigned int i;

	scsi_put16(p->data + 6, is_dvd(u) ? PROFILE_DVD : PROFILE_CD);
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if ((cdb[1] & 3) == 2 ? features[i][1] != from : features[i][1] < from)
			continue;
		memcpy(at, features[i], 4u + features[i][3]);
		at += 4 + features[i][3];
	}
	scsi_put32(p->data, (u32)(at - p->data) - 4);
	scsi_answer(p, (u64)(at - p->data), scsi_get16(cdb + 7));
}

/* Asked for by polling only; nothing ever happens. */
static void get_event(const u8 *cdb, struct scsi_plan *p)
{
	if (!(cdb[1] & 1)) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	p->data[3] = EVENT_MEDIUM;
	if (cdb[4] & EVENT_MEDIUM) {
		scsi_put16(p->data, 6);
		p->data[2] = 4;
		p->data[5] = 2;		/* there is a medium */
		scsi_answer(p, 8, scsi_get16(cdb + 7));
	} else {
		scsi_put16(p->data, 2);
		p->data[2] = 0x80;
		scsi_answer(p, 4, scsi_get16(cdb + 7));
	}
}

static void disc_information(const u8 *cdb, struct scsi_plan *p)
{
	scsi_put16(p->data, 32);
	p->data[2] = 0x0e;		/* it is complete, and so is its last session */
	memset(p->data + 3, 1, 4);
	p->data[7] = 0x20;
	scsi_answer(p, 34, scsi_get16(cdb + 7));
}

static void track_information(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	scsi_put16(p->data, 34);
	p->data[2] = p->data[3] = 1;
	p->data[5] = 4;			/* data */
	p->data[6] = 1;
	scsi_put32(p->data + 24, blocks(u));
	scsi_answer(p, 36, scsi_get16(cdb + 7));
}

bool scsi_cd_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	switch (cdb[0]) {
	case M_READ_CAPACITY:
		scsi_put32(p->data, blocks(u) ? blocks(u) - 1 : 0);
		scsi_put32(p->data + 4, SCSI_CD_BLOCK);
		scsi_answer(p, 8, 8);
		break;
	case M_READ10:
		scsi_range(u, p, SCSI_READ, scsi_get32(cdb + 2), scsi_get16(cdb + 7));
		break;
	case M_READ12:
		scsi_range(u, p, SCSI_READ, scsi_get32(cdb + 2), scsi_get32(cdb + 6));
		break;
	case M_READ_TOC:
		read_toc(u, cdb, p);
		break;
	case M_GET_CONFIGURATION:
		get_configuration(u, cdb, p);
		break;
	case M_GET_EVENT:
		get_event(cdb, p);
		break;
	case M_DISC_INFORMATION:
		disc_information(cdb, p);
		break;
	case M_TRACK_INFORMATION:
		track_information(u, cdb, p);
		break;
	case M_SYNC:
	case M_SET_SPEED:
		break;
	default:
		return false;
	}
	return true;
}
