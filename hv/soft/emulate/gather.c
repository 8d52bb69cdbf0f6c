/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers and scatters: a vector of addresses, from which or to which elements
 * of another vector are moved one by one. Intel SDM vol. 2: VGATHERDPS and its
 * kin, VPGATHERDD.., VSCATTERDPS.., VPSCATTERDD...
 *
 * Elements are moved from the lowest up, and each one's mask is cleared when
 * it is done, so that after a fault or an exit to user space the instruction
 * goes on with the rest. An element that user space answers or takes is the
 * last of its pass: the next begins with no access under way. What the manual
 * leaves open about the upper parts of registers at a fault is as AMD's Zen 5
 * has it. Elements need no alignment even where it is checked (RFLAGS.AC).
 *
 * The decoder refuses registers that coincide, k0 as mask, and zeroing.
 */
#include "emulate.h"

#define MAX_ELEMENTS 16

struct vsib {
	const struct insn *in;
	bool evex;
	bool flat;		/* the segment matters to addresses outside the TLB only */
	u8 data, mask;		/* register numbers; data: destination or source */
	u8 esize, isize;	/* bytes of an element, of an index */
	u32 n;			/* elements */
	u32 size;		/* bytes of a vector */
	u32 active;		/* elements yet to be moved, a bit each */
	u64 opmask;
	u64 base;
	u8 index[64], value[64], signs[64];
};

static u32 low_bits(u32 n)
{
	return BIT(n) - 1;
}

/* Fields of the VEX or EVEX prefix (Intel SDM vol. 2, 2.3.5 and 2.7.1). */
static void decode(const struct vcpu *v, const struct insn *in, struct vsib *g)
{
	const u8 *p = in->bytes + in->start;

	g->in = in;
	g->evex = p[0] == 0x62;
	g->size = g->evex ? 16u << (p[3] >> 5 & 3) : 16u << (p[2] >> 2 & 1);
	g->esize = p[2] & 0x80 ? 8 : 4;
	g->isize = in->opcode & 1 ? 8 : 4;
	g->n = g->size / MAX(g->esize, g->isize);
	g->data = in->reg | (g->evex && !(p[1] & 0x10) ? 16 : 0);
	g->mask = g->evex ? p[3] & 7 : in->vvvv;
	if (!vcpu_64bit(v)) {
		g->data &= 7;
		g->mask &= 7;
	}
	g->base = insn_ea(v, in);
	g->flat = vcpu_64bit(v) && in->seg < SEG_FS;
}

/* CR0, CR4 and XCR0 allow the instruction. */
static enum emu allowed(struct vcpu *v, const struct vsib *g)
{
	u64 need = g->evex ? 0xe6 : 6;

	if (!(v->cr4 & X86_CR4_OSXSAVE) || (v->xcr0 & need) != need || vcpu_real_or_v86(v) ||
	    g->n > MAX_ELEMENTS)
		return emu_raise_ud(v);
	if (v->cr0 & X86_CR0_TS) {
		vcpu_raise(v, EXC_NM);
		return EMU_FAULT;
	}
	return EMU_NEXT;
}

static void read_mask(struct vsib *g)
{
	u32 i;

	if (g->evex) {
		g->opmask = soft_opmask_get(g->mask);
		g->active = (u32)g->opmask & low_bits(g->n);
		return;
	}
	soft_vector_get(g->mask, g->signs);
	g->active = 0;
	for (i = 0; i < g->n; i++)
		g->active |= (u32)(g->signs[(i + 1) * g->esize - 1] >> 7) << i;
}

static enum emu start(struct vcpu *v, const struct insn *in, struct vsib *g)
{
	decode(v, in, g);
	TRY(allowed(v, g));
	emu_need_fpu(v);
	soft_vector_get((u32)in->index, g->index);
	soft_vector_get(g->data, g->value);
	read_mask(g);
	return EMU_NEXT;
}

static u64 address(const struct vsib *g, u32 i)
{
	s64 index = 0;
	s32 narrow;

	if (g->isize == 8) {
		__builtin_memcpy(&index, g->index + i * 8, 8);
	} else {
		__builtin_memcpy(&narrow, g->index + i * 4, 4);
		index = narrow;
	}
	return (g->base + (u64)index * g->in->scale) & emu_mask(g->in->addrsize);
}

/* The host address of an element, by way of the TLB; NULL: SOFT_ODD or SOFT_FAULT in scratch. */
static u8 *host_address(struct vcpu *v, const struct vsib *g, u64 linear, bool write)
{
	struct soft_cpu *c = soft_cpu(v);
	u8 *host = soft_tlb_known(&c->tlb[MODE_MMU(c->mode)], linear, write);

	if (host && (linear & ~PAGE_MASK) + g->esize <= PAGE_SIZE)
		return host;
	return soft_tlb_miss(v, linear, g->esize | (write ? MISS_WRITE : 0) |
					(g->in->seg == SEG_SS ? MISS_STACK : 0), 0);
}

static enum emu move_element(struct vcpu *v, struct vsib *g, u32 i, bool write)
{
	u32 access = write ? MMU_WRITE : MMU_READ;
	u8 *value = g->value + i * g->esize, *host;
	u64 linear;

	linear = address(g, i);
	if (!g->flat)
		TRY(seg_linear(v, g->in->seg, linear, g->esize, access, &linear));
	host = host_address(v, g, linear, write);
	if (likely(host))
		return host_guest_copy(write ? host : value, write ? value : host, g->esize) ?
			       EMU_GONE : EMU_NEXT;
	if (v->scratch[0] == SOFT_FAULT)
		return EMU_FAULT;
	if (g->flat)
		TRY(seg_linear(v, g->in->seg, linear, g->esize, access, &linear));
	if (g->in->seg == SEG_SS)
		access |= MMU_STACK;
	return write ? mem_write(v, linear, value, g->esize, access)
		     : mem_read(v, linear, value, g->esize, access);
}

/* EMU_NEXT: all are moved; EMU_JUMP: some are, and the instruction is to run again. */
static enum emu move_elements(struct vcpu *v, struct vsib *g, bool write)
{
	u32 i, before = g->active;
	enum emu e;

	for (i = 0; i < g->n; i++) {
		if (!(g->active >> i & 1))
			continue;
		e = move_element(v, g, i, write);
		if (e == EMU_FAULT && g->active != before && (v->sysflags & X86_FL_TF)) {
			v->exc.pending = false;	/* the trap of what was moved comes first */
			return EMU_JUMP;
		}
		TRY(e);
		g->active &= ~BIT(i);
		if ((v->mmio_read_next || v->mmio_writes) && g->active)
			return EMU_JUMP;
	}
	return EMU_NEXT;
}

/* Elements below the lowest active one: their masks are cleared. */
static u32 finished(const struct vsib *g)
{
	return g->active ? (u32)__builtin_ctz(g->active) : g->n;
}

static void write_mask(struct vsib *g, bool all)
{
	if (g->evex) {
		soft_opmask_put(g->mask, all ? 0 : g->opmask & ~(u64)low_bits(finished(g)));
		return;
	}
	host_memset(g->signs, 0, all ? sizeof(g->signs) : finished(g) * g->esize);
	soft_vector_put(g->mask, g->signs);
}

EMU_HANDLER(emu_gather)
{
	struct vsib g;
	u32 active, end;
	enum emu e;

	TRY(start(v, in, &g));
	active = g.active;
	e = move_elements(v, &g, false);
	end = g.n * g.esize;
	if (e == EMU_NEXT)
		host_memset(g.value + end, 0, sizeof(g.value) - end);
	else if (g.evex && g.active != active)
		host_memset(g.value + g.size, 0, sizeof(g.value) - g.size);
	if (e == EMU_NEXT || g.active != active)
		soft_vector_put(g.data, g.value);
	write_mask(&g, e == EMU_NEXT);
	return e;
}

EMU_HANDLER(emu_scatter)
{
	struct vsib g;
	enum emu e;

	TRY(start(v, in, &g));
	e = move_elements(v, &g, true);
	write_mask(&g, e == EMU_NEXT);
	return e;
}
