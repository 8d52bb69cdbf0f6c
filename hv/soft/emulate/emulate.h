/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the C emulation of system instructions shares: raising exceptions,
 * mode predicates, operands, descriptors, the stack and the TSS.
 *
 * A handler first does everything that may fault and only then changes
 * registers, so that an instruction that faults or waits for user space can
 * start again. Handlers that return EMU_JUMP, EMU_EXIT_NEXT or EMU_HALT have
 * set v->rip themselves.
 */
#ifndef HV_SOFT_EMULATE_EMULATE_H
#define HV_SOFT_EMULATE_EMULATE_H

#include "../mmu/mmu.h"
#include "../soft.h"

/* Evaluates an enum emu and returns it from the calling function unless it is EMU_NEXT. */
#define TRY(expr)                                \
	do {                                     \
		enum emu try_e = (expr);         \
		if (unlikely(try_e != EMU_NEXT)) \
			return try_e;            \
	} while (0)

/* --- exceptions -------------------------------------------------------------- */

static inline enum emu emu_fault(struct vcpu *v, u8 vector, u32 error)
{
	vcpu_raise_error(v, vector, error);
	return EMU_FAULT;
}

static inline enum emu emu_gp0(struct vcpu *v)
{
	return emu_fault(v, EXC_GP, 0);
}

static inline enum emu emu_raise_ud(struct vcpu *v)
{
	vcpu_raise(v, EXC_UD);
	return EMU_FAULT;
}

/* The vector that a vcpu_set_*() function refused with. */
static inline enum emu emu_refused(struct vcpu *v, int vector)
{
	return vector == EXC_UD ? emu_raise_ud(v) : emu_fault(v, (u8)vector, 0);
}

/* Selector part of an error code. */
static inline u32 emu_sel_error(u16 sel)
{
	return sel & 0xfffcu;
}

/* --- modes ------------------------------------------------------------------- */

static inline bool emu_canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

static inline u8 emu_iopl(const struct vcpu *v)
{
	return v->sysflags >> 12 & 3;
}

static inline bool emu_null_sel(u16 sel)
{
	return !(sel & 0xfffc);
}

/* Address of the instruction after in. */
static inline u64 emu_next_rip(const struct vcpu *v, const struct insn *in)
{
	u64 rip = v->rip + in->len;

	return vcpu_64bit(v) ? rip : (u32)rip;
}

/* Goes on at rip, which the caller has checked. */
static inline enum emu emu_jump(struct vcpu *v, u64 rip)
{
	v->rip = rip;
	return EMU_JUMP;
}

/*
 * An event may have become deliverable: have the run loop look. Not needed
 * when RFLAGS.IF becomes 1: the engine looks at that after every instruction.
 */
static inline void emu_look_for_events(struct vcpu *v)
{
	__atomic_fetch_or(&v->request, REQ_EVENT, __ATOMIC_SEQ_CST);
}

/* Takes the bits of mask from val into RFLAGS. */
static inline void emu_set_flags(struct vcpu *v, u64 val, u64 mask)
{
	vcpu_set_rflags(v, (vcpu_rflags(v) & ~mask) | (val & mask));
}

/* True when CPUID leaf.subleaf's register (0: EAX) has the bit. */
static inline bool emu_cpuid_bit(struct vcpu *v, u32 leaf, u32 subleaf, u32 reg, u32 bit)
{
	u32 out[4];

	vcpu_cpuid(v, leaf, subleaf, out);
	return out[reg] >> bit & 1;
}

/* Long-mode SYSCALL and SYSENTER rules differ between the vendors. */
static inline bool emu_intel(struct vcpu *v)
{
	u32 out[4];

	vcpu_cpuid(v, 0, 0, out);
	return out[1] == 0x756e6547;	/* "Genu" */
}

/* --- memory -------------------------------------------------------------------- */

/* #AC where CR0.AM and RFLAGS.AC ask ring 3 for operands at multiples of align. */
static inline enum emu emu_check_align(struct vcpu *v, u64 linear, u32 align)
{
	if (likely(!(v->sysflags & X86_FL_AC) || !(linear & (align - 1))) || v->cpl != 3 ||
	    !(v->cr0 & X86_CR0_AM))
		return EMU_NEXT;
	return emu_fault(v, EXC_AC, 0);
}

/* Operands in memory; align: a power of two. */
static inline enum emu emu_load(struct vcpu *v, u8 seg, u64 offset, void *dst, u32 size, u32 align)
{
	u64 linear;

	TRY(seg_linear(v, seg, offset, size, MMU_READ, &linear));
	TRY(emu_check_align(v, linear, align));
	return mem_read(v, linear, dst, size, MMU_READ | (seg == SEG_SS ? MMU_STACK : 0));
}

static inline enum emu emu_store(struct vcpu *v, u8 seg, u64 offset, const void *src, u32 size,
				 u32 align)
{
	u64 linear;

	TRY(seg_linear(v, seg, offset, size, MMU_WRITE, &linear));
	TRY(emu_check_align(v, linear, align));
	return mem_write(v, linear, src, size, MMU_WRITE | (seg == SEG_SS ? MMU_STACK : 0));
}

/*
 * A far pointer in memory, size bytes of offset and a selector. AMD's
 * processors take 4 bytes of offset also with REX.W.
 */
static inline enum emu emu_load_pointer(struct vcpu *v, const struct insn *in, u64 *offset,
					u16 *sel)
{
	u32 size = in->opsize == 8 && !emu_intel(v) ? 4 : in->opsize;
	u8 raw[10];

	TRY(emu_load(v, in->seg, insn_ea(v, in), raw, size + 2, size));
	*offset = 0;
	host_memcpy(offset, raw, size);
	host_memcpy(sel, raw + size, 2);
	return EMU_NEXT;
}

/* --- operands ---------------------------------------------------------------- */

/* The ModRM operand as size bytes (1, 2, 4, 8), zero-extended. */
static inline enum emu emu_read_rm(struct vcpu *v, const struct insn *in, u32 size, u64 *val)
{
	*val = 0;
	if (in->flags & INSN_MEM)
		return emu_load(v, in->seg, insn_ea(v, in), val, size, size);
	*val = size == 1 ? reg8_read(v, in, in->rm) : reg_read(v, in->rm, size);
	return EMU_NEXT;
}

static inline enum emu emu_write_rm(struct vcpu *v, const struct insn *in, u32 size, u64 val)
{
	if (in->flags & INSN_MEM)
		return emu_store(v, in->seg, insn_ea(v, in), &val, size, size);
	if (size == 1)
		reg8_write(v, in, in->rm, (u8)val);
	else
		reg_write(v, in->rm, val, size);
	return EMU_NEXT;
}

/* The mask of an address or counter register of size bytes. */
static inline u64 emu_mask(u32 size)
{
	return size == 8 ? ~0ull : BIT64(size * 8) - 1;
}

/* Writes an address or count register of size bytes. */
static inline void emu_set_reg(struct vcpu *v, u8 r, u64 val, u8 size)
{
	reg_write(v, r, val & emu_mask(size), size);
}

/* --- descriptors (desc.c) ---------------------------------------------------- */

struct emu_desc {
	u64 addr;	/* linear */
	u32 lo, hi;
	u64 top;	/* bytes 8..15 of a 16-byte descriptor, else 0 */
	u16 sel;
};

/* Attributes as struct seg has them. */
static inline u32 emu_desc_attr(const struct emu_desc *d)
{
	return d->hi >> 8 & 0xf0ff;
}

static inline u8 emu_desc_type(const struct emu_desc *d)
{
	return d->hi >> 8 & 15;
}

static inline bool emu_desc_is_code(const struct emu_desc *d)
{
	return (emu_desc_attr(d) & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}

static inline u8 emu_desc_dpl(const struct emu_desc *d)
{
	return d->hi >> 13 & 3;
}

static inline bool emu_desc_present(const struct emu_desc *d)
{
	return d->hi >> 15 & 1;
}

/* Gate fields. */
static inline u16 emu_gate_sel(const struct emu_desc *d)
{
	return d->lo >> 16;
}

static inline u64 emu_gate_offset(const struct emu_desc *d)
{
	return (d->top << 32) | (d->hi & 0xffff0000u) | (d->lo & 0xffff);
}

/* A code segment whose L and D bits contradict each other in long mode. */
static inline bool emu_bad_code_size(const struct vcpu *v, const struct emu_desc *d)
{
	u32 attr = emu_desc_attr(d);

	return vcpu_long_mode(v) && (attr & SEG_L) && (attr & SEG_DB);
}

/* A descriptor that may be missing: *found tells; nothing is raised for that. */
enum emu emu_desc_find(struct vcpu *v, u16 sel, struct emu_desc *d, bool *found);
/* A descriptor that must be there, or vector(sel | ext) is raised. */
enum emu emu_desc_get(struct vcpu *v, u16 sel, struct emu_desc *d, u8 vector, u32 ext);
/* Sets the accessed bit of a code or data descriptor. */
enum emu emu_desc_accessed(struct vcpu *v, struct emu_desc *d);
/* Sets or clears the busy bit of a TSS descriptor. */
enum emu emu_desc_busy(struct vcpu *v, struct emu_desc *d, bool busy);
/* The segment that d describes. */
void emu_desc_to_seg(const struct emu_desc *d, u16 sel, struct seg *s);
/* The unusable segment that a null selector loads. */
void emu_null_seg(u16 sel, u8 dpl, struct seg *s);
/* What a segment register holds after a load in real or virtual-8086 mode. */
void emu_real_seg(const struct vcpu *v, u8 seg, u16 sel, struct seg *s);
/* Puts s into a segment register; the mode becomes stale where it matters. */
void emu_set_seg(struct vcpu *v, u8 seg, const struct seg *s);
/* Puts s into CS at privilege cpl. */
void emu_set_cs(struct vcpu *v, const struct seg *s, u8 cpl);

/*
 * Protected-mode checks of DS, ES, FS and GS, or SS, at privilege cpl. The
 * segment goes to *s and is not yet in the register. ext is ORed to error
 * codes; vector replaces #GP (task switches: #TS).
 */
enum emu emu_check_data(struct vcpu *v, u16 sel, u8 cpl, u8 vector, u32 ext, struct seg *s);
enum emu emu_check_ss(struct vcpu *v, u16 sel, u8 cpl, u8 vector, u32 ext, struct seg *s);

/* The code offset rip lies inside cs (canonical when it is 64-bit code), or #GP(error). */
enum emu emu_check_rip(struct vcpu *v, const struct seg *cs, u64 rip, u32 error);

/* Reads size bytes at offset of the task state segment: #TS(TR) when outside. */
enum emu emu_tss_read(struct vcpu *v, u32 offset, void *dst, u32 size, u32 ext);
/* The stack of privilege dpl in a 16- or 32-bit TSS, all checks done. */
enum emu emu_tss_stack(struct vcpu *v, u8 dpl, u32 ext, struct seg *ss, u64 *sp);
/* A stack pointer of a 64-bit TSS: RSP0..2 for index 0..2, IST1..7 for 4..10. */
enum emu emu_tss_rsp(struct vcpu *v, u32 index, u32 ext, u64 *rsp);

/* --- the stack (stackops.c) -------------------------------------------------- */

#define EMU_FRAME_MAX 40	/* values pushed at once */

/* A stack pointer that moves before anything is committed. */
struct emu_stack {
	struct seg ss;
	u64 sp, mask;
	u32 error;	/* error code of #SS on this stack */
	u32 access;	/* MMU_SUPER for the stack of an inner privilege */
	bool flat;	/* 64-bit mode: no base, no limit */
};

u64 emu_stack_mask(const struct vcpu *v);
/* The present stack. */
void emu_stack_now(const struct vcpu *v, struct emu_stack *st);
/* A stack of privilege cpl that is being switched to; flat: 64-bit mode. */
void emu_stack_new(struct emu_stack *st, const struct seg *ss, u64 sp, u8 cpl, bool flat,
		   u32 error);
/* Pushes n values of size bytes, val[0] first. All or nothing. */
enum emu emu_stack_push(struct vcpu *v, struct emu_stack *st, const u64 *val, u32 n, u32 size);
enum emu emu_stack_pop(struct vcpu *v, struct emu_stack *st, u64 *val, u32 size);
/* Faults as pushing a value of size bytes would. */
enum emu emu_stack_probe(struct vcpu *v, const struct emu_stack *st, u32 size);
/* RSP, as wide as the stack is. */
void emu_stack_commit(struct vcpu *v, const struct emu_stack *st);
/* One value on the present stack, committed. */
enum emu emu_push(struct vcpu *v, u64 val, u32 size);

/* --- control transfers ------------------------------------------------------- */

/* How a task switch was asked for. */
enum emu_task { EMU_TASK_JMP, EMU_TASK_CALL, EMU_TASK_IRET, EMU_TASK_EVENT };

/*
 * Switches to the task of TSS descriptor d. next: RIP that the old task
 * resumes at. has_error: push error on the new stack. ext: for error codes.
 */
enum emu emu_task_switch(struct vcpu *v, enum emu_task how, struct emu_desc *d, u64 next,
			 bool has_error, u32 error, u32 ext);
/* Through a task gate's selector, to which the gate's own checks were made. */
enum emu emu_task_gate(struct vcpu *v, enum emu_task how, u16 tss_sel, u64 next, bool has_error,
		       u32 error, u32 ext);
/* IRET with NT set. */
enum emu emu_task_return(struct vcpu *v, u64 next);

/* What is delivered through the IDT. */
struct emu_event {
	u8 vector;
	bool soft;		/* INT n, INT3, INTO: gate's DPL is checked, EXT is 0 */
	bool has_error;
	u32 error;
	u64 rip;		/* where the handler returns to */
};
enum emu emu_deliver_event(struct vcpu *v, const struct emu_event *ev);

/* Return from an inner to an outer or the same privilege (RETF, IRET). */
enum emu emu_return_code(struct vcpu *v, u16 sel, struct emu_desc *d);
enum emu emu_return_stack(struct vcpu *v, u16 sel, u8 cpl, const struct emu_desc *cs,
			  struct seg *ss);
/* Loads SP of a return: as wide as ss says. */
void emu_return_sp(struct vcpu *v, const struct seg *cs, const struct seg *ss, u64 sp);
/* Nulls data segments that privilege cpl may not see. */
void emu_drop_inner_segs(struct vcpu *v, u8 cpl);

/* Guest x87 and vector state is in the host's registers after this. */
static inline void emu_need_fpu(struct vcpu *v)
{
	if (unlikely(!v->fpu_loaded))
		soft_fpu_load(v);
}

/* --- handlers ---------------------------------------------------------------- */

#define EMU_HANDLER(name) enum emu name(struct vcpu *v, const struct insn *in)

/* segment.c */
EMU_HANDLER(emu_mov_from_sreg);
EMU_HANDLER(emu_mov_to_sreg);
EMU_HANDLER(emu_load_far_pointer);
EMU_HANDLER(emu_push_sreg);
EMU_HANDLER(emu_pop_sreg);
/* systab.c */
EMU_HANDLER(emu_lldt);
EMU_HANDLER(emu_ltr);
EMU_HANDLER(emu_sldt);
EMU_HANDLER(emu_str);
EMU_HANDLER(emu_lgdt);
EMU_HANDLER(emu_lidt);
EMU_HANDLER(emu_sgdt);
EMU_HANDLER(emu_sidt);
EMU_HANDLER(emu_lar);
EMU_HANDLER(emu_lsl);
EMU_HANDLER(emu_verr);
EMU_HANDLER(emu_verw);
EMU_HANDLER(emu_arpl);
/* far.c, retf.c, iret.c */
EMU_HANDLER(emu_jmp_far);
EMU_HANDLER(emu_call_far);
EMU_HANDLER(emu_ret_far);
EMU_HANDLER(emu_iret);
/* int.c */
EMU_HANDLER(emu_int);
EMU_HANDLER(emu_int1);
EMU_HANDLER(emu_int3);
EMU_HANDLER(emu_into);
EMU_HANDLER(emu_bound);
EMU_HANDLER(emu_ud);
/* syscall.c */
EMU_HANDLER(emu_syscall);
EMU_HANDLER(emu_sysret);
EMU_HANDLER(emu_sysenter);
EMU_HANDLER(emu_sysexit);
EMU_HANDLER(emu_swapgs);
EMU_HANDLER(emu_rdfsbase);
EMU_HANDLER(emu_rdgsbase);
EMU_HANDLER(emu_wrfsbase);
EMU_HANDLER(emu_wrgsbase);
/* control.c */
EMU_HANDLER(emu_mov_from_cr);
EMU_HANDLER(emu_mov_to_cr);
EMU_HANDLER(emu_clts);
EMU_HANDLER(emu_smsw);
EMU_HANDLER(emu_lmsw);
EMU_HANDLER(emu_invlpg);
EMU_HANDLER(emu_invpcid);
EMU_HANDLER(emu_cache_flush);
EMU_HANDLER(emu_xgetbv);
EMU_HANDLER(emu_xsetbv);
EMU_HANDLER(emu_mov_from_dr);
EMU_HANDLER(emu_mov_to_dr);
/* system.c */
EMU_HANDLER(emu_hlt);
EMU_HANDLER(emu_rdmsr);
EMU_HANDLER(emu_wrmsr);
EMU_HANDLER(emu_rdpmc);
EMU_HANDLER(emu_cpuid);
EMU_HANDLER(emu_rdtsc);
EMU_HANDLER(emu_rdtscp);
EMU_HANDLER(emu_rdpid);
EMU_HANDLER(emu_monitor);
EMU_HANDLER(emu_mwait);
EMU_HANDLER(emu_monitorx);
EMU_HANDLER(emu_mwaitx);
EMU_HANDLER(emu_hypercall);
EMU_HANDLER(emu_clzero);
EMU_HANDLER(emu_rsm);
/* flags.c */
EMU_HANDLER(emu_cli);
EMU_HANDLER(emu_sti);
EMU_HANDLER(emu_pushf);
EMU_HANDLER(emu_popf);
EMU_HANDLER(emu_clac);
EMU_HANDLER(emu_stac);
EMU_HANDLER(emu_cld);
EMU_HANDLER(emu_std);
/* io.c */
EMU_HANDLER(emu_in);
EMU_HANDLER(emu_out);
EMU_HANDLER(emu_ins);
EMU_HANDLER(emu_outs);
/* string.c */
EMU_HANDLER(emu_movs);
EMU_HANDLER(emu_stos);
EMU_HANDLER(emu_lods);
EMU_HANDLER(emu_cmps);
EMU_HANDLER(emu_scas);
/* stack.c */
EMU_HANDLER(emu_push_insn);
EMU_HANDLER(emu_pop_insn);
EMU_HANDLER(emu_pusha);
EMU_HANDLER(emu_popa);
EMU_HANDLER(emu_enter);
EMU_HANDLER(emu_leave);
/* branch.c */
EMU_HANDLER(emu_call_near);
EMU_HANDLER(emu_jmp_near);
EMU_HANDLER(emu_ret_near);
EMU_HANDLER(emu_jcc);
EMU_HANDLER(emu_loop);
/* legacy.c */
EMU_HANDLER(emu_aaa);
EMU_HANDLER(emu_aas);
EMU_HANDLER(emu_aam);
EMU_HANDLER(emu_aad);
EMU_HANDLER(emu_daa);
EMU_HANDLER(emu_das);
EMU_HANDLER(emu_salc);
EMU_HANDLER(emu_xlat);
/* vector.c, gather.c */
EMU_HANDLER(emu_maskmov);
EMU_HANDLER(emu_gather);
EMU_HANDLER(emu_scatter);
/* xstate.c, x87env.c */
EMU_HANDLER(emu_fxsave);
EMU_HANDLER(emu_fxrstor);
EMU_HANDLER(emu_xsave);
EMU_HANDLER(emu_xsavec);
EMU_HANDLER(emu_xsaves);
EMU_HANDLER(emu_xrstor);
EMU_HANDLER(emu_xrstors);
EMU_HANDLER(emu_fnstenv);
EMU_HANDLER(emu_fldenv);
EMU_HANDLER(emu_fnsave);
EMU_HANDLER(emu_frstor);

/* --- user space's debugger ------------------------------------------------------ */

/* Fills KVM_EXIT_DEBUG at this instruction; the handler returns EMU_EXIT. */
void emu_debug_exit(struct vcpu *v, u8 vector, u64 dr6);

#endif
