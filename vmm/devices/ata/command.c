/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of ATA drives (ATA8-ACS, chapter 7): what each asks for. */
#include <string.h>

#include "../../backends/registry.h"
#include "ata.h"

enum command {
	C_NOP = 0x00, C_TRIM = 0x06, C_DEVICE_RESET = 0x08, C_RECALIBRATE = 0x10,
	C_READ = 0x20, C_READ_ONCE = 0x21, C_READ_EXT = 0x24, C_READ_DMA_EXT = 0x25,
	C_NATIVE_MAX_EXT = 0x27, C_READ_MULTIPLE_EXT = 0x29, C_READ_LOG_EXT = 0x2f,
	C_WRITE = 0x30, C_WRITE_ONCE = 0x31, C_WRITE_EXT = 0x34, C_WRITE_DMA_EXT = 0x35,
	C_WRITE_MULTIPLE_EXT = 0x39, C_WRITE_DMA_FUA_EXT = 0x3d,
	C_VERIFY = 0x40, C_VERIFY_ONCE = 0x41, C_VERIFY_EXT = 0x42, C_READ_LOG_DMA_EXT = 0x47,
	C_READ_QUEUED = 0x60, C_WRITE_QUEUED = 0x61, C_SEEK = 0x70, C_DIAGNOSTIC = 0x90,
	C_PARAMETERS = 0x91, C_PACKET = 0xa0, C_IDENTIFY_PACKET = 0xa1,
	C_READ_MULTIPLE = 0xc4, C_WRITE_MULTIPLE = 0xc5, C_SET_MULTIPLE = 0xc6,
	C_READ_DMA = 0xc8, C_READ_DMA_ONCE = 0xc9, C_WRITE_DMA = 0xca, C_WRITE_DMA_ONCE = 0xcb,
	C_WRITE_MULTIPLE_FUA_EXT = 0xce,
	C_STANDBY_NOW = 0xe0, C_IDLE_NOW = 0xe1, C_STANDBY = 0xe2, C_IDLE = 0xe3,
	C_CHECK_POWER = 0xe5, C_SLEEP = 0xe6, C_FLUSH = 0xe7, C_FLUSH_EXT = 0xea,
	C_IDENTIFY = 0xec, C_FEATURES = 0xef, C_NATIVE_MAX = 0xf8,
};

enum { F_WRITE_CACHE = 0x02, F_TRANSFER_MODE = 0x03, F_NO_READ_AHEAD = 0x55,
	F_NO_WRITE_CACHE = 0x82, F_READ_AHEAD = 0xaa };

#define HEADS 16u
#define TRACK 63u
#define MULTIPLE_MAX 16
#define LOG_DIRECTORY 0x00
#define LOG_QUEUE_ERROR 0x10
#define TRIM_FEATURE 1

void ata_fail(struct ata_plan *p, u8 error)
{
	p->kind = ATA_FAIL;
	p->status = ATA_GOOD | ATA_ERR;
	p->error = error;
}

/* --- addresses ---------------------------------------------------------------------- */

static u64 first_sector(const struct ata_taskfile *t, bool wide)
{
	u32 low = (u32)(t->lba & 0xffffff), cylinder = low >> 8;

	if (wide)
		return t->lba & 0xffffffffffffULL;
	if (t->device & ATA_DEVICE_LBA)
		return low | (u32)(t->device & 15) << 24;
	/* a sector's number counts from 1 */
	return (u64)(cylinder * HEADS + (t->device & 15)) * TRACK + (low & 0xff) - 1;
}

static u32 sectors(u16 count, bool wide)
{
	if (wide)
		return count ? count : 0x10000;
	return count & 0xff ? count & 0xff : 0x100;
}

/* Sectors of the disk; fails the plan when they are not all on it. */
static bool range(struct ata_drive *d, struct ata_plan *p, u64 first, u32 count)
{
	u64 all = d->limits.size / ATA_SECTOR;

	if (first >= all || count > all - first) {
		ata_fail(p, ATA_NO_ID);
		return false;
	}
	p->offset = first * ATA_SECTOR;
	p->length = count * ATA_SECTOR;
	return true;
}

static void transfer(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p,
		     enum ata_kind kind, bool wide)
{
	if (!range(d, p, first_sector(t, wide), sectors(t->count, wide)))
		return;
	if (kind == ATA_WRITE && d->limits.readonly) {
		ata_fail(p, ATA_ABORTED);
		return;
	}
	p->kind = kind;
	p->block = ATA_SECTOR;
	if (kind == ATA_WRITE && !d->writeback)
		p->fua = true;
}

static void multiple(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p,
		     enum ata_kind kind, bool wide)
{
	if (!d->multiple) {
		ata_fail(p, ATA_ABORTED);
		return;
	}
	transfer(d, t, p, kind, wide);
	p->pio = true;
	p->block = d->multiple * ATA_SECTOR;
}

/* The tag is where other commands have the count, and the count in the features. */
static void queued(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	struct ata_taskfile wide = *t;

	if (!d->ncq) {
		ata_fail(p, ATA_ABORTED);
		return;
	}
	p->queued = true;
	p->tag = t->count >> 3 & 31;
	wide.count = t->feature;
	if (d->queue_error)
		ata_fail(p, ATA_ABORTED);
	else
		transfer(d, &wide, p, t->command == C_READ_QUEUED ? ATA_READ : ATA_WRITE, true);
	p->fua |= t->device >> 7;
}

/* --- the rest ------------------------------------------------------------------------- */

static void features(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	switch (t->feature & 0xff) {
	case F_WRITE_CACHE:
		d->writeback = true;
		break;
	case F_NO_WRITE_CACHE:
		d->writeback = false;
		p->kind = ATA_FLUSH;
		break;
	case F_TRANSFER_MODE:
	case F_READ_AHEAD:
	case F_NO_READ_AHEAD:
		break;
	default:
		ata_fail(p, ATA_ABORTED);
	}
}

/* A page of a log: the directory, and what went wrong with a queued command. */
static void read_log(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	u8 page = t->lba & 0xff, sum = 0;
	unsigned int i;

	if (!d->ncq || t->count != 1 || (page != LOG_DIRECTORY && page != LOG_QUEUE_ERROR)) {
		ata_fail(p, ATA_ABORTED);
		return;
	}
	p->kind = ATA_IN;
	p->pio = t->command == C_READ_LOG_EXT;
	p->length = p->block = ATA_BLOCK;
	if (page == LOG_DIRECTORY) {
		p->data[0] = 1;
		p->data[LOG_QUEUE_ERROR * 2] = 1;
		return;
	}
	p->data[0] = d->queue_error ? d->failed_tag : 0x80;
	p->data[2] = d->failed_status;
	p->data[3] = d->failed_error;
	for (i = 0; i < ATA_BLOCK - 1; i++)
		sum += p->data[i];
	p->data[ATA_BLOCK - 1] = (u8)-sum;
	d->queue_error = false;
}

static void identify(struct ata_drive *d, struct ata_plan *p)
{
	p->kind = ATA_IN;
	p->pio = true;
	p->length = p->block = ATA_BLOCK;
	ata_identify(d, p->data);
}

/* A drive of the other kind shows what it is. */
static void show_signature(struct ata_drive *d, struct ata_plan *p)
{
	p->sets_lba = true;
	p->lba = ata_signature(d) >> 8;
	p->count = ata_signature(d) & 0xff;
}

static void native_max(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	u64 last = d->limits.size / ATA_SECTOR - 1;

	p->sets_lba = true;
	p->lba = t->command == C_NATIVE_MAX && last > 0x0fffffff ? 0x0fffffff : last;
}

static void trim(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	if (!d->ncq || d->limits.readonly || t->feature != TRIM_FEATURE || t->count != 1) {
		ata_fail(p, ATA_ABORTED);
		return;
	}
	p->kind = ATA_TRIM;
	p->length = ATA_BLOCK;
}

static void set_multiple(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	u8 n = t->count & 0xff;

	if (n > MULTIPLE_MAX || n & (n - 1))
		ata_fail(p, ATA_ABORTED);
	else
		d->multiple = n;
}

/* Commands that a disk and a CD drive have both; false when it is none of them. */
static bool common(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	switch (t->command) {
	case C_DIAGNOSTIC:
		ata_reset(d);
		p->error = 1;		/* passed */
		show_signature(d, p);
		return true;
	case C_FEATURES:
		features(d, t, p);
		return true;
	case C_CHECK_POWER:
		p->sets_lba = true;
		p->lba = t->lba;
		p->count = 0xff;	/* active */
		return true;
	case C_STANDBY_NOW:
	case C_IDLE_NOW:
	case C_STANDBY:
	case C_IDLE:
	case C_SLEEP:
		return true;
	}
	return false;
}

static void cd_command(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	switch (t->command) {
	case C_PACKET:
		p->kind = ATA_TAKE_PACKET;
		p->pio = !(t->feature & 1);
		return;
	case C_IDENTIFY_PACKET:
		identify(d, p);
		return;
	case C_DEVICE_RESET:
		ata_reset(d);
		p->status = 0;
		p->error = 1;
		show_signature(d, p);
		return;
	case C_IDENTIFY:
	case C_READ:
		show_signature(d, p);
	}
	ata_fail(p, ATA_ABORTED);
}

/* Reads and writes; false when it is neither. */
static bool data_command(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	const u8 c = t->command;

	if (c == C_READ || c == C_READ_ONCE || c == C_READ_EXT) {
		transfer(d, t, p, ATA_READ, c == C_READ_EXT);
		p->pio = true;
	} else if (c == C_WRITE || c == C_WRITE_ONCE || c == C_WRITE_EXT) {
		transfer(d, t, p, ATA_WRITE, c == C_WRITE_EXT);
		p->pio = true;
	} else if (c == C_READ_DMA || c == C_READ_DMA_ONCE || c == C_READ_DMA_EXT) {
		transfer(d, t, p, ATA_READ, c == C_READ_DMA_EXT);
	} else if (c == C_WRITE_DMA || c == C_WRITE_DMA_ONCE || c == C_WRITE_DMA_EXT ||
		   c == C_WRITE_DMA_FUA_EXT) {
		transfer(d, t, p, ATA_WRITE, c == C_WRITE_DMA_EXT || c == C_WRITE_DMA_FUA_EXT);
		p->fua |= c == C_WRITE_DMA_FUA_EXT;
	} else if (c == C_READ_MULTIPLE || c == C_READ_MULTIPLE_EXT) {
		multiple(d, t, p, ATA_READ, c == C_READ_MULTIPLE_EXT);
	} else if (c == C_WRITE_MULTIPLE || c == C_WRITE_MULTIPLE_EXT ||
		   c == C_WRITE_MULTIPLE_FUA_EXT) {
		multiple(d, t, p, ATA_WRITE, c != C_WRITE_MULTIPLE);
		p->fua |= c == C_WRITE_MULTIPLE_FUA_EXT;
	} else if (c == C_READ_QUEUED || c == C_WRITE_QUEUED) {
		queued(d, t, p);
	} else {
		return false;
	}
	return true;
}

static void disk_command(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	const bool wide = t->command == C_VERIFY_EXT;

	switch (t->command) {
	case C_IDENTIFY:
		identify(d, p);
		return;
	case C_VERIFY:
	case C_VERIFY_ONCE:
	case C_VERIFY_EXT:
		range(d, p, first_sector(t, wide), sectors(t->count, wide));
		return;
	case C_FLUSH:
	case C_FLUSH_EXT:
		p->kind = ATA_FLUSH;
		return;
	case C_TRIM:
		trim(d, t, p);
		return;
	case C_READ_LOG_EXT:
	case C_READ_LOG_DMA_EXT:
		read_log(d, t, p);
		return;
	case C_SET_MULTIPLE:
		set_multiple(d, t, p);
		return;
	case C_NATIVE_MAX:
	case C_NATIVE_MAX_EXT:
		native_max(d, t, p);
		return;
	case C_PARAMETERS:
	case C_RECALIBRATE:
	case C_SEEK:
		return;
	}
	ata_fail(p, ATA_ABORTED);
}

void ata_plan(struct ata_drive *d, const struct ata_taskfile *t, struct ata_plan *p)
{
	memset(p, 0, sizeof(*p));
	p->status = ATA_GOOD;
	if (common(d, t, p))
		return;
	if (d->cd)
		cd_command(d, t, p);
	else if (!data_command(d, t, p))
		disk_command(d, t, p);
}

int ata_trim_range(struct ata_drive *d, struct ata_plan *p, unsigned int n, u64 *offset, u64 *bytes)
{
	u64 v, all = d->limits.size / ATA_SECTOR;

	if (n >= ATA_TRIM_RANGES)
		return -1;
	memcpy(&v, p->data + n * 8, sizeof(v));
	*offset = (v & 0xffffffffffffULL) * ATA_SECTOR;
	*bytes = (v >> 48) * ATA_SECTOR;
	if (!*bytes)
		return 0;
	if ((v & 0xffffffffffffULL) < all && v >> 48 <= all - (v & 0xffffffffffffULL))
		return 1;
	ata_fail(p, ATA_NO_ID);
	return -1;
}

void ata_reset(struct ata_drive *d)
{
	d->multiple = 0;
	d->writeback = true;
	d->queue_error = false;
	d->sense = d->asc = d->ascq = 0;
}

bool ata_open(struct ata_drive *d, struct board *b, struct props *p, bool cd)
{
	const char *drive = props_string(p, "drive", NULL);

	if (!drive) {
		props_missing(p, "drive", "the id of a --disk");
		return false;
	}
	d->disk = registry_claim(b->backends, "disk", drive);
	if (!d->disk)
		return false;
	block_get_limits(d->disk->block, &d->limits);
	d->cd = cd;
	ata_reset(d);
	return true;
}

void ata_close(struct ata_drive *d, struct board *b)
{
	if (d->disk)
		registry_release(b->backends, d->disk);
	d->disk = NULL;
}
