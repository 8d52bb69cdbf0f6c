/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen by VNC (RFC 6143), with libvncserver, for the clients that a
 * listening socket or a web server brings. Each has a thread of its own, so that
 * one which is slow, or stops in the middle, holds up nobody else.
 */
#ifndef VMM_DISPLAY_VNC_H
#define VMM_DISPLAY_VNC_H

#include "../backends/input.h"
#include "display.h"

#define VNC_PASSWORD_MAX 8		/* that the protocol looks at */

struct vnc;

/* password: NULL for none. NULL after an error line. */
struct vnc *vnc_new(struct display *d, struct input *in, const char *name, const char *password);
void vnc_free(struct vnc *v);
/* Takes a connected socket, from any thread; closes it when it cannot. */
void vnc_client(struct vnc *v, int fd);
/*
 * Takes the clients of a listening socket, which stays the caller's: 0, or -1
 * after an error line.
 */
int vnc_listen(struct vnc *v, int fd);

/* --- vnc_session.c: one client -------------------------------------------------------- */

/* What the sessions of a server have in common. */
struct vnc_config {
	struct display *display;
	struct input *input;
	const char *name;
	char *password;			/* or NULL */
	void (*gone)(void *server);	/* from the thread of a session whose client has left */
	void *server;
};

#define VNC_SERVERS_MAX 8
#define VNC_SESSIONS_MAX 32		/* of a server */

/* Before there is any: 0, or -1 after an error line. */
int vnc_session_prepare(void);
/* The socket is the session's from now on, also when there is none: NULL. */
struct vnc_session *vnc_session_new(const struct vnc_config *c, int fd);
/* Ends it, without waiting for its client. Not from its own thread. */
void vnc_session_free(struct vnc_session *v);
bool vnc_session_gone(const struct vnc_session *v);

/* --- vnc_input.c: keys and pointers of a client, on its session's thread ---------- */

struct vnc_input {
	struct input *in;
	u64 pressed[12];		/* keys: a bit each */
	unsigned int buttons;
	int x, y;			/* where the pointer was; -1: unknown */
};

void vnc_input_key(struct vnc_input *i, u32 keysym, bool down);
/* Of a screen of this size. */
void vnc_input_pointer(struct vnc_input *i, unsigned int buttons, int x, int y,
		       unsigned int width, unsigned int height);
/* Lets go of all, when the client leaves. */
void vnc_input_release(struct vnc_input *i);

#endif
