/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What probe.c and its guest, probe_guest.S, agree on. Also read by the assembler. */
#ifndef VMM_MACHINE_PROBE_GUEST_H
#define VMM_MACHINE_PROBE_GUEST_H

/* Guest-physical layout; all memory is zero but the code. */
#define PROBE_RAM 0x200000
#define PROBE_CODE 0x1000	/* also the 32-bit entry point */
#define PROBE_STACK 0x8000	/* top */
#define PROBE_IDT 0x9000
#define PROBE_PML4 0x10000
#define PROBE_PDPT 0x11000
#define PROBE_PD_LOW 0x12000
#define PROBE_PT_LOW 0x13000
#define PROBE_PD_WALK 0x14000
#define PROBE_PT_WALK 0x15000	/* four tables */
#define PROBE_DATA 0x80000	/* the pages that the walk finds */

#define PROBE_WALK_VA 0x40000000
#define PROBE_WALK_PAGES 2048	/* linear */
#define PROBE_DATA_PAGES 16	/* physical */
#define PROBE_ROUNDS 4
#define PROBE_FAULT_VA 0x80000000
#define PROBE_FAULTS 16

#define PROBE_LOOPS 0x80000
#define PROBE_MUL 6364136223846793005
#define PROBE_ADD 1442695040888963407

/* The guest writes 32 bits to this port: the steps in this order, then two halves of a sum. */
#define PROBE_PORT 0x5f0
#define PROBE_STEP_START 1
#define PROBE_STEP_LONG 2
#define PROBE_STEP_COMPUTED 3
#define PROBE_STEP_WALKED 4
#define PROBE_STEP_FAULTED 5

#endif
