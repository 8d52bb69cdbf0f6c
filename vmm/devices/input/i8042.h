/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keyboard controller, without a keyboard: for its reset line. */
#ifndef VMM_DEVICES_INPUT_I8042_H
#define VMM_DEVICES_INPUT_I8042_H

#include "../bus.h"
#include "../power/power.h"

struct i8042;

/* NULL when there is no memory or the ports are taken. */
struct i8042 *i8042_new(struct bus *ports, const struct power_ops *ops);
void i8042_free(struct i8042 *k);

#endif
