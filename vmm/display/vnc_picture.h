/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the display shows, put into a screen of libvncserver. */
#ifndef VMM_DISPLAY_VNC_PICTURE_H
#define VMM_DISPLAY_VNC_PICTURE_H

#include <rfb/rfb.h>

#include "display.h"

void vnc_picture_resize(rfbScreenInfoPtr s, const struct surface *surface);
void vnc_picture_update(rfbScreenInfoPtr s, const struct surface *surface,
			const struct display_rect *r);
/* NULL: the guest draws its own. */
void vnc_picture_cursor(rfbScreenInfoPtr s, const struct display_cursor *c);

#endif
