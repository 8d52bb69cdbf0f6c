/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's memory: tables of the processor, handlers and arenas, as
 * guest_mem.c lays them out and guest.c refers to them.
 */
#ifndef TESTS_NATIVE_GUEST_H
#define TESTS_NATIVE_GUEST_H

#include <linux/kvm.h>

#include "native.h"

/* Guest-physical addresses. */
#define GPA_TABLES 0x1000	/* page tables, from here up */
#define GPA_TABLES_END 0x40000
#define GPA_GDT 0x40000
#define GPA_IDT 0x41000
#define GPA_TSS 0x42000
#define GPA_LDT 0x43000
#define GPA_HANDLERS 0x44000	/* a HLT every 16 bytes */
#define GPA_STACK 0x46000
#define GPA_STACK_TOP 0x48000
#define GPA_DATA 0x100000	/* of the low arena; the high one's follows */
#define GPA_DATA_STEP 0x10000
#define GPA_SYSTEM_SIZE 0x200000
#define GPA_CODE 0x1000000	/* of the low arena; the high one's follows */

/*
 * The page of arena i's data that is at DATA_OFFSET + off. No two follow each other
 * as they do there: what goes on behind the end of one meets memory that is none.
 */
static inline u64 guest_data_page(int i, u64 off)
{
	return GPA_DATA + (u64)i * GPA_DATA_STEP + 2 * (DATA_SIZE - 4096 - off);
}

/* Where the kernel's part is mapped. */
#define KERNEL_BASE64 0xffff800000000000ull
#define KERNEL_BASE32 0xf0000000ull

#define SEL_KERNEL32 0x08
#define SEL_KERNEL64 0x10
#define SEL_KERNELDS 0x18
#define SEL_TSS 0x40
#define SEL_LDT 0x50
#define GDT_LIMIT 0x7f

#define END_VECTOR 0x80

extern u8 *guest_system;	/* GPA 0 .. GPA_SYSTEM_SIZE */
extern u8 *guest_code[2];	/* the arenas' code */

u64 guest_kernel_base(void);
/* Fills guest_system and the exit pages. The page-table root's address. */
u64 guest_build_memory(void);
void guest_set_code16(u32 base);
/* The segment register that a selector of a test loads. */
struct kvm_segment guest_segment(u16 selector);

#endif
