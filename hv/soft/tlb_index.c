/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which bits of an address pick its entry of the software TLB, for translated
 * code, assembly and C alike: those that PEXT takes out where that is quick,
 * else neighbouring ones, which need no more than a shift (translate/offsets.h).
 */
#include "soft.h"

u32 soft_tlb_wide;

void soft_tlb_pick_all(void)
{
	soft_tlb_wide = ~0u;
}

u64 soft_tlb_picked(bool user)
{
	u64 mid = user ? 0 : TLB_SUPER_MID, high = user ? TLB_USER_HIGH : TLB_SUPER_HIGH;

	return (u64)TLB_LOW_MASK << PAGE_SHIFT | (mid & soft_tlb_wide) << TLB_MID_SHIFT |
	       (high & soft_tlb_wide) << TLB_HIGH_SHIFT;
}
