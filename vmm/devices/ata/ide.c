/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of the IDE controller, at the places that PCs have them since
 * the AT (compatibility mode), and its PCI function with the bus master. It is
 * there when a drive is connected; each channel takes two.
 */
#include <stdlib.h>
#include <string.h>

#include "../../error.h"
#include "ide.h"

#define DEVICE 0x7010
#define PIIX3_SLOT 1
#define PIIX3_FUNCTION 1
#define TIMING 0x40			/* a word for each channel; bit 15 lets its ports through */
#define BM_BAR 4
#define BM_SIZE 16

enum { R_DATA, R_FEATURE, R_COUNT, R_LBA, R_LBA1, R_LBA2, R_DEVICE, R_COMMAND };
#define R_ERROR R_FEATURE
#define R_STATUS R_COMMAND
#define CONTROL_HIGH 0x80		/* reads give what was written before */

static const struct {
	u16 base, control;
	u8 irq;
} places[IDE_CHANNELS] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };

/* --- interrupts: under the lock -------------------------------------------------------- */

static void update_irq(struct ide_channel *c)
{
	irq_set(&c->irq, c->irq_pending && !(c->control & ATA_CONTROL_NIEN));
}

void ide_interrupt(struct ide_channel *c)
{
	c->irq_pending = true;
	c->bm_status |= BM_IRQ;
	update_irq(c);
}

/* --- registers: under the lock ------------------------------------------------------------ */

static u8 fifo_read(const struct ide_channel *c, const struct ide_fifo *f)
{
	return c->control & CONTROL_HIGH ? f->before : f->now;
}

static u8 read_register(struct ide_channel *c, unsigned int reg)
{
	const struct ide_drive *d = &c->drive[c->selected];

	if (!d->device)
		return 0;
	switch (reg) {
	case R_ERROR:
		return d->error;
	case R_COUNT:
		return fifo_read(c, &d->count);
	case R_LBA:
	case R_LBA1:
	case R_LBA2:
		return fifo_read(c, &d->lba[reg - R_LBA]);
	case R_DEVICE:
		return (u8)(d->device_reg | 0xa0 | c->selected << 4);
	default:
		c->irq_pending = false;
		update_irq(c);
		return d->status;
	}
}

static void fifo_write(struct ide_fifo *f, u8 v)
{
	f->before = f->now;
	f->now = v;
}

/* Both drives take what is written; a busy one takes nothing. */
static void write_register(struct ide_channel *c, unsigned int reg, u8 v)
{
	unsigned int i;

	if (c->phase != IDE_IDLE && reg != R_DEVICE)
		return;
	c->control &= (u8)~CONTROL_HIGH;
	for (i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];

		if (reg == R_FEATURE)
			fifo_write(&d->feature, v);
		else if (reg == R_COUNT)
			fifo_write(&d->count, v);
		else if (reg <= R_LBA2)
			fifo_write(&d->lba[reg - R_LBA], v);
		else
			d->device_reg = v & 0x4f;
	}
	if (reg == R_DEVICE && c->phase == IDE_IDLE)
		c->selected = v >> 4 & 1;
}

static void write_command(struct ide_channel *c, u8 v)
{
	if (c->phase != IDE_IDLE || !c->drive[c->selected].device ||
	    c->control & ATA_CONTROL_RESET)
		return;
	c->irq_pending = false;
	update_irq(c);
	ide_command(c, v);
}

/* --- data ------------------------------------------------------------------------------------ */

static u32 read_data(struct ide_channel *c, unsigned int size)
{
	u32 v = 0, n = c->size - c->at;

	if (c->phase != IDE_IN || c->selected != (unsigned int)(c->active - c->drive))
		return 0;
	memcpy(&v, c->buffer + c->at, n < size ? n : size);
	c->at += n < size ? n : size;
	if (c->at == c->size)
		ide_buffer_done(c);
	return v;
}

static void write_data(struct ide_channel *c, u32 v, unsigned int size)
{
	u32 n = c->size - c->at;

	if ((c->phase != IDE_OUT && c->phase != IDE_PACKET) ||
	    c->selected != (unsigned int)(c->active - c->drive))
		return;
	memcpy(c->buffer + c->at, &v, n < size ? n : size);
	c->at += n < size ? n : size;
	if (c->at == c->size)
		ide_buffer_done(c);
}

/* --- ports ------------------------------------------------------------------------- */

static u64 ports_read(void *dev, u64 offset, unsigned int size)
{
	struct ide_channel *c = dev;
	u64 v = 0;
	unsigned int i;

	pthread_mutex_lock(&c->lock);
	if (offset == R_DATA)
		v = read_data(c, size);
	else
		for (i = 0; i < size && offset + i < 8; i++)
			v |= (u64)read_register(c, (unsigned int)offset + i) << i * 8;
	ide_leave(c);
	return v;
}

static void ports_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ide_channel *c = dev;
	unsigned int i;

	pthread_mutex_lock(&c->lock);
	if (offset == R_DATA)
		write_data(c, (u32)value, size);
	for (i = 0; offset != R_DATA && i < size && offset + i < 8; i++) {
		if (offset + i == R_COMMAND)
			write_command(c, (u8)(value >> i * 8));
		else
			write_register(c, (unsigned int)offset + i, (u8)(value >> i * 8));
	}
	ide_leave(c);
}

/* The status without an effect on the interrupt. */
static u64 control_read(void *dev, u64 offset, unsigned int size)
{
	struct ide_channel *c = dev;
	const struct ide_drive *d;
	u8 status;

	(void)offset, (void)size;
	pthread_mutex_lock(&c->lock);
	d = &c->drive[c->selected];
	status = d->device ? d->status : 0;
	pthread_mutex_unlock(&c->lock);
	return status;
}

static void control_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ide_channel *c = dev;
	bool reset;

	(void)offset, (void)size;
	pthread_mutex_lock(&c->lock);
	reset = value & ~(u64)c->control & ATA_CONTROL_RESET;
	c->control = (u8)value;
	update_irq(c);
	pthread_mutex_unlock(&c->lock);
	if (reset)
		ide_reset(c);
}

static u64 master_read(void *dev, u64 offset, unsigned int size)
{
	struct ide *ide = dev;
	struct ide_channel *c = &ide->channel[offset >> 3];
	u64 v;

	(void)size;
	pthread_mutex_lock(&c->lock);
	v = ide_dma_read(c, offset & 7);
	pthread_mutex_unlock(&c->lock);
	return v;
}

static void master_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct ide *ide = dev;
	struct ide_channel *c = &ide->channel[offset >> 3];

	pthread_mutex_lock(&c->lock);
	ide_dma_write(c, offset & 7, (u32)value, size);
	ide_leave(c);
}

/* --- life -------------------------------------------------------------------------- */

static int add_ports(struct ide *ide, unsigned int n)
{
	struct ide_channel *c = &ide->channel[n];
	const struct bus_region ports = { "ide", places[n].base, 8, 4, ports_read, ports_write, c };
	const struct bus_region control = {
		"ide-control", places[n].control, 1, 1, control_read, control_write, c,
	};

	if (bus_add(ide->b->ports, &ports) < 0 || bus_add(ide->b->ports, &control) < 0)
		return error("ide: its ports are taken");
	return 0;
}

static int plug(struct ide *ide, struct board *b)
{
	const struct pci_ids ids = {
		PCI_VENDOR_INTEL, DEVICE, PCI_VENDOR_REDHAT, PCI_SUBSYSTEM_ANY, 0x010180, 0,
	};
	const struct bus_region r = { .name = "ide-master", .width = 4, .read = master_read,
		.write = master_write, .dev = ide };
	unsigned int i;

	pci_init(&ide->pci, "ide", &ids);
	for (i = 0; i < IDE_CHANNELS; i++) {
		pci_put16(ide->pci.config, TIMING + 2 * i, 0x8000);
		pci_put16(ide->pci.writable, TIMING + 2 * i, 0xffff);
		if (add_ports(ide, i) < 0)
			return -1;
	}
	pci_bar(&ide->pci, BM_BAR, PCI_BAR_IO, BM_SIZE, &r);
	return pci_plug_at(b->pci->bus[0], &ide->pci, PIIX3_SLOT, PIIX3_FUNCTION);
}

static void ide_free(struct ide *ide)
{
	unsigned int i;

	ide->b->ide = NULL;
	for (i = 0; i < IDE_CHANNELS; i++) {
		bus_remove(ide->b->ports, places[i].base, &ide->channel[i]);
		bus_remove(ide->b->ports, places[i].control, &ide->channel[i]);
		pthread_mutex_destroy(&ide->channel[i].lock);
		pthread_mutex_destroy(&ide->channel[i].drain);
	}
	pci_unplug(&ide->pci);
	if (ide->thread)
		loop_thread_free(ide->thread);
	free(ide);
}

static struct ide *ide_new(struct board *b)
{
	struct ide *ide = calloc(1, sizeof(*ide));
	unsigned int i;

	if (!ide) {
		error("out of memory");
		return NULL;
	}
	ide->b = b;
	for (i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->ide = ide;
		c->drive[0].channel = c->drive[1].channel = c;
		c->irq = board_line(b, places[i].irq);
		pthread_mutex_init(&c->lock, NULL);
		pthread_mutex_init(&c->drain, NULL);
	}
	ide->thread = loop_thread_new("ide");
	if (ide->thread && plug(ide, b) == 0) {
		b->ide = ide;
		return ide;
	}
	ide_free(ide);
	return NULL;
}

static struct ide_drive *place(struct ide *ide, unsigned int n)
{
	return &ide->channel[n / 2].drive[n % 2];
}

static struct ide_drive *choose(struct ide *ide, struct props *p)
{
	const unsigned int all = 2 * IDE_CHANNELS;
	unsigned int n = (unsigned int)props_number(p, "unit", all, 0, all - 1), i;

	if (n < all && place(ide, n)->device) {
		error("%s: unit %u has a drive already", p->type, n);
		return NULL;
	}
	for (i = 0; n == all && i < all; i++)
		if (!place(ide, i)->device)
			n = i;
	if (n < all)
		return place(ide, n);
	error("%s: all %u units have a drive", p->type, all);
	return NULL;
}

struct ide_drive *ide_connect(struct board *b, struct props *p, struct device *dev, bool cd)
{
	struct ide *ide = b->ide ? b->ide : ide_new(b);
	struct ide_drive *d = ide ? choose(ide, p) : NULL;

	if (!d) {
		if (ide && !ide->drives)
			ide_free(ide);
		return NULL;
	}
	d->device = dev;
	ide->drives++;
	if (ata_open(&d->drive, b, p, cd))
		d->queue = block_queue_new(d->drive.disk->block, ide->thread, BLOCK_QUEUE_INLINE);
	if (d->queue) {
		ide_signature(d);
		return d;
	}
	ide_disconnect(d);
	return NULL;
}

void ide_disconnect(struct ide_drive *d)
{
	struct ide *ide = d->channel->ide;

	ide_reset(d->channel);
	block_queue_free(d->queue);
	d->queue = NULL;
	ata_close(&d->drive, ide->b);
	d->device = NULL;
	if (--ide->drives == 0)
		ide_free(ide);
}
