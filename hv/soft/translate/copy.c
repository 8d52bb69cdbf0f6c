/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions that run as themselves: encoded again with the guest's general
 * registers replaced by the host's that hold them and the memory operand by
 * [S0], everything else byte for byte. A guest register that lives in memory
 * is read or written there, where one operand may be memory.
 */
#include "emit.h"

/* A guest register that lives elsewhere while one instruction runs. */
struct substitute {
	s8 guest, host;
	bool load, store;
};

struct encoding {
	struct substitute sub[3];
	int nsub;
	bool mem, high;
	int reg, rm, vvvv;	/* host GPR numbers, -1: not a GPR */
	int opcode_reg;
	int slot;		/* the guest register whose place in memory is the r/m operand, -1 */
	bool flip;		/* ... which was the other one */
	u8 opcode;
};

static bool writes(const ZydisDecodedOperand *op)
{
	return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

static bool must_load(const struct xinsn *xi, const ZydisDecodedOperand *op)
{
	return (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) || op->size < 32 ||
	       (op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE) ||
	       xi->zi.mnemonic == ZYDIS_MNEMONIC_BSF || xi->zi.mnemonic == ZYDIS_MNEMONIC_BSR;
}

/* Picks the host register for guest in this instruction. */
static int assign(struct encoding *e, const struct xinsn *xi, const ZydisDecodedOperand *op,
		  int guest)
{
	bool s0_used = e->mem, s1_used = false;
	struct substitute *s;

	if (host_reg[guest] >= 0 && !(e->high && host_reg[guest] >= 8))
		return host_reg[guest];
	for (int i = 0; i < e->nsub; i++) {
		s = &e->sub[i];
		if (s->guest == guest) {
			s->load |= must_load(xi, op);
			s->store |= writes(op);
			return s->host;
		}
	}
	for (int i = 0; i < e->nsub; i++) {
		s = &e->sub[i];
		/* A register only written may share with one only read. */
		if (s->guest >= 0 && !s->store && writes(op) && !must_load(xi, op) &&
		    e->nsub == 2) {
			e->sub[e->nsub++] = (struct substitute){ (s8)guest, s->host, false, true };
			return s->host;
		}
		s0_used |= s->host == S0;
		s1_used |= s->host == S1;
	}
	s = &e->sub[e->nsub++];
	*s = (struct substitute){ (s8)guest, 0, must_load(xi, op), writes(op) };
	if (e->high)
		s->host = S0;
	else if (!s1_used)
		s->host = S1;
	else if (!s0_used || writes(op))
		s->host = S0;	/* the address is read before a result is written */
	else
		s->host = S0;
	return s->host;
}

/* ADD..CMP, MOV and TEST of two registers: which of them is r/m is a bit of the opcode. */
static bool two_ways(const ZydisDecodedInstruction *zi)
{
	return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	       ((zi->opcode < 0x40 && (zi->opcode & 7) < 4) ||
		(zi->opcode >= 0x84 && zi->opcode < 0x8c && (zi->opcode & ~1u) != 0x86));
}

/* May its r/m operand be memory, and mean the same? */
static bool may_be_memory(const ZydisDecodedInstruction *zi)
{
	u8 op = zi->opcode;

	if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		return zi->opcode_map == ZYDIS_OPCODE_MAP_0F3A ? op == 0xf0 :
		       zi->opcode_map == ZYDIS_OPCODE_MAP_0F38 && op >= 0xf2 && op <= 0xf7;
	if (zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return (op & 0xf0) == 0x40 || (op & 0xf6) == 0xa4 || op == 0xaf ||
		       (op & 0xf6) == 0xb6 || op == 0xb8 || op == 0xba || op == 0xbc || op == 0xbd;
	return zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	       (two_ways(zi) || op == 0x63 || op == 0x69 || op == 0x6b ||
		(op >= 0x80 && op < 0x84) || op == 0xc0 || op == 0xc1 || (op & 0xfc) == 0xd0 ||
		op == 0xc7 || op == 0xf7 || (op == 0xff && zi->raw.modrm.reg < 2));
}

/*
 * Picks a register that lives in memory for the r/m operand. What is written must be
 * all of it: the next to read it whole would wait for a part.
 */
static void choose_slot(struct encoding *e, const struct xinsn *xi)
{
	bool high, test = (xi->zi.opcode & ~1u) == 0x84;
	int enc = ZYDIS_OPERAND_ENCODING_MODRM_RM;

	if (e->mem || e->high || !may_be_memory(&xi->zi))
		return;
	for (int way = 0; way < (two_ways(&xi->zi) ? 2 : 1); way++) {
		for (int i = 0; i < xi->zi.operand_count_visible; i++) {
			const ZydisDecodedOperand *op = &xi->op[i];
			int g;

			if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !is_gpr(op->reg.value) ||
			    (int)op->encoding != enc || (writes(op) && op->size != 64))
				continue;
			g = gpr_number(op->reg.value, &high);
			if (host_reg[g] >= 0)
				continue;
			e->slot = g;
			e->flip = way;
			if (way && !test)
				e->opcode ^= 2;
			return;
		}
		enc = ZYDIS_OPERAND_ENCODING_MODRM_REG;
	}
}

static void operands(struct encoding *e, const struct xinsn *xi)
{
	int slot_enc;
	bool high;

	e->reg = e->rm = e->vvvv = e->opcode_reg = e->slot = -1;
	e->opcode = xi->zi.opcode;
	e->mem = xi->mem >= 0;
	for (int i = 0; i < xi->zi.operand_count; i++)
		if (xi->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    xi->op[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
		    is_gpr(xi->op[i].reg.value)) {
			gpr_number(xi->op[i].reg.value, &high);
			e->high |= high;
		}
	choose_slot(e, xi);
	slot_enc = e->slot < 0 ? -1 : e->flip ? ZYDIS_OPERAND_ENCODING_MODRM_REG :
						ZYDIS_OPERAND_ENCODING_MODRM_RM;
	/* Sources first, so that a pure destination may share a scratch register. */
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < xi->zi.operand_count; i++) {
			const ZydisDecodedOperand *op = &xi->op[i];
			int g, h;

			if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !is_gpr(op->reg.value) ||
			    op->encoding == ZYDIS_OPERAND_ENCODING_NONE ||
			    (int)op->encoding == slot_enc ||
			    pass != !must_load(xi, op))
				continue;
			g = gpr_number(op->reg.value, &high);
			h = high ? g + 4 : assign(e, xi, op, g);
			if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
				e->reg = h;
			else if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
				e->rm = h;
			else if (op->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
				e->vvvv = h;
			else if (op->encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
				e->opcode_reg = h;
		}
	}
	if (e->flip) {
		e->reg = e->rm;
		e->rm = -1;
	}
}

static bool byte_operand(const struct xinsn *xi)
{
	for (int i = 0; i < xi->zi.operand_count_visible; i++)
		if (xi->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(xi->op[i].reg.value) &&
		    xi->op[i].size == 8)
			return true;
	return false;
}

/* Is the operand-size prefix part of the instruction's meaning in 64-bit code? */
static bool wants_66(const struct xinsn *xi)
{
	bool word = false;

	if (xi->zi.operand_width != 16 ||
	    (xi->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && xi->zi.opcode >= 0xd8 &&
	     xi->zi.opcode <= 0xdf))
		return false;
	for (int i = 0; i < xi->zi.operand_count; i++) {
		const ZydisDecodedOperand *op = &xi->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			if (op->reg.value >= ZYDIS_REGISTER_ST0 &&
			    op->reg.value <= ZYDIS_REGISTER_ZMM31)
				return false;
			word |= is_gpr(op->reg.value) && op->size == 16;
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			word |= op->size == 16;
		}
	}
	return word;
}

static void legacy_prefixes(struct xl *x, const struct xinsn *xi)
{
	bool p66 = wants_66(xi);

	for (int i = 0; i < xi->zi.raw.prefix_count; i++) {
		u8 b = xi->zi.raw.prefixes[i].value;

		if (xi->zi.raw.prefixes[i].type != ZYDIS_PREFIX_TYPE_MANDATORY)
			continue;
		if (b == 0x66)
			p66 = true;
		else if (b == 0xf2 || b == 0xf3)
			e8(x, b);
	}
	if (p66)
		e8(x, 0x66);
	if (xi->zi.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		e8(x, 0xf0);
}

static void legacy(struct xl *x, const struct xinsn *xi, const struct encoding *e)
{
	const ZydisDecodedInstructionRawRex *raw = &xi->zi.raw.rex;
	int r = e->reg >= 0 ? e->reg >> 3 : raw->R;
	int b = e->rm >= 0 ? e->rm >> 3 : e->opcode_reg >= 0 ? e->opcode_reg >> 3 : raw->B;
	u8 rex, opcode = e->opcode;

	if (e->mem || e->slot >= 0 || (e->rm < 0 && e->opcode_reg < 0 && !(xi->zi.attributes & ZYDIS_ATTRIB_HAS_MODRM)))
		b = 0;
	legacy_prefixes(x, xi);
	rex = 0x40 | raw->W << 3 | r << 2 | b;
	if (e->mem && x->ref.index >= 8)
		rex |= 2;
	if (rex != 0x40 || (byte_operand(xi) && !e->high))
		e8(x, rex);
	switch (xi->zi.opcode_map) {
	case ZYDIS_OPCODE_MAP_0F:
		e8(x, 0x0f);
		break;
	case ZYDIS_OPCODE_MAP_0F38:
		e8(x, 0x0f), e8(x, 0x38);
		break;
	case ZYDIS_OPCODE_MAP_0F3A:
		e8(x, 0x0f), e8(x, 0x3a);
		break;
	default:
		if (opcode == 0x82)
			opcode = 0x80;
		if (MODE_BITS(x->mode) != MODE_64 && opcode >= 0x40 && opcode < 0x50) {
			e8(x, 0xff);	/* INC and DEC, whose short form is REX now */
			e8(x, 0xc0 | (opcode & 8) | (e->opcode_reg & 7));
			return;
		}
		break;
	}
	if (e->opcode_reg >= 0)
		opcode = (opcode & ~7) | (e->opcode_reg & 7);
	e8(x, opcode);
}

/* Outside 64-bit mode W means nothing to what works on general registers. */
static bool ignores_w(const struct xinsn *xi, const struct encoding *e)
{
	switch (xi->zi.mnemonic) {
	case ZYDIS_MNEMONIC_VCVTSI2SS:
	case ZYDIS_MNEMONIC_VCVTSI2SD:
	case ZYDIS_MNEMONIC_VCVTUSI2SS:
	case ZYDIS_MNEMONIC_VCVTUSI2SD:
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VPINSRD:
	case ZYDIS_MNEMONIC_VPEXTRD:
	case ZYDIS_MNEMONIC_VPCMPESTRI:
	case ZYDIS_MNEMONIC_VPCMPESTRM:
		return true;
	default:
		return e->reg >= 0 || e->rm >= 0 || e->vvvv >= 0;
	}
}

static void vex(struct xl *x, const struct xinsn *xi, const struct encoding *e)
{
	const u8 *raw = xi->bytes + xi->zi.raw.vex.offset;
	u8 b1, b2;

	if (raw[0] == 0xc4) {
		b1 = raw[1];
		b2 = raw[2];
	} else {
		b1 = (raw[1] & 0x80) | 0x61;
		b2 = raw[1] & 0x7f;
	}
	if (MODE_BITS(x->mode) != MODE_64) {
		b1 |= 0xe0;
		b2 |= 0x40;
		if (ignores_w(xi, e))
			b2 &= 0x7f;
	}
	if (e->mem)
		b1 = (b1 | 0x60) & (x->ref.index >= 8 ? ~0x40 : ~0);
	if (e->slot >= 0)
		b1 |= 0x60;
	if (e->reg >= 0)
		b1 = (b1 & 0x7f) | (e->reg & 8 ? 0 : 0x80);
	if (e->rm >= 0)
		b1 = (b1 & 0x9f) | 0x40 | (e->rm & 8 ? 0 : 0x20);
	if (e->vvvv >= 0)
		b2 = (b2 & 0x87) | (~e->vvvv & 15) << 3;
	e8(x, 0xc4), e8(x, b1), e8(x, b2), e8(x, xi->zi.opcode);
}

static void evex(struct xl *x, const struct xinsn *xi, const struct encoding *e)
{
	const u8 *raw = xi->bytes + xi->zi.raw.evex.offset;
	u8 p0 = raw[1], p1 = raw[2], p2 = raw[3];

	if (MODE_BITS(x->mode) != MODE_64) {
		p0 |= 0xf0;
		p1 |= 0x40;
		p2 |= 0x08;
		if (ignores_w(xi, e))
			p1 &= 0x7f;
	}
	if (e->mem)
		p0 = (p0 | 0x60) & (x->ref.index >= 8 ? ~0x40 : ~0);
	if (e->reg >= 0)
		p0 = (p0 & 0x6f) | 0x10 | (e->reg & 8 ? 0 : 0x80);
	if (e->rm >= 0)
		p0 = (p0 & 0x9f) | 0x40 | (e->rm & 8 ? 0 : 0x20);
	e8(x, 0x62), e8(x, p0), e8(x, p1), e8(x, p2), e8(x, xi->zi.opcode);
}

/* Bytes behind ModRM, SIB and displacement: the immediates. */
static u32 immediate_offset(const struct xinsn *xi)
{
	const ZydisDecodedInstruction *zi = &xi->zi;

	if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		return zi->raw.modrm.offset + 1 + (zi->raw.sib.offset ? 1 : 0) +
		       zi->raw.disp.size / 8;
	return zi->raw.imm[0].size ? zi->raw.imm[0].offset : zi->length;
}

/* Its immediate is a fourth register, of which there are eight outside 64-bit mode. */
static bool names_register(const struct xl *x, const struct xinsn *xi)
{
	if (MODE_BITS(x->mode) == MODE_64)
		return false;
	for (int i = 0; i < xi->zi.operand_count_visible; i++)
		if (xi->op[i].encoding == ZYDIS_OPERAND_ENCODING_IS4)
			return true;
	return false;
}

/* ModRM of the memory operand. EVEX scales short displacements: there only long ones. */
static void operand(struct xl *x, const struct xinsn *xi, int reg)
{
	bool evex = xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
	s32 disp = x->ref.disp;
	bool small = disp == 0 || (!evex && disp >= -128 && disp < 128);

	e8(x, (small ? 0x40 : 0x80) | (reg & 7) << 3 | (x->ref.index >= 0 ? 4 : S0));
	if (x->ref.index >= 0)
		e8(x, (x->ref.index & 7) << 3 | S0);
	if (small)
		e8(x, (u8)disp);
	else
		e32(x, (u32)disp);
}

static void encode(struct xl *x, const struct xinsn *xi, const struct encoding *e)
{
	const ZydisDecodedInstruction *zi = &xi->zi;

	if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		vex(x, xi, e);
	else if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		evex(x, xi, e);
	else
		legacy(x, xi, e);
	if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		int reg = e->reg >= 0 ? e->reg & 7 : zi->raw.modrm.reg;

		if (e->mem)
			operand(x, xi, reg);
		else if (e->slot >= 0)
			e_modrm_state(x, reg, gpr_slot(e->slot));
		else
			e8(x, 0xc0 | reg << 3 | (e->rm >= 0 ? e->rm & 7 : zi->raw.modrm.rm));
	}
	for (u32 i = immediate_offset(xi); i < zi->length; i++)
		e8(x, names_register(x, xi) ? xi->bytes[i] & 0x7f : xi->bytes[i]);
}

/* The alignment that the instruction demands of its memory operand; 1: none. */
static u32 alignment(const struct xinsn *xi, u32 size)
{
	if (xi->zi.meta.isa_set == ZYDIS_ISA_SET_SHA)
		return 1;
	if (xi->zi.mnemonic == ZYDIS_MNEMONIC_CVTPD2PI ||
	    xi->zi.mnemonic == ZYDIS_MNEMONIC_CVTTPD2PI)
		return 16;
	switch (xi->zi.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_SSE1:
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE4:
		break;
	case ZYDIS_EXCEPTION_CLASS_AVX1:
	case ZYDIS_EXCEPTION_CLASS_E1:
	case ZYDIS_EXCEPTION_CLASS_E1NF:
		return size;
	default:
		return xi->zi.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B ? 16 : 1;
	}
	switch (xi->zi.mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return 1;
	default:
		return size == 16 && xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? 16 : 1;
	}
}

u32 x_mem_size(const struct xinsn *xi)
{
	const ZydisDecodedOperand *op = &xi->op[xi->mem];

	if (xi->zi.avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID &&
	    !xi->zi.avx.broadcast.is_static && op->element_size)
		return op->element_size / 8;
	return op->size / 8 ? op->size / 8 : 1;
}

static bool uses_s0(const struct encoding *e)
{
	for (int i = 0; i < e->nsub; i++)
		if (e->sub[i].host == S0)
			return true;
	return false;
}

/* All its registers are the host's. */
static bool in_registers(const struct xinsn *xi)
{
	bool high;

	for (int i = 0; i < xi->zi.operand_count; i++) {
		const ZydisDecodedOperand *op = &xi->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(op->reg.value) &&
		    host_reg[gpr_number(op->reg.value, &high)] < 0)
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    ((is_gpr(op->mem.base) && host_reg[gpr_number(op->mem.base, &high)] < 0) ||
		     (is_gpr(op->mem.index) && host_reg[gpr_number(op->mem.index, &high)] < 0)))
			return false;
	}
	return true;
}

bool x_keeps_s0(const struct xinsn *xi, s8 group, bool flags)
{
	struct encoding e = { .nsub = 0 };

	switch (xi->kind) {
	case K_NOP:
		return true;
	case K_JCC:
		return flags;
	case K_LEA:
		return in_registers(xi);
	case K_PUSH:
	case K_POP:
		return xi->stack.group == group && xi->mem < 0 && !flags;
	case K_COPY:
		operands(&e, xi);
		if (uses_s0(&e))
			return false;
		if (e.mem)
			return xi->share.group == group && !e.high;
		return flags || !(xi->fl_read || (xi->fl_write && (xi->live_out & ~xi->fl_kill)));
	default:
		return false;
	}
}

void x_copy(struct xl *x, struct xinsn *xi)
{
	struct encoding e = { .nsub = 0 };
	enum flags_at fs = x->fs;

	operands(&e, xi);
	if (e.mem) {
		u32 size = x_mem_size(xi);

		xi->in.align = (u8)alignment(xi, size);
		x_memory_ref(x, xi, &xi->op[xi->mem], size, writes(&xi->op[xi->mem]),
			     xi->in.align);
		if (e.high)	/* no REX prefix for an index */
			x_flatten(x);
	}
	x_flags_for(x, xi, e.mem ? S1 : S0);
	for (int i = 0; i < e.nsub; i++)
		if (e.sub[i].load)
			x_get(x, e.sub[i].host, e.sub[i].guest);
	x->op_fs = x->fs;
	encode(x, xi, &e);
	for (int i = 0; i < e.nsub; i++)
		if (e.sub[i].store)
			x_put(x, e.sub[i].guest, e.sub[i].host);
	/* S0 is still what it was, or what is kept of the operand's group. */
	x->s0_kept = !uses_s0(&e) && (e.mem ? xi->share.group >= 0 : fs == x->fs);
	if (xi->fl_write)
		x_flags_written(x);
}

/* MOV between rAX and an absolute address. */
void x_moffs(struct xl *x, struct xinsn *xi)
{
	bool store = xi->zi.opcode & 2;
	u32 size = xi->op[xi->mem].size / 8;

	x_memory(x, xi, &xi->op[xi->mem], size, store, 1);
	if (size == 2)
		e8(x, 0x66);
	e_rex(x, size == 8, H_RAX, 0, S0);
	e8(x, (store ? 0x88 : 0x8a) | (size > 1));
	e_modrm_base(x, H_RAX, S0, 0);
}

void x_lea(struct xl *x, struct xinsn *xi)
{
	bool high;
	int g = gpr_number(xi->op[0].reg.value, &high), h = host_reg[g];
	u32 size = xi->op[0].size;

	if (size >= 32 && h >= 0 && !(size == 32 && xi->zi.address_width == 64 &&
				      xi->op[1].mem.base == ZYDIS_REGISTER_RIP)) {
		x_effective(x, xi, &xi->op[1], h, size == 64);
		x->s0_kept = in_registers(xi);
		return;
	}
	x_effective(x, xi, &xi->op[1], S0, true);
	if (size == 16) {
		e8(x, 0x66);
		if (h < 0)
			e_op_state(x, false, 0x89, S0, gpr_slot(g));
		else
			e_mov(x, false, h, S0);
		return;
	}
	if (size == 32)
		e_mov(x, false, S0, S0);
	x_put(x, g, S0);
}

/* BT family on memory, where the bit offset in a register moves the address. */
void x_bit_mem(struct xl *x, struct xinsn *xi)
{
	const ZydisDecodedOperand *mem = &xi->op[0];
	u32 size = xi->zi.operand_width / 8;
	bool high, w = size == 8;
	int g = gpr_number(xi->op[1].reg.value, &high), h;

	x_flags_clobber(x, xi);
	if (x->mode & MODE_BOUNCE) {
		x_memory(x, xi, mem, size, writes(mem), 1);
	} else {
		x_effective(x, xi, mem, S0, true);
		h = x_use(x, g, S1);
		if (size == 2) {
			e_rex(x, true, S1, 0, h);
			e8(x, 0x0f), e8(x, 0xbf);	/* movsx */
			e8(x, 0xc0 | (S1 & 7) << 3 | (h & 7));
		} else {
			e_op_rr(x, true, size == 4 ? 0x63 : 0x8b, S1, h);
		}
		e_rex(x, true, 0, 0, S1);
		e8(x, 0xc1), e8(x, 0xf8 | (S1 & 7)), e8(x, 3);	/* sar 3 */
		e_group1(x, true, 4, S1, -(s32)size);
		e_op_rr(x, xi->zi.address_width == 64, 0x01, S1, S0);
		if (xi->zi.address_width == 16) {
			e8(x, 0x0f), e8(x, 0xb7), e8(x, 0xed);	/* movzx ebp, bp */
		}
		x_check(x, xi, mem, size, writes(mem));
	}
	x_get(x, S1, g);
	e_group1(x, true, 4, S1, (s32)size * 8 - 1);
	x_flags_for(x, xi, -1);
	if (size == 2)
		e8(x, 0x66);
	if (xi->zi.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		e8(x, 0xf0);
	e_rex(x, w, S1, 0, S0);
	e8(x, 0x0f), e8(x, xi->zi.opcode);
	e_modrm_base(x, S1, S0, 0);
	x_flags_written(x);
}

/* DIV and IDIV of 32 and 64 bits, left to C whenever the quotient may not fit. */
void x_div(struct xl *x, struct xinsn *xi)
{
	bool w = xi->zi.operand_width == 64, sign = xi->zi.mnemonic == ZYDIS_MNEMONIC_IDIV, high;
	int h = S1;

	x_flags_clobber(x, xi);
	if (xi->mem >= 0) {
		x_memory(x, xi, &xi->op[xi->mem], w ? 8 : 4, false, 1);
		e_rex(x, w, S1, 0, S0);
		e8(x, 0x8b);
		e_modrm_base(x, S1, S0, 0);
	} else {
		h = x_use(x, gpr_number(xi->op[0].reg.value, &high), S1);
	}
	if (!(x->mode & MODE_BOUNCE) && !sign) {
		e_op_rr(x, w, 0x39, h, H_RDX);		/* cmp rdx, divisor */
		x_exit_if(x, xi, CC_AE, SOFT_DIVIDE);
	} else if (!(x->mode & MODE_BOUNCE)) {
		e_mov(x, w, S0, H_RAX);
		e_rex(x, w, 0, 0, S0);
		e8(x, 0xc1), e8(x, 0xf8 | S0), e8(x, w ? 63 : 31);
		e_op_rr(x, w, 0x39, H_RDX, S0);
		x_exit_if(x, xi, CC_NE, SOFT_DIVIDE);
		e_lea(x, w, S0, h, 1);
		e_group1(x, w, 7, S0, 1);
		x_exit_if(x, xi, CC_BE, SOFT_DIVIDE);
	}
	e_rex(x, w, 0, 0, h);
	e8(x, 0xf7), e8(x, (sign ? 0xf8 : 0xf0) | (h & 7));
	x_flags_written(x);
}
