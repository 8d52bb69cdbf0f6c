/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A wire between two machines: a stream socket with a path, on which one
 * listens and the other connects. Each frame has its length before it, as four
 * bytes in network order, which is what QEMU's -netdev stream speaks, too. The
 * header of virtio-net does not travel, so frames are whole: checksums are set
 * here and segments are not taken.
 *
 * The other end is not trusted. When it goes, or breaks the form, the
 * connection ends; the listening side takes the next one. The connecting side
 * does not try again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../control/address.h"
#include "../../error.h"
#include "net.h"

#define PREFIX 4
#define FRAMES 64		/* that are taken before others have their turn */
#define BUFFER (256 * KIB)	/* of the socket, which holds what the other side has not read */

struct link {
	struct net n;		/* first */
	struct loop *loop;
	char *path;		/* that is removed at the end, or NULL */
	struct stat made;
	int listener, fd;	/* -1: none */
	struct loop_entry *listen_entry, *entry;
	size_t have;
	u8 in[PREFIX + NET_FRAME_MAX];
	bool watched;		/* for room to send */
	size_t left, from;	/* of a frame that was sent in part */
	u8 out[PREFIX + NET_FRAME_MAX];
};

/* --- the connection: under the lock -------------------------------------------------- */

/* On the loop's thread, which therefore does not wait for its own callback. */
static void hang_up(struct link *k)
{
	if (k->fd < 0)
		return;
	loop_remove(k->entry);
	close(k->fd);
	k->entry = NULL;
	k->fd = -1;
	k->have = k->left = k->from = 0;
	k->watched = false;
	if (k->listen_entry)
		loop_enable(k->listen_entry, true);
}

/* Sends the rest of a frame; what follows has to wait for it. True when there is none. */
static bool send_rest(struct link *k)
{
	ssize_t n;

	while (k->left) {
		n = send(k->fd, k->out + k->from, k->left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;	/* who reads hears of it if the connection is gone */
		k->from += (size_t)n;
		k->left -= (size_t)n;
	}
	return true;
}

/* Has the loop tell when the rest can be sent. */
static void watch(struct link *k)
{
	if (k->watched == !!k->left)
		return;
	k->watched = k->left;
	loop_events(k->entry, k->left ? POLLIN | POLLOUT : POLLIN);
}

static void transmit(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	struct link *k = (struct link *)n;
	u32 prefix = htonl((u32)len);

	if (k->fd < 0 || !send_rest(k) || !net_checksum(h, frame, len))
		return;
	memcpy(k->out, &prefix, PREFIX);
	memcpy(k->out + PREFIX, frame, len);
	k->from = 0;
	k->left = PREFIX + len;
	if (!send_rest(k) && k->from == 0)
		k->left = 0;	/* the other side is slow: the frame is lost */
	watch(k);
}

/* The whole frame that is there, delivered: 1, 0 when more must come, -1 when it is none. */
static int take(struct link *k, bool *full)
{
	static const struct net_header none;
	u32 len;

	if (k->have < PREFIX)
		return 0;
	memcpy(&len, k->in, PREFIX);
	len = ntohl(len);
	if (len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return -1;
	if (k->have < PREFIX + len)
		return 0;
	*full = net_deliver(&k->n, &none, k->in + PREFIX, len);
	k->have -= PREFIX + len;
	memmove(k->in, k->in + PREFIX + len, k->have);
	return 1;
}

/* Reads: false when the connection has ended. */
static bool serve(struct link *k)
{
	bool full = false;
	ssize_t n;
	int i, r;

	for (i = 0; i < FRAMES && !full; i += r) {
		r = take(k, &full);
		if (r < 0)
			return false;
		if (r)
			continue;
		n = recv(k->fd, k->in + k->have, sizeof(k->in) - k->have, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return false;
		k->have += (size_t)n;
	}
	if (full)
		loop_enable(k->entry, false);
	return true;
}

static void on_frames(void *arg)
{
	struct link *k = arg;

	net_lock(&k->n);
	send_rest(k);
	watch(k);
	if (!serve(k))
		hang_up(k);
	net_unlock(&k->n);
}

/* The card has room: also for whole frames that were read already. */
static void ready(struct net *n)
{
	struct link *k = (struct link *)n;
	bool full = false;
	int r = 0;

	if (k->fd < 0)
		return;
	while (n->front.receive && !full && (r = take(k, &full)) > 0)
		;
	loop_enable(k->entry, !full);
}

static int use(struct link *k, int fd)
{
	const int size = BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	k->entry = loop_add(k->loop, fd, POLLIN, on_frames, k);
	if (!k->entry)
		return -1;
	k->fd = fd;
	return 0;
}

static void on_connection(void *arg)
{
	struct link *k = arg;
	int fd;

	net_lock(&k->n);
	fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0 && use(k, fd) < 0)
		close(fd);
	else if (fd >= 0)
		loop_enable(k->listen_entry, false);	/* one at a time */
	net_unlock(&k->n);
}

static void destroy(struct net *n)
{
	struct link *k = (struct link *)n;

	loop_remove(k->entry);
	loop_remove(k->listen_entry);
	if (k->fd >= 0)
		close(k->fd);
	if (k->listener >= 0)
		close(k->listener);
	if (k->path)
		address_remove(k->path, &k->made);
	free(k->path);
	free(k);
}

static const struct net_ops ops = {
	.send = transmit,
	.ready = ready,
	.destroy = destroy,
};

/* --- making it ----------------------------------------------------------------------- */

static int listen_on(struct link *k, const char *path)
{
	k->listener = address_listen(path, &k->made);
	if (k->listener < 0)
		return -1;
	k->path = strdup(path);
	k->listen_entry = loop_add(k->loop, k->listener, POLLIN, on_connection, k);
	return k->path && k->listen_entry ? 0 : error("out of memory");
}

static int connect_to(struct link *k, const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error("--net unix: no socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		error("--net unix: cannot connect to %s: %s", a->sun_path, strerror(errno));
		close(fd);
		return -1;
	}
	if (use(k, fd) == 0)
		return 0;
	close(fd);
	return error("out of memory");
}

static int open_link(struct link *k, struct props *p)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = props_string(p, "path", NULL);
	bool listens = props_bool(p, "listen", false);

	if (!path || !*path || strlen(path) >= sizeof(a.sun_path))
		return error("--net unix needs path=PATH of at most %zu characters",
			     sizeof(a.sun_path) - 1);
	if (p->failed)
		return -1;
	strcpy(a.sun_path, path);
	return listens ? listen_on(k, path) : connect_to(k, &a);
}

struct net *net_link_open(struct loop *l, struct props *p)
{
	struct link *k = calloc(1, sizeof(*k));

	if (!k) {
		error("out of memory");
		return NULL;
	}
	net_init(&k->n, &ops);
	k->n.takes = NET_CSUM;
	k->loop = l;
	k->listener = k->fd = -1;
	if (open_link(k, p) == 0)
		return &k->n;
	destroy(&k->n);
	return NULL;
}
