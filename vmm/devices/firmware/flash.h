/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Firmware in guest memory: ROM, and flash that the firmware writes its
 * variables to.
 */
#ifndef VMM_DEVICES_FIRMWARE_FLASH_H
#define VMM_DEVICES_FIRMWARE_FLASH_H

#include "../device.h"

struct flash;

/*
 * Flash of size bytes (a multiple of 4 KiB) at gpa, whose contents are at data,
 * which outlives it. NULL after an error line.
 */
struct flash *flash_new(struct board *b, u64 gpa, u8 *data, u64 size);
void flash_free(struct flash *f);

#endif
