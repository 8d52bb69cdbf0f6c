/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A decoded guest instruction in the form that the translator and the
 * emulation of system instructions share.
 */
#ifndef HV_SOFT_INSN_H
#define HV_SOFT_INSN_H

#include <Zydis/Mnemonic.h>

#include "../cpu/vcpu.h"

#define INSN_LOCK BIT(0)
#define INSN_REP BIT(1)		/* F3 */
#define INSN_REPNE BIT(2)	/* F2 */
#define INSN_MEM BIT(3)		/* has a memory operand (ModRM or moffs) */
#define INSN_MEM_READ BIT(4)
#define INSN_MEM_WRITE BIT(5)
#define INSN_MODRM BIT(6)
#define INSN_FAR BIT(7)
#define INSN_REX BIT(8)		/* a REX prefix is there: byte registers 4..7 are SPL.. */
#define INSN_VSIB BIT(9)	/* index is a vector register */
#define INSN_VEX BIT(10)	/* VEX, EVEX or XOP encoding; ModRM fields lack EVEX's fifth bits */
#define INSN_HINT BIT(11)	/* memory operand is not accessed: PREFETCHx, NOP, INVLPG */

#define INSN_RIP 16		/* insn.base of a RIP-relative operand */

/* Memory operands that a mask cuts into elements, of which some are not accessed. */
enum insn_mask {
	MASK_NONE,
	MASK_BITS,		/* element i by bit i of an opmask register, modulo elems */
	MASK_PACKED,		/* as many of the first elements as the opmask has bits */
	MASK_SIGNS,		/* by the sign of element i of a vector register */
	MASK_WRITE,		/* as MASK_BITS, but the whole must be accessible */
};

struct insn {
	u16 mnemonic;		/* ZYDIS_MNEMONIC_* */
	u16 flags;		/* INSN_* */
	u8 len;			/* bytes */
	u8 opsize;		/* operand size in bytes: 1, 2, 4 or 8 */
	u8 addrsize;		/* address size in bytes: 2, 4 or 8 */
	u8 opcode;		/* last opcode byte */
	u8 modrm;		/* the raw byte */
	/*
	 * ModRM fields with REX bits; rm: a register when no INSN_MEM, and
	 * the register of those that have it in the opcode (PUSH, BSWAP..).
	 */
	u8 reg, rm;
	u8 seg;			/* SEG_* of the memory operand (or string source) */
	s8 base, index;		/* GPR numbers, -1: none, base may be INSN_RIP */
	u8 scale;		/* 1, 2, 4, 8 */
	u8 mem_size;		/* bytes accessed, saturated at 255 */
	s64 disp;
	s64 imm;		/* sign-extended as the instruction defines; branch: displacement */
	s64 imm2;		/* second immediate: far selector, ENTER's level */
	u8 bytes[16];
	/* For who patches the bytes or sorts by kind. */
	u8 start;		/* legacy and REX prefixes before the opcode, VEX or EVEX byte */
	u8 modrm_off;		/* offset of the ModRM byte, with INSN_MODRM */
	u8 imm_off, imm_size;	/* the first immediate or branch displacement; size 0: none */
	u8 map;			/* ZYDIS_OPCODE_MAP_* */
	u8 vvvv;		/* VEX.vvvv as a register number, 0 without VEX */
	u8 category;		/* ZYDIS_CATEGORY_* */
	u8 isa_ext;		/* ZYDIS_ISA_EXT_* */
	/* The memory operand's elements and what it demands (decode/masked.c, translate/). */
	u8 mask;		/* enum insn_mask */
	u8 mask_reg;		/* opmask or vector register */
	u8 mask_bits;		/* bits of the mask that count: broadcasts have more than elems */
	u8 elem, elems;		/* bytes of an element in memory, how many there are */
	u8 align;		/* misaligned is #GP; 0 or 1: any address will do */
	u8 waits_x87;		/* a pending x87 exception comes first */
};

/* Result of an emulated instruction. */
enum emu {
	EMU_NEXT,	/* done; the caller advances v->rip past it */
	EMU_JUMP,	/* done; v->rip is set */
	EMU_FAULT,	/* an exception was raised; v->rip still points at it */
	EMU_EXIT,	/* user space must act (v->run, MMIO); the instruction will restart */
	EMU_EXIT_NEXT,	/* done and advanced, and user space must act before the next one */
	EMU_HALT,	/* HLT: done and advanced */
	EMU_GONE,	/* guest memory is not there any more; v->rip still points at it */
	EMU_UNHANDLED,	/* not something this emulator knows */
};

/*
 * Decodes one instruction at bytes (at most avail <= 15 of them). bits: 16, 32
 * or 64, the default size of code. 0; -EAGAIN when it runs past avail; -EINVAL
 * when no such instruction exists (#UD; #GP if longer than 15 bytes: in->len
 * is 16 then, and 0 otherwise).
 */
int insn_decode(struct insn *in, const u8 *bytes, u32 avail, u32 bits);

/* Effective address (offset in the segment) of the memory operand, at v->rip = its start. */
u64 insn_ea(const struct vcpu *v, const struct insn *in);

static inline u64 reg_read(const struct vcpu *v, u8 r, u8 size)
{
	return size == 8 ? v->gpr[r] : v->gpr[r] & (BIT64(size * 8) - 1);
}

/* Writes as instructions do: 4 bytes clear the upper half, 1 and 2 keep the rest. */
static inline void reg_write(struct vcpu *v, u8 r, u64 val, u8 size)
{
	if (size == 8)
		v->gpr[r] = val;
	else if (size == 4)
		v->gpr[r] = (u32)val;
	else
		v->gpr[r] = (v->gpr[r] & ~(BIT64(size * 8) - 1)) | (val & (BIT64(size * 8) - 1));
}

/* Byte registers, where 4..7 without a REX prefix are AH, CH, DH, BH. */
static inline u8 reg8_read(const struct vcpu *v, const struct insn *in, u8 r)
{
	return r >= 4 && r < 8 && !(in->flags & INSN_REX) ? (u8)(v->gpr[r - 4] >> 8) : (u8)v->gpr[r];
}

static inline void reg8_write(struct vcpu *v, const struct insn *in, u8 r, u8 val)
{
	if (r >= 4 && r < 8 && !(in->flags & INSN_REX))
		v->gpr[r - 4] = (v->gpr[r - 4] & ~0xff00ull) | (u64)val << 8;
	else
		v->gpr[r] = (v->gpr[r] & ~0xffull) | val;
}

/* --- emulation (emulate/) --------------------------------------------------- */

typedef enum emu (*emu_fn)(struct vcpu *v, const struct insn *in);

/*
 * The C handler of an instruction that cannot run as itself in mode `bits`
 * (16, 32 or 64): NULL for those that can (plain computation) and for those
 * that the translator knows itself.
 */
emu_fn emu_lookup(const struct insn *in, u32 bits);

/* Event delivery through the IVT or IDT (engine_ops.deliver). */
enum emu emu_deliver(struct vcpu *v, u8 vector, bool soft_int, bool has_error, u32 error);

#endif
