/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the machine asks of the VGA. */
#ifndef VMM_DEVICES_DISPLAY_VGA_DEVICE_H
#define VMM_DEVICES_DISPLAY_VGA_DEVICE_H

#include "../../boot/boot.h"
#include "../device.h"

/* SeaBIOS's, which is read whenever a machine is made. */
#define VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"

struct vga_device;

/*
 * Sets the linear mode that its monitor likes, as firmware would have, and says
 * where it is; a size of 0: there is none. Before the machine starts.
 */
void vga_boot_screen(struct vga_device *g, struct boot_screen *s);

#endif
