/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory from translated code: the address, the segment, the TLB check
 * and what lies behind it when it fails.
 *
 * The check xors the address with the entry's tag: what remains is the
 * offset in the page when they match and something larger when not, so one
 * comparison (or, for operands that must be aligned, one TEST) covers the
 * tag, page crossing and alignment.
 */
#include "emit.h"

#define TLB_AT(mmu) \
	((s32)(SOFT_CPU_OFFSET + offsetof(struct soft_cpu, tlb) + \
	       (mmu) * sizeof(struct tlb_entry) * TLB_ENTRIES))

static struct cold *cold_new(struct xl *x, enum cold_kind kind)
{
	struct cold *c = &x->cold[x->ncold];

	if (x->ncold == MAX_COLD) {
		x->full = true;
		c = &x->cold[0];
		x->ncold = 0;
	}
	x->ncold++;
	host_memset(c, 0, sizeof(*c));
	c->kind = kind;
	return c;
}

void x_rip(struct xl *x, int reg, s64 target)
{
	bool w = MODE_BITS(x->mode) == MODE_64;

	e_op_state(x, w, 0x8b, reg, OFF_DELTA);
	if (target == (s32)target) {
		e_lea(x, w, reg, reg, (s32)target);
	} else {	/* near 2 GiB boundaries of guest-physical space */
		e_lea(x, w, reg, reg, (s32)(target / 2));
		e_lea(x, w, reg, reg, (s32)(target - target / 2));
	}
	if (MODE_BITS(x->mode) == MODE_16) {
		e_rex(x, false, reg, 0, reg);
		e8(x, 0x0f), e8(x, 0xb7);	/* movzx r32, r16 */
		e8(x, 0xc0 | (reg & 7) << 3 | (reg & 7));
	}
}

void x_effective(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, int reg,
		 bool w64)
{
	u32 width = xi->zi.address_width;
	s64 disp = op->mem.disp.value;
	bool high, w = width == 64 && w64;
	int base = -1, index = -1;

	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP) {
		x_rip(x, reg, x->gpa32 + xi->off + xi->zi.length + disp);
		if (width == 32)
			e_mov(x, false, reg, reg);
		return;
	}
	if (op->mem.base != ZYDIS_REGISTER_NONE)
		base = x_use(x, gpr_number(op->mem.base, &high), S0);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		index = x_use(x, gpr_number(op->mem.index, &high), S1);
	if (base < 0 && index < 0)
		e_mov_imm(x, reg, width == 64 ? (u64)disp : width == 32 ? (u32)disp : (u16)disp);
	else if (base < 0 && op->mem.scale <= 1)
		e_lea(x, w, reg, index, (s32)disp);
	else
		e_lea_full(x, w, reg, base, index, op->mem.scale ? op->mem.scale : 1,
			   (s32)disp);
	if (width == 16 && (base >= 0 || index >= 0)) {
		e_rex(x, false, reg, 0, reg);
		e8(x, 0x0f), e8(x, 0xb7);
		e8(x, 0xc0 | (reg & 7) << 3 | (reg & 7));
	}
}

/* Jumps to a cold exit with `why` at xi when cc holds; flags are in memory or dead. */
void x_exit_if(struct xl *x, const struct xinsn *xi, u8 cc, enum soft_exit why)
{
	struct cold *c = cold_new(x, COLD_EXIT);

	c->from = e_jcc(x, cc);
	c->info = why;
	c->gpa32 = x->gpa32 + xi->off;
}

void x_exit_behind(struct xl *x, const struct xinsn *xi, u8 cc, enum soft_exit why)
{
	x_exit_if(x, xi, cc, why);
	x->cold[x->ncold - 1].gpa32 += xi->zi.length;
}

static int segment_of(const ZydisDecodedOperand *op)
{
	switch (op->mem.segment) {
	case ZYDIS_REGISTER_ES: return SEG_ES;
	case ZYDIS_REGISTER_CS: return SEG_CS;
	case ZYDIS_REGISTER_SS: return SEG_SS;
	case ZYDIS_REGISTER_FS: return SEG_FS;
	case ZYDIS_REGISTER_GS: return SEG_GS;
	default: return SEG_DS;
	}
}

/* S0 is an offset in seg: check it where the mode says so, and add the base. */
static void segment(struct xl *x, const struct xinsn *xi, int seg, u32 size, bool write)
{
	bool long_mode = MODE_BITS(x->mode) == MODE_64;

	if (long_mode && seg < SEG_FS)
		return;
	if (!long_mode && (x->mode & MODE_SEGCHECK(seg))) {
		size_t max = write ? offsetof(struct soft_cpu, seg_wmax) :
				     offsetof(struct soft_cpu, seg_rmax);

		e_lea(x, true, S1, S0, (s32)size);
		e_op_state(x, true, 0x3b, S1, (s32)(SOFT_CPU_OFFSET + max + 8 * seg));
		x_exit_if(x, xi, CC_A, SOFT_ODD);
	}
	if (long_mode || seg >= SEG_FS || (x->mode & MODE_SEGBASE(seg)))
		e_op_state(x, long_mode, 0x03, S0, OFF_SEG + SIZEOF_SEG * seg);
}

/* Not all of the operand may be accessed: only soft_odd() can tell whether a fault is one. */
static bool masked(const struct xinsn *xi)
{
	return xi->in.mask != MASK_NONE && xi->in.mask != MASK_WRITE;
}

/* S0: linear to host address. */
/* Waits for pending x87 exceptions first. */
bool x_waits_x87(const struct xinsn *xi)
{
	if (xi->zi.mnemonic == ZYDIS_MNEMONIC_FNSTCW || xi->zi.mnemonic == ZYDIS_MNEMONIC_FNSTSW)
		return false;
	if (xi->zi.meta.isa_ext == ZYDIS_ISA_EXT_X87 ||
	    xi->zi.meta.isa_set == ZYDIS_ISA_SET_SSE3X87)
		return true;
	for (int i = 0; i < xi->zi.operand_count_visible; i++)
		if (xi->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    xi->op[i].reg.value >= ZYDIS_REGISTER_MM0 &&
		    xi->op[i].reg.value <= ZYDIS_REGISTER_MM7)
			return true;
	return false;
}

static void tlb_check(struct xl *x, const struct xinsn *xi, u32 size, bool write, u32 align,
		      bool stack)
{
	s32 at = TLB_AT(MODE_MMU(x->mode));
	bool ac = (x->mode & MODE_ALIGN) && align == 1 && size <= 64 && !(size & (size - 1));
	s32 tag = at + (s32)(write ? offsetof(struct tlb_entry, wtag) :
				     offsetof(struct tlb_entry, rtag));
	struct cold *c;

	if (ac)
		align = size;
	if ((x->mode & MODE_ALIGN) && size == 10) {	/* x87's are aligned to 8 */
		e8(x, 0x40), e8(x, 0xf6), e8(x, 0xc5), e8(x, 7);	/* test bpl, 7 */
		x_exit_if(x, xi, CC_NE, SOFT_ODD);
	}
	e_mov(x, false, S1, S0);
	e_rex(x, false, 0, 0, S1);
	e8(x, 0xc1), e8(x, 0xe8 | (S1 & 7)), e8(x, 7);		/* shr r11d, 7 */
	e_group1(x, false, 4, S1, (TLB_ENTRIES - 1) << 5);	/* and */
	/* xor rbp, [rsp + r11 + tag] */
	e8(x, 0x4a), e8(x, 0x33), e8(x, 0xac), e8(x, 0x1c), e32(x, (u32)tag);
	if (align > 1) {
		e8(x, 0x48), e8(x, 0xf7), e8(x, 0xc5);		/* test rbp, imm32 */
		e32(x, 0xfffff000u | (align - 1));
	} else {
		e_group1(x, true, 7, S0, (s32)(PAGE_SIZE - size));	/* cmp */
	}
	c = cold_new(x, COLD_TLB);
	c->from = e_jcc(x, align > 1 ? CC_NE : CC_A);
	/* add rbp, [rsp + r11 + host] */
	e8(x, 0x4a), e8(x, 0x03), e8(x, 0xac), e8(x, 0x1c);
	e32(x, (u32)(at + (s32)offsetof(struct tlb_entry, host)));
	c->back = x->p;
	c->tag_offset = (u32)tag;
	c->gpa32 = x->gpa32 + xi->off;
	c->info = MIN(size, 255u) | (write ? MISS_WRITE : 0) | (stack ? MISS_STACK : 0) |
		  (align > 1 ? MISS_ALIGN(align) : 0) | (ac ? MISS_AC : 0) |
		  (x_waits_x87(xi) ? MISS_X87 : 0) |
		  (masked(xi) ? MISS_MASKED : 0);
}

void x_group_check(struct xl *x, const struct xinsn *xi, u32 size, bool write)
{
	tlb_check(x, xi, size, write, 1, false);
	x->cold[x->ncold - 1].info = size | MISS_GROUP | (write ? MISS_WRITE : 0);
}

/* Aligned as it must be, or the plain translation raises the fault. */
static void check_alignment(struct xl *x, const struct xinsn *xi, u32 align)
{
	if (x->ref.index >= 0)
		e_lea_full(x, true, S1, S0, x->ref.index, 1, x->ref.disp);
	else
		e_lea(x, true, S1, S0, x->ref.disp);
	e8(x, 0x41), e8(x, 0xf6), e8(x, 0xc3), e8(x, (u8)(align - 1));	/* test r11b */
	x_exit_if(x, xi, CC_NE, SOFT_PLAIN);
}

void x_memory_ref(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
		  bool write, u32 align)
{
	if (xi->share.group < 0) {
		x_memory(x, xi, op, size, write, align);
		return;
	}
	if (align > 1)
		x_flags_clobber(x, xi);
	x_shared(x, xi, &xi->share);
	if (align > 1)
		check_alignment(x, xi, align);
}

void x_memory(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	      bool write, u32 align)
{
	int seg = segment_of(op);

	x->ref = (struct x_ref){ .index = -1 };
	if (xi->share.group >= 0) {
		x_memory_ref(x, xi, op, size, write, align);
		x_flatten(x);
		return;
	}
	if (x->mode & MODE_BOUNCE) {
		e_rex(x, true, S0, 0, 0);
		e8(x, 0x8d);
		e_modrm_state(x, S0, (s32)(SOFT_CPU_OFFSET + offsetof(struct soft_cpu, bounce)));
		return;
	}
	x_flags_clobber(x, xi);
	x_effective(x, xi, op, S0, true);
	segment(x, xi, seg, size, write);
	tlb_check(x, xi, size, write, align, seg == SEG_SS);
}

void x_check(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	     bool write)
{
	int seg = segment_of(op);

	segment(x, xi, seg, size, write);
	tlb_check(x, xi, size, write, 1, seg == SEG_SS);
}

void x_stack_check(struct xl *x, const struct xinsn *xi, u32 size, bool write)
{
	if (xi->stack.group >= 0) {
		x_shared(x, xi, &xi->stack);
		x_flatten(x);
		return;
	}
	segment(x, xi, SEG_SS, size, write);
	tlb_check(x, xi, size, write, 1, true);
}

static void cold_tlb(struct xl *x, const struct cold *c)
{
	/* xor rbp, [rsp + r11 + tag]: the address again */
	e8(x, 0x4a), e8(x, 0x33), e8(x, 0xac), e8(x, 0x1c), e32(x, c->tag_offset);
	e_branch_rx(x, 0xe8, x->s->thunk[THUNK_TLB]);
	e8(x, 0xe9);
	e32(x, (u32)(c->back - (x->p + 4)));
	e32(x, (u32)c->gpa32);
	e32(x, c->info);
}

static void cold_exit(struct xl *x, const struct cold *c)
{
	e_branch_rx(x, 0xe8, x->s->thunk[c->host_flags ? THUNK_EXIT_HOST : THUNK_EXIT_MEM]);
	e32(x, (u32)c->gpa32);
	e32(x, c->info);
}

static u64 rx_link(struct exit_link *l)
{
	return (u64)(uintptr_t)l;
}

/*
 * An unlinked jump's way out. Where the flags are saved the target may need
 * them back: a second piece restores them before it jumps on.
 */
static void cold_link(struct xl *x, const struct cold *c)
{
	struct exit_link *l = c->link;

	l->jump = c->from;
	l->stub = x->p;
	e_branch_rx(x, 0xe8, x->s->thunk[c->host_flags ? THUNK_LINK_HOST : THUNK_LINK_MEM]);
	e64(x, rx_link(l));
	if (!c->host_flags) {
		enum flags_at fs = x->fs;

		l->flags = x->p;
		x_flags_restore(x, S0);
		e_align_patch(x, 1);
		l->flags_jump = e_jmp(x);
		x->fs = fs;
	}
}

void x_cold(struct xl *x)
{
	for (u32 i = 0; i < x->ncold && !x->full; i++) {
		struct cold *c = &x->cold[i];

		e_aim(c->from, x->p);
		switch (c->kind) {
		case COLD_TLB:
			cold_tlb(x, c);
			break;
		case COLD_EXIT:
			cold_exit(x, c);
			break;
		case COLD_LINK:
			cold_link(x, c);
			break;
		case COLD_JC:
			e_branch_rx(x, 0xe8, x->s->thunk[THUNK_JC_MISS]);
			e32(x, (u32)c->gpa32);
			e32(x, c->info);
			break;
		}
	}
}

void x_jc_miss(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added)
{
	struct cold *c = cold_new(x, COLD_JC);

	c->from = rel32;
	c->gpa32 = x->gpa32 + xi->off;
	c->info = (u32)rsp_added;
}

void x_link(struct xl *x, const struct xinsn *xi, u8 *rel32, s64 target)
{
	struct cold *c = cold_new(x, COLD_LINK);
	struct exit_link *l = &x->links[x->nlinks++];

	l->gpa32 = (u32)target;
	l->back = target <= x->gpa32 + xi->off;
	c->from = rel32;
	c->link = l;
	c->host_flags = x->fs != FLAGS_MEM;
}
