/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keyboard controller, with or without a keyboard and a mouse. */
#ifndef VMM_DEVICES_INPUT_I8042_H
#define VMM_DEVICES_INPUT_I8042_H

#include "../../backends/input.h"
#include "../bus.h"
#include "../irq.h"
#include "../power/power.h"

#define I8042_KEYBOARD_IRQ 1
#define I8042_MOUSE_IRQ 12

struct i8042;

/* What is plugged in: a keyboard and a mouse that take events from in, or nothing (in NULL). */
struct i8042_config {
	struct power_ops power;		/* for its reset line */
	struct irq_line keyboard, mouse;
	struct input *in;
};

/* NULL when there is no memory or the ports are taken. */
struct i8042 *i8042_new(struct bus *ports, const struct i8042_config *c);
void i8042_free(struct i8042 *k);

#endif
