/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Returns in the software engine, which find their way by a stack of the calls
 * under way: calls deeper than that stack, calls that never return, returns to
 * elsewhere, and calls whose caller has become other code meanwhile.
 */
#include "guest64.h"

#define F CODE64_AT			/* pages of code */
#define G (CODE64_AT + 0x1000)
#define H (CODE64_AT + 0x2000)
#define CALLER 0x30000ul		/* pages that take each other's place */
#define CALLER2 0x31000ul
#define DATA 0x40000ul
#define ELSEWHERE 0x60000ul		/* memory of pages that are not mapped as they are */

/* So far away that a CALL is taken for one that returns. */
#define APART ".skip	40, 0xcc\n"

/* --- deep, and out of the depth ------------------------------------------------------ */

CODE64(recursion,
	"call	1f\n\t"
	END_TEXT
	APART
	"1: inc	%rax\n\t"
	"dec	%rcx\n\t"
	"jz	2f\n\t"
	"call	1b\n\t"
	"add	$3, %rbx\n"
	"2: add	$7, %rdx\n\t"
	"ret\n\t");

static void test_deep(void **state)
{
	static const uint64_t depth[] = { 1, 2, 4046, 4047, 4048, 4049, 4050, 8192, 20000, 100000,
					  3 };

	(void)state;
	PUT(F, recursion);
	for (size_t i = 0; i < sizeof(depth) / sizeof(depth[0]); i++) {
		struct kvm_regs r = good64((struct kvm_regs){ .rcx = depth[i] });

		assert_int_equal(r.rax, depth[i]);
		assert_int_equal(r.rbx, 3 * (depth[i] - 1));
		assert_int_equal(r.rdx, 7 * depth[i]);
	}
}

/* F calls G calls F, from pages of their own, by registers and by memory. */
CODE64(mutual_f,
	"call	*%r8\n\t"
	END_TEXT);
CODE64(mutual_g,
	"dec	%rcx\n\t"
	"jz	1f\n\t"
	"inc	%rax\n\t"
	"call	*(%rsi)\n\t"
	"add	$2, %rbx\n"
	"1: ret\n\t");
CODE64(mutual_h,
	"dec	%rcx\n\t"
	"jz	1f\n\t"
	"inc	%rax\n\t"
	"push	%rcx\n\t"
	"call	*%r8\n\t"
	"pop	%rdi\n\t"
	"add	$5, %rbx\n"
	"1: ret\n\t");

static void test_mutual(void **state)
{
	const uint64_t n = 20001;
	struct kvm_regs r;

	(void)state;
	PUT(F, mutual_f);
	PUT(G, mutual_g);
	PUT(H, mutual_h);
	put64(DATA, H);
	for (int i = 0; i < 3; i++) {
		r = good64((struct kvm_regs){ .rcx = n, .r8 = G, .rsi = DATA });
		assert_int_equal(r.rax, n - 1);
		assert_int_equal(r.rbx, 7 * (n - 1) / 2);
	}
}

/*
 * The same where each page lies elsewhere in memory, at other distances: behind
 * the calls addresses relative to RIP must be right, R10 is their sum.
 */
CODE64(apart_g,
	"dec	%rcx\n\t"
	"jz	1f\n\t"
	"call	*%r9\n"
	"lea	(%rip), %rdi\n\t"
	"add	%rdi, %r10\n\t"
	"1: ret\n\t");

static void test_apart(void **state)
{
	const uint64_t n = 6000;
	uint64_t lea = 0;
	struct kvm_regs r;

	(void)state;
	for (const unsigned char *p = apart_g; p < apart_g_end && !lea; p++)
		if (p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x3d)
			lea = (uint64_t)(p + 7 - apart_g);
	PUT(F, mutual_f);
	map64(G, ELSEWHERE + 0x1000, PTE_BASE | user_bit());
	map64(H, ELSEWHERE, PTE_BASE | user_bit());
	PUT(ELSEWHERE + 0x1000, apart_g);
	PUT(ELSEWHERE, mutual_g);
	put64(DATA, G);
	r = good64((struct kvm_regs){ .rcx = n, .r8 = G, .r9 = H, .rsi = DATA });
	assert_int_equal(r.rax, n / 2 - (n % 2 == 0));
	assert_int_equal(r.r10, (n / 2) * (G + lea));
}

/* Calls to a depth of 50 that are left by one jump, over and over, under a call that returns. */
CODE64(unwinding,
	"call	1f\n\t"
	"add	$1000, %rax\n\t"
	END_TEXT
	APART
	"1: mov	%rsp, %rbp\n\t"
	"lea	3f(%rip), %r9\n"
	"2: mov	$50, %ecx\n\t"
	"call	4f\n"
	"3: mov	%rbp, %rsp\n\t"
	"inc	%rax\n\t"
	"call	5f\n\t"
	"dec	%rdx\n\t"
	"jnz	2b\n\t"
	"ret\n\t"
	APART
	"4: dec	%ecx\n\t"
	"jz	6f\n\t"
	"call	4b\n\t"
	"ud2\n"
	"6: jmp	*%r9\n\t"
	APART
	"5: inc	%rbx\n\t"
	"ret\n\t");

static void test_unwinding(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, unwinding);
	r = good64((struct kvm_regs){ .rdx = 2000 });
	assert_int_equal(r.rax, 3000);
	assert_int_equal(r.rbx, 2000);
}

/* Two stacks in turn, as of two threads: each switch happens in a call. */
CODE64(switching,
	"mov	%rsi, %rdi\n\t"
	"lea	2f(%rip), %r8\n\t"
	"mov	%r8, -8(%rdi)\n\t"
	"sub	$8, %rdi\n"
	"1: call	3f\n\t"
	"inc	%rax\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	APART
	"2: inc	%rbx\n\t"
	"call	3f\n\t"
	"add	$2, %rbx\n\t"
	"call	3f\n\t"
	"jmp	2b\n\t"
	APART
	"3: xchg	%rdi, %rsp\n\t"
	"ret\n\t");

static void test_switching(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, switching);
	r = good64((struct kvm_regs){ .rcx = 10001, .rsi = DATA + 0x800 });
	assert_int_equal(r.rax, 10001);
	assert_int_equal(r.rbx, 5001 + 2 * 5000);
}

/* --- returns to elsewhere ------------------------------------------------------------ */

CODE64(changed,
	"1: call	3f\n\t"
	"ud2\n\t"
	"inc	%rax\n\t"
	"push	%r8\n\t"		/* a jump */
	"ret\n\t"
	APART
	"2: call	4f\n\t"
	"ud2\n\t"
	"inc	%rax\n\t"
	"call	5f\n\t"
	"inc	%rbx\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	APART
	"3: addq	$2, (%rsp)\n\t"
	"ret\n\t"
	APART
	"4: pop	%rdx\n\t"
	"add	$2, %rdx\n\t"
	"jmp	*%rdx\n\t"
	APART
	"5: push	$0\n\t"
	"add	$8, %rsp\n\t"
	"cmpl	$5, %ecx\n\t"
	"stc\n\t"
	"ret\n\t");
CODE64(changed_by_data, "call	2f\n\t" END_TEXT APART "2: mov	%r9, (%rsp)\n\tret\n\t");

static void test_changed(void **state)
{
	uint64_t second = 0;
	struct kvm_regs r;

	(void)state;
	PUT(F, changed);
	PUT(G, changed_by_data);
	memcpy(memory + H, "\x48\xff\xc0\xcd\x80", 5);	/* inc rax; int END */
	for (const unsigned char *p = changed; p < changed_end && !second; p++)
		if (p[0] == 0x41 && p[1] == 0x50 && p[2] == 0xc3)
			second = F + (uint64_t)(p + 3 + 40 - changed);
	r = good64((struct kvm_regs){ .rcx = 6000, .r8 = second });
	assert_int_equal(r.rax, 12000);
	assert_int_equal(r.rbx, 6000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(good64((struct kvm_regs){ .rip = G, .r9 = H }).rax, 1);
}

/* Calls that ask for RIP, or lead over data. */
CODE64(asking,
	"1: call	2f\n"
	"2: pop	%rax\n\t"
	"lea	2b(%rip), %rbx\n\t"
	"cmp	%rax, %rbx\n\t"
	"jne	9f\n\t"
	"call	4f\n"
	"3: .quad	0x123456789abcdef, 1, 2, 3, 4, 5\n"
	"4: pop	%rsi\n\t"
	"add	(%rsi), %r8\n\t"
	"add	40(%rsi), %r9\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	"9: ud2\n\t");

static void test_asking(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, asking);
	r = good64((struct kvm_regs){ .rcx = 5000 });
	assert_int_equal(r.r8, 0x123456789abcdefull * 5000);
	assert_int_equal(r.r9, 25000);
}

/* A retpoline, called and jumped to. */
CODE64(retpoline,
	"1: lea	7f(%rip), %r11\n\t"
	"call	5f\n\t"
	"inc	%rbx\n\t"
	"lea	3f(%rip), %r11\n\t"
	"jmp	5f\n\t"
	APART
	"3: dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	APART
	"5: call	6f\n"
	"2: pause\n\t"
	"lfence\n\t"
	"jmp	2b\n"
	"6: mov	%r11, (%rsp)\n\t"
	"ret\n\t"
	APART
	"7: inc	%rax\n\t"
	"ret\n\t");

static void test_retpoline(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, retpoline);
	r = good64((struct kvm_regs){ .rcx = 5000 });
	assert_int_equal(r.rax, 5000);
	assert_int_equal(r.rbx, 5000);
}

CODE64(with_arguments,
	"1: push	%rcx\n\t"
	"push	$2\n\t"
	"call	3f\n\t"
	"push	$1\n\t"
	"call	4f\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	APART
	"3: add	8(%rsp), %rax\n\t"
	"add	16(%rsp), %rbx\n\t"
	"stc\n\t"
	"ret	$16\n\t"
	APART
	"4: pop	%rdx\n\t"
	"sub	$0x8000, %rsp\n\t"
	"push	%rdx\n\t"
	"adc	$0, %rsi\n\t"
	"ret	$0x8008\n\t");

static void test_ret_imm(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, with_arguments);
	r = good64((struct kvm_regs){ .rcx = 1000 });
	assert_int_equal(r.rax, 2000);
	assert_int_equal(r.rbx, 500500);
	assert_int_equal(r.rsi, 0);		/* SUB has set CF anew */
}

/* Flags from before CALL and RET are there behind them. */
CODE64(flags,
	"1: push	%rdx\n\t"
	"cmp	%rdx, %rcx\n\t"
	"call	2f\n\t"
	"setb	%al\n\t"
	"seto	%ah\n\t"
	"add	%al, %bl\n\t"
	"add	%ah, %bh\n\t"
	"pop	%rdx\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	APART
	"2: lea	1(%r8), %r8\n\t"
	"jb	3f\n\t"
	"ret\n"
	"3: lea	1(%r9), %r9\n\t"
	"ret\n\t");

static void test_flags(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, flags);
	r = good64((struct kvm_regs){ .rcx = 100, .rdx = 41 });
	assert_int_equal(r.rbx, 40);
	assert_int_equal(r.r8, 100);
	assert_int_equal(r.r9, 40);
}

/* A jump and a call lead to the same place, each with flags of its own. */
CODE64(meeting,
	"1: cmp	%rdx, %rcx\n\t"
	"jb	2f\n\t"
	"call	*%r8\n"
	"2: setb	%al\n\t"
	"seto	%ah\n\t"
	"add	%al, %bl\n\t"
	"add	%ah, %bh\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);
CODE64(without_carry, "lea	1(%r9), %r9\n\tclc\n\tret\n\t");
CODE64(with_carry, "lea	1(%r9), %r9\n\tstc\n\tret\n\t");

static void test_meeting(void **state)
{
	(void)state;
	PUT(F, meeting);
	PUT(G, without_carry);
	PUT(H, with_carry);
	for (int i = 0; i < 4; i++) {
		struct kvm_regs r = good64((struct kvm_regs){ .rcx = 100, .rdx = 41,
							      .r8 = i & 1 ? H : G });

		assert_int_equal(r.rbx, i & 1 ? 100 : 40);
		assert_int_equal(r.r9, 60);
	}
}

/* What is called changes a register off which its caller reads before and behind. */
CODE64(moved,
	"1: add	(%r12), %rax\n\t"
	"add	8(%r12), %rax\n\t"
	"call	*%r8\n\t"
	"add	16(%r12), %rax\n\t"
	"add	24(%r12), %rax\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);
CODE64(mover, "xor	%rdx, %r12\n\tret\n\t");

static void test_moved(void **state)
{
	(void)state;
	PUT(F, moved);
	PUT(G, mover);
	map64(DATA + 0x1000, ELSEWHERE, PTE_BASE | user_bit());
	for (uint64_t i = 0; i < 4; i++) {
		put64(DATA + 8 * i, i + 1);
		put64(ELSEWHERE + 8 * i, 10 * (i + 1));
	}
	for (int i = 0; i < 3; i++) {
		struct kvm_regs r = good64((struct kvm_regs){
			.rcx = 40, .rdx = 0x1000, .r8 = G, .r12 = DATA });

		assert_int_equal(r.rax, 20 * 110);
	}
}

/* --- page ends, and address 0 -------------------------------------------------------- */

/* A CALL whose last byte is that many bytes behind its page; the next lies elsewhere. */
static void call_at_end(uint64_t over)
{
	static const unsigned char behind[] = {
		0x48, 0xff, 0xc0,		/* inc rax */
		0xff, 0xc9,			/* dec ecx */
		0x74, 3,			/* jz */
		0x41, 0xff, 0xe0,		/* jmp r8 */
		0xcd, END,
	};
	uint64_t call = G - 5 + over;
	uint32_t by = (uint32_t)(H - (call + 5));

	memory[call] = 0xe8;
	memcpy(memory + call + 1, &by, 4);
	memcpy(memory + call + 5, behind, sizeof(behind));
	map64(G, ELSEWHERE, PTE_BASE | user_bit());
	memcpy(memory + ELSEWHERE, memory + G, 64);
	memset(memory + G, 0xcc, 64);
}

CODE64(end_callee, "inc	%rbx\n\tret\n\t");

static void test_page_end(void **state)
{
	(void)state;
	PUT(H, end_callee);
	for (uint64_t over = 0; over < 7; over++) {
		struct kvm_regs r;

		call_at_end(over);
		r = good64((struct kvm_regs){ .rip = G - 5 + over, .r8 = G - 5 + over,
					      .rcx = 300 });
		assert_int_equal(r.rax, 300);
		assert_int_equal(r.rbx, 300);
	}
}

/* A RET in the last byte of a page, and one of three bytes across it. */
static void test_ret_at_page_end(void **state)
{
	(void)state;
	PUT(F, recursion);
	for (int i = 0; i < 2; i++) {
		uint64_t ret = H - 1 - (uint64_t)i;
		struct stop s;

		memcpy(memory + ret, i ? "\xc2\x10\x00" : "\xc3", i ? 3 : 1);
		put64(STACK - 32, F + 0x100);
		memcpy(memory + F + 0x100, "\xcd\x80", 2);
		for (int k = 0; k < 3; k++) {
			s = go64((struct kvm_regs){ .rip = ret, .rsp = STACK - 32 });
			assert_int_equal(s.vector, END);
			assert_int_equal(s.rsp, STACK - 24 + (i ? 16 : 0));
			put64(STACK - 32, F + 0x100);
		}
	}
}

/* Code at 0 that counts, and goes on at RBX or by another return to 0. */
CODE64(at_zero, "inc	%rax\n\tdec	%ecx\n\tjz	1f\n\tpush	$0\n\tret\n"
	"1: jmp	*%rbx\n\t");
CODE64(to_zero,
	"push	$0\n\t"
	"ret\n\t"
	APART
	"1: mov	$5, %ecx\n\t"
	"call	2f\n\t"
	"inc	%rdx\n\t"
	"cmp	$50, %edx\n\t"
	"jne	1b\n\t"
	END_TEXT
	APART
	"2: mov	(%rsp), %rbx\n\t"
	"movq	$0, (%rsp)\n\t"
	"stc\n\t"
	"ret\n\t");

static void test_zero(void **state)
{
	const uint64_t mark = F + 3 + 40;
	struct stop s;

	(void)state;
	PUT(0, at_zero);
	PUT(F, to_zero);
	for (int i = 0; i < 3; i++) {
		struct kvm_regs r = good64((struct kvm_regs){ .rcx = 7, .rbx = mark });

		assert_int_equal(r.rdx, 50);
		assert_int_equal(r.rax, 7 + 50 * 5);
	}
	map64(0, 0, 0);
	s = go64((struct kvm_regs){ .rcx = 7, .rbx = mark, .rsp = STACK - 64 });
	assert_int_equal(s.vector, V_PF);
	assert_int_equal(s.rip, 0);
	assert_int_equal(s.cr2, 0);
	assert_int_equal(s.rsp, STACK - 64);
}

/* What is no address faults at the RET, which has done nothing. */
static void test_not_canonical(void **state)
{
	(void)state;
	memory[F] = 0xc3;
	for (int i = 0; i < 3; i++) {
		struct stop s;

		put64(STACK - 64, 0x8000000000000000ull | F);
		s = go64((struct kvm_regs){ .rsp = STACK - 64 });
		assert_int_equal(s.vector, V_GP);
		assert_int_equal(s.error, 0);
		assert_int_equal(s.rip, F);
		assert_int_equal(s.rsp, STACK - 64);
	}
}

/* --- callers that change ------------------------------------------------------------- */

/* The called function sets the byte at RSI, which is in the ADD behind the call. */
CODE64(overwritten,
	"1: call	*%r8\n\t"
	"ow_add: add	$1, %rax\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);
extern const unsigned char ow_add[];
CODE64(overwriter, "inc	%rdx\n\tmov	%dl, (%rsi)\n\tret\n\t");
CODE64(overwriter_deep, "call	1f\n\tret\n\t" APART "1: push	%rbp\n\tmov	%rsp, %rbp\n\t"
	"inc	%rdx\n\tmov	%dl, (%rsi)\n\tleave\n\tret\n\t");

static void test_overwritten(void **state)
{
	static const uint64_t callee[] = { G, F + 0x200, H };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct kvm_regs r;

		PUT(F, overwritten);
		PUT(F + 0x200, overwriter);
		PUT(G, overwriter);
		PUT(H, overwriter_deep);
		r = good64((struct kvm_regs){ .rcx = 60, .r8 = callee[i],
					      .rsi = F + (uint64_t)(ow_add - overwritten) + 3 });
		assert_int_equal(r.rax, 60 * 61 / 2);
		assert_int_equal(r.rdx, 60);
	}
}

/* User space changes the caller and registers while KVM_RUN is away. */
CODE64(out_caller, "1: call	2f\n\tadd	$1, %rax\n\tjmp	1b\n\t" APART
	"2: out	%al, $0x10\n\tret\n\t");

static void test_user_space(void **state)
{
	const uint64_t iopl3 = 0x3000;
	uint64_t sum = 0;

	(void)state;
	PUT(F, out_caller);
	set_regs(F, iopl3);
	for (unsigned char i = 1; i < 50; i++) {
		struct kvm_sregs s;

		run_to_out(0x10);
		assert_int_equal(get_regs().rax, sum);
		memory[F + 5 + 3] = i;
		sum += i;
		s = get_sregs64();
		set_sregs64(&s);
	}
}

/* The page tables show another page where the caller was. */
CODE64(remapped,
	"1: call	*%r8\n\t"
	"add	$1, %rax\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);
CODE64(remap_invlpg, "xchg	%rsi, %rbx\n\tmov	%rsi, (%rdi)\n\tinvlpg	(%rdx)\n\tret\n\t");
CODE64(remap_cr3, "xchg	%rsi, %rbx\n\tmov	%rsi, %cr3\n\tret\n\t");
CODE64(remap_deep, "call	*%r9\n\tinc	%r10\n\tret\n\t");

/*
 * Both pages of callers have been returned to, and what lies behind the call has
 * been reached from there: else it would be looked up once more, and found.
 */
static void warm_up(void)
{
	memory[F] = 0xc3;
	for (int i = 0; i < 2; i++) {
		map64(CALLER, i ? CALLER : CALLER2, PTE_BASE);
		good64((struct kvm_regs){ .rip = CALLER, .rcx = 10, .r8 = F, .r9 = F });
	}
}

static void put_remapped(void)
{
	PUT(CALLER, remapped);
	PUT(CALLER2, remapped);
	memory[CALLER2 + 6] = 100;
	assert_int_equal(memory[CALLER + 6], 1);
	PUT(H, remap_deep);
	warm_up();
}

/* From the second on each call comes back to the other page. */
static void check_remapped(struct kvm_regs r)
{
	for (int i = 0; i < 4; i++) {
		struct kvm_regs out;

		r.rip = CALLER;
		r.rcx = 40;
		r.r9 = r.r8;
		if (i & 1)
			r.r8 = H;
		out = good64(r);
		r.r8 = r.r9;
		assert_int_equal(out.rax, 20 * 101);
		assert_int_equal(out.r10, i & 1 ? 40 : 0);
	}
}

static void test_invlpg(void **state)
{
	(void)state;
	kernel_only();
	put_remapped();
	PUT(G, remap_invlpg);
	check_remapped((struct kvm_regs){ .r8 = G, .rsi = CALLER | PTE_BASE,
					  .rbx = CALLER2 | PTE_BASE,
					  .rdi = pte_of(TABLES, CALLER), .rdx = CALLER });
}

static void test_cr3(void **state)
{
	(void)state;
	kernel_only();
	put_remapped();
	PUT(G, remap_cr3);
	put64(pte_of(TABLES2, CALLER), CALLER2 | PTE_BASE);
	check_remapped((struct kvm_regs){ .r8 = G, .rsi = TABLES, .rbx = TABLES2 });
}

/* With PCIDs, whose translations the engine keeps, and a load that asks to keep them. */
static void test_pcid(void **state)
{
	struct kvm_sregs s = get_sregs64();

	(void)state;
	kernel_only();
	put_remapped();
	PUT(G, remap_cr3);
	put64(pte_of(TABLES2, CALLER), CALLER2 | PTE_BASE);
	s.cr4 |= CR4_PGE | CR4_PCIDE;
	s.cr3 = TABLES | 1;
	set_sregs64(&s);
	check_remapped((struct kvm_regs){ .r8 = G, .rsi = TABLES | 1, .rbx = TABLES2 | 2 });
	check_remapped((struct kvm_regs){ .r8 = G, .rsi = TABLES | 1 | 1ull << 63,
					  .rbx = TABLES2 | 2 | 1ull << 63 });
}

/*
 * As above, by a call behind STAC, which goes on in line: what R9 does before makes
 * the jump cache of that access mode forget the caller's page, and does not ask it.
 */
CODE64(remapped_ac,
	"1: call	*%r9\n\t"
	"stac\n\t"
	"call	*%r8\n\t"
	"ra_add: add	$1, %rax\n\t"
	"clac\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);
extern const unsigned char ra_add[];
CODE64(just_invlpg, "invlpg	(%rdx)\n\tret\n\t");
CODE64(just_cr3, "mov	%cr3, %r11\n\tmov	%r11, %cr3\n\tret\n\t");

static void check_remapped_ac(struct kvm_regs r)
{
	PUT(CALLER, remapped_ac);
	PUT(CALLER2, remapped_ac);
	memory[CALLER2 + (uint64_t)(ra_add - remapped_ac) + 3] = 100;
	warm_up();
	r.rip = CALLER;
	r.rcx = 41;
	r.r8 = G;
	r.r9 = H;
	assert_int_equal(good64(r).rax, 20 * 101 + 100);
}

static void test_invlpg_ac(void **state)
{
	(void)state;
	kernel_only();
	PUT(G, remap_invlpg);
	PUT(H, just_invlpg);
	check_remapped_ac((struct kvm_regs){ .rsi = CALLER | PTE_BASE, .rbx = CALLER2 | PTE_BASE,
					     .rdi = pte_of(TABLES, CALLER), .rdx = CALLER });
}

/* What is called behind STAC is global, and so all that the jump cache knows there. */
static void test_cr3_ac(void **state)
{
	struct kvm_sregs s = get_sregs64();

	(void)state;
	kernel_only();
	PUT(G, remap_cr3);
	PUT(H, just_cr3);
	put64(pte_of(TABLES, G), G | PTE_BASE | PTE_G);
	put64(pte_of(TABLES2, G), G | PTE_BASE | PTE_G);
	put64(pte_of(TABLES2, CALLER), CALLER2 | PTE_BASE);
	s.cr4 |= CR4_PGE;
	set_sregs64(&s);
	check_remapped_ac((struct kvm_regs){ .rsi = TABLES, .rbx = TABLES2 });
}

/* The caller's page is gone, or must not be run from, when the call is over. */
static void test_unmapped(void **state)
{
	static const uint64_t entry[] = { 0, CALLER | PTE_W };

	(void)state;
	kernel_only();
	for (size_t i = 0; i < 4; i++) {
		struct stop s;

		map64(CALLER, CALLER, PTE_BASE);
		put_remapped();
		PUT(G, remap_invlpg);
		s = go64((struct kvm_regs){ .rip = CALLER, .rcx = 5, .r8 = i & 2 ? H : G, .r9 = G,
					    .rbx = entry[i & 1], .rdi = pte_of(TABLES, CALLER),
					    .rdx = CALLER });
		assert_int_equal(s.vector, V_PF);
		assert_int_equal(s.error, 0);
		assert_int_equal(s.rip, CALLER + 3);
		assert_int_equal(s.cr2, CALLER + 3);
		assert_int_equal(s.rsp, STACK);
		assert_int_equal(s.r.rax, 0);
	}
}

/*
 * Between each call and its return runs more code than a small cache holds, so
 * that the translations of all callers are gone when the calls come back.
 */
#define CHAIN 0x64000ul
#define STRIDE 32ul
#define BLOCKS ((MEMORY - CHAIN) / STRIDE)

CODE64(over_chain,
	"call	*%r8\n\t"
	END_TEXT
	APART
	"1: call	*%r9\n\t"
	"dec	%ecx\n\t"
	"jz	2f\n\t"
	"call	1b\n\t"
	"call	*%r9\n\t"
	"inc	%rbx\n\t"
	"2: ret\n\t");

/*
 * Blocks on other pages than the one before: inc rax, three reads (which make
 * them large) and a jump; the last returns.
 */
static void make_chain(void)
{
	static const unsigned char body[] = {
		0x48, 0xff, 0xc0,		/* inc rax */
		0x48, 0x8b, 0x16,		/* mov rdx, [rsi] */
		0x48, 0x8b, 0x17,		/* mov rdx, [rdi] */
		0x49, 0x8b, 0x12,		/* mov rdx, [r10] */
		0xe9,
	};

	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t at = CHAIN + STRIDE * (i * 7919 % BLOCKS), end = at + sizeof(body);
		uint64_t to = CHAIN + STRIDE * ((i + 1) * 7919 % BLOCKS);
		uint32_t by = (uint32_t)(to - (end + 4));

		memcpy(memory + at, body, sizeof(body));
		memcpy(memory + end, &by, 4);
		if (i + 1 == BLOCKS)
			memory[end - 1] = 0xc3;
	}
}

static void test_evicted(void **state)
{
	const uint64_t depth = 3, chains = 2 * depth - 1;
	struct kvm_regs r;

	(void)state;
	PUT(F, over_chain);
	make_chain();
	r = good64((struct kvm_regs){ .rcx = depth, .r8 = F + 3 + 2 + 40, .r9 = CHAIN, .rsi = DATA,
				      .rdi = DATA, .r10 = DATA });
	assert_int_equal(r.rax, chains * BLOCKS);
	assert_int_equal(r.rbx, depth - 1);
	if (strstr(variant->switches, "code-cache"))	/* each chain has filled its 16 regions */
		assert_true(counter(cpu_fd, "evictions") > 16 * chains);
}

/* An interrupt's handler between a call and its return, which calls and returns itself. */
CODE64(interrupted,
	"1: call	2f\n\tinc	%rax\n\tdec	%ecx\n\tjnz	1b\n\t" END_TEXT APART
	"2: int3\n\tinc	%rbx\n\tret\n\t");
CODE64(handler, "call	1f\n\tiretq\n\t" APART "1: inc	%rdx\n\tret\n\t");

static void test_interrupted(void **state)
{
	struct kvm_regs r;

	(void)state;
	PUT(F, interrupted);
	PUT(G, handler);
	put64(IDT + 16 * 3, (G & 0xffff) | 8 << 16 | 0xee00ull << 32 | G >> 16 << 48);
	r = good64((struct kvm_regs){ .rcx = 3000 });
	assert_int_equal(r.rax, 3000);
	assert_int_equal(r.rbx, 3000);
	assert_int_equal(r.rdx, 3000);
}

int main(void)
{
	static const struct variant variants[] = {
		EACH_ACCESS,
		{ "user code-cache=4M", ACCESS_USER, "code-cache=4M" },
		{ "kernel no-returns", ACCESS_KERNEL, "no-returns" },
		{ "user no-returns", ACCESS_USER, "no-returns" },
		{ "kernel no-past-calls no-apart", ACCESS_KERNEL, "no-past-calls,no-apart" },
		{ "smap no-links no-inner", ACCESS_SMAP, "no-links,no-inner" },
		{ "kernel no-far no-sharing exact-flags", ACCESS_KERNEL,
		  "no-far,no-sharing,exact-flags" },
	};
	const struct CMUnitTest tests[] = {
		test64(test_deep),
		test64(test_mutual),
		test64(test_apart),
		test64(test_unwinding),
		test64(test_switching),
		test64(test_changed),
		test64(test_asking),
		test64(test_retpoline),
		test64(test_ret_imm),
		test64(test_flags),
		test64(test_meeting),
		test64(test_moved),
		test64(test_page_end),
		test64(test_ret_at_page_end),
		test64(test_zero),
		test64(test_not_canonical),
		test64(test_overwritten),
		test64(test_user_space),
		test64(test_invlpg),
		test64(test_cr3),
		test64(test_pcid),
		test64(test_invlpg_ac),
		test64(test_cr3_ac),
		test64(test_unmapped),
		test64(test_interrupted),
		test64(test_evicted),
	};

	return RUN_VARIANTS(variants, tests);
}
