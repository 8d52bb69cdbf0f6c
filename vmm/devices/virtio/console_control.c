/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control messages of a console device with several ports (5.3.6.2). What
 * is to be said to the driver is kept as a bit for each port and kind, so that
 * a driver that gives no buffers costs no memory.
 */
#include <string.h>

#include "console.h"

enum {
	DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6,
	PORT_NAME = 7,
};

struct message {
	u32 id;
	u16 event, value;
};

#define MESSAGE_BUFFERS 16

/* One message into the driver's next buffer: false when there is none. */
static bool send_message(struct console_port *p, u16 event, u16 value)
{
	struct virtqueue *q = &p->con->v.queue[CONSOLE_CONTROL_RX];
	struct iovec iov[MESSAGE_BUFFERS];
	struct virtq_chain chain = { .iov = iov, .max = MESSAGE_BUFFERS };
	const struct message m = { p->id, event, value };
	u8 bytes[sizeof(m) + CONSOLE_NAME_MAX];
	size_t len = sizeof(m);

	if (!virtqueue_pop(q, &chain))
		return false;
	memcpy(bytes, &m, sizeof(m));
	if (event == PORT_NAME) {
		memcpy(bytes + len, p->name, strlen(p->name));
		len += strlen(p->name);
	}
	if (!virtq_write(&chain, 0, bytes, len)) {
		virtio_broken(&p->con->v, "a control buffer of %llu bytes is too small",
			      (unsigned long long)chain.in_len);
		return false;
	}
	virtqueue_push(q, &chain, (u32)len);
	return true;
}

static bool send_port(struct console_port *p)
{
	static const u16 order[] = { PORT_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		u16 value = order[i] == PORT_OPEN ? p->host_open : 1;

		if (!(p->pending & 1u << order[i]))
			continue;
		if (!send_message(p, order[i], value))
			return false;
		p->pending &= ~(1u << order[i]);
	}
	return true;
}

void console_send_pending(struct console *c)
{
	unsigned int i;

	if (!c->started || !c->multiport)
		return;
	for (i = 0; i < c->ports && send_port(&c->port[i]); i++)
		;
	virtqueue_signal(&c->v.queue[CONSOLE_CONTROL_RX]);
}

void console_tell_open(struct console_port *p)
{
	if (p->ready)
		p->pending |= 1u << PORT_OPEN;
	console_send_pending(p->con);
}

/* Under the lock: true when the port has begun to take what comes from outside. */
static bool take_message(struct console *c, const struct message *m)
{
	struct console_port *p;
	unsigned int i;

	if (m->event == DEVICE_READY) {
		for (i = 0; i < c->ports && m->value; i++)
			if (c->port[i].line)
				c->port[i].pending |= 1u << PORT_ADD;
		return false;
	}
	if (m->id >= c->ports || !c->port[m->id].line)
		return false;
	p = &c->port[m->id];
	if (m->event == PORT_READY && m->value) {
		p->ready = true;
		p->pending |= 1u << PORT_OPEN | (p->id ? 0 : 1u << CONSOLE_PORT) |
			(*p->name ? 1u << PORT_NAME : 0);
	} else if (m->event == PORT_OPEN) {
		p->guest_open = m->value;
		return p->guest_open;
	}
	return false;
}

void console_control(struct console *c)
{
	struct virtqueue *q = &c->v.queue[CONSOLE_CONTROL_TX];
	struct iovec iov[MESSAGE_BUFFERS];
	struct virtq_chain chain = { .iov = iov, .max = MESSAGE_BUFFERS };
	struct message m;
	bool opened;

	while (virtqueue_pop(q, &chain)) {
		opened = false;
		if (virtq_read(&chain, 0, &m, sizeof(m))) {
			pthread_mutex_lock(&c->lock);
			opened = take_message(c, &m);
			console_send_pending(c);
			pthread_mutex_unlock(&c->lock);
		}
		virtqueue_push(q, &chain, 0);
		if (opened)
			c->port[m.id].line->ready(c->port[m.id].line);
	}
	virtqueue_signal(q);
}
