/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every class of devices that --device makes. Each is defined in its own file. */
#include "device.h"

extern const struct device_class ac97_class;
extern const struct device_class cdrom_class;
extern const struct device_class e1000_class;
extern const struct device_class i6300esb_class;
extern const struct device_class ide_cd_class;
extern const struct device_class ide_disk_class;
extern const struct device_class pcie_port_class;
extern const struct device_class sata_cd_class;
extern const struct device_class sata_disk_class;
extern const struct device_class vga_class;
extern const struct device_class virtio_9p_class;
extern const struct device_class virtio_balloon_class;
extern const struct device_class virtio_blk_class;
extern const struct device_class virtio_console_class;
extern const struct device_class virtio_gpu_class;
extern const struct device_class virtio_keyboard_class;
extern const struct device_class virtio_mouse_class;
extern const struct device_class virtio_net_class;
extern const struct device_class virtio_rng_class;
extern const struct device_class virtio_scsi_class;
extern const struct device_class virtio_tablet_class;
extern const struct device_class virtio_vsock_class;

const struct device_class *const device_classes[] = {
	&ac97_class,
	&cdrom_class,
	&e1000_class,
	&i6300esb_class,
	&ide_cd_class,
	&ide_disk_class,
	&pcie_port_class,
	&sata_cd_class,
	&sata_disk_class,
	&vga_class,
	&virtio_9p_class,
	&virtio_balloon_class,
	&virtio_blk_class,
	&virtio_console_class,
	&virtio_gpu_class,
	&virtio_keyboard_class,
	&virtio_mouse_class,
	&virtio_net_class,
	&virtio_rng_class,
	&virtio_scsi_class,
	&virtio_tablet_class,
	&virtio_vsock_class,
	NULL,
};
