/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SCSI host device: scsi.c has its queues and its making, scsi_request.c the requests. */
#ifndef VMM_DEVICES_VIRTIO_SCSI_H
#define VMM_DEVICES_VIRTIO_SCSI_H

#include "../../backends/disk.h"
#include "../scsi/scsi.h"
#include "virtio.h"

#define SEGMENTS_MAX 126
#define SENSE_MAX 252

struct scsi_header {
	u8 lun[8];
	u64 tag;
	u8 attribute, priority, crn;
} __attribute__((packed));

struct scsi_response {
	u32 sense_len, residual;
	u16 qualifier;
	u8 status, response;
};

struct scsi_request {
	struct block_request r;		/* first */
	struct scsi_host *host;
	struct virtqueue *vq;
	struct scsi_request *next, *other;	/* of the free ones; of all */
	struct virtq_chain chain;
	struct lun *lun;
	u32 sense_size, cdb_size;	/* as they were when it came */
	struct scsi_plan plan;
	u8 cdb[SCSI_CDB_MAX];
	struct iovec iov[SEGMENTS_MAX + 2], data[SEGMENTS_MAX + 2];
};

struct lun {
	struct scsi_unit unit;		/* first */
	struct disk *disk;		/* NULL: there is none */
	struct block_queue *q;
};

struct scsi_host {
	struct virtio_device v;		/* first */
	struct loop *thread;
	u32 sense_size, cdb_size;	/* atomic; the driver may change them */
	u16 luns;			/* a bit for each */
	struct lun lun[SCSI_LUNS_MAX];
	char boot_leaf[24];
	pthread_mutex_t lock;		/* of the lists */
	struct scsi_request *free, *all;
	unsigned int made;
};

static inline struct scsi_host *host_of(struct virtio_device *v)
{
	return (struct scsi_host *)v;
}

/* --- scsi_request.c -------------------------------------------------------------------- */

/* The number of a logical unit of target 0: SCSI_LUNS_MAX for one that there cannot be, or -1. */
int scsi_lun_of(const u8 lun[8]);
/* Handles a queue of requests. */
void scsi_requests(struct scsi_host *h, struct virtqueue *q);
void scsi_free_requests(struct scsi_host *h);

#endif
