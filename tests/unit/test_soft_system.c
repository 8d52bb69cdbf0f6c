/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the software engine does in line of a kernel's system instructions:
 * SWAPGS, CLD, STAC and CLAC, and the change of the access mode that these two
 * bring. Intel SDM vol. 2, and vol. 3, 4.6.1 (access rights with SMAP).
 */
#include "guest64.h"

#define DATA 0x40000ul
#define USER 0x50000ul		/* a page of user space */
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define ROUNDS 300

static void set_gs(uint64_t base, uint64_t kernel)
{
	struct kvm_sregs s = get_sregs64();

	s.gs.base = base;
	set_sregs64(&s);
	set_msr(MSR_KERNEL_GS_BASE, kernel, 1);
}

static void set_cr4(uint64_t set, uint64_t clear)
{
	struct kvm_sregs s = get_sregs64();

	s.cr4 = (s.cr4 | set) & ~clear;
	set_sregs64(&s);
}

/* Whether CLAC leaves AC clear in a mode in which that matters. */
static int smap(void)
{
	return variant->access == ACCESS_SMAP;
}

/* --- SWAPGS and CLD ----------------------------------------------------------------- */

/* An odd number of times altogether; RBX, RDX and RSI are sums of what was seen. */
CODE64(swaps,
	"1: add	%gs:8, %rbx\n\t"
	"stc\n\t"
	"swapgs\n\t"
	"adc	%gs:8, %rdx\n\t"
	"swapgs\n\t"
	"swapgs\n\t"
	"swapgs\n\t"
	"add	%gs:(%r8), %rsi\n\t"
	"swapgs\n\t"
	"mov	%rcx, %gs:16\n\t"
	"dec	%rcx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static void test_swapgs(void **state)
{
	struct kvm_regs r;
	struct stop s;

	(void)state;
	PUT(CODE64_AT, swaps);
	put64(DATA + 8, 3);
	put64(DATA + 0x1008, 5);
	set_gs(DATA, DATA + 0x1000);
	if (variant->access == ACCESS_USER) {
		s = go64((struct kvm_regs){ .rcx = 1, .r8 = 8 });
		assert_int_equal(s.vector, V_GP);
		assert_int_equal(s.error, 0);
		assert_int_equal(s.rip, CODE64_AT + 10);
		assert_int_equal(get_sregs64().gs.base, DATA);
		return;
	}
	/* Every other round begins with the other base: 3, 5 + 1, 3 are added, and 5, 3 + 1, 5. */
	r = good64((struct kvm_regs){ .rcx = ROUNDS, .r8 = 8 });
	assert_int_equal(r.rbx, 4 * ROUNDS);
	assert_int_equal(r.rdx, 5 * ROUNDS);
	assert_int_equal(r.rsi, 4 * ROUNDS);
	assert_int_equal(get64(DATA + 16), 1);
	assert_int_equal(get64(DATA + 0x1010), 2);
}

CODE64(swap_once, "swapgs\n\tmov	%gs:8, %rax\n\t" END_TEXT);

static void test_swapgs_state(void **state)
{
	uint64_t base[2] = { DATA, 0xffff800000001000 };

	(void)state;
	kernel_only();
	PUT(CODE64_AT, swap_once);
	for (uint64_t i = 0; i < 4; i++) {
		struct stop s;

		put64(DATA + 8, i + 77);
		set_gs(base[~i & 1], base[i & 1]);
		s = go64((struct kvm_regs){ 0 });
		assert_int_equal(s.vector, i & 1 ? V_PF : END);
		if (i & 1)
			assert_int_equal(s.cr2, base[1] + 8);
		else
			assert_int_equal(s.r.rax, i + 77);
		assert_int_equal(get_sregs64().gs.base, base[i & 1]);
		assert_int_equal(get_msr(MSR_KERNEL_GS_BASE), base[~i & 1]);
	}
}

/* Flags from before CLD are used behind it, with memory accesses around. */
CODE64(cld_live,
	"xor	%r8d, %r8d\n\t"
	"1: std\n\t"
	"cmp	%rdx, %rbx\n\t"
	"cld\n\t"
	"setl	%al\n\t"
	"movzbl	%al, %eax\n\t"
	"add	%rax, %r8\n\t"
	"std\n\t"
	"add	%rbx, %rbx\n\t"
	"cld\n\t"
	"adc	$0, %r8\n\t"
	"stc\n\t"
	"cld\n\t"
	"mov	(%rsi), %r9\n\t"
	"adc	$0, %r8\n\t"
	"movsb\n\t"
	"cmc\n\t"
	"cld\n\t"
	"pushfq\n\t"
	"pop	%r10\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static void test_cld(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(CODE64_AT, cld_live);
	memset(memory + DATA, 7, 64);
	r = good64((struct kvm_regs){ .rbx = 1ull << 63 | 5, .rdx = 100, .rcx = 8, .rsi = DATA,
				      .rdi = DATA + 32, .rflags = FL_DF });
	/* 8 STC, one carry, all smaller than 100: -, 10, 20, 40, 80; then 160 is not. */
	assert_int_equal(r.r8, 8 + 1 + 5);
	assert_int_equal(r.rsi, DATA + 8);
	assert_int_equal(r.rdi, DATA + 40);
	assert_int_equal(r.r10 & FL_DF, 0);
}

CODE64(cld_only, "cld\n\t" END_TEXT);

static void test_cld_keeps_flags(void **state)
{
	(void)state;
	PUT(CODE64_AT, cld_only);
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t f = (i & 1) | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 | (i & 16) << 3 |
			     (i & 32) << 6;
		struct stop s = go64((struct kvm_regs){ .rflags = f | FL_DF });

		assert_int_equal(s.vector, END);
		assert_int_equal(s.rflags & (FL_ARITH | FL_DF), f);
	}
}

/* --- STAC and CLAC ------------------------------------------------------------------ */

/* A user page is read, 8 bytes at a time: without AC, with it, without. */
CODE64(ac_in_turn,
	"stac\n\t"
	"add	(%rsi), %rbx\n\t"
	"stac\n\t"
	"add	(%rsi), %rbx\n\t"
	"clac\n\t"
	"add	(%rdi), %rbx\n\t"
	"clac\n\t"
	"dec	%rcx\n\t"
	"jnz	ac_in_turn\n"
	"ac_fault: add	(%rsi), %rbx\n\t"
	END_TEXT);
extern const unsigned char ac_fault[];

static void map_user(void)
{
	map64(USER, USER, PTE_BASE | PTE_U);
	put64(USER, 11);
	put64(DATA, 1000);
}

static void test_ac(void **state)
{
	struct kvm_regs r = { .rcx = ROUNDS, .rsi = USER, .rdi = DATA };
	struct stop s;

	(void)state;
	map_user();
	PUT(CODE64_AT, ac_in_turn);
	for (int i = 0; i < 3; i++) {
		r.rflags = i == 1 ? FL_AC : 0;
		s = go64(r);
		if (variant->access == ACCESS_USER) {
			assert_int_equal(s.vector, V_UD);
			assert_int_equal(s.rip, CODE64_AT);
			assert_int_equal(s.rflags & FL_AC, r.rflags);
			continue;
		}
		assert_int_equal(s.vector, smap() ? V_PF : END);
		assert_int_equal(s.r.rbx, ROUNDS * 1022 + (smap() ? 0 : 11));
		assert_int_equal(s.rflags & FL_AC, 0);
		if (!smap())
			continue;
		assert_int_equal(s.error, 1);
		assert_int_equal(s.cr2, USER);
		assert_int_equal(s.rip, CODE64_AT + (uint64_t)(ac_fault - ac_in_turn));
	}
}

/* Without STAC, with what was known of the page while AC was set. */
CODE64(ac_by_popf,
	"pushfq\n\t"
	"orl	$0x40000, (%rsp)\n\t"
	"popfq\n\t"
	"mov	(%rsi), %rax\n\t"
	"mov	%rax, 8(%rsi)\n\t"
	"stc\n\t"
	"clac\n\t"
	"sbb	$0, %rax\n\t"
	"movq	$1, 8(%rsi)\n\t"
	END_TEXT);

static void test_ac_write(void **state)
{
	struct stop s;

	(void)state;
	kernel_only();
	map_user();
	PUT(CODE64_AT, ac_by_popf);
	for (int i = 0; i < 3; i++) {
		s = go64((struct kvm_regs){ .rsi = USER });
		assert_int_equal(s.vector, smap() ? V_PF : END);
		assert_int_equal(s.r.rax, 10);
		assert_int_equal(get64(USER + 8), smap() ? 11 : 1);
		assert_int_equal(s.rflags & FL_AC, 0);
		if (smap()) {
			assert_int_equal(s.error, 3);
			assert_int_equal(s.cr2, USER + 8);
		}
	}
}

CODE64(ac_flag,
	"stac\n\t"
	"pushfq\n\t"
	"pop	%rax\n\t"
	"stac\n\t"
	"pushfq\n\t"
	"pop	%rbx\n\t"
	"clac\n\t"
	"pushfq\n\t"
	"pop	%rcx\n\t"
	"clac\n\t"
	"pushfq\n\t"
	"pop	%rdx\n\t"
	END_TEXT);

/* The flag, with the other flags as they were. */
static void test_ac_flag(void **state)
{
	const uint64_t mask = FL_AC | FL_ARITH | FL_DF;

	(void)state;
	kernel_only();
	PUT(CODE64_AT, ac_flag);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t f = i & 1 ? FL_ARITH : FL_DF;
		struct kvm_regs r = good64((struct kvm_regs){ .rflags = f | (i & 2 ? FL_AC : 0) });

		assert_int_equal(r.rax & mask, f | FL_AC);
		assert_int_equal(r.rbx & mask, f | FL_AC);
		assert_int_equal(r.rcx & mask, f);
		assert_int_equal(r.rdx & mask, f);
	}
}

/* Called with AC clear, back with AC set, and the other way round: by stacks of calls apart. */
CODE64(ac_calls,
	"1: call	2f\n\t"
	"add	(%rsi), %rbx\n\t"
	"call	3f\n\t"
	"add	(%rdi), %rbx\n\t"
	"dec	%rcx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	".skip	40\n"
	"2: call	4f\n\t"
	"stac\n\t"
	"call	4f\n\t"
	"ret\n\t"
	".skip	40\n"
	"3: call	4f\n\t"
	"clac\n\t"
	"call	4f\n\t"
	"ret\n\t"
	".skip	40\n"
	"4: inc	%r8\n\t"
	"ret\n\t");

static void test_ac_calls(void **state)
{
	struct kvm_regs r;

	(void)state;
	kernel_only();
	map_user();
	PUT(CODE64_AT, ac_calls);
	r = good64((struct kvm_regs){ .rcx = 5000, .rsi = USER, .rdi = DATA });
	assert_int_equal(r.rbx, 5000 * 1011);
	assert_int_equal(r.r8, 5000 * 4);
}

/*
 * The instruction behind STAC or CLAC reaches into the next page, and has been
 * jumped to in both modes: it must run in that of the moment.
 */
CODE64(straddling, "add	0x11223344(%rsi), %rbx\n\tjmp	*%rdi\n\t");
CODE64(straddle_ways,
	"lea	1f(%rip), %rdi\n\t"
	"stac\n\t"
	"jmp	*%r8\n"
	"1: lea	2f(%rip), %rdi\n\t"
	"clac\n\t"
	"xchg	%rsi, %r10\n\t"		/* DATA */
	"jmp	*%r8\n"
	"2: mov	$3, %ecx\n\t"
	"lea	4f(%rip), %rdi\n"
	"3: test	%edx, %edx\n\t"
	"jz	5f\n\t"
	"stac\n\t"
	"5: jmp	*%r9\n"
	"4: clac\n\t"
	"dec	%ecx\n\t"
	"jnz	3b\n\t"
	"test	%edx, %edx\n\t"
	"jz	6f\n\t"
	"stac\n"
	"6: lea	7f(%rip), %rdi\n\t"
	"xchg	%rsi, %r10\n\t"		/* USER */
	"jmp	*%r9\n"
	"7: " END_TEXT);

static void test_ac_straddles(void **state)
{
	const uint64_t insn = CODE64_AT + 0x4000 - 3;

	(void)state;
	kernel_only();
	map_user();
	PUT(CODE64_AT, straddle_ways);
	PUT(insn, straddling);
	for (int i = 0; i < 6; i++) {
		int clac = i & 1;
		struct stop s;

		memcpy(memory + insn - 3, clac ? "\x0f\x01\xca" : "\x0f\x01\xcb", 3);
		s = go64((struct kvm_regs){ .r8 = insn, .r9 = insn - 3, .rdx = (uint64_t)clac,
					    .rsi = USER - 0x11223344, .r10 = DATA - 0x11223344 });
		assert_int_equal(s.vector, smap() && clac ? V_PF : END);
		assert_int_equal(s.r.rbx, 11 + 4 * 1000 + (smap() && clac ? 0 : 11));
		assert_int_equal(s.rflags & FL_AC, clac ? 0 : FL_AC);
		if (smap() && clac)
			assert_int_equal(s.rip, insn);
	}
}

/* The last instruction of a page is STAC; what lies behind changes with the page tables. */
CODE64(remap_behind,
	"1: mov	%r8, (%rdi)\n\t"
	"invlpg	(%rsi)\n\t"
	"jmp	*%rdx\n\t");
CODE64(behind,
	"add	$1, %rax\n\tclac\n\tmov	%r9, %r8\n\tdec	%ecx\n\tjz	2f\n\tjmp	*%rbx\n"
	"2: " END_TEXT);

static void test_ac_remapped(void **state)
{
	const uint64_t page = CODE64_AT + 0x4000, other = CODE64_AT + 0x8000;
	struct kvm_regs r;

	(void)state;
	kernel_only();
	PUT(CODE64_AT, remap_behind);
	memcpy(memory + page - 3, "\x0f\x01\xcb", 3);
	PUT(page, behind);
	PUT(other, behind);
	memory[other + 3] = 16;
	for (int i = 0; i < 4; i++) {
		r = good64((struct kvm_regs){ .rcx = 2, .rbx = CODE64_AT, .rdx = page - 3,
					      .rsi = page, .rdi = pte_of(TABLES, page),
					      .r8 = page | PTE_BASE, .r9 = other | PTE_BASE });
		assert_int_equal(r.rax, 17);
	}
}

/*
 * Code behind STAC changes the page that it is in. What the jump caches of both
 * access modes know of that page is gone: that of the one has not been asked since
 * the last flush, and that of the other was emptied as CR0 changed.
 */
CODE64(remap_self,
	"stac\n\t"
	"call	*%r8\n\t"
	"mov	%rsi, (%rdi)\n\t"
	"invlpg	(%rdx)\n\t"
	"rs_mov: mov	$1, %ebx\n\t"
	"clac\n\t"
	END_TEXT);
extern const unsigned char rs_mov[];
CODE64(switch_ts,
	"clac\n\t"
	"mov	%r9, %cr0\n\t"
	"mov	%r10, %cr0\n\t"
	"stac\n\t"
	"ret\n\t");

static void test_ac_remaps_itself(void **state)
{
	const uint64_t page = CODE64_AT + 0x4000, other = CODE64_AT + 0x8000;
	const uint64_t cr0 = get_sregs64().cr0;

	(void)state;
	kernel_only();
	PUT(CODE64_AT, switch_ts);
	PUT(page, remap_self);
	PUT(other, remap_self);
	memory[other + (uint64_t)(rs_mov - remap_self) + 1] = 2;
	for (int i = 0; i < 8; i++) {
		struct kvm_regs r = { .rip = page, .r8 = CODE64_AT, .r9 = cr0 | CR0_TS, .r10 = cr0,
				      .rdi = pte_of(TABLES, page), .rdx = page,
				      .rsi = (i & 1 ? other : page) | PTE_BASE };

		map64(page, page, PTE_BASE);
		assert_int_equal(good64(r).rbx, i & 1 ? 2 : 1);
	}
}

/* CLAC that changes nothing, with SMAP off: code goes on in the mode it was in. */
CODE64(clac_calls,
	"1: clac\n\t"
	"call	*%rdx\n\t"
	"clac\n\t"
	"call	*%rdx\n\t"
	"xchg	%rbx, %rsi\n\t"
	"mov	%rsi, %cr0\n\t"		/* TS for the second round */
	"jmp	1b\n\t");
CODE64(fnop_ret, "fnop\n\tinc	%rax\n\tret\n\t");

static void test_clac_without_smap(void **state)
{
	const uint64_t f = CODE64_AT + 0x1000;
	struct stop s;

	(void)state;
	kernel_only();
	set_cr4(0, CR4_SMAP);
	PUT(CODE64_AT, clac_calls);
	PUT(f, fnop_ret);
	s = go64((struct kvm_regs){ .rbx = get_sregs64().cr0 | CR0_TS, .rdx = f });
	assert_int_equal(s.vector, V_NM);
	assert_int_equal(s.r.rax, 2);
	assert_int_equal(s.rip, f);
}

/* CR0 changes in one access mode: code of the other is of the old CR0. */
CODE64(ac_context,
	"1: .byte	0x0f, 0x01, 0xcb\n\t"	/* STAC or CLAC */
	"call	*%rdx\n\t"
	"acc_second: .byte	0x0f, 0x01, 0xca\n\t"
	"call	*%rdx\n\t"
	"xchg	%rbx, %rsi\n\t"
	"mov	%rsi, %cr0\n\t"
	"jmp	1b\n\t");
extern const unsigned char acc_second[];

static void test_ac_context(void **state)
{
	const uint64_t f = CODE64_AT + 0x1000, cr0 = get_sregs64().cr0;

	(void)state;
	kernel_only();
	PUT(f, fnop_ret);
	for (unsigned char i = 0; i < 2; i++) {
		struct kvm_sregs sregs = get_sregs64();
		struct stop s;

		sregs.cr0 = cr0;
		set_sregs64(&sregs);
		PUT(CODE64_AT, ac_context);
		memory[CODE64_AT + 2] = 0xca + i;
		memory[CODE64_AT + (uint64_t)(acc_second - ac_context) + 2] = 0xcb - i;
		s = go64((struct kvm_regs){ .rbx = cr0 | CR0_TS, .rdx = f });
		assert_int_equal(s.vector, V_NM);
		assert_int_equal(s.r.rax, 2);
		assert_int_equal(s.rip, f);
		assert_int_equal(s.rflags & FL_AC, i ? FL_AC : 0);
	}
}

/* SMAP comes and goes under the same code; AC stays as it is. */
static void test_smap_changes(void **state)
{
	struct kvm_regs r = { .rcx = 3, .rsi = USER, .rdi = DATA };

	(void)state;
	kernel_only();
	map_user();
	PUT(CODE64_AT, ac_in_turn);
	for (int i = 0; i < 6; i++) {
		struct stop s;

		set_cr4(i & 1 ? CR4_SMAP : 0, i & 1 ? 0 : CR4_SMAP);
		s = go64(r);
		assert_int_equal(s.vector, i & 1 ? V_PF : END);
		assert_int_equal(s.r.rbx, 3 * 1022 + (i & 1 ? 0 : 11));
	}
}

int main(void)
{
	static const struct variant variants[] = {
		EACH_ACCESS,
		{ "smap no-links", ACCESS_SMAP, "no-links" },
		{ "smap no-far no-sites no-returns", ACCESS_SMAP, "no-far,no-sites,no-returns" },
	};
	const struct CMUnitTest tests[] = {
		test64(test_swapgs),
		test64(test_swapgs_state),
		test64(test_cld),
		test64(test_cld_keeps_flags),
		test64(test_ac),
		test64(test_ac_write),
		test64(test_ac_flag),
		test64(test_ac_calls),
		test64(test_ac_straddles),
		test64(test_ac_remapped),
		test64(test_ac_remaps_itself),
		test64(test_clac_without_smap),
		test64(test_ac_context),
		test64(test_smap_changes),
	};

	return RUN_VARIANTS(variants, tests);
}
