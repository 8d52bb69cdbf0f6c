/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where firmware finds a device to boot from: its path from the host bridge, in
 * the form of Open Firmware's PCI binding that SeaBIOS and OVMF read.
 */
#include <stdio.h>
#include <string.h>

#include "../firmware/fw_cfg.h"
#include "pci.h"

#define PATH_MAX_BOOT 256
#define ROOT "/pci@i0cf8"

/* Puts "/NODE@SLOT[,FUNCTION]" before what is in path. */
static void prepend(char path[PATH_MAX_BOOT], const struct pci_device *d, const char *node)
{
	char longer[PATH_MAX_BOOT], function[8] = "";

	if (d->devfn & 7)
		snprintf(function, sizeof(function), ",%x", d->devfn & 7);
	snprintf(longer, sizeof(longer), "/%.32s@%x%s%.200s", node, d->devfn >> 3, function, path);
	strcpy(path, longer);
}

int pci_boot(struct pci_device *d, struct fw_cfg *f, unsigned int index, const char *node,
	     const char *leaf)
{
	char path[PATH_MAX_BOOT], whole[PATH_MAX_BOOT + sizeof(ROOT)];

	if (!f)
		return 0;
	snprintf(path, sizeof(path), "/%.100s", leaf);
	prepend(path, d, node);
	while (d->bus->bridge) {
		d = d->bus->bridge;
		prepend(path, d, "pci-bridge");
	}
	snprintf(whole, sizeof(whole), ROOT "%s", path);
	return fw_cfg_boot(f, index, whole);
}
