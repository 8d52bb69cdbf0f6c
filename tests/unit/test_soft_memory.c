/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the software engine finds an operand in memory: every form of an
 * address, constant ones near the end of a page, what crosses into another
 * page, which may be anywhere or missing, checks that are made before their
 * accesses, for several of them, or for alignment, and prefetches, which neither fault nor change anything. Intel SDM
 * vol. 1, 3.7.5, and vol. 2, PREFETCHh.
 */
#include "guest64.h"

#define DATA 0x40000ul
#define OTHER 0x50000ul		/* the memory of the page behind DATA */
#define MISSING (DATA + 0x2000)
#define ROUNDS 50
#define CR4_OSFXSR 0x200u

/* The bytes as they follow each other at DATA, of two pages that do not in memory. */
static unsigned char expected[8192];

static void map_data(void)
{
	for (size_t i = 0; i < sizeof(expected); i++) {
		expected[i] = (unsigned char)(i * 7 ^ i >> 5);
		memory[(i < 4096 ? DATA : OTHER - 4096) + i] = expected[i];
	}
	map64(DATA, DATA, PTE_BASE | user_bit());
	map64(DATA + 4096, OTHER, PTE_BASE | user_bit());
	map64(MISSING, 0, 0);
}

static uint64_t value(uint64_t linear, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, expected + (linear - DATA), size);
	return v;
}

/* Sums of what addresses of every form hold, all at [RBX + 4 * RDX - 0x3000] or 8 behind it. */
CODE64(forms,
	"mov	%rbx, %r10\n\t"
	"mov	%rdx, %r11\n\t"
	"xor	%eax, %eax\n\t"
	"1: add	-0x3000(%rbx,%rdx,4), %rax\n\t"
	"add	-0x2ff8(%rbx,%rdx,4), %rax\n\t"
	"lea	-0x3000(%rbx,%rdx,4), %rdi\n\t"
	"xor	(%rdi), %rax\n\t"
	"mov	-0x3000(%r10,%r11,4), %r8\n\t"
	"add	%r8, %rax\n\t"
	"lea	(,%rdx,4), %r12\n\t"
	"stc\n\t"
	"mov	-0x3000(%rbx,%r12), %r13\n\t"
	"adc	%r13, %rax\n\t"
	"lea	0x10(%rdi), %r14\n\t"
	"mov	-0x10(%r14), %r13\n\t"
	"rol	$3, %rax\n\t"
	"add	%r13, %rax\n\t"
	"lea	-0x1000(%rdi), %r14\n\t"
	"mov	0x1000(%r14), %r9d\n\t"
	"add	%r9, %rax\n\t"
	"lea	-0x3000(%rbx), %rsi\n\t"
	"movzbl	(%rsi,%rdx,4), %r9d\n\t"
	"sub	%r9, %rax\n\t"
	"movsbq	8(%rsi,%rdx,4), %r9\n\t"
	"sub	%r9, %rax\n\t"
	"mov	%rdi, %rbp\n\t"
	"xor	-0x3000(%rbx,%r11,4), %ebp\n\t"
	"add	%rbp, %rax\n\t"
	"add	-0x3000(%rbx,%rdx,4), %ah\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static uint64_t model(uint64_t at, unsigned int rounds)
{
	uint64_t rax = 0, v = value(at, 8), w = value(at + 8, 8);

	while (rounds--) {
		rax += v + w;
		rax ^= v;
		rax += v;
		rax += v + 1;
		rax = rax << 3 | rax >> 61;
		rax += v;
		rax += (uint32_t)v;
		rax -= (uint8_t)v;
		rax -= (uint64_t)(int64_t)(int8_t)w;
		rax += (uint32_t)at ^ (uint32_t)v;
		rax = (rax & ~0xff00ull) | ((rax + ((v & 0xff) << 8)) & 0xff00);
	}
	return rax;
}

static void test_forms(void **state)
{
	(void)state;
	PUT(CODE64_AT, forms);
	map_data();
	for (uint64_t at = DATA + 0xfd0; at < DATA + 0x1010; at++) {
		uint64_t rdx = at & 0xfff;
		struct kvm_regs r = { .rcx = ROUNDS, .rdx = rdx, .rbx = at + 0x3000 - 4 * rdx };

		assert_int_equal(good64(r).rax, model(at, ROUNDS));
	}
}

/*
 * Three instructions that have one address, of one, two and eight bytes, by RIP
 * and by FS: sites may be theirs together, the place in the page is not.
 */
CODE64(constants,
	"1: movzbl	0x40000, %eax\n\t"
	"add	%rax, %rbx\n\t"
	"movzwl	0x40000, %eax\n\t"
	"add	%rax, %rbx\n\t"
	"add	0x40000, %rbx\n\t"
	"movzbl	%fs:0x100, %eax\n\t"
	"add	%rax, %rbx\n\t"
	"movzwl	%fs:0x100, %eax\n\t"
	"add	%rax, %rbx\n\t"
	"add	%fs:0x100, %rbx\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

/* Puts the absolute address in place of DATA. */
static void put_constants(uint64_t address)
{
	uint32_t from = DATA, to = (uint32_t)address;

	PUT(CODE64_AT, constants);
	for (size_t i = 0; i + 4 <= (size_t)(constants_end - constants); i++)
		if (!memcmp(constants + i, &from, 4))
			memcpy(memory + CODE64_AT + i, &to, 4);
}

static void test_constants(void **state)
{
	struct kvm_sregs s;

	(void)state;
	map_data();
	for (uint64_t at = DATA + 0xef8; at < DATA + 0x1008; at += at < DATA + 0xff0 ? 31 : 1) {
		uint64_t sum = value(at, 1) + value(at, 2) + value(at, 8);

		put_constants(at);
		s = get_sregs64();
		s.fs.base = at - 0x100;
		set_sregs64(&s);
		assert_int_equal(good64((struct kvm_regs){ .rcx = ROUNDS }).rbx, 2 * ROUNDS * sum);
	}
}

/* Neighbours by RIP, which share a check when they are in one page. */
CODE64(neighbours,
	"1: mov	near_end(%rip), %rax\n\t"
	"add	%rax, %rbx\n\t"
	"mov	near_end + 8(%rip), %rax\n\t"
	"add	%rax, %rbx\n\t"
	"incq	near_end + 16(%rip)\n\t"
	"add	near_end + 16(%rip), %rbx\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT
	".set	near_end, neighbours + 0x1000\n\t");

static void test_neighbours(void **state)
{
	(void)state;
	for (uint64_t at = CODE64_AT + 0x1fd0; at < CODE64_AT + 0x2008; at++) {
		memcpy(memory + at - 0x1000, neighbours, (size_t)(neighbours_end - neighbours));
		put64(at, 5);
		put64(at + 8, 11);
		put64(at + 16, 100);
		assert_int_equal(good64((struct kvm_regs){ .rip = at - 0x1000, .rcx = ROUNDS }).rbx,
				 ROUNDS * (5 + 11 + 100) + ROUNDS * (ROUNDS + 1) / 2);
	}
}

/* What reads, and what reads and writes, in two pages. */
CODE64(across,
	"1: mov	(%rsi), %rax\n\t"
	"cmp	%rax, (%rsi)\n\t"
	"jne	2f\n\t"
	"movdqu	(%rsi), %xmm0\n\t"
	"movq	%xmm0, %rdx\n\t"
	"cmp	%rdx, %rax\n\t"
	"jne	2f\n\t"
	"add	%rax, %rbx\n\t"
	"push	(%rsi)\n\t"
	"pop	%rdx\n\t"
	"cmp	%rdx, %rax\n\t"
	"jne	2f\n\t"
	"not	%rax\n\t"
	"notq	(%rsi)\n\t"
	"xchg	%rax, (%rsi)\n\t"
	"notq	(%rsi)\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	"2: " END_TEXT);

static void test_across(void **state)
{
	struct kvm_sregs s = get_sregs64();

	(void)state;
	s.cr4 |= CR4_OSFXSR;
	set_sregs64(&s);
	PUT(CODE64_AT, across);
	map_data();
	for (uint64_t at = DATA + 0xff0; at <= DATA + 0x1000; at++) {
		uint64_t v = value(at, 8);
		struct kvm_regs r = good64((struct kvm_regs){ .rcx = ROUNDS, .rsi = at });

		assert_int_equal(r.rcx, 0);
		assert_int_equal(r.rbx, ROUNDS * v);
		assert_memory_equal(memory + DATA, expected, 4096);
		assert_memory_equal(memory + OTHER, expected + 4096, 4096);
	}
}

/* The second page comes and goes, and changes: nothing of it is remembered. */
CODE64(reads_once, "mov	(%rsi), %rax\n\t" END_TEXT);

static void test_second_page(void **state)
{
	struct kvm_regs r = { .rsi = DATA + 0x1ffc };
	struct stop s;

	(void)state;
	PUT(CODE64_AT, reads_once);
	map_data();
	for (uint64_t i = 0; i < 4; i++) {
		s = go64(r);
		assert_int_equal(s.vector, V_PF);
		assert_int_equal(s.cr2, MISSING);
		assert_int_equal(s.rip, CODE64_AT);
		assert_int_equal(s.error, variant->access == ACCESS_USER ? 4 : 0);
		map64(MISSING, OTHER + 0x1000, PTE_BASE | user_bit());
		put64(OTHER + 0x1000, i);
		assert_int_equal(good64(r).rax, value(DATA + 0x1ffc, 4) | i << 32);
		map64(MISSING, 0, 0);
	}
}

/*
 * Carries that wait for memory, off registers of all kinds. The sums are of 128
 * bits: RDX:RBX of what is at RSI, R13:R8 of what is at R10 + 2 * R11, and R9 of
 * what is below R15. RSP moves between the flags and what uses them.
 */
CODE64(carries,
	"1: mov	(%rsi), %rax\n\t"
	"add	%rax, %rbx\n\t"
	"mov	8(%rsi), %rdi\n\t"
	"adc	$0, %rdx\n\t"
	"add	%rdi, %rbx\n\t"
	"mov	(%r10,%r11,2), %r12\n\t"
	"mov	8(%r10,%r11,2), %r14\n\t"
	"adc	$0, %rdx\n\t"
	"add	%r12, %r8\n\t"
	"mov	-8(%r15), %rbp\n\t"
	"adc	$0, %r13\n\t"
	"add	%r14, %r8\n\t"
	"lea	8(%r15), %r15\n\t"
	"mov	-24(%r15), %rdi\n\t"
	"adc	$0, %r13\n\t"
	"lea	-8(%r15), %r15\n\t"
	"add	%rdi, %rbp\n\t"
	"push	%rbp\n\t"
	"pop	%rdi\n\t"
	"adc	$0, %rdi\n\t"
	"add	%rdi, %r9\n\t"
	"add	$-64, %rsp\n\t"
	"mov	56(%rsp), %rax\n\t"
	"adc	%rax, %r9\n\t"
	"add	$64, %rsp\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static void test_carries(void **state)
{
	(void)state;
	PUT(CODE64_AT, carries);
	map_data();
	memset(stack_memory, 0, STACK_SIZE);
	for (uint64_t at = DATA + 0xfe8; at < DATA + 0x1018; at++) {
		uint64_t v = value(at, 8), w = value(at + 8, 8), sum = 0, carry, below;
		unsigned __int128 wide = 0;
		struct kvm_regs r = { .rcx = ROUNDS, .rsi = at, .r10 = at - 0x200, .r11 = 0x100,
				      .r15 = at + 16 };

		for (int i = 0; i < ROUNDS; i++) {
			wide += v;
			wide += w;
			/* -8(R15), and 16 below it, with the carry; what was pushed, and a carry of -64 */
			below = w + v;
			carry = below < v;
			sum += below + carry;
			sum += below + 1;
		}
		r = good64(r);
		assert_int_equal(r.rbx, (uint64_t)wide);
		assert_int_equal(r.rdx, (uint64_t)(wide >> 64));
		assert_int_equal(r.r8, (uint64_t)wide);
		assert_int_equal(r.r13, (uint64_t)(wide >> 64));
		assert_int_equal(r.r9, sum);
		assert_int_equal(r.r15, at + 16);
	}
}

/*
 * A PUSH of memory off RSP, which has just moved: both of its accesses are checked
 * where RSP had its old value, and must be in their pages.
 */
CODE64(pushes,
	"mov	%rsp, %rbp\n\t"
	"1: mov	%rsi, %rsp\n\t"
	"sub	$8, %rsp\n\t"
	"push	0x18(%rsp)\n\t"
	"adc	$0, %rdx\n\t"
	"pop	%rax\n\t"
	"add	%rax, %rbx\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	"mov	%rbp, %rsp\n\t"
	END_TEXT);

static void test_pushes(void **state)
{
	(void)state;
	PUT(CODE64_AT, pushes);
	for (uint64_t at = DATA + 0xfd0; at < DATA + 0x1030; at++) {
		struct kvm_regs r = { .rcx = ROUNDS, .rsi = at };
		uint64_t v;

		map_data();
		v = value(at + 0x10, 8);
		r = good64(r);
		assert_int_equal(r.rbx, ROUNDS * v);
		assert_int_equal(r.rdx, 0);
		memcpy(expected + (at - 0x10 - DATA), &v, 8);
		assert_memory_equal(memory + DATA, expected, 4096);
		assert_memory_equal(memory + OTHER, expected + 4096, 4096);
	}
}

/*
 * A stack that may only be read, and then written to: what reads have found does not
 * let writes pass. R9 counts.
 */
CODE64(read_stack,
	"1: mov	(%rsp), %rax\n\t"
	"add	8(%rsp), %rax\n\t"
	"add	%rax, %rbx\n\t"
	"inc	%r9\n\t"
	"cmp	%rcx, %r9\n\t"
	"jne	1b\n\t"
	"rs_push: push	%rbx\n\t"
	"mov	(%rsp), %rdx\n\t"
	"pop	%r8\n\t"
	END_TEXT
	".global rs_push\n\t");
extern const unsigned char rs_push[];

static void test_read_stack(void **state)
{
	uint64_t at = DATA + 0x800, v, w;
	struct stop s;

	(void)state;
	PUT(CODE64_AT, read_stack);
	map_data();
	v = value(at, 8), w = value(at + 8, 8);
	/* In ring 0 its own handlers' stack would be this one. */
	if (variant->access != ACCESS_USER)
		skip();
	map64(DATA, DATA, PTE_P | PTE_U);
	s = go64((struct kvm_regs){ .rcx = ROUNDS, .rsp = at });
	assert_int_equal(s.vector, V_PF);
	assert_int_equal(s.cr2, at - 8);
	assert_int_equal(s.rip, CODE64_AT + (uint64_t)(rs_push - read_stack));
	assert_int_equal(s.r.rbx, ROUNDS * (v + w));
	assert_memory_equal(memory + DATA, expected, 4096);
	map64(DATA, DATA, PTE_BASE | PTE_U);
	for (int i = 0; i < 2; i++) {
		s.r = good64((struct kvm_regs){ .rcx = ROUNDS, .rsp = at });
		assert_int_equal(s.r.rdx, ROUNDS * (v + w));
		assert_int_equal(get64(at - 8), s.r.rdx);
	}
}

/*
 * A program's stack in the upper half, whose page becomes another: INVLPG, by a handler,
 * makes that known. R9 and RBX: what was there before and after.
 */
CODE64(high_stack,
	"1: push	%rax\n\t"
	"pop	%rax\n\t"
	"mov	(%rsp), %r9\n\t"
	"mov	%rsi, (%rdx)\n\t"
	"mov	%rsp, %rdi\n\t"
	"int	$0x81\n\t"
	"mov	(%rsp), %rbx\n\t"
	END_TEXT);
CODE64(invlpg, "invlpg	(%rdi)\n\tiretq\n\t");

static void test_high_stack(void **state)
{
	const uint64_t half = 0xffff800000000000, at = DATA + 0x800;

	(void)state;
	if (variant->access != ACCESS_USER)
		skip();
	PUT(CODE64_AT, high_stack);
	PUT(HANDLERS + 16 * 0x81, invlpg);
	put64(TABLES + 8 * 256, (TABLES + 0x1000) | PTE_BASE | PTE_U);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t rsp = i & 1 ? half + at : at;
		struct kvm_regs r = { .rsp = rsp, .rdx = pte_of(TABLES, DATA),
				      .rsi = OTHER | PTE_BASE | PTE_U };

		map_data();
		put64(OTHER + 0x800, 77 + i);
		r = good64(r);
		assert_int_equal(r.r9, value(at, 8));
		assert_int_equal(r.rbx, 77 + i);
	}
	put64(TABLES + 8 * 256, 0);
}

/* Addresses that differ in nothing but bits that are said to pick no entry of a TLB. */
CODE64(far_apart,
	"1: xor	%ebx, %ebx\n\t"
	"mov	%rsi, %rdi\n\t"
	"2: mov	8(%rdi), %rax\n\t"
	"lea	(%rax,%rbx), %rdx\n\t"
	"add	%rdx, %r9\n\t"
	"addq	$1, 8(%rdi)\n\t"
	"add	%r8, %rdi\n\t"
	"inc	%ebx\n\t"
	"cmp	$8, %ebx\n\t"
	"jne	2b\n\t"
	"dec	%ecx\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static void test_far_apart(void **state)
{
	const uint64_t tables = 0x60000;	/* a directory and a table each */
	uint64_t sum;

	(void)state;
	PUT(CODE64_AT, far_apart);
	for (uint64_t gib = 1; gib <= 4; gib *= 2) {
		sum = 0;
		map_data();
		for (uint64_t i = 0; i < 8; i++) {
			uint64_t t = tables + 0x2000 * i, page = OTHER + 0x1000 * i;

			if (i) {
				put64(TABLES + 0x1000 + 8 * gib * i, t | PTE_BASE | PTE_U);
				put64(t, (t + 0x1000) | PTE_BASE | PTE_U);
				put64(t + 0x1000 + 8 * (DATA >> 12), page | PTE_BASE | user_bit());
			} else {
				map64(DATA, page, PTE_BASE | user_bit());
			}
			put64(page + 8, i << 32);
			sum += ROUNDS * ((i << 32) + i) + ROUNDS * (ROUNDS - 1) / 2;
		}
		assert_int_equal(good64((struct kvm_regs){ .rcx = ROUNDS, .rsi = DATA,
							   .r8 = gib << 30 }).r9, sum);
		for (uint64_t i = 0; i < 8; i++) {
			assert_int_equal(get64(OTHER + 0x1000 * i + 8), (i << 32) + ROUNDS);
			if (i)
				put64(TABLES + 0x1000 + 8 * gib * i, 0);
		}
	}
}

/*
 * A loop that is entered in its middle, so that it is of two blocks, over two pages
 * which do not follow each other in memory. R10 and R11 live in memory.
 */
CODE64(middle,
	"xor	%eax, %eax\n\t"
	"xor	%r11d, %r11d\n\t"
	"mov	%rsi, %r10\n\t"
	"jmp	2f\n\t"
	"1: add	(%rsi,%r11,8), %rax\n\t"
	"rol	$1, %rax\n\t"
	"xor	(%r10), %rax\n\t"
	"2: add	8(%rsi,%r11,8), %rax\n\t"
	"lea	8(%r10), %r10\n\t"
	"inc	%r11\n\t"
	"cmp	%rcx, %r11\n\t"
	"jne	1b\n\t"
	END_TEXT);

static void test_middle(void **state)
{
	(void)state;
	PUT(CODE64_AT, middle);
	map_data();
	for (uint64_t at = DATA; at < DATA + 16; at++) {
		struct kvm_regs r = { .rsi = at, .rcx = 1000 };
		uint64_t sum = 0;

		for (uint64_t i = 0; i < r.rcx; i++) {
			if (i) {
				sum += value(at + 8 * i, 8);
				sum = sum << 1 | sum >> 63;
				sum ^= value(at + 8 * i, 8);
			}
			sum += value(at + 8 + 8 * i, 8);
		}
		assert_int_equal(good64(r).rax, sum);
	}
}

/* Operands that must be aligned, of which a check for several accesses says nothing. */
CODE64(aligned,
	"movups	4(%rsi), %xmm6\n\t"
	"test	%ecx, %ecx\n\t"
	"jz	1f\n\t"
	"al_first: movaps (%rsi), %xmm0\n\t"
	"movaps	0x20(%rsi), %xmm2\n\t"
	"1: lea	0x10(%rsi), %rsi\n\t"
	"al_met: movaps (%rsi), %xmm3\n\t"
	"al_third: movaps (%rsi,%rdx), %xmm4\n\t"
	"movaps	(%rsi,%rdx), %xmm4\n\t"
	"al_eight: movaps 8(%rsi,%rdx), %xmm5\n\t"
	END_TEXT);
extern const unsigned char al_first[], al_met[], al_third[], al_eight[];

static void test_aligned(void **state)
{
	struct kvm_sregs s = get_sregs64();

	(void)state;
	s.cr4 |= CR4_OSFXSR;
	set_sregs64(&s);
	PUT(CODE64_AT, aligned);
	map_data();
	for (uint64_t i = 0; i < 16; i++) {
		struct kvm_regs r = { .rsi = DATA + 64 + (i & 1 ? 8 : 0), .rcx = i >> 1 & 1,
				      .rdx = i & 4 ? 4 : i & 8 ? 8 : 0 };
		const unsigned char *at = al_eight;
		struct stop stop = go64(r);

		if (r.rsi & 15)
			at = r.rcx ? al_first : al_met;
		else if (r.rdx)
			at = al_third;
		assert_int_equal(stop.vector, V_GP);
		assert_int_equal(stop.rip, CODE64_AT + (uint64_t)(at - aligned));
	}
}

/* The access between faults: what came before it is done, with its carry, and nothing behind. */
CODE64(carry_faults,
	"xor	%edx, %edx\n\t"
	"add	%rax, %rbx\n\t"
	"cf_load: mov	8(%rsi,%r11,8), %rdi\n\t"
	"adc	$0, %rdx\n\t"
	"mov	(%rsi,%r11,8), %rdi\n\t"
	END_TEXT);
extern const unsigned char cf_load[];

static void test_carry_faults(void **state)
{
	(void)state;
	PUT(CODE64_AT, carry_faults);
	map_data();
	for (uint64_t i = 0; i < 8; i++) {
		struct kvm_regs r = { .rax = i & 1 ? ~0ull : 0, .rbx = 5, .rdx = 7, .rdi = 9,
				      .rsi = i & 2 ? MISSING : MISSING - 8,
				      .r11 = i & 4 ? 0x100000000000 : 0 };
		struct stop s = go64(r);

		assert_int_equal(s.vector, i & 4 ? V_GP : V_PF);
		if (!(i & 4))
			assert_int_equal(s.cr2, r.rsi + 8);
		assert_int_equal(s.rip, CODE64_AT + (uint64_t)(cf_load - carry_faults));
		assert_int_equal(s.r.rbx, 5 - (i & 1));
		assert_int_equal(s.rflags & 1, i & 1);
		assert_int_equal(s.r.rdx, 0);
		assert_int_equal(s.r.rdi, 9);
	}
}

/* Flags are as they were, R9 counts those that were not. */
CODE64(prefetches,
	"1: cmp	%rcx, %rcx\n\t"
	"stc\n\t"
	"prefetcht0	(%rsi)\n\t"
	"jnc	2f\n\t"
	"prefetcht1	8(%rsi,%rcx,8)\n\t"
	"prefetcht2	(%r10)\n\t"
	"prefetchnta	-8(%r15,%r10)\n\t"
	"jnz	2f\n\t"
	"prefetchw	(%rsi)\n\t"
	"prefetcht0	%fs:(%rsi)\n\t"
	"prefetcht0	(%esi)\n\t"
	"prefetcht0	1b(%rip)\n\t"
	"jnc	2f\n\t"
	"lea	-1(%rcx), %rcx\n\t"
	"jrcxz	3f\n\t"
	"jmp	1b\n\t"
	"2: inc	%r9\n\t"
	"3: " END_TEXT);

static void test_prefetch(void **state)
{
	static const uint64_t where[] = {
		DATA, DATA + 0xfff, MISSING, 0, 0x7ffffffff000, 0x800000000000,
		0xffff800000000000, ~0ull, 0x123456789abcdef0,
	};

	(void)state;
	PUT(CODE64_AT, prefetches);
	map_data();
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		struct kvm_regs r = { .rcx = ROUNDS, .rsi = where[i], .r10 = where[i], .r15 = 8 };

		r = good64(r);
		assert_int_equal(r.r9, 0);
		assert_int_equal(r.rcx, 0);
		assert_int_equal(r.rsi, where[i]);
	}
	assert_memory_equal(memory + DATA, expected, 4096);
}

int main(void)
{
	static const struct variant variants[] = {
		{ "kernel", ACCESS_KERNEL, "" },
		{ "smap", ACCESS_SMAP, "" },
		{ "user", ACCESS_USER, "" },
		{ "user no-sharing", ACCESS_USER, "no-sharing" },
		{ "user no-sites", ACCESS_USER, "no-sites" },
		{ "user no-crossing no-hints", ACCESS_USER, "no-crossing,no-hints" },
		{ "kernel no-steady no-inner", ACCESS_KERNEL, "no-steady,no-inner" },
		{ "user no-early", ACCESS_USER, "no-early" },
	};
	const struct CMUnitTest tests[] = {
		test64(test_forms),
		test64(test_constants),
		test64(test_neighbours),
		test64(test_across),
		test64(test_second_page),
		test64(test_carries),
		test64(test_pushes),
		test64(test_read_stack),
		test64(test_high_stack),
		test64(test_far_apart),
		test64(test_middle),
		test64(test_aligned),
		test64(test_carry_faults),
		test64(test_prefetch),
	};

	return RUN_VARIANTS(variants, tests);
}
