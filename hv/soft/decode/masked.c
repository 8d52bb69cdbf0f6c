/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory operands of which a mask chooses the elements: those left out are not
 * accessed and do not fault. Intel SDM vol. 1, 15.6.3 (masking in EVEX
 * instructions) and 15.8.3 (fault suppression); vol. 2, 2.8 (exception classes,
 * whose names end in NF where nothing is suppressed), VMASKMOV, VPMASKMOV.
 */
#include "decode.h"

static bool suppresses_faults(const ZydisDecodedInstruction *z)
{
	switch (z->meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_E1:
	case ZYDIS_EXCEPTION_CLASS_E2:
	case ZYDIS_EXCEPTION_CLASS_E3:
	case ZYDIS_EXCEPTION_CLASS_E4:
	case ZYDIS_EXCEPTION_CLASS_E5:
	case ZYDIS_EXCEPTION_CLASS_E6:
	case ZYDIS_EXCEPTION_CLASS_E10:
	case ZYDIS_EXCEPTION_CLASS_E11:
		break;
	default:
		return false;
	}
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_VCVTNE2PS2BF16:	/* class E4NF, which Zydis takes for E4 */
	case ZYDIS_MNEMONIC_VDBPSADBW:
	case ZYDIS_MNEMONIC_VGF2P8AFFINEQB:
	case ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB:
		return false;
	default:
		return true;
	}
}

/* How many elements of the result the operand's are spread over; 0: no broadcast. */
static u8 broadcast_to(ZydisBroadcastMode mode)
{
	switch (mode) {
	case ZYDIS_BROADCAST_MODE_1_TO_2:
		return 2;
	case ZYDIS_BROADCAST_MODE_1_TO_4:
	case ZYDIS_BROADCAST_MODE_2_TO_4:
		return 4;
	case ZYDIS_BROADCAST_MODE_1_TO_8:
	case ZYDIS_BROADCAST_MODE_2_TO_8:
	case ZYDIS_BROADCAST_MODE_4_TO_8:
		return 8;
	case ZYDIS_BROADCAST_MODE_1_TO_16:
	case ZYDIS_BROADCAST_MODE_2_TO_16:
	case ZYDIS_BROADCAST_MODE_4_TO_16:
	case ZYDIS_BROADCAST_MODE_8_TO_16:
		return 16;
	case ZYDIS_BROADCAST_MODE_1_TO_32:
		return 32;
	case ZYDIS_BROADCAST_MODE_1_TO_64:
		return 64;
	default:
		return 0;
	}
}

static bool packed(const ZydisDecodedInstruction *z)
{
	return z->meta.category == ZYDIS_CATEGORY_COMPRESS ||
	       z->meta.category == ZYDIS_CATEGORY_EXPAND;
}

static void mask_evex(struct insn *in, const ZydisDecodedInstruction *z)
{
	u8 to = broadcast_to(z->avx.broadcast.mode);

	if (z->avx.mask.reg <= ZYDIS_REGISTER_K0 || z->avx.mask.reg > ZYDIS_REGISTER_K7)
		return;
	if (suppresses_faults(z))
		in->mask = packed(z) ? MASK_PACKED : MASK_BITS;
	else if (in->flags & INSN_MEM_WRITE)
		in->mask = MASK_WRITE;
	in->mask_reg = (u8)(z->avx.mask.reg - ZYDIS_REGISTER_K0);
	in->mask_bits = to ? to : in->elems;
}

static void mask_vex(struct insn *in, const ZydisDecodedInstruction *z, u32 bits)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		in->mask = MASK_SIGNS;
		in->mask_reg = bits == 64 ? in->vvvv : in->vvvv & 7;
		in->mask_bits = in->elems;
		break;
	default:
		break;
	}
}

void insn_set_mask(struct insn *in, const ZydisDecodedInstruction *z,
		   const ZydisDecodedOperand *op, u32 bits)
{
	const ZydisDecodedOperand *mem = op, *end = op + z->operand_count_visible;

	if ((in->flags & (INSN_MEM | INSN_VEX | INSN_VSIB)) != (INSN_MEM | INSN_VEX))
		return;
	while (mem < end && mem->type != ZYDIS_OPERAND_TYPE_MEMORY)
		mem++;
	if (mem == end || !mem->element_size || mem->element_size > 64 ||
	    mem->element_size % 8 || mem->size > 512 || mem->size < mem->element_size)
		return;
	in->elem = (u8)(mem->element_size / 8);
	in->elems = (u8)(mem->size / mem->element_size);
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		mask_evex(in, z);
	else if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		mask_vex(in, z, bits);
}
