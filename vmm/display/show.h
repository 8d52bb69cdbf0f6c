/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the screen is shown: the option --display. */
#ifndef VMM_DISPLAY_SHOW_H
#define VMM_DISPLAY_SHOW_H

#include "../backends/input.h"
#include "display.h"

struct show;
struct console_tap;

/* What a display shows and steers. */
struct show_config {
	struct display *display;
	struct input *input;
	struct console_tap *tap;	/* the serial console */
	const char *name;		/* of the machine, or NULL */
};

/* Opens what the option says, and tells where it is: NULL after an error line. */
struct show *show_open(const struct show_config *c, const char *option);
void show_free(struct show *s);

#endif
