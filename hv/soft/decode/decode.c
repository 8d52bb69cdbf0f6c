/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding of guest instructions with Zydis, and the effective address of
 * their memory operand. Intel SDM vol. 2 (encodings), vol. 1, 3.7.5 (address
 * calculation).
 *
 * Instructions that reuse what older processors take for NOPs (MPX, CET,
 * CLDEMOTE) decode as those NOPs. Near branches in 64-bit mode ignore an
 * operand-size prefix, as Intel's processors do.
 *
 * Zydis may use vector registers: the caller has saved the guest's.
 */
#include <errno.h>

#include "decode.h"

#define MAX_LEN ZYDIS_MAX_INSTRUCTION_LENGTH

#define DECODER(mode, width) { \
	.machine_mode = ZYDIS_MACHINE_MODE_##mode, \
	.stack_width = ZYDIS_STACK_WIDTH_##width, \
	.decoder_mode = { \
		[ZYDIS_DECODER_MODE_LZCNT] = ZYAN_TRUE, \
		[ZYDIS_DECODER_MODE_TZCNT] = ZYAN_TRUE, \
	}, \
}

static const ZydisDecoder decoder_16 = DECODER(LEGACY_16, 16);
static const ZydisDecoder decoder_32 = DECODER(LEGACY_32, 32);
static const ZydisDecoder decoder_64 = DECODER(LONG_64, 64);

/* The number of a general register, or -1. */
static s8 gpr_number(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
		return (s8)(r - ZYDIS_REGISTER_RAX);
	if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
		return (s8)(r - ZYDIS_REGISTER_EAX);
	if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
		return (s8)(r - ZYDIS_REGISTER_AX);
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return INSN_RIP;
	return -1;
}

static s8 vector_number(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM31)
		return (s8)(r - ZYDIS_REGISTER_XMM0);
	if (r >= ZYDIS_REGISTER_YMM0 && r <= ZYDIS_REGISTER_YMM31)
		return (s8)(r - ZYDIS_REGISTER_YMM0);
	return (s8)(r - ZYDIS_REGISTER_ZMM0);
}

static u8 seg_number(ZydisRegister r)
{
	switch (r) {
	case ZYDIS_REGISTER_ES: return SEG_ES;
	case ZYDIS_REGISTER_CS: return SEG_CS;
	case ZYDIS_REGISTER_SS: return SEG_SS;
	case ZYDIS_REGISTER_FS: return SEG_FS;
	case ZYDIS_REGISTER_GS: return SEG_GS;
	default: return SEG_DS;
	}
}

static bool is_string(const ZydisDecodedInstruction *z)
{
	return z->meta.category == ZYDIS_CATEGORY_STRINGOP ||
	       z->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* REP and REPNE count for string instructions only; elsewhere they are opcode or nothing. */
static u16 repeat_flags(const ZydisDecodedInstruction *z)
{
	bool f3 = z->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
	bool f2 = z->attributes & ZYDIS_ATTRIB_HAS_REPNE;

	if (!is_string(z))
		return 0;
	/* Those that set no flags repeat alike under both. */
	if (!(z->attributes & ZYDIS_ATTRIB_ACCEPTS_REPE))
		return f2 || f3 ? INSN_REP : 0;
	return f2 ? INSN_REPNE : f3 ? INSN_REP : 0;
}

/* The operand size that the descriptor-table instructions have outside 64-bit mode. */
static u8 table_opsize(const ZydisDecodedInstruction *z, u32 bits)
{
	bool prefix = z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE;

	if (bits == 64)
		return 8;
	return (bits == 32) != prefix ? 4 : 2;
}

static void set_sizes(struct insn *in, const ZydisDecodedInstruction *z, u32 bits)
{
	in->opsize = z->operand_width / 8;
	in->addrsize = z->address_width / 8;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_LGDT:
	case ZYDIS_MNEMONIC_LIDT:
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT:
		in->opsize = table_opsize(z, bits);
		break;
	default:
		break;
	}
}

/* Register fields from the encoding prefix, whose bits VEX and later have inverted. */
static void set_registers(struct insn *in, const ZydisDecodedInstruction *z)
{
	u8 r = 0, b = 0;

	switch (z->encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		r = !z->raw.vex.R;
		b = !z->raw.vex.B;
		in->vvvv = ~z->raw.vex.vvvv & 15;
		in->start = z->raw.vex.offset;
		break;
	case ZYDIS_INSTRUCTION_ENCODING_EVEX:
		r = !z->raw.evex.R;
		b = !z->raw.evex.B;
		in->vvvv = (~z->raw.evex.vvvv & 15) | (z->raw.evex.V2 ? 0 : 16);
		in->start = z->raw.evex.offset;
		break;
	case ZYDIS_INSTRUCTION_ENCODING_XOP:
		r = !z->raw.xop.R;
		b = !z->raw.xop.B;
		in->vvvv = ~z->raw.xop.vvvv & 15;
		in->start = z->raw.xop.offset;
		break;
	default:
		if (z->attributes & ZYDIS_ATTRIB_HAS_REX) {
			in->flags |= INSN_REX;
			r = z->raw.rex.R;
			b = z->raw.rex.B;
		}
		in->start = z->raw.prefix_count;
		break;
	}
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    z->encoding != ZYDIS_INSTRUCTION_ENCODING_3DNOW)
		in->flags |= INSN_VEX;
	if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		in->flags |= INSN_MODRM;
		in->modrm_off = z->raw.modrm.offset;
		in->modrm = in->bytes[in->modrm_off];
		in->reg = (u8)((in->modrm >> 3 & 7) | r << 3);
		in->rm = (u8)((in->modrm & 7) | b << 3);
	} else {
		in->rm = (u8)((z->opcode & 7) | b << 3);
	}
}

static void set_address(struct insn *in, const ZydisDecodedOperand *o)
{
	in->seg = seg_number(o->mem.segment);
	in->base = gpr_number(o->mem.base);
	if (o->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
		in->flags |= INSN_VSIB;
		in->index = vector_number(o->mem.index);
	} else {
		in->index = gpr_number(o->mem.index);
	}
	in->scale = o->mem.scale ? o->mem.scale : 1;
	in->disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;
	in->mem_size = (u8)MIN(o->size / 8, 255);
}

static void set_access(struct insn *in, const ZydisDecodedOperand *o)
{
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		in->flags |= INSN_MEM_READ;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		in->flags |= INSN_MEM_WRITE;
}

/* Memory operands that Zydis calls read and the processor does not, or not wholly. */
static void correct_access(struct insn *in, const ZydisDecodedInstruction *z)
{
	if (!(in->flags & INSN_MEM))
		return;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		in->mem_size = 1;
		break;
	case ZYDIS_MNEMONIC_INVLPG:
	case ZYDIS_MNEMONIC_CLDEMOTE:
		in->flags &= ~(INSN_MEM_READ | INSN_MEM_WRITE);
		in->flags |= INSN_HINT;
		break;
	default:
		if (z->meta.category == ZYDIS_CATEGORY_PREFETCH ||
		    z->meta.category == ZYDIS_CATEGORY_NOP ||
		    z->meta.category == ZYDIS_CATEGORY_WIDENOP) {
			in->flags &= ~(INSN_MEM_READ | INSN_MEM_WRITE);
			in->flags |= INSN_HINT;
		}
	}
}

/* An operand that the opcode implies: of strings, XLAT, MASKMOVQ.., but not the stack. */
static void set_hidden(struct insn *in, const ZydisDecodedInstruction *z,
		       const ZydisDecodedOperand *o)
{
	s8 base = gpr_number(o->mem.base);

	if (base == REG_RSP || base == REG_RBP || (in->flags & INSN_MEM))
		return;
	if (is_string(z)) {
		set_access(in, o);
		in->mem_size = (u8)(o->size / 8);
		/* The source's segment counts; ES:rDI only where there is no other. */
		if (base == REG_RSI || in->base < 0) {
			in->seg = seg_number(o->mem.segment);
			in->base = base;
		}
		return;
	}
	set_access(in, o);
	set_address(in, o);
}

static void set_operands(struct insn *in, const ZydisDecodedInstruction *z,
			 const ZydisDecodedOperand *op)
{
	bool imm_seen = false;
	u32 i;

	for (i = 0; i < z->operand_count; i++) {
		const ZydisDecodedOperand *o = &op[i];

		switch (o->type) {
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) {
				set_hidden(in, z, o);
				break;
			}
			in->flags |= INSN_MEM;
			set_access(in, o);
			set_address(in, o);
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			if (imm_seen)
				in->imm2 = o->imm.value.s;
			else
				in->imm = o->imm.value.s;
			imm_seen = true;
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			in->imm = o->ptr.offset;
			in->imm2 = o->ptr.segment;
			break;
		default:
			break;
		}
	}
	correct_access(in, z);
}

/* CLZERO's, of whose memory Zydis tells nothing: the last prefix that names one counts. */
static u8 segment_of_clzero(const ZydisDecodedInstruction *z, u32 bits)
{
	u8 seg = SEG_DS;

	for (int i = 0; i < z->raw.prefix_count; i++) {
		u8 b = z->raw.prefixes[i].value;

		if (b == 0x64 || b == 0x65)
			seg = SEG_FS + (b & 1);
		else if (bits != 64 && (b & 0xe7) == 0x26)	/* 26, 2e, 36, 3e */
			seg = SEG_ES + (b >> 3 & 3);
	}
	return seg;
}

static void insn_fill(struct insn *in, const ZydisDecodedInstruction *z,
		      const ZydisDecodedOperand *op, u32 bits)
{
	in->mnemonic = (u16)z->mnemonic;
	in->len = z->length;
	in->opcode = z->opcode;
	in->map = (u8)z->opcode_map;
	in->category = (u8)z->meta.category;
	in->isa_ext = (u8)z->meta.isa_ext;
	in->seg = SEG_DS;
	in->base = in->index = -1;
	in->scale = 1;
	in->imm_off = z->raw.imm[0].offset;
	in->imm_size = z->raw.imm[0].size / 8;
	in->flags = repeat_flags(z);
	if (z->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		in->flags |= INSN_LOCK;
	if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		in->flags |= INSN_FAR;
	set_sizes(in, z, bits);
	set_registers(in, z);
	set_operands(in, z, op);
	if (z->mnemonic == ZYDIS_MNEMONIC_CLZERO)
		in->seg = segment_of_clzero(z, bits);
	insn_set_mask(in, z, op, bits);
}

/* Encodings that Zydis knows and no processor that we may run on. */
static bool is_foreign(const ZydisDecodedInstruction *z)
{
	switch (z->meta.isa_ext) {
	case ZYDIS_ISA_EXT_KNC:
	case ZYDIS_ISA_EXT_KNCE:
	case ZYDIS_ISA_EXT_KNCV:
		return true;
	case ZYDIS_ISA_EXT_AMD3DNOW:
		return z->meta.category != ZYDIS_CATEGORY_PREFETCH;
	default:
		/* PREFETCHW of a register: a NOP to Intel, #UD to AMD. */
		return z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->opcode == 0x0d &&
		       z->raw.modrm.mod == 3;
	}
}

/*
 * AMD's other way to CR8, which Zydis does not know: LOCK in front of MOV from
 * or to CR0. It is decoded without the LOCK.
 */
static ZyanStatus decode_locked_mov_cr(const ZydisDecoder *d, ZydisDecodedInstruction *z,
				       ZydisDecodedOperand *op, const u8 *bytes, u32 avail)
{
	u8 rest[MAX_LEN];
	ZyanStatus status;
	u32 i = 0;

	while (i < avail && bytes[i] != 0xf0)
		i++;
	if (i == avail)
		return ZYDIS_STATUS_ILLEGAL_LOCK;
	avail = MIN(avail, MAX_LEN);
	host_memcpy(rest, bytes, i);
	host_memcpy(rest + i, bytes + i + 1, avail - i - 1);
	status = ZydisDecoderDecodeFull(d, rest, avail - 1, z, op);
	if (ZYAN_FAILED(status))
		return status;
	if (z->opcode_map != ZYDIS_OPCODE_MAP_0F || (z->opcode & 0xfd) != 0x20)
		return ZYDIS_STATUS_ILLEGAL_LOCK;
	z->attributes |= ZYDIS_ATTRIB_HAS_LOCK;
	z->length++;
	z->raw.modrm.offset++;
	z->raw.rex.offset++;
	z->raw.prefix_count++;
	return status;
}

ZyanStatus insn_decode_zydis(ZydisDecodedInstruction *z, ZydisDecodedOperand *op, const u8 *bytes,
			     u32 avail, u32 bits)
{
	const ZydisDecoder *d = bits == 64 ? &decoder_64 : bits == 32 ? &decoder_32 : &decoder_16;
	ZyanStatus status = ZydisDecoderDecodeFull(d, bytes, avail, z, op);

	if (unlikely(status == ZYDIS_STATUS_ILLEGAL_LOCK))
		return decode_locked_mov_cr(d, z, op, bytes, avail);
	if (unlikely(ZYAN_SUCCESS(status) && is_foreign(z)))
		return ZYDIS_STATUS_DECODING_ERROR;
	return status;
}

void insn_from_zydis(struct insn *in, const ZydisDecodedInstruction *z,
		     const ZydisDecodedOperand *op, const u8 *bytes, u32 bits)
{
	host_memset(in, 0, sizeof(*in));
	host_memcpy(in->bytes, bytes, z->length);
	insn_fill(in, z, op, bits);
}

int insn_decode(struct insn *in, const u8 *bytes, u32 avail, u32 bits)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZyanStatus status;

	host_memset(in, 0, sizeof(*in));
	if (avail > MAX_LEN)
		avail = MAX_LEN;
	if (!avail)
		return -EAGAIN;
	status = insn_decode_zydis(&z, op, bytes, avail, bits);
	if (unlikely(ZYAN_FAILED(status))) {
		host_memcpy(in->bytes, bytes, avail);
		if (status == ZYDIS_STATUS_NO_MORE_DATA && avail < MAX_LEN)
			return -EAGAIN;
		if (status == ZYDIS_STATUS_NO_MORE_DATA ||
		    status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
			in->len = MAX_LEN + 1;
		return -EINVAL;
	}
	insn_from_zydis(in, &z, op, bytes, bits);
	return 0;
}

u64 insn_ea(const struct vcpu *v, const struct insn *in)
{
	u64 ea = (u64)in->disp;

	if (in->base == INSN_RIP)
		ea += v->rip + in->len;
	else if (in->base >= 0)
		ea += v->gpr[in->base & 15];
	if (in->index >= 0 && !(in->flags & INSN_VSIB))
		ea += v->gpr[in->index & 15] * in->scale;
	return in->addrsize == 8 ? ea : in->addrsize == 4 ? (u32)ea : (u16)ea;
}
