/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which bits of an address pick its entry of the software TLB, for translated
 * code, assembly and C alike: those that PEXT takes out where that is quick,
 * else neighbouring ones, which need no more than a shift (translate/offsets.h).
 */
#include "soft.h"

u32 soft_tlb_mid, soft_tlb_high;

void soft_tlb_pick_all(void)
{
	soft_tlb_mid = 1u << TLB_LOW_BITS;
	soft_tlb_high = 3u << (TLB_LOW_BITS + 1);
}

u64 soft_tlb_picked(void)
{
	return (u64)TLB_LOW_MASK << PAGE_SHIFT | (u64)soft_tlb_mid << TLB_MID_SHIFT |
	       (u64)soft_tlb_high << TLB_HIGH_SHIFT;
}
