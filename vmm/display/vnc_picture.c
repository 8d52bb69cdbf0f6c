/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The surface as libvncserver has it: see vnc_picture.h. */
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "vnc_library.h"
#include "vnc_picture.h"

#define CURSOR_BYTES (DISPLAY_CURSOR_SIZE * DISPLAY_CURSOR_SIZE)

/* Red comes first in the bytes of libvncserver's own format. */
static u32 swap(u32 p)
{
	return (p & 0xff00) | p >> 16 | (p & 0xff) << 16;
}

void vnc_picture_resize(rfbScreenInfoPtr s, const struct surface *surface)
{
	char *old = s->frameBuffer, *to;

	to = calloc((size_t)surface->width * surface->height, sizeof(u32));
	if (!to) {
		error("out of memory for the VNC screen");
		return;		/* updates are clipped to the old size */
	}
	rfb.NewFramebuffer(s, to, (int)surface->width, (int)surface->height, 8, 3, 4);
	free(old);
}

void vnc_picture_update(rfbScreenInfoPtr s, const struct surface *surface,
			const struct display_rect *r)
{
	unsigned int width = (unsigned int)s->width, height = (unsigned int)s->height;
	unsigned int x1 = r->x + r->w < width ? r->x + r->w : width;
	unsigned int y1 = r->y + r->h < height ? r->y + r->h : height, x, y;

	for (y = r->y; y < y1; y++) {
		const u32 *from = surface->pixels + (size_t)y * surface->stride;
		u32 *to = (u32 *)s->frameBuffer + (size_t)y * width;

		for (x = r->x; x < x1; x++)
			to[x] = swap(from[x]);
	}
	if (r->x < x1 && r->y < y1)
		rfb.MarkRectAsModified(s, (int)r->x, (int)r->y, (int)x1, (int)y1);
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

void vnc_picture_cursor(rfbScreenInfoPtr s, const struct display_cursor *c)
{
	rfb.SetCursor(s, c ? make_cursor(c) : NULL);
}
