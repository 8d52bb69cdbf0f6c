/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests in 64-bit mode for tests through the API: memory that is mapped as it
 * is by pages that a test may change, a large stack, and a handler for each
 * vector, which halts. Programs end by INT END. A test runs in each variant of
 * its list: an access mode, and switches of the engine.
 */
#ifndef TESTS_UNIT_GUEST64_H
#define TESTS_UNIT_GUEST64_H

#include "guest16.h"
#include "stats.h"

/* Defines name[] and name_end[]: code of 64 bits that may lie anywhere. */
#define CODE64(name, text) \
	__asm__(".pushsection .rodata\n" #name ":\n\t" text "\n" #name "_end:\n\t.popsection"); \
	extern const unsigned char name[], name##_end[]

#define END 0x80
#define END_TEXT "int	$0x80\n\t"

/* Guest-physical addresses, which are the linear ones too. */
#define TABLES 0x1000ul		/* page tables: levels 4, 3, 2, 1 */
#define TABLES2 0x5000ul	/* of another address space */
#define IDT 0x9000ul
#define GDT 0xa000ul
#define TSS 0xb000ul
#define HANDLERS 0xc000ul	/* a HLT every 16 bytes */
#define KERNEL_STACK 0x10000ul	/* its end, for programs at CPL 3 */
#define CODE64_AT 0x10000ul
#define STACK_MEMORY 0x200000ul
#define STACK_SIZE 0x200000ul
#define STACK (STACK_MEMORY + STACK_SIZE)

#define PTE_P 1ul
#define PTE_W 2ul
#define PTE_U 4ul
#define PTE_LARGE 0x80ul
#define PTE_G 0x100ul
#define PTE_BASE (PTE_P | PTE_W)

#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_PCIDE 0x20000u
#define CR4_SMAP 0x200000u
#define CR0_TS 8u
#define FL_DF 0x400u
#define FL_AC 0x40000u
#define FL_ARITH 0x8d5u

#define V_UD 6u
#define V_NM 7u
#define V_GP 13u
#define V_PF 14u

enum access { ACCESS_KERNEL, ACCESS_SMAP, ACCESS_USER };

struct variant {
	const char *name;
	enum access access;
	const char *switches;	/* $ANYKVM_SOFT */
};

/* For lists of variants. */
#define EACH_ACCESS \
	{ "kernel", ACCESS_KERNEL, "" }, \
	{ "smap", ACCESS_SMAP, "" }, \
	{ "user", ACCESS_USER, "" }

static const struct variant *variant;
static unsigned char *stack_memory;

/* How a run ended: by END or an exception. */
struct stop {
	unsigned int vector;
	uint64_t error, rip, rflags, rsp, cr2;
	struct kvm_regs r;	/* RIP, RSP and RFLAGS are those of the handler */
};

static inline struct kvm_segment segment64(uint16_t selector, uint8_t type, int code)
{
	return (struct kvm_segment){ .limit = ~0u, .selector = selector, .type = type,
				     .present = 1, .s = 1, .dpl = selector & 3, .l = !!code,
				     .db = !code, .g = 1 };
}

/* 64-bit mode at CPL 0, with the tables at cr3. */
static inline void long_mode(struct kvm_sregs *s, uint64_t cr3)
{
	s->cr0 = 0x80010001;	/* PG WP PE */
	s->cr3 = cr3;
	s->cr4 = CR4_PAE;
	s->efer = 0x500;
	s->cs = segment64(8, 11, 1);
}

/* Numbers that look like random ones, the same ones each time; *x is where they have come to. */
static inline uint32_t chance(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* --- memory ------------------------------------------------------------------------- */

/* The memory at a guest-physical address. */
static inline unsigned char *at64(uint64_t gpa)
{
	assert_true(gpa < MEMORY || gpa - STACK_MEMORY < STACK_SIZE);
	return gpa < MEMORY ? memory + gpa : stack_memory + (gpa - STACK_MEMORY);
}

static inline void put64(uint64_t gpa, uint64_t v)
{
	memcpy(at64(gpa), &v, sizeof(v));
}

static inline uint64_t get64(uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, at64(gpa), sizeof(v));
	return v;
}

/* The page table's entry for an address below 2 MiB. */
static inline uint64_t pte_of(uint64_t tables, uint64_t linear)
{
	return tables + 0x3000 + 8 * (linear >> 12);
}

static inline uint64_t user_bit(void)
{
	return variant->access == ACCESS_USER ? PTE_U : 0;
}

static inline void map64(uint64_t linear, uint64_t gpa, uint64_t flags)
{
	put64(pte_of(TABLES, linear), gpa | flags);
}

static inline void make_tables64(uint64_t at)
{
	put64(at, (at + 0x1000) | PTE_BASE | PTE_U);
	put64(at + 0x1000, (at + 0x2000) | PTE_BASE | PTE_U);
	put64(at + 0x2000, (at + 0x3000) | PTE_BASE | PTE_U);
	put64(at + 0x2008, STACK_MEMORY | PTE_BASE | PTE_LARGE | user_bit());
	for (uint64_t i = 0; i < MEMORY; i += 4096)
		put64(pte_of(at, i), i | PTE_BASE | user_bit());
}

static inline void make_handlers64(void)
{
	for (uint64_t i = 0; i < 256; i++) {
		uint64_t h = HANDLERS + 16 * i;

		memory[h] = 0xf4;
		put64(IDT + 16 * i, (h & 0xffff) | 8 << 16 | 0xee00ull << 32 | h >> 16 << 48);
		put64(IDT + 16 * i + 8, 0);
	}
	put64(GDT + 0x08, 0xaf9b000000ffffull);
	put64(GDT + 0x10, 0xcf93000000ffffull);
	put64(GDT + 0x18, 0xcff3000000ffffull);
	put64(GDT + 0x20, 0xaffb000000ffffull);
	memcpy(memory + TSS + 4, &(uint64_t){ KERNEL_STACK }, 8);
}

/* --- the machine -------------------------------------------------------------------- */

static inline struct kvm_sregs get_sregs64(void)
{
	struct kvm_sregs s;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	return s;
}

static inline void set_sregs64(const struct kvm_sregs *s)
{
	struct kvm_sregs copy = *s;

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &copy), 0);
}

static inline int setup64(void **state)
{
	int user = variant->access == ACCESS_USER;
	struct kvm_sregs s;

	setenv("ANYKVM_SOFT", variant->switches, 1);
	if (setup_cpu(state))
		return -1;
	stack_memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	if (stack_memory == MAP_FAILED || set_slot(0, 0, 0, MEMORY, memory) ||
	    set_slot(1, 0, STACK_MEMORY, STACK_SIZE, stack_memory))
		return -1;
	set_supported_cpuid();
	make_tables64(TABLES);
	make_tables64(TABLES2);
	make_handlers64();
	s = get_sregs64();
	long_mode(&s, TABLES);
	s.cr4 |= variant->access == ACCESS_SMAP ? CR4_SMAP : 0;
	s.cs = segment64(user ? 0x23 : 8, 11, 1);
	s.ss = s.ds = s.es = segment64(user ? 0x1b : 0x10, 3, 0);
	s.idt.base = IDT;
	s.idt.limit = 0xfff;
	s.gdt.base = GDT;
	s.gdt.limit = 0x37;
	s.tr = (struct kvm_segment){ .base = TSS, .limit = 0x67, .selector = 0x28, .type = 11,
				     .present = 1 };
	set_sregs64(&s);
	return 0;
}

static inline int teardown64(void **state)
{
	munmap(stack_memory, STACK_SIZE);
	return teardown_cpu(state);
}

static inline int has_error_code(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Goes on as the registers are, up to a handler. */
static inline struct stop go_on64(void)
{
	struct stop s = { 0 };
	uint64_t frame;

	assert_int_equal(run_once(), KVM_EXIT_HLT);
	s.r = get_regs();
	assert_in_range(s.r.rip, HANDLERS + 1, HANDLERS + 16 * 256 - 1);
	s.vector = (unsigned int)(s.r.rip - 1 - HANDLERS) / 16;
	frame = s.r.rsp;
	if (has_error_code(s.vector)) {
		s.error = get64(frame);
		frame += 8;
	}
	s.rip = get64(frame);
	s.rflags = get64(frame + 16);
	s.rsp = get64(frame + 24);
	s.cr2 = get_sregs64().cr2;
	return s;
}

/* Runs from r, at the variant's privilege level. What was known of pages is forgotten. */
static inline struct stop go64(struct kvm_regs r)
{
	int user = variant->access == ACCESS_USER;
	struct kvm_sregs s = get_sregs64();

	s.cs = segment64(user ? 0x23 : 8, 11, 1);
	s.ss = segment64(user ? 0x1b : 0x10, 3, 0);
	set_sregs64(&s);
	r.rflags |= 2;
	if (!r.rip)
		r.rip = CODE64_AT;
	if (!r.rsp)
		r.rsp = STACK;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_REGS, &r), 0);
	return go_on64();
}

/* The same for what must end as it should, with the stack where it was. */
static inline struct kvm_regs good64(struct kvm_regs r)
{
	struct stop s = go64(r);

	assert_int_equal(s.vector, END);
	assert_int_equal(s.rsp, r.rsp ? r.rsp : STACK);
	return s.r;
}

/* For what programs at CPL 3 cannot do. */
static inline void kernel_only(void)
{
	if (variant->access == ACCESS_USER)
		skip();
}

#define test64(f) cmocka_unit_test_setup_teardown(f, setup64, teardown64)

/* Runs the tests in each variant. */
#define RUN_VARIANTS(variants, tests) \
	({ \
		int failed_ = 0; \
		for (size_t i_ = 0; i_ < sizeof(variants) / sizeof((variants)[0]); i_++) { \
			variant = &(variants)[i_]; \
			failed_ += cmocka_run_group_tests_name(variant->name, tests, NULL, NULL); \
		} \
		failed_; \
	})

#endif
