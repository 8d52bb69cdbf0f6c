/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tap interface of the host, by its name or as an open descriptor. The kernel
 * takes and gives the header of virtio-net, so checksums and segments are left
 * to it (drivers/net/tun.c's interface: <linux/if_tun.h>).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../error.h"
#include "net.h"

#define FRAMES 64		/* that are read before others have their turn */

struct tap {
	struct net n;		/* first */
	int fd;
	struct loop_entry *entry;
	u8 in[NET_HEADER + NET_FRAME_MAX];
};

static void on_frames(void *arg)
{
	struct tap *t = arg;
	struct net_header h;
	bool full = false;
	ssize_t len;
	int i;

	net_lock(&t->n);
	for (i = 0; i < FRAMES && !full; i++) {
		len = read(t->fd, t->in, sizeof(t->in));
		if (len < (ssize_t)sizeof(h))
			break;
		memcpy(&h, t->in, sizeof(h));
		full = net_deliver(&t->n, &h, t->in + sizeof(h), (size_t)len - sizeof(h));
	}
	/* an interface that was deleted stays readable for ever */
	if (i < FRAMES && !full && len < 0 && errno != EAGAIN && errno != EINTR) {
		error("--net tap: the interface is gone: %s", strerror(errno));
		full = true;
	}
	if (full)
		loop_enable(t->entry, false);
	net_unlock(&t->n);
}

static void transmit(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	struct tap *t = (struct tap *)n;
	struct net_header header = *h;
	const struct iovec iov[2] = { { &header, sizeof(header) }, { frame, len } };

	/* a frame that the kernel refuses is lost, as on a wire */
	while (writev(t->fd, iov, 2) < 0 && errno == EINTR)
		;
}

static void offloads(struct net *n, unsigned int taken)
{
	struct tap *t = (struct tap *)n;
	unsigned long o = 0;

	if (taken & NET_CSUM)
		o = TUN_F_CSUM | (taken & NET_TSO4 ? TUN_F_TSO4 : 0) |
			(taken & NET_TSO6 ? TUN_F_TSO6 : 0) | (taken & NET_ECN ? TUN_F_TSO_ECN : 0);
	/* refused, it leaves frames with more done than the card needs */
	if (ioctl(t->fd, TUNSETOFFLOAD, o) < 0)
		ioctl(t->fd, TUNSETOFFLOAD, 0);
}

static void ready(struct net *n)
{
	struct tap *t = (struct tap *)n;

	loop_enable(t->entry, n->front.receive);
}

static void destroy(struct net *n)
{
	struct tap *t = (struct tap *)n;

	loop_remove(t->entry);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

static const struct net_ops ops = {
	.send = transmit,
	.offloads = offloads,
	.ready = ready,
	.destroy = destroy,
};

static int open_name(struct tap *t, const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (strlen(name) >= IFNAMSIZ)
		return error("--net tap: the name '%s' is longer than %d characters", name,
			     IFNAMSIZ - 1);
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		return error("--net tap: cannot open /dev/net/tun: %s", strerror(errno));
	strcpy(r.ifr_name, name);
	if (ioctl(t->fd, TUNSETIFF, &r) == 0)
		return 0;
	if (errno == EPERM)
		return error("--net tap: no right to use the interface %s; as root, make one for "
			     "this user: ip tuntap add mode tap user NAME %s",
			     *name ? name : "(new)", name);
	return error("--net tap: cannot use the interface %s: %s", name, strerror(errno));
}

static int open_fd(struct tap *t, int fd)
{
	struct ifreq r;

	t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (t->fd < 0)
		return error("--net tap: there is no descriptor %d", fd);
	if (ioctl(t->fd, TUNGETIFF, &r) < 0 || !(r.ifr_flags & IFF_TAP))
		return error("--net tap: descriptor %d is no tap interface", fd);
	if (!(r.ifr_flags & IFF_VNET_HDR) || !(r.ifr_flags & IFF_NO_PI))
		return error("--net tap: descriptor %d is without IFF_VNET_HDR or IFF_NO_PI", fd);
	return fcntl(t->fd, F_SETFL, O_NONBLOCK) < 0 ? error("--net tap: %s", strerror(errno)) : 0;
}

static int open_tap(struct tap *t, struct loop *l, struct props *p)
{
	const char *name = props_string(p, "ifname", NULL);
	u64 none = 1U << 30, fd = props_number(p, "fd", none, 0, none - 1);
	int header = NET_HEADER;

	if (p->failed)
		return -1;
	if (!name == (fd == none))
		return error("--net tap needs either ifname=NAME or fd=NUMBER");
	if ((name ? open_name(t, name) : open_fd(t, (int)fd)) < 0)
		return -1;
	if (ioctl(t->fd, TUNSETVNETHDRSZ, &header) < 0)
		return error("--net tap: the interface has no virtio header: %s", strerror(errno));
	t->entry = loop_add(l, t->fd, POLLIN, on_frames, t);
	if (!t->entry)
		return error("out of memory");
	loop_enable(t->entry, false);
	return 0;
}

struct net *net_tap_open(struct loop *l, struct props *p)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (!t) {
		error("out of memory");
		return NULL;
	}
	net_init(&t->n, &ops);
	t->n.takes = t->n.gives = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN;
	t->fd = -1;
	if (open_tap(t, l, p) == 0)
		return &t->n;
	destroy(&t->n);
	return NULL;
}
