/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QMP's commands on the screen, the keyboard and the pointer. */
#ifndef VMM_CONTROL_SCREEN_H
#define VMM_CONTROL_SCREEN_H

#include "../backends/loop.h"
#include "commands.h"

struct display;
struct input;
struct screen;

/* NULL when there is no memory. */
struct screen *screen_new(struct loop *l, struct display *d, struct input *in);
void screen_free(struct screen *s);

/* Ended by one without a name; they act on the screen that was made. */
extern const struct qmp_command screen_commands[];

#endif
