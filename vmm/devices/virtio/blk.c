/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block device (5.2): a disk of the registry, with as many queues as there
 * are CPUs. Requests are made on the vCPU's thread that notifies: what the host
 * has in its page cache is answered before the guest goes on, without waking
 * anybody. All else ends on the disk's own thread. With iothread=on that thread
 * does both, for guests whose CPUs must not wait for the host's file system.
 */
#include <stdlib.h>
#include <string.h>

#include "../../backends/disk.h"
#include "../../backends/registry.h"
#include "../../error.h"
#include "virtio.h"

#define QUEUE_SIZE 256
#define SEGMENTS_MAX 126
#define QUEUES_MAX 16
#define QUEUES_DEFAULT_MAX 4
#define DISCARD_MAX (1U << 21)		/* sectors: 1 GiB a request */
#define TRANSFER_MAX (256 * MIB)	/* far beyond what drivers ask for at once */

#define BLK_F_SEG_MAX VIRTIO_BIT(2)
#define BLK_F_RO VIRTIO_BIT(5)
#define BLK_F_BLK_SIZE VIRTIO_BIT(6)
#define BLK_F_FLUSH VIRTIO_BIT(9)
#define BLK_F_TOPOLOGY VIRTIO_BIT(10)
#define BLK_F_CONFIG_WCE VIRTIO_BIT(11)
#define BLK_F_MQ VIRTIO_BIT(12)
#define BLK_F_DISCARD VIRTIO_BIT(13)
#define BLK_F_WRITE_ZEROES VIRTIO_BIT(14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

#define ID_BYTES 20
#define ZEROES_UNMAP 1			/* a flag of discards and zeros; others are reserved */

struct blk_config {
	u64 capacity;			/* sectors */
	u32 size_max, seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;
	u8 write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));

struct blk_header {
	u32 type, reserved;
	u64 sector;
};

struct blk_range {
	u64 sector;
	u32 sectors, flags;
};

struct blk_request {
	struct block_request r;		/* first */
	struct blk_queue *bq;
	struct blk_request *next;	/* of the free ones */
	struct blk_request *other;	/* of all that were made */
	struct virtq_chain chain;
	struct iovec iov[SEGMENTS_MAX + 2], data[SEGMENTS_MAX];
};

struct blk_queue {
	struct blk *b;
	struct virtqueue *vq;
	struct block_queue *q;
	pthread_mutex_t lock;		/* of the lists */
	struct blk_request *free, *all;
	unsigned int made;
};

struct blk {
	struct virtio_device v;		/* first */
	struct disk *disk;
	struct block_limits limits;
	struct loop *thread;
	bool writeback;			/* atomic: flushes are the driver's affair */
	unsigned int queues;
	struct blk_queue queue[QUEUES_MAX];
};

/* The queue whose notification this thread handles; it signals at the end. */
static __thread struct blk_queue *handled;

static struct blk *blk_of(struct virtio_device *v)
{
	return (struct blk *)v;
}

/* --- the end of a request --------------------------------------------------------------- */

static void answer(struct blk_request *req, u8 status, u64 written)
{
	struct blk_queue *bq = req->bq;

	virtq_write(&req->chain, req->chain.in_len - 1, &status, 1);
	virtqueue_push(bq->vq, &req->chain, (u32)written + 1);
	pthread_mutex_lock(&bq->lock);
	req->next = bq->free;
	bq->free = req;
	pthread_mutex_unlock(&bq->lock);
	if (handled != bq)
		virtqueue_signal(bq->vq);
}

static void done(struct block_request *r, int err)
{
	struct blk_request *req = (struct blk_request *)r;

	answer(req, err ? S_IOERR : S_OK, !err && r->op == BLOCK_OP_READ ? r->length : 0);
}

/* --- requests ------------------------------------------------------------------------ */

/* Sectors to bytes; false when they are not all on the disk. */
static bool on_disk(const struct blk *b, u64 sector, u64 bytes)
{
	u64 size = b->limits.size;

	return !(bytes % BLOCK_SECTOR) && sector <= size / BLOCK_SECTOR &&
		bytes <= size - sector * BLOCK_SECTOR;
}

/* A read or write: the status, or -1 when it is under way. */
static int transfer(struct blk *b, struct blk_request *req, const struct blk_header *h)
{
	const struct virtq_chain *c = &req->chain;
	bool read = h->type == T_IN;
	u64 len = read ? c->in_len - 1 : c->out_len - sizeof(*h);
	int n = read ? virtq_in(c, 0, len, req->data, SEGMENTS_MAX) :
		virtq_out(c, sizeof(*h), len, req->data, SEGMENTS_MAX);

	if (n < 0 || len > TRANSFER_MAX || !on_disk(b, h->sector, len))
		return S_IOERR;
	req->r.op = read ? BLOCK_OP_READ : BLOCK_OP_WRITE;
	req->r.flags = !read && !__atomic_load_n(&b->writeback, __ATOMIC_ACQUIRE) ? BLOCK_FUA : 0;
	req->r.offset = h->sector * BLOCK_SECTOR;
	req->r.length = len;
	req->r.iov = req->data;
	req->r.iovcnt = (unsigned int)n;
	return -1;
}

static int range(struct blk *b, struct blk_request *req, const struct blk_header *h)
{
	struct blk_range g;

	if (req->chain.out_len != sizeof(*h) + sizeof(g) ||
	    !virtq_read(&req->chain, sizeof(*h), &g, sizeof(g)))
		return S_UNSUPP;
	if (g.flags & ~(u32)(h->type == T_WRITE_ZEROES ? ZEROES_UNMAP : 0))
		return S_UNSUPP;
	if (g.sectors > DISCARD_MAX || !on_disk(b, g.sector, (u64)g.sectors * BLOCK_SECTOR))
		return S_IOERR;
	req->r.op = h->type == T_DISCARD ? BLOCK_OP_DISCARD : BLOCK_OP_ZERO;
	req->r.flags = (g.flags & ZEROES_UNMAP ? BLOCK_UNMAP : 0) |
		(__atomic_load_n(&b->writeback, __ATOMIC_ACQUIRE) ? 0 : BLOCK_FUA);
	req->r.offset = g.sector * BLOCK_SECTOR;
	req->r.length = (u64)g.sectors * BLOCK_SECTOR;
	return -1;
}

static int get_id(struct blk *b, struct blk_request *req)
{
	char id[ID_BYTES] = { 0 };
	u64 room = req->chain.in_len - 1;

	memcpy(id, b->disk->serial, strnlen(b->disk->serial, ID_BYTES));
	return virtq_write(&req->chain, 0, id, room < ID_BYTES ? room : ID_BYTES) ? S_OK : S_IOERR;
}

static int begin(struct blk *b, struct blk_request *req)
{
	struct blk_header h;

	if (!virtq_read(&req->chain, 0, &h, sizeof(h)))
		return S_IOERR;
	switch (h.type) {
	case T_IN:
	case T_OUT:
		return transfer(b, req, &h);
	case T_FLUSH:
		req->r.op = BLOCK_OP_FLUSH;
		req->r.flags = 0;
		return -1;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		return range(b, req, &h);
	case T_GET_ID:
		return get_id(b, req);
	default:
		return S_UNSUPP;
	}
}

/* A request that nobody uses; made when there is none, as few guests need many. */
static struct blk_request *take(struct blk_queue *bq)
{
	struct blk_request *req;

	pthread_mutex_lock(&bq->lock);
	req = bq->free;
	if (req) {
		bq->free = req->next;
	} else if (bq->made < QUEUE_SIZE && (req = calloc(1, sizeof(*req)))) {
		bq->made++;
		req->bq = bq;
		req->r.done = done;
		req->other = bq->all;
		bq->all = req;
	}
	pthread_mutex_unlock(&bq->lock);
	return req;
}

static void give_back(struct blk_queue *bq, struct blk_request *req)
{
	pthread_mutex_lock(&bq->lock);
	req->next = bq->free;
	bq->free = req;
	pthread_mutex_unlock(&bq->lock);
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct blk *b = blk_of(v);
	struct blk_queue *bq = &b->queue[queue];
	struct blk_request *req;
	int status;

	handled = bq;
	while ((req = take(bq))) {
		req->chain.iov = req->iov;
		req->chain.max = ARRAY_SIZE(req->iov);
		if (!virtqueue_pop(bq->vq, &req->chain)) {
			give_back(bq, req);
			break;
		}
		if (!req->chain.in_len) {
			give_back(bq, req);
			virtio_broken(v, "queue %u: a request without room for its status", queue);
			break;
		}
		status = begin(b, req);
		if (status < 0)
			block_submit(bq->q, &req->r);
		else
			answer(req, (u8)status, req->chain.in_len - 1);
	}
	block_commit(bq->q);
	handled = NULL;
	virtqueue_signal(bq->vq);
}

/* --- the life of a driver ------------------------------------------------------------ */

static void set_writeback(struct blk *b, u8 on)
{
	virtio_config_update(&b->v, offsetof(struct blk_config, writeback), &on, 1);
	__atomic_store_n(&b->writeback, on, __ATOMIC_RELEASE);
}

/* A driver that knows nothing of flushes gets every write onto the disk (5.2.6.2). */
static void start(struct virtio_device *v)
{
	set_writeback(blk_of(v), virtio_has(v, BLK_F_FLUSH));
}

static void stop(struct virtio_device *v)
{
	struct blk *b = blk_of(v);
	unsigned int i;

	for (i = 0; i < b->queues; i++)
		block_drain(b->queue[i].q);
}

static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	block_drain(blk_of(v)->queue[queue].q);
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	u8 on;

	if (size != 1 || offset != offsetof(struct blk_config, writeback) ||
	    !virtio_has(v, BLK_F_CONFIG_WCE))
		return;
	memcpy(&on, data, 1);
	set_writeback(blk_of(v), on & 1);
}

static const struct virtio_ops ops = {
	.name = "virtio-blk",
	.boot_node = "scsi",
	.boot_leaf = "disk@0,0",
	.type = VIRTIO_BLK,
	.pci_class = 0x010000,
	.notify = notify,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
	.config_write = config_write,
};

/* --- making it ----------------------------------------------------------------------- */

static void free_requests(struct blk_queue *bq)
{
	struct blk_request *req;

	while ((req = bq->all)) {
		bq->all = req->other;
		free(req);
	}
}

static void destroy(struct device *d)
{
	struct blk *b = blk_of((struct virtio_device *)d);
	unsigned int i;

	virtio_detach(&b->v);
	for (i = 0; i < b->queues; i++) {
		block_queue_free(b->queue[i].q);
		free_requests(&b->queue[i]);
		pthread_mutex_destroy(&b->queue[i].lock);
	}
	if (b->thread)
		loop_thread_free(b->thread);
	if (b->disk)
		registry_release(d->board ? d->board->backends : b->v.board->backends, b->disk);
	free(b);
}

static int add_queue(struct blk *b, struct loop *loop)
{
	struct blk_queue *bq = &b->queue[b->queues];
	int n;

	bq->b = b;
	pthread_mutex_init(&bq->lock, NULL);
	b->queues++;
	n = virtio_add_queue(&b->v, QUEUE_SIZE, loop);
	if (n < 0)
		return -1;
	bq->vq = &b->v.queue[n];
	bq->q = block_queue_new(b->disk->block, b->thread, BLOCK_QUEUE_INLINE);
	return bq->q ? 0 : -1;
}

static int set_config(struct blk *b, unsigned int queues)
{
	const struct block_limits *l = &b->limits;
	struct blk_config c = {
		.capacity = l->size / BLOCK_SECTOR,
		.seg_max = SEGMENTS_MAX,
		.blk_size = BLOCK_SECTOR,
		.physical_block_exp = (u8)__builtin_ctz(l->best / BLOCK_SECTOR),
		.min_io_size = (u16)(l->best / BLOCK_SECTOR),
		.writeback = 1,
		.num_queues = (u16)queues,
		.max_discard_sectors = DISCARD_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = l->granularity / BLOCK_SECTOR,
		.max_write_zeroes_sectors = DISCARD_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};

	return virtio_config(&b->v, &c, sizeof(c));
}

static int create_all(struct blk *b, struct board *board, struct props *p)
{
	const char *drive = props_string(p, "drive", NULL);
	u64 most = board->cpus < QUEUES_DEFAULT_MAX ? board->cpus : QUEUES_DEFAULT_MAX, queues, i;
	bool iothread = props_bool(p, "iothread", false);
	u64 features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY |
		BLK_F_CONFIG_WCE | BLK_F_MQ;

	queues = props_number(p, "num-queues", most ? most : 1, 1, QUEUES_MAX);
	if (!drive) {
		props_missing(p, "drive", "the id of a --disk");
		return -1;
	}
	b->v.board = board;
	b->disk = registry_claim(board->backends, "disk", drive);
	if (!b->disk)
		return -1;
	block_get_limits(b->disk->block, &b->limits);
	features |= b->limits.readonly ? BLK_F_RO : BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	if (virtio_init(&b->v, board, &ops, features) < 0 ||
	    set_config(b, (unsigned int)queues) < 0)
		return -1;
	b->thread = loop_thread_new("disk");
	if (!b->thread)
		return -1;
	for (i = 0; i < queues; i++)
		if (add_queue(b, iothread ? b->thread : NULL) < 0)
			return -1;
	return virtio_attach(&b->v, p);
}

static struct device *create(struct board *board, struct props *p)
{
	struct blk *b = calloc(1, sizeof(*b));

	if (!b) {
		error("out of memory");
		return NULL;
	}
	if (create_all(b, board, p) == 0)
		return &b->v.dev;
	b->v.board = board;
	destroy(&b->v.dev);
	return NULL;
}

const struct device_class virtio_blk_class = {
	.name = "virtio-blk",
	.summary = "a disk",
	.usage = "drive=ID of a --disk, num-queues=N, iothread=on, bootindex=N",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
