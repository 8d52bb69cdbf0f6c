/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The IDE controller of PIIX3 (Intel 290550; ATA/ATAPI-7 volume 2 for the
 * registers and the order of a command's steps): what its files share. ide.c
 * has the registers, ide_command.c the steps, ide_dma.c the bus master.
 *
 * Each channel has a lock. Requests of the disks are submitted, and end,
 * without it: what is to be submitted is noted and done by ide_leave().
 */
#ifndef VMM_DEVICES_ATA_IDE_H
#define VMM_DEVICES_ATA_IDE_H

#include "../pci/pci.h"
#include "ata.h"

#define IDE_CHANNELS 2
#define IDE_BUFFER (16 * CD_SECTOR)
#define IDE_PIECES_MAX 4096		/* pieces of guest memory in one command */

/* Bus master status */
#define BM_ACTIVE 0x01
#define BM_ERROR 0x02
#define BM_IRQ 0x04
#define BM_DRIVES 0x60
/* Bus master command */
#define BM_START 0x01

/* A register of two bytes: the one that was written last, and the one before. */
struct ide_fifo {
	u8 now, before;
};

struct ide_drive {
	struct ata_drive drive;
	struct device *device;		/* NULL: there is none */
	struct ide_channel *channel;
	struct block_queue *queue;
	struct ide_fifo feature, count, lba[3];
	u8 device_reg, status, error;
};

enum ide_phase {
	IDE_IDLE,
	IDE_PACKET,			/* the driver writes a packet command */
	IDE_IN, IDE_OUT,		/* he reads or writes the buffer */
	IDE_DMA,			/* the bus master is waited for */
	IDE_BUSY,			/* the disk is */
};

struct ide_channel {
	struct block_request r;		/* first */
	struct ide *ide;
	struct ide_drive drive[2];
	pthread_mutex_t drain;		/* held while a reset waits; before the lock */
	pthread_mutex_t lock;
	struct irq_line irq;
	bool irq_pending;
	u8 control;			/* of both drives */
	unsigned int selected;

	struct ide_drive *active;	/* which has the command */
	struct ata_plan plan;
	enum ide_phase phase;
	u32 moved;			/* bytes of the plan that are behind us */
	u32 limit;			/* of a packet command: bytes for one DRQ */
	u32 at, size;			/* in the buffer: the next byte, and the end */
	struct iovec vec;		/* the buffer */
	struct iovec *iov;		/* of the bus master */
	bool submit;			/* r is ready */
	bool inflight;			/* r is ready, or under way */
	u32 generation, begun;		/* counts resets; at the request's start */
	u8 bm_command, bm_status;
	u32 bm_table;
	u8 buffer[IDE_BUFFER];
};

struct ide {
	struct pci_device pci;
	struct board *b;
	struct loop *thread;
	unsigned int drives;
	struct ide_channel channel[IDE_CHANNELS];
};

/* --- ide.c ------------------------------------------------------------------------ */

void ide_interrupt(struct ide_channel *c);

/* --- ide_command.c: under the lock --------------------------------------------------- */

void ide_command(struct ide_channel *c, u8 command);
/* The driver has read, or written, all of the buffer. */
void ide_buffer_done(struct ide_channel *c);
/* Has the disk move `length` bytes of the plan from where it is. */
void ide_request(struct ide_channel *c, const struct iovec *iov, unsigned int count, u32 length);
/* The command ends as planned. */
void ide_finish(struct ide_channel *c);
/* The registers of a drive after a reset. */
void ide_signature(struct ide_drive *d);
/* Gives back the lock and submits what was noted. */
void ide_leave(struct ide_channel *c);
/* Resets both drives; without the lock. */
void ide_reset(struct ide_channel *c);

/* --- ide_dma.c: under the lock -------------------------------------------------------- */

/* Moves the data if both the drive and the driver are ready. */
void ide_dma_run(struct ide_channel *c);
/* The request of the bus master has ended. */
void ide_dma_end(struct ide_channel *c, bool failed);
u32 ide_dma_read(struct ide_channel *c, unsigned int reg);
void ide_dma_write(struct ide_channel *c, unsigned int reg, u32 value, unsigned int size);

/* --- for the drives -------------------------------------------------------------------- */

struct ide_drive *ide_connect(struct board *b, struct props *p, struct device *d, bool cd);
void ide_disconnect(struct ide_drive *d);

#endif
