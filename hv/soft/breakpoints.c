/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The debug registers: instruction breakpoints and data watchpoints (AMD64
 * APM vol. 2, 13.1; Intel SDM vol. 3, 17.2). While any is enabled the engine
 * runs one instruction at a time, and this file looks at each.
 *
 * A watchpoint sees the instruction's memory operand, its stack accesses and
 * the elements that a string instruction went over; not descriptor tables and
 * task state, and not I/O (DR7 type 2).
 */
#include <Zydis/Zydis.h>

#include "mmu/mmu.h"
#include "soft.h"

enum { TYPE_EXECUTE, TYPE_WRITE, TYPE_IO, TYPE_ACCESS };

static bool enabled(const struct vcpu *v, int i)
{
	return vcpu_dr7(v) >> (2 * i) & 3;
}

static u32 type_of(const struct vcpu *v, int i)
{
	return vcpu_dr7(v) >> (16 + 4 * i) & 3;
}

static u32 length_of(const struct vcpu *v, int i)
{
	static const u8 len[4] = { 1, 2, 8, 4 };

	return len[vcpu_dr7(v) >> (18 + 4 * i) & 3];
}

u64 soft_break_before(struct vcpu *v)
{
	u64 linear = v->rip + soft_cpu(v)->cs_base, hit = 0;

	if (v->sysflags & X86_FL_RF)
		return 0;
	for (int i = 0; i < 4; i++)
		if (enabled(v, i) && type_of(v, i) == TYPE_EXECUTE && vcpu_dr(v, i) == linear)
			hit |= BIT64(i);
	return hit;
}

/* DR6 bits of the watchpoints that [from, from + size) touches. */
static u64 watched(const struct vcpu *v, u64 from, u64 size, bool write)
{
	u64 hit = 0;

	for (int i = 0; i < 4; i++) {
		u32 type = type_of(v, i), len = length_of(v, i);
		u64 at = vcpu_dr(v, i) & ~(u64)(len - 1);

		if (!enabled(v, i) || !(type == TYPE_ACCESS || (type == TYPE_WRITE && write)))
			continue;
		if (from < at + len && at < from + size)
			hit |= BIT64(i);
	}
	return hit;
}

static bool is_string(const struct insn *in)
{
	return in->category == ZYDIS_CATEGORY_STRINGOP || in->category == ZYDIS_CATEGORY_IOSTRINGOP;
}

void soft_watch_before(struct vcpu *v, const struct insn *in, struct soft_watch *w)
{
	w->rsp = v->gpr[REG_RSP];
	w->rsi = v->gpr[REG_RSI];
	w->rdi = v->gpr[REG_RDI];
	w->hit = 0;
	w->string = is_string(in);
	if ((in->flags & INSN_MEM) && !(in->flags & (INSN_VSIB | INSN_HINT)) && !w->string) {
		u64 linear = insn_ea(v, in);

		if (!vcpu_64bit(v) || in->seg >= SEG_FS)
			linear += v->seg[in->seg].base;
		w->hit = watched(v, linear, in->mem_size, in->flags & INSN_MEM_WRITE);
	}
}

static u64 between(const struct vcpu *v, u8 seg, u64 a, u64 b, bool write)
{
	u64 base = vcpu_64bit(v) ? 0 : v->seg[seg].base, from = MIN(a, b), to = MAX(a, b);

	return from == to ? 0 : watched(v, base + from, to - from, write);
}

u64 soft_watch_after(struct vcpu *v, const struct soft_watch *w)
{
	u64 hit = w->hit, rsp = v->gpr[REG_RSP];

	/* A far move of RSP is a switch of stacks, not an access. */
	if (rsp - w->rsp + 256 < 512)
		hit |= between(v, SEG_SS, rsp, w->rsp, rsp < w->rsp);
	if (w->string) {
		hit |= between(v, SEG_DS, w->rsi, v->gpr[REG_RSI], false);
		hit |= between(v, SEG_ES, w->rdi, v->gpr[REG_RDI], true);
	}
	return hit;
}
