/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QMP client on one thread: every wait has a deadline, and what the other
 * side sends is bounded, since any process of the user may be there.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../descriptor.h"
#include "../error.h"
#include "address.h"
#include "client.h"

#define RETRY_US 10000

/* 0 when fd has the event, -ETIMEDOUT at the deadline. */
static int wait_for(int fd, short events, u64 deadline)
{
	struct pollfd p = { fd, events, 0 };
	u64 now;

	while ((now = monotonic_ns()) < deadline) {
		u64 ms = (deadline - now) / 1000000 + 1;
		int n = poll(&p, 1, ms > 1000000 ? 1000000 : (int)ms);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

/* More of what the other side sends: 0 or -errno. */
static int fill(struct client_qmp *c, u64 deadline)
{
	int err = wait_for(c->fd, POLLIN, deadline);
	ssize_t n;

	if (err < 0)
		return err;
	n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->at = 0;
	c->len = (size_t)n;
	return 0;
}

/* The next object, or NULL with *err. */
static json_t *next(struct client_qmp *c, u64 deadline, int *err)
{
	size_t taken = 0;
	json_t *value;

	for (;;) {
		while (c->at < c->len) {
			enum frame_result r = frame_feed(&c->frame, c->in + c->at,
							 c->len - c->at, &taken);

			c->at += taken;
			if (r == FRAME_MORE)
				continue;
			value = r == FRAME_VALUE ? json_loadb(c->frame.text, c->frame.len, 0,
							      NULL) : NULL;
			*err = value ? 0 : -EPROTO;
			return value;
		}
		*err = fill(c, deadline);
		if (*err < 0)
			return NULL;
	}
}

/* The next object that has a member of this name or "error"; others are events. */
static json_t *next_with(struct client_qmp *c, const char *key, u64 deadline, int *err)
{
	json_t *value;

	while ((value = next(c, deadline, err))) {
		if (json_object_get(value, key) || json_object_get(value, "error"))
			return value;
		json_decref(value);
	}
	return NULL;
}

static int send_all(struct client_qmp *c, const char *p, size_t n, u64 deadline)
{
	while (n) {
		ssize_t done = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (done < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (done < 0) {
			int err = wait_for(c->fd, POLLOUT, deadline);

			if (err < 0)
				return err;
			continue;
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

json_t *client_execute(struct client_qmp *c, const char *command, json_t *arguments,
		       u64 deadline, int *err)
{
	json_t *request = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments);
	char *text = request ? json_dumps(request, 0) : NULL;

	json_decref(request);
	*err = text ? send_all(c, text, strlen(text), deadline) : -EINVAL;
	if (*err == 0)
		*err = send_all(c, "\n", 1, deadline);
	free(text);
	return *err < 0 ? NULL : next_with(c, "return", deadline, err);
}

/* The first byte brings the descriptor. */
static int send_with(struct client_qmp *c, const char *text, int fd, u64 deadline)
{
	int err = wait_for(c->fd, POLLOUT, deadline);

	if (err == 0)
		err = descriptor_send(c->fd, text, 1, fd);
	return err < 0 ? err : send_all(c, text + 1, strlen(text + 1), deadline);
}

int client_pass_file(struct client_qmp *c, const char *machine, int fd, char name[32],
		     u64 deadline)
{
	int err = send_with(c, "{\"execute\": \"add-fd\"}\n", fd, deadline);
	json_t *answer = err < 0 ? NULL : next_with(c, "return", deadline, &err);
	json_t *id = json_object_get(json_object_get(answer, "return"), "fdset-id");
	const char *why = json_string_value(json_object_get(json_object_get(answer, "error"),
							    "desc"));

	if (!answer)
		error("the machine %s does not answer: %s", machine, strerror(-err));
	else if (!json_is_integer(id))
		error("the machine %s does not take the file: %s", machine,
		      why ? why : "the machine answers an error");
	else
		snprintf(name, 32, "/dev/fdset/%d", (int)json_integer_value(id));
	err = json_is_integer(id) ? 0 : -1;
	json_decref(answer);
	return err;
}

int client_open(struct client_qmp *c, const char *path, u64 deadline)
{
	json_t *value;
	int err;

	memset(c, 0, sizeof(*c));
	/* EAGAIN: too many are waiting to be let in */
	while ((c->fd = address_connect(path, &c->pid)) == -EAGAIN && monotonic_ns() < deadline)
		usleep(RETRY_US);
	if (c->fd < 0)
		return c->fd;
	value = next_with(c, "QMP", deadline, &err);
	json_decref(value);
	if (value) {
		value = client_execute(c, "qmp_capabilities", NULL, deadline, &err);
		if (value && json_object_get(value, "error"))
			err = -EPROTO;
		json_decref(value);
	}
	if (err < 0)
		client_close(c);
	return err;
}

void client_close(struct client_qmp *c)
{
	close(c->fd);
	c->fd = -1;
}

bool client_wait_end(struct client_qmp *c, u64 deadline)
{
	int pidfd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	json_t *value;
	int err;

	/* it closes the connection last of all but its own end */
	while ((value = next(c, deadline, &err)))
		json_decref(value);
	if (err != -ETIMEDOUT && pidfd >= 0)
		err = wait_for(pidfd, POLLIN, deadline);
	if (pidfd >= 0)
		close(pidfd);
	return err != -ETIMEDOUT;
}
