/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entropy device (5.4): fills the driver's buffers with random bytes of the
 * host. Handled on the vCPU's thread, so a request gets a bounded number of
 * bytes; the specification lets a device give fewer than are asked for.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "../../error.h"
#include "virtio.h"

#define QUEUE_SIZE 64
#define REQUEST_MAX 4096

struct rng {
	struct virtio_device v;
};

static u32 fill(const struct virtq_chain *c)
{
	u8 bytes[256];
	u64 want = c->in_len < REQUEST_MAX ? c->in_len : REQUEST_MAX, done = 0;

	while (done < want) {
		u64 part = want - done < sizeof(bytes) ? want - done : sizeof(bytes);
		ssize_t n = getrandom(bytes, part, 0);

		if (n <= 0 || !virtq_write(c, done, bytes, (u64)n))
			break;
		done += (u64)n;
	}
	return (u32)done;
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct iovec iov[QUEUE_SIZE];
	struct virtq_chain c = { .iov = iov, .max = QUEUE_SIZE };
	struct virtqueue *q = &v->queue[queue];

	while (virtqueue_pop(q, &c))
		virtqueue_push(q, &c, fill(&c));
	virtqueue_signal(q);
}

static const struct virtio_ops ops = {
	.name = "virtio-rng",
	.type = VIRTIO_RNG,
	.pci_class = 0x00ff00,
	.notify = notify,
};

static void destroy(struct device *d)
{
	struct rng *r = (struct rng *)d;

	virtio_detach(&r->v);
	free(r);
}

static struct device *create(struct board *b, struct props *p)
{
	struct rng *r = calloc(1, sizeof(*r));

	if (!r) {
		error("out of memory");
		return NULL;
	}
	if (virtio_init(&r->v, b, &ops, 0) == 0 &&
	    virtio_add_queue(&r->v, QUEUE_SIZE, NULL) >= 0 && virtio_attach(&r->v, p) == 0)
		return &r->v.dev;
	destroy(&r->v.dev);
	return NULL;
}

const struct device_class virtio_rng_class = {
	.name = "virtio-rng",
	.summary = "entropy from the host",
	.usage = "(no properties of its own)",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
