/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a monitor says of itself. */
#ifndef VMM_DISPLAY_EDID_H
#define VMM_DISPLAY_EDID_H

#include "../types.h"

#define EDID_SIZE 128

/* The block of a monitor that likes one size best. Sizes are below 4096 pixels. */
void edid_make(u8 edid[EDID_SIZE], unsigned int width, unsigned int height);

#endif
