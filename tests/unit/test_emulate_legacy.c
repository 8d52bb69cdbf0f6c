/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decimal adjustment against the host CPU: the instructions run natively in a
 * 32-bit code segment, which a 64-bit Linux process can enter, and results and
 * all arithmetic flags, undefined ones included, are compared.
 */
#include "emu_fake.h"

#define USER32_CS 0x23

/* Registers around native code. */
struct native {
	u64 rax, flags;
};

void native_enter(void *code, void *stack, struct native *n);
extern char native_back[];

__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rdx, %r14\n"
	"	mov %rsp, %r15\n"
	"	mov %rsi, %rsp\n"
	"	mov (%r14), %rax\n"
	"	mov 8(%r14), %rdx\n"
	"	push $0x23\n"
	"	push %rdi\n"
	"	lretq\n"
	"native_back:\n"
	"	mov %r15, %rsp\n"
	"	mov %rax, (%r14)\n"
	"	mov %rdx, 8(%r14)\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static u8 *area;

/* Below 4 GB: 32-bit code that sets flags, runs op, takes flags, and the way back. */
static void native_build(const u8 *op, u32 len)
{
	u64 back = (u64)(uintptr_t)native_back;
	u8 *p = area, *q = area + 0x800;
	u32 far = (u32)(uintptr_t)q;

	*p++ = 0x52;		/* push edx; popf */
	*p++ = 0x9d;
	memcpy(p, op, len);
	p += len;
	*p++ = 0x9c;		/* pushf; pop edx */
	*p++ = 0x5a;
	*p++ = 0xea;		/* jmp 0x33:q */
	memcpy(p, &far, 4);
	p[4] = 0x33;
	p[5] = 0;
	*q++ = 0x49;		/* mov r11, back; jmp r11 */
	*q++ = 0xbb;
	memcpy(q, &back, 8);
	q += 8;
	*q++ = 0x41;
	*q++ = 0xff;
	*q++ = 0xe3;
}

static void compare_all(const char *hex, const u8 *op, u32 len, u32 step)
{
	static const u32 inputs[] = { 0, X86_FL_CF, X86_FL_AF, X86_FL_CF | X86_FL_AF, X86_FL_ARITH };
	u32 ax, i;

	native_build(op, len);
	for (ax = 0; ax < 0x10000; ax += step) {
		for (i = 0; i < ARRAY_SIZE(inputs); i++) {
			struct native n = { .rax = 0xdead0000 | ax, .flags = 2 | inputs[i] };

			native_enter(area, area + 0x3000, &n);
			vcpu->gpr[REG_RAX] = 0xdead0000 | ax;
			vcpu->arith = arith_from_rflags(inputs[i]);
			assert_int_equal(exec(hex), EMU_NEXT);
			if (vcpu->gpr[REG_RAX] != n.rax ||
			    (n.flags & X86_FL_ARITH) != arith_to_rflags(vcpu->arith))
				fail_msg("%s ax %04x flags %x: native %08llx %03llx, ours %08llx %03llx",
					 hex, ax, inputs[i], (unsigned long long)n.rax,
					 (unsigned long long)(n.flags & X86_FL_ARITH),
					 (unsigned long long)vcpu->gpr[REG_RAX],
					 (unsigned long long)arith_to_rflags(vcpu->arith));
		}
	}
}

static void test_decimal(void **state)
{
	static const struct {
		const char *hex;
		u8 op[2];
		u32 len, step;
	} list[] = {
		{ "37", { 0x37 }, 1, 1 },	  { "3f", { 0x3f }, 1, 1 },
		{ "27", { 0x27 }, 1, 0x33 },	  { "2f", { 0x2f }, 1, 0x33 },
		{ "27", { 0x27 }, 1, 1 },	  { "2f", { 0x2f }, 1, 1 },
		{ "d4 0a", { 0xd4, 10 }, 2, 7 },  { "d4 10", { 0xd4, 16 }, 2, 7 },
		{ "d4 ff", { 0xd4, 255 }, 2, 7 }, { "d4 01", { 0xd4, 1 }, 2, 7 },
		{ "d5 0a", { 0xd5, 10 }, 2, 1 },  { "d5 00", { 0xd5, 0 }, 2, 7 },
		{ "d5 ff", { 0xd5, 255 }, 2, 1 }, { "d6", { 0xd6 }, 1, 0x11 },
	};
	u32 i;

	(void)state;
	setup_32(3);
	area = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (area == MAP_FAILED)
		skip();
	for (i = 0; i < ARRAY_SIZE(list); i++)
		compare_all(list[i].hex, list[i].op, list[i].len, list[i].step);
	munmap(area, 0x4000);
	vcpu->gpr[REG_RAX] = 5;
	exec_faults("d4 00", EXC_DE, 0);
	setup_done(state);
}

static void test_xlat(void **state)
{
	setup_32(3);
	vcpu->gpr[REG_RBX] = DATA;
	vcpu->gpr[REG_RAX] = 0x1234ff;
	low[DATA + 0xff] = 0x5a;
	assert_int_equal(exec("d7"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RAX], 0x12345a);
	/* 16-bit addressing wraps within 64 KB. */
	vcpu->gpr[REG_RBX] = 0xfff0;
	vcpu->gpr[REG_RAX] = 0x20;
	low[0x10] = 0x77;
	assert_int_equal(exec("67 d7"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RAX], 0x77);
	setup_done(state);
}

static void test_bound_into(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RBX] = DATA;
	put(DATA, (u32)-5, 4);
	put(DATA + 4, 7, 4);
	vcpu->gpr[REG_RAX] = (u32)-5;
	assert_int_equal(exec("62 03"), EMU_NEXT);
	vcpu->gpr[REG_RAX] = 7;
	assert_int_equal(exec("62 03"), EMU_NEXT);
	vcpu->gpr[REG_RAX] = 8;
	exec_faults("62 03", EXC_BR, 0);
	put(DATA, 1 | 3 << 16, 4);
	vcpu->gpr[REG_RAX] = 0xf0002;
	assert_int_equal(exec("66 62 03"), EMU_NEXT);
	vcpu->gpr[REG_RAX] = 0xf0004;
	exec_faults("66 62 03", EXC_BR, 0);
	assert_int_equal(exec("ce"), EMU_NEXT);
	setup_done(state);
}

static void test_arpl(void **state)
{
	setup_32(3);
	vcpu->gpr[REG_RAX] = 0x1231;
	vcpu->gpr[REG_RCX] = 0x0003;
	assert_int_equal(exec("63 c8"), EMU_NEXT);	/* arpl ax, cx */
	assert_int_equal(vcpu->gpr[REG_RAX], 0x1233);
	assert_true(arith_to_rflags(vcpu->arith) & X86_FL_ZF);
	assert_int_equal(exec("63 c8"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RAX], 0x1233);
	assert_false(arith_to_rflags(vcpu->arith) & X86_FL_ZF);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_xlat),
		cmocka_unit_test(test_bound_into),
		cmocka_unit_test(test_arpl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
