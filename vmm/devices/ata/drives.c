/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks and CD drives on the SATA and the IDE controller, as --device has them.
 * They are connected before the machine starts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../error.h"
#include "ahci.h"
#include "ide.h"

#define BOOT_LAST 0xffff
#define PIIX3_SLOT 1
#define PIIX3_IDS 0x70008086u

struct drive {
	struct device dev;		/* first */
	struct ahci_port *sata;		/* one of the two */
	struct ide_drive *ide;
};

static void destroy(struct device *d)
{
	struct drive *s = (struct drive *)d;

	if (s->sata)
		ahci_disconnect(s->sata);
	if (s->ide)
		ide_disconnect(s->ide);
	free(s);
}

/* Tells the firmware where it is, if the user wants to boot from it. */
static int add_boot(struct drive *s, struct board *b, struct props *p)
{
	u64 index = props_number(p, "bootindex", BOOT_LAST, 0, BOOT_LAST);
	struct ide_channel *c = s->ide ? s->ide->channel : NULL;
	char leaf[32];

	if (index == BOOT_LAST)
		return 0;
	if (c) {
		snprintf(leaf, sizeof(leaf), "drive@%x/disk@%x",
			 (unsigned int)(c - c->ide->channel), (unsigned int)(s->ide - c->drive));
		return pci_boot(&c->ide->pci, b->fw_cfg, (unsigned int)index, "ide", leaf);
	}
	snprintf(leaf, sizeof(leaf), "drive@%x/disk@0", (unsigned int)(s->sata - s->sata->h->port));
	return pci_boot(&s->sata->h->pci, b->fw_cfg, (unsigned int)index, "pci8086,2922", leaf);
}

static bool has_ide(const struct board *b)
{
	const struct pci_device *isa = b->pci->bus[0]->dev[PIIX3_SLOT << 3];

	return isa && pci_get32(isa, PCI_VENDOR) == PIIX3_IDS;
}

static struct device *create(struct board *b, struct props *p, bool ide, bool cd)
{
	struct drive *s = calloc(1, sizeof(*s));

	if (!s) {
		error("out of memory");
		return NULL;
	}
	if (b->pci->running)
		error("%s: drives are connected before the machine starts", p->type);
	else if (ide)
		s->ide = ide_connect(b, p, &s->dev, cd);
	else
		s->sata = ahci_connect(b, p, &s->dev, cd);
	if ((s->ide || s->sata) && add_boot(s, b, p) == 0 && props_finish(p) == 0)
		return &s->dev;
	destroy(&s->dev);
	return NULL;
}

static struct device *create_sata(struct board *b, struct props *p, bool cd)
{
	if (b->pci)
		return create(b, p, false, cd);
	error("%s: the machine has no PCI", p->type);
	return NULL;
}

static struct device *create_ide(struct board *b, struct props *p, bool cd)
{
	if (b->pci && has_ide(b))
		return create(b, p, true, cd);
	error("%s: only the machine pc has an IDE controller", p->type);
	return NULL;
}

/* --- the classes --------------------------------------------------------------------- */

static struct device *create_sata_disk(struct board *b, struct props *p)
{
	return create_sata(b, p, false);
}

static struct device *create_sata_cd(struct board *b, struct props *p)
{
	return create_sata(b, p, true);
}

static struct device *create_ide_disk(struct board *b, struct props *p)
{
	return create_ide(b, p, false);
}

static struct device *create_ide_cd(struct board *b, struct props *p)
{
	return create_ide(b, p, true);
}

static struct device *create_cdrom(struct board *b, struct props *p)
{
	return b->pci && has_ide(b) ? create_ide(b, p, true) : create_sata(b, p, true);
}

const struct device_class sata_disk_class = {
	.name = "sata-disk",
	.summary = "a disk on the SATA controller (AHCI)",
	.usage = "drive=ID of a --disk, port=0..5, bootindex=N",
	.create = create_sata_disk,
	.destroy = destroy,
};

const struct device_class sata_cd_class = {
	.name = "sata-cd",
	.summary = "a CD drive on the SATA controller (AHCI)",
	.usage = "drive=ID of a --disk, port=0..5, bootindex=N",
	.create = create_sata_cd,
	.destroy = destroy,
};

const struct device_class ide_disk_class = {
	.name = "ide-disk",
	.summary = "a disk on the IDE controller of the machine pc",
	.usage = "drive=ID of a --disk, unit=0..3, bootindex=N",
	.create = create_ide_disk,
	.destroy = destroy,
};

const struct device_class ide_cd_class = {
	.name = "ide-cd",
	.summary = "a CD drive on the IDE controller of the machine pc",
	.usage = "drive=ID of a --disk, unit=0..3, bootindex=N",
	.create = create_ide_cd,
	.destroy = destroy,
};

const struct device_class cdrom_class = {
	.name = "cdrom",
	.summary = "a CD drive: ide-cd on the machine pc, else sata-cd",
	.usage = "drive=ID of a --disk, bootindex=N",
	.create = create_cdrom,
	.destroy = destroy,
};
