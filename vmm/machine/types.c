/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of machines. */
#include "machine.h"

const struct machine_type *const machine_types[] = {
	&machine_q35, &machine_pc, &machine_micro, NULL,
};
