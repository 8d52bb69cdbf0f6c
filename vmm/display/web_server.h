/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the web server share. */
#ifndef VMM_DISPLAY_WEB_SERVER_H
#define VMM_DISPLAY_WEB_SERVER_H

#include <pthread.h>

#include "web.h"
#include "web_library.h"

#define WEB_URI_MAX 256
#define WEB_PIECE 32768			/* bytes that are sent at once */

enum kind { KIND_NONE, KIND_SCREEN, KIND_SERIAL };

/* A connection: zero when it begins. */
struct session {
	enum kind kind;
	struct lws *wsi;
	struct lws *raw;		/* of screen: our end of the socket pair */
	int fd;
	bool ended;			/* that end is closed */
	u64 position;			/* of serial: what is sent */
	struct session *next;		/* of the serial ones */
	const struct web_file *file;	/* of HTTP: what is being sent */
};

struct web {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct vnc *vnc;
	struct console_tap *tap;
	struct session *serial;
	pthread_t thread;
	bool running, stop;		/* stop: atomic */
	char token[WEB_TOKEN_SIZE + 1];
	u8 buf[LWS_PRE + WEB_PIECE];
};

static inline struct web *web_of(struct lws *wsi)
{
	return lws.context_user(lws.get_context(wsi));
}

/* What follows /TOKEN/ in a path, or NULL. Takes the same time for every wrong token. */
const char *web_after_token(const struct web *w, const char *path);

/* --- web_socket.c ------------------------------------------------------------------- */

/* The callbacks of a WebSocket, and of our end of a socket pair. */
int web_socket(struct lws *wsi, enum lws_callback_reasons why, struct session *s, void *in,
	       size_t n);
int web_raw(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n);

#endif
