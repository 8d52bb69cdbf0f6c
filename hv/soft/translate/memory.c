/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest memory from translated code: the address, the segment, the check and
 * what lies behind it when it fails.
 *
 * The check asks the TLB, or the instruction's site (soft.h), or one of those of the stack.
 * It xors the address with the tag there: what remains is the offset in the page when they match and
 * something larger when not, so one comparison (or, for operands that must be
 * aligned, one TEST) covers the page, its end and alignment. With a base
 * register and a small displacement it is the base that is compared, and the
 * operand stands at [S0 + base + displacement], S0 being the distance from the
 * guest's addresses to the host's.
 */
#include "emit.h"

#define MAX_DISP 2048

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

static void e_cmp_state(struct xl *x, int reg, s32 disp)
{
	e_op_state(x, true, 0x3b, reg, disp);
}

static s32 site_new(struct xl *x, enum site_class class)
{
	u32 i = x->s->next_site[class]++ % SITES, at = i % SITES_A_PAGE;

	if (at < SITES_APART || at >= SITES_A_PAGE - SITES_BELOW)
		i ^= SITES_A_PAGE / 2;
	return OFF_SITE + MODE_MMU(x->mode) * SITE_MODE_SIZE +
	       (s32)sizeof(struct site) * (s32)(class * SITES + i);
}

/*
 * One of the few that all blocks share for the stack, which most of the time is in the
 * page of its last access; another for each check of a block, as what that finds is
 * used for later accesses.
 */
static s32 stack_site(struct xl *x, enum site_class class)
{
	if (x->stack_sites == STACK_SITES)
		return site_new(x, class);
	return OFF_STACK_SITES + (s32)sizeof(struct site) * (s32)x->stack_sites++;
}

static struct cold *cold_site(struct xl *x, const struct xinsn *xi, enum site_class class, s32 site)
{
	struct cold *c = cold_new(x, COLD_SITE);

	if (site < 0)
		c->to = THUNK_STACK_SITE + (class & 1);
	else
		c->to = THUNK_SITE + MODE_MMU(x->mode) * SITE_CLASSES + class;
	c->site = (u32)site;
	c->gpa32 = x->gpa32 + xi->off;
	return c;
}

static u32 miss_info(const struct xinsn *xi, u32 size, bool write, u32 align, bool ac, bool stack)
{
	return MIN(size, 255u) | (write ? MISS_WRITE : 0) | (stack ? MISS_STACK : 0) |
	       (align > 1 ? MISS_ALIGN(align) : 0) | (ac ? MISS_AC : 0) |
	       (x_waits_x87(xi) ? MISS_X87 : 0) | (masked(xi) ? MISS_MASKED : 0);
}

/* Where a check leaves the distance: at [RSP + at], and R11 with it when it asked the TLB. */
struct found {
	bool tlb;
	s32 at, tag;
	struct cold *cold;
};

/* S0 op= what is at [RSP + 8 * R11 + at], in the TLB. Eight bytes. */
static void e_s0_entry(struct xl *x, u8 opcode, s32 at)
{
	e8(x, 0x4a), e8(x, opcode), e8(x, 0xac), e8(x, 0xdc), e32(x, (u32)at);
}

/* S0 op= the distance. */
static void e_op_found(struct xl *x, u8 opcode, const struct found *f)
{
	if (f->tlb)
		e_s0_entry(x, opcode, f->at);
	else
		e_op_state(x, true, opcode, S0, f->at);
}

/*
 * S1 = the number of the TLB's entry for reg. A move, which costs the host no time, and
 * a shift: large programs wait for every cycle between an address and its data.
 */
static void e_tlb_index(struct xl *x, int reg)
{
	e_mov(x, false, S1, reg);
	e_rex(x, false, 0, 0, S1);
	e8(x, 0xc1), e8(x, 0xe8 | (S1 & 7)), e8(x, PAGE_SHIFT);	/* shr */
}

/* reg's low bits must be 0 in the page, or span bytes at [reg + disp] be in it. */
static u8 e_in_page(struct xl *x, int reg, s32 disp, u32 span, u32 align)
{
	if (align > 1) {
		e_rex(x, true, 0, 0, reg);
		e8(x, 0xf7), e8(x, 0xc0 | (reg & 7));		/* test */
		e32(x, 0xfffff000u | (align - 1));
		return CC_NE;
	}
	e_group1(x, true, 7, reg, (s32)(PAGE_SIZE - span) - disp);
	return CC_A;
}

/* S0 = what remains of reg's address in the TLB's entry with that tag, S1 = the entry's number. */
static void e_tlb_compare(struct xl *x, int reg, s32 tag)
{
	e_tlb_index(x, reg);
	if (reg == S0) {
		e_s0_entry(x, 0x33, tag);		/* xor */
	} else {
		e_s0_entry(x, 0x8b, tag);		/* mov */
		e_op_rr(x, true, 0x31, reg, S0);	/* xor */
	}
}

/* What a check compares an address with. */
enum check_by { BY_TLB, BY_SITE, BY_STACK_SITE };

/*
 * Is its page the one of last time? Those of the kernel's stacks change with the task, and some
 * programs go to and fro between two.
 */
static enum check_by checked_by(const struct xl *x, const struct xinsn *xi, bool stack)
{
	if (stack && MODE_MMU(x->mode) == MMU_USER && !(x->mode & MODE_SPLIT))
		return BY_STACK_SITE;
	return xi->steady ? BY_SITE : BY_TLB;
}

/*
 * Compares [reg + disp] (reg alone when it must be aligned) with what the site
 * knows, or the TLB: span bytes are in its page. A site is asked where the
 * page is likely to be the same as last time. With the TLB, S0 is clobbered,
 * be it reg or not.
 */
static struct found compare(struct xl *x, const struct xinsn *xi, int reg, s32 disp, u32 span,
			    bool write, u32 align, enum check_by by)
{
	enum site_class class = write ? SITE_WRITE : SITE_READ;
	struct found f = { .tlb = by == BY_TLB || soft_switch.no_sites };
	s32 at, tag = 0;
	u8 cc;

	if (f.tlb) {
		at = OFF_TLB + MODE_MMU(x->mode) * TLB_MODE_SIZE;
		tag = at + (write ? TLB_WTAG : 0);
		e_tlb_compare(x, reg, tag);
		cc = e_in_page(x, S0, disp, span, align);
		f.at = at + TLB_DELTA;
		at = 0;
	} else {
		at = by == BY_STACK_SITE ? stack_site(x, class) : site_new(x, class);
		e_load(x, S1, at);
		e_op_rr(x, true, 0x31, reg, S1);			/* xor */
		cc = e_in_page(x, S1, disp, span, align);
		f.at = at + (s32)offsetof(struct site, delta);
	}
	f.cold = cold_site(x, xi, class, at);
	f.tag = tag;
	f.cold->from = e_jcc(x, cc);
	f.cold->base = (s8)reg;
	f.cold->disp = disp;
	f.cold->bound = (u16)(PAGE_SIZE - span);
	f.cold->mask = (u16)(align - 1);
	f.cold->tag = reg == S0 ? tag : 0;
	return f;
}

/* [base + index * scale + disp] of host registers that are the guest's; -1: none. */
struct parts {
	int base, index, scale;
	s32 disp;
};

/*
 * S0 is an address: it becomes the host's. With its parts, when they are known,
 * that takes one instruction less behind the TLB, and x->ref says the rest.
 */
static void check_address(struct xl *x, const struct xinsn *xi, u32 size, bool write, u32 align,
			  bool stack, enum check_by by, const struct parts *parts)
{
	bool ac = (x->mode & MODE_ALIGN) && align == 1 && size <= 64 && !(size & (size - 1));
	struct found f;

	if (ac)
		align = size;
	if ((x->mode & MODE_ALIGN) && size == 10) {	/* x87's are aligned to 8 */
		e8(x, 0x40), e8(x, 0xf6), e8(x, 0xc5), e8(x, 7);	/* test bpl, 7 */
		x_exit_if(x, xi, CC_NE, SOFT_ODD);
	}
	f = compare(x, xi, S0, 0, size, write, align, by);
	f.cold->info = miss_info(xi, size, write, align, ac, stack);
	if (f.tlb && parts) {
		f.cold->delta = true;
		e_op_found(x, 0x8b, &f);
		f.cold->back = x->p;
		if (parts->index >= 0)
			e_lea_full(x, true, S0, S0, parts->index, parts->scale, 0);
		x->ref = (struct x_ref){ .index = (s8)parts->base, .disp = parts->disp };
		return;
	}
	if (f.tlb)
		e_s0_entry(x, 0x33, f.tag);	/* the address again */
	e_op_found(x, 0x03, &f);
	f.cold->back = x->p;
	x->ref = (struct x_ref){ .index = -1 };
}

/*
 * S0 is an address that is the same whenever the instruction runs: it becomes
 * the host's. class: SITE_CONST_READ or SITE_SEG_READ.
 */
static void check_const(struct xl *x, const struct xinsn *xi, enum site_class class, u32 span,
			bool write, u32 align, u32 info, s32 *where)
{
	s32 site = site_new(x, class += write);
	struct cold *c;

	e_cmp_state(x, S0, site);
	c = cold_site(x, xi, class, site);
	c->from = e_jcc(x, CC_NE);
	c->base = S0;
	c->bound = (u16)(PAGE_SIZE - span);
	c->mask = (u16)(align - 1);
	c->info = info;
	*where = site + (s32)offsetof(struct site, delta);
	e_load(x, S0, *where);
	c->back = x->p;
	x->ref = (struct x_ref){ .index = -1 };
}

/* 64-bit mode, [base + disp] without a segment base: S0 and x->ref = its place. */
static void check_based(struct xl *x, const struct xinsn *xi, int base, s32 disp, u32 size,
			bool write, u32 align, bool stack)
{
	struct found f;

	if (base == S0 || disp < 0 || disp > MAX_DISP || align > 1 || (x->mode & MODE_ALIGN)) {
		struct parts parts = { base, -1, 1, disp };

		e_lea_full(x, true, S0, base, -1, 1, disp);
		check_address(x, xi, size, write, align, stack,
			      checked_by(x, xi, base == H_R15), base == S0 ? NULL : &parts);
		return;
	}
	f = compare(x, xi, base, disp, size, write, 1, checked_by(x, xi, base == H_R15));
	f.cold->info = miss_info(xi, size, write, 1, false, stack);
	f.cold->delta = true;
	e_op_found(x, 0x8b, &f);
	f.cold->back = x->p;
	x->ref = (struct x_ref){ .index = (s8)base, .disp = disp };
}

static u32 group_info(const struct x_group *g)
{
	return (u32)(g->hi - g->lo) | MISS_GROUP | (g->write ? MISS_WRITE : 0);
}

/* S0, for the accesses to come. */
static void keep_found(struct xl *x, struct x_group *g)
{
	if (g->fleeting)
		return;
	if (x->shares_near < SHARE_NEAR)
		g->site = OFF_SHARE_NEAR + 8 * (s32)x->shares_near++;
	e_store(x, S0, g->site);
}

void x_group_check(struct xl *x, const struct xinsn *xi, struct x_group *g, int base, s32 disp)
{
	enum check_by by = checked_by(x, &x->x[g->first], base == H_R15);
	struct found f;

	if (disp < 0 || disp > MAX_DISP) {
		e_lea_full(x, true, S0, base, -1, 1, disp);
		base = S0;
		disp = 0;
	}
	f = compare(x, xi, base, disp, (u32)(g->hi - g->lo), g->write, 1, by);
	f.cold->info = group_info(g);
	f.cold->delta = true;
	e_op_found(x, 0x8b, &f);
	f.cold->back = x->p;
	if (!f.tlb)
		g->site = f.at;
	else
		keep_found(x, g);
}

void x_group_address(struct xl *x, const struct xinsn *xi, struct x_group *g)
{
	struct found f = compare(x, xi, S0, 0, (u32)(g->hi - g->lo), g->write, 1,
				 checked_by(x, &x->x[g->first], false));

	f.cold->info = group_info(g);
	if (f.tlb)
		e_s0_entry(x, 0x33, f.tag);	/* the address again */
	e_op_found(x, 0x03, &f);
	f.cold->back = x->p;
	keep_found(x, g);
}

void x_group_const(struct xl *x, const struct xinsn *xi, struct x_group *g)
{
	check_const(x, xi, SITE_CONST_READ, (u32)(g->hi - g->lo), g->write, 1, group_info(g),
		    &g->site);
}

static struct exit_link *link_new(struct xl *x)
{
	struct exit_link *l = soft_meta_alloc(x->s, sizeof(*l));

	x->full |= !l;
	if (!l)
		l = &x->no_link;
	l->from = x->b;
	return l;
}

/* The jump at rel32 goes on at gpa32, without groups. Flags are in memory or dead. */
static void go_plain(struct xl *x, s64 gpa32, u8 *rel32)
{
	struct cold *c = cold_new(x, COLD_LINK);
	struct exit_link *l = link_new(x);

	l->gpa32 = (u32)gpa32;
	l->mode = x->mode | MODE_PLAIN;
	l->at = FLAGS_MEM;
	c->from = rel32;
	c->link = l;
}

/* Neither registers nor segments move it, but for FS and GS. */
static bool is_const(const ZydisDecodedOperand *op)
{
	return op->mem.index == ZYDIS_REGISTER_NONE &&
	       (op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP ||
		op->mem.base == ZYDIS_REGISTER_EIP);
}

/*
 * Such an operand's class of site, SITE_READ where none will do: where its
 * offset in the page is known now, it must not reach into the next.
 */
static enum site_class const_class(const struct xl *x, const struct xinsn *xi,
				   const ZydisDecodedOperand *op, u32 size)
{
	bool long_mode = MODE_BITS(x->mode) == MODE_64;
	int seg = segment_of(op);
	s64 at = op->mem.disp.value;

	if (!is_const(op) || (x->mode & MODE_ALIGN) || soft_switch.no_sites)
		return SITE_READ;
	if (seg >= SEG_FS || (!long_mode && (x->mode & MODE_SEGBASE(seg))))
		return SITE_SEG_READ;
	if (op->mem.base != ZYDIS_REGISTER_NONE)
		at += x->gpa32 + xi->off + xi->zi.length;
	return x_in_page(at, at + size) ? SITE_CONST_READ : SITE_READ;
}

static bool is_based(const struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op)
{
	return MODE_BITS(x->mode) == MODE_64 && xi->zi.address_width == 64 &&
	       op->mem.base != ZYDIS_REGISTER_NONE && op->mem.base != ZYDIS_REGISTER_RIP &&
	       op->mem.index == ZYDIS_REGISTER_NONE && segment_of(op) < SEG_FS;
}

/* Neither a segment's base nor a narrow address is added up elsewhere than in its registers. */
static bool parts_of(const struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op,
		    struct parts *p)
{
	bool high;

	*p = (struct parts){ -1, -1, op->mem.scale ? op->mem.scale : 1, (s32)op->mem.disp.value };
	if (MODE_BITS(x->mode) != MODE_64 || xi->zi.address_width != 64 ||
	    segment_of(op) >= SEG_FS || is_const(op))
		return false;
	if (op->mem.base != ZYDIS_REGISTER_NONE) {
		p->base = host_reg[gpr_number(op->mem.base, &high)];
		if (p->base < 0)
			return false;
	}
	if (op->mem.index != ZYDIS_REGISTER_NONE) {
		p->index = host_reg[gpr_number(op->mem.index, &high)];
		if (p->index < 0)
			return false;
	}
	return true;
}

void x_memory_ref(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
		  bool write, u32 align)
{
	int seg = segment_of(op);
	enum site_class class;
	struct parts parts;
	bool high;
	s32 site;

	x->ref = (struct x_ref){ .index = -1 };
	if (x->mode & MODE_BOUNCE) {
		e_rex(x, true, S0, 0, 0);
		e8(x, 0x8d);
		e_modrm_state(x, S0, (s32)(SOFT_CPU_OFFSET + offsetof(struct soft_cpu, bounce)));
		return;
	}
	if (xi->share.group >= 0) {	/* the host's CPU sees whether it is aligned: fault.c */
		x_shared(x, xi, &xi->share);
		return;
	}
	x_flags_clobber(x, xi);
	x->s0_holds = 0;
	if (is_based(x, xi, op)) {
		check_based(x, xi, x_use(x, gpr_number(op->mem.base, &high), S0),
			    (s32)op->mem.disp.value, size, write, align, seg == SEG_SS);
		return;
	}
	x_effective(x, xi, op, S0, true);
	segment(x, xi, seg, size, write);
	class = const_class(x, xi, op, size);
	if (class != SITE_READ)
		check_const(x, xi, class, size, write, align,
			    miss_info(xi, size, write, align, false, seg == SEG_SS), &site);
	else
		check_address(x, xi, size, write, align, seg == SEG_SS,
			      checked_by(x, xi, op->mem.base == ZYDIS_REGISTER_RSP),
			      parts_of(x, xi, op, &parts) ? &parts : NULL);
}

bool x_can_prefetch(const struct xl *x, const struct xinsn *xi)
{
	return MODE_BITS(x->mode) == MODE_64 && !(x->mode & (MODE_ONE | MODE_BOUNCE)) &&
	       !soft_switch.no_hints && xi->mem >= 0 && xi->zi.address_width == 64 &&
	       segment_of(&xi->op[xi->mem]) < SEG_FS &&
	       ((xi->zi.opcode == 0x18 && xi->zi.raw.modrm.reg <= 3) ||
		(xi->zi.opcode == 0x0d && xi->zi.raw.modrm.reg <= 2));
}

/* A hint: what the TLB does not know is not fetched. */
void x_prefetch(struct xl *x, const struct xinsn *xi)
{
	s32 tag = OFF_TLB + MODE_MMU(x->mode) * TLB_MODE_SIZE;
	u8 *miss;

	x_flags_clobber(x, xi);
	x->s0_holds = 0;
	x_effective(x, xi, &xi->op[xi->mem], S0, true);
	e_tlb_compare(x, S0, tag);
	miss = e_jcc_short(x, e_in_page(x, S0, 0, 1, 1));
	e_s0_entry(x, 0x33, tag);		/* the address again */
	e_s0_entry(x, 0x03, tag + TLB_DELTA);
	e8(x, 0x0f), e8(x, xi->zi.opcode);
	e_modrm_base(x, xi->zi.raw.modrm.reg, S0, 0);
	e_aim_short(x, miss);
}

void x_memory(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	      bool write, u32 align)
{
	x_memory_ref(x, xi, op, size, write, align);
	x_flatten(x);
}

void x_check(struct xl *x, const struct xinsn *xi, const ZydisDecodedOperand *op, u32 size,
	     bool write)
{
	int seg = segment_of(op);

	segment(x, xi, seg, size, write);
	check_address(x, xi, size, write, 1, seg == SEG_SS, BY_TLB, NULL);
}

void x_stack_check(struct xl *x, const struct xinsn *xi, int base, s32 disp, u32 size, bool write)
{
	if (xi->stack.group >= 0) {
		x_shared(x, xi, &xi->stack);
		return;
	}
	x->s0_holds = 0;
	if (MODE_BITS(x->mode) == MODE_64) {
		check_based(x, xi, base, disp, size, write, 1, true);
	} else {
		e_lea_full(x, false, S0, base, -1, 1, disp);
		segment(x, xi, SEG_SS, size, write);
		check_address(x, xi, size, write, 1, true, checked_by(x, xi, true), NULL);
	}
}

/* What SITE_* says in translate/offsets.h, the call, and the way back. */
static void cold_fill(struct xl *x, const struct cold *c)
{
	u8 *call;

	e32(x, c->site);
	e32(x, c->info);
	e32(x, (u32)c->gpa32);
	e16(x, c->bound);
	e16(x, c->mask);
	e_aim(c->from, x->p);
	call = x->p + SITE_CALL;
	if (c->tag)
		e_s0_entry(x, 0x33, c->tag);		/* the address again */
	else if (c->base != S0 || c->disp)
		e_lea_full(x, true, S0, c->base, -1, 1, c->disp);
	while (x->p < call && !x->full)
		e8(x, 0x90);
	e_branch_rx(x, 0xe8, x->s->thunk[c->to]);
	if (c->info & MISS_GROUP) {
		e_op_rr(x, true, 0x85, S0, S0);		/* test */
		go_plain(x, c->gpa32, e_jcc(x, CC_E));
	}
	if (c->delta)
		e_mov(x, true, S0, S1);
	e8(x, 0xe9);
	e32(x, (u32)(c->back - (x->p + 4)));
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
 * An unlinked jump's way out. The target may want the flags elsewhere: a
 * second piece moves them before it jumps on.
 */
static void cold_link(struct xl *x, const struct cold *c)
{
	struct exit_link *l = c->link;

	l->jump = (u32)(c->from - x->s->rw);
	l->stub = (u32)(x->p - x->s->rw);
	e_branch_rx(x, 0xe8, x->s->thunk[c->host_flags ? THUNK_LINK_HOST : THUNK_LINK_MEM]);
	e64(x, rx_link(l));
	if (l->at != FLAGS_BOTH) {
		l->flags = (u32)(x->p - x->s->rw);
		x_flags_move(x, l->at);
		e_align_patch(x, 1);
		l->flags_jump = (u32)(e_jmp(x) - x->s->rw);
	}
}

void x_cold(struct xl *x)
{
	for (u32 i = 0; i < x->ncold && !x->full; i++) {
		struct cold *c = &x->cold[i];

		if (c->from)
			e_aim(c->from, x->p);
		switch (c->kind) {
		case COLD_SITE:
			cold_fill(x, c);
			break;
		case COLD_EXIT:
			cold_exit(x, c);
			break;
		case COLD_LINK:
			cold_link(x, c);
			break;
		case COLD_FAR:
			c->far->stub = to_rx(x->s, x->p);
			e_branch_rx(x, 0xe8, x->s->thunk[c->host_flags ? THUNK_FAR_HOST :
									 THUNK_FAR_MEM]);
			e64(x, (u64)(uintptr_t)c->far);
			soft_far_publish(x->v->vm, c->far);
			break;
		case COLD_JC:
			e_branch_rx(x, 0xe8, x->s->thunk[c->to]);
			e32(x, (u32)c->gpa32);
			e32(x, c->info);
			break;
		}
	}
}

static void look_up(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added, enum thunk to)
{
	struct cold *c = cold_new(x, COLD_JC);

	c->from = rel32;
	c->to = to + MODE_MMU(x->mode);
	c->gpa32 = x->gpa32 + xi->off;
	c->info = (u32)rsp_added;
}

void x_jc_miss(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added)
{
	look_up(x, xi, rel32, rsp_added, THUNK_JC_WAY1);
}

void x_ret_miss(struct xl *x, const struct xinsn *xi, u8 *rel32, s32 rsp_added)
{
	look_up(x, xi, rel32, rsp_added, THUNK_RET_MISS);
}

bool x_far_jump(struct xl *x, const struct xinsn *xi, s64 target)
{
	bool wanted = MODE_BITS(x->mode) == MODE_64 && !soft_switch.no_far;
	struct far_jump *f = wanted ? soft_far_new(x->s) : NULL;
	struct cold *c;

	if (!f)
		return false;
	f->gpa32 = target;
	f->mode = x->mode & ~MODE_PLAIN;
	f->at = x->fs;
	f->back = target <= x->gpa32 + xi->off;
	/* jmp [rsp + slot] */
	e8(x, 0xff), e8(x, 0xa4), e8(x, 0x24);
	e32(x, (u32)(OFF_FAR + sizeof(u64) * soft_far_place(x->s, f)));
	c = cold_new(x, COLD_FAR);
	c->far = f;
	c->host_flags = f->at != FLAGS_MEM;
	return true;
}

void x_link(struct xl *x, const struct xinsn *xi, u8 *rel32, s64 target)
{
	struct cold *c = cold_new(x, COLD_LINK);
	struct exit_link *l = link_new(x);

	l->gpa32 = (u32)target;
	l->mode = x->mode & ~MODE_PLAIN;
	l->at = (u8)x->fs;
	l->back = target <= x->gpa32 + xi->off;
	c->from = rel32;
	c->link = l;
	c->host_flags = x->fs != FLAGS_MEM;
}
