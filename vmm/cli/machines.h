/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The running machines of this user, for the commands about them. */
#ifndef VMM_CLI_MACHINES_H
#define VMM_CLI_MACHINES_H

#include "../control/client.h"

/* Connects to the machine of this name or process id: 0, or -1 after an error line. */
int machines_open(struct client_qmp *c, const char *name, u64 timeout_ns);

/* Calls fn(ctx) for the name and the connection of every machine that answers, by name. */
int machines_each(void (*fn)(void *ctx, const char *name, struct client_qmp *c), void *ctx);

#endif
