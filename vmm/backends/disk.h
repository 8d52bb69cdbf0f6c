/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks: images that devices show to the guest, by their id in the registry
 * (kind "disk"). They outlive the machine's resets.
 */
#ifndef VMM_BACKENDS_DISK_H
#define VMM_BACKENDS_DISK_H

#include "../block/block.h"
#include "../devices/props.h"
#include "loop.h"

struct registry;

#define DISK_SERIAL_MAX 20

struct disk {
	struct block *block;
	char *id;
	char serial[DISK_SERIAL_MAX + 1];	/* "" when the user gave none */
	char *device;		/* what to give to --device for it; NULL: the user does that */

	char *path;		/* of the image */
	bool full;		/* pause(ctx, d, true) was called last */

	/* the rest is disk.c's own */
	struct loop *loop;
	struct timer *timer;
	void (*pause)(void *ctx, struct disk *d, bool on);
	void *ctx;
	bool retried;
};

/*
 * Opens an image by the text of a --disk option:
 *	FILE[,format=][,readonly=][,snapshot=][,cache=][,serial=][,id=][,if=KIND]
 * (KIND virtio, ahci, ide, cdrom or none) and adds it to the registry; what it does
 * not know becomes a property of the device. NULL after an error line.
 *
 * When the host's disk is full, pause(ctx, d, true) is called on the loop's thread,
 * and pause(ctx, d, false) when what was held could be written; the user is told.
 */
struct disk *disk_open(struct registry *r, struct loop *l, const char *text,
		       void (*pause)(void *ctx, struct disk *d, bool on), void *ctx);

#endif
