/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network card (5.1) on a network of the registry: one pair of queues and
 * the control queue. What the driver sends goes out on the vCPU's thread that
 * notifies. Frames come on whichever thread the network has them: they are
 * written into the driver's buffers under the network's lock, and wait in the
 * network while there are none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/registry.h"
#include "../../error.h"
#include "net.h"

#define QUEUE_SIZE 256
#define CHAIN_MAX 256		/* buffers in one chain */
#define MERGE_MAX 64		/* chains for one frame */
#define FLUSH_FRAMES 64		/* after so many the network looks at its other work */

struct net_config {
	u8 mac[NET_MAC_BYTES];
	u16 status, pairs, mtu;
} __attribute__((packed));

static struct net_card *card_of(struct virtio_device *v)
{
	return (struct net_card *)v;
}

unsigned int net_card_offloads(u64 f)
{
	if (!(f & NET_F_GUEST_CSUM))
		return 0;
	return NET_CSUM | (f & NET_F_GUEST_TSO4 ? NET_TSO4 : 0) |
		(f & NET_F_GUEST_TSO6 ? NET_TSO6 : 0) | (f & NET_F_GUEST_ECN ? NET_ECN : 0);
}

/* --- frames to the driver: under the network's lock ---------------------------------- */

/* The chains that one frame takes; only the first one's memory is needed again. */
struct landing {
	struct virtq_chain chain[MERGE_MAX];
	unsigned int count;
	size_t room;
	struct iovec first[CHAIN_MAX], other[CHAIN_MAX];
};

static void give_back(struct net_card *c, struct landing *l)
{
	while (l->count)
		virtqueue_unpop(c->rx, &l->chain[--l->count]);
}

/*
 * Pops chains for `need` bytes and writes the frame to them: 1, 0 when the
 * driver has too few, -1 when its buffers cannot hold it at all.
 */
static int land(struct net_card *c, struct landing *l, size_t need)
{
	unsigned int most = c->merge ? MERGE_MAX : 1;
	size_t part;

	for (l->count = 0, l->room = 0; l->room < need; l->count++) {
		struct virtq_chain *chain = &l->chain[l->count];

		if (l->count == most)
			return -1;
		chain->iov = l->count ? l->other : l->first;
		chain->max = CHAIN_MAX;
		if (!virtqueue_pop(c->rx, chain))
			return 0;
		if (!chain->in_len || (!l->count && chain->in_len < NET_HEADER)) {
			virtio_broken(&c->v, "a buffer for frames has no room for one");
			return 0;
		}
		part = need - l->room < chain->in_len ? need - l->room : chain->in_len;
		virtq_write(chain, 0, c->bytes + l->room, part);
		l->room += part;
	}
	return 1;
}

static void hand_over(struct net_card *c, struct landing *l, size_t need)
{
	const u16 count = (u16)l->count;
	unsigned int i;
	u64 part;

	virtq_write(&l->chain[0], offsetof(struct net_header, num_buffers), &count,
		    sizeof(count));
	for (i = 0; i < l->count; i++) {
		part = need < l->chain[i].in_len ? need : l->chain[i].in_len;
		virtqueue_push(c->rx, &l->chain[i], (u32)part);
		need -= part;
	}
	virtqueue_signal(c->rx);
}

/* True also for a frame that the driver does not want or can never take. */
static bool receive(void *front, const struct net_header *h, const u8 *frame, size_t len)
{
	struct net_card *c = front;
	struct net_header header = *h;
	struct landing l;
	int r;

	if (!net_filter_wants(c, frame))
		return true;
	if (!virtio_has(&c->v, NET_F_GUEST_CSUM))
		header.flags = 0;
	memcpy(c->bytes, &header, sizeof(header));
	memcpy(c->bytes + sizeof(header), frame, len);
	r = land(c, &l, sizeof(header) + len);
	if (r > 0)
		hand_over(c, &l, sizeof(header) + len);
	else
		give_back(c, &l);
	return r;
}

/* --- frames of the driver ------------------------------------------------------------ */

/* Sends what is in a chain; a frame that asks for what was not agreed on is lost. */
static void transmit(struct net_card *c, const struct virtq_chain *chain)
{
	struct net_header h;
	struct iovec iov[CHAIN_MAX];
	u64 len = chain->out_len - sizeof(h);
	u8 gso;
	int n;

	if (!virtq_read(chain, 0, &h, sizeof(h)) || len > NET_FRAME_MAX)
		return;
	gso = h.gso_type & (u8)~NET_GSO_ECN;
	if (h.flags & ~c->flags || gso >= 8 || !(c->gso & 1 << gso) ||
	    (gso && !(h.flags & NET_NEEDS_CSUM)))
		return;
	if (h.gso_type & NET_GSO_ECN && !virtio_has(&c->v, NET_F_HOST_ECN))
		return;
	n = virtq_out(chain, sizeof(h), len, iov, CHAIN_MAX);
	if (n > 0)
		net_send(c->net, &h, iov, n, len);
}

static void transmit_all(struct net_card *c)
{
	struct iovec iov[CHAIN_MAX];
	struct virtq_chain chain = { .iov = iov, .max = CHAIN_MAX };
	unsigned int n;

	for (n = 1; virtqueue_pop(c->tx, &chain); n++) {
		transmit(c, &chain);
		virtqueue_push(c->tx, &chain, 0);
		if (n % FLUSH_FRAMES == 0)
			net_flush(c->net);
	}
	net_flush(c->net);
	virtqueue_signal(c->tx);
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct net_card *c = card_of(v);

	if (queue == c->rx->index)
		net_ready(c->net);
	else if (queue == c->tx->index)
		transmit_all(c);
	else
		net_card_control(c);
}

/* --- the life of a driver ------------------------------------------------------------ */

static void start(struct virtio_device *v)
{
	struct net_card *c = card_of(v);
	const struct net_front front = { receive, c };

	c->merge = virtio_has(v, NET_F_MRG_RXBUF);
	c->flags = virtio_has(v, NET_F_CSUM) ? NET_NEEDS_CSUM : 0;
	c->gso = 1 << NET_GSO_NONE;
	if (virtio_has(v, NET_F_HOST_TSO4))
		c->gso |= 1 << NET_GSO_TCPV4;
	if (virtio_has(v, NET_F_HOST_TSO6))
		c->gso |= 1 << NET_GSO_TCPV6;
	net_filter_reset(c);
	net_connect(c->net, &front, net_card_offloads(v->features));
}

static void stop(struct virtio_device *v)
{
	net_connect(card_of(v)->net, NULL, 0);
}

/* Frames are written to buffers under the network's lock. */
static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	struct net_card *c = card_of(v);

	if (queue != c->rx->index)
		return;
	net_lock(c->net);
	net_unlock(c->net);
}

static const struct virtio_ops ops = {
	.name = "virtio-net",
	.type = VIRTIO_NET,
	.pci_class = 0x020000,
	.notify = notify,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
};

/* --- making it ----------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct net_card *c = card_of((struct virtio_device *)d);

	virtio_detach(&c->v);
	if (c->net)
		registry_release(c->v.board->backends, c->net);
	free(c);
}

static u64 features(const struct net *n)
{
	u64 f = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ |
		NET_F_CTRL_RX | NET_F_CTRL_MAC_ADDR;

	if (n->mtu != NET_MTU)
		f |= NET_F_MTU;
	if (n->takes & NET_CSUM)
		f |= NET_F_CSUM | (n->takes & NET_TSO4 ? NET_F_HOST_TSO4 : 0) |
			(n->takes & NET_TSO6 ? NET_F_HOST_TSO6 : 0) |
			(n->takes & NET_ECN ? NET_F_HOST_ECN : 0);
	if (n->gives & NET_CSUM)
		f |= NET_F_GUEST_CSUM | NET_F_GUEST_OFFLOADS |
			(n->gives & NET_TSO4 ? NET_F_GUEST_TSO4 : 0) |
			(n->gives & NET_TSO6 ? NET_F_GUEST_TSO6 : 0) |
			(n->gives & NET_ECN ? NET_F_GUEST_ECN : 0);
	return f;
}

static int create_all(struct net_card *c, struct board *b, struct props *p)
{
	const char *name = props_string(p, "net", NULL), *mac = props_string(p, "mac", NULL);
	struct net_config config = { .status = NET_LINK_UP, .pairs = 1 };

	if (!name) {
		props_missing(p, "net", "the id of a --net");
		return -1;
	}
	c->v.board = b;
	c->net = registry_claim(b->backends, "net", name);
	if (!c->net)
		return -1;
	memcpy(c->mac, c->net->mac, NET_MAC_BYTES);
	if (mac && net_parse_mac(c->mac, mac) < 0)
		return -1;
	memcpy(config.mac, c->mac, NET_MAC_BYTES);
	config.mtu = (u16)c->net->mtu;
	if (virtio_init(&c->v, b, &ops, features(c->net)) < 0 ||
	    virtio_config(&c->v, &config, sizeof(config)) < 0 ||
	    virtio_add_queue(&c->v, QUEUE_SIZE, NULL) < 0 ||
	    virtio_add_queue(&c->v, QUEUE_SIZE, NULL) < 0 ||
	    virtio_add_queue(&c->v, CHAIN_MAX, NULL) < 0)
		return -1;
	c->rx = &c->v.queue[0];
	c->tx = &c->v.queue[1];
	c->control = &c->v.queue[2];
	return virtio_attach(&c->v, p);
}

static struct device *create(struct board *b, struct props *p)
{
	struct net_card *c = calloc(1, sizeof(*c));

	if (!c) {
		error("out of memory");
		return NULL;
	}
	if (create_all(c, b, p) == 0)
		return &c->v.dev;
	c->v.board = b;
	destroy(&c->v.dev);
	return NULL;
}

const struct device_class virtio_net_class = {
	.name = "virtio-net",
	.summary = "a network card",
	.usage = "net=ID of a --net, mac=AA:BB:CC:DD:EE:FF",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
