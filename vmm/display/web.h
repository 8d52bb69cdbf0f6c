/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen and the serial console in a browser: HTTP and WebSocket on
 * loopback, by libwebsockets, on a thread of its own. Every path begins with a
 * secret that only the user is told; without it nothing is answered but 404.
 */
#ifndef VMM_DISPLAY_WEB_H
#define VMM_DISPLAY_WEB_H

#include "show.h"
#include "vnc.h"

#define WEB_TOKEN_SIZE 32		/* characters */

struct web;

/*
 * addr is of the loopback network; port 0 takes a free one. vnc has no password
 * and gets the browsers' connections. NULL after an error line.
 */
struct web *web_new(const struct show_config *c, struct vnc *vnc, const char *addr, u16 port);
void web_free(struct web *w);
int web_port(const struct web *w);
const char *web_token(const struct web *w);

/* --- web_page.c: the files of the page itself ------------------------------------ */

struct web_file {
	const char *name, *type, *text;
};

extern const struct web_file web_files[];	/* ended by no name */

#endif
