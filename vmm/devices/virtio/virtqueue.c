/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtqueues: the split ring (2.7), and what it shares with the packed one.
 * Everything in the rings is the driver's and may change at any moment, so each
 * word is read once, and a chain has at most as many descriptors as its table.
 */
#include <string.h>
#include <unistd.h>

#include "../../error.h"
#include "virtio.h"

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1
#define RING 4			/* the offset of the ring after flags and index */
#define USED_ELEM 8

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

static u16 load16(const u8 *p)
{
	return __atomic_load_n((const u16 *)p, __ATOMIC_ACQUIRE);
}

static void store16(u8 *p, u16 v)
{
	__atomic_store_n((u16 *)p, v, __ATOMIC_RELEASE);
}

static bool packed(const struct virtqueue *q)
{
	return q->v->features & VIRTIO_F_PACKED;
}

static bool event_idx(const struct virtqueue *q)
{
	return q->v->features & VIRTIO_F_EVENT_IDX;
}

static bool usable(const struct virtqueue *q)
{
	return q->live && !__atomic_load_n(&q->v->broken, __ATOMIC_ACQUIRE);
}

/* The two indices at which the sides want to hear of each other lie behind the rings. */
static u8 *used_event(const struct virtqueue *q)
{
	return q->avail + RING + q->size * 2u;
}

static u8 *avail_event(const struct virtqueue *q)
{
	return q->used + RING + q->size * (u32)USED_ELEM;
}

/* --- chains ----------------------------------------------------------------------- */

bool virtq_add(struct virtqueue *q, struct virtq_chain *c, u64 addr, u32 len, bool in)
{
	void *host = memory_ptr(q->v->board->mem, addr, len);

	if (!host || !len) {
		virtio_broken(q->v, "queue %u: a buffer of %u bytes at %#llx is not in RAM",
			      q->index, len, (unsigned long long)addr);
		return false;
	}
	if (!in && c->nin) {
		virtio_broken(q->v, "queue %u: a buffer to read follows one to write", q->index);
		return false;
	}
	if (c->nout + c->nin == c->max) {
		virtio_broken(q->v, "queue %u: a chain has more than %u buffers", q->index, c->max);
		return false;
	}
	c->iov[c->nout + c->nin] = (struct iovec){ host, len };
	if (in) {
		c->nin++;
		c->in_len += len;
	} else {
		c->nout++;
		c->out_len += len;
	}
	return true;
}

const u8 *virtq_indirect(struct virtqueue *q, u64 addr, u32 len, unsigned int *count)
{
	const u8 *table = memory_ptr(q->v->board->mem, addr, len);

	*count = len / VIRTQ_DESC_SIZE;
	if (table && len && len % VIRTQ_DESC_SIZE == 0 && *count <= VIRTIO_QUEUE_SIZE_MAX)
		return table;
	virtio_broken(q->v, "queue %u: an indirect table of %u bytes at %#llx is none", q->index,
		      len, (unsigned long long)addr);
	return NULL;
}

static bool read_desc(struct virtqueue *q, const u8 *table, unsigned int count, unsigned int i,
		      struct desc *d)
{
	if (i >= count) {
		virtio_broken(q->v, "queue %u: descriptor %u of %u", q->index, i, count);
		return false;
	}
	memcpy(d, table + i * VIRTQ_DESC_SIZE, sizeof(*d));
	return true;
}

/* Follows a chain through its table, and once from the ring's to an indirect one. */
static bool walk(struct virtqueue *q, struct virtq_chain *c, unsigned int head)
{
	const u8 *table = q->desc;
	unsigned int count = q->size, i = head, steps = 0;
	bool indirect = false;
	struct desc d;

	for (;;) {
		if (!read_desc(q, table, count, i, &d))
			return false;
		if (d.flags & VIRTQ_DESC_INDIRECT) {
			if (indirect || d.flags & VIRTQ_DESC_NEXT ||
			    !(q->v->features & VIRTIO_F_INDIRECT)) {
				virtio_broken(q->v, "queue %u: an indirect table where none may be",
					      q->index);
				return false;
			}
			table = virtq_indirect(q, d.addr, d.len, &count);
			if (!table)
				return false;
			indirect = true;
			i = steps = 0;
			continue;
		}
		if (!virtq_add(q, c, d.addr, d.len, d.flags & VIRTQ_DESC_WRITE))
			return false;
		if (!(d.flags & VIRTQ_DESC_NEXT))
			return true;
		if (++steps == count) {
			virtio_broken(q->v, "queue %u: a chain is a loop", q->index);
			return false;
		}
		i = d.next;
	}
}

/* --- the split ring: under the lock --------------------------------------------------- */

/*
 * True when there is a chain. When there is none, says from which index on the
 * driver is to notify, and looks again: it may have added one just before.
 */
static bool split_ready(struct virtqueue *q)
{
	u16 idx = load16(q->avail + 2);

	if (idx == q->next_avail && event_idx(q) && !q->quiet) {
		store16(avail_event(q), q->next_avail);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		idx = load16(q->avail + 2);
	}
	if ((u16)(idx - q->next_avail) > q->size) {
		virtio_broken(q->v, "queue %u: the index jumped from %u to %u", q->index,
			      q->next_avail, idx);
		return false;
	}
	return idx != q->next_avail;
}

static bool split_pop(struct virtqueue *q, struct virtq_chain *c)
{
	if (!split_ready(q))
		return false;
	c->head = load16(q->avail + RING + (q->next_avail & (q->size - 1)) * 2u);
	if (!walk(q, c, c->head))
		return false;
	q->next_avail++;
	return true;
}

static void split_push(struct virtqueue *q, const struct virtq_chain *c, u32 written)
{
	const u32 elem[2] = { c->head, written };

	memcpy(q->used + RING + (q->next_used & (q->size - 1)) * USED_ELEM, elem, sizeof(elem));
	q->next_used++;
	store16(q->used + 2, q->next_used);
}

static bool split_wants_signal(struct virtqueue *q)
{
	u16 old = q->signalled, event;
	bool valid = q->signalled_valid;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!event_idx(q))
		return !(load16(q->avail) & AVAIL_NO_INTERRUPT);
	event = load16(used_event(q));
	q->signalled = q->next_used;
	q->signalled_valid = true;
	return !valid || (u16)(q->next_used - event - 1) < (u16)(q->next_used - old);
}

static void split_quiet(struct virtqueue *q)
{
	if (!event_idx(q))
		store16(q->used, q->quiet ? USED_NO_NOTIFY : 0);
	else if (!q->quiet)
		store16(avail_event(q), q->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* --- either ring --------------------------------------------------------------------------- */

/* Whoever handles a notification has done so for long: the rest is for later. */
static bool is_late(struct virtqueue *q)
{
	if (!q->until || monotonic_ns() < q->until)
		return false;
	if (!(packed(q) ? packed_ready(q) : split_ready(q)))
		return false;
	__atomic_store_n(&q->paused, true, __ATOMIC_SEQ_CST);
	return true;
}

bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *c)
{
	bool got = false;

	virtq_close_chain(c);
	pthread_mutex_lock(&q->lock);
	if (usable(q) && virtqueue_handled(q) && q->in_use < q->size && !is_late(q))
		got = packed(q) ? packed_pop(q, c) : split_pop(q, c);
	if (got)
		q->in_use++;
	pthread_mutex_unlock(&q->lock);
	return got;
}

void virtqueue_unpop(struct virtqueue *q, const struct virtq_chain *c)
{
	pthread_mutex_lock(&q->lock);
	if (q->live && q->in_use) {
		q->in_use--;
		if (packed(q))
			packed_unpop(q, c);
		else
			q->next_avail--;
	}
	pthread_mutex_unlock(&q->lock);
}

void virtqueue_push(struct virtqueue *q, const struct virtq_chain *c, u32 written)
{
	pthread_mutex_lock(&q->lock);
	if (usable(q) && q->in_use) {
		q->in_use--;
		if (packed(q))
			packed_push(q, c, written);
		else
			split_push(q, c, written);
	}
	pthread_mutex_unlock(&q->lock);
}

void virtqueue_signal(struct virtqueue *q)
{
	bool wanted;

	pthread_mutex_lock(&q->lock);
	wanted = usable(q) && (packed(q) ? packed_wants_signal(q) : split_wants_signal(q));
	pthread_mutex_unlock(&q->lock);
	if (!wanted)
		return;
	__atomic_fetch_or(&q->v->isr, VIRTIO_ISR_QUEUE, __ATOMIC_SEQ_CST);
	q->v->transport->interrupt(q->v, (int)q->index);
}

bool virtqueue_ready(struct virtqueue *q)
{
	bool ready;

	pthread_mutex_lock(&q->lock);
	ready = usable(q) && (packed(q) ? packed_ready(q) : split_ready(q));
	pthread_mutex_unlock(&q->lock);
	return ready;
}

bool virtqueue_quiet(struct virtqueue *q, bool quiet)
{
	pthread_mutex_lock(&q->lock);
	q->quiet = quiet;
	if (q->live && packed(q))
		packed_quiet(q);
	else if (q->live)
		split_quiet(q);
	pthread_mutex_unlock(&q->lock);
	return !quiet && virtqueue_ready(q);
}

static void set_until(struct virtqueue *q, u64 until)
{
	pthread_mutex_lock(&q->lock);
	q->until = until;
	pthread_mutex_unlock(&q->lock);
}

/* The handler gives up; from the event loop somebody takes over, and what was noted by others. */
static void pause_handling(struct virtqueue *q)
{
	static const u64 one = 1;

	/* until it is done the device is there */
	__atomic_fetch_add(&q->leaving, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&q->paused, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&q->kicks, 0, __ATOMIC_SEQ_CST);
	if (q->fd < 0)
		timer_set(q->v->later, 1);
	else if (write(q->fd, &one, sizeof(one)) != sizeof(one))
		error("%s: cannot go on with queue %u", q->v->ops->name, q->index);
	__atomic_fetch_sub(&q->leaving, 1, __ATOMIC_SEQ_CST);
}

/*
 * One thread at a time handles a queue: who comes while it is handled leaves a
 * note, and the handler goes round once more.
 */
void virtqueue_kick(struct virtqueue *q)
{
	u64 until = 0;
	u32 n;

	if (__atomic_fetch_add(&q->kicks, 1, __ATOMIC_SEQ_CST))
		return;
	if (q->fd >= 0 || q->v->later)
		until = monotonic_ns() + VIRTIO_SLICE_NS;
	do {
		n = __atomic_load_n(&q->kicks, __ATOMIC_SEQ_CST);
		__atomic_store_n(&q->paused, false, __ATOMIC_SEQ_CST);
		set_until(q, until);
		if (virtqueue_handled(q))
			q->v->ops->notify(q->v, q->index);
		set_until(q, 0);
		if (__atomic_load_n(&q->paused, __ATOMIC_SEQ_CST) ||
		    (until && __atomic_load_n(&q->kicks, __ATOMIC_SEQ_CST) != n &&
		     monotonic_ns() >= until)) {
			pause_handling(q);
			return;
		}
	} while (__atomic_sub_fetch(&q->kicks, n, __ATOMIC_SEQ_CST));
}

/* --- the bytes of a chain --------------------------------------------------------------------- */

static int slice(const struct iovec *from, unsigned int n, u64 offset, u64 len, struct iovec *to,
		 int max)
{
	int count = 0;
	unsigned int i;

	for (i = 0; i < n && len; i++) {
		u64 part = from[i].iov_len;

		if (offset >= part) {
			offset -= part;
			continue;
		}
		part -= offset;
		if (part > len)
			part = len;
		if (count == max)
			return -1;
		to[count++] = (struct iovec){ (u8 *)from[i].iov_base + offset, part };
		len -= part;
		offset = 0;
	}
	return len ? -1 : count;
}

int virtq_out(const struct virtq_chain *c, u64 offset, u64 len, struct iovec *iov, int max)
{
	return slice(c->iov, c->nout, offset, len, iov, max);
}

int virtq_in(const struct virtq_chain *c, u64 offset, u64 len, struct iovec *iov, int max)
{
	return slice(c->iov + c->nout, c->nin, offset, len, iov, max);
}

static bool copy(const struct iovec *iov, unsigned int n, u64 offset, u8 *bytes, u64 len, bool out)
{
	unsigned int i;

	for (i = 0; i < n && len; i++) {
		u64 part = iov[i].iov_len;
		u8 *p = iov[i].iov_base;

		if (offset >= part) {
			offset -= part;
			continue;
		}
		part -= offset;
		if (part > len)
			part = len;
		if (out)
			memcpy(bytes, p + offset, part);
		else
			memcpy(p + offset, bytes, part);
		bytes += part;
		len -= part;
		offset = 0;
	}
	return !len;
}

bool virtq_read(const struct virtq_chain *c, u64 offset, void *to, u64 len)
{
	if (offset > c->out_len || len > c->out_len - offset)
		return false;
	return copy(c->iov, c->nout, offset, to, len, true);
}

bool virtq_write(const struct virtq_chain *c, u64 offset, const void *from, u64 len)
{
	if (offset > c->in_len || len > c->in_len - offset)
		return false;
	return copy(c->iov + c->nout, c->nin, offset, (u8 *)from, len, false);
}
