/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * String instructions: MOVS, STOS, LODS, CMPS, SCAS with their repeat
 * prefixes.
 *
 * The elements that lie in one page of plain memory on each side are done by
 * the same instruction of the host, so that order (which overlapping operands
 * show) and flags are the processor's own; whatever is odd (MMIO, page
 * crossing, the end of a segment) is done one element at a time. A fault or a
 * request leaves rCX, rSI and rDI at the last completed element; a handler
 * gives control back at the latest after STRING_BYTES.
 *
 * Intel SDM vol. 1, 7.3.9; vol. 2, REP.
 */
#include "emulate.h"

#define STRING_BYTES 65536

/* One run of a handler. */
struct string {
	struct vcpu *v;
	const struct insn *in;
	u32 size;	/* of an element */
	bool rep, down;
	bool single;	/* stop after an element: single step or breakpoints */
	bool aligned;	/* misaligned elements fault */
	u64 left;	/* elements */
	u32 budget;	/* bytes until the handler gives control back */
};

/* False: a repeat count of 0, nothing to do. */
static bool string_start(struct string *s, struct vcpu *v, const struct insn *in)
{
	s->v = v;
	s->in = in;
	s->size = in->opcode & 1 ? in->opsize : 1;
	s->rep = in->flags & (INSN_REP | INSN_REPNE);
	s->down = v->sysflags & X86_FL_DF;
	s->single = (v->sysflags & X86_FL_TF) || (v->dr7 & 0xff) ||
		    (v->guest_debug.control & KVM_GUESTDBG_ENABLE);
	s->aligned = (v->sysflags & X86_FL_AC) && v->cpl == 3;
	s->left = s->rep ? reg_read(v, REG_RCX, in->addrsize) : 1;
	s->budget = STRING_BYTES;
	return s->left;
}

static inline u64 offset_of(const struct string *s, u8 index)
{
	return reg_read(s->v, index, s->in->addrsize);
}

static void step(struct string *s, u8 index, u32 n)
{
	u64 bytes = (u64)n * s->size;

	emu_set_reg(s->v, index, s->v->gpr[index] + (s->down ? 0 - bytes : bytes),
		    s->in->addrsize);
}

static void count(struct string *s, u32 n)
{
	s->left -= n;
	s->budget -= MIN(s->budget, n * s->size);
	if (s->rep)
		emu_set_reg(s->v, REG_RCX, s->v->gpr[REG_RCX] - n, s->in->addrsize);
}

/* After some elements: whether to go on within this handler. */
static bool string_goes_on(const struct string *s)
{
	const struct vcpu *v = s->v;

	return s->left && s->budget && !s->single && !v->mmio_reads && !v->mmio_writes &&
	       !__atomic_load_n(&v->request, __ATOMIC_RELAXED);
}

static enum emu string_end(const struct string *s)
{
	return s->left ? EMU_JUMP : EMU_NEXT;
}

/* Whether bytes from first on lie in the segment and it allows the access; raises nothing. */
static bool seg_covers(const struct vcpu *v, u8 seg, u64 first, u64 bytes, u32 access)
{
	const struct seg *s = &v->seg[seg];
	u64 last = first + bytes - 1;

	if (vcpu_64bit(v)) {
		u64 base = seg == SEG_FS || seg == SEG_GS ? s->base : 0;

		return emu_canonical(base + first) && emu_canonical(base + last);
	}
	if (!vcpu_real_or_v86(v)) {
		if (!(s->attr & SEG_P) || !(s->attr & SEG_S))
			return false;
		if (access & MMU_WRITE ? (s->attr & (SEG_CODE | SEG_W)) != SEG_W
				       : (s->attr & (SEG_CODE | SEG_W)) == SEG_CODE)
			return false;
	}
	if ((s->attr & (SEG_S | SEG_CODE | SEG_E)) == (SEG_S | SEG_E))
		return first > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

/*
 * Memory of one side of a run of *n elements: lowers *n to what lies in one
 * page and gives the host address of the element at the index register. NULL:
 * go by single elements.
 */
static u8 *span(const struct string *s, u8 seg, u8 index, u32 access, u32 *n)
{
	struct vcpu *v = s->v;
	u64 offset = offset_of(s, index), first, linear, room, bytes;
	u32 in_page;
	u8 *p;

	linear = v->seg[seg].base + offset;
	if (vcpu_64bit(v)) {
		if (seg != SEG_FS && seg != SEG_GS)
			linear = offset;
	} else {
		linear = (u32)linear;
	}
	in_page = (u32)(linear & ~PAGE_MASK);
	if (in_page + s->size > PAGE_SIZE || (s->aligned && (in_page & (s->size - 1))))
		return NULL;
	room = s->down ? in_page / s->size + 1 : (PAGE_SIZE - in_page) / s->size;
	/* Neither may the offset wrap around its address size. */
	bytes = emu_mask(s->in->addrsize) - offset;
	if (bytes < s->size - 1u)
		return NULL;
	bytes = s->down ? offset : bytes - (s->size - 1);
	room = MIN(room - 1, bytes / s->size) + 1;
	*n = (u32)MIN(*n, room);
	bytes = (u64)*n * s->size;
	first = s->down ? offset + s->size - bytes : offset;
	if (!seg_covers(v, seg, first, bytes, access))
		return NULL;
	linear -= offset - first;
	p = mem_ptr(v, linear, (u32)bytes, access);
	return p ? p + (offset - first) : NULL;
}

/* One element, with all of its faults. */
static enum emu load(const struct string *s, u8 seg, u8 index, void *dst)
{
	return emu_load(s->v, seg, offset_of(s, index), dst, s->size, s->size);
}

static enum emu store(const struct string *s, const void *src)
{
	return emu_store(s->v, SEG_ES, offset_of(s, REG_RDI), src, s->size, s->size);
}

/* Elements that the fast way may take at once. */
static u32 chunk(const struct string *s)
{
	u64 n = MIN(s->left, (u64)PAGE_SIZE);

	return s->single ? 1 : (u32)n;
}

/* --- MOVS ------------------------------------------------------------------------ */

/*
 * The host's instruction, which ends early when the memory is gone: DF is then
 * still set.
 */
#define REP_MOVS(suffix)                                                        \
	do {                                                                    \
		if (down)                                                       \
			__asm__ volatile goto("std\n\t" HOST_GUARDED("rep movs" suffix) "cld" \
				     : "+D"(d), "+S"(p), "+c"(c) : : "memory", "cc" : gone); \
		else                                                            \
			__asm__ volatile goto(HOST_GUARDED("rep movs" suffix)            \
				     : "+D"(d), "+S"(p), "+c"(c) : : "memory" : gone); \
	} while (0)

/* The number of elements done: fewer than n when the memory is gone. */
static u32 host_movs(u8 *d, const u8 *p, u32 n, u32 size, bool down)
{
	u64 c = n;

	switch (size) {
	case 1:
		REP_MOVS("b");
		break;
	case 2:
		REP_MOVS("w");
		break;
	case 4:
		REP_MOVS("l");
		break;
	default:
		REP_MOVS("q");
	}
	return n;
gone:
	__asm__ volatile("cld");
	return n - (u32)c;
}

static enum emu movs_run(struct string *s)
{
	u32 n = chunk(s);
	const u8 *src = span(s, s->in->seg, REG_RSI, MMU_READ, &n);
	u8 *dst = src ? span(s, SEG_ES, REG_RDI, MMU_READ | MMU_WRITE, &n) : NULL;
	u8 buf[8];

	if (likely(dst)) {
		n = host_movs(dst, src, n, s->size, s->down);
		if (unlikely(!n))
			return EMU_GONE;
	} else {
		n = 1;
		TRY(load(s, s->in->seg, REG_RSI, buf));
		TRY(store(s, buf));
	}
	step(s, REG_RSI, n);
	step(s, REG_RDI, n);
	count(s, n);
	return EMU_NEXT;
}

EMU_HANDLER(emu_movs)
{
	struct string s;

	if (!string_start(&s, v, in))
		return EMU_NEXT;
	do {
		TRY(movs_run(&s));
	} while (string_goes_on(&s));
	return string_end(&s);
}

/* --- STOS ------------------------------------------------------------------------ */

#define REP_STOS(suffix)                                                        \
	do {                                                                    \
		if (down)                                                       \
			__asm__ volatile goto("std\n\t" HOST_GUARDED("rep stos" suffix) "cld" \
				     : "+D"(d), "+c"(c) : "a"(rax) : "memory", "cc" : gone); \
		else                                                            \
			__asm__ volatile goto(HOST_GUARDED("rep stos" suffix)            \
				     : "+D"(d), "+c"(c) : "a"(rax) : "memory" : gone); \
	} while (0)

/* The number of elements done, as host_movs(). */
static u32 host_stos(u8 *d, u64 rax, u32 n, u32 size, bool down)
{
	u64 c = n;

	switch (size) {
	case 1:
		REP_STOS("b");
		break;
	case 2:
		REP_STOS("w");
		break;
	case 4:
		REP_STOS("l");
		break;
	default:
		REP_STOS("q");
	}
	return n;
gone:
	__asm__ volatile("cld");
	return n - (u32)c;
}

static enum emu stos_run(struct string *s)
{
	u64 rax = s->v->gpr[REG_RAX];
	u32 n = chunk(s);
	u8 *dst = span(s, SEG_ES, REG_RDI, MMU_READ | MMU_WRITE, &n);

	if (likely(dst)) {
		n = host_stos(dst, rax, n, s->size, s->down);
		if (unlikely(!n))
			return EMU_GONE;
	} else {
		n = 1;
		TRY(store(s, &rax));
	}
	step(s, REG_RDI, n);
	count(s, n);
	return EMU_NEXT;
}

EMU_HANDLER(emu_stos)
{
	struct string s;

	if (!string_start(&s, v, in))
		return EMU_NEXT;
	do {
		TRY(stos_run(&s));
	} while (string_goes_on(&s));
	return string_end(&s);
}

/* --- LODS ------------------------------------------------------------------------ */

static enum emu lods_run(struct string *s)
{
	u64 val = 0;

	TRY(load(s, s->in->seg, REG_RSI, &val));
	reg_write(s->v, REG_RAX, val, (u8)s->size);
	step(s, REG_RSI, 1);
	count(s, 1);
	return EMU_NEXT;
}

EMU_HANDLER(emu_lods)
{
	struct string s;

	if (!string_start(&s, v, in))
		return EMU_NEXT;
	do {
		TRY(lods_run(&s));
	} while (string_goes_on(&s));
	return string_end(&s);
}

/* --- CMPS and SCAS --------------------------------------------------------------- */

/*
 * Compares up to n elements; the number done, and the flags of the last one. 0
 * when the memory is gone: nothing was changed.
 */
#define REP_CMPS(prefix, suffix)                                                          \
	__asm__ volatile goto("testb %b[down], %b[down]\n\tjz 1f\n\tstd\n"                        \
		     "1:\t" HOST_GUARDED(prefix " cmps" suffix) "cld\n\tseto %%al\n\tlahf"  \
		     : "+S"(p), "+D"(q), "+c"(c), "=&a"(flags)                            \
		     : [down] "q"(down)                                                   \
		     : "memory", "cc" : gone)

static u32 host_cmps(const u8 *p, const u8 *q, u32 n, u32 size, bool down, bool equal, u16 *arith)
{
	u32 flags;
	u64 c = n;

	switch (size | (equal ? 0x10 : 0)) {
	case 0x11:
		REP_CMPS("repe", "b");
		break;
	case 0x12:
		REP_CMPS("repe", "w");
		break;
	case 0x14:
		REP_CMPS("repe", "l");
		break;
	case 0x18:
		REP_CMPS("repe", "q");
		break;
	case 1:
		REP_CMPS("repne", "b");
		break;
	case 2:
		REP_CMPS("repne", "w");
		break;
	case 4:
		REP_CMPS("repne", "l");
		break;
	default:
		REP_CMPS("repne", "q");
	}
	*arith = (u16)flags;
	return n - (u32)c;
gone:
	__asm__ volatile("cld");
	*arith = 0;
	return 0;
}

#define REP_SCAS(prefix, suffix)                                                          \
	__asm__ volatile goto("testb %b[down], %b[down]\n\tjz 1f\n\tstd\n"                        \
		     "1:\t" HOST_GUARDED(prefix " scas" suffix) "cld\n\tseto %%al\n\tlahf"  \
		     : "+D"(q), "+c"(c), "+a"(rax)                                        \
		     : [down] "q"(down)                                                   \
		     : "memory", "cc" : gone)

static u32 host_scas(u64 rax, const u8 *q, u32 n, u32 size, bool down, bool equal, u16 *arith)
{
	u64 c = n;

	switch (size | (equal ? 0x10 : 0)) {
	case 0x11:
		REP_SCAS("repe", "b");
		break;
	case 0x12:
		REP_SCAS("repe", "w");
		break;
	case 0x14:
		REP_SCAS("repe", "l");
		break;
	case 0x18:
		REP_SCAS("repe", "q");
		break;
	case 1:
		REP_SCAS("repne", "b");
		break;
	case 2:
		REP_SCAS("repne", "w");
		break;
	case 4:
		REP_SCAS("repne", "l");
		break;
	default:
		REP_SCAS("repne", "q");
	}
	*arith = (u16)rax;
	return n - (u32)c;
gone:
	__asm__ volatile("cld");
	*arith = 0;
	return 0;
}

/* A repeated comparison ends when ZF is not what its prefix goes on for. */
static bool comparison_over(const struct string *s, u16 arith)
{
	bool zf = arith >> 8 & X86_FL_ZF;

	return s->rep && zf != !(s->in->flags & INSN_REPNE);
}

/* Repeats run; a fault leaves the flags as they were before the instruction. */
static inline enum emu compare(struct vcpu *v, const struct insn *in,
			       enum emu (*run)(struct string *s, bool *over))
{
	u16 before = v->arith;
	struct string s;
	bool over;
	enum emu e;

	if (!string_start(&s, v, in))
		return EMU_NEXT;
	do {
		e = run(&s, &over);
		if (unlikely(e != EMU_NEXT)) {
			v->arith = before;
			return e;
		}
	} while (!over && string_goes_on(&s));
	return over ? EMU_NEXT : string_end(&s);
}

static enum emu cmps_run(struct string *s, bool *over)
{
	bool equal = !(s->in->flags & INSN_REPNE);
	u32 n = chunk(s);
	const u8 *p = span(s, s->in->seg, REG_RSI, MMU_READ, &n);
	const u8 *q = p ? span(s, SEG_ES, REG_RDI, MMU_READ, &n) : NULL;
	u8 a[8], b[8];
	u16 arith;

	if (likely(q)) {
		n = host_cmps(p, q, n, s->size, s->down, equal, &arith);
		if (unlikely(!n))
			return EMU_GONE;
	} else {
		TRY(load(s, s->in->seg, REG_RSI, a));
		TRY(load(s, SEG_ES, REG_RDI, b));
		n = host_cmps(a, b, 1, s->size, false, equal, &arith);
	}
	s->v->arith = arith;
	step(s, REG_RSI, n);
	step(s, REG_RDI, n);
	count(s, n);
	*over = comparison_over(s, arith);
	return EMU_NEXT;
}

EMU_HANDLER(emu_cmps)
{
	return compare(v, in, cmps_run);
}

static enum emu scas_run(struct string *s, bool *over)
{
	bool equal = !(s->in->flags & INSN_REPNE);
	u64 rax = s->v->gpr[REG_RAX];
	u32 n = chunk(s);
	const u8 *q = span(s, SEG_ES, REG_RDI, MMU_READ, &n);
	u8 b[8];
	u16 arith;

	if (likely(q)) {
		n = host_scas(rax, q, n, s->size, s->down, equal, &arith);
		if (unlikely(!n))
			return EMU_GONE;
	} else {
		TRY(load(s, SEG_ES, REG_RDI, b));
		n = host_scas(rax, b, 1, s->size, false, equal, &arith);
	}
	s->v->arith = arith;
	step(s, REG_RDI, n);
	count(s, n);
	*over = comparison_over(s, arith);
	return EMU_NEXT;
}

EMU_HANDLER(emu_scas)
{
	return compare(v, in, scas_run);
}
