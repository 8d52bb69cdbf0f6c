/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Masked memory operands in odd settings: only the active elements are looked
 * at, read and written, so that the others neither fault nor reach a device.
 * Intel SDM vol. 1, 15.8.3 (fault suppression), VMASKMOV and VPMASKMOV in
 * vol. 2. Not even a misaligned operand faults when no element is active.
 */
#include "mmu/mmu.h"
#include "soft.h"

#define MAX_OPERAND 64

static u64 low_bits(u32 n)
{
	return n < 64 ? BIT64(n) - 1 : ~0ull;
}

/* The active elements of the operand, a bit each. */
static u64 active_elements(const struct insn *in)
{
	u64 mask, active = 0;
	u8 v[64];

	if (in->mask == MASK_SIGNS) {
		soft_vector_get(in->mask_reg, v);
		for (u32 i = 0; i < in->elems; i++)
			active |= (u64)(v[i * in->elem + in->elem - 1] >> 7) << i;
		return active;
	}
	mask = soft_opmask_get(in->mask_reg) & low_bits(in->mask_bits);
	if (in->mask == MASK_PACKED) {
		for (; mask; mask &= mask - 1)
			active = active << 1 | 1;
		return active;
	}
	for (u32 i = 0; i < in->mask_bits; i += in->elems)	/* broadcasts use them again */
		active |= mask >> i;
	return active & low_bits(in->elems);
}

/* The active bytes, a bit each. */
static u64 active_bytes(const struct insn *in)
{
	u64 elements = active_elements(in), bytes = 0;

	for (u32 i = 0; i < in->elems; i++)
		if (elements >> i & 1)
			bytes |= low_bits(in->elem) << i * in->elem;
	return bytes;
}

/* Bytes that follow each other, and where they are. */
struct run {
	u32 off, len;
	u64 linear;
};

struct operand {
	const struct insn *in;
	u64 ea;
	u32 access;
	struct run run[MAX_OPERAND];
	u32 runs;
};

/* longest: bytes of a run at most. */
static void cut(struct operand *o, u64 bytes, u32 longest)
{
	u32 off = 0;

	o->runs = 0;
	while (off < MAX_OPERAND && bytes >> off) {
		struct run *r = &o->run[o->runs++];

		off += (u32)__builtin_ctzll(bytes >> off);
		r->off = off;
		while (off < MAX_OPERAND && off - r->off < longest && (bytes >> off & 1))
			off++;
		r->len = off - r->off;
	}
}

/* seg_linear, but nothing behind 4 GiB wraps around to offset 0. */
static enum emu linear_of(struct vcpu *v, const struct operand *o, struct run *r)
{
	u64 offset = o->ea + r->off;

	if (!vcpu_64bit(v) && offset + r->len - 1 > 0xffffffff)
		return seg_linear(v, o->in->seg, 0xffffffff, 2, o->access, &r->linear);
	return seg_linear(v, o->in->seg, offset, r->len, o->access, &r->linear);
}

/* Everything that may fault, in order; loads are done with it. */
static enum emu fetch(struct vcpu *v, struct operand *o)
{
	bool write = o->access & MMU_WRITE;

	for (u32 i = 0; i < o->runs; i++) {
		struct run *r = &o->run[i];
		enum emu e = linear_of(v, o, r);

		if (e == EMU_NEXT)
			e = soft_check_ac(v, o->in, o->ea);
		if (e == EMU_NEXT && write)
			e = mem_probe_write(v, r->linear, r->len, o->access);
		if (e == EMU_NEXT && !write)
			e = mem_read(v, r->linear, soft_cpu(v)->bounce + r->off, r->len,
				     o->access);
		if (e != EMU_NEXT)
			return e;
	}
	return EMU_NEXT;
}

static enum emu store(struct vcpu *v, struct operand *o)
{
	for (u32 i = 0; i < o->runs; i++) {
		struct run *r = &o->run[i];
		enum emu e = mem_write(v, r->linear, soft_cpu(v)->bounce + r->off, r->len,
				       o->access);

		if (e != EMU_NEXT)
			return e;
	}
	return EMU_NEXT;
}

enum emu soft_odd_masked(struct vcpu *v, struct block *b, const struct insn *in)
{
	bool write = in->flags & INSN_MEM_WRITE;
	enum emu e = EMU_NEXT;
	struct operand o;
	u64 bytes;

	if (!v->fpu_loaded)
		soft_fpu_load(v);
	o.in = in;
	o.ea = insn_ea(v, in);
	o.access = (write ? MMU_WRITE : MMU_READ) | (in->seg == SEG_SS ? MMU_STACK : 0);
	bytes = active_bytes(in);
	host_memset(soft_cpu(v)->bounce, 0, MAX_OPERAND);
	if (bytes)
		e = soft_check_aligned(v, in, o.ea);
	if (e == EMU_NEXT && in->mask == MASK_WRITE) {
		cut(&o, low_bits(in->mem_size), MAX_OPERAND);
		e = fetch(v, &o);
	}
	/* An element beyond the segment's limit faults after one that is not present. */
	cut(&o, bytes, vcpu_64bit(v) ? MAX_OPERAND : in->elem);
	if (e == EMU_NEXT)
		e = fetch(v, &o);
	if (e == EMU_NEXT)
		e = soft_run_bounced(v, b);
	if (e == EMU_NEXT && write)
		e = store(v, &o);
	return e == EMU_NEXT ? EMU_JUMP : e;
}
