/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From guest code to a block: decode up to the end of the page or of the
 * straight line (conditional jumps leave sideways), see which flags matter
 * where, write the host code, and describe the result.
 */
#include "emit.h"
#include "../decode/decode.h"
#include "../emulate/emulate.h"

size_t soft_scratch_size(void)
{
	return sizeof(struct xl);
}

size_t soft_insn_scratch_size(void)
{
	return sizeof(struct xinsn) * MAX_BLOCK_INSNS;
}

/* A request: back to C at the block's start. Where *from is to jump. */
static void poll_exit(struct xl *x, u8 *from)
{
	e_aim(from, x->p);
	e_branch_rx(x, 0xe8, x->s->thunk[THUNK_EXIT_MEM]);
	e32(x, (u32)x->gpa32);
	e32(x, SOFT_POLL);
}

static u8 *e_poll(struct xl *x)
{
	e8(x, 0x83);			/* cmp dword [request], 0 */
	e_modrm_state(x, 7, OFF_REQUEST);
	e8(x, 0);
	return e_jcc(x, CC_NE);
}

static void poll_inline(struct xl *x)
{
	u8 *leave = e_poll(x);

	x_swap(x);
	poll_exit(x, leave);
	x_swap(x);
}

/* The entry with a poll that leaves the flags alone. */
static void poll_entry(struct xl *x)
{
	u8 *ok;

	x_swap(x);
	x->b->poll = to_rx(x->s, x->p);
	e_mov(x, true, S0, H_RCX);
	e_op_state(x, false, 0x8b, H_RCX, OFF_REQUEST);
	e8(x, 0xe3), e8(x, 3 + 5 + 8);	/* jrcxz */
	ok = x->p;
	e_mov(x, true, H_RCX, S0);
	e_branch_rx(x, 0xe8, x->s->thunk[THUNK_EXIT_HOST]);
	e32(x, (u32)x->gpa32);
	e32(x, SOFT_POLL);
	ok[-1] = (u8)(x->p - ok);
	e_mov(x, true, H_RCX, S0);
	e_branch_rx(x, 0xe9, x->b->entry);
	x_swap(x);
}

/* RBP = rip: where the block stands in the address space. */
static void note_delta(struct xl *x)
{
	bool big = x->gpa32 == INT32_MIN;

	x->b->indirect = to_rx(x->s, x->p);
	e_lea(x, true, S0, S0, big ? INT32_MAX : -(s32)x->gpa32);
	if (big)
		e_lea(x, true, S0, S0, 1);
	e_store(x, S0, OFF_DELTA);
}

/* The indirect entry of a block that others lead to directly: not in its way. */
static void indirect_apart(struct xl *x, bool restore)
{
	u8 *leave = NULL;

	x_swap(x);
	note_delta(x);
	if (restore) {
		leave = e_poll(x);
		x_flags_restore(x, S0);
	}
	e_branch_rx(x, 0xe9, to_rx(x->s, x->other_p));
	if (leave)
		poll_exit(x, leave);
	x_swap(x);
}

static void entries(struct xl *x)
{
	struct block *b = x->b;
	bool single = x->mode & (MODE_ONE | MODE_BOUNCE);
	bool apart = x->linked && !single;
	bool restore = b->flags_live && (single || !b->flags_saved);

	if (apart)
		indirect_apart(x, restore);
	else
		note_delta(x);
	if (single) {
		b->poll = b->entry = NULL;
		if (restore)
			x_flags_restore(x, S0);
		x->fs = restore ? FLAGS_BOTH : FLAGS_HOST;
		return;
	}
	if (!(apart && restore)) {
		b->poll = to_rx(x->s, x->p);
		poll_inline(x);
		if (restore)
			x_flags_restore(x, S0);
	}
	b->entry = to_rx(x->s, x->p);
	if (restore)
		poll_entry(x);
	x->fs = b->flags_saved ? FLAGS_MEM : FLAGS_HOST;
}

/* REP MOVS and REP STOS have a way of their own where they are short. */
static bool is_string(const struct xl *x, const struct xinsn *xi)
{
	bool plain = MODE_BITS(x->mode) == MODE_64 &&
		     !(x->mode & (MODE_ONE | MODE_BOUNCE | MODE_ALIGN));

	return plain && (xi->fn == emu_movs || xi->fn == emu_stos) && xi->in.addrsize == 8 &&
	       (xi->in.flags & INSN_REP) && xi->in.seg != SEG_FS && xi->in.seg != SEG_GS &&
	       (!(xi->in.opcode & 1) || xi->in.opsize >= 4);
}

static enum thunk string_thunk(const struct xl *x, const struct xinsn *xi)
{
	u32 size = xi->in.opcode & 1 ? xi->in.opsize : 1;

	return THUNK_STRING + STRING_THUNKS * MODE_MMU(x->mode) + (xi->fn == emu_stos ? 3 : 0) +
	       (size == 8 ? 2 : size == 4 ? 1 : 0);
}

static enum thunk thunk_for(const struct xl *x, const struct xinsn *xi)
{
	if (xi->fn == emu_rdtsc)
		return THUNK_RDTSC;
	return is_string(x, xi) ? string_thunk(x, xi) : THUNK_HELPER;
}

static void helper(struct xl *x, struct xinsn *xi)
{
	enum thunk to = thunk_for(x, xi);
	struct helper_call *h = soft_meta_alloc(x->s, sizeof(*h));

	if (!h) {
		x->full = true;
		return;
	}
	h->fn = xi->fn;
	h->gpa32 = x->gpa32 + xi->off;
	host_memcpy(&h->in, &xi->in, sizeof(h->in));
	x_flags_to_mem(x);
	e_mov_imm(x, S0, (u64)(uintptr_t)h);
	e_branch_rx(x, 0xe8, x->s->thunk[to]);
}

/* Whoever spins for long may be waiting for a vCPU that the host does not run now. */
static void pause(struct xl *x, struct xinsn *xi)
{
	x_flags_clobber(x, xi);
	e8(x, 0xf3), e8(x, 0x90);
	e8(x, 0xff);			/* dec dword [pauses] */
	e_modrm_state(x, 1, (s32)offsetof(struct vcpu, pauses));
	x_exit_behind(x, xi, CC_S, SOFT_NEXT);
}

static void trap_exit(struct xl *x, struct xinsn *xi)
{
	x_flags_to_mem(x);
	e_branch_rx(x, 0xe8, x->s->thunk[THUNK_EXIT_MEM]);
	e32(x, (u32)(x->gpa32 + xi->off));
	e32(x, xi->trap);
}

static void emit(struct xl *x, struct xinsn *xi)
{
	switch (xi->kind) {
	case K_COPY:
		x_copy(x, xi);
		break;
	case K_NOP:
		x->s0_kept = true;
		break;
	case K_PREFETCH:
		x_prefetch(x, xi);
		break;
	case K_PROBE:
		x_memory(x, xi, &xi->op[xi->mem], 1, false, 1);
		break;
	case K_XCHG_R8:
		if (xi->zi.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
			e8(x, 0x66);
		e8(x, 0x41 | xi->zi.raw.rex.W << 3), e8(x, 0x90);
		break;
	case K_HELPER:
		helper(x, xi);
		break;
	case K_LEA:
		x_lea(x, xi);
		break;
	case K_MOFFS:
		x_moffs(x, xi);
		break;
	case K_BIT_MEM:
		x_bit_mem(x, xi);
		break;
	case K_DIV:
		x_div(x, xi);
		break;
	case K_PUSH:
		x_push(x, xi);
		break;
	case K_POP:
		x_pop(x, xi);
		break;
	case K_LEAVE:
		x_leave(x, xi);
		break;
	case K_CLI:
		e8(x, 0xc6);		/* mov byte [irq_enable], 0 */
		e_modrm_state(x, 0, OFF_IF);
		e8(x, 0);
		break;
	case K_STI:
		x_sti(x, xi);
		break;
	case K_CLD:
		x_cld(x, xi);
		break;
	case K_PUSHF:
		x_pushf(x, xi);
		break;
	case K_SWAPGS:
		x_swapgs(x);
		break;
	case K_AC:
		x_ac(x, xi, helper);
		break;
	case K_PAUSE:
		pause(x, xi);
		break;
	case K_TRAP:
		trap_exit(x, xi);
		break;
	default:
		x_branch(x, xi);
		break;
	}
}

/* What the instruction does to the arithmetic flags. */
static void flag_use(struct xinsn *xi)
{
	const ZydisAccessedFlags *f = xi->zi.cpu_flags;
	u32 written = f ? f->modified | f->set_0 | f->set_1 | f->undefined : 0;

	xi->fl_read = f ? f->tested & FLAGS_ALL : 0;
	xi->fl_write = written & FLAGS_ALL;
	xi->fl_kill = xi->fl_write;
	switch (xi->zi.meta.category) {
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_ROTATE: {
		/* A count of 0 leaves all flags alone. */
		u32 mask = xi->zi.operand_width == 64 ? 63 : 31;
		bool implicit_one = xi->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
				    (xi->zi.opcode & ~1u) == 0xd0;

		if (xi->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && !implicit_one &&
		    !(xi->zi.raw.imm[0].size && (xi->zi.raw.imm[0].value.u & mask)))
			xi->fl_kill = 0;
		break;
	}
	default:
		break;
	}
}

static void find_memory(struct xinsn *xi)
{
	xi->mem = -1;
	for (int i = 0; i < xi->zi.operand_count; i++)
		if (xi->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    xi->op[i].mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
		    xi->op[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			xi->mem = (s8)i;
}

static bool decode_one(struct xl *x, u32 off)
{
	struct xinsn *xi = &x->x[x->n];
	u32 avail = x->avail - off;
	ZyanStatus st;

	xi->bytes = x->code + off;
	xi->off = off;
	xi->fn = NULL;
	xi->last = false;
	xi->fl_read = xi->fl_write = xi->fl_kill = 0;
	xi->mem = -1;
	st = insn_decode_zydis(&xi->zi, xi->op, xi->bytes, MIN(avail, 15u),
			       16u << MODE_BITS(x->mode));
	if (!ZYAN_SUCCESS(st)) {
		if (st == ZYDIS_STATUS_NO_MORE_DATA && avail < 15)
			return false;
		xi->kind = K_TRAP;
		xi->trap = SOFT_UD;
		xi->last = true;
		xi->zi.length = (ZyanU8)MIN(avail, 15u);	/* all that was looked at */
		x->n++;
		return true;
	}
	insn_from_zydis(&xi->in, &xi->zi, xi->op, xi->bytes, 16u << MODE_BITS(x->mode));
	find_memory(xi);
	flag_use(xi);
	x_classify(x, xi);
	x->n++;
	return true;
}

static void decode(struct xl *x)
{
	u32 off = 0;

	while (x->n < x->max && off < x->avail) {
		struct xinsn *xi = &x->x[x->n];

		if (!decode_one(x, off)) {
			x->straddles = true;
			break;
		}
		off += xi->zi.length;
		if (xi->last && !x_past_call(x, xi))
			break;
		x->next = x_block_known(x, off);
		if (x->next)
			break;
	}
}

void x_cut(struct xl *x, u32 n)
{
	if (n == x->n)
		return;
	x->n = n;
	x->straddles = false;
	x->next = NULL;
}

static void finish(struct xl *x, u32 size)
{
	struct xinsn *last = &x->x[x->n - 1];
	bool falls = !last->last || (last->kind == K_HELPER && last->zi.mnemonic != ZYDIS_MNEMONIC_UD2);

	x_rsp_catch_up(x);
	if (falls)
		x_goto(x, x->gpa32 + size);
	x_swap(x);
	x_cold(x);
	x_swap(x);
}

static struct block *describe(struct xl *x, u32 size, u32 mode)
{
	struct block *b = x->b;

	b->gpa = x->gpa;
	b->mode = mode;
	b->size = (u16)size;
	b->insns = (u16)x->n;
	b->code_size = (u32)(x->p - x->start);
	b->closes = x->lowest <= 0;
	b->back = (u8)(((s64)(x->gpa & ~PAGE_MASK) + x->lowest) >> 4);
	b->map = soft_meta_alloc(x->s, sizeof(*b->map) * x->n);
	if (!b->map)
		return NULL;
	host_memcpy(b->map, x->map, sizeof(*b->map) * x->n);
	if (x->mode & (MODE_ONE | MODE_BOUNCE)) {
		struct insn *one = soft_meta_alloc(x->s, sizeof(*one));

		if (!one)
			return NULL;
		host_memcpy(one, &x->x[0].in, sizeof(*one));
		one->waits_x87 = x->x[0].kind == K_COPY && x_waits_x87(&x->x[0]);
		b->one = (u32)((u8 *)one - (u8 *)b->map);
	}
	return b;
}

static int copy_code(u8 *buf, const u8 *host, u32 off, const u8 *host2, u32 *avail)
{
	u32 n = MIN((u32)PAGE_SIZE - off, MAX_BLOCK_INSNS * 15u);

	*avail = host2 ? n + 15 : n;
	if (host_guest_move(buf, host + off, n))
		return -EFAULT;
	return host2 ? host_guest_move(buf + n, host2, 15) : 0;
}

struct block *soft_translate(struct vcpu *v, u64 gpa, const u8 *host, u64 gpa2, const u8 *host2,
			     u32 mode)
{
	struct soft_vm *s = soft_vm(v->vm);
	struct xl *x = s->scratch;
	u8 *buf = s->code_scratch;
	u32 off = gpa & ~PAGE_MASK, size;
	struct page_state *ps;
	struct block *b;

	x->v = v;
	x->s = s;
	x->mode = mode;
	x->gpa = gpa;
	x->gpa32 = (s32)gpa;
	x->n = x->ncold = x->stack_sites = x->shares_near = 0;
	x->full = false;
	x->x = s->insn_scratch;
	if (copy_code(buf, host, off, host2, &x->avail)) {
		soft_cpu(v)->gone = true;
		return NULL;
	}
	x->code = buf;
	x->max = host2 || (mode & (MODE_ONE | MODE_BOUNCE)) ? 1 : MAX_BLOCK_INSNS;
	x->straddles = false;
	x->next = NULL;
	ps = soft_page(v, gpa);
	x->page = ps ? ps->code : NULL;
	decode(x);
	if (!x->n)
		return SOFT_STRADDLES;
	x_find_inner(x);
	x_find_steady(x, host);
	size = x->x[x->n - 1].off + x->x[x->n - 1].zi.length;
	x_settle(x);
	b = soft_block_new(s);
	if (!b)
		return NULL;
	b->gpa2 = gpa2;
	x->b = b;
	x->linked = soft_cpu(v)->linking && !soft_switch.no_apart;
	x->p = x->start = s->rw + ALIGN_UP(s->used, x->linked ? 1ul : 16ul);
	x->end = s->rw + s->end;
	x->other_p = s->rw + s->cold_used;
	x->other_end = s->rw + s->cold_end;
	x->s0_holds = x->rsp_behind = 0;
	x_flags_liveness(x);
	x_share_analyse(x);
	entries(x);
	for (u32 i = 0; i < x->n && !x->full; i++) {
		x->op_fs = FLAGS_MEM;
		x->s0_kept = false;
		x_join(x, i);
		x_share_early(x, i);
		if (x->rsp_behind && !x_rsp_may_wait(&x->x[i]))
			x_rsp_catch_up(x);
		x->map[i].host = (u16)MIN(x->p - x->start, 0xffff);
		x->map[i].rsp = (s16)x->rsp_behind;
		emit(x, &x->x[i]);
		if (!x->s0_kept)
			x->s0_holds = 0;
		if (i && x->x[i - 1].kind == K_STI)
			x_shadow_ends(x, &x->x[i]);
		x->map[i].guest = (u16)(x->x[i].off |
					(x->op_fs == FLAGS_HOST ? BLOCK_MAP_HOST_FLAGS : 0));
	}
	finish(x, size);
	if (x->full || !describe(x, size, mode))
		return NULL;
	s->used = (u64)(x->p - s->rw);
	s->cold_used = (u64)(x->other_p - s->rw);
	return b;
}
