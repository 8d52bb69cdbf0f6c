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
#define LAST_MS 200		/* time for clients to take the last events */

struct client {
	struct server *server;
	int fd;			/* -1: this place is free */
	bool gone;
	struct loop_entry *entry;
	struct qmp *qmp;
	char *out;
	size_t out_len, out_size;
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
	free(c->qmp);
	free(c->out);
	*c = (struct client){ .server = c->server, .fd = -1 };
}

/* After whatever may have been sent: out with it, and on with what is next. */
static void settle(struct client *c)
{
	flush(c);
	if (c->gone)
		drop(c);
	else
		loop_events(c->entry, c->out_len ? POLLOUT : POLLIN);
}

static void on_client(void *arg)
{
	struct client *c = arg;
	char text[READ_SIZE];
	ssize_t n;

	if (!c->out_len) {
		n = recv(c->fd, text, sizeof(text), MSG_DONTWAIT);
		if (n > 0)
			qmp_input(c->qmp, text, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			c->gone = true;
	}
	settle(c);
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

/* Takes the event's reference. */
static void tell(struct server *s, json_t *event)
{
	unsigned int i;

	for (i = 0; i < SERVER_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		/* one that is being answered settles by itself, later */
		if (c->fd < 0 || !c->qmp->ready)
			continue;
		qmp_send(c->qmp, json_incref(event));
		flush(c);
		loop_events(c->entry, c->out_len || c->gone ? POLLOUT : POLLIN);
	}
	json_decref(event);
}

void server_event(struct server *s, const char *name, const char *reason)
{
	tell(s, qmp_event(name, reason));
}

void server_event_data(struct server *s, const char *name, json_t *data)
{
	json_t *event = qmp_event(name, NULL);

	if (event && data)
		json_object_set_new(event, "data", data);
	tell(s, event);
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

/* One that takes its time gets it, once. */
static void say_goodbye(struct client *c)
{
	struct pollfd p = { c->fd, POLLOUT, 0 };

	flush(c);
	while (c->out_len && !c->gone && poll(&p, 1, LAST_MS) > 0)
		flush(c);
	drop(c);
}

void server_free(struct server *s)
{
	unsigned int i;

	if (!s)
		return;
	for (i = 0; i < SERVER_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			say_goodbye(&s->clients[i]);
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
