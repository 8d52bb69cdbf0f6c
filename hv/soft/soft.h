/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The software engine: a translator from x86 to x86. Guest code is rewritten
 * block by block into a code cache and runs there on the host CPU, with the
 * guest's registers in the host's and its memory behind a software TLB.
 *
 * While translated code runs, RSP holds the struct vcpu (a real stack lies
 * below it, on which signal handlers and C helpers run), RBP and R11 are
 * scratch, guest RSP lives in R15 and guest RBP in R10; guest R10, R11 and
 * R15 stay in memory and all other registers are themselves. Arithmetic
 * flags are in RFLAGS, or saved in vcpu->arith where a check clobbers them.
 */
#ifndef HV_SOFT_SOFT_H
#define HV_SOFT_SOFT_H

#include "insn.h"
#include "../vm/vm.h"
#include "translate/offsets.h"

/* --- the software TLB, read by translated code ------------------------------ */

#define TLB_ENTRIES (1u << TLB_BITS)
#define VICTIM_ENTRIES (1u << VICTIM_BITS)

/*
 * The entry of a linear page is picked by its lower bits (offsets.h), which
 * translated code does; what is displaced goes to the victims (way 1), where more
 * bits count and which are looked at before the page tables. A tag is the
 * page's linear address. An invalid one is that of a page that selects another
 * entry: 0, but in entry 0. Tags and distances stand apart, so that those of
 * neighbouring pages share the host's cache lines.
 */
struct tlb {
	u64 rtag[TLB_VIEWS * TLB_ENTRIES], wtag[TLB_VIEWS * TLB_ENTRIES];
	u64 delta[TLB_VIEWS * TLB_ENTRIES], gpa[TLB_ENTRIES];
};
struct tlb_entry {
	u64 rtag, wtag;
	u64 delta;		/* from the page's linear address to the host's */
	u64 gpa;		/* its guest-physical address | TLB_GLOBAL */
};
#define TLB_GLOBAL 1u

/* Which set of translations an access uses. */
enum mmu_index {
	MMU_USER,		/* CPL 3 */
	MMU_SMAP,		/* supervisor that may not touch user pages */
	MMU_KERNEL,		/* supervisor that may */
	MMU_COUNT,
};

/*
 * In front of the TLB every instruction that accesses memory has a site: the
 * translation that it used last. No address is hashed to find it, so that it
 * costs little and, as the host guesses right that it will do, no time between
 * address and data. Instructions share a site when the code cache holds many;
 * so a site means the same to all in its class.
 */
struct site {
	u64 tag;		/* SITE_READ, SITE_WRITE: the page; the others: the address */
	u64 delta;		/* as the TLB's; the others: the host's address */
};
/*
 * What is the same address each time has a site for it. Where the translator
 * knows its place in the page (CONST), whoever has that address does not reach
 * into the next page; with a segment's base (SEG) that is not known, and
 * addresses near a page's end are never in the site.
 */
enum site_class {
	SITE_READ, SITE_WRITE,
	SITE_CONST_READ, SITE_CONST_WRITE,
	SITE_SEG_READ, SITE_SEG_WRITE,
};

/* Targets of indirect jumps: rip -> translated code. */
#define JC_ENTRIES (1u << JC_BITS)
struct jc_entry {
	u64 rip;
	u64 code;
};

/* Who comes last is in way 0, whom it displaced in way 1, by another hash. */
static inline u32 jc_index(int way, u64 rip)
{
	return (u32)rip * (way ? JC_HASH1 : JC_HASH0) >> JC_SHIFT >> 4;
}

/*
 * The calls under way: where each is to return to, and the code there. Entry 0
 * is none; what lies above soft_ret_top() is never read. See translate/returns.c.
 */
struct ret_entry {
	u64 rip, code;
};
struct ret_stack {
	u8 apart[RET_APART];
	struct ret_entry entry[RET_ENTRIES];
	u8 guard[PAGE_SIZE];
};

#define JC_PAGES 32768u
#define LARGE_PAGES 16384u

#define ITLB_ENTRIES 512
/*
 * Executable pages lately entered: linear page -> guest-physical, with the page's memory,
 * and what was translated of it. A line of the host's cache each.
 */
struct itlb_entry {
	u64 linear;		/* page address | ITLB_VALID | ITLB_USER */
	u64 gpa;
	u8 *host;
	struct code_page *code;	/* while checked is not 0 */
	u64 code_serial;	/* that one's */
	u64 checked;		/* soft_vm.write_gen when it was last compared, 0: look again */
	bool global;
} __attribute__((aligned(64)));
#define ITLB_VALID 1u
#define ITLB_USER 2u		/* entered at CPL 3 */

/* --- CPU modes: everything a translation depends on besides its bytes -------- */

#define MODE_BITS(m) ((m) & 3)		/* 0: 16-bit, 1: 32-bit, 2: 64-bit code */
#define MODE_16 0u
#define MODE_32 1u
#define MODE_64 2u
#define MODE_MMU_SHIFT 2
#define MODE_MMU(m) ((m) >> MODE_MMU_SHIFT & 3)
#define MODE_CPL0 BIT(4)
#define MODE_SS32 BIT(5)		/* SS.B: the stack pointer is 32 bits wide */
#define MODE_SEGCHECK(s) BIT(6 + (s))	/* ES..GS: limits or rights must be looked at */
#define MODE_SEGBASE(s) BIT(12 + (s))	/* ES..GS: base is not 0 */
#define MODE_TS BIT(18)			/* x87 and vectors trap to #NM */
#define MODE_EM BIT(19)
#define MODE_SSE BIT(20)		/* CR4.OSFXSR */
#define MODE_AVX BIT(21)		/* XCR0 allows it */
#define MODE_AVX512 BIT(22)
#define MODE_ONE BIT(23)		/* a single instruction, then back */
#define MODE_BOUNCE BIT(24)		/* ... with its memory operand in soft_cpu.bounce */
#define MODE_ALIGN BIT(25)		/* CPL 3 with CR0.AM and AC */
#define MODE_PLAIN BIT(27)		/* no shared TLB checks */
#define MODE_SPLIT BIT(28)		/* the program's stack lies in two pages (split.c) */
#define MODE_MP BIT(26)			/* CR0.MP: FWAIT traps with TS */

/* --- translations ------------------------------------------------------------- */

#define CODE_BUCKETS 128u
#define PAGE_CHUNK 64		/* bytes of code compared and copied at once */

/* A page of guest memory from which code was translated. */
struct code_page {
	struct code_page *next, **prev;	/* soft_vm.pages; next: of those to be freed, too */
	struct code_page *next_thin;	/* soft_vm.thin */
	struct page_state *state;	/* that points here */
	u64 gpa;
	u64 serial;		/* its own among all that ever were */
	u64 write_gen;		/* soft_vm.write_gen of the last comparison */
	const u8 *host;		/* its memory when it was last compared */
	bool thin;		/* is in soft_vm.thin */
	bool gone;		/* no more what its memory's page_state points to */
	u32 blocks[CODE_BUCKETS];	/* by the low bits of gpa: places in soft_vm.block, + 1 */
	struct block *straddlers;	/* blocks of the previous page that end here */
	u64 bytes[PAGE_SIZE / PAGE_CHUNK];	/* bit m of entry n: byte 64n + m was translated */
	u32 copy[PAGE_SIZE / PAGE_CHUNK];	/* soft_copy() of the bytes then, 0: none */
};

/* Per-page state behind memslot->engine. */
struct page_state {
	struct code_page *code;	/* atomic */
	u32 writers;		/* vCPUs (index % 32) that may hold fast write entries */
	u32 pad;
};

/* Where the guest's arithmetic flags are: in RFLAGS, vcpu->arith, or both. */
enum flags_at { FLAGS_HOST, FLAGS_MEM, FLAGS_BOTH };

/* A direct jump out of a block, patched when its target exists. */
struct exit_link {
	struct block *from, *to;
	struct exit_link *next_in, **prev_in;	/* list of to->incoming, while there is a to */
	struct exit_link *next_out;	/* list of from->outgoing: it has led somewhere */
	bool listed;		/* is in that */
	/* Places in the code cache, as distances from its start. */
	u32 jump;		/* the rel32 that leaves the block */
	u32 stub;		/* where it goes unlinked */
	u32 flags;		/* moves the flags to the other place, then a jump */
	u32 flags_jump;		/* the rel32 at the end of flags */
	u32 gpa32;		/* target, low 32 bits, sign-extended below */
	u32 mode;		/* the target's */
	u8 at;			/* enum flags_at: where the flags are at the jump */
	bool back;		/* may close a loop: must poll */
};

/* Where an instruction of a block is, for faults of the host CPU in it. */
struct block_map {
	u16 host;		/* offset in the block's code */
	u16 guest;		/* offset from the block's gpa, | BLOCK_MAP_HOST_FLAGS */
	s16 rsp;		/* how far RSP is behind */
};
#define BLOCK_MAP_HOST_FLAGS 0x8000u	/* RFLAGS hold the guest's flags there */

/*
 * Two lines of the host's cache, of which a look-up wants the first. Blocks lie in the order
 * in which they were translated, as most programs come by them again.
 */
struct block {
	struct block *next;	/* in code_page.blocks */
	u64 gpa;
	u64 gpa2;		/* the second page it reaches into, 0: none */
	struct code_page *page;	/* that lists it; NULL: none does */
	u64 serial;		/* its own among all that ever were */
	u8 *indirect;		/* executable: RBP = rip, flags in vcpu->arith */
	u32 mode;
	u16 size;		/* guest bytes */
	u16 insns;
	bool flags_live;	/* entry needs the arithmetic flags */
	bool flags_saved;	/* ... in vcpu->arith, not in RFLAGS */
	bool dead, listed;
	u8 region;		/* of the code cache */
	bool closes;		/* some jump goes back within its page: */
	u8 back;		/* the furthest to this sixteenth byte of it */

	u8 *entry;		/* executable: flags as above */
	u8 *poll;		/* executable: same, polling for requests first */
	struct block_map *map;	/* insns entries */
	struct exit_link *incoming, *outgoing;
	struct code_page *page2;	/* that lists it as a straddler */
	struct block *next_straddler;
	u32 code_size;
	u32 one;		/* MODE_ONE: where the instruction is, behind map */
};
_Static_assert(offsetof(struct block, entry) == 64 && sizeof(struct block) == 128, "lines");

/*
 * Where code_size bytes of it begin: the entries that lie apart from them are in the
 * cache's second part.
 */
static inline const u8 *soft_block_code(const struct block *b)
{
	const u8 *at = b->indirect;

	if (b->entry)
		at = MIN(at, MIN(b->entry, b->poll));
	return at;
}

static inline struct insn *soft_block_one(const struct block *b)
{
	return (struct insn *)(void *)((u8 *)b->map + b->one);
}

/* An emulated instruction as translated code hands it to C. */
struct helper_call {
	emu_fn fn;
	s64 gpa32;
	struct insn in;
};

/* What the fill routines in entry.S did. */
struct fill_counts {
	u64 sites;		/* filled */
	u64 victims;		/* entries found among the TLB's victims */
	u64 groups;		/* checks for several accesses that failed */
	u64 stack;		/* sites filled for addresses near the stack pointer, by programs */
	u64 stack_seen;		/* as many when split.c looked last */
};

/* What stats.c tells of a vCPU; the times are of host_rdtsc(), with the option stats-time. */
struct soft_stats {
	u64 translations, translated_insns, translated_bytes, code_bytes;
	u64 splits, lookups, itlb_misses, tlb_misses, tlb_fills, tlb_flushes, tlb_flushes_local,
		tlb_flushes_page, jc_flushes;
	u64 odd, links, code_writes, dropped_pages, cache_turns, evictions, enters, deliveries;
	u64 evict_time, evict_longest;	/* always measured: a vCPU held up by evictions */
	u64 run_time, lookup_time, translate_time, tlb_time, helper_time, deliver_time;
	u64 exits[16];		/* by enum soft_exit */
	u64 helpers[ZYDIS_MNEMONIC_MAX_VALUE + 1];	/* calls, by mnemonic */
};

struct soft_cpu {
	/* These have their places in translate/offsets.h. */
	struct tlb tlb[MMU_COUNT];
	struct tlb_entry victim[MMU_COUNT][VICTIM_ENTRIES];
	struct site site[MMU_COUNT][SITE_CLASSES * SITES];
	/* Sites filled since the last flush, by the sign of the address. */
	u16 site_list[MMU_COUNT][2][SITE_LIST_MAX];
	u32 site_count[MMU_COUNT][2];
	u64 site_pages[MMU_COUNT][2][SITE_PAGES / 64];	/* linear pages (hashed) in sites */
	struct fill_counts fills;
	struct jc_entry jc[MMU_COUNT][2][JC_ENTRIES];
	u64 far[FAR_SLOTS];	/* where direct jumps to other pages lead (far.c) */
	struct ret_stack ret[MMU_COUNT] __attribute__((aligned(PAGE_SIZE)));

	u8 bounce[4096 + 64] __attribute__((aligned(64)));

	u32 mode;		/* valid when !vcpu->mode_stale */
	u64 seg_rmax[6], seg_wmax[6];	/* bytes from offset 0 that need no closer look */
	u64 cs_base;
	struct itlb_entry itlb[ITLB_ENTRIES];
	u32 jc_context[MMU_COUNT];	/* mode bits for which the jump cache is right */
	u64 jc_base[MMU_COUNT];

	/* what was filled since the last flush */
	u32 tlb_filled[MMU_COUNT][2][2], jc_filled[MMU_COUNT][2];
	u32 tlb_list[MMU_COUNT][2][2][TLB_ENTRIES];	/* by way, and by whether it is global */
	bool high_local[MMU_COUNT];	/* some translation of the upper half is not global */
	u16 jc_list[MMU_COUNT][2][JC_ENTRIES];
	u32 far_filled[MMU_COUNT];
	/* A slot, and the region of the block to which it leads. */
	u32 far_list[MMU_COUNT][FAR_SLOTS];
	struct spaces *spaces;	/* NULL: none yet */
	/*
	 * soft_vm's: where they lead while that is not known. NULL: not all of far[]
	 * that is in use has its stub.
	 */
	const u64 *far_stub;
	bool jc_local[MMU_COUNT];	/* some entry is not of a global page */
	u64 jc_pages[MMU_COUNT][JC_PAGES / 64];	/* linear pages (hashed) that have entries */
	u64 large_map[LARGE_PAGES / 64];	/* 2 MiB regions (hashed) known from large pages */
	bool huge_pages[2];	/* some translation came from a 1 GiB page; by half */
	bool refetch;		/* rip's page may be another now */
	bool split;		/* the address space's program gets MODE_SPLIT */
	u64 split_time;		/* when that was looked at last, by host_rdtsc() */
	u64 split_fills;	/* sites of the stack filled since it was not too often */
	bool once;		/* in soft_go_once() */
	bool linking;		/* a block is looked for to which a jump is to lead directly */
	u32 caller_mxcsr;	/* of who called KVM_RUN */
	u16 caller_fcw;
	bool gone;		/* the memory that code is fetched from is not there, */
	bool lost;		/* or no slot's any more */

	u32 in_run;		/* atomic: in soft_run(), where blocks are used */
	u32 in_code;		/* atomic: inside translated code, or using what it uses */
	/* Requests of other vCPUs, written under soft_vm.lock. */
	u32 mail;		/* atomic: there are some */
	u32 mail_count;
	u64 mail_drop[16];	/* pages to which fast writes must end */
	bool mail_flush, mail_jc;
	u32 mail_regions;	/* atomic, bits: of which nothing may be used any more */
	bool no_room;		/* the cache was full when something was to be translated */
	struct memslot *slot_hint;
	u64 seen_gen;		/* soft_vm.write_gen at the last look, without paging */
	u8 host_fault;		/* SOFT_HOST_FAULT: vector; 0x80: guest memory is not there */
	struct soft_stats stats;
};

#define THUNK_MAX 64
#define STRING_THUNKS 6

/* The code cache consists of so many regions, which are filled and given up in turn. */
#define REGIONS 16u
#define REGION_NONE 31u		/* for what concerns none of them */
#define REGION_FAR (FAR_SLOTS / REGIONS)

struct region {
	u32 blocks;		/* atomic: how many it has */
	u32 far_used, far_most;	/* slots for jumps to other pages, of its REGION_FAR; ever */
	u32 age;		/* atomic: another when it begins to be given up, and when it is */
	bool used;		/* it holds something */
};

/* How far the region that is to be used next has come (cache.c). */
enum drain { DRAIN_NONE, DRAIN_BLOCKS, DRAIN_WAIT, DRAIN_PAGES };

struct soft_vm {
	struct host_mutex lock;	/* translations, links, the cache */
	u8 *rw, *rx;		/* the two mappings of the code cache */
	/*
	 * Pads, then the blocks of each region, then what those seldom need, again by
	 * region. Here are sizes, and places in the region that is being filled.
	 */
	u64 size, start, hot_size, cold_size;
	u64 used, end, cold_used, cold_end;
	bool perf_map;		/* option perf-map: blocks have names for perf */
	u64 write_gen;		/* atomic: counts moments at which user space may have written */
	u64 inside_ns;		/* atomic: when an interrupt that tells of none was last counted */
	u32 full;		/* atomic: vCPUs are to leave soft_run() and make room */
	struct region region[REGIONS];
	u32 current;		/* the region that is being filled */
	u32 barren;		/* regions that were begun since the last translation */
	enum drain drain;	/* atomic */
	u32 drain_region, drain_next;	/* drain_region: atomic */
	u64 serial, page_serial;
	struct code_page *pages;
	struct code_page *thin;	/* those that have lost blocks, or have none yet */
	struct code_page *dying, *waiting;	/* to be freed, after the next mail and this one */
	u32 page_count, page_max, dying_count;
	u8 *thunk[THUNK_MAX];	/* executable addresses of the pads, by THUNK_* */
	u32 next_site[SITE_CLASSES];
	struct far_jump *far_jump;	/* by slot */
	u64 *far_stub;		/* FAR_SLOTS: those of the slots in use, */
	u32 far_used;		/* of which there are so many */
	u8 *meta;		/* by region, bump memory for blocks and links */
	u64 meta_size, meta_used, meta_end;	/* meta_size: of one region */
	struct block *block;	/* by region, by ascending code */
	u32 block_max;		/* of one region */
	u8 *copies;		/* of code as it was translated, by PAGE_CHUNK bytes */
	u32 copies_max, copies_used, copies_free, copies_free_count;
	void *scratch, *insn_scratch;	/* of the translation under way */
	u8 *code_scratch;
};

/* Ways from translated code into C (entry.S); pads at the start of the cache jump there. */
enum thunk {
	THUNK_HELPER, THUNK_LINK_MEM, THUNK_LINK_HOST,
	THUNK_JC_MISS, THUNK_EXIT_MEM, THUNK_EXIT_HOST,
	THUNK_RDTSC,
	THUNK_FAR_MEM, THUNK_FAR_HOST,
	THUNK_JC_WAY1,		/* + enum mmu_index */
	THUNK_RET_MISS = THUNK_JC_WAY1 + MMU_COUNT,	/* + enum mmu_index */
	/* + SITE_CLASSES * enum mmu_index + enum site_class */
	THUNK_SITE = THUNK_RET_MISS + MMU_COUNT,
	THUNK_STACK_SITE = THUNK_SITE + SITE_CLASSES * MMU_COUNT,	/* + 1 for writing */
	/* + STRING_THUNKS * enum mmu_index + 3 for STOS + 0, 1, 2 for elements of 1, 4, 8 bytes */
	THUNK_STRING = THUNK_STACK_SITE + STACK_FILLS,
	THUNK_COUNT = THUNK_STRING + STRING_THUNKS * MMU_COUNT,
};

/* Why translated code came back: soft_enter()'s result. */
enum soft_exit {
	SOFT_POLL = 1,		/* at a block's start: a request waits */
	SOFT_NEXT,		/* a single instruction is done; rip is past it */
	SOFT_ODD,		/* this instruction needs the bounce buffer */
	SOFT_FAULT,		/* an exception is pending at rip */
	SOFT_LINK,		/* scratch[0]: the exit_link that has no target yet */
	SOFT_LOOKUP,		/* rip's code is not in the jump cache; scratch[0]: gpa32 of the
				   branch and how much it added to RSP */
	SOFT_HELPER,		/* a helper wants out; scratch[0]: its EMU_* code */
	SOFT_DIVIDE,		/* DIV or IDIV that may overflow */
	SOFT_NM,		/* x87 or vector instruction with TS or EM */
	SOFT_UD,		/* no such instruction */
	SOFT_UNHANDLED,		/* an instruction the engine does not know */
	SOFT_REFETCH,		/* go on at rip */
	SOFT_HOST_FAULT,	/* the host CPU faulted at rip; c->host_fault says how */
	SOFT_GP,		/* #GP(0) */
	SOFT_FAR,		/* for the counters: a far_jump that was not led yet */
	SOFT_GROUP,		/* a shared check failed; translated code goes on without sharing */
};

static inline struct soft_cpu *soft_cpu(struct vcpu *v)
{
	return (struct soft_cpu *)((u8 *)v + SOFT_CPU_OFFSET);
}

static inline struct vcpu *soft_vcpu(struct soft_cpu *c)
{
	return (struct vcpu *)((u8 *)c - SOFT_CPU_OFFSET);
}

/* Where the place of the last entry of ret[m] is, in bytes from v. */
static inline u32 *soft_ret_top(struct vcpu *v, int m)
{
	return m < 2 ? &v->ret_top[m] : &v->ret_top_last;
}

/* Its last entry is number i. */
static inline void soft_ret_cut(struct vcpu *v, int m, u32 i)
{
	*soft_ret_top(v, m) = (u32)(RET_BOTTOM + m * RET_MODE_SIZE) +
			      i * (u32)sizeof(struct ret_entry);
}

/* The code of rip in the present mode that the jump cache knows, 0: it does not. */
static inline u64 soft_jc_known(const struct soft_cpu *c, u64 rip)
{
	for (int way = 0; way < 2; way++) {
		const struct jc_entry *e = &c->jc[MODE_MMU(c->mode)][way][jc_index(way, rip)];

		if (e->rip == rip)
			return e->code;
	}
	return 0;
}

static inline struct soft_vm *soft_vm(struct vm *vm)
{
	return vm->engine_data;
}

struct xlate;

/* tlb.c */
/* Before soft_tlb_init(): 0 or -errno. */
int soft_tlb_map(struct tlb *t);
void soft_tlb_init(struct soft_cpu *c);
void soft_flush_tlb(struct vcpu *v, bool keep_global);
void soft_switch_space(struct vcpu *v, u64 from, u64 to, bool keep);
/* The tag of an entry that holds nothing. */
u64 soft_tlb_none(u32 i);
struct tlb_entry soft_tlb_get(const struct soft_cpu *c, int mmu, int way, u32 i);
void soft_tlb_set(struct soft_cpu *c, int mmu, int way, u32 i, const struct tlb_entry *e);
static inline u32 soft_tlb_index(u64 linear)
{
	return linear >> PAGE_SHIFT & (TLB_ENTRIES - 1);
}
/* The host's address of one in a page that way 0 of t knows; NULL: it does not. */
static inline u8 *soft_tlb_known(const struct tlb *t, u64 linear, bool write)
{
	u32 i = soft_tlb_index(linear);

	if ((write ? t->wtag : t->rtag)[i] != (linear & PAGE_MASK))
		return NULL;
	return (u8 *)(uintptr_t)(linear + t->delta[i]);
}
void soft_flush_tlb_page(struct vcpu *v, u64 linear);
/* Only what leads to code: user space may have written to it. */
void soft_flush_code(struct vcpu *v);
void soft_tlb_drop_writes(struct vcpu *v, u64 gpa);
/* The emulation has translated linear for itself, with the rights of t: x, in slot s. */
void soft_tlb_note(struct vcpu *v, const struct tlb *t, u64 linear, const struct xlate *x,
		   struct memslot *s, bool write);
void soft_jc_flush(struct soft_cpu *c, int mmu);
void soft_jc_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions);
/* v->rip, in the present mode, is b's; its pages have just been looked up. */
void soft_jc_add(struct vcpu *v, struct block *b);
/* Something else leads to the page at linear, which a flush of it is to undo. */
void soft_jc_note(struct soft_cpu *c, int mmu, u64 linear, bool global);

/* A data access as a TLB miss describes it. */
#define MISS_SIZE(i) ((i) & 0xff)
#define MISS_WRITE BIT(8)
#define MISS_STACK BIT(9)
#define MISS_AC BIT(10)			/* MISS_ALIGN is for #AC, not #GP: 16 at most counts */
#define MISS_MASKED BIT(11)		/* not all of it may be accessed: SOFT_ODD for SOFT_FAULT */
#define MISS_X87 BIT(12)		/* a pending x87 exception comes before any other */
#define MISS_GROUP BIT(13)		/* a range of which anything may fail: SOFT_GROUP */
#define MISS_ALIGN(a) ((a) << 16)	/* the address must be a multiple of a */
#define MISS_ALIGN_OF(i) ((i) >> 16)
/*
 * Host address of a data access, or NULL with SOFT_FAULT, SOFT_ODD or SOFT_GROUP in
 * scratch[0]. site: where the translation is kept, from the struct vcpu on; 0: nowhere.
 */
void *soft_tlb_miss(struct vcpu *v, u64 linear, u32 info, s32 site);
/* The executable page at linear: NULL when a fault was raised. */
struct itlb_entry *soft_itlb(struct vcpu *v, u64 linear);
/* What was translated of pages is looked up anew. */
void soft_itlb_forget_code(struct soft_cpu *c);
/* The same if it was entered lately in the present mode; NULL: it was not. */
static inline struct itlb_entry *soft_itlb_known(struct soft_cpu *c, u64 linear, bool user)
{
	struct itlb_entry *e = &c->itlb[linear >> PAGE_SHIFT & (ITLB_ENTRIES - 1)];

	return e->linear == ((linear & PAGE_MASK) | ITLB_VALID | (user ? ITLB_USER : 0)) ? e : NULL;
}

/* mode.c */
void soft_update_mode(struct vcpu *v);

/* code.c */
/* The state of gpa's page in the address space that v sees; NULL: not memory. */
struct page_state *soft_page(struct vcpu *v, u64 gpa);
struct code_page *soft_code_page(struct vcpu *v, u64 gpa);
struct block *soft_block_find(const struct soft_vm *s, const struct code_page *cp, u64 gpa,
			      u32 mode);
void soft_block_add(struct vcpu *v, struct code_page *cp, struct block *b, const u8 *host,
		    const u8 *host2);
void soft_link(struct vcpu *v, struct exit_link *l, struct block *to);
/* Compares translated bytes with memory; drops the page's blocks when they differ. */
void soft_page_verify(struct vcpu *v, struct code_page *cp, const u8 *host);
bool soft_page_overlaps(struct code_page *cp, u64 gpa, u32 len);
void soft_mail_take(struct vcpu *v);
/* Ends a block; v may still be in it. Under the lock, as what follows. */
void soft_block_evict(struct soft_vm *s, struct block *b);
/* What remains of a page that has lost blocks. */
void soft_page_thin(struct soft_vm *s, struct code_page *cp);
/* cp, which may have no blocks, will be looked at. */
void soft_page_note_thin(struct soft_vm *s, struct code_page *cp);
/* A slot goes away: its code too. Under the lock. */
void soft_slot_forget(struct vm *vm, struct memslot *slot);

/* Takes soft_vm.lock; the calling vCPU counts as outside translated code meanwhile. */
void soft_lock(struct soft_vm *s);

/* cache.c */
#define CODE_CACHE_DEFAULT (128ull << 20)
int soft_code_init(struct vm *vm);
int soft_code_size(struct vm *vm, u64 size);
void soft_code_destroy(struct vm *vm);
void *soft_meta_alloc(struct soft_vm *s, size_t size);
/* The next one's place: nobody's until soft_block_add(). NULL: the region is full. */
struct block *soft_block_new(struct soft_vm *s);
/* The place of a copy of PAGE_CHUNK bytes, by its number. */
static inline u8 *soft_copy(struct soft_vm *s, u32 n)
{
	return s->copies + (u64)PAGE_CHUNK * n;
}
/* A number; there is one while soft_code_room(). */
u32 soft_copy_new(struct soft_vm *s);
void soft_copy_free(struct soft_vm *s, u32 n);
/* Under the lock, as what follows: code may be written, and what stands beside it. */
bool soft_code_room(const struct soft_vm *s);
/* The region is full: true when another is begun, else vCPUs are asked to make room. */
bool soft_code_turn(struct vcpu *v);
/* A piece of the work of giving up the region that is used next. */
void soft_code_step(struct vcpu *v);
/* v, outside of soft_run(), waits for room where there is none. */
void soft_code_make_room(struct vcpu *v);
/* Mail has come: v forgets what leads into those regions. */
void soft_regions_forget(struct vcpu *v, u32 regions);
/* The region in which code is, be it in the part for blocks or in the other. */
static inline u32 soft_region_of(const struct soft_vm *s, const u8 *code)
{
	u64 at = (u64)(code - s->rx) - s->start, hot = REGIONS * s->hot_size;

	return at < hot ? (u32)at / (u32)s->hot_size : (u32)(at - hot) / (u32)s->cold_size;
}

/* translate/ */
/*
 * Translates the code at gpa (host: its page's memory). NULL when the cache is
 * full, or soft_cpu.gone; SOFT_STRADDLES when the first instruction reaches into the next page,
 * which is then wanted as gpa2 and host2.
 */
#define SOFT_STRADDLES ((struct block *)1)
struct block *soft_translate(struct vcpu *v, u64 gpa, const u8 *host, u64 gpa2,
			     const u8 *host2, u32 mode);
/*
 * Turns a direct jump whose target's bytes reach into the next page into a
 * look-up in the jump cache. Under the lock; false when the cache is full.
 */
bool x_far_link(struct soft_vm *s, struct exit_link *l);
/* True when flags that are there at a jump must be moved for b's entry. */
bool x_flags_must_move(enum flags_at at, const struct block *b);
void soft_features_init(void);
size_t soft_scratch_size(void);
size_t soft_insn_scratch_size(void);

/* odd.c */
/* Executes the instruction at rip through the bounce buffer, or by its emulation. */
enum emu soft_odd(struct vcpu *v);
/* Runs b, whose operand is in the bounce buffer: EMU_NEXT with rip past it, or EMU_FAULT. */
enum emu soft_run_bounced(struct vcpu *v, struct block *b);
/* #GP of a misaligned operand at offset ea, before all other checks; #AC after the segment's. */
enum emu soft_check_aligned(struct vcpu *v, const struct insn *in, u64 ea);
enum emu soft_check_ac(struct vcpu *v, const struct insn *in, u64 ea);
#define AC_ALIGN_MAX 16u	/* what vectors must be a multiple of where #AC is on */

/* DIV and IDIV that may not fit: #DE, or soft_odd. */
enum emu soft_divide(struct vcpu *v);

/* odd_masked.c */
/* soft_odd for an operand of which a mask chooses the elements (in->mask). */
enum emu soft_odd_masked(struct vcpu *v, struct block *b, const struct insn *in);

/* fpu.c */
void soft_fpu_load(struct vcpu *v);
void soft_fpu_put(struct vcpu *v);
/* A KVM_RUN begins: its caller's control words, which soft_fpu_put restores. */
void soft_fpu_note_caller(struct vcpu *v);
/* vregs.c */
/*
 * Single vector registers (0..31; the host has AVX) and opmask registers, while
 * they are in the host's (fpu_loaded). What the host's are too short for is 0.
 */
void soft_vector_get(u32 n, u8 out[64]);
void soft_vector_put(u32 n, const u8 in[64]);
u64 soft_opmask_get(u32 n);
void soft_opmask_put(u32 n, u64 val);

/* breakpoints.c */
struct soft_watch {
	u64 rsp, rsi, rdi, hit;
	bool string;
};
/* DR6 bits of the breakpoints at rip that must fire before its instruction. */
u64 soft_break_before(struct vcpu *v);
/* DR6 bits of the watchpoints that the instruction in between has hit. */
void soft_watch_before(struct vcpu *v, const struct insn *in, struct soft_watch *w);
u64 soft_watch_after(struct vcpu *v, const struct soft_watch *w);

/* space.c */
void soft_spaces_drop(struct soft_cpu *c);
/* Jumps into those regions. */
void soft_spaces_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions);
void soft_spaces_free(struct soft_cpu *c);
/* What is known of the address space of cr3 is put aside; a flush follows. */
void soft_space_save(struct soft_cpu *c, u64 cr3);
/* ... and comes back if it is to be kept; after the flush. */
void soft_space_load(struct soft_cpu *c, u64 cr3, bool keep);

/* split.c: decides on MODE_SPLIT; now and then, at polls. */
void soft_split_look(struct vcpu *v);

/* far.c */
struct far_jump;
size_t soft_far_size(void);	/* of soft_vm.far_jump */
#define FAR_REGION_SHIFT 24	/* in soft_cpu.far_list */
static inline u32 soft_far_slot(u32 listed)
{
	return listed & (BIT(FAR_REGION_SHIFT) - 1);
}
void soft_far_first_run(struct vcpu *v);
void soft_far_flush(struct soft_cpu *c, int mmu);
/* Those out of and into some regions. */
void soft_far_forget(struct soft_cpu *c, const struct soft_vm *s, u32 regions);
void soft_far_link(struct vcpu *v, struct far_jump *f);
/* f leads where it led before, if that is right: code for rip, 0: it must be looked up. */
u64 soft_far_again(struct vcpu *v, struct far_jump *f);

/* fault.c */
#define HOST_FAULT_MEMORY 0x80
void soft_fault_init(void);
/* The running vCPU of this thread, NULL: none. */
extern __thread struct vcpu *soft_running;

/* switches.c */
extern struct soft_switches {
	bool check_always;	/* any interrupt may be a device's that has written memory */
	bool exact_flags;	/* dead flags are saved too: exact at every fault */
	bool no_again;		/* jumps to other pages look for their target in each address space */
	bool no_apart;		/* every block begins with its indirect entry */
	bool no_crossing;	/* reads across pages run alone, by the bounce buffer */
	bool no_early;		/* checks are made where their accesses are */
	bool no_far;		/* jumps to other pages ask the jump cache */
	bool no_hints;		/* PREFETCHh does nothing */
	bool no_inner;		/* every jump leaves its block */
	bool no_links;		/* direct jumps out of a block ask the jump cache */
	bool no_past_calls;	/* a call ends its block */
	bool no_prefetch;	/* pages of code are fetched as they are compared */
	bool no_returns;	/* returns ask the jump cache */
	bool no_sharing;	/* every access has a TLB check of its own */
	bool no_sites;		/* every check asks the TLB */
	bool no_spaces;		/* a change of the address space forgets the one before */
	bool no_split;		/* stacks in two pages are as others */
	bool no_steady;		/* no sites for accesses of loops */
	bool no_system;		/* deliveries of events walk the page tables */
	bool perf_map;		/* blocks have names for perf */
	bool stats_time;	/* measures where the vCPUs' time goes */
} soft_switch;
void soft_switches_init(void);
/* name=SIZE sets *size; false, with a message, when that is no size from min to max. */
bool soft_switch_size(const char *name, u64 min, u64 max, u64 *size);

/* stats.c */
static inline u64 soft_clock(void)
{
	return unlikely(soft_switch.stats_time) ? host_rdtsc() : 0;
}
void soft_stats_init(struct soft_vm *s);
bool soft_stat_name(u32 i, char *name, enum engine_stat *kind);
void soft_stat_values(struct vcpu *v, u64 *out);
/* Counts a new block and names it for perf; v->rip is its start. */
void soft_stats_block(struct vcpu *v, const struct block *b);

/* engine.c */
/*
 * Code for v->rip in mode: NULL when a fault was raised, nothing is there to
 * fetch, or (soft_cpu.gone) not any more.
 */
struct block *soft_find(struct vcpu *v, u32 mode);
/* soft_enter with the guest's vector state in place. */
enum soft_exit soft_go(struct vcpu *v, u8 *code);
/* The same for a block of one instruction, behind which it comes back in any case. */
enum soft_exit soft_go_once(struct vcpu *v, const struct block *b);

/* entry.S */
/* code: a block's indirect entry, for v->rip. */
enum soft_exit soft_enter(struct vcpu *v, u8 *code);
extern const u8 soft_thunk_helper[],
	soft_thunk_link_mem[], soft_thunk_link_host[], soft_thunk_jc_miss[],
	soft_thunk_far_mem[], soft_thunk_far_host[],
	soft_thunk_exit_mem[], soft_thunk_exit_host[], soft_thunk_fault[], soft_thunk_ret_none[],
	soft_thunk_rdtsc[];
/* The fill routines, in the order of THUNK_SITE; those of the stack. */
extern const u8 *const soft_site_thunks[SITE_CLASSES * MMU_COUNT + STACK_FILLS];
/* In the order of THUNK_STRING: strings.S. */
extern const u8 *const soft_string_thunks[STRING_THUNKS * MMU_COUNT];
/* By enum mmu_index: the look into the jump cache's way 1. */
extern const u8 *const soft_jc_thunks[MMU_COUNT];
/* By enum mmu_index: a return that is not the last call's. */
extern const u8 *const soft_ret_thunks[MMU_COUNT];

#endif
