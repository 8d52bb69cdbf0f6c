/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is used of libvncserver, which is loaded late (late.h): rfbName is rfb.Name here. */
#ifndef VMM_DISPLAY_VNC_LIBRARY_H
#define VMM_DISPLAY_VNC_LIBRARY_H

#include <rfb/rfb.h>

#define VNC_FUNCTIONS(F)                                                                           \
	F(CheckPasswordByList) F(CloseClient) F(FreeCursor) F(GetScreen) F(InitServer)             \
	F(LogEnable) F(MarkRectAsModified) F(NewClient) F(NewFramebuffer) F(ProcessEvents)         \
	F(RandomBytes) F(SetCursor) F(WriteExact)

#define VNC_POINTER(name) typeof(rfb##name) *name;

struct vnc_library {
	VNC_FUNCTIONS(VNC_POINTER)
};

extern struct vnc_library rfb;

/* Before any function: 0, or -1 after an error line. */
int vnc_library_load(void);

#endif
