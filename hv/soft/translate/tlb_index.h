/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the assembler: the number of a TLB entry, as soft_tlb_index() has it. */

/* \index = that of address \reg; \tmp is clobbered. */
.macro tlb_index reg, tmp, tmp32, index, index32
	mov	\reg, \index
	mov	\reg, \tmp
	shr	$12, \index
	shr	$TLB_HIGH_SHIFT, \tmp
	and	soft_tlb_low(%rip), \index32
	and	soft_tlb_high(%rip), \tmp32
	or	\tmp32, \index32
.endm
