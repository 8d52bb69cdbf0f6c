/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of CD and DVD drives: see mmc.h. */
#include <string.h>

#include "mmc.h"
#include "scsi.h"

enum {
	M_READ_CAPACITY = 0x25, M_READ_TOC = 0x43, M_GET_CONFIGURATION = 0x46, M_GET_EVENT = 0x4a,
	M_DISC_INFORMATION = 0x51, M_TRACK_INFORMATION = 0x52,
};

#define CD_BYTES_MAX (900 * MIB)	/* what fits on an overlong CD */
#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010
#define LEAD_OUT 0xaa
#define PREGAP 150		/* blocks before the first one, in addresses by time */
#define EVENT_MEDIUM 0x10

u32 mmc_blocks(u64 size)
{
	u64 n = size / SCSI_CD_BLOCK;

	return n < 0xffffffff ? (u32)n : 0xffffffff;
}

/* --- the medium -------------------------------------------------------------------------- */

static int read_capacity(u64 size, u8 *data)
{
	u32 blocks = mmc_blocks(size);

	scsi_put32(data, blocks ? blocks - 1 : 0);
	scsi_put32(data + 4, SCSI_CD_BLOCK);
	return 8;
}

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

/* Of tracks, or of sessions. Old drivers have the format in the last byte (SFF-8020). */
static int read_toc(u64 size, const u8 *cdb, u8 *data)
{
	const u8 format = cdb[2] & 15 ? cdb[2] & 15 : cdb[9] >> 6;
	bool time = cdb[1] & 2;
	u8 *at = data + 4;

	if (format > 1 || (format == 0 && cdb[6] > 1 && cdb[6] != LEAD_OUT))
		return MMC_BAD_FIELD;
	data[2] = data[3] = 1;		/* the first and the last: track, or session */
	if (format == 1 || cdb[6] <= 1)
		at = put_track(at, 1, 0, time);
	if (format == 0)
		at = put_track(at, LEAD_OUT, mmc_blocks(size), time);
	scsi_put16(data, (u32)(at - data) - 2);
	return (int)(at - data);
}

static int disc_information(u8 *data)
{
	scsi_put16(data, 32);
	data[2] = 0x0e;			/* it is complete, and so is its last session */
	memset(data + 3, 1, 4);
	data[7] = 0x20;
	return 34;
}

static int track_information(u64 size, u8 *data)
{
	scsi_put16(data, 34);
	data[2] = data[3] = 1;
	data[5] = 4;			/* data */
	data[6] = 1;
	scsi_put32(data + 24, mmc_blocks(size));
	return 36;
}

/* --- the drive --------------------------------------------------------------------------- */

/* From the feature that is asked for on; only the one with its number, when type is 2. */
static int get_configuration(u64 size, const u8 *cdb, u8 *data)
{
	const bool dvd = size > CD_BYTES_MAX;
	const u8 features[][12] = {
		{ 0, 0x00, 0x03, 8, 0, PROFILE_DVD, dvd, 0, 0, PROFILE_CD, !dvd, 0 },
		{ 0, 0x01, 0x03, 8, 0, 0, 0, 1, 0, 0, 0, 0 },
		{ 0, 0x03, 0x03, 4, 0x29, 0, 0, 0 },
		{ 0, 0x10, 0x01, 8, 0, 0, SCSI_CD_BLOCK >> 8, 0, 0, 1, 0, 0 },
	};
	u32 from = scsi_get16(cdb + 2);
	u8 *at = data + 8;
	unsigned int i;

	scsi_put16(data + 6, dvd ? PROFILE_DVD : PROFILE_CD);
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if ((cdb[1] & 3) == 2 ? features[i][1] != from : features[i][1] < from)
			continue;
		memcpy(at, features[i], 4u + features[i][3]);
		at += 4 + features[i][3];
	}
	scsi_put32(data, (u32)(at - data) - 4);
	return (int)(at - data);
}

/* Asked for by polling only; nothing ever happens. */
static int get_event(const u8 *cdb, u8 *data)
{
	if (!(cdb[1] & 1))
		return MMC_BAD_FIELD;
	data[3] = EVENT_MEDIUM;
	if (cdb[4] & EVENT_MEDIUM) {
		scsi_put16(data, 6);
		data[2] = 4;
		data[5] = 2;		/* there is a medium */
		return 8;
	}
	scsi_put16(data, 2);
	data[2] = 0x80;
	return 4;
}

int mmc_answer(u64 size, const u8 *cdb, u8 *data, u32 *room)
{
	*room = scsi_get16(cdb + 7);
	switch (cdb[0]) {
	case M_READ_CAPACITY:
		*room = 8;
		return read_capacity(size, data);
	case M_READ_TOC:
		return read_toc(size, cdb, data);
	case M_GET_CONFIGURATION:
		return get_configuration(size, cdb, data);
	case M_GET_EVENT:
		return get_event(cdb, data);
	case M_DISC_INFORMATION:
		return disc_information(data);
	case M_TRACK_INFORMATION:
		return track_information(size, data);
	default:
		return MMC_OTHER;
	}
}
