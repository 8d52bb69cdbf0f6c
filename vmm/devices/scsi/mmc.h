/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a CD or DVD drive says of itself and its medium (MMC-6), on whichever bus:
 * the medium is an image with one track of data, which stays in. What is larger
 * than a CD is a DVD.
 */
#ifndef VMM_DEVICES_SCSI_MMC_H
#define VMM_DEVICES_SCSI_MMC_H

#include "../../types.h"

/* Blocks of an image of this size. */
u32 mmc_blocks(u64 size);

enum { MMC_OTHER = -1, MMC_BAD_FIELD = -2 };

/*
 * Answers a command with data, which has 64 bytes, all 0: how many there are, and
 * in *room for how many of them the driver has room. MMC_OTHER: it is none of
 * these commands; MMC_BAD_FIELD: one of its fields is wrong.
 */
int mmc_answer(u64 size, const u8 *cdb, u8 *data, u32 *room);

#endif
