/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes to the driver: answers to what belongs to no connection first, then
 * the connections with something to say in turn, a packet each. Data is read
 * from the host's socket straight into the driver's buffer, never more than the
 * guest has said that it has room for (5.10.6.3).
 */
#include <errno.h>
#include <sys/socket.h>

#include "vsock.h"

#define BUFFERS_MAX 64		/* in a chain */
#define PACKETS_MAX 128		/* before others have their turn */

static void fill_header(const struct connection *c, struct packet *p, u16 op)
{
	*p = (struct packet){
		.src_cid = HOST_CID,
		.dst_cid = c->vs->backend->cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = TYPE_STREAM,
		.op = op,
		.buf_alloc = BUFFER,
		.fwd_cnt = c->forwarded,
	};
}

void deliver_reset(struct vsock *vs, const struct packet *p)
{
	struct packet *r;

	if (vs->reset_count == RESETS_MAX)
		return;		/* packet.c takes nothing from the driver then */
	r = &vs->resets[(vs->reset_first + vs->reset_count++) % RESETS_MAX];
	*r = (struct packet){
		.src_cid = p->dst_cid, .dst_cid = p->src_cid, .src_port = p->dst_port,
		.dst_port = p->src_port, .type = p->type, .op = OP_RST,
	};
}

/* The next buffer of the driver; false when there is none. */
static bool next_buffer(struct vsock *vs, struct virtq_chain *chain)
{
	if (!virtqueue_pop(&vs->v.queue[RX], chain))
		return false;
	if (chain->in_len >= sizeof(struct packet))
		return true;
	virtio_broken(&vs->v, "a buffer of %llu bytes has no room for a packet",
		      (unsigned long long)chain->in_len);
	return false;
}

static void put(struct vsock *vs, const struct virtq_chain *chain, const struct packet *p)
{
	virtq_write(chain, 0, p, sizeof(*p));
	virtqueue_push(&vs->v.queue[RX], chain, (u32)sizeof(*p) + p->len);
}

/* --- data ------------------------------------------------------------------------------- */

static u32 credit(const struct connection *c)
{
	u32 unread = c->sent - c->peer_forwarded;

	return unread < c->peer_alloc ? c->peer_alloc - unread : 0;
}

/* The host's program sends nothing more; if it is gone altogether, it takes nothing either. */
static void at_end(struct connection *c)
{
	char byte;

	c->readable = false;
	c->flags |= SHUTDOWN_SEND;
	if (send(c->fd, &byte, 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		c->flags |= SHUTDOWN_RECEIVE;
}

/* Reads into a chain: how many bytes, 0 when there is nothing (any more). */
static u32 read_data(struct connection *c, const struct virtq_chain *chain)
{
	u64 room = chain->in_len - sizeof(struct packet), limit = credit(c);
	struct msghdr m = { 0 };
	struct iovec iov[BUFFERS_MAX];
	ssize_t got;
	int n;

	if (room > BUFFER)
		room = BUFFER;
	if (room > limit)
		room = limit;
	n = virtq_in(chain, sizeof(struct packet), room, iov, BUFFERS_MAX);
	if (n <= 0)
		return 0;
	m.msg_iov = iov;
	m.msg_iovlen = (size_t)n;
	do
		got = recvmsg(c->fd, &m, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return (u32)got;
	if (got < 0 && errno == EAGAIN)
		c->readable = false;
	else
		at_end(c);
	return 0;
}

static bool wants_data(const struct connection *c)
{
	return c->state == OPEN && c->readable && !(c->flags & SHUTDOWN_SEND) &&
		!(c->peer_flags & SHUTDOWN_RECEIVE);
}

/* --- connections ---------------------------------------------------------------------------- */

static u16 next_op(struct connection *c)
{
	static const u16 order[] = { OP_REQUEST, OP_RESPONSE, OP_CREDIT_UPDATE };
	unsigned int i;

	if (c->state == ENDED)
		return OP_RST;
	for (i = 0; i < ARRAY_SIZE(order); i++)
		if (c->pending & 1u << order[i])
			return order[i];
	if (wants_data(c) && credit(c))
		return OP_RW;
	return c->state == OPEN && c->flags != c->told_flags ? OP_SHUTDOWN : 0;
}

/* Puts a packet of this connection into the chain; false when it has none after all. */
static bool fill(struct connection *c, const struct virtq_chain *chain)
{
	struct packet p;
	u16 op = next_op(c);
	u32 len = 0;

	if (op == OP_RW) {
		if (chain->in_len == sizeof(p))
			return virtio_broken(&c->vs->v, "a buffer without room for data"), false;
		len = read_data(c, chain);
		if (!len)
			op = next_op(c);
	}
	if (!op || (op == OP_RW && !len))
		return false;
	fill_header(c, &p, op);
	p.len = len;
	if (op == OP_SHUTDOWN)
		p.flags = c->told_flags = c->flags;
	c->pending &= ~(1u << op | 1u << OP_CREDIT_UPDATE);
	c->told_forwarded = c->forwarded;
	c->sent += len;
	put(c->vs, chain, &p);
	return true;
}

/* The first in the line gives up to one packet; false when the driver has no buffer. */
static bool serve(struct vsock *vs, struct connection *c)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain chain = { .iov = iov, .max = BUFFERS_MAX };

	if (next_op(c)) {
		if (!next_buffer(vs, &chain))
			return false;
		if (!fill(c, &chain))
			virtqueue_unpop(&vs->v.queue[RX], &chain);
	}
	vs->ready_first = c->ready_next;
	if (!vs->ready_first)
		vs->ready_last = &vs->ready_first;
	c->ready = false;
	if (c->state == ENDED)
		connection_close(c);
	else if (next_op(c))
		connection_make_ready(c);	/* at the end of the line */
	return true;
}

static bool send_resets(struct vsock *vs)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain chain = { .iov = iov, .max = BUFFERS_MAX };

	while (vs->reset_count) {
		if (!next_buffer(vs, &chain))
			return false;
		put(vs, &chain, &vs->resets[vs->reset_first]);
		vs->reset_first = (vs->reset_first + 1) % RESETS_MAX;
		vs->reset_count--;
	}
	return true;
}

static void again(void *arg)
{
	struct vsock *vs = arg;

	pthread_mutex_lock(&vs->lock);
	vs->again = false;
	deliver(vs);
	vsock_unlock(vs);
}

static void continue_later(struct vsock *vs)
{
	if (!vs->again && loop_call(vs->thread, again, vs) == 0)
		vs->again = true;
}

void deliver(struct vsock *vs)
{
	unsigned int n = 0;

	if (!vs->started)
		return;
	if (send_resets(vs))
		while (vs->ready_first && n < PACKETS_MAX && serve(vs, vs->ready_first))
			n++;
	if (n == PACKETS_MAX)
		continue_later(vs);
	virtqueue_signal(&vs->v.queue[RX]);
}
