/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vector instructions whose memory operand the translator cannot rewrite:
 * MASKMOVQ, MASKMOVDQU and VMASKMOVDQU store selected bytes at rDI.
 *
 * Intel SDM vol. 2. The registers are live in the host's.
 */
#include "emulate.h"

#define XMM(n)                                                              \
	case n:                                                             \
		__asm__ volatile("movups %%xmm" #n ", (%0)" ::"r"(out) : "memory"); \
		break;
#define MM(n)                                                               \
	case n:                                                             \
		__asm__ volatile("movq %%mm" #n ", (%0)" ::"r"(out) : "memory"); \
		break;

static void read_xmm(u8 reg, u8 *out)
{
	switch (reg & 15) {
	XMM(0) XMM(1) XMM(2) XMM(3) XMM(4) XMM(5) XMM(6) XMM(7)
	XMM(8) XMM(9) XMM(10) XMM(11) XMM(12) XMM(13) XMM(14) XMM(15)
	}
}

static void read_mm(u8 reg, u8 *out)
{
	switch (reg & 7) {
	MM(0) MM(1) MM(2) MM(3) MM(4) MM(5) MM(6) MM(7)
	}
}

/* CR0 and CR4 allow the instruction. */
static enum emu vector_check(struct vcpu *v, const struct insn *in)
{
	bool avx = in->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
	bool sse = in->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU;

	if (avx ? !(v->cr4 & X86_CR4_OSXSAVE) || (v->xcr0 & 6) != 6
		: (v->cr0 & X86_CR0_EM) || (sse && !(v->cr4 & X86_CR4_OSFXSR)))
		return emu_raise_ud(v);
	if (v->cr0 & X86_CR0_TS) {
		vcpu_raise(v, EXC_NM);
		return EMU_FAULT;
	}
	emu_need_fpu(v);
	return EMU_NEXT;
}

/* An x87 exception that waits is told by the next MMX instruction, MASKMOVQ too. */
static enum emu x87_check(struct vcpu *v)
{
	u16 status;

	__asm__ volatile("fnstsw %0" : "=a"(status));
	if (!(status & 0x80))
		return EMU_NEXT;
	vcpu_raise(v, EXC_MF);
	return EMU_FAULT;
}

/* The bytes of data whose mask has the top bit, in one piece for each run of them. */
static enum emu write_masked(struct vcpu *v, u64 linear, const u8 *data, const u8 *mask, u32 size,
			     u32 access)
{
	u32 i = 0, n;

	while (i < size) {
		for (n = 0; i + n < size && (mask[i + n] & 0x80); n++)
			;
		if (n)
			TRY(mem_write(v, linear + i, data + i, n, access));
		i += n + 1;
	}
	return EMU_NEXT;
}

/* Faults are those of the whole operand, whatever the mask (as AMD's Zen 5 has it). */
EMU_HANDLER(emu_maskmov)
{
	u32 size = in->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? 8 : 16;
	u32 access = MMU_WRITE | (in->seg == SEG_SS ? MMU_STACK : 0);
	u64 offset = reg_read(v, REG_RDI, in->addrsize), linear;
	u8 data[16], mask[16];

	TRY(vector_check(v, in));
	if (size == 8) {
		TRY(x87_check(v));
		read_mm(in->reg, data);
		read_mm(in->rm, mask);
	} else {
		read_xmm(in->reg, data);
		read_xmm(in->rm, mask);
	}
	TRY(seg_linear(v, in->seg, offset, size, MMU_WRITE, &linear));
	TRY(mem_probe_write(v, linear, size, access));
	return write_masked(v, linear, data, mask, size, access);
}
