/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of the screen in files. */
#ifndef VMM_DISPLAY_IMAGE_H
#define VMM_DISPLAY_IMAGE_H

#include "display.h"

enum image_format { IMAGE_PNG, IMAGE_PPM };

/* Writes a file, or replaces one when it is whole: 0 or -errno. */
int image_write(const char *path, const struct surface *s, enum image_format format);

#endif
