/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One TLB check for several accesses of a block. Accesses off one base
 * register (which may move by constants, as RSP does), or RIP, whose offsets
 * lie close together, form a group: the first checks the range of all, the
 * others take the distance from guest to host addresses from where it was kept.
 *
 * A check that fails (the range crosses a page, some of it may not be
 * touched, it is no memory) proves nothing about a single access: the block
 * goes on in a translation without groups.
 * Nothing of a group is visible to the guest: no fault is raised and no dirty
 * bit set for an access that may never come.
 */
#include "emit.h"

#define MAX_SPAN 240

struct tracked {
	u32 version;	/* counts changes to something unknown */
	u32 changes;	/* counts all */
	s64 off;	/* known distance from the value at the version's start */
};

struct analysis {
	struct xl *x;
	struct tracked reg[17];	/* [INSN_RIP] never changes */
	u32 now;		/* the instruction */
	s32 last_jump;		/* the last conditional jump before it, -1: none */
	u32 changes[MAX_BLOCK_INSNS][17];	/* tracked.changes at jumps within the block */
};

static bool same_address(const struct analysis *a, const struct x_group *g, const struct x_share *s)
{
	return g->open && g->base == s->base && g->index == s->index && g->scale == s->scale &&
	       g->version == a->reg[s->base].version &&
	       (s->index < 0 || g->index_changes == a->reg[s->index].changes);
}

static bool join(const struct xl *x, struct x_group *g, s64 lo, s64 hi)
{
	lo = MIN(lo, g->lo);
	hi = MAX(hi, g->hi);
	if (hi - lo > MAX_SPAN)
		return false;
	if (g->base == INSN_RIP && !x_in_page(x->gpa32 + lo, x->gpa32 + hi))
		return false;
	g->lo = lo;
	g->hi = hi;
	g->count++;
	return true;
}

/*
 * A group of reads that a write joins is checked for writing from its start,
 * when nothing leads past the write.
 */
static bool join_for_writing(struct analysis *a, struct x_group *g, s64 lo, s64 hi)
{
	if (g->write || (s32)g->first <= a->last_jump || !join(a->x, g, lo, hi))
		return false;
	g->write = true;
	return true;
}

/* Reads may use a group that was checked for writing. */
static void add(struct analysis *a, struct x_share *s, u32 size, bool write)
{
	struct xl *x = a->x;
	s64 lo = a->reg[s->base].off + s->disp, hi = lo + size;
	struct x_group *g;

	s->group = -1;
	s->at = lo;
	for (int pass = 0; pass < 2; pass++)
		for (u32 i = x->ngroups; i-- > 0;) {
			g = &x->groups[i];
			if (g->write == (pass == 0) && (g->write || !write) &&
			    same_address(a, g, s) && join(x, g, lo, hi)) {
				s->group = (s8)i;
				return;
			}
		}
	for (u32 i = x->ngroups; write && i-- > 0;)
		if (same_address(a, &x->groups[i], s) &&
		    join_for_writing(a, &x->groups[i], lo, hi)) {
			s->group = (s8)i;
			return;
		}
	if (x->ngroups == MAX_GROUPS)
		return;
	g = &x->groups[x->ngroups];
	*g = (struct x_group){
		.base = s->base, .index = s->index, .scale = s->scale, .write = write,
		.first = a->now, .at = -1,
		.absolute = s->base == INSN_RIP || s->index >= 0 || host_reg[s->base] < 0,
		.open = true, .count = 1, .lo = lo, .hi = hi, .off = a->reg[s->base].off,
		.version = a->reg[s->base].version,
		.index_changes = s->index < 0 ? 0 : a->reg[s->index].changes,
	};
	s->group = (s8)x->ngroups++;
}

static void changed(struct analysis *a, int reg)
{
	a->reg[reg].version++;
	a->reg[reg].changes++;
	a->reg[reg].off = 0;
}

static void moved(struct analysis *a, int reg, s64 by)
{
	a->reg[reg].changes++;
	a->reg[reg].off += by;
}

static void explicit_operand(struct analysis *a, struct xinsn *xi)
{
	const ZydisDecodedOperand *op;
	struct x_share *s = &xi->share;
	bool high;

	if (xi->mem < 0 || xi->in.mask || xi->zi.address_width != 64)
		return;
	switch (xi->kind) {
	case K_COPY:
	case K_DIV:
	case K_PUSH:
	case K_JMP_IND:
	case K_CALL_IND:
		break;
	default:
		return;
	}
	op = &xi->op[xi->mem];
	if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS ||
	    op->mem.base == ZYDIS_REGISTER_NONE || x_mem_size(xi) > 64)
		return;
	s->disp = op->mem.disp.value;
	s->index = -1;
	s->scale = 1;
	if (op->mem.base == ZYDIS_REGISTER_RIP && soft_switch.no_sites)
		return;
	if (op->mem.base == ZYDIS_REGISTER_RIP) {
		s->base = INSN_RIP;
		s->disp += xi->off + xi->zi.length;
	} else {
		s->base = (s8)gpr_number(op->mem.base, &high);
		if (op->mem.index != ZYDIS_REGISTER_NONE) {
			s->index = (s8)gpr_number(op->mem.index, &high);
			s->scale = op->mem.scale;
		}
	}
	add(a, s, x_mem_size(xi), op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
}

static void stack_access(struct analysis *a, struct xinsn *xi)
{
	struct x_share *s = &xi->stack;
	bool high;
	int g;

	*s = (struct x_share){ .group = -1, .base = REG_RSP, .index = -1, .scale = 1 };
	switch (xi->kind) {
	case K_PUSH:
	case K_CALL:
	case K_CALL_IND:
		s->disp = -8;
		add(a, s, 8, true);
		moved(a, REG_RSP, -8);
		break;
	case K_RET:
		add(a, s, 8, false);
		break;
	case K_POP:
		add(a, s, 8, false);
		moved(a, REG_RSP, 8);
		g = gpr_number(xi->op[0].reg.value, &high);
		changed(a, g);
		break;
	case K_LEAVE:
		changed(a, REG_RSP);
		changed(a, REG_RBP);
		break;
	default:
		break;
	}
}

int x_written(const struct xinsn *xi, int *i)
{
	bool high;

	while (*i < xi->zi.operand_count) {
		const ZydisDecodedOperand *op = &xi->op[(*i)++];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(op->reg.value) &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return gpr_number(op->reg.value, &high);
	}
	return -1;
}

bool x_constant_step(const struct xinsn *xi, int reg, s64 *by)
{
	const ZydisDecodedOperand *dst = &xi->op[0], *src = &xi->op[1];
	bool high;

	if (dst->type != ZYDIS_OPERAND_TYPE_REGISTER || dst->size != 64 ||
	    gpr_number(dst->reg.value, &high) != reg)
		return false;
	switch (xi->zi.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		if (src->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return false;
		*by = xi->zi.mnemonic == ZYDIS_MNEMONIC_ADD ? src->imm.value.s : -src->imm.value.s;
		break;
	case ZYDIS_MNEMONIC_INC:
		*by = 1;
		break;
	case ZYDIS_MNEMONIC_DEC:
		*by = -1;
		break;
	case ZYDIS_MNEMONIC_LEA:
		if (src->mem.base != dst->reg.value || src->mem.index != ZYDIS_REGISTER_NONE)
			return false;
		*by = src->mem.disp.value;
		break;
	default:
		return false;
	}
	return *by > -4096 && *by < 4096;
}

static void register_writes(struct analysis *a, const struct xinsn *xi)
{
	s64 by;

	for (int i = 0, reg; (reg = x_written(xi, &i)) >= 0;) {
		if (x_constant_step(xi, reg, &by))
			moved(a, reg, by);
		else
			changed(a, reg);
	}
}

/* Jumps come in here: only what was known before the first of them still is. */
static void ways_meet(struct analysis *a, u32 jump)
{
	struct xl *x = a->x;

	for (u32 g = 0; g < x->ngroups; g++)
		x->groups[g].open &= x->groups[g].first < jump;
	for (int r = 0; r < 16; r++)
		if (a->reg[r].changes != a->changes[jump][r])
			changed(a, r);
}

static void note_jump(struct analysis *a, u32 i)
{
	for (int r = 0; r < 16; r++)
		a->changes[i][r] = a->reg[r].changes;
}

static void nothing_known(struct analysis *a)
{
	for (u32 g = 0; g < a->x->ngroups; g++)
		a->x->groups[g].open = false;
	for (int r = 0; r < 16; r++)
		changed(a, r);
}

static bool only_one(const struct xl *x, struct x_share *s)
{
	return s->group >= 0 && x->groups[s->group].count < 2 && x->groups[s->group].at < 0;
}

/* Is another group checked ahead of instruction i, behind the check of group number? */
static bool other_check(const struct xl *x, s8 number, u32 i)
{
	for (u32 g = 0; g < x->ngroups; g++)
		if (x->groups[g].at == (s32)i &&
		    ((s8)g > number || x->groups[number].at != (s32)i))
			return true;
	return false;
}

/*
 * From its check to its last access nothing else wants S0: what the check finds need
 * not be kept anywhere. Where that turns out wrong it is made again.
 */
static bool is_fleeting(const struct xl *x, const struct x_group *g, s8 number)
{
	u32 from = g->at >= 0 ? (u32)g->at : g->first, left = g->count;
	bool flags = false;

	for (u32 i = from; i < x->n; i++) {
		const struct xinsn *xi = &x->x[i];

		if ((i > from && xi->join >= 0) || other_check(x, number, i))
			return false;
		left -= (xi->share.group == number) + (xi->stack.group == number);
		if (!left)
			return true;
		if (!x_keeps_s0(xi, number, flags))
			return false;
		flags |= xi->fl_write != 0;
	}
	return false;
}

void x_share_analyse(struct xl *x)
{
	struct analysis a;

	a.x = x;
	a.last_jump = -1;
	host_memset(a.reg, 0, sizeof(a.reg));
	x->ngroups = 0;
	for (u32 i = 0; i < x->n; i++)
		x->x[i].share.group = x->x[i].stack.group = -1;
	/* One that reaches into the next page has no way to a translation without groups. */
	if (soft_switch.no_sharing || MODE_BITS(x->mode) != MODE_64 || x->max == 1 ||
	    (x->mode & (MODE_ALIGN | MODE_ONE | MODE_BOUNCE | MODE_PLAIN)))
		return;
	for (u32 i = 0; i < x->n; i++) {
		struct xinsn *xi = &x->x[i];

		a.now = i;
		if (xi->join >= 0)
			ways_meet(&a, (u32)xi->join);
		if (xi->inner >= 0)
			note_jump(&a, i);
		if (xi->kind == K_JCC || xi->kind == K_LOOP)
			a.last_jump = (s32)i;
		/* C code may change any translation; the other is no PAUSE, as Zydis has it */
		if (xi->kind == K_HELPER || xi->kind == K_XCHG_R8) {
			nothing_known(&a);
			continue;
		}
		explicit_operand(&a, xi);
		stack_access(&a, xi);
		if (xi->kind == K_CALL || xi->kind == K_CALL_IND)
			nothing_known(&a);
		if (xi->kind != K_PUSH && xi->kind != K_POP && xi->kind != K_LEAVE &&
		    xi->kind != K_CALL && xi->kind != K_CALL_IND && xi->kind != K_RET)
			register_writes(&a, xi);
	}
	x_checks_early(x);
	for (u32 i = 0; i < x->n; i++) {
		if (only_one(x, &x->x[i].share))
			x->x[i].share.group = -1;
		if (only_one(x, &x->x[i].stack))
			x->x[i].stack.group = -1;
	}
	for (u32 g = 0; g < x->ngroups; g++)
		x->groups[g].fleeting = is_fleeting(x, &x->groups[g], (s8)g);
}

/* Checks the whole range and leaves the distance, or the address, in S0. */
static void establish(struct xl *x, const struct xinsn *xi, struct x_group *g)
{
	int base, index;

	x_flags_clobber(x, xi);
	g->done = true;
	if (g->base == INSN_RIP) {
		x_rip(x, S0, x->gpa32 + g->lo);
		x_group_const(x, xi, g);
		return;
	}
	g->site = (s32)(offsetof(struct vcpu, share) + 8 * (size_t)(g - x->groups));
	base = x_use(x, g->base, S0);
	if (!g->absolute) {
		x_group_check(x, xi, g, base, (s32)(g->lo - g->off));
		return;
	}
	index = g->index < 0 ? -1 : x_use(x, g->index, S1);
	e_lea_full(x, true, S0, base, index, g->scale, (s32)(g->lo - g->off));
	x_group_address(x, xi, g);
}

void x_share_early(struct xl *x, u32 i)
{
	for (u32 k = 0; k < x->ngroups; k++) {
		struct x_group *g = &x->groups[k];

		if (g->at != (s32)i)
			continue;
		x_rsp_catch_up(x);
		establish(x, &x->x[i], g);
		x->s0_holds = g->site;
	}
}

void x_shared(struct xl *x, const struct xinsn *xi, const struct x_share *s)
{
	struct x_group *g = &x->groups[s->group];

	if (!g->done || (g->fleeting && x->s0_holds != g->site)) {
		x_rsp_catch_up(x);
		g->off = s->at - s->disp;
		establish(x, xi, g);
	} else if (x->s0_holds != g->site) {
		e_load(x, S0, g->site);
	}
	x->s0_holds = g->site;
	if (g->absolute)
		x->ref = (struct x_ref){ .index = -1, .disp = (s32)(s->at - g->lo) };
	else
		x->ref = (struct x_ref){
			.index = (s8)host_reg[g->base],
			.disp = (s32)(s->disp + (g->base == REG_RSP ? x->rsp_behind : 0)),
		};
}

void x_flatten(struct xl *x)
{
	if (x->ref.index >= 0 || x->ref.disp)
		x->s0_holds = 0;
	if (x->ref.index >= 0)
		e_lea_full(x, true, S0, S0, x->ref.index, 1, x->ref.disp);
	else if (x->ref.disp)
		e_lea(x, true, S0, S0, x->ref.disp);
	x->ref = (struct x_ref){ .index = -1 };
}
