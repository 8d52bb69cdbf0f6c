/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network card's control queue (5.1.6.5): which frames the driver wants, the
 * card's address, which offloads it takes. It is handled on the vCPU's thread
 * that notifies.
 */
#include <string.h>

#include "net.h"

#define CHAIN_MAX 64
#define MAC_SPECIFIC 1		/* of the first byte: for several receivers */

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_OFFLOADS = 5 };
enum { RX_PROMISC = 0, RX_ALLMULTI = 1 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { OFFLOADS_SET = 0 };
enum { ACK_OK, ACK_ERR };

struct command {
	u8 class, command;
};

/* --- the filter: under the network's lock -------------------------------------------- */

void net_filter_reset(struct net_card *c)
{
	/* a driver that cannot set the filter gets everything and filters itself */
	bool knows = virtio_has(&c->v, NET_F_CTRL_RX);

	memset(&c->filter, 0, sizeof(c->filter));
	c->filter.promisc = !knows;
	c->filter.allmulti = !knows;
}

static bool listed(const struct mac_table *t, const u8 *mac)
{
	unsigned int i;

	for (i = 0; i < t->count && !t->all; i++)
		if (!memcmp(t->mac[i], mac, NET_MAC_BYTES))
			return true;
	return t->all;
}

bool net_filter_wants(const struct net_card *c, const u8 *frame)
{
	static const u8 everybody[NET_MAC_BYTES] = { 255, 255, 255, 255, 255, 255 };
	const struct net_filter *f = &c->filter;

	if (f->promisc || !memcmp(frame, everybody, NET_MAC_BYTES))
		return true;
	if (*frame & MAC_SPECIFIC)
		return f->allmulti || listed(&f->multicast, frame);
	return !memcmp(frame, c->mac, NET_MAC_BYTES) || listed(&f->unicast, frame);
}

/* One table of a command: where the next begins, or 0 when it is malformed. */
static u64 read_table(const struct virtq_chain *c, u64 at, struct mac_table *t)
{
	u32 count;

	t->all = false;
	t->count = 0;
	if (!virtq_read(c, at, &count, sizeof(count)) ||
	    count > (c->out_len - at - sizeof(count)) / NET_MAC_BYTES)
		return 0;
	at += sizeof(count);
	t->all = count > NET_MACS_MAX;
	if (!t->all && !virtq_read(c, at, t->mac, (u64)count * NET_MAC_BYTES))
		return 0;
	t->count = t->all ? 0 : count;
	return at + (u64)count * NET_MAC_BYTES;
}

/* --- commands ------------------------------------------------------------------------ */

static bool set_tables(struct net_card *c, const struct virtq_chain *chain)
{
	struct mac_table unicast, multicast;
	u64 at = read_table(chain, sizeof(struct command), &unicast);

	if (!at || read_table(chain, at, &multicast) != chain->out_len)
		return false;
	net_lock(c->net);
	c->filter.unicast = unicast;
	c->filter.multicast = multicast;
	net_unlock(c->net);
	return true;
}

static bool set_address(struct net_card *c, const struct virtq_chain *chain)
{
	u8 mac[NET_MAC_BYTES];

	if (chain->out_len != sizeof(struct command) + sizeof(mac) ||
	    !virtq_read(chain, sizeof(struct command), mac, sizeof(mac)))
		return false;
	net_lock(c->net);
	memcpy(c->mac, mac, sizeof(mac));
	net_unlock(c->net);
	virtio_config_update(&c->v, 0, mac, sizeof(mac));
	return true;
}

static bool set_offloads(struct net_card *c, const struct virtq_chain *chain)
{
	u64 bits;

	if (chain->out_len != sizeof(struct command) + sizeof(bits) ||
	    !virtq_read(chain, sizeof(struct command), &bits, sizeof(bits)) ||
	    bits & ~c->v.features)
		return false;
	net_offloads(c->net, net_card_offloads(bits));
	return true;
}

static bool set_mode(struct net_card *c, const struct virtq_chain *chain, u8 what)
{
	u8 on;

	if (chain->out_len != sizeof(struct command) + 1 ||
	    !virtq_read(chain, sizeof(struct command), &on, 1))
		return false;
	net_lock(c->net);
	if (what == RX_PROMISC)
		c->filter.promisc = on;
	else
		c->filter.allmulti = on;
	net_unlock(c->net);
	return true;
}

static bool obey(struct net_card *c, const struct virtq_chain *chain)
{
	struct command k;

	if (!virtq_read(chain, 0, &k, sizeof(k)))
		return false;
	if (k.class == CLASS_RX && virtio_has(&c->v, NET_F_CTRL_RX) &&
	    (k.command == RX_PROMISC || k.command == RX_ALLMULTI))
		return set_mode(c, chain, k.command);
	if (k.class == CLASS_MAC && k.command == MAC_TABLE_SET &&
	    virtio_has(&c->v, NET_F_CTRL_RX))
		return set_tables(c, chain);
	if (k.class == CLASS_MAC && k.command == MAC_ADDR_SET &&
	    virtio_has(&c->v, NET_F_CTRL_MAC_ADDR))
		return set_address(c, chain);
	if (k.class == CLASS_OFFLOADS &&
	    k.command == OFFLOADS_SET &&
	    virtio_has(&c->v, NET_F_GUEST_OFFLOADS))
		return set_offloads(c, chain);
	return false;
}

void net_card_control(struct net_card *c)
{
	struct iovec iov[CHAIN_MAX];
	struct virtq_chain chain = { .iov = iov, .max = CHAIN_MAX };
	u8 ack;

	while (virtqueue_pop(c->control, &chain)) {
		ack = obey(c, &chain) ? ACK_OK : ACK_ERR;
		if (!virtq_write(&chain, 0, &ack, sizeof(ack))) {
			virtio_broken(&c->v, "a command without room for its status");
			return;
		}
		virtqueue_push(c->control, &chain, sizeof(ack));
	}
	virtqueue_signal(c->control);
}
