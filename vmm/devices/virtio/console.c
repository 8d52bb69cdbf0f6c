/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The console device (5.3): port 0 is a console (hvc0 in Linux), the others are
 * named channels between programs of the guest and character devices of the
 * host. Characters of the guest go out on the vCPU's thread; those from outside
 * are written into the driver's buffers on the thread that has them, and wait
 * there while the guest has none or the port is not open.
 *
 * A driver may wait, with its processor, for the console to take what it
 * prints, so port 0 never holds a buffer back: what a slow other end has no
 * room for is the character device's to lose. The other ports wait for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/registry.h"
#include "../../error.h"
#include "console.h"

#define QUEUE_SIZE 128
#define BUFFERS_MAX 128		/* in a chain */
#define PIECE 4096
#define CHAIN_MAX (16 * MIB)	/* bytes in one; drivers have at most 32 KiB */

struct console_config {
	u16 columns, rows;
	u32 ports, emergency;
};

static struct console *console_of(struct virtio_device *v)
{
	return (struct console *)v;
}

/* --- to the guest ------------------------------------------------------------------- */

static bool takes(const struct console_port *p)
{
	return p->con->started && (p->con->multiport ? p->guest_open : p->id == 0);
}

/* Fills one chain: how many bytes, or -1 when there is none. */
static ssize_t fill(struct console_port *p, const u8 *bytes, size_t n)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain chain = { .iov = iov, .max = BUFFERS_MAX };

	if (!virtqueue_pop(p->rx, &chain))
		return -1;
	if (!chain.in_len) {
		virtio_broken(&p->con->v, "port %u: a buffer without room", p->id);
		return -1;
	}
	if (n > chain.in_len)
		n = chain.in_len;
	virtq_write(&chain, 0, bytes, n);
	virtqueue_push(p->rx, &chain, (u32)n);
	return (ssize_t)n;
}

static size_t receive(void *front, const u8 *bytes, size_t n)
{
	struct console_port *p = front;
	size_t done = 0;
	ssize_t part = 0;

	pthread_mutex_lock(&p->con->lock);
	while (done < n && takes(p) && part >= 0) {
		part = fill(p, bytes + done, n - done);
		if (part > 0)
			done += (size_t)part;
	}
	if (done)
		virtqueue_signal(p->rx);
	pthread_mutex_unlock(&p->con->lock);
	return done;
}

static void opened(void *front, bool on)
{
	struct console_port *p = front;

	pthread_mutex_lock(&p->con->lock);
	p->host_open = on;
	console_tell_open(p);
	pthread_mutex_unlock(&p->con->lock);
}

/* --- from the guest ------------------------------------------------------------------- */

/* Sends a chain from p->sent on: false when the other end has no room for all. */
static bool drain(struct console_port *p, const struct virtq_chain *chain)
{
	u8 bytes[PIECE];

	while (p->sent < chain->out_len && __atomic_load_n(&p->tx->live, __ATOMIC_ACQUIRE)) {
		u64 n = chain->out_len - p->sent < PIECE ? chain->out_len - p->sent : PIECE;
		size_t done = n;

		virtq_read(chain, p->sent, bytes, n);
		if (p->id)
			done = p->line->write(p->line, bytes, n);
		else
			p->line->send(p->line, bytes, n);
		p->sent += done;
		if (done < n)
			return false;
	}
	return true;
}

/* Whenever the guest prints: it notices a screen of another size, and drivers miss the first. */
static void update_size(struct console_port *p)
{
	u16 size[2];

	if (!p->id && virtio_has(&p->con->v, CONSOLE_F_SIZE) &&
	    p->line->size(p->line, &size[0], &size[1]))
		virtio_config_update(&p->con->v, offsetof(struct console_config, columns), size,
				     sizeof(size));
}

static void transmit(struct console_port *p)
{
	struct iovec iov[BUFFERS_MAX];
	struct virtq_chain chain = { .iov = iov, .max = BUFFERS_MAX };

	update_size(p);
	while (virtqueue_pop(p->tx, &chain)) {
		if (chain.out_len > CHAIN_MAX) {
			virtio_broken(&p->con->v, "port %u: %llu bytes at once", p->id,
				      (unsigned long long)chain.out_len);
			break;
		}
		if (!drain(p, &chain)) {
			virtqueue_unpop(p->tx, &chain);
			break;
		}
		p->sent = 0;
		virtqueue_push(p->tx, &chain, 0);
	}
	virtqueue_signal(p->tx);
}

/* There is room again; the queue's handler knows where it was. */
static void writable(void *front)
{
	struct console_port *p = front;

	if (p->id)
		virtqueue_kick(p->tx);
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct console *c = console_of(v);
	struct console_port *p = &c->port[queue < CONSOLE_CONTROL_RX ? 0 : queue / 2 - 1];

	if (queue == CONSOLE_CONTROL_TX) {
		console_control(c);
	} else if (queue == CONSOLE_CONTROL_RX) {
		pthread_mutex_lock(&c->lock);
		console_send_pending(c);
		pthread_mutex_unlock(&c->lock);
	} else if (p->line && queue % 2) {
		transmit(p);
	} else if (p->line) {
		p->line->ready(p->line);
	}
}

/* A character when there are no queues yet, or no more (5.3.4). */
static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	struct console_port *p = &console_of(v)->port[0];
	u8 byte;

	if (offset != offsetof(struct console_config, emergency) || !size || !p->line)
		return;
	memcpy(&byte, data, 1);
	p->line->send(p->line, &byte, 1);
}

/* --- the life of a driver ------------------------------------------------------------- */

static void start(struct virtio_device *v)
{
	struct console *c = console_of(v);

	pthread_mutex_lock(&c->lock);
	c->started = true;
	c->multiport = virtio_has(v, CONSOLE_F_MULTIPORT);
	pthread_mutex_unlock(&c->lock);
}

static void stop(struct virtio_device *v)
{
	struct console *c = console_of(v);
	unsigned int i;

	pthread_mutex_lock(&c->lock);
	c->started = false;
	for (i = 0; i < c->ports; i++) {
		struct console_port *p = &c->port[i];

		p->ready = p->guest_open = false;
		p->pending = 0;
		p->sent = 0;
	}
	pthread_mutex_unlock(&c->lock);
}

/* Buffers are filled under the lock; of one that was not sent to its end nothing is known. */
static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	struct console *c = console_of(v);

	pthread_mutex_lock(&c->lock);
	if (queue % 2 && queue != CONSOLE_CONTROL_TX)
		c->port[queue < CONSOLE_CONTROL_RX ? 0 : queue / 2 - 1].sent = 0;
	pthread_mutex_unlock(&c->lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-console",
	.type = VIRTIO_CONSOLE,
	.pci_class = 0x078000,
	.notify = notify,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
	.config_write = config_write,
};

/* --- making it ------------------------------------------------------------------------ */

static void destroy(struct device *d)
{
	struct console *c = console_of((struct virtio_device *)d);
	unsigned int i;

	for (i = 0; i < c->ports; i++)
		if (c->port[i].line)
			c->port[i].line->connect(c->port[i].line, NULL);
	virtio_detach(&c->v);
	for (i = 0; i < c->ports; i++)
		if (c->port[i].line)
			registry_release(c->v.board->backends, c->port[i].line);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* port1=ID,name1=NAME and so on; port 0 is chardev=ID. */
static int take_port(struct console *c, unsigned int i, struct props *p)
{
	struct console_port *port = &c->port[i];
	char key[16], name_key[16];
	const char *id, *name;

	snprintf(key, sizeof(key), "port%u", i);
	snprintf(name_key, sizeof(name_key), "name%u", i);
	id = props_string(p, i ? key : "chardev", NULL);
	name = i ? props_string(p, name_key, "") : "";
	port->con = c;
	port->id = i;
	if (!id)
		return *name ? error("%s: %s= without %s=", p->type, name_key, key) : 0;
	if (strlen(name) > CONSOLE_NAME_MAX)
		return error("%s: %s=%s is longer than %d characters", p->type, name_key, name,
			     CONSOLE_NAME_MAX);
	strcpy(port->name, name);
	port->line = registry_claim(c->v.board->backends, "chardev", id);
	c->ports = i + 1;
	return port->line ? 0 : -1;
}

static int add_queues(struct console *c)
{
	unsigned int i, queues = c->ports > 1 ? 2 + 2 * c->ports : 2;

	for (i = 0; i < queues; i++)
		if (virtio_add_queue(&c->v, QUEUE_SIZE, NULL) < 0)
			return -1;
	for (i = 0; i < c->ports; i++) {
		unsigned int first = i ? 2 * i + 2 : 0;

		c->port[i].rx = &c->v.queue[first];
		c->port[i].tx = &c->v.queue[first + 1];
	}
	return 0;
}

static int create_all(struct console *c, struct board *b, struct props *p)
{
	struct console_config config = { 0 };
	struct chardev *line;
	u64 features = 0;
	unsigned int i;

	c->v.board = b;
	for (i = 0; i < CONSOLE_PORTS; i++)
		if (take_port(c, i, p) < 0)
			return -1;
	if (!c->ports) {
		props_missing(p, "chardev", "the id of a --chardev");
		return -1;
	}
	line = c->port[0].line;
	config.ports = c->ports;
	if (line)
		features |= CONSOLE_F_EMERG_WRITE;
	if (line && line->size)
		features |= CONSOLE_F_SIZE;
	if (c->ports > 1)
		features |= CONSOLE_F_MULTIPORT;
	if (virtio_init(&c->v, b, &ops, features) < 0 ||
	    virtio_config(&c->v, &config, sizeof(config)) < 0 || add_queues(c) < 0 ||
	    virtio_attach(&c->v, p) < 0)
		return -1;
	for (i = 0; i < c->ports; i++) {
		const struct chardev_front front = {
			.receive = receive, .writable = writable, .opened = opened,
			.front = &c->port[i],
		};

		if (c->port[i].line)
			c->port[i].line->connect(c->port[i].line, &front);
	}
	return 0;
}

static struct device *create(struct board *b, struct props *p)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	if (create_all(c, b, p) == 0)
		return &c->v.dev;
	c->v.board = b;
	destroy(&c->v.dev);
	return NULL;
}

const struct device_class virtio_console_class = {
	.name = "virtio-console",
	.summary = "a console and named ports",
	.usage = "chardev=ID of the console, portN=ID,nameN=NAME of ports 1 to 15",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
