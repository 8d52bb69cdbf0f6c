/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen: what graphics devices (sources) draw, and VNC servers, browsers
 * and screenshots (sinks) show. It lives through resets of the machine.
 *
 * Nothing is drawn while nobody looks. A sink that wants to know what is new
 * calls display_poll, which has the source in charge draw what changed on the
 * surface and then tells this sink of all that is new to it. Of the sources
 * that have something to show, the newest is in charge.
 *
 * Locks: display_poll holds the display's lock around the source's and the
 * sink's functions. A source may take its own lock in them, so it calls
 * display_add, display_remove, display_show and display_cursor without it.
 */
#ifndef VMM_DISPLAY_DISPLAY_H
#define VMM_DISPLAY_DISPLAY_H

#include "../types.h"

#define DISPLAY_WIDTH_MAX 8192
#define DISPLAY_HEIGHT_MAX 8192
#define DISPLAY_PIXELS_MAX (32u << 20)
#define DISPLAY_CURSOR_SIZE 64

/* Pixels are 0x00RRGGBB, rows from the top. */
struct surface {
	u32 *pixels;
	unsigned int width, height;
	unsigned int stride;		/* of a row, in pixels */
};

struct display_rect {
	unsigned int x, y, w, h;
};

struct display_cursor {
	bool visible;
	unsigned int hot_x, hot_y;
	/* 0xAARRGGBB, multiplied by alpha */
	u32 pixels[DISPLAY_CURSOR_SIZE * DISPLAY_CURSOR_SIZE];
};

struct display;
struct display_sink;

struct display *display_new(void);
void display_free(struct display *d);

/* --- for sources --------------------------------------------------------------- */

struct display_source {
	/*
	 * Draws what changed, or everything: sets the size (display_resize) and
	 * then gives rows of pixels (display_row).
	 */
	void (*refresh)(void *ctx, struct display *d, bool all);
	/* The user would like this size; NULL: it cannot change. */
	void (*wish)(void *ctx, unsigned int width, unsigned int height);
	void *ctx;
};

/* The source is copied. 0, or -ENOSPC. */
int display_add(struct display *d, const struct display_source *s, bool shown);
/* It is not called any more. */
void display_remove(struct display *d, const void *ctx);
/* Whether it has something to show. */
void display_show(struct display *d, const void *ctx, bool shown);
/* The pointer's image that the sinks draw; NULL: the guest draws its own. */
void display_cursor(struct display *d, const struct display_cursor *c);

/* From refresh() only. True when the surface has another size now, and is black. */
bool display_resize(struct display *d, unsigned int width, unsigned int height);
/* Puts n pixels from x, y on; what differs from what was there is dirty. Clipped. */
void display_row(struct display *d, unsigned int x, unsigned int y, const u32 *row, unsigned int n);
const struct surface *display_surface(const struct display *d);

/* --- for sinks ------------------------------------------------------------------- */

struct display_sink_ops {
	/* First, when the surface is another; all of it follows as an update. */
	void (*resize)(void *ctx, const struct surface *s);
	void (*update)(void *ctx, const struct surface *s, const struct display_rect *r);
	/* NULL when the guest draws its own pointer; may be NULL itself. */
	void (*cursor)(void *ctx, const struct display_cursor *c);
	void *ctx;
};

/* The ops are copied. NULL when there is no memory. */
struct display_sink *display_sink_new(struct display *d, const struct display_sink_ops *ops);
void display_sink_free(struct display_sink *s);
/* Brings the sink up to date. From any thread. */
void display_poll(struct display_sink *s);
/* Tells the source in charge which size the user would like; false when it cannot change. */
bool display_wish(struct display *d, unsigned int width, unsigned int height);

/* A copy of the screen as it is, for free(); NULL when there is no memory. */
struct surface *display_snapshot(struct display *d);

#endif
