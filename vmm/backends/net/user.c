/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User networking: libslirp is a router with DHCP and DNS at the other end of
 * the wire, and makes of the guest's connections those of this process. The
 * guest is 10.0.2.15, the router and the host's loopback are 10.0.2.2, the name
 * server is 10.0.2.3; IPv6 has fec0::/64 in the same manner.
 *
 * What the guest sends is handled on the vCPU's thread at once, answers
 * included. The host's sockets are watched by an epoll instance, which is one
 * entry of the machine's event loop: changes of what is watched then need not
 * wake the loop. libslirp has no threads of its own and runs under the lock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../../error.h"
#include "../../sandbox/policy.h"
#include "hostfwd.h"
#include "net.h"

#define WATCHED_MAX 4096	/* sockets; of others nothing is heard */
#define EVENTS 64
#define COMPLAINTS_MAX 8
#define RESOLV_CONF "/etc/resolv.conf"

/* A socket that libslirp asks about, by the index in this fill. */
struct asked {
	int fd;
	int events, found;	/* SLIRP_POLL_* */
};

/* What epoll knows of a descriptor. */
struct watched {
	u32 events;
	u32 fill;		/* the last that asked for it */
	int index;		/* there */
	bool on;
};

struct user {
	struct net n;		/* first */
	struct loop *loop;
	Slirp *slirp;
	int epoll;
	struct loop_entry *entry;
	struct timer *timer;
	u64 armed;		/* when the timer expires; 0: never */
	struct asked *asked;
	int asked_count, asked_room;
	struct watched *watched;	/* by descriptor */
	int watched_count;
	u32 fill;
	unsigned int complaints;
};

struct user_timer {
	struct user *u;
	struct timer *timer;
	SlirpTimerCb fn;
	void *arg;
};

/* --- what is watched ----------------------------------------------------------------- */

static u32 to_epoll(int events)
{
	return (events & SLIRP_POLL_IN ? EPOLLIN : 0u) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
		(events & SLIRP_POLL_PRI ? EPOLLPRI : 0u);
}

static int from_epoll(u32 events)
{
	return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
		(events & EPOLLPRI ? SLIRP_POLL_PRI : 0) |
		(events & EPOLLERR ? SLIRP_POLL_ERR : 0) | (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static void forget(struct user *u, int fd)
{
	struct epoll_event none = { 0 };

	if (fd < 0 || fd >= u->watched_count || !u->watched[fd].on)
		return;
	epoll_ctl(u->epoll, EPOLL_CTL_DEL, fd, &none);
	u->watched[fd].on = false;
}

/* Room in the table for a descriptor. */
static bool cover(struct user *u, int fd)
{
	struct watched *w;
	int want = fd + 64;

	if (fd < u->watched_count)
		return true;
	w = realloc(u->watched, (size_t)want * sizeof(*w));
	if (!w)
		return false;
	memset(w + u->watched_count, 0, (size_t)(want - u->watched_count) * sizeof(*w));
	u->watched = w;
	u->watched_count = want;
	return true;
}

static void watch(struct user *u, int fd, u32 events, int index)
{
	struct epoll_event e = { .events = events, .data.fd = fd };
	struct watched *w = &u->watched[fd];

	w->fill = u->fill;
	w->index = index;
	if (w->on && w->events == events)
		return;
	if (epoll_ctl(u->epoll, w->on ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) < 0)
		return;
	w->on = true;
	w->events = events;
}

static int add_poll(int fd, int events, void *opaque)
{
	struct user *u = opaque;
	struct asked *a;

	if (u->asked_count == u->asked_room) {
		int want = u->asked_room + 64;

		a = want > WATCHED_MAX ? NULL : realloc(u->asked, (size_t)want * sizeof(*a));
		if (!a)
			return -1;
		u->asked = a;
		u->asked_room = want;
	}
	if (!cover(u, fd))
		return -1;
	u->asked[u->asked_count] = (struct asked){ fd, events, 0 };
	watch(u, fd, to_epoll(events), u->asked_count);
	return u->asked_count++;
}

static int get_revents(int index, void *opaque)
{
	struct user *u = opaque;

	return index >= 0 && index < u->asked_count ? u->asked[index].found : 0;
}

/* After anything that may have changed what libslirp waits for. */
static void look(struct user *u)
{
	u32 timeout = UINT32_MAX;
	u64 when;
	int fd;

	u->fill++;
	u->asked_count = 0;
	slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
	for (fd = 0; fd < u->watched_count; fd++)
		if (u->watched[fd].on && u->watched[fd].fill != u->fill)
			forget(u, fd);
	if (timeout == UINT32_MAX)
		return;
	/* a timer that expires too early only looks again */
	when = monotonic_ns() + timeout * 1000000ULL;
	if (u->armed && u->armed <= when)
		return;
	u->armed = when;
	timer_set(u->timer, when);
}

/* Has libslirp serve its sockets, on the loop's thread. */
static void serve(struct user *u)
{
	struct epoll_event e[EVENTS];
	int i, n;

	n = epoll_wait(u->epoll, e, EVENTS, 0);
	for (i = 0; i < n; i++) {
		const struct watched *w = &u->watched[e[i].data.fd];

		if (w->on && w->fill == u->fill && w->index < u->asked_count)
			u->asked[w->index].found = from_epoll(e[i].events);
	}
	slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
	look(u);
}

static void on_sockets(void *arg)
{
	struct user *u = arg;

	net_lock(&u->n);
	serve(u);
	net_unlock(&u->n);
}

static void on_timer(void *arg)
{
	struct user *u = arg;

	net_lock(&u->n);
	u->armed = 0;
	serve(u);
	net_unlock(&u->n);
}

/* --- what libslirp asks for ---------------------------------------------------------- */

/* Its checksums are whole, and nothing between it and the guest can spoil them. */
static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	const struct net_header h = { .flags = NET_DATA_VALID };
	struct user *u = opaque;

	net_deliver(&u->n, &h, buf, len);
	return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
	struct user *u = opaque;

	if (u->complaints++ < COMPLAINTS_MAX)
		error("--net user: %s", msg);
}

static int64_t clock_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)monotonic_ns();
}

static void on_own_timer(void *arg)
{
	struct user_timer *t = arg;

	net_lock(&t->u->n);
	t->fn(t->arg);
	look(t->u);
	net_unlock(&t->u->n);
}

static void *new_timer(SlirpTimerCb fn, void *fn_arg, void *opaque)
{
	struct user_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->u = opaque;
	t->fn = fn;
	t->arg = fn_arg;
	t->timer = timer_new(t->u->loop, on_own_timer, t);
	return t;
}

static void free_timer(void *timer, void *opaque)
{
	struct user_timer *t = timer;

	(void)opaque;
	if (t)
		timer_free(t->timer);
	free(t);
}

static void set_timer(void *timer, int64_t ms, void *opaque)
{
	struct user_timer *t = timer;

	(void)opaque;
	if (t && t->timer)
		timer_set(t->timer, ms > 0 ? (u64)ms * 1000000 : 1);
}

/* A new socket, or one that goes: in either case epoll knows nothing of it. */
static void change_fd(int fd, void *opaque)
{
	forget(opaque, fd);
}

static void notified(void *opaque)
{
	(void)opaque;		/* look() follows every call of libslirp */
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new = new_timer,
	.timer_free = free_timer,
	.timer_mod = set_timer,
	.register_poll_fd = change_fd,
	.unregister_poll_fd = change_fd,
	.notify = notified,
};

/* --- what the card asks for ---------------------------------------------------------- */

/*
 * libslirp takes TCP segments of any size, so what the guest would have cut
 * goes through in one piece.
 */
static void transmit(struct net *n, const struct net_header *h, u8 *frame, size_t len)
{
	struct user *u = (struct user *)n;

	if (net_checksum(h, frame, len))
		slirp_input(u->slirp, frame, (int)len);
}

static void flush(struct net *n)
{
	look((struct user *)n);
}

static void destroy(struct net *n)
{
	struct user *u = (struct user *)n;

	loop_remove(u->entry);
	if (u->slirp)
		slirp_cleanup(u->slirp);
	timer_free(u->timer);
	if (u->epoll >= 0)
		close(u->epoll);
	free(u->asked);
	free(u->watched);
	free(u);
}

static const struct net_ops ops = {
	.send = transmit,
	.flush = flush,
	.destroy = destroy,
};

/* --- making it ----------------------------------------------------------------------- */

static struct in_addr ip(const char *text)
{
	struct in_addr a = { 0 };

	inet_pton(AF_INET, text, &a);
	return a;
}

static Slirp *make_slirp(struct user *u, bool restricted)
{
	SlirpConfig c = {
		.version = 1,
		.restricted = restricted,
		.in_enabled = true,
		.vnetwork = ip("10.0.2.0"),
		.vnetmask = ip("255.255.255.0"),
		.vhost = ip("10.0.2.2"),
		.vdhcp_start = ip("10.0.2.15"),
		.vnameserver = ip("10.0.2.3"),
		.in6_enabled = true,
		.vprefix_len = 64,
		.vhostname = "anykvm",
		.if_mtu = u->n.mtu,
		.if_mru = u->n.mtu,
	};

	inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c.vhost6);
	inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
	return slirp_new(&c, &callbacks, u);
}

static int forward(struct user *u, const char *text)
{
	struct hostfwd f;

	if (hostfwd_parse(&f, text) < 0)
		return error("--net user: hostfwd=%s is not of the form "
			     "tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT", text);
	if (slirp_add_hostfwd(u->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) < 0)
		return error("--net user: cannot forward %s: %s", text, strerror(errno));
	return 0;
}

static int open_user(struct user *u, struct loop *l, struct props *p)
{
	bool restricted = props_bool(p, "restrict", false);
	const char *text;

	u->n.mtu = (unsigned int)props_number(p, "mtu", NET_MTU, 1280, 65520);
	if (p->failed || sandbox_need(SANDBOX_INET, "--net user") < 0)
		return -1;
	/* libslirp looks up the host's name servers there, time and again */
	if (access(RESOLV_CONF, R_OK) == 0 && sandbox_allow(RESOLV_CONF, SANDBOX_READ) < 0)
		return -1;
	u->loop = l;
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	u->timer = timer_new(l, on_timer, u);
	if (u->epoll >= 0)
		u->entry = loop_add(l, u->epoll, POLLIN, on_sockets, u);
	if (!u->timer || !u->entry)
		return error("--net user: cannot watch sockets");
	u->slirp = make_slirp(u, restricted);
	if (!u->slirp)
		return error("--net user: libslirp does not start");
	while ((text = props_next(p, "hostfwd")))
		if (forward(u, text) < 0)
			return -1;
	look(u);
	return 0;
}

struct net *net_user_open(struct loop *l, struct props *p)
{
	struct user *u = calloc(1, sizeof(*u));

	if (!u) {
		error("out of memory");
		return NULL;
	}
	net_init(&u->n, &ops);
	u->n.takes = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN;
	u->n.gives = NET_CSUM;
	u->epoll = -1;
	if (open_user(u, l, p) == 0)
		return &u->n;
	destroy(&u->n);
	return NULL;
}
