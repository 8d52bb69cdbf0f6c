/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sockets of a guest's vsock: see vsock.h. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../control/address.h"
#include "../descriptor.h"
#include "../devices/props.h"
#include "../error.h"
#include "../helper.h"
#include "registry.h"
#include "vsock.h"

#define CID_DEFAULT 3
#define CID_MAX 0xfffffffeu		/* 0 to 2 and the last one have a meaning of their own */

/* Where many wait to be accepted the kernel says EAGAIN; that is nobody, too. */
static int connect_to(const char *path, u32 port)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s_%u", path, port);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One byte, with the descriptor if there is one. */
static bool answer(int fd)
{
	bool sent = descriptor_send(HELPER_SOCKET, &(u8){ fd >= 0 }, 1, fd) == 0;

	if (fd >= 0)
		close(fd);
	return sent;
}

static void serve(const void *arg)
{
	static const struct helper_call calls[] = {
		{ .call = SCMP_SYS(socket), .arg = 0, .mask = ~0U, .value = AF_UNIX },
		{ .call = SCMP_SYS(connect) },
	};
	const struct vsock_backend *b = arg;
	u32 port;

	helper_confine(calls, ARRAY_SIZE(calls));
	while (recv(HELPER_SOCKET, &port, sizeof(port), 0) == sizeof(port))
		if (!answer(connect_to(b->path, port)))
			return;
}

static int start_connector(struct vsock_backend *b)
{
	const struct helper h = {
		.name = "anykvm-vsock", .type = SOCK_SEQPACKET, .serve = serve, .arg = b,
	};

	b->connector = helper_start(&h);
	return b->connector < 0 ? -1 : 0;
}

int vsock_connect(const struct vsock_backend *b, u32 port)
{
	u8 byte;
	int fd;

	descriptor_ask(b->connector, &port, sizeof(port), &byte, 1, &fd);
	return fd;
}

/* --- the option ------------------------------------------------------------------------- */

static void vsock_free(void *backend)
{
	struct vsock_backend *b = backend;

	if (b->listener >= 0) {
		close(b->listener);
		address_remove(b->path, &b->made);
	}
	if (b->connector >= 0)
		close(b->connector);
	free(b->device);
	free(b);
}

static int open_socket(struct vsock_backend *b, struct registry *r, struct props *p)
{
	b->cid = props_number(p, "cid", CID_DEFAULT, CID_DEFAULT, CID_MAX);
	if (!*p->type)
		return error("--vsock needs the path of a socket");
	if (strlen(p->type) > VSOCK_PATH_MAX)
		return error("--vsock: the path %s is longer than %d bytes", p->type,
			     VSOCK_PATH_MAX);
	if (p->failed)
		return -1;
	b->device = props_device(p, "virtio-vsock", "vsock", "vsock0");
	if (!b->device)
		return -1;
	strcpy(b->path, p->type);
	b->listener = address_listen(b->path, &b->made);
	if (b->listener < 0 || start_connector(b) < 0)
		return -1;
	return registry_add(r, "vsock", "vsock0", b, vsock_free);
}

struct vsock_backend *vsock_open(struct registry *r, const char *text)
{
	struct vsock_backend *b = calloc(1, sizeof(*b));
	struct props p;

	if (!b) {
		error("out of memory");
		return NULL;
	}
	b->listener = b->connector = -1;
	if (props_parse(&p, text) < 0 || open_socket(b, r, &p) < 0) {
		vsock_free(b);
		b = NULL;
	}
	props_free(&p);
	return b;
}
