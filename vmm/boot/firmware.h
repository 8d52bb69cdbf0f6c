/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Firmware images: SeaBIOS, OVMF, or the user's. One is loaded when the program
 * starts and lives through all resets of the machine, with its variables.
 */
#ifndef VMM_BOOT_FIRMWARE_H
#define VMM_BOOT_FIRMWARE_H

#include "../types.h"

struct firmware {
	const char *path;
	u8 *rom;		/* ends at 4 GiB */
	u64 size;		/* bytes, a multiple of 64 KiB or 4 KiB */
	u8 *vars;		/* flash right below it, or NULL */
	u64 vars_size;
	int vars_fd;		/* the file that keeps it, or -1 */
	bool uefi;
};

/*
 * Loads what the option --firmware says: bios, uefi, or the path of an image,
 * with vars=FILE for where UEFI keeps its variables: a file that is made from
 * the template when it is not there. Without it they are lost at the end. 0,
 * or -1 after an error line; firmware_free in either case.
 */
int firmware_load(struct firmware *f, const char *option);
void firmware_free(struct firmware *f);

#endif
