/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks and CD drives on the SATA controller, as --device has them. They are
 * connected before the machine starts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../error.h"
#include "ahci.h"

#define BOOT_LAST 0xffff

struct drive {
	struct device dev;		/* first */
	struct ahci_port *port;
};

static void destroy(struct device *d)
{
	struct drive *s = (struct drive *)d;

	if (s->port)
		ahci_disconnect(s->port);
	free(s);
}

/* Tells the firmware where it is, if the user wants to boot from it. */
static int add_boot(struct drive *s, struct board *b, struct props *p)
{
	u64 index = props_number(p, "bootindex", BOOT_LAST, 0, BOOT_LAST);
	char leaf[32];

	if (index == BOOT_LAST)
		return 0;
	snprintf(leaf, sizeof(leaf), "drive@%x/disk@0", (unsigned int)(s->port - s->port->h->port));
	return pci_boot(&s->port->h->pci, b->fw_cfg, (unsigned int)index, "pci8086,2922", leaf);
}

static struct device *create(struct board *b, struct props *p, bool cd)
{
	struct drive *s = calloc(1, sizeof(*s));

	if (!s) {
		error("out of memory");
		return NULL;
	}
	if (!b->pci)
		error("%s: the machine has no PCI", p->type);
	else if (b->pci->running)
		error("%s: drives are connected before the machine starts", p->type);
	else
		s->port = ahci_connect(b, p, &s->dev, cd);
	if (s->port && add_boot(s, b, p) == 0 && props_finish(p) == 0)
		return &s->dev;
	destroy(&s->dev);
	return NULL;
}

static struct device *create_disk(struct board *b, struct props *p)
{
	return create(b, p, false);
}

static struct device *create_cd(struct board *b, struct props *p)
{
	return create(b, p, true);
}

const struct device_class sata_disk_class = {
	.name = "sata-disk",
	.summary = "a disk on the SATA controller (AHCI)",
	.usage = "drive=ID of a --disk, port=0..5, bootindex=N",
	.create = create_disk,
	.destroy = destroy,
};

const struct device_class sata_cd_class = {
	.name = "sata-cd",
	.summary = "a CD drive on the SATA controller (AHCI)",
	.usage = "drive=ID of a --disk, port=0..5, bootindex=N",
	.create = create_cd,
	.destroy = destroy,
};

/* The kind that the machine has. */
static struct device *create_any_cd(struct board *b, struct props *p)
{
	return create_cd(b, p);
}

const struct device_class cdrom_class = {
	.name = "cdrom",
	.summary = "a CD drive on the controller that the machine has for it",
	.usage = "drive=ID of a --disk, bootindex=N",
	.create = create_any_cd,
	.destroy = destroy,
};
