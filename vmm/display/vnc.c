/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VNC server by libvncserver: see vnc.h. It keeps a copy of the screen, which
 * a timer brings up to date while there are clients: often after a change or an
 * input, seldom when nothing happens. All of it runs on a thread of its own,
 * so that a slow client holds up no one else.
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

#define FAST_NS 33000000ULL
#define SLOW_NS 100000000ULL
#define BUSY_NS NSEC			/* how long it is fast after something happened */
#define CLIENT_WAIT_MS 5000		/* for one that takes no data */
#define CLIENTS_MAX 32
#define CURSOR_BYTES (DISPLAY_CURSOR_SIZE * DISPLAY_CURSOR_SIZE)

struct vnc {
	struct display_sink *sink;
	struct display *display;
	struct loop *loop;
	struct loop_entry *listener;
	struct timer *timer;
	rfbScreenInfoPtr s;
	struct vnc_input input;
	unsigned int clients;
	u64 busy_until;
	sem_t ended;
	int listen_fd;
	char *password[2];		/* for libvncserver: a list */
};

/* A client's socket in the event loop. */
struct client {
	struct vnc *v;
	struct loop_entry *entry;
};

/* A socket on its way to the server's thread. */
struct arrival {
	struct vnc *v;
	int fd;
};

/* --- the picture ----------------------------------------------------------------------- */

/* Red comes first in the bytes of libvncserver's own format. */
static u32 swap(u32 p)
{
	return (p & 0xff00) | p >> 16 | (p & 0xff) << 16;
}

static void on_resize(void *ctx, const struct surface *surface)
{
	struct vnc *v = ctx;
	char *old = v->s->frameBuffer, *to;

	to = calloc((size_t)surface->width * surface->height, sizeof(u32));
	if (!to) {
		error("out of memory for the VNC screen");
		return;		/* updates are clipped to the old size */
	}
	rfb.NewFramebuffer(v->s, to, (int)surface->width, (int)surface->height, 8, 3, 4);
	free(old);
	v->input.x = v->input.y = -1;
}

static void on_update(void *ctx, const struct surface *surface, const struct display_rect *r)
{
	struct vnc *v = ctx;
	unsigned int width = (unsigned int)v->s->width, height = (unsigned int)v->s->height;
	unsigned int x1 = r->x + r->w < width ? r->x + r->w : width;
	unsigned int y1 = r->y + r->h < height ? r->y + r->h : height, x, y;

	for (y = r->y; y < y1; y++) {
		const u32 *from = surface->pixels + (size_t)y * surface->stride;
		u32 *to = (u32 *)v->s->frameBuffer + (size_t)y * width;

		for (x = r->x; x < x1; x++)
			to[x] = swap(from[x]);
	}
	if (r->x < x1 && r->y < y1)
		rfb.MarkRectAsModified(v->s, (int)r->x, (int)r->y, (int)x1, (int)y1);
	v->busy_until = monotonic_ns() + BUSY_NS;
}

static rfbCursorPtr make_cursor(const struct display_cursor *c)
{
	rfbCursorPtr k = calloc(1, sizeof(*k));
	unsigned int i;
	u32 *rich;

	if (!k)
		return NULL;
	*k = (rfbCursor){
		.cleanup = TRUE, .cleanupSource = TRUE, .cleanupMask = TRUE,
		.cleanupRichSource = TRUE, .alphaPreMultiplied = TRUE,
		.width = DISPLAY_CURSOR_SIZE, .height = DISPLAY_CURSOR_SIZE,
		.xhot = (u16)c->hot_x, .yhot = (u16)c->hot_y,
		.richSource = calloc(CURSOR_BYTES, sizeof(u32)),
		.mask = calloc(1, CURSOR_BYTES / 8),
	};
	if (!k->richSource || !k->mask) {
		rfb.FreeCursor(k);
		return NULL;
	}
	rich = (u32 *)k->richSource;
	for (i = 0; c->visible && i < CURSOR_BYTES; i++) {
		rich[i] = swap(c->pixels[i] & 0xffffff);
		if (c->pixels[i] >> 31)
			k->mask[i / 8] |= (u8)(0x80 >> i % 8);
	}
	return k;
}

static void on_cursor(void *ctx, const struct display_cursor *c)
{
	struct vnc *v = ctx;

	rfb.SetCursor(v->s, c ? make_cursor(c) : NULL);
}

static void serve(struct vnc *v)
{
	rfb.ProcessEvents(v->s, 0);
}

static void on_timer(void *arg)
{
	struct vnc *v = arg;
	u64 now = monotonic_ns();

	if (!v->clients)
		return;
	display_poll(v->sink);
	serve(v);
	timer_set(v->timer, now + (now < v->busy_until ? FAST_NS : SLOW_NS));
}

/* Something was done: what comes of it is to be seen soon. */
static void hurry(struct vnc *v)
{
	u64 now = monotonic_ns();

	if (now >= v->busy_until)
		timer_set(v->timer, now + FAST_NS / 2);
	v->busy_until = now + BUSY_NS;
}

/* --- clients ------------------------------------------------------------------------------ */

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl)
{
	struct vnc *v = cl->screen->screenData;

	vnc_input_key(&v->input, keysym, down);
	hurry(v);
}

static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
	struct vnc *v = cl->screen->screenData;

	vnc_input_pointer(&v->input, (unsigned int)buttons, x, y, (unsigned int)v->s->width,
			  (unsigned int)v->s->height);
	hurry(v);
}

static int on_wish(int width, int height, int screens, struct rfbExtDesktopScreen *list,
		   rfbClientPtr cl)
{
	struct vnc *v = cl->screen->screenData;

	(void)screens, (void)list;
	if (width < 1 || height < 1 ||
	    !display_wish(v->display, (unsigned int)width, (unsigned int)height))
		return rfbExtDesktopSize_ResizeProhibited;
	hurry(v);
	return rfbExtDesktopSize_Success;
}

static void on_activity(void *arg)
{
	struct client *c = arg;

	serve(c->v);
}

static void on_gone(rfbClientPtr cl)
{
	struct client *c = cl->clientData;

	if (!c)
		return;
	loop_remove(c->entry);
	c->v->clients--;
	vnc_input_release(&c->v->input);
	free(c);
	cl->clientData = NULL;
}

static enum rfbNewClientAction on_new(rfbClientPtr cl)
{
	struct vnc *v = cl->screen->screenData;
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return RFB_CLIENT_REFUSE;
	c->v = v;
	c->entry = loop_add(v->loop, cl->sock, POLLIN, on_activity, c);
	if (!c->entry) {
		free(c);
		return RFB_CLIENT_REFUSE;
	}
	cl->clientData = c;
	cl->clientGoneHook = on_gone;
	v->clients++;
	v->busy_until = monotonic_ns() + BUSY_NS;
	timer_set(v->timer, 1);
	return RFB_CLIENT_ACCEPT;
}

static void take(struct vnc *v, int fd)
{
	/* the library waits with select(2), whose sets are bounded */
	if (fd >= FD_SETSIZE || v->clients >= CLIENTS_MAX) {
		close(fd);
		return;
	}
	if (rfb.NewClient(v->s, fd))
		serve(v);
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

static int make_screen(struct vnc *v, const char *name)
{
	const struct surface *s = display_surface(v->display);
	rfbScreenInfoPtr r = rfb.GetScreen(NULL, NULL, (int)s->width, (int)s->height, 8, 3, 4);

	if (!r)
		return -1;
	v->s = r;
	r->screenData = v;
	r->desktopName = name;
	r->frameBuffer = calloc((size_t)s->width * s->height, sizeof(u32));
	r->port = r->ipv6port = r->udpPort = 0;
	r->httpDir = NULL;
	r->alwaysShared = TRUE;
	r->deferUpdateTime = 0;
	r->deferPtrUpdateTime = 0;
	r->maxClientWait = CLIENT_WAIT_MS;
	r->ignoreSIGPIPE = FALSE;	/* it is ignored already */
	r->cursor = NULL;
	r->kbdAddEvent = on_key;
	r->ptrAddEvent = on_pointer;
	r->newClientHook = on_new;
	r->setDesktopSizeHook = on_wish;
	if (v->password[0]) {
		r->authPasswdData = v->password;
		r->passwordCheck = rfb.CheckPasswordByList;
	}
	if (!r->frameBuffer)
		return -1;
	rfb.InitServer(r);
	return 0;
}

struct vnc *vnc_new(struct display *d, struct input *in, const char *name, const char *password)
{
	struct vnc *v = calloc(1, sizeof(*v));
	const struct display_sink_ops ops = { on_resize, on_update, on_cursor, v };

	if (!v) {
		error("out of memory");
		return NULL;
	}
	if (vnc_library_load() < 0) {
		free(v);
		return NULL;
	}
	rfb.LogEnable(0);
	v->display = d;
	v->listen_fd = -1;
	v->input = (struct vnc_input){ .in = in, .x = -1, .y = -1 };
	sem_init(&v->ended, 0, 0);
	if (password)
		v->password[0] = strdup(password);
	if ((password && !v->password[0]) || make_screen(v, name) < 0) {
		error("out of memory for the VNC screen");
		vnc_free(v);
		return NULL;
	}
	v->loop = loop_thread_new("vnc");
	if (v->loop) {
		v->sink = display_sink_new(d, &ops);
		v->timer = timer_new(v->loop, on_timer, v);
		if (v->sink && v->timer)
			return v;
		error("cannot create the VNC server");
	}
	vnc_free(v);
	return NULL;
}

/* On the server's thread, after which nothing there uses the server any more. */
static void end(void *arg)
{
	struct vnc *v = arg;

	if (v->timer)
		timer_free(v->timer);
	v->timer = NULL;
	loop_remove(v->listener);
	rfb.ShutdownServer(v->s, TRUE);
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
	display_sink_free(v->sink);
	if (v->s) {
		free(v->s->frameBuffer);
		v->s->frameBuffer = NULL;
		rfb.ScreenCleanup(v->s);
	}
	sem_destroy(&v->ended);
	free(v->password[0]);
	free(v);
}
