/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtio devices (Virtual I/O Device specification 1.2), on whichever transport
 * the machine has: PCI (4.1, modern only) or MMIO (4.2).
 *
 * How to write one (rng.c is the shortest):
 *
 *	struct foo { struct virtio_device v; ... };	the virtio_device first
 *
 *	create():  virtio_init(&f->v, b, &ops, features)
 *		   virtio_config(&f->v, &initial, sizeof(initial))	if it has any
 *		   virtio_add_queue(&f->v, 256, loop)			for each queue
 *		   virtio_attach(&f->v, props)
 *	destroy(): virtio_detach(&f->v), then free
 *
 * Notifications. ops->notify(v, n) says that the driver put buffers into queue
 * n. Calls for one queue never overlap; those for different queues do. With a
 * loop given to virtio_add_queue they come on that loop's thread, through an
 * ioeventfd; without one, on the vCPU's thread that wrote the register. The
 * latter has no latency at all and suits work that never waits: on small hosts
 * waking a thread costs 60 to 130 us, more than most requests. notify() takes
 * what is there:
 *
 *	while (virtqueue_pop(q, &c)) { ...; virtqueue_push(q, &c, written); }
 *	virtqueue_signal(q);
 *
 * A driver that never ends is no loop without end: after VIRTIO_SLICE_NS nothing
 * is found any more, and notify() is called again from the machine's event loop.
 *
 * A request may also be kept, and pushed and signalled from any thread later;
 * the device then keeps the chain's `head` and `iov`. virtqueue_* lock the
 * queue for themselves.
 *
 * The life of a driver. start() is called when it is ready (DRIVER_OK), with
 * v->features being those negotiated. stop() when it resets the device or the
 * device is taken away: it returns when no request is under way any more, and
 * queues are dead meanwhile (pop finds nothing, push does nothing). Between
 * reset and start the features are unknown. queue_stop() is for one queue alone
 * (2.6.1), which is dead by then, with notify() not at work on it: when it
 * returns no buffer of this queue is known any more, and no other thread is
 * about to touch one. Devices that answer all within notify() need none. None
 * of them is called under a lock that any function here but virtio_attach and
 * virtio_detach takes.
 *
 * What the driver writes is hostile. virtqueue_pop bounds rings, indices and
 * chains and gives host addresses of checked guest memory; lengths within
 * requests are for the device to check. The driver may change buffers while
 * they are worked on: copy headers out (virtq_read), then look at them.
 * When a driver breaks the protocol, virtio_broken() ends the conversation
 * until it resets the device.
 */
#ifndef VMM_DEVICES_VIRTIO_VIRTIO_H
#define VMM_DEVICES_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <sys/uio.h>

#include "../device.h"

#define VIRTIO_QUEUES_MAX 128
#define VIRTIO_QUEUE_SIZE_MAX 1024
#define VIRTIO_CONFIG_MAX 0x1000
#define VIRTIO_SLICE_NS 20000000ULL

#define VIRTIO_BIT(n) (1ULL << (n))
#define VIRTIO_F_INDIRECT VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_F_VERSION_1 VIRTIO_BIT(32)
#define VIRTIO_F_PACKED VIRTIO_BIT(34)
#define VIRTIO_F_RING_RESET VIRTIO_BIT(40)

#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64

#define VIRTIO_ISR_QUEUE 1
#define VIRTIO_ISR_CONFIG 2
#define VIRTIO_NO_VECTOR 0xffff

/* Device types (chapter 5) */
enum virtio_type {
	VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_CONSOLE = 3, VIRTIO_RNG = 4, VIRTIO_BALLOON = 5,
	VIRTIO_SCSI = 8, VIRTIO_9P = 9, VIRTIO_GPU = 16, VIRTIO_INPUT = 18, VIRTIO_VSOCK = 19,
	VIRTIO_FS = 26, VIRTIO_SOUND = 25,
};

struct virtio_device;

struct virtio_ops {
	const char *name;
	enum virtio_type type;
	u32 pci_class;			/* class, subclass, interface */
	/* of what firmware boots from: its kind, and what is on it ("scsi", "disk@0,0"), or NULL */
	const char *boot_node, *boot_leaf;
	void (*notify)(struct virtio_device *v, unsigned int queue);
	/* all of these may be NULL */
	void (*start)(struct virtio_device *v);
	void (*stop)(struct virtio_device *v);
	/* The driver takes one queue back, all else goes on; see above. */
	void (*queue_stop)(struct virtio_device *v, unsigned int queue);
	/* The driver wrote to the configuration; the bytes of v->config are not changed. */
	void (*config_write)(struct virtio_device *v, unsigned int offset, const void *data,
			     unsigned int size);
	/* Before the driver reads the configuration, for what changes by itself. */
	void (*config_read)(struct virtio_device *v);
};

/* One queue. Devices use the functions below. */
struct virtqueue {
	struct virtio_device *v;
	unsigned int index;
	u16 max_size, size;
	bool enabled;			/* by the driver */
	bool live;			/* and usable: between start and stop */
	bool quiet;			/* the device wants no notifications */
	u64 desc_gpa, avail_gpa, used_gpa;
	u16 vector;			/* MSI-X */
	pthread_mutex_t lock;		/* of all below */
	u8 *desc, *avail, *used;	/* host addresses, checked for the whole size */
	u16 next_avail, next_used;	/* free-running; packed: positions */
	u16 signalled;			/* next_used at the last interrupt */
	bool signalled_valid;
	bool wrap_avail, wrap_used;	/* packed: the wrap counters */
	u32 in_use;			/* chains popped and not pushed */
	u64 until;			/* when who handles a notification is to pause; or 0 */
	bool paused;			/* he did, with buffers left; atomic */
	u32 leaving;			/* handlers that pause right now; atomic */
	u32 kicks;			/* notifications not yet handled; atomic */
	struct loop *loop;		/* or NULL: on the vCPU's thread */
	struct loop_entry *entry;
	int fd;				/* of the doorbell, or -1 */
};

struct virtio_transport {
	/* queue -1: the configuration changed */
	void (*interrupt)(struct virtio_device *v, int queue);
	int (*doorbell)(struct virtio_device *v, unsigned int queue, int fd, bool on);
	void (*detach)(struct virtio_device *v);
	int (*unplug)(struct virtio_device *v);		/* or NULL: it cannot leave */
};

struct virtio_device {
	struct device dev;
	struct board *board;
	const struct virtio_ops *ops;
	const struct virtio_transport *transport;
	const char *boot_leaf;		/* in place of that of ops; or NULL */
	void *transport_data;
	pthread_mutex_t lock;		/* of the transport's registers */
	u64 offered, features;		/* features: those negotiated */
	u64 driver_features;		/* as the driver writes them */
	u8 status;			/* atomic */
	bool broken;			/* atomic */
	bool held;			/* atomic; nothing is taken from queues: one stops */
	struct timer *later;		/* goes on with queues that paused; or NULL */
	unsigned int complaints;	/* error lines so far */
	u16 config_vector;
	u8 isr;				/* atomic */
	pthread_mutex_t config_lock;
	u8 *config;
	unsigned int config_size;
	u32 generation;			/* of the configuration */
	struct virtqueue *queue;
	unsigned int queues;
};

/* --- for devices ------------------------------------------------------------------- */

/* features: the device's own; the transport's and the rings' are added. 0, or -1. */
int virtio_init(struct virtio_device *v, struct board *b, const struct virtio_ops *ops,
		u64 features);
/* The configuration space: a copy of size bytes. 0, or -1 after an error line. */
int virtio_config(struct virtio_device *v, const void *initial, unsigned int size);
/* The next queue: its number, or -1 after an error line. size is a power of two. */
int virtio_add_queue(struct virtio_device *v, unsigned int size, struct loop *loop);
/*
 * Puts it on the machine's bus. Takes the properties that all virtio devices
 * have (packed=, indirect=, event-idx=, ioeventfd=, and addr=, bus=, bootindex=
 * on PCI), and refuses those that nobody took. 0, or -1 after an error line, after which
 * the device calls virtio_detach as if it had been attached.
 */
int virtio_attach(struct virtio_device *v, struct props *p);
/* Stops it, takes it off the bus and frees what it has; not v itself. */
void virtio_detach(struct virtio_device *v);

/* The unplug() of a device_class. */
int virtio_unplug(struct device *d);

static inline bool virtio_has(const struct virtio_device *v, u64 feature)
{
	return v->features & feature;
}

/* Changes bytes of the configuration and tells the driver. From any thread. */
void virtio_config_update(struct virtio_device *v, unsigned int offset, const void *data,
			  unsigned int size);
/* The driver's own write takes effect, without telling it. */
void virtio_config_written(struct virtio_device *v, unsigned int offset, const void *data,
			   unsigned int size);
/* The driver broke the protocol: says so, and nothing goes on until it resets the device. */
void virtio_broken(struct virtio_device *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Whether notifications of a queue are handled, and its buffers taken. */
static inline bool virtqueue_handled(const struct virtqueue *q)
{
	return __atomic_load_n(&q->live, __ATOMIC_SEQ_CST) &&
		!__atomic_load_n(&q->v->held, __ATOMIC_SEQ_CST);
}

/* --- queues: from any thread ------------------------------------------------------------ */

/*
 * A chain of buffers: first nout that the driver filled, then nin that the
 * device fills. The caller gives the room: iov and max.
 */
struct virtq_chain {
	struct iovec *iov;
	unsigned int max;
	unsigned int nout, nin;
	u64 out_len, in_len;		/* bytes */
	u16 head;			/* names the chain */
	u16 ndesc;			/* packed: descriptors it took of the ring */
};

/* The next chain; false when there is none (or the driver was caught). */
bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *c);
/* Puts the last chain back as if it had not been popped; no other was popped since. */
void virtqueue_unpop(struct virtqueue *q, const struct virtq_chain *c);
/* Gives a chain back to the driver, with this many bytes written to its in buffers. */
void virtqueue_push(struct virtqueue *q, const struct virtq_chain *c, u32 written);
/* Interrupts the driver if it wants to know of what was pushed. */
void virtqueue_signal(struct virtqueue *q);
/* True when the driver has buffers ready. */
bool virtqueue_ready(struct virtqueue *q);
/*
 * Asks the driver not to notify, while the device looks by itself. Turning it
 * off again returns true when buffers came meanwhile, for which none comes.
 */
bool virtqueue_quiet(struct virtqueue *q, bool quiet);
/* Handles the queue as if the driver had notified. */
void virtqueue_kick(struct virtqueue *q);

/* Copies len bytes at offset of the out buffers; false when there are fewer. */
bool virtq_read(const struct virtq_chain *c, u64 offset, void *to, u64 len);
/* The same into the in buffers. */
bool virtq_write(const struct virtq_chain *c, u64 offset, const void *from, u64 len);
/*
 * The pieces of len bytes at offset of the out (or in) buffers: how many were
 * put into iov, or -1 when there are fewer bytes, or more pieces than max.
 */
int virtq_out(const struct virtq_chain *c, u64 offset, u64 len, struct iovec *iov, int max);
int virtq_in(const struct virtq_chain *c, u64 offset, u64 len, struct iovec *iov, int max);

/* --- for transports ------------------------------------------------------------------------ */

void virtio_set_status(struct virtio_device *v, u8 status);
void virtio_reset(struct virtio_device *v);
void virtio_queue_enable(struct virtio_device *v, unsigned int n);
void virtio_queue_reset(struct virtio_device *v, unsigned int n);
void virtio_config_get(struct virtio_device *v, unsigned int offset, void *data,
		       unsigned int size);
void virtio_config_set(struct virtio_device *v, unsigned int offset, const void *data,
		       unsigned int size);
void virtio_notified(struct virtio_device *v, unsigned int n);

int virtio_pci_attach(struct virtio_device *v, struct props *p);
int virtio_mmio_attach(struct virtio_device *v);

/* --- between virtqueue.c and packed.c, under queue->lock -------------------------------------- */

bool packed_pop(struct virtqueue *q, struct virtq_chain *c);
void packed_unpop(struct virtqueue *q, const struct virtq_chain *c);
void packed_push(struct virtqueue *q, const struct virtq_chain *c, u32 written);
bool packed_wants_signal(struct virtqueue *q);
bool packed_ready(const struct virtqueue *q);
void packed_quiet(struct virtqueue *q);
/* Adds the memory of a descriptor to a chain; false after virtio_broken. */
bool virtq_add(struct virtqueue *q, struct virtq_chain *c, u64 addr, u32 len, bool in);
/* Where a descriptor table within guest memory is; NULL after virtio_broken. */
const u8 *virtq_indirect(struct virtqueue *q, u64 addr, u32 len, unsigned int *count);

#define VIRTQ_DESC_SIZE 16
#define VIRTQ_DESC_NEXT 1
#define VIRTQ_DESC_WRITE 2
#define VIRTQ_DESC_INDIRECT 4

static inline void virtq_close_chain(struct virtq_chain *c)
{
	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
}

#endif
