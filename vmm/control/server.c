/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets of QMP: see server.h. A client that does not read gets nothing
 * answered; one that lets events pile up beyond a bound is disconnected.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../error.h"
#include "address.h"
#include "server.h"

#define READ_SIZE 4096
#define OUT_MAX (1024 * 1024)	/* bytes that wait for a client */
#define STREAM_MAX 16384	/* of the console; others wait there, and may be lost there */
#define STREAM_NS 1000000ULL	/* a guest prints byte by byte: so long they are collected */
#define LAST_NS (NSEC / 5)	/* time for a client to take the last events */

struct client {
	struct server *server;
	int fd;			/* -1: this place is free */
	bool gone;
	struct loop_entry *entry;
	struct qmp *qmp;
	char in[READ_SIZE];	/* in[in_at..in_len-1] waits to be looked at */
	size_t in_at, in_len;
	char *out;
	size_t out_len, out_size;
	u64 position;		/* in what the console has printed */
	bool line;		/* the command that made it a stream has its line's end to come */
};

struct listener {
	struct server *server;
	int fd;
	char *path;
	struct stat made;
	struct loop_entry *entry;
};

struct server {
	struct loop *loop;
	const struct qmp_ops *ops;
	struct console_tap *console;	/* or NULL */
	struct timer *collect;
	struct listener listeners[SERVER_SOCKETS_MAX];
	unsigned int nlisteners;
	struct client clients[SERVER_CLIENTS_MAX];
};

/* --- sending ------------------------------------------------------------------------ */

static void flush(struct client *c)
{
	ssize_t n = 0;
	size_t done = 0;

	while (done < c->out_len) {
		n = send(c->fd, c->out + done, c->out_len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		c->gone = true;
	c->out_len -= done;
	memmove(c->out, c->out + done, c->out_len);
}

/* Keeps the text for flush. */
static void send_text(void *client, const char *text, size_t n)
{
	struct client *c = client;
	size_t size = c->out_size ? c->out_size : 1024;
	char *out;

	if (c->gone)
		return;
	if (n > OUT_MAX - c->out_len) {
		c->gone = true;
		return;
	}
	while (size < c->out_len + n)
		size *= 2;
	if (size > c->out_size) {
		out = realloc(c->out, size);
		if (!out) {
			c->gone = true;
			return;
		}
		c->out = out;
		c->out_size = size;
	}
	memcpy(c->out + c->out_len, text, n);
	c->out_len += n;
}

/* --- clients -------------------------------------------------------------------------- */

static void drop(struct client *c)
{
	loop_remove(c->entry);
	close(c->fd);
	if (c->qmp && c->qmp->passed >= 0)
		close(c->qmp->passed);
	free(c->qmp);
	free(c->out);
	*c = (struct client){ .server = c->server, .fd = -1 };
}

/* What to wait for: a stream's client may always type. */
static void watch(struct client *c)
{
	short typed = c->qmp->stream ? POLLIN : 0;

	loop_events(c->entry, c->out_len || c->gone ? (short)(POLLOUT | typed) : POLLIN);
}

static void go_on(struct client *c)
{
	if (c->gone)
		drop(c);
	else
		watch(c);
}

/* After whatever may have been sent: out with it, and on with what is next. */
static void settle(struct client *c)
{
	flush(c);
	go_on(c);
}

/* --- streams ---------------------------------------------------------------------------- */

/* Sends what the console has printed, until there is no more or the client is slow. */
static void feed(struct client *c)
{
	u8 text[4096];
	size_t n;

	while (!c->gone && c->out_len < STREAM_MAX &&
	       (n = console_tap_read(c->server->console, &c->position, text, sizeof(text)))) {
		send_text(c, (char *)text, n);
		flush(c);
	}
}

static void on_collected(void *arg)
{
	struct server *s = arg;
	unsigned int i;

	for (i = 0; i < SERVER_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0 || !c->qmp->stream)
			continue;
		feed(c);
		settle(c);
	}
}

/* On the thread of a vCPU. */
static void on_print(void *ctx)
{
	struct server *s = ctx;

	timer_set(s->collect, monotonic_ns() + STREAM_NS);
}

int server_console(struct server *s, struct console_tap *console)
{
	s->collect = timer_new(s->loop, on_collected, s);
	if (!s->collect)
		return error("cannot create a timer");
	s->console = console;
	console_tap_watch(console, on_print, s);
	return 0;
}

/* What the client has typed, also if it has gone since. */
static void take_typed(struct client *c)
{
	while (c->line && c->in_at < c->in_len)
		c->line = c->in[c->in_at++] != '\n';
	if (c->in_at < c->in_len)
		console_tap_type(c->server->console, (u8 *)c->in + c->in_at, c->in_len - c->in_at);
	c->in_at = c->in_len;
}

/* The client has just become one, or has typed, or has taken something. */
static void serve_stream(struct client *c)
{
	take_typed(c);
	if (!c->gone)
		feed(c);
}

/* The last descriptor that comes is kept for the command with it, or after it. */
static void take_descriptors(struct client *c, struct msghdr *m)
{
	struct cmsghdr *h;
	size_t i, n;
	int fd;

	for (h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->qmp->passed >= 0)
				close(c->qmp->passed);
			c->qmp->passed = fd;
		}
	}
}

static void receive(struct client *c)
{
	char room[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { c->in, sizeof(c->in) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room,
			    .msg_controllen = sizeof(room) };
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n >= 0)
		take_descriptors(c, &m);
	c->in_at = 0;
	c->in_len = n > 0 ? (size_t)n : 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->gone = true;
}

static void on_client(void *arg)
{
	struct client *c = arg;

	flush(c);
	if ((c->qmp->stream || !c->out_len) && c->in_at == c->in_len)
		receive(c);
	/* one answer after the other: a client cannot make them pile up */
	while (!c->gone && !c->qmp->stream && !c->out_len && c->in_at < c->in_len) {
		c->in_at += qmp_step(c->qmp, c->in + c->in_at, c->in_len - c->in_at);
		if (c->qmp->stream) {	/* from here on, before the client learns of it */
			c->position = UINT64_MAX;
			console_tap_read(c->server->console, &c->position, NULL, 0);
			c->line = true;
		}
		flush(c);
	}
	if (c->qmp->stream)
		serve_stream(c);
	/* not flushed once more: with an answer that waits it is input that waits, too */
	go_on(c);
}

static struct client *free_place(struct server *s)
{
	unsigned int i;

	for (i = 0; i < SERVER_CLIENTS_MAX; i++)
		if (s->clients[i].fd < 0)
			return &s->clients[i];
	return NULL;
}

static void add_client(struct server *s, int fd)
{
	static const char full[] = "{\"error\": {\"class\": \"GenericError\", \"desc\": "
				   "\"too many clients are connected\"}}\r\n";
	struct client *c = free_place(s);

	if (!c) {
		if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			errno = 0;	/* it is turned away in any case */
		close(fd);
		return;
	}
	c->fd = fd;
	c->qmp = calloc(1, sizeof(*c->qmp));
	if (c->qmp)
		c->qmp->passed = -1;
	c->entry = loop_add(s->loop, fd, POLLIN, on_client, c);
	if (!c->qmp || !c->entry) {
		drop(c);
		return;
	}
	c->qmp->ops = s->ops;
	c->qmp->send = send_text;
	c->qmp->client = c;
	qmp_greet(c->qmp);
	settle(c);
}

static void on_connect(void *arg)
{
	struct listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		add_client(l->server, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		usleep(10000);	/* the connection stays there: no busy loop over it */
}

static void send_event(struct server *s, json_t *event)
{
	unsigned int i;

	for (i = 0; i < SERVER_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		/* one that is being answered settles by itself, later */
		if (c->fd < 0 || !c->qmp->ready || c->qmp->stream)
			continue;
		qmp_send(c->qmp, json_incref(event));
		flush(c);
		watch(c);
	}
	json_decref(event);
}

void server_event(struct server *s, const char *name, const char *reason)
{
	send_event(s, qmp_event(name, reason));
}

void server_event_data(struct server *s, const char *name, json_t *data)
{
	send_event(s, qmp_event_data(name, data));
}

/* --- life ------------------------------------------------------------------------------- */

struct server *server_new(struct loop *l, const struct qmp_ops *ops)
{
	struct server *s = calloc(1, sizeof(*s));
	unsigned int i;

	if (!s)
		return NULL;
	s->loop = l;
	s->ops = ops;
	for (i = 0; i < SERVER_CLIENTS_MAX; i++) {
		s->clients[i].server = s;
		s->clients[i].fd = -1;
	}
	return s;
}

int server_listen(struct server *s, const char *path)
{
	struct listener *l = &s->listeners[s->nlisteners];

	if (s->nlisteners == SERVER_SOCKETS_MAX)
		return error("too many control sockets: at most %d", SERVER_SOCKETS_MAX);
	l->server = s;
	l->fd = address_listen(path, &l->made);
	if (l->fd < 0)
		return -1;
	l->path = strdup(path);
	l->entry = loop_add(s->loop, l->fd, POLLIN, on_connect, l);
	s->nlisteners++;
	return l->path && l->entry ? 0 : error("out of memory");
}

/* One that takes its time gets some, however little it takes at once. */
static void say_goodbye(struct client *c)
{
	u64 now = monotonic_ns(), end = now + LAST_NS;
	struct pollfd p = { c->fd, POLLOUT, 0 };

	flush(c);
	for (; c->out_len && !c->gone && now < end; now = monotonic_ns()) {
		if (poll(&p, 1, (int)((end - now) / 1000000) + 1) <= 0)
			break;
		flush(c);
	}
	drop(c);
}

void server_free(struct server *s)
{
	unsigned int i;

	if (!s)
		return;
	if (s->console)
		console_tap_watch(s->console, NULL, s);
	timer_free(s->collect);
	for (i = 0; i < SERVER_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd >= 0 && c->qmp->stream)
			feed(c);
		if (c->fd >= 0)
			say_goodbye(c);
	}
	for (i = 0; i < s->nlisteners; i++) {
		struct listener *l = &s->listeners[i];

		loop_remove(l->entry);
		if (l->path)
			address_remove(l->path, &l->made);
		close(l->fd);
		free(l->path);
	}
	free(s);
}
