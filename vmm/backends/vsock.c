/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sockets of a guest's vsock: see vsock.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../control/address.h"
#include "../devices/props.h"
#include "../error.h"
#include "registry.h"
#include "vsock.h"

#define CID_DEFAULT 3
#define CID_MAX 0xfffffffeu		/* 0 to 2 and the last one have a meaning of their own */

static void vsock_free(void *backend)
{
	struct vsock_backend *b = backend;

	if (b->listener >= 0) {
		close(b->listener);
		address_remove(b->path, &b->made);
	}
	free(b->device);
	free(b);
}

/* The text of the device: what this file does not take are its properties. */
static int device_text(struct vsock_backend *b, struct props *p)
{
	size_t size;
	FILE *f = open_memstream(&b->device, &size);
	unsigned int i;

	if (!f)
		return error("out of memory");
	fprintf(f, "virtio-vsock,vsock=vsock0");
	for (i = 0; i < p->count; i++) {
		if (p->p[i].taken)
			continue;
		p->p[i].taken = true;
		fprintf(f, ",%s=", p->p[i].key);
		props_print_value(f, p->p[i].value);
	}
	return fclose(f) ? error("out of memory") : 0;
}

static int open_socket(struct vsock_backend *b, struct registry *r, struct props *p)
{
	b->cid = props_number(p, "cid", CID_DEFAULT, CID_DEFAULT, CID_MAX);
	if (!*p->type)
		return error("--vsock needs the path of a socket");
	if (strlen(p->type) > VSOCK_PATH_MAX)
		return error("--vsock: the path %s is longer than %d bytes", p->type,
			     VSOCK_PATH_MAX);
	if (p->failed || device_text(b, p) < 0)
		return -1;
	strcpy(b->path, p->type);
	b->listener = address_listen(b->path, &b->made);
	return b->listener < 0 ? -1 : registry_add(r, "vsock", "vsock0", b, vsock_free);
}

struct vsock_backend *vsock_open(struct registry *r, const char *text)
{
	struct vsock_backend *b = calloc(1, sizeof(*b));
	struct props p;

	if (!b) {
		error("out of memory");
		return NULL;
	}
	b->listener = -1;
	if (props_parse(&p, text) < 0 || open_socket(b, r, &p) < 0) {
		vsock_free(b);
		b = NULL;
	}
	props_free(&p);
	return b;
}

/* Where many wait to be accepted the kernel says EAGAIN; that is nobody, too. */
int vsock_connect(const struct vsock_backend *b, u32 port)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s_%u", b->path, port);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}
