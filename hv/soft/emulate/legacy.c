/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions that 64-bit mode dropped: decimal adjustment and SALC; and
 * XLAT.
 *
 * Intel SDM vol. 2 (each instruction). The flags that the manuals leave
 * undefined are those that AMD's processors compute: of the addition or
 * subtraction that makes the adjustment, on AX for AAA and AAS, on AL for the
 * others.
 */
#include "emulate.h"

/* The host's own addition and subtraction, with flags in the form of v->arith. */
#define ARITH_OP(name, insn, type)                                             \
	static type name(type a, type b, u16 *arith)                           \
	{                                                                      \
		u16 ax;                                                        \
                                                                               \
		__asm__(insn " %[b], %[a]; seto %%al; lahf"                    \
			: [a] "+q"(a), "=&a"(ax)                               \
			: [b] "q"(b)                                           \
			: "cc");                                               \
		*arith = ax;                                                   \
		return a;                                                      \
	}

ARITH_OP(add8, "addb", u8)
ARITH_OP(sub8, "subb", u8)
ARITH_OP(add16, "addw", u16)
ARITH_OP(sub16, "subw", u16)

static inline void set_carries(struct vcpu *v, u16 arith, bool af, bool cf)
{
	v->arith = (u16)((arith & ~((X86_FL_AF | X86_FL_CF) << 8)) |
			 (af ? X86_FL_AF << 8 : 0) | (cf ? X86_FL_CF << 8 : 0));
}

static enum emu ascii_adjust(struct vcpu *v, bool add)
{
	u16 arith, ax = (u16)v->gpr[REG_RAX];
	bool adjust = (ax & 15) > 9 || (v->arith >> 8 & X86_FL_AF);
	u16 by = adjust ? 0x106 : 0;

	ax = add ? add16(ax, by, &arith) : sub16(ax, by, &arith);
	set_carries(v, arith, adjust, adjust);
	reg_write(v, REG_RAX, ax & 0xff0f, 2);
	return EMU_NEXT;
}

EMU_HANDLER(emu_aaa)
{
	(void)in;
	return ascii_adjust(v, true);
}

EMU_HANDLER(emu_aas)
{
	(void)in;
	return ascii_adjust(v, false);
}

static enum emu decimal_adjust(struct vcpu *v, bool add)
{
	u8 al = (u8)v->gpr[REG_RAX], by = 0;
	bool af = (al & 15) > 9 || (v->arith >> 8 & X86_FL_AF);
	bool high = al > 0x99 || (v->arith >> 8 & X86_FL_CF), cf = high;
	u16 arith;

	if (af)
		by += 6;
	if (high)
		by += 0x60;
	/* DAS borrows also where only the low digit was adjusted. */
	if (!add && af && al < 6)
		cf = true;
	al = add ? add8(al, by, &arith) : sub8(al, by, &arith);
	set_carries(v, arith, af, cf);
	reg_write(v, REG_RAX, al, 1);
	return EMU_NEXT;
}

EMU_HANDLER(emu_daa)
{
	(void)in;
	return decimal_adjust(v, true);
}

EMU_HANDLER(emu_das)
{
	(void)in;
	return decimal_adjust(v, false);
}

EMU_HANDLER(emu_aam)
{
	u8 al = (u8)v->gpr[REG_RAX], base = (u8)in->imm;
	u16 arith;

	if (!base) {
		vcpu_raise(v, EXC_DE);
		return EMU_FAULT;
	}
	reg_write(v, REG_RAX, (u64)(al / base) << 8 | add8(al % base, 0, &arith), 2);
	v->arith = arith;
	return EMU_NEXT;
}

EMU_HANDLER(emu_aad)
{
	u16 arith, ax = (u16)v->gpr[REG_RAX];
	u8 al = add8((u8)ax, (u8)((ax >> 8) * (u8)in->imm), &arith);

	v->arith = arith;
	reg_write(v, REG_RAX, al, 2);
	return EMU_NEXT;
}

EMU_HANDLER(emu_salc)
{
	(void)in;
	reg_write(v, REG_RAX, v->arith >> 8 & X86_FL_CF ? 0xff : 0, 1);
	return EMU_NEXT;
}

EMU_HANDLER(emu_xlat)
{
	u64 offset = (v->gpr[REG_RBX] + (u8)v->gpr[REG_RAX]) & emu_mask(in->addrsize);
	u8 val;

	TRY(emu_load(v, in->seg, offset, &val, 1, 1));
	reg_write(v, REG_RAX, val, 1);
	return EMU_NEXT;
}
