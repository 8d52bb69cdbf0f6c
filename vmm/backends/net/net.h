/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Networks: where the frames of a network card go to and come from, by their id
 * in the registry (kind "net"). They outlive the machine's resets, so that
 * forwarded ports and connections of the host stay.
 *
 * A frame has before it the header of modern virtio-net (5.1.6), which tells
 * what the sender left undone: a checksum, the cutting into segments. A card
 * that knows nothing of that sends zeros and asks for no offloads.
 *
 * Locks: everything of a network runs under its lock, also the card's receive
 * function, on the thread that sends, or that found frames outside. A card
 * therefore holds no lock that its receive function takes when it calls
 * anything here.
 */
#ifndef VMM_BACKENDS_NET_NET_H
#define VMM_BACKENDS_NET_NET_H

#include <pthread.h>
#include <sys/uio.h>

#include "../../devices/props.h"
#include "../loop.h"

#define NET_HEADER sizeof(struct net_header)
#define NET_NEEDS_CSUM 1	/* flags: the checksum is to be set */
#define NET_DATA_VALID 2	/* it was found right */

enum net_gso { NET_GSO_NONE = 0, NET_GSO_TCPV4 = 1, NET_GSO_TCPV6 = 4, NET_GSO_ECN = 0x80 };

#define NET_FRAME_MIN 14		/* what has addresses and a type */
#define NET_FRAME_MAX (65535 + 18)	/* an IP packet, with a VLAN's tag */
#define NET_MTU 1500
#define NET_MAC_BYTES 6
#define NET_PENDING_MAX (512 * KIB)	/* bytes that wait for the card */

/* What a side takes undone. */
enum net_offload {
	NET_CSUM = 1, NET_TSO4 = 2, NET_TSO6 = 4, NET_ECN = 8,
};

struct net_header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset;
	u16 num_buffers;	/* of the driver, that a frame took */
};

struct net;
struct registry;

/* What a card is to its network; receive runs under the network's lock. */
struct net_front {
	/* A frame: false when there is no room, and net_ready will be called. */
	bool (*receive)(void *front, const struct net_header *h, const u8 *frame,
			size_t len);
	void *front;
};

/* What a kind of network does, under the lock. */
struct net_ops {
	/* The frame after its header, `len` bytes in one piece. What cannot be sent is lost. */
	void (*send)(struct net *n, const struct net_header *h, u8 *frame, size_t len);
	/* After a group of frames; may be NULL. */
	void (*flush)(struct net *n);
	/* The card takes these offloads from now on; may be NULL. */
	void (*offloads)(struct net *n, unsigned int taken);
	/* The pending frames are gone; may be NULL. */
	void (*ready)(struct net *n);
	/* Not under the lock; frees the network itself. */
	void (*destroy)(struct net *n);
};

struct net_pending {
	struct net_pending *next;
	struct net_header header;
	size_t len;
	u8 frame[];
};

struct net {
	const struct net_ops *ops;
	unsigned int takes;	/* offloads that it takes of a card */
	unsigned int gives;	/* those that it can make use of towards the card */
	unsigned int mtu;
	u8 mac[NET_MAC_BYTES];	/* of the card, unless the user wants another */
	char *id;
	char *device;		/* what to give to --device for it; NULL: the user does that */

	/* the rest is net.c's own */
	pthread_mutex_t lock;
	struct net_front front;	/* receive NULL: no card */
	struct net_pending *pending, **pending_end;
	size_t pending_bytes;
	u8 room[NET_FRAME_MAX];	/* a frame in one piece */
};

/*
 * Opens a network by the text of a --net option and adds it to the registry:
 *	user[,hostfwd=...][,restrict=on][,mtu=N]
 *	tap[,ifname=NAME|,fd=N]
 *	unix,path=PATH[,listen=on]
 * each with [,id=][,if=virtio|e1000|none]; what it does not know becomes a property
 * of the device. NULL after an error line.
 */
struct net *net_open(struct registry *r, struct loop *l, const char *text);

/* --- for cards --------------------------------------------------------------------- */

/* Connects the card; frames come from now on. NULL disconnects: none comes any more. */
void net_connect(struct net *n, const struct net_front *front, unsigned int offloads);
void net_offloads(struct net *n, unsigned int taken);
/* Sends `len` bytes of a frame which the pieces hold; they are read once. */
void net_send(struct net *n, const struct net_header *h, const struct iovec *iov, int count,
	      size_t len);
void net_flush(struct net *n);
/* The card has room again. */
void net_ready(struct net *n);

/* --- for networks ------------------------------------------------------------------ */

/* Begins a network, with its lock. */
void net_init(struct net *n, const struct net_ops *ops);
void net_lock(struct net *n);
void net_unlock(struct net *n);
/*
 * Gives a frame to the card, under the lock. Those for which it has no room
 * wait, up to a limit; true while the network should hold back others.
 */
bool net_deliver(struct net *n, const struct net_header *h, const u8 *frame, size_t len);
/* Sets the checksum that the header asks for; false when it lies outside of the frame. */
bool net_checksum(const struct net_header *h, u8 *frame, size_t len);

/* Each takes its properties; NULL after an error line. */
struct net *net_user_open(struct loop *l, struct props *p);
struct net *net_link_open(struct loop *l, struct props *p);
struct net *net_tap_open(struct loop *l, struct props *p);

/* Parses the address of one card, as 52:54:00:12:34:56: 0, or -1 after an error line. */
int net_parse_mac(u8 mac[NET_MAC_BYTES], const char *text);

#endif
