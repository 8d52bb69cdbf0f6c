/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One VNC client, with libvncserver: see vnc.h. It has a thread and a screen of
 * the library's for itself, as the library waits for a client that takes or sends
 * half of something, and others are not to wait with it. The screen is a copy,
 * which a timer brings up to date: often after a change or an input, seldom when
 * nothing happens.
 *
 * The library has one list of ways to log in, for all of its servers: it makes it
 * fit when it shows it to a client (RFC 6143, 7.1.2), and looks again when the
 * client has chosen, by when it may be that of a server without a password. So the
 * list is shown to one client at a time, and the choice is looked at here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "../error.h"
#include "vnc.h"
#include "vnc_library.h"
#include "vnc_picture.h"

#define FAST_NS 33000000ULL
#define SLOW_NS 100000000ULL
#define BUSY_NS NSEC			/* how long it is fast after something happened */
#define CLIENT_WAIT_MS 5000		/* for one that takes or sends no data */
#define LOGIN_NS (120 * NSEC)		/* for one that has to say a password */
#define VERSION_BYTES 12		/* of what a client says first */
#define SECURITY_NONE 1
#define SECURITY_VNC 2
#define SCREENS_MAX (VNC_SERVERS_MAX * VNC_SESSIONS_MAX)
#define START_SIDE 16			/* of a screen that was never drawn */

struct vnc_session {
	const struct vnc_config *c;
	struct display_sink *sink;
	struct loop *loop;
	struct loop_entry *entry;	/* of the client's socket */
	struct timer *timer;
	rfbScreenInfoPtr s;
	rfbClientPtr client;		/* or NULL */
	struct vnc_input input;
	u64 busy_until, login_until;
	bool let_in;			/* to see and type */
	bool gone;			/* atomic */
	sem_t ended;
	int fd;				/* of the client, until the library has it; then -1 */
	int same;			/* another descriptor of it, to shut it down by */
	char *password[2];		/* for libvncserver: a list */
};

/*
 * Screens of the library that nobody uses. All are made before there is a client,
 * as making one is not for several threads.
 */
static struct {
	pthread_mutex_t lock;
	rfbScreenInfoPtr spare[SCREENS_MAX];
	unsigned int n;
	bool made;
} screens = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;	/* of the ways to log in */

/* --- the picture ----------------------------------------------------------------------- */

static void on_resize(void *ctx, const struct surface *surface)
{
	struct vnc_session *v = ctx;

	vnc_picture_resize(v->s, surface);
	v->input.x = v->input.y = -1;
}

static void on_update(void *ctx, const struct surface *surface, const struct display_rect *r)
{
	struct vnc_session *v = ctx;

	vnc_picture_update(v->s, surface, r);
	v->busy_until = monotonic_ns() + BUSY_NS;
}

static void on_cursor(void *ctx, const struct display_cursor *c)
{
	struct vnc_session *v = ctx;

	vnc_picture_cursor(v->s, c);
}

static void see(struct vnc_session *v)
{
	if (v->let_in)
		display_poll(v->sink);
}

/* --- logging in ------------------------------------------------------------------------- */

static rfbBool check_password(rfbClientPtr cl, const char *response, int len)
{
	struct vnc_session *v = cl->screen->screenData;

	v->let_in = rfb.CheckPasswordByList(cl, response, len);
	return v->let_in;
}

/*
 * All of it at once, as the library would wait for the rest with the list locked;
 * while there is only a part, the timer looks again.
 */
static void take_version(struct vnc_session *v)
{
	char version[VERSION_BYTES];
	ssize_t n = recv(v->client->sock, version, sizeof(version), MSG_PEEK | MSG_DONTWAIT);
	bool part = n > 0 && n < VERSION_BYTES;

	loop_enable(v->entry, !part);
	if (part || (n < 0 && errno == EAGAIN))
		return;
	pthread_mutex_lock(&list_lock);
	rfb.ProcessEvents(v->s, 0);
	pthread_mutex_unlock(&list_lock);
}

static void drop(struct vnc_session *v)
{
	rfb.CloseClient(v->client);
	rfb.ProcessEvents(v->s, 0);	/* forgets it */
}

/* The client's choice. */
static void take_choice(struct vnc_session *v)
{
	const char ok[4] = { 0 };
	rfbClientPtr cl = v->client;
	u8 type, want = v->c->password ? SECURITY_VNC : SECURITY_NONE;
	ssize_t n = recv(cl->sock, &type, 1, MSG_DONTWAIT);
	bool good = n == 1 && type == want;

	if (n < 0)
		return;		/* not yet */
	if (good && want == SECURITY_VNC) {
		rfb.RandomBytes(cl->authChallenge);
		good = rfb.WriteExact(cl, (char *)cl->authChallenge, CHALLENGESIZE) > 0;
		cl->state = RFB_AUTHENTICATION;
	} else if (good) {
		/* until 3.8 nothing comes before the next message */
		good = cl->protocolMinorVersion < 8 || rfb.WriteExact(cl, ok, sizeof(ok)) > 0;
		cl->state = RFB_INITIALISATION;
	}
	if (!good)
		drop(v);
}

static void serve(struct vnc_session *v)
{
	bool was_in = v->let_in;

	if (v->client && v->client->state == RFB_PROTOCOL_VERSION) {
		take_version(v);
		return;
	}
	if (v->client && v->client->state == RFB_SECURITY_TYPE)
		take_choice(v);
	else
		rfb.ProcessEvents(v->s, 0);
	if (!was_in)
		see(v);		/* its size is what the client hears of next */
}

static void on_timer(void *arg)
{
	struct vnc_session *v = arg;
	u64 now = monotonic_ns();

	if (vnc_session_gone(v))
		return;
	if (!v->let_in && now >= v->login_until) {
		drop(v);
		return;
	}
	see(v);
	serve(v);
	timer_set(v->timer, now + (now < v->busy_until ? FAST_NS : SLOW_NS));
}

/* Something was done: what comes of it is to be seen soon. */
static void hurry(struct vnc_session *v)
{
	u64 now = monotonic_ns();

	if (now >= v->busy_until)
		timer_set(v->timer, now + FAST_NS / 2);
	v->busy_until = now + BUSY_NS;
}

/* --- the client ------------------------------------------------------------------------- */

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl)
{
	struct vnc_session *v = cl->screen->screenData;

	if (!v->let_in)
		return;
	vnc_input_key(&v->input, keysym, down);
	hurry(v);
}

static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
	struct vnc_session *v = cl->screen->screenData;

	if (!v->let_in)
		return;
	vnc_input_pointer(&v->input, (unsigned int)buttons, x, y, (unsigned int)v->s->width,
			  (unsigned int)v->s->height);
	hurry(v);
}

static int on_wish(int width, int height, int screens, struct rfbExtDesktopScreen *list,
		   rfbClientPtr cl)
{
	struct vnc_session *v = cl->screen->screenData;

	(void)screens, (void)list;
	if (!v->let_in || width < 1 || height < 1 ||
	    !display_wish(v->c->display, (unsigned int)width, (unsigned int)height))
		return rfbExtDesktopSize_ResizeProhibited;
	hurry(v);
	return rfbExtDesktopSize_Success;
}

static void on_activity(void *arg)
{
	serve(arg);
}

static void leave(struct vnc_session *v)
{
	__atomic_store_n(&v->gone, true, __ATOMIC_RELEASE);
	v->c->gone(v->c->server);
}

static void on_gone(rfbClientPtr cl)
{
	struct vnc_session *v = cl->screen->screenData;

	loop_remove(v->entry);
	v->entry = NULL;
	v->client = NULL;
	vnc_input_release(&v->input);
	leave(v);
}

/* Not those that speak HTTP first: the library would wait for the rest of a frame. */
static enum rfbNewClientAction on_new(rfbClientPtr cl)
{
	struct vnc_session *v = cl->screen->screenData;

	if (!cl->wsctx)
		v->entry = loop_add(v->loop, cl->sock, POLLIN, on_activity, v);
	if (!v->entry)
		return RFB_CLIENT_REFUSE;
	v->client = cl;
	cl->clientGoneHook = on_gone;
	v->busy_until = monotonic_ns() + BUSY_NS;
	timer_set(v->timer, 1);
	return RFB_CLIENT_ACCEPT;
}

/* The library closes the socket, whatever comes of it. */
static void begin(void *arg)
{
	struct vnc_session *v = arg;
	int fd = v->fd;

	v->fd = -1;
	see(v);
	if (!rfb.NewClient(v->s, fd))
		leave(v);
}

/* --- screens --------------------------------------------------------------------------------- */

static rfbScreenInfoPtr make_screen(void)
{
	rfbScreenInfoPtr r = rfb.GetScreen(NULL, NULL, START_SIDE, START_SIDE, 8, 3, 4);

	if (!r)
		return NULL;
	r->frameBuffer = NULL;
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
	r->passwordCheck = check_password;
	rfb.InitServer(r);
	return r;
}

int vnc_session_prepare(void)
{
	rfbScreenInfoPtr r;

	pthread_mutex_lock(&screens.lock);
	while (!screens.made && screens.n < SCREENS_MAX && (r = make_screen()))
		screens.spare[screens.n++] = r;
	screens.made = screens.made || screens.n == SCREENS_MAX;
	pthread_mutex_unlock(&screens.lock);
	return screens.made ? 0 : error("out of memory for VNC screens");
}

/* A screen for this session, small and black. */
static int take_screen(struct vnc_session *v)
{
	const size_t size = START_SIDE * START_SIDE * sizeof(u32);

	pthread_mutex_lock(&screens.lock);
	v->s = screens.n ? screens.spare[--screens.n] : NULL;
	pthread_mutex_unlock(&screens.lock);
	if (!v->s)
		return -1;
	v->s->screenData = v;
	v->s->desktopName = v->c->name;
	v->password[0] = v->c->password;
	v->s->authPasswdData = v->c->password ? v->password : NULL;
	v->s->frameBuffer = calloc(1, size);
	if (!v->s->frameBuffer)
		return -1;
	rfb.NewFramebuffer(v->s, v->s->frameBuffer, START_SIDE, START_SIDE, 8, 3, 4);
	return 0;
}

static void give_screen(struct vnc_session *v)
{
	if (!v->s)
		return;
	rfb.SetCursor(v->s, NULL);
	free(v->s->frameBuffer);
	v->s->frameBuffer = NULL;
	v->s->screenData = v->s->authPasswdData = NULL;
	pthread_mutex_lock(&screens.lock);
	screens.spare[screens.n++] = v->s;
	pthread_mutex_unlock(&screens.lock);
}

/* --- life ------------------------------------------------------------------------------------ */

static int make(struct vnc_session *v)
{
	const struct display_sink_ops ops = { on_resize, on_update, on_cursor, v };

	v->same = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
	if (v->same < 0 || take_screen(v) < 0)
		return -1;
	v->loop = loop_thread_new("vnc client");
	if (!v->loop)
		return -1;
	v->sink = display_sink_new(v->c->display, &ops);
	v->timer = timer_new(v->loop, on_timer, v);
	return v->sink && v->timer ? loop_call(v->loop, begin, v) : -1;
}

struct vnc_session *vnc_session_new(const struct vnc_config *c, int fd)
{
	struct vnc_session *v = calloc(1, sizeof(*v));

	if (!v) {
		close(fd);
		return NULL;
	}
	v->c = c;
	v->fd = fd;
	v->same = -1;
	v->let_in = !c->password;
	v->login_until = monotonic_ns() + LOGIN_NS;
	v->input = (struct vnc_input){ .in = c->input, .x = -1, .y = -1 };
	sem_init(&v->ended, 0, 0);
	if (make(v) == 0)
		return v;
	vnc_session_free(v);
	return NULL;
}

bool vnc_session_gone(const struct vnc_session *v)
{
	return __atomic_load_n(&v->gone, __ATOMIC_ACQUIRE);
}

/* On the session's thread, after which nothing there uses the screen any more. */
static void end(void *arg)
{
	struct vnc_session *v = arg;

	if (v->timer)
		timer_free(v->timer);
	v->timer = NULL;
	if (v->client)
		drop(v);
	sem_post(&v->ended);
}

void vnc_session_free(struct vnc_session *v)
{
	if (v->loop) {
		shutdown(v->same, SHUT_RDWR);	/* nobody waits for it any more */
		if (loop_call(v->loop, end, v) < 0)
			return;		/* out of memory: it all stays */
		while (sem_wait(&v->ended) < 0)
			;
		loop_thread_free(v->loop);
	}
	display_sink_free(v->sink);
	give_screen(v);
	if (v->fd >= 0)
		close(v->fd);
	if (v->same >= 0)
		close(v->same);
	sem_destroy(&v->ended);
	free(v);
}
