/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input devices (5.8): a keyboard, a mouse or a tablet, whose events are those
 * of Linux's input layer. Queue 0 takes events to the driver, one a buffer;
 * queue 1 brings what the driver wants shown (lights), which there is no use
 * for. A group of events that belong together is sent whole or not at all.
 *
 * The device takes part in the user's input while it has a driver, so that
 * before that, as in firmware, the PS/2 devices do.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "../../backends/input.h"
#include "../../error.h"
#include "virtio.h"

#define QUEUE_SIZE 64
#define GROUP_MAX 16			/* events of a group, with its end */
#define PENDING_MAX 256			/* events that wait for buffers */
#define DATA_SIZE 128

enum { EVENTS, STATUS };		/* queues */

/* What the driver selects to read (5.8.4) */
enum {
	CFG_UNSET, CFG_NAME, CFG_SERIAL, CFG_IDS, CFG_PROPERTIES = 0x10, CFG_EVENT_BITS,
	CFG_ABS_INFO,
};

struct config {
	u8 select, subsel, size, reserved[5];
	u8 data[DATA_SIZE];
} __attribute__((packed));

struct event {
	u16 type, code;
	u32 value;
};

struct input_device {
	struct virtio_device v;		/* first */
	enum input_kind kind;
	struct config config;		/* under lock, as what follows */
	pthread_mutex_t lock;
	struct event group[GROUP_MAX];	/* being gathered */
	unsigned int grouped;
	bool overflow;			/* the group is too long, and is dropped */
	struct event pending[PENDING_MAX];
	unsigned int first, count;
};

static const struct kind {
	const char *name;
	u16 product;
} kinds[INPUT_KINDS] = {
	[INPUT_KEYBOARD] = { "anykvm keyboard", 1 },
	[INPUT_MOUSE] = { "anykvm mouse", 2 },
	[INPUT_TABLET] = { "anykvm tablet", 3 },
};

/* --- events --------------------------------------------------------------------------- */

/* Gives the driver what it has buffers for. Under the lock. */
static bool send_pending(struct input_device *d)
{
	struct virtqueue *q = &d->v.queue[EVENTS];
	struct iovec iov[4];
	struct virtq_chain c = { .iov = iov, .max = ARRAY_SIZE(iov) };
	bool sent = false;

	while (d->count && virtqueue_pop(q, &c)) {
		bool ok = virtq_write(&c, 0, &d->pending[d->first], sizeof(struct event));

		virtqueue_push(q, &c, ok ? sizeof(struct event) : 0);
		d->first = (d->first + 1) % PENDING_MAX;
		d->count--;
		sent = true;
	}
	return sent;
}

static void flush(struct input_device *d)
{
	bool sent;

	pthread_mutex_lock(&d->lock);
	sent = send_pending(d);
	pthread_mutex_unlock(&d->lock);
	if (sent)
		virtqueue_signal(&d->v.queue[EVENTS]);
}

static void gather(struct input_device *d, u16 type, u16 code, u32 value)
{
	pthread_mutex_lock(&d->lock);
	if (d->grouped < GROUP_MAX - 1)
		d->group[d->grouped++] = (struct event){ type, code, value };
	else
		d->overflow = true;
	pthread_mutex_unlock(&d->lock);
}

static void on_key(void *ctx, u16 code, bool down)
{
	gather(ctx, EV_KEY, code, down);
}

static void on_move(void *ctx, int dx, int dy)
{
	if (dx)
		gather(ctx, EV_REL, REL_X, (u32)dx);
	if (dy)
		gather(ctx, EV_REL, REL_Y, (u32)dy);
}

static void on_wheel(void *ctx, int steps)
{
	gather(ctx, EV_REL, REL_WHEEL, (u32)steps);
}

static void on_position(void *ctx, unsigned int x, unsigned int y)
{
	gather(ctx, EV_ABS, ABS_X, x);
	gather(ctx, EV_ABS, ABS_Y, y);
}

static void on_sync(void *ctx)
{
	struct input_device *d = ctx;
	unsigned int i;

	pthread_mutex_lock(&d->lock);
	if (d->grouped && !d->overflow && d->count + d->grouped < PENDING_MAX) {
		d->group[d->grouped++] = (struct event){ EV_SYN, SYN_REPORT, 0 };
		for (i = 0; i < d->grouped; i++)
			d->pending[(d->first + d->count++) % PENDING_MAX] = d->group[i];
	}
	d->grouped = 0;
	d->overflow = false;
	pthread_mutex_unlock(&d->lock);
	flush(d);
}

/* --- the configuration ------------------------------------------------------------------ */

static void set_bit(struct config *c, unsigned int bit)
{
	c->data[bit / 8] |= (u8)(1 << bit % 8);
	if (c->size < bit / 8 + 1)
		c->size = (u8)(bit / 8 + 1);
}

static void buttons(struct config *c)
{
	unsigned int code;

	for (code = BTN_LEFT; code <= BTN_EXTRA; code++)
		set_bit(c, code);
}

static void event_bits(const struct input_device *d, struct config *c)
{
	unsigned int code;

	switch (c->subsel) {
	case EV_KEY:
		if (d->kind != INPUT_KEYBOARD) {
			buttons(c);
			break;
		}
		for (code = KEY_ESC; code <= KEY_COMPOSE; code++)
			set_bit(c, code);
		break;
	case EV_REL:
		if (d->kind == INPUT_MOUSE) {
			set_bit(c, REL_X);
			set_bit(c, REL_Y);
		}
		if (d->kind != INPUT_KEYBOARD)
			set_bit(c, REL_WHEEL);
		break;
	case EV_ABS:
		if (d->kind == INPUT_TABLET) {
			set_bit(c, ABS_X);
			set_bit(c, ABS_Y);
		}
		break;
	case EV_REP:
		if (d->kind == INPUT_KEYBOARD)
			set_bit(c, REP_DELAY);
		break;
	}
}

static void put32(struct config *c, unsigned int index, u32 value)
{
	memcpy(c->data + index * 4, &value, 4);
}

static void fill(const struct input_device *d, struct config *c)
{
	const u16 ids[4] = { 6 /* virtual */, 0x1af4, kinds[d->kind].product, 1 };

	switch (c->select) {
	case CFG_NAME:
		if (c->subsel)
			break;
		c->size = (u8)strlen(kinds[d->kind].name);
		memcpy(c->data, kinds[d->kind].name, c->size);
		break;
	case CFG_IDS:
		if (c->subsel)
			break;
		c->size = sizeof(ids);
		memcpy(c->data, ids, sizeof(ids));
		break;
	case CFG_EVENT_BITS:
		event_bits(d, c);
		break;
	case CFG_ABS_INFO:
		if (d->kind != INPUT_TABLET || c->subsel > ABS_Y)
			break;
		c->size = 20;		/* minimum, maximum, fuzz, flat, resolution */
		put32(c, 1, INPUT_RANGE);
		break;
	}
}

static void config_write(struct virtio_device *v, unsigned int offset, const void *data,
			 unsigned int size)
{
	struct input_device *d = (struct input_device *)v;
	struct config c;

	pthread_mutex_lock(&d->lock);
	c = (struct config){ .select = d->config.select, .subsel = d->config.subsel };
	if (offset < 2)
		memcpy((u8 *)&c + offset, data, size < 2 - offset ? size : 2 - offset);
	fill(d, &c);
	d->config = c;
	pthread_mutex_unlock(&d->lock);
	virtio_config_update(v, 0, &c, sizeof(c));
}

/* --- life ----------------------------------------------------------------------------------- */

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct virtqueue *q = &v->queue[queue];
	struct iovec iov[4];
	struct virtq_chain c = { .iov = iov, .max = ARRAY_SIZE(iov) };

	if (queue == EVENTS) {
		flush((struct input_device *)v);
		return;
	}
	while (virtqueue_pop(q, &c))
		virtqueue_push(q, &c, 0);
	virtqueue_signal(q);
}

static void start(struct virtio_device *v)
{
	struct input_device *d = (struct input_device *)v;
	const struct input_sink sink = {
		.kind = d->kind,
		.key = on_key,
		.move = d->kind == INPUT_MOUSE ? on_move : NULL,
		.wheel = d->kind == INPUT_KEYBOARD ? NULL : on_wheel,
		.position = d->kind == INPUT_TABLET ? on_position : NULL,
		.sync = on_sync,
		.ctx = d,
	};

	if (v->board->input && input_add(v->board->input, &sink) < 0)
		error("%s: there are too many input devices", v->ops->name);
}

static void stop(struct virtio_device *v)
{
	struct input_device *d = (struct input_device *)v;

	if (v->board->input)
		input_remove(v->board->input, d);
	pthread_mutex_lock(&d->lock);
	d->grouped = d->count = 0;
	pthread_mutex_unlock(&d->lock);
}

/* Events are written to buffers under the lock. */
static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	struct input_device *d = (struct input_device *)v;

	(void)queue;
	pthread_mutex_lock(&d->lock);
	pthread_mutex_unlock(&d->lock);
}

static void destroy(struct device *dev)
{
	struct input_device *d = (struct input_device *)dev;

	virtio_detach(&d->v);
	free(d);
}

static struct device *create(struct board *b, struct props *p, enum input_kind kind)
{
	static const struct virtio_ops ops = {
		.name = "virtio-input",
		.type = VIRTIO_INPUT,
		.pci_class = 0x098000,
		.notify = notify,
		.start = start,
		.stop = stop,
		.queue_stop = queue_stop,
		.config_write = config_write,
	};
	struct input_device *d = calloc(1, sizeof(*d));

	if (!d) {
		error("out of memory");
		return NULL;
	}
	d->kind = kind;
	pthread_mutex_init(&d->lock, NULL);
	if (virtio_init(&d->v, b, &ops, 0) == 0 &&
	    virtio_config(&d->v, &d->config, sizeof(d->config)) == 0 &&
	    virtio_add_queue(&d->v, QUEUE_SIZE, NULL) >= 0 &&
	    virtio_add_queue(&d->v, QUEUE_SIZE, NULL) >= 0 && virtio_attach(&d->v, p) == 0)
		return &d->v.dev;
	destroy(&d->v.dev);
	return NULL;
}

static struct device *create_keyboard(struct board *b, struct props *p)
{
	return create(b, p, INPUT_KEYBOARD);
}

static struct device *create_mouse(struct board *b, struct props *p)
{
	return create(b, p, INPUT_MOUSE);
}

static struct device *create_tablet(struct board *b, struct props *p)
{
	return create(b, p, INPUT_TABLET);
}

const struct device_class virtio_keyboard_class = {
	.name = "virtio-keyboard",
	.summary = "a keyboard",
	.usage = "(no properties of its own)",
	.create = create_keyboard,
	.destroy = destroy,
	.unplug = virtio_unplug,
};

const struct device_class virtio_mouse_class = {
	.name = "virtio-mouse",
	.summary = "a mouse",
	.usage = "(no properties of its own)",
	.create = create_mouse,
	.destroy = destroy,
	.unplug = virtio_unplug,
};

const struct device_class virtio_tablet_class = {
	.name = "virtio-tablet",
	.summary = "a pointer that knows where on the screen it is",
	.usage = "(no properties of its own)",
	.create = create_tablet,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
