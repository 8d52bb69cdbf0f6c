/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Character devices with somebody at the other end: a unix socket that listens
 * and takes one client at a time, and a pseudo-terminal, which nobody need
 * open. What the guest sends waits in a ring of 64 KiB; what comes from outside
 * waits with the other end while the front takes nothing.
 *
 * Two locks, in this order: in_lock of the front and what comes in, out_lock of
 * the descriptor and what goes out. The front is called under in_lock only.
 * Descriptors are opened and closed on the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../control/address.h"
#include "../error.h"
#include "../sandbox/policy.h"
#include "chardev.h"
#include "loop.h"

#define OUT_SIZE 65536		/* a power of two */
#define IN_SIZE 4096
#define FULL_US 10000		/* without descriptors: who connects is told of all the time */

struct stream {
	struct chardev c;	/* first */
	struct loop *loop;
	char *path;		/* of the socket, or of the link to the terminal; or NULL */
	struct stat made;
	int listener;		/* -1: none */
	int slave;		/* our end of the terminal, so that it never hangs up; or -1 */
	struct loop_entry *listen_entry;

	pthread_mutex_t in_lock;
	struct chardev_front front;
	u8 in[IN_SIZE];
	size_t in_len;
	bool at_end;		/* nothing comes any more; what is here is still delivered */

	pthread_mutex_t out_lock;
	int fd;			/* -1: nobody is there */
	struct loop_entry *entry;
	bool in_full;		/* nothing more is read */
	bool wanted;		/* the front waits for room */
	u64 put, got;		/* ever-growing positions in the ring */
	u8 out[OUT_SIZE];
};

static struct stream *of_chardev(struct chardev *c)
{
	return (struct stream *)c;
}

/* --- what goes out: under out_lock ---------------------------------------------------- */

static void watch(struct stream *s)
{
	short events = (short)((s->in_full ? 0 : POLLIN) | (s->put != s->got ? POLLOUT : 0));

	if (!s->entry)
		return;
	loop_events(s->entry, events);
	loop_enable(s->entry, events);	/* a lost connection would be told again and again */
}

static ssize_t write_some(struct stream *s, const u8 *p, size_t n)
{
	if (s->slave >= 0)
		return write(s->fd, p, n);
	return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Writes what the other end takes; its loss is heard of by who reads. */
static void flush(struct stream *s)
{
	while (s->fd >= 0 && s->put != s->got) {
		size_t from = s->got % OUT_SIZE, n = s->put - s->got;
		ssize_t r;

		if (n > OUT_SIZE - from)
			n = OUT_SIZE - from;
		r = write_some(s, s->out + from, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EPIPE)
			s->got = s->put;
		if (r < 0)
			break;
		s->got += (u64)r;
	}
}

static size_t put(struct stream *s, const u8 *p, size_t n)
{
	size_t i, room = OUT_SIZE - (s->put - s->got);

	if (n > room)
		n = room;
	for (i = 0; i < n; i++)
		s->out[s->put++ % OUT_SIZE] = p[i];
	return n;
}

/* Where nobody is, all is lost. */
static size_t stream_write(struct chardev *c, const u8 *p, size_t n)
{
	struct stream *s = of_chardev(c);
	size_t done = n;

	pthread_mutex_lock(&s->out_lock);
	if (s->fd >= 0) {
		done = put(s, p, n);
		flush(s);
		done += put(s, p + done, n - done);
		if (done < n)
			s->wanted = true;
		watch(s);
	}
	pthread_mutex_unlock(&s->out_lock);
	return done;
}

static void stream_send(struct chardev *c, const u8 *p, size_t n)
{
	stream_write(c, p, n);
}

/* --- what comes in: under in_lock ------------------------------------------------------- */

static void deliver(struct stream *s)
{
	size_t n = 0;

	if (s->front.receive && s->in_len)
		n = s->front.receive(s->front.front, s->in, s->in_len);
	s->in_len -= n;
	memmove(s->in, s->in + n, s->in_len);
}

static void watch_input(struct stream *s)
{
	pthread_mutex_lock(&s->out_lock);
	s->in_full = s->in_len == IN_SIZE || (s->at_end && s->in_len);
	watch(s);
	pthread_mutex_unlock(&s->out_lock);
}

static void stream_ready(struct chardev *c)
{
	struct stream *s = of_chardev(c);

	pthread_mutex_lock(&s->in_lock);
	deliver(s);
	watch_input(s);
	pthread_mutex_unlock(&s->in_lock);
}

static void tell_open(struct stream *s, bool on)
{
	if (s->front.opened)
		s->front.opened(s->front.front, on);
}

static void stream_connect(struct chardev *c, const struct chardev_front *front)
{
	struct stream *s = of_chardev(c);

	pthread_mutex_lock(&s->in_lock);
	if (front)
		s->front = *front;
	else
		memset(&s->front, 0, sizeof(s->front));
	tell_open(s, __atomic_load_n(&s->fd, __ATOMIC_RELAXED) >= 0);
	pthread_mutex_unlock(&s->in_lock);
}

/* --- the other end: on the loop's thread, under in_lock ------------------------------------ */

static void hang_up(struct stream *s)
{
	bool wanted;

	pthread_mutex_lock(&s->out_lock);
	loop_remove(s->entry);
	close(s->fd);
	s->entry = NULL;
	__atomic_store_n(&s->fd, -1, __ATOMIC_RELAXED);
	s->put = s->got = 0;
	wanted = s->wanted;
	s->in_full = s->wanted = false;
	pthread_mutex_unlock(&s->out_lock);
	s->in_len = 0;
	s->at_end = false;
	tell_open(s, false);
	if (wanted && s->front.writable)
		s->front.writable(s->front.front);
	loop_enable(s->listen_entry, true);
}

/* False at the end of the connection. */
static bool read_some(struct stream *s)
{
	ssize_t n;

	if (s->in_len == IN_SIZE)
		return true;
	n = read(s->fd, s->in + s->in_len, IN_SIZE - s->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		s->at_end = s->slave < 0;
		return s->in_len || s->slave >= 0;
	}
	s->in_len += (size_t)n;
	deliver(s);
	return true;
}

static void on_stream(void *arg)
{
	struct stream *s = arg;
	short events = loop_ready(s->entry);
	bool room, alive = true;

	pthread_mutex_lock(&s->in_lock);
	pthread_mutex_lock(&s->out_lock);
	flush(s);
	room = s->wanted && s->put - s->got <= OUT_SIZE / 2;
	if (room)
		s->wanted = false;
	pthread_mutex_unlock(&s->out_lock);
	if (room && s->front.writable)
		s->front.writable(s->front.front);
	if (events & (POLLIN | POLLHUP | POLLERR))
		alive = read_some(s);
	if (alive)
		watch_input(s);
	else
		hang_up(s);
	pthread_mutex_unlock(&s->in_lock);
}

static int begin(struct stream *s, int fd)
{
	struct loop_entry *e = loop_add(s->loop, fd, POLLIN, on_stream, s);

	if (!e)
		return error("out of memory");
	pthread_mutex_lock(&s->out_lock);
	s->entry = e;
	__atomic_store_n(&s->fd, fd, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&s->out_lock);
	return 0;
}

static void on_client(void *arg)
{
	struct stream *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		usleep(FULL_US);
	if (fd < 0)
		return;
	pthread_mutex_lock(&s->in_lock);
	if (begin(s, fd) == 0) {
		loop_enable(s->listen_entry, false);
		tell_open(s, true);
	} else {
		close(fd);
	}
	pthread_mutex_unlock(&s->in_lock);
}

/* --- life --------------------------------------------------------------------------------- */

static struct stream *stream_new(struct loop *l, const char *path)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s || (path && !(s->path = strdup(path)))) {
		free(s);
		error("out of memory");
		return NULL;
	}
	s->c = (struct chardev){
		.send = stream_send, .write = stream_write, .ready = stream_ready,
		.connect = stream_connect,
	};
	s->loop = l;
	s->listener = s->slave = s->fd = -1;
	pthread_mutex_init(&s->in_lock, NULL);
	pthread_mutex_init(&s->out_lock, NULL);
	return s;
}

void stream_free(struct chardev *c)
{
	struct stream *s = of_chardev(c);

	loop_remove(s->entry);
	loop_remove(s->listen_entry);
	if (s->fd >= 0)
		close(s->fd);
	if (s->slave >= 0)
		close(s->slave);
	if (s->listener >= 0) {
		close(s->listener);
		address_remove(s->path, &s->made);
	} else if (s->path && s->made.st_ino) {
		unlink(s->path);
	}
	pthread_mutex_destroy(&s->in_lock);
	pthread_mutex_destroy(&s->out_lock);
	free(s->path);
	free(s);
}

struct chardev *stream_unix(struct loop *l, const char *path)
{
	struct stream *s = stream_new(l, path);

	if (!s)
		return NULL;
	s->listener = address_listen(path, &s->made);
	if (s->listener >= 0)
		s->listen_entry = loop_add(l, s->listener, POLLIN, on_client, s);
	if (s->listen_entry)
		return &s->c;
	stream_free(&s->c);
	return NULL;
}

/* The terminal passes every byte as it is. */
static int open_terminal(struct stream *s)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct termios t;
	char name[64];

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)))
		goto fail;
	s->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0 || tcgetattr(s->slave, &t) < 0)
		goto fail;
	cfmakeraw(&t);
	if (tcsetattr(s->slave, TCSANOW, &t) < 0 || begin(s, fd) < 0)
		goto fail;
	if (s->path && (symlink(name, s->path) < 0 || lstat(s->path, &s->made) < 0))
		return error("%s: cannot link it to %s: %s", s->path, name, strerror(errno));
	return s->path ? sandbox_allow(s->path, SANDBOX_REMOVE) : 0;
fail:
	if (fd >= 0)
		close(fd);
	return error("cannot make a pseudo-terminal: %s", strerror(errno));
}

struct chardev *stream_pty(struct loop *l, const char *link, const char *id)
{
	struct stream *s = stream_new(l, link);

	if (!s)
		return NULL;
	if (open_terminal(s) < 0) {
		stream_free(&s->c);
		return NULL;
	}
	error("the character device '%s' is %s", id, ptsname(s->fd));
	return &s->c;
}
