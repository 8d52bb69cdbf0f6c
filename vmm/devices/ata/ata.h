/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ATA drives (ATA8-ACS; packet commands as MMC-6 and SPC-3 have them) apart from
 * how they are connected. A controller takes the driver's registers and asks
 * what the command means; the answer is a plan, which it carries out with the
 * means of its bus. What a plan names lies on the drive: the controller need
 * not look at it again.
 *
 * No locks: a controller has its own.
 */
#ifndef VMM_DEVICES_ATA_ATA_H
#define VMM_DEVICES_ATA_ATA_H

#include "../../backends/disk.h"
#include "../device.h"

#define ATA_SECTOR 512u
#define ATA_BLOCK 512u		/* bytes of the small answers */
#define CD_SECTOR 2048u
#define ATA_PACKET 12u		/* bytes of a packet command */

enum ata_status { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_SEEK = 0x10, ATA_DF = 0x20, ATA_READY = 0x40,
	ATA_BUSY = 0x80 };
enum ata_error { ATA_ABORTED = 0x04, ATA_NO_ID = 0x10, ATA_BAD_DATA = 0x40 };

#define ATA_GOOD (ATA_READY | ATA_SEEK)
#define ATA_DEVICE_LBA 0x40
#define ATA_CONTROL_RESET 0x04
#define ATA_CONTROL_NIEN 0x02

#define ATA_SIGNATURE_DISK 0x00000101u	/* LBA high, mid, low and count after a reset */
#define ATA_SIGNATURE_CD 0xeb140101u

struct ata_drive {
	struct disk *disk;
	struct block_limits limits;
	bool cd;
	bool ncq;		/* the controller can queue, and trim */
	bool writeback;		/* flushes are the driver's affair */
	u8 multiple;		/* sectors in a block of READ MULTIPLE; 0: not set */
	bool queue_error;	/* a queued command failed; log page 10h tells */
	u8 failed_tag, failed_status, failed_error;
	u8 sense, asc, ascq;	/* of the last packet command */
};

/* What the driver wrote. */
struct ata_taskfile {
	u8 command, device;
	u16 feature, count;
	u64 lba;		/* 48 bits */
};

enum ata_kind {
	ATA_DONE,		/* there is nothing more to do */
	ATA_FAIL,		/* status and error tell why */
	ATA_IN,			/* length bytes of data[] for the driver */
	ATA_READ, ATA_WRITE,	/* length bytes at offset of the disk */
	ATA_FLUSH,
	ATA_TRIM,		/* length bytes from the driver, to data[]; ata_trim_range */
	ATA_TAKE_PACKET,	/* a packet command, for ata_packet() */
};

struct ata_plan {
	enum ata_kind kind;
	u8 status, error;	/* the registers at the end, if all goes well */
	bool pio;		/* data goes word by word, where a bus knows a difference */
	bool queued, fua;
	bool packet;		/* of a packet command */
	u8 tag;
	u32 block;		/* bytes of data for one DRQ, with pio */
	u64 offset;
	u32 length;		/* bytes: at most 32 MiB */
	u64 lba;		/* registers that the command sets */
	u16 count;
	bool sets_lba;
	u8 data[ATA_BLOCK];
};

/* Takes over a disk of the registry; false after an error line. */
bool ata_open(struct ata_drive *d, struct board *b, struct props *p, bool cd);
void ata_close(struct ata_drive *d, struct board *b);

/* The state after a reset. */
void ata_reset(struct ata_drive *d);
static inline u32 ata_signature(const struct ata_drive *d)
{
	return d->cd ? ATA_SIGNATURE_CD : ATA_SIGNATURE_DISK;
}

/* What a command asks for. */
void ata_plan(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p);
/* Has a plan fail. */
void ata_fail(struct ata_plan *p, u8 error);
/* The plan of a packet command, in place of the one that asked for the packet. */
void ata_packet(struct ata_drive *d, const u8 packet[ATA_PACKET], struct ata_plan *p);
/* The host failed at what was planned. */
void ata_host_error(struct ata_drive *d, struct ata_plan *p);
/*
 * The n-th range of a trim plan's data: 1, 0 for one without sectors, -1 at the
 * end or for one that is not on the disk (which fails the plan).
 */
int ata_trim_range(struct ata_drive *d, struct ata_plan *p, unsigned int n, u64 *offset,
		   u64 *bytes);
#define ATA_TRIM_RANGES (ATA_BLOCK / 8)

/* --- between the files of this folder ------------------------------------------- */

void ata_identify(const struct ata_drive *d, u8 data[ATA_BLOCK]);

#endif
