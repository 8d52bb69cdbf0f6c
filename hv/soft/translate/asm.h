/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the assembler: the heads of functions and of tables of them, and the number
 * of a TLB entry, as soft_tlb_index() has it.
 */
#include "offsets.h"

.macro func name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
.endm

/* What follows is data, up to .text. */
.macro table name
	.section .data.rel.ro, "aw", @progbits
	.globl	\name
	.hidden	\name
	.p2align 3
\name:
.endm

/* \index = that of address \reg in a mode's TLB; \tmp is clobbered. */
.macro tlb_index mode, reg, tmp, tmp32, index, index32
	mov	\reg, \tmp
	shr	$TLB_HIGH_SHIFT, \tmp
.if \mode == 0			/* MMU_USER */
	and	$TLB_USER_HIGH, \tmp32
.else
	mov	\reg, \index
	and	$TLB_SUPER_HIGH, \tmp32
	shr	$TLB_MID_SHIFT, \index
	and	$TLB_SUPER_MID, \index32
	or	\index32, \tmp32
.endif
	mov	\reg, \index
	and	soft_tlb_wide(%rip), \tmp32
	shr	$12, \index
	and	$((1 << TLB_LOW_BITS) - 1), \index32
	or	\tmp32, \index32
.endm
