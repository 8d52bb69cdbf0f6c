/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of the memory balloon. */
#ifndef VMM_CONTROL_BALLOON_H
#define VMM_CONTROL_BALLOON_H

#include "commands.h"

extern const struct qmp_command balloon_commands[];	/* ended by a name of NULL */

#endif
