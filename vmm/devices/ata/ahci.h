/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A SATA controller as ICH9 has one (Serial ATA AHCI 1.3.1): what its files
 * share. ahci.c has the registers and interrupts, ahci_port.c what a port does
 * with commands, ahci_memory.c its structures in guest memory.
 *
 * One lock guards the registers and slots of all ports. Requests of the disks
 * are submitted, and end, without it.
 */
#ifndef VMM_DEVICES_ATA_AHCI_H
#define VMM_DEVICES_ATA_AHCI_H

#include "../pci/pci.h"
#include "ata.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS 32
#define AHCI_PIECES_MAX 4096		/* pieces of guest memory in one command */
#define AHCI_ACMD 16

/* PxCMD */
#define CMD_ST (1 << 0)
#define CMD_SUD (1 << 1)
#define CMD_POD (1 << 2)
#define CMD_CLO (1 << 3)
#define CMD_FRE (1 << 4)
#define CMD_CCS_SHIFT 8
#define CMD_FR (1 << 14)
#define CMD_CR (1 << 15)
#define CMD_ATAPI (1 << 24)
#define CMD_WRITABLE 0x07000017u	/* ATAPI, DLAE, ALPE, FRE, POD, SUD, ST */

/* PxIS */
enum ahci_event {
	IS_D2H = 1 << 0, IS_PIO = 1 << 1, IS_SDB = 1 << 3,
	IS_OVERFLOW = 1 << 24, IS_BUS = 1 << 29, IS_TFE = 1 << 30,
};

struct ahci_port;

struct ahci_slot {
	struct block_request r;		/* first */
	struct ahci_port *port;
	struct ata_plan plan;
	struct iovec *iov;
	unsigned int pieces;
	unsigned int range;		/* of a trim */
	u64 header;			/* where its command header is */
	u32 generation;			/* the port's when it began */
	bool busy;
};

struct ahci_port {
	struct ahci *h;
	struct ata_drive drive;
	struct device *device;		/* NULL: nothing is connected */
	struct block_queue *queue;
	struct ahci_slot *slot;		/* AHCI_SLOTS */
	pthread_mutex_t drain;		/* held while a stop waits; before h->lock */
	u32 generation;			/* counts stops */
	unsigned int running, queued;	/* slots under way; those of queued commands */
	bool halted;			/* after an error, until ST is cleared */
	bool stopping, in_reset;
	u64 clb, fb;
	u32 is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
};

struct ahci {
	struct pci_device pci;
	struct board *b;
	struct loop *thread;		/* where requests end that the host was slow with */
	pthread_mutex_t lock;
	unsigned int drives;
	u32 ghc, is;
	struct ahci_port port[AHCI_PORTS];
};

/* --- ahci.c: under the lock ------------------------------------------------------- */

/* Notes events of a port and interrupts for them. */
void ahci_event(struct ahci_port *p, u32 events);

/* --- ahci_port.c ------------------------------------------------------------------- */

/* Commands that are issued and can be started; without the lock. */
void ahci_run(struct ahci_port *p);
/* Waits for all that is under way and forgets it; without the lock. */
void ahci_stop(struct ahci_port *p);
/* The drive comes out of a reset; under the lock. */
void ahci_signature(struct ahci_port *p);

/* --- ahci_memory.c: under the lock -------------------------------------------------- */

struct ahci_command {
	u8 fis[64], packet[AHCI_ACMD];
	u32 flags;			/* of its header */
	u64 table;
};

/* Fetches the command of a slot; false when it lies outside of memory. */
bool ahci_fetch(struct ahci_port *p, unsigned int slot, struct ahci_command *c);
/* The pieces of memory for length bytes of data, to s->iov: 0, or an event that tells why not. */
u32 ahci_pieces(struct ahci_port *p, struct ahci_slot *s, const struct ahci_command *c, u32 length);
/* Notes how many bytes were moved. */
void ahci_moved(struct ahci_port *p, struct ahci_slot *s, u32 bytes);
/* What the drive sends, to where the driver waits for it. */
void ahci_send_d2h(struct ahci_port *p, const struct ata_plan *plan);
void ahci_send_pio(struct ahci_port *p, const struct ata_plan *plan);
void ahci_send_done(struct ahci_port *p, u8 status, u8 error, u32 slots);

/* --- for the drives -------------------------------------------------------------------- */

/* Connects a device to a free port of the machine's controller, or port=: NULL after an error. */
struct ahci_port *ahci_connect(struct board *b, struct props *p, struct device *d, bool cd);
void ahci_disconnect(struct ahci_port *p);

#endif
