/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stand-in for machine/vm.c that notes what devices ask of the VM. */
#ifndef TESTS_UNIT_VMM_FAKE_VM_H
#define TESTS_UNIT_VMM_FAKE_VM_H

#include "../../../vmm/machine/vm.h"

#define FAKE_LINES 64
#define FAKE_SLOTS 16
#define FAKE_DOORBELLS 16

struct fake_vm {
	bool line[FAKE_LINES];
	unsigned int rises[FAKE_LINES];
	unsigned int msis;
	u64 msi_addr;			/* of the last one */
	u32 msi_data;
	struct {
		u64 gpa, size;		/* size 0: free */
		void *host;
		unsigned int flags;
	} slot[FAKE_SLOTS];
	struct vm_doorbell doorbell[FAKE_DOORBELLS];
	unsigned int doorbells;
	struct {
		u64 addr;
		u32 data;
		bool used;
		int fd;			/* of the irqfd, or -1 */
	} gsi[FAKE_LINES];
};

extern struct fake_vm fake_vm;

#endif
