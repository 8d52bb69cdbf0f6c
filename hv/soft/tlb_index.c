/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which bits of an address pick its entry of the software TLB, for translated
 * code, assembly and C alike: those that PEXT takes out where that is quick,
 * else neighbouring ones, which need no more than a shift (translate/offsets.h).
 */
#include "soft.h"

#define LOW_ENTRIES (TLB_ENTRIES >> TLB_HIGH_BITS)

u32 soft_tlb_low = LOW_ENTRIES - 1, soft_tlb_high;

void soft_tlb_pick_high(void)
{
	soft_tlb_high = TLB_ENTRIES - LOW_ENTRIES;
}
