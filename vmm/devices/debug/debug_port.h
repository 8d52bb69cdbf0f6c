/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ports that firmware and small kernels print to: 0x402 and 0xe9. */
#ifndef VMM_DEVICES_DEBUG_DEBUG_PORT_H
#define VMM_DEVICES_DEBUG_DEBUG_PORT_H

#include "../bus.h"

/* Adds the ports; their output goes to the descriptor fd. 0 or -errno. */
int debug_port_add(struct bus *ports, int fd);

#endif
