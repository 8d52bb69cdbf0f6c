/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * REP MOVS and REP STOS in the software engine, which does short ones within a
 * page in assembly and others in C: against a model that goes byte by byte,
 * with pages that do not follow each other in memory, of which two are the
 * same, and against what the SDM (vol. 2, REP) says of faults.
 */
#include "guest64.h"

#define F CODE64_AT
#define G (CODE64_AT + 0x1000)
#define DATA 0x40000ul		/* linear pages, backwards in memory */
#define PAGES 8ul
#define BYTES (PAGES * 4096)
#define ALL_BYTES 0xa000ul	/* of memory, with the page that is only read */
#define ALIAS (DATA + BYTES)	/* the memory of page 2 again */
#define READ_ONLY (DATA + 0x9000)	/* where it is in memory */
#define MISSING (DATA + 0xa000)
#define FS_BASE 0x2000ull
#define RFLAGS_SEEN (FL_ARITH | FL_DF)

struct op {
	const char *name;
	unsigned char code[4];
	unsigned int len, size;
	int stos, fs, addr32;
};

static const struct op ops[] = {
	{ "rep movsb", { 0xf3, 0xa4 }, 2, 1, 0, 0, 0 },
	{ "rep movsw", { 0x66, 0xf3, 0xa5 }, 3, 2, 0, 0, 0 },
	{ "rep movsl", { 0xf3, 0xa5 }, 2, 4, 0, 0, 0 },
	{ "rep movsq", { 0xf3, 0x48, 0xa5 }, 3, 8, 0, 0, 0 },
	{ "rep stosb", { 0xf3, 0xaa }, 2, 1, 1, 0, 0 },
	{ "rep stosw", { 0x66, 0xf3, 0xab }, 3, 2, 1, 0, 0 },
	{ "rep stosl", { 0xf3, 0xab }, 2, 4, 1, 0, 0 },
	{ "rep stosq", { 0xf3, 0x48, 0xab }, 3, 8, 1, 0, 0 },
	{ "rep movsb %fs:", { 0x64, 0xf3, 0xa4 }, 3, 1, 0, 1, 0 },
	{ "rep movsq %fs:", { 0x64, 0xf3, 0x48, 0xa5 }, 4, 8, 0, 1, 0 },
	{ "rep stosl %fs:", { 0x64, 0xf3, 0xab }, 3, 4, 1, 0, 0 },	/* of no effect */
	{ "addr32 rep movsb", { 0x67, 0xf3, 0xa4 }, 3, 1, 0, 0, 1 },
	{ "addr32 rep movsl", { 0x67, 0xf3, 0xa5 }, 3, 4, 0, 0, 1 },
	{ "addr32 rep stosq", { 0x67, 0xf3, 0x48, 0xab }, 4, 8, 1, 0, 1 },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static unsigned char expected[ALL_BYTES];	/* the memory at DATA */

/* --- the machine -------------------------------------------------------------------- */

static uint64_t gpa_of(uint64_t linear)
{
	uint64_t page = linear >= ALIAS ? 2 : (linear - DATA) >> 12;

	assert_in_range(linear, DATA, READ_ONLY + 4095);
	if (linear >= READ_ONLY)
		return linear;
	return DATA + (PAGES - 1 - page) * 4096 + (linear & 4095);
}

/*
 * What comes before each operation: the TLB gets to know the pages at R9 and R12, for
 * reading, and at R14. Without that they would all be C's.
 */
CODE64(touch,
	"mov	(%r9), %r13b\n\t"
	"mov	(%r12), %r13b\n\t"
	"mov	(%r14), %r13b\n\t"
	"mov	%r13b, (%r14)\n\t");

/* Each operation has an address of its own. */
static uint64_t start_of(size_t op)
{
	return F + 64 * op;
}

static uint64_t place(size_t op)
{
	return start_of(op) + (uint64_t)(touch_end - touch);
}

static int setup_strings(void **state)
{
	struct kvm_sregs s;

	if (setup64(state))
		return -1;
	for (uint64_t i = 0; i < PAGES; i++)
		map64(DATA + i * 4096, gpa_of(DATA + i * 4096), PTE_BASE | user_bit());
	map64(ALIAS, gpa_of(ALIAS), PTE_BASE | user_bit());
	map64(READ_ONLY, READ_ONLY, PTE_P | user_bit());
	map64(MISSING, 0, 0);
	for (size_t i = 0; i < OPS; i++) {
		PUT(start_of(i), touch);
		memcpy(memory + place(i), ops[i].code, ops[i].len);
		memcpy(memory + place(i) + ops[i].len, "\xcd\x80", 2);
	}
	s = get_sregs64();
	s.fs = s.ds;
	s.fs.base = FS_BASE;
	set_sregs64(&s);
	return 0;
}

static void fill(void)
{
	uint32_t x = 2463534242u;

	for (size_t i = 0; i < ALL_BYTES; i++)
		expected[i] = (unsigned char)chance(&x);
	memcpy(memory + DATA, expected, ALL_BYTES);
}

/* The registers that the operation leaves; the memory in expected[]. */
static struct kvm_regs model(const struct op *op, struct kvm_regs r)
{
	uint64_t by = r.rflags & FL_DF ? -(uint64_t)op->size : op->size;
	uint64_t mask = op->addr32 ? 0xffffffff : ~0ull;
	uint64_t si = r.rsi & mask, di = r.rdi & mask, cx = r.rcx & mask;
	int any = cx != 0;

	for (; cx; cx--) {
		unsigned char element[8];

		memcpy(element, &r.rax, 8);
		for (unsigned int i = 0; i < op->size && !op->stos; i++)
			element[i] = expected[gpa_of(si + (op->fs ? FS_BASE : 0) + i) - DATA];
		for (unsigned int i = 0; i < op->size; i++)
			expected[gpa_of(di + i) - DATA] = element[i];
		di = (di + by) & mask;
		si = op->stos ? si : (si + by) & mask;
	}
	if (any) {	/* a write of half of a register, as with addr32, clears the rest */
		r.rcx = cx;
		r.rdi = di;
		r.rsi = op->stos ? r.rsi : si;
	}
	return r;
}

static void assert_regs(const struct kvm_regs *got, const struct kvm_regs *want)
{
	assert_int_equal(got->rcx, want->rcx);
	assert_int_equal(got->rsi, want->rsi);
	assert_int_equal(got->rdi, want->rdi);
	assert_int_equal(got->rax, want->rax);
	assert_int_equal(got->rbx, want->rbx);
	assert_int_equal(got->rdx, want->rdx);
	assert_int_equal(got->rbp, want->rbp);
	assert_int_equal(got->r8, want->r8);
	assert_int_equal(got->r10, want->r10);
	assert_int_equal(got->r11, want->r11);
	assert_int_equal(got->r15, want->r15);
}

/* An address in a page that may be touched. */
static uint64_t touchable(uint64_t linear)
{
	if (linear - DATA < READ_ONLY - DATA || linear - STACK_MEMORY < STACK_SIZE)
		return linear;
	return DATA;
}

static struct kvm_regs start(size_t op, uint64_t si, uint64_t di, uint64_t cx, uint64_t flags)
{
	uint64_t mask = ops[op].addr32 ? 0xffffffff : ~0ull;

	return (struct kvm_regs){
		.rip = start_of(op), .rax = 0x8877665544332211, .rbx = 0x3333, .rcx = cx,
		.rdx = 0x4444444444, .rsi = ops[op].fs ? si - FS_BASE : si, .rdi = di,
		.rbp = 0x5555555555555555, .r8 = 8, .r10 = ~10ull, .r11 = ~11ull, .r15 = ~15ull,
		.r9 = touchable(ops[op].fs ? si - FS_BASE : si),	/* where it is not */
		.r12 = touchable(si & mask), .r14 = touchable(di & mask), .rflags = flags,
	};
}

static void check_run(size_t op, struct kvm_regs r)
{
	struct kvm_regs want = model(&ops[op], r);
	struct stop s = go64(r);

	if (s.vector != END || memcmp(memory + DATA, expected, ALL_BYTES))
		fail_msg("%s, rsi %#llx, rdi %#llx, rcx %#llx, rflags %#llx: vector %u",
			 ops[op].name, (long long)r.rsi, (long long)r.rdi, (long long)r.rcx,
			 (long long)r.rflags, s.vector);
	assert_regs(&s.r, &want);
	assert_int_equal(s.rflags & RFLAGS_SEEN, r.rflags);
}

static void check(size_t op, uint64_t si, uint64_t di, uint64_t cx, uint64_t flags)
{
	check_run(op, start(op, si, di, cx, flags));
}

/* --- tests -------------------------------------------------------------------------- */

static uint64_t elements(size_t op, uint64_t bytes)
{
	return bytes / ops[op].size;
}

/* Up to a page, and over its ends, with either side aligned or not. */
static void test_sizes(void **state)
{
	static const uint64_t bytes[] = { 0, 8, 16, 24, 64, 504, 2048, 4080, 4088, 4096, 4104,
					  9000 };
	static const uint64_t off[][2] = { { 0, 0 }, { 1, 0 }, { 0, 3 }, { 4088, 8 }, { 8, 4095 },
					   { 4091, 4090 } };

	(void)state;
	fill();
	for (size_t op = 0; op < OPS; op++)
		for (size_t k = 0; k < sizeof(off) / sizeof(off[0]); k++)
			for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
				check(op, DATA + off[k][0], DATA + 4 * 4096 + off[k][1],
				      elements(op, bytes[i]), k & 1 ? FL_ARITH : 0);
}

/* Each count that ends close to the end of a page, on either side. */
static void test_page_ends(void **state)
{
	(void)state;
	fill();
	for (size_t op = 0; op < OPS; op++)
		for (uint64_t n = 0; n < 12; n++)
			for (uint64_t off = 4096 - 8 * ops[op].size; off <= 4096; off += 3) {
				check(op, DATA + 64, DATA + 5 * 4096 + off, n, 0);
				check(op, DATA + off, DATA + 5 * 4096 + 64, n, 1);
			}
}

/* Source and destination overlap, by less than an element too, also by way of the alias. */
static void test_overlaps(void **state)
{
	static const int by[] = { 1, 2, 3, 4, 5, 7, 8, 9, 16, 63, -1, -3, -4, -7, -8, -64 };

	(void)state;
	fill();
	for (size_t op = 0; op < OPS; op++)
		for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
			uint64_t at = DATA + 2 * 4096 + 1024, to = at + (uint64_t)(int64_t)by[i];

			check(op, at, to, elements(op, 512), 0);
			check(op, at, to - DATA - 2 * 4096 + ALIAS, elements(op, 512), 0);
			check(op, at - DATA - 2 * 4096 + ALIAS, to, elements(op, 512), FL_ARITH);
		}
}

static void test_backwards(void **state)
{
	static const uint64_t bytes[] = { 0, 8, 64, 4096, 5000 };
	static const uint64_t off[] = { 4088, 4096, 8, 4093 };

	(void)state;
	fill();
	for (size_t op = 0; op < OPS; op++)
		for (size_t k = 0; k < 4; k++)
			for (size_t i = 0; i < 5; i++) {
				check(op, DATA + 2 * 4096 + off[k], DATA + 5 * 4096 + off[3 - k],
				      elements(op, bytes[i]), FL_DF);
				check(op, DATA + 2 * 4096 + off[k], DATA + 2 * 4096 + off[k] + 5,
				      elements(op, bytes[i]), FL_DF | 1);
			}
}

/* Bits above those that 32-bit addressing looks at, and a count of 0 that it finds. */
static void test_upper_halves(void **state)
{
	const uint64_t high = 0x1234567800000000;
	struct kvm_regs r;

	(void)state;
	put64(TABLES + 0x1000 + 8 * 4, get64(TABLES + 0x1000));	/* at 4 GiB as at 0 */
	fill();
	for (size_t op = 0; op < OPS; op++) {
		if (!ops[op].addr32)
			continue;
		check(op, DATA | high, (DATA + 0x4000) | high, 20 | high, 0);
		check(op, DATA, DATA + 0x4000, 20 | high, 0);
		/* The TLB knows them whole too. */
		r = start(op, DATA | 1ull << 32, (DATA + 0x4000) | 1ull << 32, 20, 0);
		r.r12 = r.rsi;
		r.r14 = r.rdi;
		check_run(op, r);
	}
}

/* A fault of the element at which one side reaches a bad page. */
static void fault(size_t op, uint64_t si, uint64_t di, uint64_t cx, uint64_t done, uint64_t cr2,
		  uint64_t error)
{
	struct kvm_regs r = start(op, si, di, cx, FL_ARITH), want = r;
	struct stop s;

	r.r12 = READ_ONLY;	/* known for reading does not help who writes */
	want.rcx = done;
	want = model(&ops[op], want);
	want.rcx = cx - done;
	s = go64(r);
	assert_int_equal(s.vector, V_PF);
	assert_int_equal(s.rip, place(op));
	assert_int_equal(s.cr2, cr2);
	assert_int_equal(s.error, error | (variant->access == ACCESS_USER ? 4 : 0));
	assert_int_equal(s.rsp, STACK);
	assert_regs(&s.r, &want);
	assert_int_equal(s.rflags & RFLAGS_SEEN, FL_ARITH);
	assert_memory_equal(memory + DATA, expected, ALL_BYTES);
}

/* What the page before the bad one holds is found as the model left it. */
static void test_faults(void **state)
{
	(void)state;
	fill();
	for (size_t op = 0; op < OPS; op++) {
		uint64_t size = ops[op].size, last = ALIAS + 4096;

		assert_int_equal(last, READ_ONLY);
		for (uint64_t n = 0; n < 20; n += n ? 18 : 1) {
			for (int i = 0; i < 2; i++) {
				fault(op, DATA, READ_ONLY - n * size, n + 3, n, READ_ONLY, 3);
				if (!ops[op].stos)
					fault(op, READ_ONLY + 4096 - n * size, DATA + 4096, n + 3,
					      n, MISSING, 0);
			}
		}
		/* Nothing is touched by nothing. */
		check(op, DATA, DATA, 0, FL_ARITH);
		assert_int_equal(good64(start(op, MISSING, READ_ONLY, 0, 0)).rdi, READ_ONLY);
	}
}

/* --- code ------------------------------------------------------------------------------ */

/*
 * The operand of the MOV at G is overwritten by what is at R8, or by RAX, and G
 * called, again and again; each time the operand is one larger.
 */
CODE64(over_code,
	"1: call	*%rbx\n\t"
	"add	%rax, %rdx\n\t"
	"inc	%r13\n\t"
	"mov	%r13b, (%r8)\n\t"
	"mov	%r8, %rsi\n\t"
	"mov	%r9, %rdi\n\t"
	"mov	%r10, %rcx\n\t"
	"mov	%r13d, %eax\n\t"
	"over_op: .byte	0x90, 0x90, 0x90, 0x90\n\t"
	"dec	%r12d\n\t"
	"jnz	1b\n\t"
	END_TEXT);
extern const unsigned char over_op[];

static void test_over_code(void **state)
{
	(void)state;
	for (size_t op = 0; op < OPS; op++) {
		uint64_t size = ops[op].size;
		struct kvm_regs r = { .rbx = G, .r8 = DATA, .r9 = G + 1,
				      .r10 = size > 4 ? 1 : 4 / size, .r13 = 1, .r12 = 100 };
		unsigned char *p = memory + F + (over_op - over_code);

		if (ops[op].fs || (ops[op].stos && size == 1))
			continue;
		memset(memory + gpa_of(DATA), 0, 16);
		memory[gpa_of(DATA) + 4] = 0xc3;	/* with 8 bytes the RET too */
		PUT(F, over_code);
		memset(p, 0x90, 4);
		memcpy(p, ops[op].code, ops[op].len);
		memcpy(memory + G, "\xb8\1\0\0\0\xc3", 6);	/* mov eax, 1; ret */
		if (ops[op].stos) {		/* the first element alone */
			r.r10 = 1;
			r.r13 = size == 8 ? 0xc300000001 : 1;
		}
		if (size == 8 && ops[op].stos)
			memcpy(p - 3, "\x4c\x89\xe8", 3);	/* all of R13 */
		r = good64(r);
		assert_int_equal(r.rdx, 5050);
	}
}

/* An operation that overwrites the instruction behind it, which then must be the new one. */
CODE64(over_itself,
	"1: lea	2f+1(%rip), %rdi\n\t"
	"mov	$2, %ecx\n\t"
	"inc	%al\n\t"
	"rep	stosb\n"
	"2: mov	$0, %ebx\n\t"
	"add	%rbx, %rdx\n\t"
	"dec	%r12d\n\t"
	"jnz	1b\n\t"
	END_TEXT);

static void test_over_itself(void **state)
{
	(void)state;
	PUT(F, over_itself);
	assert_int_equal(good64((struct kvm_regs){ .r12 = 100 }).rdx, 5050 * 0x101);
}

/* Long enough for C to give control back in the middle, and over memory of large pages. */
static void test_long(void **state)
{
	struct kvm_regs r;

	(void)state;
	for (size_t i = 0; i < 0x100000; i += 4096)
		memset(stack_memory + i, (int)(i >> 12) + 1, 4096);
	r = good64(start(3, STACK_MEMORY + 8, STACK_MEMORY + 0x90000, 0x80000 / 8, 0));
	assert_int_equal(r.rcx, 0);
	assert_int_equal(r.rsi, STACK_MEMORY + 0x80008);
	assert_int_equal(r.rdi, STACK_MEMORY + 0x110000);
	for (size_t i = 0; i < 0x80000; i++)
		assert_int_equal(stack_memory[0x90000 + i], (((i + 8) >> 12) + 1) & 0xff);
	r = good64(start(5, 0, STACK_MEMORY + 1, 0x8000, 0));
	assert_int_equal(r.rdi, STACK_MEMORY + 0x10001);
	for (size_t i = 1; i <= 0x10000; i++)
		assert_int_equal(stack_memory[i], i & 1 ? 0x11 : 0x22);
}

#define string64(f) cmocka_unit_test_setup_teardown(f, setup_strings, teardown64)

int main(void)
{
	static const struct variant variants[] = {
		EACH_ACCESS,
		{ "user no-sites exact-flags", ACCESS_USER, "no-sites,exact-flags" },
	};
	const struct CMUnitTest tests[] = {
		string64(test_sizes),
		string64(test_page_ends),
		string64(test_overlaps),
		string64(test_backwards),
		string64(test_upper_halves),
		string64(test_faults),
		string64(test_over_code),
		string64(test_over_itself),
		string64(test_long),
	};

	return RUN_VARIANTS(variants, tests);
}
