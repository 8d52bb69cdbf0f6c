/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio device on any transport (chapters 2 and 3): status, features, the
 * life of queues, the configuration space.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../error.h"
#include "virtio.h"

#define COMPLAINTS_MAX 8	/* lines about one device: its driver can cause them at will */
#define DRAIN_NS 50000

/* --- making one ---------------------------------------------------------------------- */

int virtio_init(struct virtio_device *v, struct board *b, const struct virtio_ops *ops,
		u64 features)
{
	memset(v, 0, sizeof(*v));
	v->board = b;
	v->ops = ops;
	v->offered = features | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET;
	v->config_vector = VIRTIO_NO_VECTOR;
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->config_lock, NULL);
	v->queue = calloc(VIRTIO_QUEUES_MAX, sizeof(*v->queue));
	return v->queue ? 0 : error("out of memory");
}

int virtio_config(struct virtio_device *v, const void *initial, unsigned int size)
{
	v->config = malloc(size);
	if (!v->config)
		return error("out of memory");
	memcpy(v->config, initial, size);
	v->config_size = size;
	return 0;
}

static void on_doorbell(void *arg)
{
	struct virtqueue *q = arg;
	u64 count;

	if (read(q->fd, &count, sizeof(count)) == sizeof(count))
		virtqueue_kick(q);
}

static void on_later(void *arg)
{
	struct virtio_device *v = arg;
	unsigned int i;

	/* those with a doorbell rang it, for their own loop */
	for (i = 0; i < v->queues; i++)
		if (v->queue[i].fd < 0 &&
		    __atomic_exchange_n(&v->queue[i].paused, false, __ATOMIC_SEQ_CST))
			virtqueue_kick(&v->queue[i]);
}

int virtio_add_queue(struct virtio_device *v, unsigned int size, struct loop *loop)
{
	struct virtqueue *q = &v->queue[v->queues];

	if (v->queues == VIRTIO_QUEUES_MAX)
		return error("%s: too many queues", v->ops->name);
	q->v = v;
	q->index = v->queues;
	q->max_size = q->size = (u16)size;
	q->vector = VIRTIO_NO_VECTOR;
	q->fd = -1;
	q->loop = loop;
	pthread_mutex_init(&q->lock, NULL);
	return (int)v->queues++;
}

static int open_doorbell(struct virtqueue *q)
{
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd >= 0)
		q->entry = loop_add(q->loop, q->fd, POLLIN, on_doorbell, q);
	return q->entry ? 0 : error("%s: cannot create an eventfd", q->v->ops->name);
}

int virtio_attach(struct virtio_device *v, struct props *p)
{
	bool packed = props_bool(p, "packed", false), doorbells = props_bool(p, "ioeventfd", true);
	unsigned int i;
	int r;

	if (props_bool(p, "indirect", true))
		v->offered |= VIRTIO_F_INDIRECT;
	if (props_bool(p, "event-idx", true))
		v->offered |= VIRTIO_F_EVENT_IDX;
	if (packed)
		v->offered |= VIRTIO_F_PACKED;
	for (i = 0; i < v->queues; i++) {
		if (!doorbells)
			v->queue[i].loop = NULL;
		if (v->queue[i].loop && open_doorbell(&v->queue[i]) < 0)
			return -1;
	}
	if (v->board->loop && !(v->later = timer_new(v->board->loop, on_later, v)))
		return error("%s: cannot create a timer", v->ops->name);
	if (v->board->pci)
		r = virtio_pci_attach(v, p);
	else if (v->board->virtio_mmio)
		r = virtio_mmio_attach(v);
	else
		r = error("%s: this machine has no bus for virtio devices", v->ops->name);
	return r < 0 ? -1 : props_finish(p);
}

void virtio_detach(struct virtio_device *v)
{
	unsigned int i;

	if (!v->queue)
		return;
	if (v->transport) {
		virtio_reset(v);
		v->transport->detach(v);
	}
	timer_free(v->later);
	v->later = NULL;
	for (i = 0; i < v->queues; i++) {
		loop_remove(v->queue[i].entry);
		if (v->queue[i].fd >= 0)
			close(v->queue[i].fd);
	}
	free(v->queue);
	free(v->config);
	v->queue = NULL;
	v->config = NULL;
}

int virtio_unplug(struct device *d)
{
	struct virtio_device *v = (struct virtio_device *)d;

	return v->transport->unplug ? v->transport->unplug(v) : -EOPNOTSUPP;
}

/* --- trouble ------------------------------------------------------------------------------ */

void virtio_broken(struct virtio_device *v, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	if (__atomic_exchange_n(&v->broken, true, __ATOMIC_SEQ_CST))
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (v->complaints++ < COMPLAINTS_MAX)
		error("%s%s%s: the guest's driver broke the protocol: %s", v->ops->name,
		      *v->dev.id ? " " : "", v->dev.id, what);
	__atomic_fetch_or(&v->status, VIRTIO_STATUS_NEEDS_RESET, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&v->isr, VIRTIO_ISR_CONFIG, __ATOMIC_SEQ_CST);
	v->transport->interrupt(v, -1);
}

/* --- the life of a driver: under v->lock ----------------------------------------------------- */

static void set_live(struct virtqueue *q, bool live)
{
	pthread_mutex_lock(&q->lock);
	__atomic_store_n(&q->live, live, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&q->lock);
}

/* Waits until nobody handles a notification of the queue. */
static void drain(struct virtqueue *q)
{
	while (__atomic_load_n(&q->kicks, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&q->leaving, __ATOMIC_SEQ_CST))
		usleep(DRAIN_NS / 1000);
}

static void start_queue(struct virtqueue *q)
{
	if (!q->enabled || q->live)
		return;
	set_live(q, true);
	if (q->fd >= 0)
		q->v->transport->doorbell(q->v, q->index, q->fd, true);
}

static void stop_queue(struct virtqueue *q)
{
	if (!q->live)
		return;
	if (q->fd >= 0)
		q->v->transport->doorbell(q->v, q->index, q->fd, false);
	set_live(q, false);
	drain(q);
}

static void clear_queue(struct virtqueue *q)
{
	pthread_mutex_lock(&q->lock);
	q->size = q->max_size;
	q->enabled = q->quiet = q->signalled_valid = false;
	q->desc_gpa = q->avail_gpa = q->used_gpa = 0;
	q->desc = q->avail = q->used = NULL;
	q->next_avail = q->next_used = q->signalled = 0;
	q->wrap_avail = q->wrap_used = true;
	q->in_use = 0;
	q->vector = VIRTIO_NO_VECTOR;
	pthread_mutex_unlock(&q->lock);
}

/* Every queue that stops is drained before any is cleared: requests may touch several. */
void virtio_reset(struct virtio_device *v)
{
	bool was_running = v->status & VIRTIO_STATUS_DRIVER_OK;
	unsigned int i;

	for (i = 0; i < v->queues; i++)
		stop_queue(&v->queue[i]);
	if (was_running && v->ops->stop)
		v->ops->stop(v);
	for (i = 0; i < v->queues; i++)
		clear_queue(&v->queue[i]);
	v->features = v->driver_features = 0;
	v->config_vector = VIRTIO_NO_VECTOR;
	__atomic_store_n(&v->isr, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->broken, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->status, 0, __ATOMIC_SEQ_CST);
}

/* Buffers that are there already are not notified again. */
static void kick_ready(struct virtio_device *v)
{
	unsigned int i;

	for (i = 0; i < v->queues; i++)
		if (v->queue[i].live && virtqueue_ready(&v->queue[i]))
			virtqueue_kick(&v->queue[i]);
}

static bool features_fit(struct virtio_device *v)
{
	u64 f = v->driver_features;

	if (f & ~v->offered || !(f & VIRTIO_F_VERSION_1))
		return false;
	v->features = f;
	return true;
}

void virtio_set_status(struct virtio_device *v, u8 status)
{
	u8 old = __atomic_load_n(&v->status, __ATOMIC_SEQ_CST), rising = status & ~old;
	unsigned int i;

	if (!status) {
		virtio_reset(v);
		return;
	}
	if (rising & VIRTIO_STATUS_FEATURES_OK && !features_fit(v))
		status &= (u8)~VIRTIO_STATUS_FEATURES_OK;
	/* without agreed features nothing starts; what is set stays until a reset */
	if (!((status | old) & VIRTIO_STATUS_FEATURES_OK))
		status &= (u8)~VIRTIO_STATUS_DRIVER_OK;
	rising = status & ~old;
	__atomic_fetch_or(&v->status, status & (u8)~VIRTIO_STATUS_NEEDS_RESET, __ATOMIC_SEQ_CST);
	if (!(rising & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (v->ops->start)
		v->ops->start(v);
	for (i = 0; i < v->queues; i++)
		start_queue(&v->queue[i]);
	kick_ready(v);
}

/* --- queues: under v->lock -------------------------------------------------------------------- */

/* The sizes of the three areas: of the split ring (2.7), of the packed one (2.8.10). */
static void areas(const struct virtqueue *q, u64 *desc, u64 *avail, u64 *used)
{
	bool packed = q->v->features & VIRTIO_F_PACKED;

	*desc = (u64)q->size * VIRTQ_DESC_SIZE;
	*avail = packed ? 4 : 6 + 2ULL * q->size;
	*used = packed ? 4 : 6 + 8ULL * q->size;
}

void virtio_queue_enable(struct virtio_device *v, unsigned int n)
{
	struct virtqueue *q = &v->queue[n];
	const struct guest_memory *m = v->board->mem;
	u64 desc, avail, used;

	if (q->enabled || !(v->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	areas(q, &desc, &avail, &used);
	q->desc = memory_ptr(m, q->desc_gpa, desc);
	q->avail = memory_ptr(m, q->avail_gpa, avail);
	q->used = memory_ptr(m, q->used_gpa, used);
	if (!q->desc || !q->avail || !q->used || q->desc_gpa % 16 || q->avail_gpa % 2 ||
	    q->used_gpa % 4 || !q->size || q->size > q->max_size ||
	    (!(v->features & VIRTIO_F_PACKED) && q->size & (q->size - 1))) {
		virtio_broken(v, "queue %u of %u entries is not in RAM, or misaligned", n, q->size);
		return;
	}
	q->enabled = true;
	if (v->status & VIRTIO_STATUS_DRIVER_OK)
		start_queue(q);
}

/*
 * One queue alone (2.6.1). While the device gives up its buffers nothing is
 * taken from the others, so that waiting for what is under way ends.
 */
void virtio_queue_reset(struct virtio_device *v, unsigned int n)
{
	struct virtqueue *q = &v->queue[n];
	bool was_live = q->live;

	if (!(v->features & VIRTIO_F_RING_RESET))
		return;
	stop_queue(q);
	if (was_live && v->ops->queue_stop) {
		__atomic_store_n(&v->held, true, __ATOMIC_SEQ_CST);
		v->ops->queue_stop(v, n);
		__atomic_store_n(&v->held, false, __ATOMIC_SEQ_CST);
	}
	clear_queue(q);
	if (was_live)
		kick_ready(v);
}

void virtio_notified(struct virtio_device *v, unsigned int n)
{
	if (n < v->queues && virtqueue_handled(&v->queue[n]))
		virtqueue_kick(&v->queue[n]);
}

/* --- the configuration space ------------------------------------------------------------------ */

void virtio_config_get(struct virtio_device *v, unsigned int offset, void *data, unsigned int size)
{
	memset(data, 0, size);
	if (v->ops->config_read)
		v->ops->config_read(v);
	pthread_mutex_lock(&v->config_lock);
	if (offset < v->config_size)
		memcpy(data, v->config + offset,
		       size < v->config_size - offset ? size : v->config_size - offset);
	pthread_mutex_unlock(&v->config_lock);
}

void virtio_config_set(struct virtio_device *v, unsigned int offset, const void *data,
		       unsigned int size)
{
	if (v->ops->config_write && offset < v->config_size && size <= v->config_size - offset)
		v->ops->config_write(v, offset, data, size);
}

void virtio_config_written(struct virtio_device *v, unsigned int offset, const void *data,
			   unsigned int size)
{
	if (offset >= v->config_size || size > v->config_size - offset)
		return;
	pthread_mutex_lock(&v->config_lock);
	memcpy(v->config + offset, data, size);
	pthread_mutex_unlock(&v->config_lock);
}

void virtio_config_update(struct virtio_device *v, unsigned int offset, const void *data,
			  unsigned int size)
{
	bool changed;

	if (offset >= v->config_size || size > v->config_size - offset)
		return;
	pthread_mutex_lock(&v->config_lock);
	changed = memcmp(v->config + offset, data, size);
	if (changed) {
		memcpy(v->config + offset, data, size);
		__atomic_fetch_add(&v->generation, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&v->config_lock);
	if (!changed || !(__atomic_load_n(&v->status, __ATOMIC_SEQ_CST) & VIRTIO_STATUS_DRIVER_OK))
		return;
	__atomic_fetch_or(&v->isr, VIRTIO_ISR_CONFIG, __ATOMIC_SEQ_CST);
	v->transport->interrupt(v, -1);
}
