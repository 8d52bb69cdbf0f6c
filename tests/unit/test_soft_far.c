/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Direct jumps to other pages in the software engine, which lead in a new address
 * space where they led in the one before, if that is right: where the page tables show
 * the same page, another one or none, and where its code has changed meanwhile, by
 * the program's doing or by user space's.
 */
#include "guest64.h"

#define F CODE64_AT			/* pages of code */
#define G (CODE64_AT + 0x1000)
#define TARGET 0x30000ul		/* F + 0x20000 */
#define TARGET2 0x31000ul		/* memory that is shown in its place */
#define DATA 0x40000ul

/* Two jumps into the other page: the first finds it, the second is to find it known. */
CODE64(there,
	"th_0: call	*%r8\n\t"
	"jmp	th_0 + 0x20000\n"
	"th_1: jmp	th_0 + 0x20040\n"
	"th_2: dec	%ecx\n\t"
	"jnz	th_0\n\t"
	END_TEXT);
extern const unsigned char th_1[], th_2[];
/* The way back is by registers. */
CODE64(back, "add	$1, %rax\n\tjmp	*%r9\n\t");
CODE64(back2, "add	$2, %rax\n\tjmp	*%r10\n\t");
CODE64(no_call, "ret\n\t");
CODE64(reload_cr3, "mov	%cr3, %rsi\n\tmov	%rsi, %cr3\n\tret\n\t");
CODE64(switch_cr3, "xchg	%rsi, %rbx\n\tmov	%rsi, %cr3\n\tret\n\t");
CODE64(overwrite_and_reload,
	"inc	%rdx\n\t"
	"mov	%dl, (%rdi)\n\t"
	"mov	%cr3, %rsi\n\t"
	"mov	%rsi, %cr3\n\t"
	"ret\n\t");
CODE64(ask_and_reload,
	"out	%al, $0x10\n\t"
	"mov	%cr3, %rsi\n\t"
	"mov	%rsi, %cr3\n\t"
	"ret\n\t");

#define IMM 3	/* in the ADDs */
#define PTE_GLOBAL 0x100ul

static void put_all(void)
{
	PUT(F, there);
	PUT(TARGET, back);
	PUT(TARGET + 0x40, back2);
	PUT(TARGET2, back);
	PUT(TARGET2 + 0x40, back2);
	memory[TARGET2 + IMM] = 30;
	memory[TARGET2 + 0x40 + IMM] = 40;
}

static struct kvm_regs regs(uint64_t rounds)
{
	return (struct kvm_regs){
		.rip = F, .rcx = rounds, .r8 = G,
		.r9 = F + (uint64_t)(th_1 - there), .r10 = F + (uint64_t)(th_2 - there),
	};
}

static void test_plain(void **state)
{
	(void)state;
	put_all();
	PUT(G, no_call);
	assert_int_equal(good64(regs(500)).rax, 500 * 3);
}

/* The same pages again and again. */
static void test_same(void **state)
{
	(void)state;
	kernel_only();
	put_all();
	PUT(G, reload_cr3);
	assert_int_equal(good64(regs(500)).rax, 500 * 3);
}

/* An address space that shows another page there, by turns; with PCIDs, too. */
static void test_other(void **state)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	(void)state;
	kernel_only();
	put_all();
	PUT(G, switch_cr3);
	put64(pte_of(TABLES2, TARGET), TARGET2 | PTE_BASE);
	r = regs(500);
	r.rsi = TABLES;
	r.rbx = TABLES2;
	assert_int_equal(good64(r).rax, 250 * (3 + 70));
	s = get_sregs64();
	s.cr4 |= CR4_PGE | CR4_PCIDE;
	s.cr3 = TABLES | 1;
	set_sregs64(&s);
	r.rsi = TABLES | 1 | 1ull << 63;
	r.rbx = TABLES2 | 2 | 1ull << 63;
	assert_int_equal(good64(r).rax, 250 * (3 + 70));
}

/* Known for long in one address space, and not there in the next. */
static void test_unmapped(void **state)
{
	struct kvm_regs r = regs(100);
	struct stop s;

	(void)state;
	kernel_only();
	put_all();
	PUT(G, reload_cr3);
	assert_int_equal(good64(r).rax, 100 * 3);
	PUT(G, switch_cr3);
	put64(pte_of(TABLES2, TARGET), 0);
	r.rsi = TABLES;
	r.rbx = TABLES2;
	s = go64(r);
	assert_int_equal(s.vector, V_PF);
	assert_int_equal(s.rip, TARGET);
	assert_int_equal(s.cr2, TARGET);
	assert_int_equal(s.r.rax, 0);
}

/* The program writes into the target before it jumps there. */
static void test_overwritten(void **state)
{
	static const uint64_t at[] = { TARGET + IMM, TARGET + 0x40 + IMM };

	(void)state;
	kernel_only();
	for (size_t i = 0; i < 2; i++) {
		struct kvm_regs r = regs(60);

		put_all();
		PUT(G, overwrite_and_reload);
		r.rdi = at[i];
		assert_int_equal(good64(r).rax, 60 * 61 / 2 + 60 * (i ? 1 : 2));
	}
}

/* User space writes into it while KVM_RUN is away, and changes nothing else. */
static void changed_by_user_space(void)
{
	static const uint64_t at[] = { TARGET + IMM, TARGET + 0x40 + IMM };
	struct kvm_regs r = regs(1000);
	uint64_t sum = 0;

	put_all();
	PUT(G, ask_and_reload);
	r.rflags = 2;
	r.rsp = STACK;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
	for (size_t i = 0; i < 100; i++) {
		run_to_out(0x10);
		assert_int_equal(get_regs().rax, sum);
		memory[at[i & 1]] = (unsigned char)(i + 1);
		sum += memory[at[0]] + memory[at[1]];
	}
}

static void test_user_space(void **state)
{
	(void)state;
	kernel_only();
	changed_by_user_space();
}

/* What is known of a global page outlasts the load of CR3, but not as what its bytes are. */
static void test_global(void **state)
{
	struct kvm_sregs s = get_sregs64();

	(void)state;
	kernel_only();
	map64(TARGET, TARGET, PTE_BASE | PTE_GLOBAL);
	s.cr4 |= CR4_PGE;
	set_sregs64(&s);
	changed_by_user_space();
}

int main(void)
{
	static const struct variant variants[] = {
		{ "kernel", ACCESS_KERNEL, "" },
		{ "smap", ACCESS_SMAP, "" },
		{ "user", ACCESS_USER, "" },
		{ "kernel no-again no-prefetch", ACCESS_KERNEL, "no-again,no-prefetch" },
		{ "kernel no-far", ACCESS_KERNEL, "no-far" },
		{ "kernel check-always no-system", ACCESS_KERNEL, "check-always,no-system" },
	};
	const struct CMUnitTest tests[] = {
		test64(test_plain),
		test64(test_same),
		test64(test_other),
		test64(test_unmapped),
		test64(test_overwritten),
		test64(test_user_space),
		test64(test_global),
	};

	return RUN_VARIANTS(variants, tests);
}
