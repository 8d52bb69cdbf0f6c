/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket device (5.10): stream connections between programs of the guest
 * and unix sockets of the host (backends/vsock.h).
 *
 *	vsock.c		the device, its queues and its descriptors
 *	packet.c	what the driver sends: which connection it is for
 *	connection.c	the life of a connection, bytes in both directions
 *	deliver.c	what is to be sent to the driver
 *
 * One lock for all of it. The sockets are in an epoll instance, which is one
 * entry of the device's own loop; events are edges, noted in the connection
 * until a read or write finds nothing more. Packets of the driver are handled
 * on the vCPU's thread.
 *
 * What the driver can make the host keep: CONNECTIONS_MAX connections, each
 * with BUFFER bytes that its socket has not taken, and RESETS_MAX answers.
 */
#ifndef VMM_DEVICES_VIRTIO_VSOCK_H
#define VMM_DEVICES_VIRTIO_VSOCK_H

#include "../../../backends/vsock.h"
#include "../virtio.h"

#define HOST_CID 2
#define CONNECTIONS_MAX 1024
#define BUFFER (64 * KIB)
#define RESETS_MAX 256
#define HASH_SIZE 256
#define REQUEST_LINE_MAX 32		/* "CONNECT 4294967295\n" */

enum { RX, TX, EVENTS, QUEUES };

enum {
	OP_REQUEST = 1, OP_RESPONSE = 2, OP_RST = 3, OP_SHUTDOWN = 4, OP_RW = 5,
	OP_CREDIT_UPDATE = 6, OP_CREDIT_REQUEST = 7,
};

#define TYPE_STREAM 1
#define SHUTDOWN_RECEIVE 1		/* the sender takes nothing more */
#define SHUTDOWN_SEND 2
#define SHUTDOWN_BOTH 3

struct packet {
	u64 src_cid, dst_cid;
	u32 src_port, dst_port, len;
	u16 type, op;
	u32 flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

enum state {
	ASKING,		/* a program of the host has not yet said which port it wants */
	REQUESTED,	/* the guest was asked and has not answered */
	OPEN,
	ENDED,		/* all that is left to do is to tell the guest */
};

struct connection {
	struct vsock *vs;
	struct connection *next;	/* in the hash table, or among the free ones */
	struct connection *ready_next;	/* among those with something for the guest */
	bool ready;
	u32 generation;			/* tells events of an earlier use apart */
	enum state state;
	int fd;
	u32 host_port, guest_port;
	bool readable, writable;	/* no read or write has found nothing since */

	/* to the guest */
	u32 pending;			/* a bit for each OP_ that is to be sent */
	u32 peer_alloc, peer_forwarded;	/* its credit, as it last said */
	u32 sent;			/* bytes, ever-growing */
	u32 told_flags, flags;		/* of our shutdown: sent, and to send */

	/* from the guest */
	u8 *buffer;			/* made when first needed */
	u32 head, count;
	u32 forwarded, told_forwarded;	/* bytes that left the buffer; what the guest knows */
	u32 peer_flags;			/* of its shutdown */
	bool write_closed;

	char line[REQUEST_LINE_MAX];	/* while ASKING */
	unsigned int line_len;
};

struct vsock {
	struct virtio_device v;		/* first */
	struct vsock_backend *backend;
	struct loop *thread;
	struct loop_entry *listen_entry, *epoll_entry;
	int epoll;
	pthread_mutex_t lock;		/* of all below */
	bool started, again;		/* again: the loop is to go on delivering */
	bool held;			/* packets of the driver wait for room among the resets */
	struct connection *all, *free, *hash[HASH_SIZE];
	struct connection *ready_first, **ready_last;
	u32 next_port;
	struct packet resets[RESETS_MAX];	/* for connections that do not exist */
	unsigned int reset_first, reset_count;
};

/* --- all of these: under vs->lock --------------------------------------------------------- */

struct connection *connection_find(struct vsock *vs, u32 host_port, u32 guest_port);
/* Takes the descriptor over; NULL, with it closed, when there are too many. */
struct connection *connection_new(struct vsock *vs, int fd, enum state state);
/* Gives a connection its ports, under which it is found. */
void connection_name(struct connection *c, u32 host_port, u32 guest_port);
void connection_close(struct connection *c);
/* The guest's answer came: tells the program of the host. */
void connection_answered(struct connection *c);
/* len bytes of a chain for the host's program; false when they are beyond the credit. */
bool connection_take(struct connection *c, const struct virtq_chain *chain, u64 offset, u32 len);
/* Moves what is buffered on, and sees to the ends. The connection may be gone after it. */
void connection_pump(struct connection *c);
/* The program of the host has sent something that is no data yet. */
void connection_read_line(struct connection *c);
/* Has something sent to the guest. */
void connection_tell(struct connection *c, u16 op);
void connection_make_ready(struct connection *c);

/* Answers a packet that belongs to no connection. */
void deliver_reset(struct vsock *vs, const struct packet *p);
/* Sends to the guest what there is, as far as it has buffers. */
void deliver(struct vsock *vs);

/* --- without it ------------------------------------------------------------------------- */

/* What the driver put into its queue. */
void packet_receive_all(struct vsock *vs);
/* Gives the lock up after deliver(), and takes what was held back meanwhile. */
void vsock_unlock(struct vsock *vs);

#endif
