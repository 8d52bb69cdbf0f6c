/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A board for tests of PCI devices: real buses and a real PCI host bridge with
 * PIIX3's identity in slot 1, memory, backends, and a VM that only notes what
 * is asked of it. The device under test is found by its vendor and device.
 */
#ifndef TESTS_UNIT_VMM_PC_FAKE_H
#define TESTS_UNIT_VMM_PC_FAKE_H

#include "../../../vmm/backends/registry.h"
#include "../../../vmm/devices/device.h"
#include "../../../vmm/devices/pci/pci.h"
#include "fake_vm.h"
#include "vmm_test.h"

#define PC_RAM (4 * MIB)
#define PC_BAR_MEM 0xe0000000u		/* where BAR n is put: + n MiB */
#define PC_BAR_IO 0xc000u		/* or + n * 256 */
#define PC_GSI 40			/* that INTA# to INTD# raise in fake_vm */

struct pc {
	struct board board;
	struct guest_memory mem;
	struct bus ports, mmio;
	struct vm vm;
	struct pci_device isa;
	struct pci_device *dev;		/* what pc_device made */
	unsigned int offs, resets;	/* what was asked of the power */
};

extern struct pc pc;

int pc_setup(void **state);
int pc_teardown(void **state);
/*
 * Makes a device by its class and properties; the PCI function that came (or
 * the one before) becomes pc.dev, with its BARs mapped. NULL after an error.
 */
struct device *pc_device(const struct device_class *class, const char *text);
void *pc_at(u64 gpa);
u32 pc_read(unsigned int bar, u64 offset, unsigned int size);
void pc_write(unsigned int bar, u64 offset, u32 value, unsigned int size);
void pc_config_write(unsigned int offset, u32 value, unsigned int size);
/* Whether an INTx line is up. */
bool pc_intx(void);

#endif
