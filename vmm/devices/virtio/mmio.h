/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The places for virtio devices of a machine without PCI. */
#ifndef VMM_DEVICES_VIRTIO_MMIO_H
#define VMM_DEVICES_VIRTIO_MMIO_H

#include "../../boot/acpi.h"
#include "../device.h"

#define VIRTIO_MMIO_BASE 0xd0000000u
#define VIRTIO_MMIO_SIZE 0x200u
#define VIRTIO_MMIO_SLOTS 32
#define VIRTIO_MMIO_GSI 16		/* 16 to 23, which slots share */
#define VIRTIO_MMIO_GSIS 8

/* Sets b->virtio_mmio; NULL when there is no memory. */
struct virtio_mmio_bus *virtio_mmio_new(struct board *b);
void virtio_mmio_free(struct virtio_mmio_bus *bus);
/* Lists the devices for the ACPI tables. */
void virtio_mmio_describe(const struct virtio_mmio_bus *bus, struct acpi_config *c);

#endif
