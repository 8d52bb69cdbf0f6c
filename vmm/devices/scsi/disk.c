/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of disks (SBC-3). */
#include <string.h>

#include "scsi.h"

enum {
	D_READ6 = 0x08, D_WRITE6 = 0x0a, D_READ_CAPACITY10 = 0x25, D_READ10 = 0x28,
	D_WRITE10 = 0x2a, D_VERIFY10 = 0x2f, D_SYNC10 = 0x35, D_WRITE_SAME10 = 0x41,
	D_UNMAP = 0x42, D_READ16 = 0x88,
	D_WRITE16 = 0x8a, D_VERIFY16 = 0x8f, D_SYNC16 = 0x91, D_WRITE_SAME16 = 0x93,
	D_SERVICE_IN16 = 0x9e, D_READ12 = 0xa8, D_WRITE12 = 0xaa, D_VERIFY12 = 0xaf,
};

#define READ_CAPACITY16 0x10		/* a service action */
#define FUA 0x08			/* in the second byte */
#define BYTE_CHECK 0x06			/* of VERIFY: compare with data */
#define SAME_UNMAP 0x08			/* of WRITE SAME */
#define SAME_NO_DATA 0x01
#define UNMAP_HEADER 8
#define UNMAP_RANGE 16

/* Where a command begins and how much it is for, by its length. */
static void place(const u8 *cdb, u64 *first, u64 *count)
{
	switch (cdb[0] >> 5) {
	case 0:
		*first = scsi_get32(cdb) & 0x1fffff;
		*count = cdb[4] ? cdb[4] : 256;
		break;
	case 4:
		*first = scsi_get64(cdb + 2);
		*count = scsi_get32(cdb + 10);
		break;
	case 5:
		*first = scsi_get32(cdb + 2);
		*count = scsi_get32(cdb + 6);
		break;
	default:
		*first = scsi_get32(cdb + 2);
		*count = scsi_get16(cdb + 7);
	}
}

static void transfer(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p, bool write)
{
	u64 first, count;

	place(cdb, &first, &count);
	if (write && u->limits.readonly)
		scsi_fail(p, SENSE_PROTECT, ASC_PROTECTED);
	else
		scsi_range(u, p, write ? SCSI_WRITE : SCSI_READ, first, count);
	p->fua = write && cdb[0] >> 5 && cdb[1] & FUA;
}

static void verify(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	u64 first, count;

	place(cdb, &first, &count);
	if (cdb[1] & BYTE_CHECK)
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
	else
		scsi_range(u, p, SCSI_DONE, first, count);
}

static void capacity(const struct scsi_unit *u, struct scsi_plan *p, const u8 *cdb, bool wide)
{
	u64 last = scsi_blocks(u) ? scsi_blocks(u) - 1 : 0;
	u32 physical = u->limits.best / SCSI_DISK_BLOCK;

	if (!wide) {
		scsi_put32(p->data, last < 0xffffffff ? (u32)last : 0xffffffff);
		scsi_put32(p->data + 4, SCSI_DISK_BLOCK);
		scsi_answer(p, 8, 8);
		return;
	}
	scsi_put64(p->data, last);
	scsi_put32(p->data + 8, SCSI_DISK_BLOCK);
	p->data[13] = physical > 1 ? (u8)(31 - __builtin_clz(physical)) : 0;
	if (!u->limits.readonly)
		p->data[14] = 0x80;		/* space can be given back */
	scsi_answer(p, 32, scsi_get32(cdb + 10));
}

/* --- space that is given back -------------------------------------------------------------- */

static void want_parameters(const struct scsi_unit *u, struct scsi_plan *p, u64 len)
{
	if (u->limits.readonly) {
		scsi_fail(p, SENSE_PROTECT, ASC_PROTECTED);
	} else if (len > SCSI_DATA_MAX) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
	} else {
		p->action = len ? SCSI_PARAMETERS : SCSI_DONE;
		p->length = len;
	}
}

static void unmap(const struct scsi_unit *u, struct scsi_plan *p)
{
	const u8 *range = p->data + UNMAP_HEADER;
	u64 len = p->length;

	if (len < UNMAP_HEADER || scsi_get16(p->data + 2) > len - UNMAP_HEADER ||
	    scsi_get16(p->data + 2) > UNMAP_RANGE) {
		scsi_fail(p, SENSE_ILLEGAL, ASC_PARAMETER);
	} else if (scsi_get16(p->data + 2) < UNMAP_RANGE) {
		p->action = SCSI_DONE;
	} else {
		scsi_range(u, p, SCSI_DISCARD, scsi_get64(range), scsi_get32(range + 8));
	}
}

/* A block of zeros for all of a range. */
static void write_same(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	u64 first, count, i;

	for (i = 0; i < p->length; i++)
		if (p->data[i]) {
			scsi_fail(p, SENSE_ILLEGAL, ASC_PARAMETER);
			return;
		}
	place(cdb, &first, &count);
	if (!count)
		count = first < scsi_blocks(u) ? scsi_blocks(u) - first : 0;
	scsi_range(u, p, SCSI_ZERO, first, count);
	p->unmap = cdb[1] & SAME_UNMAP;
}

static void begin_write_same(const struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	if (cdb[0] == D_WRITE_SAME16 && cdb[1] & SAME_NO_DATA && !u->limits.readonly)
		write_same(u, cdb, p);
	else
		want_parameters(u, p, SCSI_DISK_BLOCK);
}

void scsi_disk_parameters(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	if (cdb[0] == D_UNMAP)
		unmap(u, p);
	else
		write_same(u, cdb, p);
}

/* --- all of them --------------------------------------------------------------------------- */

/* The caching page: writes may wait in the host's memory until they are flushed. */
u8 *scsi_disk_pages(const struct scsi_unit *u, u8 page, u8 *at)
{
	(void)u;
	if (page != 0x08 && page != 0x3f)
		return NULL;
	at[0] = 0x08;
	at[1] = 18;
	at[2] = 0x04;
	return at + 20;
}

bool scsi_disk_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	switch (cdb[0]) {
	case D_READ6:
	case D_READ10:
	case D_READ12:
	case D_READ16:
		transfer(u, cdb, p, false);
		return true;
	case D_WRITE6:
	case D_WRITE10:
	case D_WRITE12:
	case D_WRITE16:
		transfer(u, cdb, p, true);
		return true;
	case D_VERIFY10:
	case D_VERIFY12:
	case D_VERIFY16:
		verify(u, cdb, p);
		return true;
	case D_SYNC10:
	case D_SYNC16:
		p->action = SCSI_FLUSH;
		return true;
	case D_READ_CAPACITY10:
		capacity(u, p, cdb, false);
		return true;
	case D_SERVICE_IN16:
		if ((cdb[1] & 0x1f) != READ_CAPACITY16)
			return false;
		capacity(u, p, cdb, true);
		return true;
	case D_UNMAP:
		want_parameters(u, p, scsi_get16(cdb + 7));
		return true;
	case D_WRITE_SAME10:
	case D_WRITE_SAME16:
		begin_write_same(u, cdb, p);
		return true;
	}
	return false;
}
