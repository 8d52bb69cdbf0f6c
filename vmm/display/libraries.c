/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The libraries of --display, of the versions that this was built with. */
#include "../late.h"
#include "../types.h"
#include "vnc_library.h"
#include "web_library.h"

#define VNC_NAME(name) LATE_NAME(rfb##name),
#define WEB_NAME(name) LATE_NAME(lws_##name),

struct vnc_library rfb;
struct web_library lws;

int vnc_library_load(void)
{
	static const char *const names[] = { VNC_FUNCTIONS(VNC_NAME) };

	return late_load(VNC_SONAME, names, &rfb, ARRAY_SIZE(names));
}

int web_library_load(void)
{
	static const char *const names[] = { WEB_FUNCTIONS(WEB_NAME) };

	return late_load(WEB_SONAME, names, &lws, ARRAY_SIZE(names));
}
