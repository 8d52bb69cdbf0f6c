/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where translated code and entry.S find things relative to RSP, as plain
 * numbers that the assembler can read. engine.c asserts them.
 */
#ifndef HV_SOFT_OFFSETS_H
#define HV_SOFT_OFFSETS_H

/*
 * Below struct vcpu: what the stacks of programs are checked by, and the first places for
 * what checks for several accesses find, all within a short displacement. Calls from
 * translated code push their addresses above that; C's stack begins below.
 */
#define C_STACK 128
#define OFF_STACK_SITES -128
#define STACK_SITES 4
#define OFF_SHARE_NEAR -64
#define SHARE_NEAR 4
#define OFF_DELTA 0
#define OFF_REQUEST 8
#define OFF_ARITH 12
#define OFF_IF 14
#define OFF_SHADOW 15
#define OFF_RET_TOP 16		/* of two access modes, */
#define OFF_GPR 24
#define OFF_SEG 152
#define SIZEOF_SEG 24
#define OFF_RIP 344
#define OFF_SYSFLAGS 352
#define OFF_SITE_SAVE 360
#define OFF_SCRATCH0 376
#define OFF_SCRATCH1 384
#define OFF_CR4 568
#define OFF_TSC_OFFSET 2176
#define OFF_TSC_SCALE 2184
#define TSC_SAME_RATE 0x1000000000000
#define OFF_RET_TOP_LAST 392	/* and of the third */
#define HELPER_LEAVES 1		/* no address of code */

/* struct soft_cpu and what stands at its beginning: the TLBs, the sites. */
#define SOFT_CPU_OFFSET 0x4000
/*
 * The number of an address's entry is its bits 12 to 31: a move and a shift of its lower
 * half. There is memory for 2^TLB_BITS entries, which is mapped TLB_VIEWS times, each time
 * behind the last; so no more of it is touched, wherever a guest's programs are.
 */
#define TLB_BITS 19
#define TLB_VIEWS (1 << (20 - TLB_BITS))
#define TLB_ARRAY_SIZE (TLB_VIEWS * 8 << TLB_BITS)
#define TLB_WTAG TLB_ARRAY_SIZE		/* behind rtag */
#define TLB_DELTA (2 * TLB_ARRAY_SIZE)
#define TLB_MODE_SIZE (3 * TLB_ARRAY_SIZE + (8 << TLB_BITS))
#define TLB_MODES 3
#define VICTIM_BITS 12
#define VICTIM_MODE_SIZE (32 << VICTIM_BITS)
#define SITES 4096
/*
 * The host's CPU takes a load for one of what has just been stored where the low 12 bits of
 * the address are the same, and loses time. No site is where translated code stores into
 * struct vcpu, or right below it: of those in a page not the first SITES_APART, nor the last
 * SITES_BELOW.
 */
#define SITES_A_PAGE 256
#define SITES_APART 48
#define SITES_BELOW (-(OFF_SHARE_NEAR) / 16)
#define SITE_CLASSES 6
#define SITE_MODE_SIZE (16 * SITES * SITE_CLASSES)
/*
 * The tag of a site that holds nothing: no canonical address is in this page. A delta of 0
 * with it makes the host's #GP or #SS what is the guest's #GP anyway. Its upper two bits
 * differ from both halves of the address space.
 */
#define SITE_EMPTY 0x9e3779b97f4a7000
#define SITE_LIST_MAX (SITES * SITE_CLASSES)
#define OFF_TLB SOFT_CPU_OFFSET
#define OFF_VICTIM (OFF_TLB + TLB_MODES * TLB_MODE_SIZE)
#define OFF_SITE (OFF_VICTIM + TLB_MODES * VICTIM_MODE_SIZE)
#define OFF_SITE_LIST (OFF_SITE + TLB_MODES * SITE_MODE_SIZE)
#define OFF_SITE_COUNT (OFF_SITE_LIST + TLB_MODES * 2 * 2 * SITE_LIST_MAX)
#define OFF_SITE_PAGES (OFF_SITE_COUNT + TLB_MODES * 2 * 4)
#define SITE_PAGES 4096
#define OFF_FILLS (OFF_SITE_PAGES + TLB_MODES * 2 * SITE_PAGES / 8)
#define FILLS_SITES 0
#define FILLS_VICTIMS 8
#define FILLS_GROUPS 16
#define FILLS_STACK 24
#define OFF_JC (OFF_FILLS + 40)	/* no entry is in two lines of the host's cache */
#define JC_BITS 15
#define JC_WAY_SIZE (16 << JC_BITS)
#define JC_MODE_SIZE (2 * JC_WAY_SIZE)
/* Byte offset of rip's entry in way n: (u32)rip * JC_HASHn >> JC_SHIFT & ~15. */
#define JC_HASH0 0x9e3779b1
#define JC_HASH1 0x85ebca6b
#define OFF_FAR (OFF_JC + TLB_MODES * JC_MODE_SIZE)
#define FAR_SLOTS (512 << 10)
#define OFF_RET ((OFF_FAR + 8 * FAR_SLOTS + 4095) & ~4095)
#define RET_APART 0x300		/* as SITES_APART: entries begin behind that */
#define RET_ENTRIES ((65536 - RET_APART) / 16)
#define RET_GUARD 65536		/* a page without memory, behind the entries */
#define RET_MODE_SIZE (RET_GUARD + 4096)
#define RET_BOTTOM (OFF_RET + RET_APART)	/* of mode 0: the place of the entry that is none */
#define JC_SHIFT (32 - JC_BITS - 4)

/* The fill routines of the stack's sites, behind those of the classes: the second for writing. */
#define FILL_STACK_READ SITE_CLASSES
#define STACK_FILLS 2

/* What stands before the call of a fill routine, by distance from its end. */
#define SITE_CALL 8		/* bytes between: they compute the address */
#define SITE_AT -29		/* s32: the site's place */
#define SITE_INFO -25		/* u32: MISS_* */
#define SITE_GPA32 -21		/* u32: of the instruction */
#define SITE_BOUND -17		/* u16: last offset in the page */
#define SITE_MASK -15		/* u16: bits of the offset that must be 0 */
#define SITE_GROUP_BIT 0x20	/* MISS_GROUP in the second byte of MISS_* */
/* How near to its page's end an operand may begin that goes into a SITE_CONST_* */
#define SITE_SEG_MAX (4096 - 256)	/* offsets in the page that SITE_SEG_* hold */

#endif
