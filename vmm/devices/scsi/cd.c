/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of CD and DVD drives: those that move data, and what mmc.h has no answer for. */
#include "mmc.h"
#include "scsi.h"

enum { M_READ10 = 0x28, M_SYNC = 0x35, M_READ12 = 0xa8, M_SET_SPEED = 0xbb };

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

bool scsi_cd_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p)
{
	u32 room;
	int n;

	switch (cdb[0]) {
	case M_READ10:
		scsi_range(u, p, SCSI_READ, scsi_get32(cdb + 2), scsi_get16(cdb + 7));
		return true;
	case M_READ12:
		scsi_range(u, p, SCSI_READ, scsi_get32(cdb + 2), scsi_get32(cdb + 6));
		return true;
	case M_SYNC:
	case M_SET_SPEED:
		return true;
	}
	n = mmc_answer(u->limits.size, cdb, p->data, &room);
	if (n == MMC_BAD_FIELD)
		scsi_fail(p, SENSE_ILLEGAL, ASC_FIELD);
	else if (n != MMC_OTHER)
		scsi_answer(p, (u64)n, room);
	return n != MMC_OTHER;
}
