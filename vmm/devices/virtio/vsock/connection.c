/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection: a unix stream socket of the host on one side, a stream of the
 * guest on the other. Bytes of the guest wait in a ring of as many bytes as the
 * guest has credit for; bytes of the host stay in its socket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock.h"

#define FIRST_PORT (1U << 30)		/* of those that stand for programs of the host */

static unsigned int slot(u32 host_port, u32 guest_port)
{
	return (host_port * 31 + guest_port) % HASH_SIZE;
}

struct connection *connection_find(struct vsock *vs, u32 host_port, u32 guest_port)
{
	struct connection *c = vs->hash[slot(host_port, guest_port)];

	while (c && (c->host_port != host_port || c->guest_port != guest_port))
		c = c->next;
	return c;
}

/* --- life ----------------------------------------------------------------------------- */

struct connection *connection_new(struct vsock *vs, int fd, enum state state)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct connection *c = vs->free;
	u32 generation;

	if (!c) {
		close(fd);
		return NULL;
	}
	vs->free = c->next;
	generation = c->generation + 1;
	memset(c, 0, sizeof(*c));
	c->vs = vs;
	c->generation = generation;
	c->state = state;
	c->fd = fd;
	e.data.u64 = (u64)generation << 32 | (u64)(c - vs->all);
	if (epoll_ctl(vs->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return c;
	close(fd);
	c->fd = -1;
	c->next = vs->free;
	vs->free = c;
	return NULL;
}

void connection_name(struct connection *c, u32 host_port, u32 guest_port)
{
	struct connection **at = &c->vs->hash[slot(host_port, guest_port)];

	c->host_port = host_port;
	c->guest_port = guest_port;
	c->next = *at;
	*at = c;
}

static void forget_ready(struct connection *c)
{
	struct connection **at = &c->vs->ready_first;

	if (!c->ready)
		return;
	while (*at != c)
		at = &(*at)->ready_next;
	*at = c->ready_next;
	if (c->vs->ready_last == &c->ready_next)
		c->vs->ready_last = at;
	c->ready = false;
}

void connection_close(struct connection *c)
{
	struct connection **at = &c->vs->hash[slot(c->host_port, c->guest_port)];

	for (; c->state != ASKING && *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	forget_ready(c);
	close(c->fd);
	free(c->buffer);
	c->buffer = NULL;
	c->fd = -1;
	c->generation++;
	c->next = c->vs->free;
	c->vs->free = c;
}

void connection_make_ready(struct connection *c)
{
	if (c->ready)
		return;
	c->ready = true;
	c->ready_next = NULL;
	*c->vs->ready_last = c;
	c->vs->ready_last = &c->ready_next;
}

void connection_tell(struct connection *c, u16 op)
{
	c->pending |= 1u << op;
	connection_make_ready(c);
}

/* --- a program of the host asks for a port ------------------------------------------------ */

static u32 new_port(struct vsock *vs, u32 guest_port)
{
	do
		vs->next_port = FIRST_PORT | (vs->next_port + 1) % FIRST_PORT;
	while (connection_find(vs, vs->next_port, guest_port));
	return vs->next_port;
}

/* "CONNECT PORT": false when it is anything else. */
static bool parse(const char *line, u32 *port)
{
	unsigned long long n;
	char *end;

	if (strncmp(line, "CONNECT ", 8) || line[8] < '0' || line[8] > '9')
		return false;
	n = strtoull(line + 8, &end, 10);
	*port = (u32)n;
	return !*end && n <= UINT32_MAX;
}

/* Byte by byte: what follows the line is for the guest. */
void connection_read_line(struct connection *c)
{
	struct vsock *vs = c->vs;
	u32 port;
	char byte;
	ssize_t n;

	for (;;) {
		n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || c->line_len == REQUEST_LINE_MAX - 1) {
			connection_close(c);
			return;
		}
		if (byte == '\n')
			break;
		c->line[c->line_len++] = byte;
	}
	c->line[c->line_len] = 0;
	if (!parse(c->line, &port) || !vs->started) {
		connection_close(c);
		return;
	}
	c->state = REQUESTED;
	connection_name(c, new_port(vs, port), port);
	c->readable = true;
	connection_tell(c, OP_REQUEST);
}

void connection_answered(struct connection *c)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "OK %u\n", c->host_port);

	c->state = OPEN;
	if (send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		c->peer_flags = SHUTDOWN_BOTH;	/* it has gone: pump ends it */
}

/* --- bytes of the guest --------------------------------------------------------------------- */

bool connection_take(struct connection *c, const struct virtq_chain *chain, u64 offset, u32 len)
{
	u32 at, part;

	if (len > BUFFER - c->count || c->peer_flags & SHUTDOWN_SEND)
		return false;
	if (!c->buffer)
		c->buffer = malloc(BUFFER);
	if (!c->buffer)
		return false;
	for (; len; len -= part, offset += part) {
		at = (c->head + c->count) % BUFFER;
		part = len < BUFFER - at ? len : BUFFER - at;
		if (!virtq_read(chain, offset, c->buffer + at, part))
			return false;
		c->count += part;
	}
	return true;
}

/* Writes what the socket takes; false when it takes nothing ever again. */
static bool drain(struct connection *c)
{
	while (c->count) {
		u32 n = c->count < BUFFER - c->head ? c->count : BUFFER - c->head;
		ssize_t done = send(c->fd, c->buffer + c->head, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN)
			return true;
		if (done < 0)
			return false;
		c->head = (c->head + (u32)done) % BUFFER;
		c->count -= (u32)done;
		c->forwarded += (u32)done;
	}
	return true;
}

/* Both ends are closed, or the guest's data is of no use any more. */
static void end(struct connection *c)
{
	c->state = ENDED;
	c->count = 0;
	shutdown(c->fd, SHUT_RDWR);
	connection_tell(c, OP_RST);
}

void connection_pump(struct connection *c)
{
	if (c->state != OPEN)
		return;
	if (!drain(c)) {
		end(c);
		return;
	}
	/* the guest learns of room when half of it is used up, or before it could run dry */
	if (c->forwarded - c->told_forwarded >= BUFFER / 2)
		connection_tell(c, OP_CREDIT_UPDATE);
	if (c->count)
		return;
	if (c->peer_flags & SHUTDOWN_SEND && !c->write_closed) {
		c->write_closed = true;
		shutdown(c->fd, SHUT_WR);
	}
	if (c->peer_flags == SHUTDOWN_BOTH)
		end(c);
}
