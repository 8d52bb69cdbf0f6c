/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packed ring (2.8): one ring of descriptors that both sides write. A
 * descriptor's two flags, compared with the wrap counter, tell whose it is.
 * All under the queue's lock.
 */
#include <string.h>

#include "virtio.h"

#define FLAG_AVAIL (1 << 7)
#define FLAG_USED (1 << 15)

#define EVENT_ENABLE 0
#define EVENT_DISABLE 1
#define EVENT_DESC 2

struct packed_desc {
	u64 addr;
	u32 len;
	u16 id, flags;
};

#define FLAGS_OFFSET 14

static u8 *desc_at(const struct virtqueue *q, unsigned int i)
{
	return q->desc + i * VIRTQ_DESC_SIZE;
}

static u16 load_flags(const struct virtqueue *q, unsigned int i)
{
	return __atomic_load_n((const u16 *)(desc_at(q, i) + FLAGS_OFFSET), __ATOMIC_ACQUIRE);
}

static bool is_available(u16 flags, bool wrap)
{
	return !!(flags & FLAG_AVAIL) == wrap && !!(flags & FLAG_USED) != wrap;
}

/* A position in the ring with its wrap counter, n further on. */
static void advance(const struct virtqueue *q, u16 *at, bool *wrap, unsigned int n)
{
	unsigned int next = *at + n;

	if (next >= q->size) {
		next -= q->size;
		*wrap = !*wrap;
	}
	*at = (u16)next;
}

bool packed_ready(const struct virtqueue *q)
{
	return is_available(load_flags(q, q->next_avail), q->wrap_avail);
}

static bool add_table(struct virtqueue *q, struct virtq_chain *c, const struct packed_desc *d)
{
	unsigned int i, count;
	const u8 *table;

	if (!(q->v->features & VIRTIO_F_INDIRECT) || d->flags & VIRTQ_DESC_NEXT) {
		virtio_broken(q->v, "queue %u: an indirect table where none may be", q->index);
		return false;
	}
	table = virtq_indirect(q, d->addr, d->len, &count);
	for (i = 0; table && i < count; i++) {
		struct packed_desc in;

		memcpy(&in, table + i * VIRTQ_DESC_SIZE, sizeof(in));
		if (!virtq_add(q, c, in.addr, in.len, in.flags & VIRTQ_DESC_WRITE))
			return false;
	}
	return table;
}

bool packed_pop(struct virtqueue *q, struct virtq_chain *c)
{
	u16 at = q->next_avail;
	bool wrap = q->wrap_avail;
	struct packed_desc d;

	if (!packed_ready(q))
		return false;
	for (c->ndesc = 1; ; c->ndesc++) {
		memcpy(&d, desc_at(q, at), sizeof(d));
		advance(q, &at, &wrap, 1);
		if (d.flags & VIRTQ_DESC_INDIRECT) {
			if (c->ndesc > 1 || !add_table(q, c, &d)) {
				virtio_broken(q->v, "queue %u: a bad indirect table", q->index);
				return false;
			}
			break;
		}
		if (!virtq_add(q, c, d.addr, d.len, d.flags & VIRTQ_DESC_WRITE))
			return false;
		if (!(d.flags & VIRTQ_DESC_NEXT))
			break;
		if (c->ndesc == q->size) {
			virtio_broken(q->v, "queue %u: a chain is a loop", q->index);
			return false;
		}
	}
	c->head = d.id;		/* the last descriptor has the id */
	q->next_avail = at;
	q->wrap_avail = wrap;
	return true;
}

void packed_unpop(struct virtqueue *q, const struct virtq_chain *c)
{
	if (q->next_avail < c->ndesc) {
		q->next_avail = (u16)(q->next_avail + q->size);
		q->wrap_avail = !q->wrap_avail;
	}
	q->next_avail = (u16)(q->next_avail - c->ndesc);
}

void packed_push(struct virtqueue *q, const struct virtq_chain *c, u32 written)
{
	u8 *d = desc_at(q, q->next_used);
	bool wrap = q->wrap_used;
	u16 flags = wrap ? FLAG_AVAIL | FLAG_USED : 0;

	memcpy(d + 8, &written, 4);
	memcpy(d + 12, &c->head, 2);
	if (c->nin)
		flags |= VIRTQ_DESC_WRITE;
	__atomic_store_n((u16 *)(d + FLAGS_OFFSET), flags, __ATOMIC_RELEASE);
	advance(q, &q->next_used, &q->wrap_used, c->ndesc);
	/* positions on both sides of the wrap cannot be compared */
	if (q->wrap_used != wrap)
		q->signalled_valid = false;
}

/* The driver's event structure: where it wants to hear of the ring, and whether. */
bool packed_wants_signal(struct virtqueue *q)
{
	u16 old = q->signalled, where, flags, event;
	bool valid = q->signalled_valid;
	int at;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n((const u16 *)(q->avail + 2), __ATOMIC_ACQUIRE) & 3;
	where = __atomic_load_n((const u16 *)q->avail, __ATOMIC_ACQUIRE);
	q->signalled = q->next_used;
	q->signalled_valid = true;
	if (flags != EVENT_DESC || !(q->v->features & VIRTIO_F_EVENT_IDX))
		return flags != EVENT_DISABLE;
	if (!valid)
		return true;
	at = where & 0x7fff;
	if (where >> 15 != q->wrap_used)
		at -= q->size;
	event = (u16)at;
	return (u16)(q->next_used - event - 1) < (u16)(q->next_used - old);
}

void packed_quiet(struct virtqueue *q)
{
	u16 flags = q->quiet ? EVENT_DISABLE : EVENT_ENABLE;

	__atomic_store_n((u16 *)(q->used + 2), flags, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
