/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The software engine's side of engine_ops: find code for rip, run it, and
 * see to what it came back for.
 */
#include <errno.h>

#include <Zydis/Zydis.h>

#include "../cpu/state.h"
#include "mmu/mmu.h"
#include "soft.h"
#include "translate/far.h"

#define STACK_SIZE (128ul << 10)
#define VCPU_MEMORY (STACK_SIZE + ALIGN_UP(SOFT_CPU_OFFSET + sizeof(struct soft_cpu), PAGE_SIZE))

#define FETCHED 4		/* blocks after one that is looked up */
#define INSIDE_NS 20000000u	/* how often interrupts without a device count as a device's */
#define PAUSES 500		/* some tens of microseconds */

#define ASSERT_AT(field, off) \
	_Static_assert(offsetof(struct vcpu, field) == (off), #field)
ASSERT_AT(code_delta, OFF_DELTA);
ASSERT_AT(request, OFF_REQUEST);
ASSERT_AT(arith, OFF_ARITH);
ASSERT_AT(irq_enable, OFF_IF);
ASSERT_AT(irq_shadow, OFF_SHADOW);
ASSERT_AT(scratch, OFF_SCRATCH0);
ASSERT_AT(gpr, OFF_GPR);
ASSERT_AT(seg, OFF_SEG);
ASSERT_AT(rip, OFF_RIP);
ASSERT_AT(sysflags, OFF_SYSFLAGS);
ASSERT_AT(site_save, OFF_SITE_SAVE);
ASSERT_AT(ret_top, OFF_RET_TOP);
ASSERT_AT(ret_top_last, OFF_RET_TOP_LAST);
ASSERT_AT(cr4, OFF_CR4);
ASSERT_AT(tsc_offset, OFF_TSC_OFFSET);
ASSERT_AT(tsc_scale, OFF_TSC_SCALE);
_Static_assert(TSC_SAME_RATE == TSC_SCALE_ONE, "rate");
#define ASSERT_CPU(field, off) \
	_Static_assert(SOFT_CPU_OFFSET + offsetof(struct soft_cpu, field) == (off), #field)
ASSERT_CPU(tlb, OFF_TLB);
ASSERT_CPU(victim, OFF_VICTIM);
_Static_assert(sizeof(struct tlb) == TLB_MODE_SIZE, "tlb");
_Static_assert(offsetof(struct tlb, wtag) == TLB_WTAG, "wtag");
_Static_assert(offsetof(struct tlb, delta) == TLB_DELTA, "delta");
ASSERT_CPU(site, OFF_SITE);
ASSERT_CPU(site_list, OFF_SITE_LIST);
ASSERT_CPU(site_count, OFF_SITE_COUNT);
ASSERT_CPU(site_pages, OFF_SITE_PAGES);
ASSERT_CPU(fills.sites, OFF_FILLS + FILLS_SITES);
ASSERT_CPU(fills.victims, OFF_FILLS + FILLS_VICTIMS);
ASSERT_CPU(fills.groups, OFF_FILLS + FILLS_GROUPS);
ASSERT_CPU(fills.stack, OFF_FILLS + FILLS_STACK);
ASSERT_CPU(jc, OFF_JC);
_Static_assert(OFF_JC % sizeof(struct jc_entry) == 0, "lines");
ASSERT_CPU(far, OFF_FAR);
ASSERT_CPU(ret, OFF_RET);
_Static_assert(offsetof(struct ret_stack, guard) == RET_GUARD, "ret");
_Static_assert(RET_GUARD % PAGE_SIZE == 0, "guard");
_Static_assert(OFF_STACK_SITES + STACK_SITES * sizeof(struct site) == (size_t)OFF_SHARE_NEAR &&
	       OFF_SHARE_NEAR + 8 * SHARE_NEAR <= -32 && OFF_STACK_SITES >= -C_STACK, "below");
_Static_assert(sizeof(struct ret_stack) == RET_MODE_SIZE, "ret");
_Static_assert(sizeof(struct vcpu) <= SOFT_CPU_OFFSET, "vcpu");
_Static_assert(sizeof(struct tlb_entry) == 32 && sizeof(struct site) == 16, "site");
_Static_assert(MISS_GROUP == SITE_GROUP_BIT << 8, "group");
_Static_assert(THUNK_COUNT <= THUNK_MAX, "thunks");
_Static_assert(sizeof(struct seg) == SIZEOF_SEG, "seg");
_Static_assert(SOFT_LINK == 5 && SOFT_REFETCH == 12 && SOFT_GROUP == 16 &&
	        SOFT_LOOKUP == 6 && SOFT_HELPER == 7 && SOFT_HOST_FAULT == 13, "entry.S");

void soft_lock(struct soft_vm *s)
{
	struct soft_cpu *c = soft_running ? soft_cpu(soft_running) : NULL;

	if (c)
		__atomic_store_n(&c->in_code, 0, __ATOMIC_SEQ_CST);
	host_mutex_lock(&s->lock);
	if (c)
		__atomic_store_n(&c->in_code, 1, __ATOMIC_SEQ_CST);
}

/* --- finding code ----------------------------------------------------------- */

static struct block *translate(struct vcpu *v, struct itlb_entry *e, u64 linear, u32 mode)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);
	u64 gpa = e->gpa + (linear & ~PAGE_MASK);
	u8 *host = e->host, *host2 = NULL;
	u64 gpa2 = 0, start;
	struct code_page *cp;
	struct block *b;

	if (v->fpu_loaded)
		soft_fpu_put(v);
	for (;;) {
		bool turned = false;

		soft_lock(s);
		start = soft_clock();
		cp = soft_code_page(v, gpa);
		b = cp ? soft_block_find(s, cp, gpa, mode) : NULL;
		if (e->code != cp)
			e->checked = 0;
		if (b && b->gpa2 && b->gpa2 != gpa2)
			b = NULL;
		if (!b && cp && soft_code_room(s))
			b = soft_translate(v, gpa, host, gpa2, host2, mode);
		c->stats.translate_time += soft_clock() - start;
		if (b && b != SOFT_STRADDLES && !b->listed) {
			b->listed = true;
			soft_block_add(v, cp, b, host, host2);
			soft_stats_block(v, b);
			soft_code_step(v);
		} else if (cp && (!b || b == SOFT_STRADDLES)) {
			soft_page_note_thin(s, cp);
		}
		/* A slot that goes is not found before we are told to forget it. */
		c->lost = !cp;
		if (cp && !b && !c->gone)
			turned = soft_code_turn(v);
		host_mutex_unlock(&s->lock);
		if (turned)
			continue;
		if (b != SOFT_STRADDLES)
			return b;
		if (gpa2)
			return NULL;
		e = soft_itlb(v, (linear & PAGE_MASK) + PAGE_SIZE);
		if (!e || !e->host)
			return NULL;
		gpa2 = e->gpa;
		host2 = e->host;
	}
}

/*
 * The page of code at linear, where what was translated of it has been compared since
 * user space may have written; NULL: nothing can be fetched there.
 */
static struct itlb_entry *page_of_code(struct vcpu *v, u64 linear)
{
	u64 gen = __atomic_load_n(&soft_vm(v->vm)->write_gen, __ATOMIC_SEQ_CST);
	struct itlb_entry *e = soft_itlb(v, linear);
	struct page_state *ps;

	if (!e || !e->host)
		return NULL;
	if (e->checked == gen)
		return e;
	ps = soft_page(v, e->gpa);
	e->code = ps ? __atomic_load_n(&ps->code, __ATOMIC_ACQUIRE) : NULL;
	e->code_serial = e->checked = 0;
	if (!e->code)
		return e;
	soft_page_verify(v, e->code, e->host);
	if (e->code->gone) {
		e->code = NULL;
	} else {
		e->code_serial = e->code->serial;
		e->checked = gen;
	}
	return e;
}

/* Most programs come by their blocks in the order in which they were translated. */
static void fetch_next(const struct block *b)
{
	for (u32 i = 1; i <= FETCHED; i++)
		host_prefetch(b + i);
}

static struct block *find(struct vcpu *v, u32 mode)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 linear = v->rip + c->cs_base;
	struct itlb_entry *e, *next;
	struct block *b = NULL;

	if (MODE_BITS(mode) != MODE_64) {
		linear = (u32)linear;
		if (v->rip > v->seg[SEG_CS].limit) {
			vcpu_raise_error(v, EXC_GP, 0);
			return NULL;
		}
	}
	e = page_of_code(v, linear);
	if (!e)
		return NULL;
	if (e->code)
		b = soft_block_find(soft_vm(v->vm), e->code, e->gpa + (linear & ~PAGE_MASK), mode);
	if (b && !soft_switch.no_prefetch)
		fetch_next(b);
	if (b && b->gpa2) {
		next = page_of_code(v, (linear & PAGE_MASK) + PAGE_SIZE);
		if (!next)
			return NULL;
		if (next->gpa != b->gpa2 || b->dead)
			b = NULL;
		e = soft_itlb(v, linear);
		if (!e || !e->host)
			return NULL;
	}
	c->stats.lookups++;
	return b ? b : translate(v, e, linear, mode);
}

struct block *soft_find(struct vcpu *v, u32 mode)
{
	struct soft_stats *st = &soft_cpu(v)->stats;
	u64 start = soft_clock(), translating = st->translate_time;
	struct block *b = find(v, mode);

	st->lookup_time += soft_clock() - start - (st->translate_time - translating);
	return b;
}

enum soft_exit soft_go(struct vcpu *v, u8 *code)
{
	if (!v->fpu_loaded)
		soft_fpu_load(v);
	soft_cpu(v)->stats.enters++;
	return soft_enter(v, code);
}

enum soft_exit soft_go_once(struct vcpu *v, const struct block *b)
{
	struct soft_cpu *c = soft_cpu(v);
	enum soft_exit end;

	c->once = true;
	end = soft_go(v, b->indirect);
	c->once = false;
	return end;
}

/* Code for rip in the present mode: a block's indirect entry. */
static u8 *code_for_rip(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 known = soft_jc_known(c, v->rip);
	struct block *b;

	if (known)
		return (u8 *)(uintptr_t)known;
	b = soft_find(v, c->mode);
	if (!b)
		return NULL;
	soft_jc_add(v, b);
	return b->indirect;
}

/* --- coming back from translated code ------------------------------------------ */

static u64 rip_trunc(const struct soft_cpu *c, u64 rip)
{
	return MODE_BITS(c->mode) == MODE_64 ? rip : (u32)rip;
}

static void instruction_done(struct vcpu *v)
{
	if (unlikely(v->mmio_reads)) {	/* events waited for this */
		v->mmio_reads = 0;
		__atomic_fetch_or(&v->request, REQ_EVENT, __ATOMIC_SEQ_CST);
	}
	v->mmio_read_next = 0;
	if (unlikely(v->irq_blocked && v->irq_enable && !v->irq_shadow)) {
		v->irq_blocked = false;
		__atomic_fetch_or(&v->request, REQ_EVENT, __ATOMIC_SEQ_CST);
	}
}

#define DR7_ENABLES 0xffu

static bool must_step(struct vcpu *v)
{
	if (v->irq_shadow || v->mmio_reads || (v->sysflags & X86_FL_TF) ||
	    (v->guest_debug.control & KVM_GUESTDBG_SINGLESTEP) || (vcpu_dr7(v) & DR7_ENABLES))
		return true;
	v->sysflags &= ~X86_FL_RF;	/* nothing could see it */
	return false;
}

static bool canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

/* May v go on in translated code at rip, or must the loop in soft_run look closer? */
static bool stays_inside(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);

	if (c->once || v->request || v->exc.pending || v->mmio_writes || soft_vm(v->vm)->full)
		return false;
	if (v->mode_stale)
		soft_update_mode(v);
	if (must_step(v))
		return false;
	c->refetch = false;
	if (!v->fpu_loaded)
		soft_fpu_load(v);
	return true;
}

/* Called by soft_thunk_jc_miss: code for rip, 0: it leaves with SOFT_LOOKUP. */
u64 soft_indirect_jump(struct vcpu *v)
{
	struct soft_cpu *c = soft_cpu(v);
	struct block *b;

	v->rip = rip_trunc(c, v->rip);
	if (MODE_BITS(c->mode) == MODE_64 && !canonical(v->rip))
		return 0;
	instruction_done(v);
	b = stays_inside(v) ? soft_find(v, c->mode) : NULL;
	if (!b)
		return 0;
	c->stats.exits[SOFT_LOOKUP]++;
	soft_jc_add(v, b);
	if (!v->fpu_loaded)	/* the translator needed it */
		soft_fpu_load(v);
	return (u64)(uintptr_t)b->indirect;
}

/* Called by soft_thunk_far_*: code for where f leads, 0: it leaves with SOFT_REFETCH. */
u64 soft_far_jump(struct vcpu *v, struct far_jump *f)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 code;

	c->stats.exits[SOFT_FAR]++;
	v->rip = rip_trunc(c, v->code_delta + (u64)f->gpa32);
	code = soft_switch.no_again ? 0 : soft_far_again(v, f);
	if (!code)
		soft_far_link(v, f);
	if (!stays_inside(v))
		return 0;
	return code && c->mode == f->mode ? code : soft_jc_known(c, v->rip);
}

/*
 * Called by soft_thunk_helper: 0 goes on behind the instruction; else code for
 * rip, or HELPER_LEAVES with an EMU_* in scratch[0].
 */
u64 soft_helper(struct vcpu *v, struct helper_call *h)
{
	struct soft_cpu *c = soft_cpu(v);
	u64 code = 0, start;
	enum emu e;

	v->rip = rip_trunc(c, v->code_delta + (u64)h->gpa32);
	c->stats.helpers[h->in.mnemonic]++;
	start = soft_clock();
	e = h->fn(v, &h->in);
	c->stats.helper_time += soft_clock() - start;
	if (e == EMU_NEXT) {
		v->rip = rip_trunc(c, v->rip + h->in.len);
		instruction_done(v);
		if (likely(!v->request && !v->mode_stale && !v->irq_shadow && !c->refetch &&
			   !v->exc.pending && !v->mmio_writes && v->fpu_loaded))
			return 0;
		e = EMU_JUMP;
	}
	v->scratch[0] = e;
	if (e == EMU_JUMP) {
		instruction_done(v);
		if (stays_inside(v))
			code = soft_jc_known(c, v->rip);
	}
	return code ? code : HELPER_LEAVES;
}

/* What the engine's loop does next. */
enum verdict { GO_ON, LEAVE };

static enum verdict internal_error(struct vcpu *v, enum engine_exit *out)
{
	struct kvm_run *run = v->run;
	u8 bytes[15];
	u32 n = 0;

	/* Programs of the guest do not stop the machine, unless user space wants it so. */
	if (v->cpl && !v->vm->exit_on_emulation_error) {
		vcpu_raise(v, EXC_UD);
		*out = ENGINE_REQUEST;
		return LEAVE;
	}
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	for (; n < sizeof(bytes); n++) {
		struct xlate x;
		u64 linear = v->rip + soft_cpu(v)->cs_base + n;

		if (mmu_peek(v, linear, MMU_EXEC, &x) || vcpu_phys_read(v, x.gpa, &bytes[n], 1))
			break;
	}
	run->emulation_failure.insn_size = (u8)n;
	host_memset(run->emulation_failure.insn_bytes, 0x90,
		    sizeof(run->emulation_failure.insn_bytes));
	host_memcpy(run->emulation_failure.insn_bytes, bytes, n);
	*out = ENGINE_INTERNAL;
	return LEAVE;
}

/* soft_find() had nothing. */
static enum verdict no_code(struct vcpu *v, enum engine_exit *out)
{
	struct soft_cpu *c = soft_cpu(v);

	*out = ENGINE_REQUEST;
	if (v->exc.pending)
		return LEAVE;
	if (c->no_room) {	/* which is made before anything else is done */
		c->no_room = false;
		return GO_ON;
	}
	if (c->lost) {
		c->lost = false;
		soft_flush_tlb(v, false);
		return GO_ON;
	}
	if (!c->gone)
		return internal_error(v, out);
	c->gone = false;
	*out = ENGINE_EFAULT;
	return LEAVE;
}

static enum verdict after_emulation(struct vcpu *v, enum emu e, enum engine_exit *out)
{
	*out = ENGINE_REQUEST;
	switch (e) {
	case EMU_NEXT:
	case EMU_JUMP:
		instruction_done(v);
		if (v->mmio_writes) {
			*out = ENGINE_USER;
			return LEAVE;
		}
		return GO_ON;
	case EMU_FAULT:
		return v->exc.pending || v->triple_fault ? LEAVE : GO_ON;
	case EMU_EXIT:
		v->mmio_read_next = 0;
		*out = ENGINE_USER;
		return LEAVE;
	case EMU_EXIT_NEXT:
		instruction_done(v);
		*out = ENGINE_USER;
		return LEAVE;
	case EMU_HALT:
		instruction_done(v);
		*out = ENGINE_HALT;
		return LEAVE;
	case EMU_GONE:
		soft_cpu(v)->gone = false;
		*out = ENGINE_EFAULT;
		return LEAVE;
	default:
		return internal_error(v, out);
	}
}

/* Under the lock. */
static void far_link(struct vcpu *v, struct exit_link *l)
{
	struct soft_vm *s = soft_vm(v->vm);

	if (l->from->dead || s->full || (soft_code_room(s) && x_far_link(s, l)))
		return;
	if (soft_code_turn(v))
		x_far_link(s, l);
}

static void link_to(struct vcpu *v, struct exit_link *l)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct block *b;

	soft_cpu(v)->linking = true;
	b = soft_find(v, l->mode);
	soft_cpu(v)->linking = false;
	if (!b)
		return;
	soft_lock(s);
	soft_code_step(v);	/* a block that is about to go cannot be linked any more */
	if ((b->gpa & PAGE_MASK) == (l->from->gpa & PAGE_MASK)) {
		/* The jump cache knows no translations without groups. */
		if (b->gpa2 || (soft_switch.no_links && !(l->mode & MODE_PLAIN)))
			far_link(v, l);
		else
			soft_link(v, l, b);
	}
	host_mutex_unlock(&s->lock);
}

/* A branch to a non-canonical address faults itself; RSP goes back with it. */
static void undo_branch(struct vcpu *v)
{
	const s32 *info = (const s32 *)(uintptr_t)v->scratch[0];

	v->rip = v->code_delta + (u64)(s64)info[0];
	v->gpr[REG_RSP] -= (u64)(s64)info[1];
	vcpu_raise_error(v, EXC_GP, 0);
}

static enum verdict came_back(struct vcpu *v, enum soft_exit why, enum engine_exit *out)
{
	struct soft_cpu *c = soft_cpu(v);

	c->stats.exits[why & 15]++;
	*out = ENGINE_REQUEST;
	if (why != SOFT_LINK && why != SOFT_HELPER)
		v->rip = rip_trunc(c, v->rip);
	switch (why) {
	case SOFT_POLL:
		soft_split_look(v);
		return GO_ON;
	case SOFT_NEXT:
		instruction_done(v);
		if (v->pauses < 0) {
			v->pauses = PAUSES;
			host_yield();
		}
		return GO_ON;
	case SOFT_LOOKUP:
		if (MODE_BITS(c->mode) == MODE_64 && !canonical(v->rip)) {
			undo_branch(v);
			return LEAVE;
		}
		instruction_done(v);
		return GO_ON;
	case SOFT_REFETCH:
		return GO_ON;
	case SOFT_LINK: {
		struct exit_link *l = (struct exit_link *)(uintptr_t)v->scratch[0];

		v->rip = rip_trunc(c, v->code_delta + (u64)(s64)(s32)l->gpa32);
		link_to(v, l);
		c->gone = false;	/* the look-up that follows tells */
		return v->exc.pending ? LEAVE : GO_ON;
	}
	case SOFT_ODD:
		return after_emulation(v, soft_odd(v), out);
	case SOFT_DIVIDE:
		return after_emulation(v, soft_divide(v), out);
	case SOFT_FAULT:
		return LEAVE;
	case SOFT_HELPER:
		return after_emulation(v, (enum emu)v->scratch[0], out);
	case SOFT_NM:
		vcpu_raise(v, EXC_NM);
		return LEAVE;
	case SOFT_UD:
		vcpu_raise(v, EXC_UD);
		return LEAVE;
	case SOFT_GP:
		vcpu_raise_error(v, EXC_GP, 0);
		return LEAVE;
	case SOFT_HOST_FAULT:
		if (c->host_fault == HOST_FAULT_MEMORY) {
			*out = ENGINE_EFAULT;
			return LEAVE;
		}
		if (c->host_fault == EXC_GP)
			vcpu_raise_error(v, EXC_GP, 0);
		else
			vcpu_raise(v, c->host_fault);
		return LEAVE;
	default:
		return internal_error(v, out);
	}
}

/* --- one instruction at a time: interrupt shadow, TF, breakpoints ----------------- */

/* Traps that the instruction left: user space's go to it, the guest's become #DB. */
static enum verdict traps(struct vcpu *v, u64 tf, u64 watch, enum engine_exit *out)
{
	u32 control = v->guest_debug.control;
	u64 user = 0;

	if (control & KVM_GUESTDBG_SINGLESTEP)
		user = BIT64(14);
	if (control & KVM_GUESTDBG_USE_HW_BP) {
		user |= watch;
		watch = 0;
	}
	/* After MOV SS and POP SS traps wait for the next instruction. */
	if ((tf | watch) && !(v->irq_shadow & KVM_X86_SHADOW_INT_MOV_SS))
		vcpu_raise_db(v, tf | watch);
	if (user) {
		v->debug_dr6 = user;
		*out = ENGINE_DEBUG;
		return LEAVE;
	}
	return v->exc.pending ? LEAVE : GO_ON;
}

/* A breakpoint at rip: a fault for the guest, an exit for user space. */
static enum verdict break_at(struct vcpu *v, u64 hit, enum engine_exit *out)
{
	if (v->guest_debug.control & KVM_GUESTDBG_USE_HW_BP) {
		v->debug_dr6 = hit;
		*out = ENGINE_DEBUG;
	} else {
		vcpu_raise_db(v, hit);
		*out = ENGINE_REQUEST;
	}
	return LEAVE;
}

static enum verdict step(struct vcpu *v, enum engine_exit *out)
{
	struct soft_cpu *c = soft_cpu(v);
	u8 shadow = v->irq_shadow;
	u64 tf = v->sysflags & X86_FL_TF ? BIT64(14) : 0, hit;
	bool breaks = vcpu_dr7(v) & DR7_ENABLES;
	struct soft_watch w;
	struct block *b;
	enum verdict r;

	hit = breaks && !v->mmio_reads ? soft_break_before(v) : 0;
	if (hit)
		return break_at(v, hit, out);
	b = soft_find(v, c->mode | MODE_ONE);
	if (!b)
		return no_code(v, out);
	if (breaks)
		soft_watch_before(v, soft_block_one(b), &w);
	v->sysflags &= ~X86_FL_RF;
	r = came_back(v, soft_go_once(v, b), out);
	if (r == LEAVE && (*out == ENGINE_REQUEST || *out == ENGINE_EFAULT || *out == ENGINE_DEBUG ||
			   (*out == ENGINE_USER && !v->mmio_writes)))
		return r;	/* a fault, or user space first: it did not retire */
	hit = breaks ? soft_watch_after(v, &w) : 0;
	if (v->irq_shadow == shadow && shadow) {
		v->irq_shadow = 0;
		__atomic_fetch_or(&v->request, REQ_EVENT, __ATOMIC_SEQ_CST);
	}
	instruction_done(v);
	if (r == LEAVE)
		return r;
	if (soft_block_one(b)->category == ZYDIS_CATEGORY_INTERRUPT && !(v->sysflags & X86_FL_TF))
		tf = 0;		/* the interrupt took TF with it */
	return traps(v, tf, hit, out);
}

/* --- engine_ops --------------------------------------------------------------------- */

static void go_in(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);

	__atomic_store_n(&c->in_run, 1, __ATOMIC_SEQ_CST);
	if (unlikely(!c->far_stub))
		soft_far_first_run(v);
	soft_running = v;
	__atomic_store_n(&c->in_code, 1, __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&c->mail, __ATOMIC_SEQ_CST))) {
		soft_lock(s);
		soft_mail_take(v);
		host_mutex_unlock(&s->lock);
	}
}

static void go_out(struct vcpu *v)
{
	__atomic_store_n(&soft_cpu(v)->in_code, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&soft_cpu(v)->in_run, 0, __ATOMIC_SEQ_CST);
	soft_running = NULL;
}

static enum verdict once(struct vcpu *v, enum engine_exit *out)
{
	struct soft_cpu *c = soft_cpu(v);
	u8 *code;

	*out = ENGINE_REQUEST;
	if (v->mode_stale)
		soft_update_mode(v);
	c->refetch = false;
	if (unlikely(must_step(v)))
		return step(v, out);
	code = code_for_rip(v);
	if (!code)
		return no_code(v, out);
	return came_back(v, soft_go(v, code), out);
}

static enum engine_exit soft_run(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct soft_cpu *c = soft_cpu(v);
	enum engine_exit out = ENGINE_REQUEST;
	u64 start = soft_clock();
	u32 request;

	go_in(v);
	/* Without paging nothing else makes us look at code that user space wrote. */
	if (!(v->cr0 & X86_CR0_PG) && c->seen_gen != s->write_gen) {
		soft_flush_code(v);
		c->seen_gen = s->write_gen;
	}
	for (;;) {
		request = __atomic_load_n(&v->request, __ATOMIC_SEQ_CST);
		if ((request & REQ_ENGINE) || s->full) {
			__atomic_fetch_and(&v->request, ~REQ_ENGINE, __ATOMIC_SEQ_CST);
			go_out(v);
			soft_code_make_room(v);
			go_in(v);
			continue;
		}
		/*
		 * An instruction that has its answer from user space is finished
		 * first, but for slots that others wait to be rid of.
		 */
		if ((request && !v->mmio_reads) || request & REQ_TLB_FLUSH || v->exc.pending)
			break;
		if (once(v, &out) == LEAVE)
			break;
	}
	go_out(v);
	c->stats.run_time += soft_clock() - start;
	return out;
}

static struct vcpu *soft_vcpu_alloc(struct vm *vm)
{
	u8 *mem = host_map(VCPU_MEMORY);
	struct vcpu *v;

	(void)vm;
	if (!mem)
		return NULL;
	v = (struct vcpu *)(mem + STACK_SIZE);
	for (int m = 0; m < MMU_COUNT; m++) {
		struct ret_stack *r = &soft_cpu(v)->ret[m];

		r->entry[0].code = (u64)(uintptr_t)soft_thunk_ret_none;
		soft_ret_cut(v, m, 0);
		if (host_forbid(r->guard, sizeof(r->guard)) < 0 ||
		    soft_tlb_map(&soft_cpu(v)->tlb[m]) < 0) {
			host_unmap(mem, VCPU_MEMORY);
			return NULL;
		}
	}
	soft_tlb_init(soft_cpu(v));
	v->mode_stale = true;
	return v;
}

static void soft_vcpu_free(struct vcpu *v)
{
	soft_spaces_free(soft_cpu(v));
	host_unmap((u8 *)v - STACK_SIZE, VCPU_MEMORY);
}

/* From now on all code that was translated before is looked at once more. */
static void soft_may_be_written(struct vm *vm)
{
	__atomic_fetch_add(&soft_vm(vm)->write_gen, 1, __ATOMIC_SEQ_CST);
}

/*
 * A device may have written memory before it interrupts. A CPU, or its timer, tells of
 * nothing of the kind; but for guests that only look from time to time whether a device
 * is done, it counts now and then.
 */
static bool may_tell_of_writes(struct vcpu *v)
{
	struct soft_vm *s = soft_vm(v->vm);
	u64 now;

	if (!v->irq_inside || soft_switch.check_always)
		return true;
	now = host_monotonic_ns();
	if (now - __atomic_load_n(&s->inside_ns, __ATOMIC_RELAXED) < INSIDE_NS)
		return false;
	__atomic_store_n(&s->inside_ns, now, __ATOMIC_RELAXED);
	return true;
}

static int soft_deliver(struct vcpu *v, u8 vector, bool soft_int, bool has_error, u32 error)
{
	struct soft_stats *st = &soft_cpu(v)->stats;
	u64 start = soft_clock();
	int e;

	st->deliveries++;
	if (vector >= 32 && may_tell_of_writes(v))
		soft_may_be_written(v->vm);
	go_in(v);	/* it may use the TLB, and look at pages of code */
	e = emu_deliver(v, vector, soft_int, has_error, error);
	go_out(v);
	st->deliver_time += soft_clock() - start;
	return e;
}

static void soft_entered(struct vcpu *v)
{
	soft_may_be_written(v->vm);
	soft_fpu_note_caller(v);
}

static void soft_state_changed(struct vcpu *v)
{
	soft_may_be_written(v->vm);
	soft_flush_tlb(v, false);
	v->mode_stale = true;
}

/* KVM_TRANSLATE: without side effects, as the present mode would see a read. */
static int soft_translate_address(struct vcpu *v, struct kvm_translation *tr)
{
	struct xlate x;

	host_memset((u8 *)tr + 8, 0, sizeof(*tr) - 8);
	tr->physical_address = ~0ull;
	if (mmu_peek(v, tr->linear_address, MMU_READ | MMU_SUPER, &x))
		return 0;
	tr->physical_address = x.gpa;
	tr->valid = 1;
	tr->writeable = 1;
	return 0;
}

static int soft_slot_added(struct vm *vm, struct memslot *s)
{
	(void)vm;
	s->engine = host_map(s->npages * sizeof(struct page_state));
	return s->engine ? 0 : -ENOMEM;
}

static void soft_slot_removed(struct vm *vm, struct memslot *slot)
{
	struct soft_vm *s = soft_vm(vm);
	u32 n = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);

	host_mutex_lock(&s->lock);
	soft_slot_forget(vm, slot);
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpus[i], __ATOMIC_ACQUIRE);

		if (v)
			soft_cpu(v)->slot_hint = NULL;
	}
	host_mutex_unlock(&s->lock);
	if (slot->engine)
		host_unmap(slot->engine, slot->npages * sizeof(struct page_state));
	slot->engine = NULL;
}

static void soft_memory_written(struct vm *vm, struct memslot *s, u64 gpa, u64 len)
{
	while (len) {
		u32 n = (u32)MIN(len, PAGE_SIZE);

		soft_page_written(vm, s, gpa, n);
		gpa += n;
		len -= n;
	}
}

const struct engine_ops soft_engine = {
	.name = "soft",
	.vm_init = soft_code_init,
	.vm_destroy = soft_code_destroy,
	.code_cache = soft_code_size,
	.vcpu_alloc = soft_vcpu_alloc,
	.vcpu_free = soft_vcpu_free,
	.entered = soft_entered,
	.run = soft_run,
	.deliver = soft_deliver,
	.fpu_put = soft_fpu_put,
	.flush_tlb = soft_flush_tlb,
	.switch_space = soft_switch_space,
	.flush_tlb_page = soft_flush_tlb_page,
	.translate = soft_translate_address,
	.asked = soft_may_be_written,
	.state_changed = soft_state_changed,
	.slot_added = soft_slot_added,
	.slot_removed = soft_slot_removed,
	.memory_written = soft_memory_written,
	.stat_name = soft_stat_name,
	.stat_values = soft_stat_values,
};
