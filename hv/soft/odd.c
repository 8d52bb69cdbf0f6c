/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instructions in odd settings: the memory operand is MMIO, crosses pages,
 * lies where a segment ends, or the store hits translated code. The operand
 * goes through a bounce buffer and the instruction runs alone, as itself.
 */
#include "mmu/mmu.h"
#include "soft.h"

static bool is_bit_string(const struct insn *in)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return in->opcode != 0xba;
	default:
		return false;
	}
}

/* BT and kin with a register: the bit offset moves the operand. */
static u64 bit_offset(const struct vcpu *v, const struct insn *in)
{
	u64 val = v->gpr[in->reg];
	s64 bit = in->opsize == 8 ? (s64)val : in->opsize == 4 ? (s32)val : (s16)val;

	return (u64)((bit >> 3) & -(s64)in->opsize);
}

static u64 address_mask(const struct insn *in)
{
	return in->addrsize == 8 ? ~0ull : in->addrsize == 4 ? 0xffffffffull : 0xffffull;
}

enum emu soft_run_bounced(struct vcpu *v, struct block *b)
{
	u32 end = (u32)soft_go_once(v, b);

	switch (end) {
	case SOFT_NEXT:
	case SOFT_LOOKUP:
		if (!vcpu_64bit(v))
			v->rip = (u32)v->rip;
		return EMU_NEXT;
	case SOFT_NM:
		vcpu_raise(v, EXC_NM);
		return EMU_FAULT;
	case SOFT_UD:
		vcpu_raise(v, EXC_UD);
		return EMU_FAULT;
	case SOFT_HOST_FAULT:
		if (soft_cpu(v)->host_fault == EXC_GP)
			vcpu_raise_error(v, EXC_GP, 0);
		else
			vcpu_raise(v, soft_cpu(v)->host_fault & 31);
		return EMU_FAULT;
	default:
		return EMU_UNHANDLED;
	}
}

/* The linear address of offset ea in the operand's segment, before any check. */
static u64 unchecked(const struct vcpu *v, const struct insn *in, u64 ea)
{
	return vcpu_64bit(v) && in->seg < SEG_FS ? ea : ea + v->seg[in->seg].base;
}

enum emu soft_check_aligned(struct vcpu *v, const struct insn *in, u64 ea)
{
	if (in->align <= 1 || !(unchecked(v, in, ea) & (in->align - 1u)))
		return EMU_NEXT;
	vcpu_raise_error(v, EXC_GP, 0);
	return EMU_FAULT;
}

/* Masked elements each count for themselves, in VMASKMOV not at all (as AMD's Zen 5 has it). */
static u32 ac_alignment(const struct insn *in)
{
	u32 size = in->mask && in->mask != MASK_WRITE ? in->elem : in->mem_size;

	if (size == 10)		/* x87's extended format */
		return 8;
	if (in->align > 1 || in->mask == MASK_SIGNS || (size & (size - 1)))
		return 1;
	return MIN(size, AC_ALIGN_MAX);
}

enum emu soft_check_ac(struct vcpu *v, const struct insn *in, u64 ea)
{
	if (!(soft_cpu(v)->mode & MODE_ALIGN) || !(unchecked(v, in, ea) & (ac_alignment(in) - 1)))
		return EMU_NEXT;
	vcpu_raise_error(v, EXC_AC, 0);
	return EMU_FAULT;
}

/* What a store leaves alone must stay as it is: the buffer starts as memory is. */
static enum emu prefill(struct vcpu *v, u64 linear, u32 size)
{
	u8 *to = soft_cpu(v)->bounce;

	while (size) {
		u32 n = MIN(size, (u32)(PAGE_SIZE - (linear & ~PAGE_MASK)));
		const void *from = mem_ptr(v, linear, n, MMU_READ);

		if (!from)
			host_memset(to, 0, n);
		else if (host_guest_copy(to, from, n))
			return EMU_GONE;
		to += n;
		linear += n;
		size -= n;
	}
	return EMU_NEXT;
}

/* rip is already past the instruction when this returns EMU_JUMP. */
static enum emu bounce(struct vcpu *v, struct block *b, const struct insn *in)
{
	struct soft_cpu *c = soft_cpu(v);
	bool write = in->flags & INSN_MEM_WRITE;
	u32 access = write ? MMU_READ | MMU_WRITE : MMU_READ;
	u64 ea = insn_ea(v, in), start = v->rip, linear;
	enum emu e;

	if (is_bit_string(in))
		ea = (ea + bit_offset(v, in)) & address_mask(in);
	if (in->seg == SEG_SS)
		access |= MMU_STACK;
	e = soft_check_aligned(v, in, ea);
	if (e == EMU_NEXT)
		e = seg_linear(v, in->seg, ea, in->mem_size, access, &linear);
	if (e == EMU_NEXT)
		e = soft_check_ac(v, in, ea);
	if (e == EMU_NEXT && write)
		e = mem_probe_write(v, linear, in->mem_size, access);
	if (e == EMU_NEXT && (in->flags & INSN_MEM_READ))
		e = mem_read(v, linear, c->bounce, in->mem_size, access & ~MMU_WRITE);
	else if (e == EMU_NEXT)
		e = prefill(v, linear, in->mem_size);
	if (e == EMU_NEXT)
		e = soft_run_bounced(v, b);
	if (e == EMU_NEXT && write) {
		u64 next = v->rip;

		v->rip = start;		/* a device may ask who writes */
		e = mem_write(v, linear, c->bounce, in->mem_size, access);
		if (e == EMU_NEXT)
			v->rip = next;
	}
	return e == EMU_NEXT ? EMU_JUMP : e;
}

static bool x87_pending(const struct vcpu *v)
{
	u16 status = *(const u16 *)(v->xsave + 2);

	if (v->fpu_loaded)
		__asm__ volatile("fnstsw %0" : "=m"(status));
	return status & BIT(7);
}

/* soft_find() had nothing. */
static enum emu no_code(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);

	if (v->exc.pending)
		return EMU_FAULT;
	if (c->no_room) {	/* the exit makes some; it starts again */
		c->no_room = false;
		return EMU_FAULT;
	}
	if (c->lost) {
		c->lost = false;
		soft_flush_tlb(v, false);
		return EMU_FAULT;	/* without an exception, too */
	}
	return c->gone ? EMU_GONE : EMU_UNHANDLED;
}

enum emu soft_odd(struct vcpu *v)
{
	static const u32 bits[4] = { 16, 32, 64, 64 };
	struct soft_cpu *c = soft_cpu(v);
	struct block *b = soft_find(v, c->mode | MODE_BOUNCE);
	emu_fn fn;

	c->stats.odd++;
	if (!b)
		return no_code(v);
	fn = emu_lookup(soft_block_one(b), bits[MODE_BITS(c->mode)]);
	if (fn) {
		enum emu e = fn(v, soft_block_one(b));

		if (e == EMU_NEXT) {
			v->rip += soft_block_one(b)->len;
			if (!vcpu_64bit(v))
				v->rip = (u32)v->rip;
			e = EMU_JUMP;
		}
		return e;
	}
	if (soft_block_one(b)->waits_x87 && x87_pending(v)) {
		vcpu_raise(v, EXC_MF);
		return EMU_FAULT;
	}
	if (!(soft_block_one(b)->flags & INSN_MEM) || (soft_block_one(b)->flags & INSN_VSIB) ||
	    soft_block_one(b)->mem_size > 64)
		return EMU_UNHANDLED;
	if (soft_block_one(b)->mask)
		return soft_odd_masked(v, b, soft_block_one(b));
	return bounce(v, b, soft_block_one(b));
}

typedef __int128 s128;

/* True when (I)DIV of the double-width dividend raises #DE. */
static bool overflows(struct vcpu *v, const struct insn *in, u64 divisor)
{
	u32 bits = in->opsize * 8;
	u128 wide = bits == 8 ? v->gpr[REG_RAX] & 0xffff :
		    bits == 64 ? (u128)v->gpr[REG_RDX] << 64 | v->gpr[REG_RAX] :
		    (u128)(v->gpr[REG_RDX] & (BIT64(bits) - 1)) << bits |
		    (v->gpr[REG_RAX] & (BIT64(bits) - 1));
	s128 n, d, q, max = ((s128)1 << (bits - 1)) - 1;

	if (!divisor)
		return true;
	if (in->mnemonic == ZYDIS_MNEMONIC_DIV)
		return wide / divisor >> bits != 0;
	n = (s128)(wide << (128 - 2 * bits)) >> (128 - 2 * bits);
	d = (s64)(divisor << (64 - bits)) >> (64 - bits);
	if (d == -1)	/* where C cannot form each quotient */
		return n < -max || n > max + 1;
	q = n / d;
	return q > max || q < -max - 1;
}

enum emu soft_divide(struct vcpu *v)
{
	struct block *b = soft_find(v, soft_cpu(v)->mode | MODE_BOUNCE);
	const struct insn *in;
	u64 divisor = 0;
	enum emu e;

	if (!b)
		return no_code(v);
	in = soft_block_one(b);
	if (in->flags & INSN_MEM) {
		e = soft_check_ac(v, in, insn_ea(v, in));
		if (e == EMU_NEXT)
			e = seg_read(v, in->seg, insn_ea(v, in), &divisor, in->opsize);
		if (e != EMU_NEXT)
			return e;
		v->mmio_read_next = 0;	/* it reads again, for good */
	} else {
		divisor = in->opsize == 1 ? reg8_read(v, in, in->rm) :
					    reg_read(v, in->rm, in->opsize);
	}
	if (overflows(v, in, divisor)) {
		vcpu_raise(v, EXC_DE);
		return EMU_FAULT;
	}
	if (in->flags & INSN_MEM)
		return bounce(v, b, in);
	e = soft_run_bounced(v, b);
	return e == EMU_NEXT ? EMU_JUMP : e;
}
