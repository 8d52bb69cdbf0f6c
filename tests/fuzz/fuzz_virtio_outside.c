/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs of the host that devices talk to, a thread each: they send random
 * bytes, read, or do not, and go away and come back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz_virtio.h"

#define PROGRAMS_MAX 8

enum kind { CLIENT, SERVER, WIRE };

static struct program {
	pthread_t thread;
	enum kind kind;
	char path[64];
	const char *greeting;
	u64 state;
} programs[PROGRAMS_MAX];

static unsigned int count;
static bool stopped;

static u64 draw(struct program *p, u64 n)
{
	u64 z = p->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	return (z ^ z >> 31) % n;
}

/* Talks for a while, at random. */
static void talk(struct program *p, int fd)
{
	u8 bytes[3000];
	u32 prefix;
	size_t len;
	unsigned int i;

	if (p->greeting && send(fd, p->greeting, strlen(p->greeting), MSG_NOSIGNAL) < 0)
		return;
	for (i = 0; i < 40 && !__atomic_load_n(&stopped, __ATOMIC_RELAXED); i++) {
		len = 60 + draw(p, sizeof(bytes) - 60);
		memset(bytes, (int)draw(p, 256), sizeof(bytes));
		prefix = htonl((u32)len - 4);
		if (p->kind == WIRE && draw(p, 20))
			memcpy(bytes, &prefix, 4);
		if (draw(p, 2) && send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EAGAIN)
			break;
		if (draw(p, 2))
			recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (draw(p, 30) == 0)
			shutdown(fd, (int)draw(p, 3));
		usleep((useconds_t)draw(p, 1000));
	}
}

static int make_socket(struct program *p, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, p->path, sizeof(p->path));
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void *run(void *arg)
{
	struct program *p = arg;
	struct sockaddr_un a;
	int listener = -1, fd;

	if (p->kind == SERVER) {
		listener = make_socket(p, &a);
		if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 8))
			abort();
	}
	while (!__atomic_load_n(&stopped, __ATOMIC_RELAXED)) {
		fd = listener >= 0 ? accept(listener, NULL, NULL) : make_socket(p, &a);
		if (fd >= 0 && (listener >= 0 ||
				connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0))
			talk(p, fd);
		if (fd >= 0)
			close(fd);
		usleep(300);
	}
	if (listener >= 0)
		close(listener);
	return NULL;
}

static void begin(enum kind kind, const char *path, const char *greeting)
{
	struct program *p = &programs[count++];

	p->kind = kind;
	p->greeting = greeting;
	p->state = chance(0);
	snprintf(p->path, sizeof(p->path), "%s", path);
	if (pthread_create(&p->thread, NULL, run, p))
		abort();
}

void outside_client(const char *path, const char *greeting)
{
	begin(CLIENT, path, greeting);
}

void outside_server(const char *path)
{
	begin(SERVER, path, NULL);
}

void outside_wire(const char *path)
{
	begin(WIRE, path, NULL);
}

void outside_stop(void)
{
	__atomic_store_n(&stopped, true, __ATOMIC_RELAXED);
	while (count)
		pthread_join(programs[--count].thread, NULL);
}
