/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The web server: see web.h. A path is /TOKEN/ with a file of the page, or
 * novnc/ or xterm/ with one of those packages, or a WebSocket (web_socket.c).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../backends/console_tap.h"
#include "../error.h"
#include "../sandbox/policy.h"
#include "web_server.h"

#define NOVNC "/usr/share/novnc/"
#define XTERM "/usr/share/nodejs/xterm/lib/"
#define CONNECTIONS_MAX 256

static const char policy[] =
	"default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
	"img-src 'self' data:; connect-src 'self' ws:; font-src 'self'";

/* --- paths ------------------------------------------------------------------------------ */

const char *web_after_token(const struct web *w, const char *path)
{
	unsigned int i, differ = 0;

	if (strlen(path) < WEB_TOKEN_SIZE + 2 || path[0] != '/')
		return NULL;
	for (i = 0; i < WEB_TOKEN_SIZE; i++)
		differ |= (unsigned int)(path[i + 1] ^ w->token[i]);
	return differ || path[WEB_TOKEN_SIZE + 1] != '/' ? NULL : path + WEB_TOKEN_SIZE + 2;
}

static const char *mime(const char *path)
{
	static const char *const types[][2] = {
		{ ".js", "text/javascript" }, { ".css", "text/css" }, { ".html", "text/html" },
		{ ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".woff", "font/woff" },
	};
	const char *dot = strrchr(path, '.');
	unsigned int i;

	for (i = 0; dot && i < ARRAY_SIZE(types); i++)
		if (!strcmp(dot, types[i][0]))
			return types[i][1];
	return "application/octet-stream";
}

/* The file of a package that a path names: false when it names none. */
static bool package_file(const char *path, char file[WEB_URI_MAX + 64])
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-/";
	const char *root = NULL;

	if (!strncmp(path, "novnc/", 6))
		root = NOVNC;
	else if (!strncmp(path, "xterm/", 6))
		root = XTERM;
	if (!root || strspn(path, may) != strlen(path) || strstr(path, ".."))
		return false;
	snprintf(file, WEB_URI_MAX + 64, "%s%s", root, path + 6);
	return true;
}

/* --- HTTP ---------------------------------------------------------------------------------- */

static int add_header(struct lws *wsi, const char *name, const char *value, u8 **p, u8 *end)
{
	return lws.add_http_header_by_name(wsi, (const u8 *)name, (const u8 *)value,
					   (int)strlen(value), p, end);
}

static int add_headers(struct lws *wsi, u8 **p, u8 *end)
{
	return add_header(wsi, "content-security-policy:", policy, p, end) ||
	       add_header(wsi, "referrer-policy:", "no-referrer", p, end) ||
	       add_header(wsi, "x-content-type-options:", "nosniff", p, end) ||
	       add_header(wsi, "x-frame-options:", "DENY", p, end) ||
	       add_header(wsi, "cache-control:", "no-store", p, end);
}

static int send_page(struct lws *wsi, struct session *s, const struct web_file *f)
{
	struct web *w = web_of(wsi);
	u8 *start = w->buf + LWS_PRE, *p = start, *end = w->buf + sizeof(w->buf);

	if (lws.add_http_common_headers(wsi, HTTP_STATUS_OK, f->type, strlen(f->text), &p, end) ||
	    add_headers(wsi, &p, end) ||
	    lws.finalize_write_http_header(wsi, start, &p, end))
		return 1;
	s->file = f;
	lws.callback_on_writable(wsi);
	return 0;
}

static int send_body(struct lws *wsi, struct session *s)
{
	struct web *w = web_of(wsi);
	size_t n = s->file ? strlen(s->file->text) : 0;

	if (!s->file || n > WEB_PIECE)
		return 0;
	memcpy(w->buf + LWS_PRE, s->file->text, n);
	s->file = NULL;
	if (lws.write(wsi, w->buf + LWS_PRE, n, LWS_WRITE_HTTP_FINAL) < (int)n)
		return 1;
	return lws.http_transaction_completed(wsi) ? -1 : 0;
}

static int send_package(struct lws *wsi, const char *file)
{
	u8 headers[1024], *p = headers;
	int err;

	if (add_headers(wsi, &p, headers + sizeof(headers)))
		return lws.return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL) ||
		       lws.http_transaction_completed(wsi) ? -1 : 0;
	err = lws.serve_http_file(wsi, file, mime(file), (char *)headers, (int)(p - headers));
	if (err < 0 || (err > 0 && lws.http_transaction_completed(wsi)))
		return -1;
	return 0;
}

static int on_http(struct lws *wsi, struct session *s, const char *uri)
{
	const char *path = web_after_token(web_of(wsi), uri);
	char file[WEB_URI_MAX + 64];
	const struct web_file *f;

	if (path && strlen(path) < WEB_URI_MAX && lws.hdr_total_length(wsi, WSI_TOKEN_GET_URI)) {
		for (f = web_files; f->name; f++)
			if (!strcmp(f->name, path))
				return send_page(wsi, s, f);
		if (package_file(path, file))
			return send_package(wsi, file);
	}
	if (lws.return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL))
		return -1;
	return lws.http_transaction_completed(wsi) ? -1 : 0;
}

static int on_web(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
	switch (why) {
	case LWS_CALLBACK_HTTP:
		return on_http(wsi, user, in);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return send_body(wsi, user);
	default:
		return web_socket(wsi, why, user, in, n);
	}
}

static const struct lws_protocols protocols[] = {
	{ .name = "anykvm", .callback = on_web, .per_session_data_size = sizeof(struct session) },
	{ .name = "raw", .callback = web_raw },
	{ .name = NULL },
};

/* --- life ------------------------------------------------------------------------------ */

static void log_line(int level, const char *line)
{
	(void)level;
	error("web: %.*s", (int)strcspn(line, "\n"), line);
}

static int make_token(struct web *w)
{
	u8 secret[WEB_TOKEN_SIZE / 2];
	unsigned int i;

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return error("cannot get random bytes for the web address: %s", strerror(errno));
	for (i = 0; i < sizeof(secret); i++)
		snprintf(w->token + 2 * i, 3, "%02x", secret[i]);
	return 0;
}

static void *serve(void *arg)
{
	struct web *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) && lws.service(w->context, 0) >= 0)
		;
	return NULL;
}

static void on_printed(void *ctx)
{
	struct web *w = ctx;

	lws.cancel_service(w->context);
}

static int start(struct web *w, const char *addr, u16 port)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = w,
		.fd_limit_per_thread = CONNECTIONS_MAX,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6,
	};
	sigset_t all, old;
	int err;

	lws.set_log_level(LLL_ERR, log_line);
	w->context = lws.create_context(&info);
	if (!w->context)
		return error("cannot create the web server");
	info.port = port;
	info.iface = addr;
	info.vhost_name = "anykvm";
	w->vhost = lws.create_vhost(w->context, &info);
	if (!w->vhost || lws.get_vhost_listen_port(w->vhost) <= 0)
		return error("--display web: cannot listen at %s:%u", addr, port);
	/* signals are for the main thread */
	sigfillset(&all);
	sigdelset(&all, SIGSYS);	/* the sandbox's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, serve, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return error("cannot start the web server's thread: %s", strerror(err));
	pthread_setname_np(w->thread, "web");
	w->running = true;
	return 0;
}

struct web *web_new(const struct show_config *c, struct vnc *vnc, const char *addr, u16 port)
{
	struct web *w = calloc(1, sizeof(*w));

	if (!w) {
		error("out of memory");
		return NULL;
	}
	if (web_library_load() < 0) {
		free(w);
		return NULL;
	}
	w->vnc = vnc;
	w->tap = c->tap;
	if (access(NOVNC "core/rfb.js", R_OK) < 0 || access(XTERM "public/Terminal.js", R_OK) < 0) {
		error("--display web needs Debian's packages novnc and node-xterm");
	} else if (sandbox_allow(NOVNC, SANDBOX_READ | SANDBOX_TREE) == 0 &&
		   sandbox_allow(XTERM, SANDBOX_READ | SANDBOX_TREE) == 0 && make_token(w) == 0 &&
		   start(w, addr, port) == 0) {
		if (w->tap)
			console_tap_watch(w->tap, on_printed, w);
		return w;
	}
	web_free(w);
	return NULL;
}

void web_free(struct web *w)
{
	if (!w)
		return;
	if (w->tap)
		console_tap_watch(w->tap, NULL, w);
	if (w->running) {
		__atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
		lws.cancel_service(w->context);
		pthread_join(w->thread, NULL);
	}
	if (w->context)
		lws.context_destroy(w->context);
	free(w);
}

int web_port(const struct web *w)
{
	return lws.get_vhost_listen_port(w->vhost);
}

const char *web_token(const struct web *w)
{
	return w->token;
}
