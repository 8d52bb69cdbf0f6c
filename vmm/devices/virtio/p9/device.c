/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 9P transport: a chain has a message in its out buffers and room for the
 * answer in its in buffers; the configuration space names the folder.
 * Files are read and written on the vCPU's thread that notifies, or with
 * iothread=on on a thread of the device.
 */
#include <stdlib.h>
#include <string.h>

#include "../../../backends/registry.h"
#include "../../../error.h"
#include "p9.h"

#define QUEUE_SIZE 128
#define F_MOUNT_TAG VIRTIO_BIT(0)

struct p9_device {
	struct virtio_device v;		/* first */
	struct share *share;
	struct loop *thread;		/* or NULL */
	struct p9 server;
};

struct p9_config {
	u16 len;
	char tag[SHARE_TAG_MAX];
} __attribute__((packed));

static struct p9_device *p9_of(struct virtio_device *v)
{
	return (struct p9_device *)v;
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct iovec iov[P9_CHAIN_MAX];
	struct virtq_chain chain = { .iov = iov, .max = P9_CHAIN_MAX };
	struct virtqueue *q = &v->queue[queue];
	struct p9_device *t = p9_of(v);
	ssize_t n;

	while (virtqueue_pop(q, &chain)) {
		n = t->share->server < 0 ? p9_handle(&t->server, &chain) :
			p9_apart_handle(t->share, &chain);
		if (n < 0) {
			virtio_broken(v, "a message of %llu bytes, with room for %llu, is none",
				      (unsigned long long)chain.out_len,
				      (unsigned long long)chain.in_len);
			break;
		}
		virtqueue_push(q, &chain, (u32)n);
	}
	virtqueue_signal(q);
}

/* Nobody handles the queue then. */
static void stop(struct virtio_device *v)
{
	struct p9_device *t = p9_of(v);

	if (t->share->server >= 0)
		p9_apart_forget(t->share);
	p9_drop_all(&t->server);
}

static const struct virtio_ops ops = {
	.name = "virtio-9p",
	.type = VIRTIO_9P,
	.pci_class = 0x018000,
	.notify = notify,
	.stop = stop,
};

static void destroy(struct device *d)
{
	struct p9_device *t = p9_of((struct virtio_device *)d);

	virtio_detach(&t->v);
	loop_thread_free(t->thread);
	p9_drop_all(&t->server);
	if (t->share)
		registry_release(t->v.board->backends, t->share);
	free(t);
}

static int create_all(struct p9_device *t, struct board *b, struct props *p)
{
	const char *name = props_string(p, "share", NULL);
	bool iothread = props_bool(p, "iothread", false);
	struct p9_config config = { 0 };

	if (!name) {
		props_missing(p, "share", "share0 and so on, which --share makes");
		return -1;
	}
	t->v.board = b;
	t->share = registry_claim(b->backends, "share", name);
	if (!t->share)
		return -1;
	t->server.share = t->share;
	t->server.msize = P9_MSIZE_MIN;
	config.len = (u16)strlen(t->share->tag);
	memcpy(config.tag, t->share->tag, config.len);
	if (iothread && !(t->thread = loop_thread_new("share")))
		return -1;
	if (virtio_init(&t->v, b, &ops, F_MOUNT_TAG) < 0 ||
	    virtio_config(&t->v, &config, 2u + config.len) < 0 ||
	    virtio_add_queue(&t->v, QUEUE_SIZE, t->thread) < 0)
		return -1;
	return virtio_attach(&t->v, p);
}

static struct device *create(struct board *b, struct props *p)
{
	struct p9_device *t = calloc(1, sizeof(*t));

	if (!t) {
		error("out of memory");
		return NULL;
	}
	if (create_all(t, b, p) == 0)
		return &t->v.dev;
	t->v.board = b;
	destroy(&t->v.dev);
	return NULL;
}

const struct device_class virtio_9p_class = {
	.name = "virtio-9p",
	.summary = "a folder of the host",
	.usage = "share=share0, which --share makes, and this with it; iothread=on",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
