/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard input and output as a character device. A guest prints byte by
 * byte; bytes collect in a ring that the main loop writes out a millisecond
 * after the first, so that a reader is woken once a line and not once a byte;
 * sooner, when it was quiet: what is typed is to come back at once.
 * Input passes the Ctrl-A commands that users of QEMU's -nographic know.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"
#include "terminal.h"

#define OUT_SIZE 65536		/* power of two */
#define IN_SIZE 65536
#define WRITE_MAX 4096		/* what a pipe that polls as ready takes at once */
#define FLUSH_NS 1000000ULL
#define SOON_NS 100000ULL
#define QUIET_NS 5000000ULL
#define DRAIN_NS (2 * NSEC)
#define ESCAPE 1		/* Ctrl-A */

struct terminal {
	struct chardev c;
	struct terminal_ops ops;

	pthread_mutex_t in_lock;
	struct chardev_front front;
	struct loop_entry *in;
	bool in_tty, escaped;
	u8 in_buf[IN_SIZE];
	size_t in_len;

	pthread_mutex_t out_lock;
	pthread_cond_t out_room;
	struct loop_entry *out;
	struct timer *flush;
	int out_fd;
	bool out_socket, out_own, out_lost, hurry;
	bool wanted;			/* the front waits for room */
	u8 out_buf[OUT_SIZE];
	u64 put, got;		/* ever-growing positions */
	u64 begun;		/* when bytes last came to the empty ring */
};

static struct terminal *of_chardev(struct chardev *c)
{
	return (struct terminal *)((char *)c - offsetof(struct terminal, c));
}

/* --- output --------------------------------------------------------------- */

/* The first byte in an empty ring: under the lock. */
static void begin_output(struct terminal *t)
{
	u64 now = monotonic_ns();

	timer_set(t->flush, now + (now - t->begun > QUIET_NS ? SOON_NS : FLUSH_NS));
	t->begun = now;
}

/* How many were put: without wait, those that found room. */
static size_t put_bytes(struct terminal *t, const u8 *p, size_t n, bool wait)
{
	const size_t all = n;

	pthread_mutex_lock(&t->out_lock);
	while (n) {
		u64 used = t->put - t->got;

		if (t->out_lost || (used == OUT_SIZE && (t->hurry || !wait)))
			break;
		if (used == OUT_SIZE) {
			pthread_cond_wait(&t->out_room, &t->out_lock);
			continue;
		}
		if (used == 0)
			begin_output(t);
		else if (used == OUT_SIZE / 2)
			timer_set(t->flush, 1);
		t->out_buf[t->put++ % OUT_SIZE] = *p++;
		n--;
	}
	if (n && !wait && !t->out_lost)
		t->wanted = true;
	pthread_mutex_unlock(&t->out_lock);
	return all - n;
}

static void term_send(struct chardev *c, const u8 *p, size_t n)
{
	put_bytes(of_chardev(c), p, n, true);
}

/* Where nobody reads any more there is always room. */
static size_t term_write(struct chardev *c, const u8 *p, size_t n)
{
	struct terminal *t = of_chardev(c);
	size_t done = put_bytes(t, p, n, false);

	return __atomic_load_n(&t->out_lost, __ATOMIC_RELAXED) ? n : done;
}

static bool term_size(struct chardev *c, u16 *columns, u16 *rows)
{
	struct winsize w;

	(void)c;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
		return false;
	*columns = w.ws_col;
	*rows = w.ws_row;
	return true;
}

/* Output that cannot be written is told of once and then lost. */
static void write_failed(struct terminal *t, int err)
{
	if (!t->out_lost)
		error("cannot write to standard output: %s", strerror(err));
	t->out_lost = true;
	t->got = t->put;
	pthread_cond_broadcast(&t->out_room);
}

static ssize_t write_some(struct terminal *t, const u8 *p, size_t n)
{
	struct pollfd pfd = { t->out_fd, POLLOUT, 0 };

	if (t->out_socket)
		return send(t->out_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!t->out_own && poll(&pfd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(t->out_fd, p, n);
}

static void tell_room(struct terminal *t)
{
	pthread_mutex_lock(&t->in_lock);
	if (t->front.writable)
		t->front.writable(t->front.front);
	pthread_mutex_unlock(&t->in_lock);
}

/* Writes until the ring is empty (true) or the outside is full (false). */
static bool flush_ring(struct terminal *t)
{
	bool gone = false, empty, wanted;

	pthread_mutex_lock(&t->out_lock);
	while (t->put != t->got) {
		size_t from = t->got % OUT_SIZE;
		size_t n = t->put - t->got;
		ssize_t r;

		if (n > OUT_SIZE - from)
			n = OUT_SIZE - from;
		if (n > WRITE_MAX)
			n = WRITE_MAX;
		pthread_mutex_unlock(&t->out_lock);
		r = write_some(t, t->out_buf + from, n);
		pthread_mutex_lock(&t->out_lock);
		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (r < 0) {
			gone = errno == EPIPE;
			write_failed(t, errno);
		} else {
			t->got += (u64)r;
			pthread_cond_broadcast(&t->out_room);
		}
	}
	empty = t->put == t->got;
	wanted = t->wanted && t->put - t->got <= OUT_SIZE / 2;
	if (wanted)
		t->wanted = false;
	pthread_mutex_unlock(&t->out_lock);
	if (wanted)
		tell_room(t);
	if (gone)
		t->ops.gone(t->ops.ctx);
	return empty;
}

static void on_flush(void *arg)
{
	struct terminal *t = arg;

	if (!flush_ring(t))
		loop_enable(t->out, true);
}

static void on_writable(void *arg)
{
	struct terminal *t = arg;

	if (flush_ring(t))
		loop_enable(t->out, false);
}

static void drain(struct terminal *t)
{
	u64 end = monotonic_ns() + DRAIN_NS;

	while (!flush_ring(t)) {
		struct pollfd p = { t->out_fd, POLLOUT, 0 };
		u64 now = monotonic_ns();

		if (now >= end || poll(&p, 1, (int)((end - now) / 1000000) + 1) == 0)
			return;
	}
}

/*
 * A description of standard output that is our own can be made non-blocking
 * without other processes noticing. Files need none.
 */
static void open_output(struct terminal *t)
{
	struct stat st;

	t->out_fd = STDOUT_FILENO;
	if (fstat(STDOUT_FILENO, &st) < 0)
		return;
	t->out_socket = S_ISSOCK(st.st_mode);
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0)
			t->out_fd = fd;
		t->out_own = fd >= 0;
	}
}

/* --- input ---------------------------------------------------------------- */

/* The main thread, which empties the ring, must not wait for it. */
static void say(struct terminal *t, const char *s)
{
	put_bytes(t, (const u8 *)s, strlen(s), false);
}

static void command(struct terminal *t, u8 key)
{
	switch (key) {
	case 'x':
		t->ops.quit(t->ops.ctx);
		break;
	case 'p':
		t->ops.power(t->ops.ctx);
		break;
	case 'i':
		t->ops.info(t->ops.ctx);
		break;
	case 'b':
		if (t->front.receive_break)
			t->front.receive_break(t->front.front);
		break;
	case 'h':
	case '?':
		say(t, "\r\n"
		       "Ctrl-A h       this help\r\n"
		       "Ctrl-A x       end anykvm and the guest\r\n"
		       "Ctrl-A p       press the power button: the guest is to shut down\r\n"
		       "Ctrl-A b       send a break to the serial port\r\n"
		       "Ctrl-A i       tell where every CPU is\r\n"
		       "Ctrl-A Ctrl-A  send Ctrl-A\r\n");
		break;
	}
}

/* Gives the front what it takes of the buffered input. */
static void deliver(struct terminal *t)
{
	size_t n = 0;

	if (t->front.receive && t->in_len)
		n = t->front.receive(t->front.front, t->in_buf, t->in_len);
	if (n) {
		t->in_len -= n;
		memmove(t->in_buf, t->in_buf + n, t->in_len);
	}
}

/* Takes out commands; what does not fit (from a terminal only) is lost. */
static void take_input(struct terminal *t, const u8 *p, size_t n)
{
	for (; n; p++, n--) {
		if (t->escaped && *p != ESCAPE) {
			t->escaped = false;
			command(t, *p);
			continue;
		}
		if (!t->escaped && *p == ESCAPE) {
			t->escaped = true;
			continue;
		}
		t->escaped = false;
		if (t->in_len < IN_SIZE)
			t->in_buf[t->in_len++] = *p;
	}
}

/* A terminal is always read, so that Ctrl-A x works; a pipe waits for room. */
static void on_input(void *arg)
{
	struct terminal *t = arg;
	u8 buf[4096];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	pthread_mutex_lock(&t->in_lock);
	if (n > 0) {
		take_input(t, buf, (size_t)n);
		deliver(t);
		if (!t->in_tty && IN_SIZE - t->in_len < sizeof(buf))
			loop_enable(t->in, false);
	} else {		/* the end of input is no end of the guest */
		loop_remove(t->in);
		t->in = NULL;
	}
	pthread_mutex_unlock(&t->in_lock);
}

static void term_ready(struct chardev *c)
{
	struct terminal *t = of_chardev(c);

	pthread_mutex_lock(&t->in_lock);
	if (t->in_len) {
		deliver(t);
		if (t->in && IN_SIZE - t->in_len >= IN_SIZE / 2)
			loop_enable(t->in, true);
	}
	pthread_mutex_unlock(&t->in_lock);
}

static void term_connect(struct chardev *c, const struct chardev_front *front)
{
	struct terminal *t = of_chardev(c);

	pthread_mutex_lock(&t->in_lock);
	if (front)
		t->front = *front;
	else
		memset(&t->front, 0, sizeof(t->front));
	if (t->front.opened)
		t->front.opened(t->front.front, true);
	pthread_mutex_unlock(&t->in_lock);
}

/* --- life ----------------------------------------------------------------- */

struct terminal *terminal_new(struct loop *l, const struct terminal_ops *ops)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t) {
		error("out of memory");
		return NULL;
	}
	t->c = (struct chardev){
		.send = term_send, .write = term_write, .ready = term_ready,
		.connect = term_connect, .size = term_size,
	};
	t->ops = *ops;
	pthread_mutex_init(&t->in_lock, NULL);
	pthread_mutex_init(&t->out_lock, NULL);
	pthread_cond_init(&t->out_room, NULL);
	open_output(t);
	t->in_tty = isatty(STDIN_FILENO);
	t->flush = timer_new(l, on_flush, t);
	t->out = loop_add(l, t->out_fd, POLLOUT, on_writable, t);
	t->in = loop_add(l, STDIN_FILENO, POLLIN, on_input, t);
	if (!t->flush || !t->out || !t->in) {
		error("cannot watch the terminal: %s", strerror(errno));
		terminal_free(t);
		return NULL;
	}
	loop_enable(t->out, false);
	return t;
}

struct chardev *terminal_chardev(struct terminal *t)
{
	return &t->c;
}

void terminal_hurry(struct terminal *t, bool on)
{
	pthread_mutex_lock(&t->out_lock);
	t->hurry = on;
	pthread_cond_broadcast(&t->out_room);
	pthread_mutex_unlock(&t->out_lock);
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	drain(t);
	terminal_restore();
	loop_remove(t->in);
	loop_remove(t->out);
	timer_free(t->flush);
	if (t->out_own)
		close(t->out_fd);
	free(t);
}
