/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firmware configuration device that QEMU made common (its specification:
 * docs/specs/fw_cfg of QEMU): numbered items and named files that firmware
 * reads. Devices add theirs while the machine is put together.
 */
#ifndef VMM_DEVICES_FIRMWARE_FW_CFG_H
#define VMM_DEVICES_FIRMWARE_FW_CFG_H

#include "../../machine/memory.h"
#include "../bus.h"

#define FW_CFG_FILE_NAME 56	/* with its NUL */

/* Numbered items */
#define FW_CFG_CPUS 0x05
#define FW_CFG_MAX_CPUS 0x0f

struct fw_cfg;

/* At ports 0x510 to 0x51b; NULL after an error line. */
struct fw_cfg *fw_cfg_new(struct bus *ports, const struct guest_memory *mem);
void fw_cfg_free(struct fw_cfg *f);

/* What is added is copied. 0, or -1 after an error line. */
int fw_cfg_item(struct fw_cfg *f, u16 key, const void *data, u32 size);
int fw_cfg_item16(struct fw_cfg *f, u16 key, u16 value);
int fw_cfg_file(struct fw_cfg *f, const char *name, const void *data, u32 size);

struct fw_cfg_ops {
	/* Fills data, of the file's size and zeroed, anew when the guest selects it; or NULL. */
	void (*fill)(void *ctx, u8 *data, u32 size);
	/* The guest wrote the whole file; or NULL: it cannot. */
	void (*written)(void *ctx, const u8 *data, u32 size);
	void *ctx;
};

/* A file that is made when it is read, or takes what the guest writes. */
int fw_cfg_live_file(struct fw_cfg *f, const char *name, u32 size, const struct fw_cfg_ops *ops);

/*
 * Names a place to boot from, as an Open Firmware path such as
 * "/pci@i0cf8/scsi@3/disk@0,0"; the lowest index comes first.
 */
int fw_cfg_boot(struct fw_cfg *f, unsigned int index, const char *path);

#endif
