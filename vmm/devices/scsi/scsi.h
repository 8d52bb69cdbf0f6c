/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SCSI logical units: disks and CD drives (SPC-4, SBC-3, MMC-6), apart from any
 * transport. A transport gives a command's bytes and gets a plan: what data to
 * answer with, or what to do with the image, or an error. It neither reads nor
 * writes the image here.
 *
 *	scsi.c		commands that every unit has
 *	disk.c		those of disks
 *	cd.c		those of CD and DVD drives, whose medium stays in; mmc.c what such
 *			a drive says of itself, by ATAPI, too
 */
#ifndef VMM_DEVICES_SCSI_H
#define VMM_DEVICES_SCSI_H

#include "../../block/block.h"

#define SCSI_CDB_MAX 32			/* bytes that a command is looked at */
#define SCSI_SENSE_SIZE 18
#define SCSI_DATA_MAX 512		/* of an answer, or of parameters */
#define SCSI_LUNS_MAX 16
#define SCSI_DISK_BLOCK 512u
#define SCSI_CD_BLOCK 2048u
#define SCSI_TRANSFER_MAX (64 * MIB)

enum scsi_status { SCSI_GOOD = 0, SCSI_CHECK_CONDITION = 2 };

struct scsi_unit {
	struct block_limits limits;
	const char *serial;		/* or "" */
	bool cd;
	unsigned int lun;
	u16 luns;			/* a bit for each that the target has */
};

/* What a command comes to. */
enum scsi_action {
	SCSI_DONE,
	SCSI_FAIL,			/* sense says why */
	SCSI_ANSWER,			/* data, of length bytes */
	SCSI_READ, SCSI_WRITE,		/* length bytes at offset of the image */
	SCSI_FLUSH,
	SCSI_DISCARD, SCSI_ZERO,	/* the same range; unmap: its space may be freed */
	SCSI_PARAMETERS,		/* length bytes are to come: scsi_parameters */
};

struct scsi_plan {
	enum scsi_action action;
	u8 sense[3];			/* of SCSI_FAIL: key, code, qualifier */
	u64 offset, length;
	bool fua, unmap;
	u8 data[SCSI_DATA_MAX];
};

/* cdb has SCSI_CDB_MAX bytes, zeros at its end. */
void scsi_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p);
/* Goes on with p->data, of p->length bytes, that came with the command. */
void scsi_parameters(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p);
/* The error of an image while it was read or written. */
void scsi_medium_error(struct scsi_plan *p, bool write);
/* Sense data of fixed form. */
void scsi_sense(const u8 sense[3], u8 bytes[SCSI_SENSE_SIZE]);
/* What a target answers for a logical unit that it has not. */
void scsi_no_unit(const u8 *cdb, u16 luns, struct scsi_plan *p);

/* --- between the files ---------------------------------------------------------------- */

enum {
	SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_PROTECT = 7,
};

enum {
	ASC_WRITE = 0x0c, ASC_READ = 0x11, ASC_COMMAND = 0x20, ASC_ADDRESS = 0x21, ASC_FIELD = 0x24,
	ASC_NO_UNIT = 0x25, ASC_PARAMETER = 0x26, ASC_PROTECTED = 0x27,
};

/* False when it is none of theirs. */
bool scsi_disk_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p);
bool scsi_cd_command(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p);
void scsi_disk_parameters(struct scsi_unit *u, const u8 *cdb, struct scsi_plan *p);
/* Pages of MODE SENSE from at on, those that page asks for (0x3f: all): the end, or NULL. */
u8 *scsi_disk_pages(const struct scsi_unit *u, u8 page, u8 *at);
u8 *scsi_cd_pages(const struct scsi_unit *u, u8 page, u8 *at);

void scsi_fail(struct scsi_plan *p, u8 key, u8 code);
/* n bytes of p->data, as much of it as the driver has room for. */
void scsi_answer(struct scsi_plan *p, u64 n, u64 room);
/* Blocks of the image, and how many bytes one has. */
u64 scsi_blocks(const struct scsi_unit *u);
u32 scsi_block_size(const struct scsi_unit *u);
/* A range of blocks that the image must have. */
void scsi_range(const struct scsi_unit *u, struct scsi_plan *p, enum scsi_action action, u64 first,
		u64 count);

static inline u32 scsi_get16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static inline u32 scsi_get32(const u8 *p)
{
	return scsi_get16(p) << 16 | scsi_get16(p + 2);
}

static inline u64 scsi_get64(const u8 *p)
{
	return (u64)scsi_get32(p) << 32 | scsi_get32(p + 4);
}

static inline void scsi_put16(u8 *p, u32 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static inline void scsi_put32(u8 *p, u32 v)
{
	scsi_put16(p, v >> 16);
	scsi_put16(p + 2, v);
}

static inline void scsi_put64(u8 *p, u64 v)
{
	scsi_put32(p, (u32)(v >> 32));
	scsi_put32(p + 4, (u32)v);
}

#endif
