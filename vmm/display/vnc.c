/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen by VNC: see vnc.h. Clients are let in, and what is left of them is
 * cleared away, on a thread of the server's own.
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../error.h"
#include "vnc.h"
#include "vnc_library.h"

struct vnc {
	struct vnc_config c;
	struct loop *loop;
	struct loop_entry *listener;
	struct vnc_session *session[VNC_SESSIONS_MAX];	/* on the thread, as is the next */
	bool closed;
	sem_t ended;
	int listen_fd;
};

/* A socket on its way to the server's thread. */
struct arrival {
	struct vnc *v;
	int fd;
};

/* --- clients ------------------------------------------------------------------------------ */

static void clear_away(void *arg)
{
	struct vnc *v = arg;
	unsigned int i;

	for (i = 0; i < VNC_SESSIONS_MAX; i++)
		if (v->session[i] && (v->closed || vnc_session_gone(v->session[i]))) {
			vnc_session_free(v->session[i]);
			v->session[i] = NULL;
		}
}

/* From a session's thread, which is not to wait for itself. */
static void on_gone(void *server)
{
	struct vnc *v = server;

	loop_call(v->loop, clear_away, v);	/* without memory, before the next client */
}

static void take(struct vnc *v, int fd)
{
	unsigned int i;

	clear_away(v);
	for (i = 0; i < VNC_SESSIONS_MAX && v->session[i]; i++)
		;
	/* the library waits with select(2), whose sets are bounded */
	if (v->closed || i == VNC_SESSIONS_MAX || fd >= FD_SETSIZE)
		close(fd);
	else
		v->session[i] = vnc_session_new(&v->c, fd);
}

static void on_arrival(void *arg)
{
	struct arrival *a = arg;

	take(a->v, a->fd);
	free(a);
}

void vnc_client(struct vnc *v, int fd)
{
	struct arrival *a = malloc(sizeof(*a));

	if (a) {
		*a = (struct arrival){ v, fd };
		if (loop_call(v->loop, on_arrival, a) == 0)
			return;
	}
	free(a);
	close(fd);
}

static void on_connect(void *arg)
{
	struct vnc *v = arg;
	int fd = accept4(v->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		take(v, fd);
	else if (errno == EMFILE || errno == ENFILE)
		usleep(10000);	/* it stays ready; others are to run, too */
}

int vnc_listen(struct vnc *v, int fd)
{
	v->listen_fd = fd;
	v->listener = loop_add(v->loop, fd, POLLIN, on_connect, v);
	return v->listener ? 0 : error("out of memory");
}

/* --- life ------------------------------------------------------------------------------------ */

struct vnc *vnc_new(struct display *d, struct input *in, const char *name, const char *password)
{
	struct vnc *v = calloc(1, sizeof(*v));

	if (!v) {
		error("out of memory");
		return NULL;
	}
	if (vnc_library_load() < 0) {
		free(v);
		return NULL;
	}
	rfb.LogEnable(0);
	v->listen_fd = -1;
	v->c = (struct vnc_config){ d, in, name, password ? strdup(password) : NULL, on_gone, v };
	sem_init(&v->ended, 0, 0);
	if (password && !v->c.password)
		error("out of memory");
	else if (vnc_session_prepare() == 0)
		v->loop = loop_thread_new("vnc");
	if (v->loop)
		return v;
	vnc_free(v);
	return NULL;
}

/* On the server's thread, after which there are no sessions any more. */
static void end(void *arg)
{
	struct vnc *v = arg;

	v->closed = true;
	loop_remove(v->listener);
	clear_away(v);
	sem_post(&v->ended);
}

void vnc_free(struct vnc *v)
{
	if (!v)
		return;
	if (v->loop) {
		if (loop_call(v->loop, end, v) < 0)
			return;		/* out of memory at the end: it all stays */
		while (sem_wait(&v->ended) < 0)
			;
		loop_thread_free(v->loop);
	}
	sem_destroy(&v->ended);
	free(v->c.password);
	free(v);
}
