/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets of the driver (5.10.6): requests for connections, data, credit, ends.
 * One that fits nothing is answered with a reset. While there is no room for
 * another answer, nothing is taken from the driver.
 */
#include "vsock.h"

#define BUFFERS_MAX 64		/* in a chain */
#define RESETS_SPARE 4		/* answers that one packet can cause, and to spare */

static void take_credit(struct connection *c, const struct packet *p)
{
	c->peer_alloc = p->buf_alloc;
	c->peer_forwarded = p->fwd_cnt;
	connection_make_ready(c);
}

static void on_request(struct vsock *vs, const struct packet *p)
{
	int fd = vsock_connect(vs->backend, p->dst_port);
	struct connection *c = fd < 0 ? NULL : connection_new(vs, fd, OPEN);

	if (!c) {
		deliver_reset(vs, p);
		return;
	}
	connection_name(c, p->dst_port, p->src_port);
	take_credit(c, p);
	connection_tell(c, OP_RESPONSE);
}

/* False when the packet does not suit the connection's state: it is reset. */
static bool on_packet(struct connection *c, const struct packet *p,
		      const struct virtq_chain *chain)
{
	if (p->op == OP_RESPONSE) {
		if (c->state != REQUESTED)
			return false;
		connection_answered(c);
		return true;
	}
	if (c->state != OPEN)
		return c->state == ENDED;
	switch (p->op) {
	case OP_RW:
		return connection_take(c, chain, sizeof(*p), p->len);
	case OP_SHUTDOWN:
		c->peer_flags |= p->flags & SHUTDOWN_BOTH;
		return true;
	case OP_CREDIT_REQUEST:
		connection_tell(c, OP_CREDIT_UPDATE);
		return true;
	default:
		return p->op == OP_CREDIT_UPDATE;
	}
}

static bool is_for_us(const struct vsock *vs, const struct packet *p,
		      const struct virtq_chain *chain)
{
	return p->src_cid == vs->backend->cid && p->dst_cid == HOST_CID &&
		p->type == TYPE_STREAM && p->len <= chain->out_len - sizeof(*p);
}

static void take(struct vsock *vs, const struct packet *p, const struct virtq_chain *chain)
{
	struct connection *c = connection_find(vs, p->dst_port, p->src_port);

	if (!is_for_us(vs, p, chain) || (!c && p->op != OP_REQUEST)) {
		if (p->op != OP_RST)
			deliver_reset(vs, p);
		return;
	}
	if (!c) {
		on_request(vs, p);
		return;
	}
	if (p->op == OP_RST) {
		connection_close(c);
		return;
	}
	take_credit(c, p);
	if (on_packet(c, p, chain)) {
		connection_pump(c);
		return;
	}
	deliver_reset(vs, p);
	connection_close(c);
}

void packet_receive_all(struct vsock *vs)
{
	struct virtqueue *q = &vs->v.queue[TX];
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain chain = { .iov = iov, .max = BUFFERS_MAX };
	struct packet p;

	pthread_mutex_lock(&vs->lock);
	for (;;) {
		if (vs->reset_count > RESETS_MAX - RESETS_SPARE)
			deliver(vs);
		vs->held = vs->reset_count > RESETS_MAX - RESETS_SPARE;
		if (vs->held || !virtqueue_pop(q, &chain))
			break;
		if (virtq_read(&chain, 0, &p, sizeof(p)))
			take(vs, &p, &chain);
		virtqueue_push(q, &chain, 0);
	}
	virtqueue_signal(q);
	deliver(vs);
	pthread_mutex_unlock(&vs->lock);
}
