/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The WebSockets (RFC 6455) of the web server: "screen", whose bytes go to the
 * VNC server and back through a socket pair, and "serial", which is the guest's
 * serial console. Both are binary.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../backends/console_tap.h"
#include "web_server.h"

static enum kind kind_of(struct lws *wsi)
{
	char uri[WEB_URI_MAX];
	const char *path;
	int n = lws.hdr_copy(wsi, uri, sizeof(uri), WSI_TOKEN_GET_URI);

	path = n > 0 ? web_after_token(web_of(wsi), uri) : NULL;
	if (path && !strcmp(path, "screen"))
		return KIND_SCREEN;
	return path && !strcmp(path, "serial") && web_of(wsi)->tap ? KIND_SERIAL : KIND_NONE;
}

static int open_screen(struct web *w, struct session *s)
{
	lws_sock_file_fd_type fd;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	fd.filefd = pair[0];
	s->raw = lws.adopt_descriptor_vhost(w->vhost, LWS_ADOPT_RAW_FILE_DESC, fd, "raw", s->wsi);
	if (!s->raw) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	lws.set_opaque_user_data(s->raw, s);
	s->fd = pair[0];
	vnc_client(w->vnc, pair[1]);
	return 0;
}

static int on_open(struct lws *wsi, struct session *s)
{
	struct web *w = web_of(wsi);

	memset(s, 0, sizeof(*s));
	s->wsi = wsi;
	s->kind = kind_of(wsi);
	if (s->kind == KIND_SCREEN)
		return open_screen(w, s);
	if (s->kind != KIND_SERIAL)
		return -1;
	s->next = w->serial;
	w->serial = s;
	lws.callback_on_writable(wsi);
	return 0;
}

static void on_close(struct lws *wsi, struct session *s)
{
	struct web *w = web_of(wsi);
	struct session **at;

	if (s->raw) {
		lws.set_opaque_user_data(s->raw, NULL);
		lws.set_timeout(s->raw, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
	}
	for (at = &w->serial; *at && *at != s; at = &(*at)->next)
		;
	if (*at)
		*at = s->next;
	s->raw = NULL;
}

/* Towards the browser: what the VNC server has sent. */
static int send_screen(struct web *w, struct session *s)
{
	ssize_t n = s->raw ? read(s->fd, w->buf + LWS_PRE, WEB_PIECE) : 0;

	if (n == 0 || s->ended)
		return -1;
	if (n < 0)
		n = errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n < 0)
		return -1;
	if (n && lws.write(s->wsi, w->buf + LWS_PRE, (size_t)n, LWS_WRITE_BINARY) < (int)n)
		return -1;
	lws.rx_flow_control(s->raw, 1);
	return 0;
}

static int send_serial(struct web *w, struct session *s)
{
	size_t n = console_tap_read(w->tap, &s->position, w->buf + LWS_PRE, WEB_PIECE);

	if (!n)
		return 0;
	if (lws.write(s->wsi, w->buf + LWS_PRE, n, LWS_WRITE_BINARY) < (int)n)
		return -1;
	lws.callback_on_writable(s->wsi);
	return 0;
}

/* From the browser. One that sends more than the VNC server takes is cut off. */
static int on_receive(struct web *w, struct session *s, const u8 *p, size_t n)
{
	if (s->kind == KIND_SERIAL) {
		console_tap_type(w->tap, p, n);
		return 0;
	}
	if (!s->raw || send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		return -1;
	return 0;
}

static void wake_serial(struct web *w)
{
	struct session *s;

	for (s = w->serial; s; s = s->next)
		lws.callback_on_writable(s->wsi);
}

int web_socket(struct lws *wsi, enum lws_callback_reasons why, struct session *s, void *in,
	       size_t n)
{
	switch (why) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return kind_of(wsi) == KIND_NONE;
	case LWS_CALLBACK_ESTABLISHED:
		return on_open(wsi, s);
	case LWS_CALLBACK_CLOSED:
		on_close(wsi, s);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return on_receive(web_of(wsi), s, in, n);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return s->kind == KIND_SERIAL ? send_serial(web_of(wsi), s) :
						send_screen(web_of(wsi), s);
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		wake_serial(web_of(wsi));
		return 0;
	default:
		return lws.callback_http_dummy(wsi, why, s, in, n);
	}
}

/* Our end of a socket pair: it is read when the browser takes more. */
int web_raw(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
	struct session *s = lws.get_opaque_user_data(wsi);

	(void)user, (void)in, (void)n;
	if (why == LWS_CALLBACK_RAW_RX_FILE) {
		if (!s)
			return -1;
		lws.rx_flow_control(wsi, 0);
		lws.callback_on_writable(s->wsi);
	} else if (why == LWS_CALLBACK_RAW_CLOSE_FILE && s) {
		s->raw = NULL;
		s->ended = true;
		lws.callback_on_writable(s->wsi);
	}
	return 0;
}
