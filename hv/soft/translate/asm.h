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

/* \index (its lower half: \index32) = the number of address \reg's TLB entry. */
.macro tlb_index reg, index, index32
	mov	\reg, \index
	shr	$12, \index32
.endm
