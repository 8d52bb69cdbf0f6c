/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The console device: console.c has the ports' data, console_control.c their messages. */
#ifndef VMM_DEVICES_VIRTIO_CONSOLE_H
#define VMM_DEVICES_VIRTIO_CONSOLE_H

#include "../../backends/chardev.h"
#include "virtio.h"

#define CONSOLE_PORTS 16		/* port 0 is the console */
#define CONSOLE_NAME_MAX 64
#define CONSOLE_CONTROL_RX 2		/* queues; each port has two, port 0 the first */
#define CONSOLE_CONTROL_TX 3

#define CONSOLE_F_SIZE VIRTIO_BIT(0)
#define CONSOLE_F_MULTIPORT VIRTIO_BIT(1)
#define CONSOLE_F_EMERG_WRITE VIRTIO_BIT(2)

struct console_port {
	struct console *con;
	unsigned int id;
	struct chardev *line;		/* NULL: there is no such port */
	char name[CONSOLE_NAME_MAX + 1];
	struct virtqueue *rx, *tx;
	u64 sent;			/* bytes of the chain that is next in tx; its handler's */
	/* under con->lock */
	bool host_open, guest_open;	/* somebody is there */
	bool ready;			/* the driver knows it */
	u32 pending;			/* messages to send, a bit for each kind */
};

struct console {
	struct virtio_device v;		/* first */
	pthread_mutex_t lock;
	bool started, multiport;	/* multiport: as negotiated */
	struct console_port port[CONSOLE_PORTS];
	unsigned int ports;		/* with gaps */
};

/* --- console_control.c ----------------------------------------------------------------- */

/* Handles the messages of the driver. */
void console_control(struct console *c);
/* Sends what is pending, as far as there are buffers: under c->lock. */
void console_send_pending(struct console *c);
/* Somebody came to the other end of a port, or went: under c->lock. */
void console_tell_open(struct console_port *p);

#endif
