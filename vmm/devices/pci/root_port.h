/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCI Express root ports, each with one slot for hot-plug. */
#ifndef VMM_DEVICES_PCI_ROOT_PORT_H
#define VMM_DEVICES_PCI_ROOT_PORT_H

#include "../device.h"
#include "pci.h"

struct root_port;

/* A port at a place of the root bus; id is what bus= names it. NULL after an error line. */
struct root_port *root_port_new(struct board *b, const char *id, unsigned int slot,
				unsigned int fn);
void root_port_free(struct root_port *p);

#endif
