/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SCSI host (5.6): one target, number 0, with disks and CD drives as its
 * logical units, whose images are of the registry. What commands mean is
 * devices/scsi's; here they come from request queues and act on the images, as
 * virtio-blk does: on the vCPU's thread that notifies, and what takes time ends
 * on the device's own thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/registry.h"
#include "../../error.h"
#include "scsi.h"

#define QUEUE_SIZE 256
#define QUEUES_MAX 4			/* of requests, and as many CPUs */
#define SENSE_DEFAULT 96
#define CDB_MAX 255

enum { CONTROL, EVENTS, REQUESTS };	/* queues */
enum { T_TASK = 0, T_QUERY = 1, T_SUBSCRIBE = 2 };
enum { TASK_COMPLETE = 0, TASK_REJECTED = 10, TASK_BAD_TARGET = 3 };
#define SUBTYPES 8			/* of task management */

struct scsi_config {
	u32 num_queues, seg_max, max_sectors, cmd_per_lun, event_info_size, sense_size, cdb_size;
	u16 max_channel, max_target;
	u32 max_lun;
};

/* --- the control queue ----------------------------------------------------------------------- */

/* A task cannot be called back: it is waited for, and then there is none. */
static u8 manage(struct scsi_host *h, const u8 lun[8], u32 subtype)
{
	int n = scsi_lun_of(lun);

	if (n < 0 || n == SCSI_LUNS_MAX || !h->lun[n].disk)
		return TASK_BAD_TARGET;
	if (subtype >= SUBTYPES)
		return TASK_REJECTED;
	block_drain(h->lun[n].q);
	return TASK_COMPLETE;
}

static u32 control(struct scsi_host *h, const struct virtq_chain *c)
{
	struct {
		u32 type, subtype;
		u8 lun[8];
		u64 tag;
	} __attribute__((packed)) task;
	const u8 events[5] = { 0 };	/* none are told */
	u32 type;
	u8 response;

	if (!virtq_read(c, 0, &type, sizeof(type)))
		return 0;
	if (type == T_TASK && virtq_read(c, 0, &task, sizeof(task))) {
		response = manage(h, task.lun, task.subtype);
		return virtq_write(c, 0, &response, 1) ? 1 : 0;
	}
	if (type == T_QUERY || type == T_SUBSCRIBE)
		return virtq_write(c, 0, events, sizeof(events)) ? sizeof(events) : 0;
	return 0;
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct iovec iov[SEGMENTS_MAX];
	struct virtq_chain c = { .iov = iov, .max = SEGMENTS_MAX };
	struct scsi_host *h = host_of(v);

	if (queue >= REQUESTS) {
		scsi_requests(h, &v->queue[queue]);
	} else if (queue == CONTROL) {
		while (virtqueue_pop(&v->queue[queue], &c))
			virtqueue_push(&v->queue[queue], &c, control(h, &c));
		virtqueue_signal(&v->queue[queue]);
	}
}

/* --- the life of a driver --------------------------------------------------------------------- */

static void set_sizes(struct scsi_host *h, u32 sense, u32 cdb)
{
	__atomic_store_n(&h->sense_size, sense, __ATOMIC_RELEASE);
	__atomic_store_n(&h->cdb_size, cdb, __ATOMIC_RELEASE);
	virtio_config_written(&h->v, offsetof(struct scsi_config, sense_size), &sense, 4);
	virtio_config_written(&h->v, offsetof(struct scsi_config, cdb_size), &cdb, 4);
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	struct scsi_host *h = host_of(v);
	u32 value;

	if (size != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	if (offset == offsetof(struct scsi_config, sense_size) && value >= SCSI_SENSE_SIZE &&
	    value <= SENSE_MAX)
		set_sizes(h, value, h->cdb_size);
	else if (offset == offsetof(struct scsi_config, cdb_size) && value && value <= CDB_MAX)
		set_sizes(h, h->sense_size, value);
}

static void drain(struct scsi_host *h)
{
	unsigned int i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (h->lun[i].disk)
			block_drain(h->lun[i].q);
}

/* The images do not tell requests of one queue from those of others. */
static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	if (queue >= REQUESTS)
		drain(host_of(v));
}

static void stop(struct virtio_device *v)
{
	struct scsi_host *h = host_of(v);

	drain(h);
	set_sizes(h, SENSE_DEFAULT, SCSI_CDB_MAX);
}

static const struct virtio_ops ops = {
	.name = "virtio-scsi",
	.type = VIRTIO_SCSI,
	.boot_node = "scsi",
	.pci_class = 0x010000,
	.notify = notify,
	.stop = stop,
	.queue_stop = queue_stop,
	.config_write = config_write,
};

/* --- making it -------------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct scsi_host *h = host_of((struct virtio_device *)d);
	unsigned int i;

	virtio_detach(&h->v);
	for (i = 0; i < SCSI_LUNS_MAX; i++) {
		block_queue_free(h->lun[i].q);
		if (h->lun[i].disk)
			registry_release(h->v.board->backends, h->lun[i].disk);
	}
	scsi_free_requests(h);
	loop_thread_free(h->thread);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* lunN=ID is a disk, cdN=ID a CD drive. */
static int take_lun(struct scsi_host *h, unsigned int n, struct props *p)
{
	struct lun *l = &h->lun[n];
	char key[2][16];
	const char *disk, *cd;

	snprintf(key[0], sizeof(key[0]), "lun%u", n);
	snprintf(key[1], sizeof(key[1]), "cd%u", n);
	disk = props_string(p, key[0], NULL);
	cd = props_string(p, key[1], NULL);
	if (!disk && !cd)
		return 0;
	if (disk && cd)
		return error("%s: unit %u cannot be a disk and a CD drive", p->type, n);
	l->disk = registry_claim(h->v.board->backends, "disk", cd ? cd : disk);
	if (!l->disk)
		return -1;
	l->unit.cd = cd;
	l->unit.lun = n;
	l->unit.serial = l->disk->serial;
	block_get_limits(l->disk->block, &l->unit.limits);
	if (cd)
		l->unit.limits.readonly = true;
	h->luns |= (u16)(1u << n);
	return 0;
}

static int take_luns(struct scsi_host *h, struct props *p)
{
	unsigned int i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (take_lun(h, i, p) < 0)
			return -1;
	if (!h->luns)
		return error("%s needs lun0=ID of a --disk, or cd0=ID", p->type);
	for (i = 0; i < SCSI_LUNS_MAX; i++) {
		struct lun *l = &h->lun[i];

		l->unit.luns = h->luns;
		if (!l->disk)
			continue;
		l->q = block_queue_new(l->disk->block, h->thread, BLOCK_QUEUE_INLINE);
		if (!l->q)
			return -1;
	}
	return 0;
}

static int create_all(struct scsi_host *h, struct board *b, struct props *p)
{
	u32 queues = b->cpus < QUEUES_MAX ? b->cpus : QUEUES_MAX, i;
	struct scsi_config config = {
		.seg_max = SEGMENTS_MAX,
		.max_sectors = SCSI_TRANSFER_MAX / SCSI_DISK_BLOCK,
		.cmd_per_lun = QUEUE_SIZE / 2,
		.event_info_size = 16,
		.sense_size = SENSE_DEFAULT,
		.cdb_size = SCSI_CDB_MAX,
		.max_lun = SCSI_LUNS_MAX - 1,
	};
	bool iothread = props_bool(p, "iothread", false);

	h->v.board = b;
	config.num_queues = (u32)props_number(p, "num-queues", queues ? queues : 1, 1, QUEUES_MAX);
	h->sense_size = SENSE_DEFAULT;
	h->cdb_size = SCSI_CDB_MAX;
	h->thread = loop_thread_new("scsi");
	if (!h->thread || take_luns(h, p) < 0)
		return -1;
	if (virtio_init(&h->v, b, &ops, 0) < 0 ||
	    virtio_config(&h->v, &config, sizeof(config)) < 0)
		return -1;
	for (i = 0; i < REQUESTS + config.num_queues; i++)
		if (virtio_add_queue(&h->v, QUEUE_SIZE,
				     iothread && i >= REQUESTS ? h->thread : NULL) < 0)
			return -1;
	/* firmware starts from the first unit */
	snprintf(h->boot_leaf, sizeof(h->boot_leaf), "channel@0/disk@0,%x",
		 (unsigned int)__builtin_ctz(h->luns));
	h->v.boot_leaf = h->boot_leaf;
	return virtio_attach(&h->v, p);
}

static struct device *create(struct board *b, struct props *p)
{
	struct scsi_host *h = calloc(1, sizeof(*h));

	if (!h) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&h->lock, NULL);
	if (create_all(h, b, p) == 0)
		return &h->v.dev;
	h->v.board = b;
	destroy(&h->v.dev);
	return NULL;
}

const struct device_class virtio_scsi_class = {
	.name = "virtio-scsi",
	.summary = "disks and CD drives behind one device",
	.usage = "lunN=ID, cdN=ID of a --disk, N to 15; num-queues=N, iothread=on, "
		 "bootindex=N",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
