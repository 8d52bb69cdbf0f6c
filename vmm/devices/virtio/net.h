/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the network card's files share: the card, and what its control queue sets. */
#ifndef VMM_DEVICES_VIRTIO_NET_H
#define VMM_DEVICES_VIRTIO_NET_H

#include "../../backends/net/net.h"
#include "virtio.h"

#define NET_F_CSUM VIRTIO_BIT(0)
#define NET_F_GUEST_CSUM VIRTIO_BIT(1)
#define NET_F_GUEST_OFFLOADS VIRTIO_BIT(2)
#define NET_F_MTU VIRTIO_BIT(3)
#define NET_F_MAC VIRTIO_BIT(5)
#define NET_F_GUEST_TSO4 VIRTIO_BIT(7)
#define NET_F_GUEST_TSO6 VIRTIO_BIT(8)
#define NET_F_GUEST_ECN VIRTIO_BIT(9)
#define NET_F_HOST_TSO4 VIRTIO_BIT(11)
#define NET_F_HOST_TSO6 VIRTIO_BIT(12)
#define NET_F_HOST_ECN VIRTIO_BIT(13)
#define NET_F_MRG_RXBUF VIRTIO_BIT(15)
#define NET_F_STATUS VIRTIO_BIT(16)
#define NET_F_CTRL_VQ VIRTIO_BIT(17)
#define NET_F_CTRL_RX VIRTIO_BIT(18)
#define NET_F_CTRL_MAC_ADDR VIRTIO_BIT(23)

#define NET_LINK_UP 1

#define NET_MACS_MAX 64		/* in each table; with more, all frames of the kind pass */

struct mac_table {
	unsigned int count;
	bool all;
	u8 mac[NET_MACS_MAX][NET_MAC_BYTES];
};

/* Which frames the driver wants (5.1.6.5.1). Under the network's lock. */
struct net_filter {
	bool promisc, allmulti;
	struct mac_table unicast, multicast;
};

struct net_card {
	struct virtio_device v;		/* first */
	struct net *net;
	struct virtqueue *rx, *tx, *control;
	bool merge;			/* a frame may take several buffers */
	u8 flags, gso;			/* what the header of a frame from the driver may have */
	u8 mac[NET_MAC_BYTES];		/* under the network's lock */
	struct net_filter filter;
	u8 bytes[NET_HEADER + NET_FRAME_MAX];	/* a frame for the driver */
};

/* Answers the driver's commands. */
void net_card_control(struct net_card *c);
/* As after a reset: frames to the card and to many are wanted. */
void net_filter_reset(struct net_card *c);
bool net_filter_wants(const struct net_card *c, const u8 *frame);
/* The offloads among features of either kind of offload bits (5.1.3). */
unsigned int net_card_offloads(u64 guest_features);

#endif
