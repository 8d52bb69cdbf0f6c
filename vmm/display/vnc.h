/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen by VNC (RFC 6143), with libvncserver: one server, with a thread
 * of its own, for the clients that its listening socket or a web server brings.
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

/* --- vnc_input.c: keys and pointers of the clients, on the server's thread -------- */

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
/* Lets go of all, when a client leaves. */
void vnc_input_release(struct vnc_input *i);

#endif
