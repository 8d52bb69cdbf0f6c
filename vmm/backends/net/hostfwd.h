/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A port of the host that is forwarded to the guest, as the user gives it. */
#ifndef VMM_BACKENDS_NET_HOSTFWD_H
#define VMM_BACKENDS_NET_HOSTFWD_H

#include <netinet/in.h>

#include "../../types.h"

struct hostfwd {
	bool udp;
	struct in_addr host, guest;
	int host_port, guest_port;
};

/*
 * tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT. The host's address is 127.0.0.1 unless
 * given, so that nobody else reaches the guest; the guest's is 10.0.2.15.
 * 0, or -1 for another text.
 */
int hostfwd_parse(struct hostfwd *f, const char *text);

#endif
