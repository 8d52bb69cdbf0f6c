/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Registers of the PCI configuration space (PCI 3.0, chapter 6; PCI Express, chapter 7). */
#ifndef VMM_DEVICES_PCI_REGS_H
#define VMM_DEVICES_PCI_REGS_H

#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_REVISION 0x08
#define PCI_CLASS 0x09
#define PCI_CACHE_LINE 0x0c
#define PCI_LATENCY 0x0d
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0 0x10
#define PCI_SUBSYSTEM_VENDOR 0x2c
#define PCI_SUBSYSTEM 0x2e
#define PCI_ROM 0x30
#define PCI_CAPABILITIES 0x34
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d

#define PCI_COMMAND_IO (1 << 0)
#define PCI_COMMAND_MEMORY (1 << 1)
#define PCI_COMMAND_MASTER (1 << 2)
#define PCI_COMMAND_INTX_OFF (1 << 10)
#define PCI_COMMAND_WRITABLE 0x0547	/* with parity, SERR# and the three above */

#define PCI_STATUS_INTX (1 << 3)
#define PCI_STATUS_CAPABILITIES (1 << 4)
#define PCI_STATUS_W1C 0xf900

#define PCI_HEADER_BRIDGE 0x01
#define PCI_HEADER_MULTI 0x80
#define PCI_ROM_ENABLE 0x01

/* Of a bridge */
#define PCI_PRIMARY_BUS 0x18
#define PCI_SECONDARY_BUS 0x19
#define PCI_SUBORDINATE_BUS 0x1a
#define PCI_BRIDGE_IO_BASE 0x1c
#define PCI_BRIDGE_MEMORY_BASE 0x20
#define PCI_BRIDGE_PREFETCH_BASE 0x24
#define PCI_BRIDGE_CONTROL 0x3e

#define PCI_CLASS_DISPLAY 0x03

#define PCI_CAP_PM 0x01
#define PCI_CAP_MSI 0x05
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_EXPRESS 0x10
#define PCI_CAP_MSIX 0x11
#define PCI_CAP_SATA 0x12

#define PCI_MSI_ENABLE (1 << 0)
#define PCI_MSIX_ENABLE (1 << 15)
#define PCI_MSIX_MASK_ALL (1 << 14)

#define PCI_VENDOR_INTEL 0x8086
#define PCI_VENDOR_REDHAT 0x1af4	/* virtio */
#define PCI_SUBSYSTEM_ANY 0x1100

#endif
