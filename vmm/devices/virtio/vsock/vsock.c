/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket device: its making, its queues, events of the host's sockets. See vsock.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../backends/registry.h"
#include "../../../error.h"
#include "vsock.h"

#define QUEUE_SIZE 128
#define EVENTS_MAX 64
#define FULL_US 10000

static struct vsock *vsock_of(struct virtio_device *v)
{
	return (struct vsock *)v;
}

void vsock_unlock(struct vsock *vs)
{
	bool kick = vs->held && vs->reset_count < RESETS_MAX / 2;

	if (kick)
		vs->held = false;
	pthread_mutex_unlock(&vs->lock);
	if (kick)
		virtqueue_kick(&vs->v.queue[TX]);
}

static void notify(struct virtio_device *v, unsigned int queue)
{
	struct vsock *vs = vsock_of(v);

	if (queue == EVENTS)
		return;		/* its buffers are for a change of the address, which never comes */
	if (queue == TX) {
		packet_receive_all(vs);
		return;
	}
	pthread_mutex_lock(&vs->lock);
	deliver(vs);
	vsock_unlock(vs);
}

/* --- the host's sockets: on the device's loop --------------------------------------------- */

static void on_client(void *arg)
{
	struct vsock *vs = arg;
	int fd = accept4(vs->backend->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		usleep(FULL_US);	/* of descriptors; it would be told again and again */
	if (fd < 0)
		return;
	pthread_mutex_lock(&vs->lock);
	connection_new(vs, fd, ASKING);
	pthread_mutex_unlock(&vs->lock);
}

static void on_event(struct vsock *vs, const struct epoll_event *e)
{
	struct connection *c = &vs->all[(u32)e->data.u64 % CONNECTIONS_MAX];

	if (c->fd < 0 || c->generation != (u32)(e->data.u64 >> 32))
		return;
	if (c->state == ASKING) {
		connection_read_line(c);
		return;
	}
	if (e->events & EPOLLHUP && c->flags & SHUTDOWN_SEND)
		c->flags |= SHUTDOWN_RECEIVE;
	if (e->events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		c->readable = true;
		connection_make_ready(c);
	}
	if (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		connection_pump(c);
}

static void on_sockets(void *arg)
{
	struct vsock *vs = arg;
	struct epoll_event e[EVENTS_MAX];
	int i, n = epoll_wait(vs->epoll, e, EVENTS_MAX, 0);

	pthread_mutex_lock(&vs->lock);
	for (i = 0; i < n; i++)
		on_event(vs, &e[i]);
	deliver(vs);
	vsock_unlock(vs);
}

/* --- the life of a driver ------------------------------------------------------------------- */

static void start(struct virtio_device *v)
{
	struct vsock *vs = vsock_of(v);

	pthread_mutex_lock(&vs->lock);
	vs->started = true;
	pthread_mutex_unlock(&vs->lock);
}

static void close_all(struct vsock *vs)
{
	unsigned int i;

	for (i = 0; i < CONNECTIONS_MAX; i++)
		if (vs->all[i].fd >= 0)
			connection_close(&vs->all[i]);
	vs->reset_count = 0;
	vs->held = false;
}

static void stop(struct virtio_device *v)
{
	struct vsock *vs = vsock_of(v);

	pthread_mutex_lock(&vs->lock);
	vs->started = false;
	close_all(vs);
	pthread_mutex_unlock(&vs->lock);
}

/* Packets are written to buffers under the lock. */
static void queue_stop(struct virtio_device *v, unsigned int queue)
{
	struct vsock *vs = vsock_of(v);

	(void)queue;
	pthread_mutex_lock(&vs->lock);
	pthread_mutex_unlock(&vs->lock);
}

static const struct virtio_ops ops = {
	.name = "virtio-vsock",
	.type = VIRTIO_VSOCK,
	.pci_class = 0x078000,
	.notify = notify,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
};

/* --- making it -------------------------------------------------------------------------------- */

static void destroy(struct device *d)
{
	struct vsock *vs = vsock_of((struct virtio_device *)d);

	loop_remove(vs->listen_entry);
	loop_remove(vs->epoll_entry);
	loop_thread_free(vs->thread);	/* nothing is called later any more */
	virtio_detach(&vs->v);
	if (vs->all)
		close_all(vs);
	if (vs->epoll >= 0)
		close(vs->epoll);
	if (vs->backend)
		registry_release(vs->v.board->backends, vs->backend);
	pthread_mutex_destroy(&vs->lock);
	free(vs->all);
	free(vs);
}

static int create_table(struct vsock *vs)
{
	unsigned int i;

	vs->ready_last = &vs->ready_first;
	vs->all = calloc(CONNECTIONS_MAX, sizeof(*vs->all));
	if (!vs->all)
		return error("out of memory");
	for (i = 0; i < CONNECTIONS_MAX; i++) {
		vs->all[i].fd = -1;
		vs->all[i].next = vs->free;
		vs->free = &vs->all[i];
	}
	vs->epoll = epoll_create1(EPOLL_CLOEXEC);
	return vs->epoll < 0 ? error("cannot watch sockets") : 0;
}

static int create_all(struct vsock *vs, struct board *b, struct props *p)
{
	const char *name = props_string(p, "vsock", NULL);
	unsigned int i;

	if (!name) {
		props_missing(p, "vsock", "vsock0, which --vsock makes");
		return -1;
	}
	vs->v.board = b;
	vs->backend = registry_claim(b->backends, "vsock", name);
	if (!vs->backend || create_table(vs) < 0)
		return -1;
	vs->thread = loop_thread_new("vsock");
	if (!vs->thread || virtio_init(&vs->v, b, &ops, 0) < 0 ||
	    virtio_config(&vs->v, &vs->backend->cid, sizeof(vs->backend->cid)) < 0)
		return -1;
	for (i = 0; i < QUEUES; i++)
		if (virtio_add_queue(&vs->v, QUEUE_SIZE, NULL) < 0)
			return -1;
	if (virtio_attach(&vs->v, p) < 0)
		return -1;
	vs->epoll_entry = loop_add(vs->thread, vs->epoll, POLLIN, on_sockets, vs);
	vs->listen_entry = loop_add(vs->thread, vs->backend->listener, POLLIN, on_client, vs);
	return vs->epoll_entry && vs->listen_entry ? 0 : error("out of memory");
}

static struct device *create(struct board *b, struct props *p)
{
	struct vsock *vs = calloc(1, sizeof(*vs));

	if (!vs) {
		error("out of memory");
		return NULL;
	}
	pthread_mutex_init(&vs->lock, NULL);
	vs->epoll = -1;
	if (create_all(vs, b, p) == 0)
		return &vs->v.dev;
	vs->v.board = b;
	destroy(&vs->v.dev);
	return NULL;
}

const struct device_class virtio_vsock_class = {
	.name = "virtio-vsock",
	.summary = "sockets between host and guest",
	.usage = "vsock=vsock0, which --vsock makes, and this with it",
	.create = create,
	.destroy = destroy,
	.unplug = virtio_unplug,
};
