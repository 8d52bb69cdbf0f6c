/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding in two steps, for the translator, which needs Zydis' own view of
 * an instruction beside struct insn.
 */
#ifndef HV_SOFT_DECODE_H
#define HV_SOFT_DECODE_H

#include <Zydis/Zydis.h>

#include "../insn.h"

/* op has room for ZYDIS_MAX_OPERAND_COUNT; bits as for insn_decode. */
ZyanStatus insn_decode_zydis(ZydisDecodedInstruction *z, ZydisDecodedOperand *op, const u8 *bytes,
			     u32 avail, u32 bits);
void insn_from_zydis(struct insn *in, const ZydisDecodedInstruction *z,
		     const ZydisDecodedOperand *op, const u8 *bytes, u32 bits);
/* masked.c: fills in->mask and its kin; the rest of in is there already. */
void insn_set_mask(struct insn *in, const ZydisDecodedInstruction *z,
		   const ZydisDecodedOperand *op, u32 bits);

#endif
