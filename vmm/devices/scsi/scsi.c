/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that every logical unit has (SPC-4), and what the files share: see scsi.h. */
#include <string.h>

#include "scsi.h"

enum {
	C_TEST_UNIT_READY = 0x00, C_REQUEST_SENSE = 0x03, C_INQUIRY = 0x12, C_MODE_SENSE6 = 0x1a,
	C_START_STOP = 0x1b, C_PREVENT = 0x1e, C_MODE_SENSE10 = 0x5a, C_REPORT_LUNS = 0xa0,
};

enum { VPD_PAGES = 0x00, VPD_SERIAL = 0x80, VPD_NAME = 0x83, VPD_LIMITS = 0xb0, VPD_KIND = 0xb1,
       VPD_THIN = 0xb2 };

#define VERSION 6		/* SPC-4 */
#define DATA_FORMAT 0x12	/* of INQUIRY; addresses of units as SAM has them */
#define PAGE_ALL 0x3f
#define UNMAP_BLOCKS_MAX (1U << 21)	/* 1 GiB a command */
#define TYPE_DISK 0
#define TYPE_CD 5

/* --- shared ------------------------------------------------------------------------------ */

void scsi_fail(struct scsi_plan *p, u8 key, u8 code)
{
	p->action = SCSI_FAIL;
	p->length = 0;
	p->sense[0] = key;
	p->sense[1] = code;
	p->sense[2] = 0;
}

void scsi_answer(struct scsi_plan *p, u64 n, u64 room)
{
	p->action = SCSI_ANSWER;
	p->length = n < room ? n : room;
}

u32 scsi_block_size(const struct scsi_unit *u)
{
	return u->cd ? SCSI_CD_BLOCK : SCSI_DISK_BLOCK;
}

u64 scsi_blocks(const struct scsi_unit *u)
{
	return u->limits.size / scsi_block_size(u);
}

void scsi_range(const struct scsi_unit *u, struct scsi_plan *p, enum scsi_action action, u64 first,
		u64 count)
{
	u64 all = scsi_blocks(u);

	if (first > all || count > all - first) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_ADDRESS);
		return;
	}
	p->action = count ? action : SCSI_DONE;
	p->offset = first * scsi_block_size(u);
	p->length = count * scsi_block_size(u);
	if ((action == SCSI_READ || action == SCSI_WRITE) && p->length > SCSI_TRANSFER_MAX)
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
}

void scsi_medium_error(struct scsi_plan *p, bool write)
{
	scsi_fail(p, SENSE_MEDIUM, write ? ASC_WRITE : ASC_READ);
}

void scsi_sense(const u8 sense[3], u8 bytes[SCSI_SENSE_SIZE])
{
	memset(bytes, 0, SCSI_SENSE_SIZE);
	bytes[0] = 0x70;
	bytes[2] = sense[0];
	bytes[7] = SCSI_SENSE_SIZE - 8;
	bytes[12] = sense[1];
	bytes[13] = sense[2];
}

static void put_text(u8 *to, size_t size, const char *s)
{
	size_t len = strlen(s);

	memset(to, ' ', size);
	memcpy(to, s, len < size ? len : size);
}

/* --- INQUIRY --------------------------------------------------------------------------------- */

static void identify(const struct scsi_unit *u, struct scsi_plan *p, u64 room)
{
	p->data[0] = u->cd ? TYPE_CD : TYPE_DISK;
	p->data[1] = u->cd ? 0x80 : 0;		/* its medium is removable */
	p->data[2] = VERSION;
	p->data[3] = DATA_FORMAT;
	p->data[4] = 36 - 5;
	p->data[7] = 2;				/* several commands at a time */
	put_text(p->data + 8, 8, "anykvm");
	put_text(p->data + 16, 16, u->cd ? "CD-ROM" : "disk");
	put_text(p->data + 32, 4, ANYKVM_VERSION);
	scsi_answer(p, 36, room);
}

/* The bytes after the header of four. */
static u32 product_data(const struct scsi_unit *u, u8 page, u8 *at)
{
	static const u8 pages[] = {
		VPD_PAGES, VPD_SERIAL, VPD_NAME, VPD_LIMITS, VPD_KIND, VPD_THIN,
	};
	const char *serial = *u->serial ? u->serial : "anykvm";
	u32 len = (u32)strnlen(serial, 32);

	switch (page) {
	case VPD_PAGES:
		len = u->cd ? 3 : sizeof(pages);
		memcpy(at, pages, len);
		return len;
	case VPD_SERIAL:
		memcpy(at, serial, len);
		return len;
	case VPD_NAME:
		at[0] = 0x02;			/* ASCII, by the vendor */
		at[1] = 0x01;
		at[3] = (u8)(8 + len + 1);
		put_text(at + 4, 8, "anykvm");
		memcpy(at + 12, serial, len);
		at[12 + len] = (u8)('a' + u->lun);
		return 12 + len + 1;
	}
	if (u->cd)
		return 0;
	switch (page) {
	case VPD_LIMITS:
		at[1] = 1;			/* WRITE SAME says how many blocks */
		scsi_put16(at + 2, u->limits.best / SCSI_DISK_BLOCK);
		scsi_put32(at + 4, SCSI_TRANSFER_MAX / SCSI_DISK_BLOCK);
		scsi_put32(at + 16, UNMAP_BLOCKS_MAX);
		scsi_put32(at + 20, 1);		/* one range a command */
		scsi_put32(at + 24, u->limits.granularity / SCSI_DISK_BLOCK);
		scsi_put64(at + 32, UNMAP_BLOCKS_MAX);
		return 60;
	case VPD_KIND:
		scsi_put16(at, 1);		/* nothing in it turns */
		return 60;
	case VPD_THIN:
		/* UNMAP, and WRITE SAME (16) for it */
		at[1] = u->limits.readonly ? 0 : 0x80 | 0x40;
		at[2] = 2;			/* thin */
		return 4;
	}
	return 0;
}

static void inquiry(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	u32 room = scsi_get16(cdb + 3), len;

	if (!(cdb[1] & 1) && cdb[2]) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	if (!(cdb[1] & 1)) {
		identify(u, p, room);
		return;
	}
	len = product_data(u, cdb[2], p->data + 4);
	if (!len) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	p->data[0] = u->cd ? TYPE_CD : TYPE_DISK;
	p->data[1] = cdb[2];
	scsi_put16(p->data + 2, len);
	scsi_answer(p, 4 + len, room);
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Values that could be changed are none; block descriptors are left out. */
static void mode_sense(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	bool ten = cdb[0] == C_MODE_SENSE10;
	u32 header = ten ? 8 : 4, len;
	u8 page = cdb[2] & 0x3f, *at = p->data + header, *end;

	end = u->cd ? scsi_cd_pages(u, page, at) : scsi_disk_pages(u, page, at);
	if (cdb[2] >> 6 == 3 || !end || (cdb[3] && cdb[3] != 0xff)) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
		return;
	}
	if (cdb[2] >> 6 == 1)		/* which bits may change: none, after each page's header */
		for (; at < end; at += 2 + at[1])
			memset(at + 2, 0, at[1]);
	len = (u32)(end - p->data);
	p->data[ten ? 3 : 2] = u->cd ? 0 : (u8)(0x10 | (u->limits.readonly ? 0x80 : 0));
	if (ten)
		scsi_put16(p->data, len - 2);
	else
		p->data[0] = (u8)(len - 1);
	scsi_answer(p, len, ten ? scsi_get16(cdb + 7) : cdb[4]);
}

static void report_luns(u16 luns, const u8 *cdb, struct scsi_plan *p)
{
	u32 n = 0, i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (luns & 1u << i)
			p->data[8 + 8 * n++ + 1] = (u8)i;
	scsi_put32(p->data, 8 * n);
	scsi_answer(p, 8 + 8 * n, scsi_get32(cdb + 6));
}

/* Nothing: every error was told with its command. */
static void request_sense(const u8 *cdb, struct scsi_plan *p)
{
	static const u8 none[3];

	scsi_sense(none, p->data);
	scsi_answer(p, SCSI_SENSE_SIZE, cdb[4]);
}

void scsi_no_unit(const u8 *cdb, u16 luns, struct scsi_plan *p)
{
	static const u8 none[3] = { SENSE_ILLEGAL, ASC_NO_UNIT, 0 };

	memset(p, 0, sizeof(*p));
	if (cdb[0] == C_INQUIRY && !(cdb[1] & 1)) {
		p->data[0] = 0x7f;
		/* only whoever knows SPC-3 asks which units there are instead */
		p->data[2] = VERSION;
		p->data[3] = DATA_FORMAT;
		p->data[4] = 36 - 5;
		scsi_answer(p, 36, scsi_get16(cdb + 3));
	} else if (cdb[0] == C_REPORT_LUNS) {
		report_luns(luns, cdb, p);
	} else if (cdb[0] == C_REQUEST_SENSE) {
		scsi_sense(none, p->data);
		scsi_answer(p, SCSI_SENSE_SIZE, cdb[4]);
	} else {
		scsi_fail(p, SENSE_ILLEGAL, ASC_NO_UNIT);
	}
}

void scsi_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	memset(p, 0, sizeof(*p));
	switch (cdb[0]) {
	case C_TEST_UNIT_READY:
	case C_START_STOP:		/* nothing turns, and the medium stays in */
	case C_PREVENT:
		break;
	case C_REQUEST_SENSE:
		request_sense(cdb, p);
		break;
	case C_INQUIRY:
		inquiry(u, cdb, p);
		break;
	case C_MODE_SENSE6:
	case C_MODE_SENSE10:
		mode_sense(u, cdb, p);
		break;
	case C_REPORT_LUNS:
		report_luns(u->luns, cdb, p);
		break;
	default:
		if (!(u->cd ? scsi_cd_command(u, cdb, p) : scsi_disk_command(u, cdb, p)))
			scsi_fail(p, SENSE_ILLEGAL, ASC_COMMAND);
	}
}

void scsi_parameters(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	scsi_disk_parameters(u, cdb, p);
}
