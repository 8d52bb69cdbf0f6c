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

#include "../../backends/disk.h"
#include "../../backends/registry.h"
#include "../../error.h"
#include "../scsi/scsi.h"
#include "virtio.h"

#define QUEUE_SIZE 256
#define SEGMENTS_MAX 126
#define QUEUES_MAX 4			/* of requests, and as many CPUs */
#define REQUESTS_MAX 1024
#define SENSE_DEFAULT 96
#define SENSE_MAX 252
#define CDB_MAX 255

enum { CONTROL, EVENTS, REQUESTS };	/* queues */
enum { S_OK, S_OVERRUN, S_BAD_TARGET = 3, S_FAILURE = 9 };
enum { T_TASK = 0, T_QUERY = 1, T_SUBSCRIBE = 2 };
enum { TASK_COMPLETE = 0, TASK_REJECTED = 10, TASK_BAD_TARGET = 3 };
#define SUBTYPES 8			/* of task management */

struct scsi_config {
	u32 num_queues, seg_max, max_sectors, cmd_per_lun, event_info_size, sense_size, cdb_size;
	u16 max_channel, max_target;
	u32 max_lun;
};

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
	pthread_mutex_t lock;		/* of the lists */
	struct scsi_request *free, *all;
	unsigned int made;
};

/* The queue whose notification this thread handles; it signals at the end. */
static __thread struct virtqueue *handled;

static struct scsi_host *host_of(struct virtio_device *v)
{
	return (struct scsi_host *)v;
}

/* --- requests ----------------------------------------------------------------------------- */

static struct scsi_request *take(struct scsi_host *h, struct virtqueue *q)
{
	struct scsi_request *r;

	pthread_mutex_lock(&h->lock);
	r = h->free;
	if (r) {
		h->free = r->next;
	} else if (h->made < REQUESTS_MAX && (r = calloc(1, sizeof(*r)))) {
		h->made++;
		r->host = h;
		r->other = h->all;
		h->all = r;
	}
	pthread_mutex_unlock(&h->lock);
	if (r) {
		r->vq = q;
		r->chain.iov = r->iov;
		r->chain.max = ARRAY_SIZE(r->iov);
		r->sense_size = __atomic_load_n(&h->sense_size, __ATOMIC_ACQUIRE);
		r->cdb_size = __atomic_load_n(&h->cdb_size, __ATOMIC_ACQUIRE);
	}
	return r;
}

static void give_back(struct scsi_request *r)
{
	pthread_mutex_lock(&r->host->lock);
	r->next = r->host->free;
	r->host->free = r;
	pthread_mutex_unlock(&r->host->lock);
}

static u64 response_size(const struct scsi_request *r)
{
	return sizeof(struct scsi_response) + r->sense_size;
}

static u64 room_in(const struct scsi_request *r)
{
	return r->chain.in_len - response_size(r);
}

static u64 room_out(const struct scsi_request *r)
{
	return r->chain.out_len - sizeof(struct scsi_header) - r->cdb_size;
}

/* The end of a request: done bytes were moved of what the driver had room for. */
static void answer(struct scsi_request *r, u8 response, u64 done)
{
	struct scsi_response a = { .response = response };
	bool failed = response == S_OK && r->plan.action == SCSI_FAIL;
	u8 sense[SENSE_MAX] = { 0 };

	if (failed) {
		a.status = SCSI_CHECK_CONDITION;
		a.sense_len = SCSI_SENSE_SIZE;
		scsi_sense(r->plan.sense, sense);
	}
	a.residual = (u32)(room_in(r) + room_out(r) - done);
	virtq_write(&r->chain, 0, &a, sizeof(a));
	virtq_write(&r->chain, sizeof(a), sense, r->sense_size);
	virtqueue_push(r->vq, &r->chain, (u32)(response_size(r) + (room_in(r) ? done : 0)));
	if (handled != r->vq)
		virtqueue_signal(r->vq);
	give_back(r);
}

static void done(struct block_request *b, int err)
{
	struct scsi_request *r = (struct scsi_request *)b;
	bool moves = b->op == BLOCK_OP_READ || b->op == BLOCK_OP_WRITE;

	if (err)
		scsi_medium_error(&r->plan, b->op != BLOCK_OP_READ);
	answer(r, S_OK, moves && !err ? b->length : 0);
}

/* --- what commands come to ---------------------------------------------------------------- */

static void submit(struct scsi_request *r, enum block_op op, unsigned int flags)
{
	r->r.op = op;
	r->r.flags = flags;
	r->r.offset = r->plan.offset;
	r->r.length = r->plan.length;
	r->r.done = done;
	block_submit(r->lun->q, &r->r);
}

static void transfer(struct scsi_request *r, bool write)
{
	u64 at = write ? sizeof(struct scsi_header) + r->cdb_size : response_size(r);
	const int max = (int)ARRAY_SIZE(r->data);
	int n = write ? virtq_out(&r->chain, at, r->plan.length, r->data, max) :
		virtq_in(&r->chain, at, r->plan.length, r->data, max);

	if (n < 0) {
		answer(r, S_OVERRUN, 0);
		return;
	}
	r->r.iov = r->data;
	r->r.iovcnt = (unsigned int)n;
	submit(r, write ? BLOCK_OP_WRITE : BLOCK_OP_READ, r->plan.fua ? BLOCK_FUA : 0);
}

static void answer_data(struct scsi_request *r)
{
	u64 n = r->plan.length < room_in(r) ? r->plan.length : room_in(r);

	virtq_write(&r->chain, response_size(r), r->plan.data, n);
	answer(r, S_OK, n);
}

static void execute(struct scsi_request *r)
{
	switch (r->plan.action) {
	case SCSI_READ:
	case SCSI_WRITE:
		transfer(r, r->plan.action == SCSI_WRITE);
		break;
	case SCSI_FLUSH:
		r->plan.offset = r->plan.length = 0;
		submit(r, BLOCK_OP_FLUSH, 0);
		break;
	case SCSI_DISCARD:
		submit(r, BLOCK_OP_DISCARD, 0);
		break;
	case SCSI_ZERO:
		submit(r, BLOCK_OP_ZERO, r->plan.unmap ? BLOCK_UNMAP : 0);
		break;
	case SCSI_ANSWER:
		answer_data(r);
		break;
	default:
		answer(r, S_OK, 0);
	}
}

/* The parameters that came with a command. */
static void take_parameters(struct scsi_request *r)
{
	if (!virtq_read(&r->chain, sizeof(struct scsi_header) + r->cdb_size, r->plan.data,
			r->plan.length)) {
		answer(r, S_OVERRUN, 0);
		return;
	}
	scsi_parameters(&r->lun->unit, r->cdb, &r->plan);
	execute(r);
}

/* The number of a logical unit of target 0, in either of its forms; or -1. */
static int lun_of(const u8 lun[8])
{
	u32 n = scsi_get16(lun + 2) & 0x3fff;

	if (lun[0] != 1 || lun[1] || scsi_get32(lun + 4))
		return -1;
	return n < SCSI_LUNS_MAX ? (int)n : SCSI_LUNS_MAX;
}

static void begin(struct scsi_host *h, struct scsi_request *r)
{
	struct scsi_header head;
	int n;

	memset(r->cdb, 0, sizeof(r->cdb));
	memset(&r->plan, 0, sizeof(r->plan));
	virtq_read(&r->chain, 0, &head, sizeof(head));
	virtq_read(&r->chain, sizeof(head), r->cdb,
		   r->cdb_size < SCSI_CDB_MAX ? r->cdb_size : SCSI_CDB_MAX);
	n = lun_of(head.lun);
	if (n < 0) {
		answer(r, S_BAD_TARGET, 0);
		return;
	}
	if (n == SCSI_LUNS_MAX || !h->lun[n].disk) {
		scsi_no_unit(r->cdb, h->luns, &r->plan);
		execute(r);
		return;
	}
	r->lun = &h->lun[n];
	scsi_command(&r->lun->unit, r->cdb, &r->plan);
	if (r->plan.action == SCSI_PARAMETERS)
		take_parameters(r);
	else
		execute(r);
}

static void commit_all(struct scsi_host *h)
{
	unsigned int i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (h->lun[i].disk)
			block_commit(h->lun[i].q);
}

static void on_requests(struct scsi_host *h, struct virtqueue *q)
{
	struct scsi_request *r;

	handled = q;
	while ((r = take(h, q))) {
		if (!virtqueue_pop(q, &r->chain)) {
			give_back(r);
			break;
		}
		if (r->chain.out_len < sizeof(struct scsi_header) + r->cdb_size ||
		    r->chain.in_len < response_size(r)) {
			virtio_broken(&h->v, "a request of %llu bytes, with room for %llu",
				      (unsigned long long)r->chain.out_len,
				      (unsigned long long)r->chain.in_len);
			give_back(r);
			break;
		}
		begin(h, r);
	}
	commit_all(h);
	handled = NULL;
	virtqueue_signal(q);
}

/* --- the control queue ----------------------------------------------------------------------- */

/* A task cannot be called back: it is waited for, and then there is none. */
static u8 manage(struct scsi_host *h, const u8 lun[8], u32 subtype)
{
	int n = lun_of(lun);

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
		on_requests(h, &v->queue[queue]);
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

static void stop(struct virtio_device *v)
{
	struct scsi_host *h = host_of(v);
	unsigned int i;

	for (i = 0; i < SCSI_LUNS_MAX; i++)
		if (h->lun[i].disk)
			block_drain(h->lun[i].q);
	set_sizes(h, SENSE_DEFAULT, SCSI_CDB_MAX);
}

static const struct virtio_ops ops = {
	.name = "virtio-scsi",
	.type = VIRTIO_SCSI,
	.boot_node = "scsi",
	.boot_leaf = "channel@0/disk@0,0",
	.pci_class = 0x010000,
	.notify = notify,
	.stop = stop,
	.config_write = config_write,
};

/* --- making it --------------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct scsi_host *h = host_of((struct virtio_device *)d);
	struct scsi_request *r;
	unsigned int i;

	virtio_detach(&h->v);
	for (i = 0; i < SCSI_LUNS_MAX; i++) {
		block_queue_free(h->lun[i].q);
		if (h->lun[i].disk)
			registry_release(h->v.board->backends, h->lun[i].disk);
	}
	while ((r = h->all)) {
		h->all = r->other;
		free(r);
	}
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
	.usage = "lunN=ID or cdN=ID of a --disk with if=none, N from 0 to 15; iothread=on, bootindex=N",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
