/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faults of the host CPU in translated code. Most guest faults are found by
 * checks before an instruction runs; what is left is an unmasked x87 or SIMD
 * exception, an instruction that this CPU refuses, and guest memory that the
 * VM's owner has unmapped. The block's map says which guest instruction it
 * was; its registers are where they always are, so the fault becomes a way
 * out of translated code like any other.
 */
#include "soft.h"

__thread struct vcpu *soft_running;

static struct block *block_at(struct soft_vm *s, const u8 *rip)
{
	u32 lo = 0, hi, k;
	struct block *block;

	if (rip < s->rx + s->start || rip >= s->rx + s->start + REGIONS * s->hot_size)
		return NULL;
	k = soft_region_of(s, rip);
	hi = __atomic_load_n(&s->region[k].blocks, __ATOMIC_ACQUIRE);
	block = s->block + (u64)k * s->block_max;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (soft_block_code(&block[mid]) <= rip)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || rip >= soft_block_code(&block[lo - 1]) + block[lo - 1].code_size)
		return NULL;
	return &block[lo - 1];
}

static const struct block_map *instruction_at(const struct block *b, const u8 *rip)
{
	u32 off = (u32)(rip - soft_block_code(b)), i = b->insns;

	while (i && b->map[i - 1].host > off)
		i--;
	return i ? &b->map[i - 1] : NULL;
}

static u8 what(const struct vcpu *v, const struct host_fault *f)
{
	if (f->signal == HOST_SIGILL)
		return EXC_UD;
	if (f->signal != HOST_SIGFPE)	/* a misaligned operand of a group */
		return f->trap == EXC_GP || f->trap == EXC_SS ? EXC_GP : HOST_FAULT_MEMORY;
	if (f->trap == EXC_XM && !(v->cr4 & X86_CR4_OSXMMEXCPT))
		return EXC_UD;
	return (u8)f->trap;
}

/* A call met the end of its stack of calls: it goes to the bottom. */
static bool ret_stack_full(struct vcpu *v, struct host_fault *f)
{
	for (int m = 0; m < MMU_COUNT; m++) {
		const struct ret_stack *r = &soft_cpu(v)->ret[m];

		if (f->addr - (u64)(uintptr_t)r->guard >= sizeof(r->guard))
			continue;
		soft_ret_cut(v, m, 1);
		*f->gpr[REG_RBP] = *soft_ret_top(v, m);
		return true;
	}
	return false;
}

static bool hook(struct host_fault *f)
{
	struct vcpu *v = soft_running;
	struct soft_vm *s = v ? soft_vm(v->vm) : NULL;
	const u8 *rip = (const u8 *)(uintptr_t)*f->rip;
	const struct block_map *m;
	struct block *b;

	if (!v || rip < s->rx || rip >= s->rx + s->size || *f->gpr[REG_RSP] != (u64)(uintptr_t)v)
		return false;
	if (f->signal == HOST_SIGSEGV && ret_stack_full(v, f))
		return true;
	b = block_at(s, rip);
	m = b ? instruction_at(b, rip) : NULL;
	if (!m)
		return false;
	*f->gpr[15] += (u64)(s64)m->rsp;	/* the guest's RSP */
	v->rip = v->code_delta + (u64)(s64)(s32)b->gpa + (m->guest & ~BLOCK_MAP_HOST_FLAGS);
	if (m->guest & BLOCK_MAP_HOST_FLAGS)
		v->arith = arith_from_rflags(*f->rflags);
	soft_cpu(v)->host_fault = what(v, f);
	*f->rip = (u64)(uintptr_t)soft_thunk_fault;
	return true;
}

void soft_fault_init(void)
{
	host_fault_hook(hook);
}
