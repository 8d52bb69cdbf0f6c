/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * String instructions against a plain model, element by element: all sizes,
 * both directions, overlapping operands, page crossings, address sizes and
 * segments; then faults in the middle, requests, MMIO and the limits.
 */
#include "emu_fake.h"

#define AREA 0x40000u		/* what the instructions work on */
#define AREA_SIZE 0x10000u

static u8 model[AREA_SIZE];
static u64 seed = 88172645463325252ull;

static u32 rnd(u32 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 20) % n;
}

static void fill(u32 variety)
{
	u32 i;

	for (i = 0; i < AREA_SIZE; i++)
		model[i] = (u8)rnd(variety);
	memcpy(low + AREA, model, AREA_SIZE);
}

/* Runs an instruction until it is done. */
static void run(const char *hex)
{
	u64 start = vcpu->rip;
	u32 i;

	for (i = 0; i < 100000; i++) {
		enum emu e = exec(hex);

		if (e == EMU_NEXT) {
			vcpu->rip = start;
			return;
		}
		assert_int_equal(e, EMU_JUMP);
		assert_true(vcpu->rip == start);
	}
	fail();
}

static u64 load(const u8 *p, u32 size)
{
	u64 val = 0;

	memcpy(&val, p, size);
	return val;
}

static const char *const sizes_movs[] = { "f3 a4", "f3 66 a5", "f3 a5", "f3 48 a5" };
static const char *const sizes_stos[] = { "f3 aa", "f3 66 ab", "f3 ab", "f3 48 ab" };
static const char *const sizes_lods[] = { "f3 ac", "f3 66 ad", "f3 ad", "f3 48 ad" };
static const char *const sizes_cmps[2][4] = {
	{ "f3 a6", "f3 66 a7", "f3 a7", "f3 48 a7" },
	{ "f2 a6", "f2 66 a7", "f2 a7", "f2 48 a7" },
};
static const char *const sizes_scas[2][4] = {
	{ "f3 ae", "f3 66 af", "f3 af", "f3 48 af" },
	{ "f2 ae", "f2 66 af", "f2 af", "f2 48 af" },
};

/* Places for n elements, often near page ends and each other. */
static void places(u32 n, u32 size, bool down, u64 *si, u64 *di)
{
	u32 span = n * size, room = AREA_SIZE - span - 32;

	*si = rnd(2) ? rnd(room) : (rnd(room) & 0xf000) + 0xff0 + rnd(32);
	*di = rnd(3) ? *si + rnd(64) - 32 : rnd(room);
	if (*si > room)
		*si = room;
	if (*di > room)
		*di = rnd(room);
	if (down) {
		*si += span;
		*di += span;
	}
}

static void test_movs_stos(void **state)
{
	u32 round, i;

	setup_64(0);
	for (round = 0; round < 4000; round++) {
		u32 s = rnd(4), size = 1u << s, n = rnd(4) ? rnd(700) : rnd(8);
		bool down = rnd(2), stos = rnd(2);
		s64 step = down ? -(s64)size : size;
		u64 si, di, rax = (u64)rnd(1u << 31) << 33 | rnd(1u << 31);

		if (!(round & 63))
			fill(256);
		places(n, size, down, &si, &di);
		vcpu->sysflags = down ? X86_FL_DF : 0;
		vcpu->gpr[REG_RSI] = AREA + si;
		vcpu->gpr[REG_RDI] = AREA + di;
		vcpu->gpr[REG_RCX] = n;
		vcpu->gpr[REG_RAX] = rax;
		run(stos ? sizes_stos[s] : sizes_movs[s]);
		for (i = 0; i < n; i++, si += step, di += step) {
			u64 val = stos ? rax : load(model + si, size);

			memcpy(model + di, &val, size);
		}
		assert_memory_equal(model, low + AREA, AREA_SIZE);
		assert_true(vcpu->gpr[REG_RDI] == AREA + di);
		assert_true(vcpu->gpr[REG_RSI] == AREA + (stos ? vcpu->gpr[REG_RSI] - AREA : si));
		assert_int_equal(vcpu->gpr[REG_RCX], 0);
	}
	setup_done(state);
}

/* Flags of a - b in size bytes. */
static u64 cmp_flags(u64 a, u64 b, u32 size)
{
	u64 mask = size == 8 ? ~0ull : BIT64(size * 8) - 1, top = BIT64(size * 8 - 1), r;

	a &= mask;
	b &= mask;
	r = (a - b) & mask;
	return (a < b ? X86_FL_CF : 0) | (r ? 0 : X86_FL_ZF) | (r & top ? X86_FL_SF : 0) |
	       ((a ^ b) & (a ^ r) & top ? X86_FL_OF : 0) |
	       ((a & 15) < (b & 15) ? X86_FL_AF : 0) |
	       (__builtin_parity((u8)r) ? 0 : X86_FL_PF);
}

static void test_cmps_scas(void **state)
{
	u32 round;

	setup_64(0);
	for (round = 0; round < 8000; round++) {
		u32 s = rnd(4), size = 1u << s, n = rnd(4) ? rnd(300) : rnd(8), left = n;
		bool down = rnd(2), scas = rnd(2), ne = rnd(2), zf = !ne;
		s64 step = down ? -(s64)size : size;
		u64 si, di, rax = 0, flags = X86_FL_CF | X86_FL_OF;

		if (!(round & 31))
			fill(round & 32 ? 2 : 256);
		places(n, size, down, &si, &di);
		if (!ne && rnd(4)) {	/* equal for a while */
			memset(model + (di & 0xe000), rnd(256), 0x1800);
			memcpy(low + AREA, model, AREA_SIZE);
		}
		vcpu->sysflags = down ? X86_FL_DF : 0;
		vcpu->gpr[REG_RSI] = AREA + si;
		vcpu->gpr[REG_RDI] = AREA + di;
		vcpu->gpr[REG_RCX] = n;
		vcpu->gpr[REG_RAX] = rax = load(model + rnd(0x8000), 8);
		vcpu->arith = arith_from_rflags(flags);
		run(scas ? sizes_scas[ne][s] : sizes_cmps[ne][s]);
		while (left && zf == !ne) {
			u64 a = scas ? rax : load(model + si, size), b = load(model + di, size);

			flags = cmp_flags(a, b, size);
			zf = flags & X86_FL_ZF;
			if (!scas)
				si += step;
			di += step;
			left--;
		}
		assert_int_equal(arith_to_rflags(vcpu->arith), flags);
		assert_int_equal(vcpu->gpr[REG_RCX], left);
		assert_true(vcpu->gpr[REG_RSI] == AREA + si && vcpu->gpr[REG_RDI] == AREA + di);
	}
	setup_done(state);
}

static void test_lods_and_single(void **state)
{
	setup_64(0);
	fill(256);
	vcpu->gpr[REG_RSI] = AREA + 0xffd;
	vcpu->gpr[REG_RCX] = 3;
	run(sizes_lods[3]);
	assert_true(vcpu->gpr[REG_RAX] == load(model + 0xffd + 16, 8));
	assert_int_equal(vcpu->gpr[REG_RSI], AREA + 0xffd + 24);
	vcpu->gpr[REG_RAX] = ~0ull;
	assert_int_equal(exec("ad"), EMU_NEXT);			/* lodsd clears the upper half */
	assert_true(vcpu->gpr[REG_RAX] == load(model + 0xffd + 24, 4));
	vcpu->gpr[REG_RCX] = 5;
	assert_int_equal(exec("a4"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RDI], 1);
	assert_int_equal(vcpu->gpr[REG_RCX], 5);
	setup_done(state);
}

static void test_counts(void **state)
{
	setup_64(0);
	fill(256);
	vcpu->gpr[REG_RSI] = AREA;
	vcpu->gpr[REG_RDI] = AREA + 0x100;
	vcpu->gpr[REG_RCX] = 0;
	vcpu->arith = arith_from_rflags(X86_FL_CF);
	assert_int_equal(exec("f3 a6"), EMU_NEXT);
	assert_int_equal(vcpu->gpr[REG_RSI], AREA);
	assert_int_equal(arith_to_rflags(vcpu->arith), X86_FL_CF);
	/* With 32-bit addresses only ECX counts, and the registers are written as such. */
	vcpu->gpr[REG_RCX] = 0xffffffff00000002;
	vcpu->gpr[REG_RSI] = 0xffffffff00000000 | AREA;
	vcpu->gpr[REG_RDI] = 0xffffffff00000000 | (AREA + 0x100);
	assert_int_equal(exec("67 f3 a4"), EMU_NEXT);
	assert_true(vcpu->gpr[REG_RCX] == 0);
	assert_true(vcpu->gpr[REG_RSI] == AREA + 2);
	assert_true(vcpu->gpr[REG_RDI] == AREA + 0x102);
	setup_done(state);

	/* 16-bit addresses wrap around 64 KB. */
	setup_32(0);
	low[0xfffe] = 1;
	low[0xffff] = 2;
	low[0] = 3;
	low[1] = 4;
	vcpu->gpr[REG_RSI] = 0x1234fffe;
	vcpu->gpr[REG_RDI] = 0x12348000;
	vcpu->gpr[REG_RCX] = 0x12340004;
	run("67 f3 a4");
	assert_int_equal(load(low + 0x8000, 4), 0x04030201);
	assert_int_equal(vcpu->gpr[REG_RSI], 0x12340002);
	assert_int_equal(vcpu->gpr[REG_RDI], 0x12348004);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x12340000);
	vcpu->sysflags = X86_FL_DF;
	vcpu->gpr[REG_RSI] = 1;
	vcpu->gpr[REG_RDI] = 0x8003;
	vcpu->gpr[REG_RCX] = 4;
	run("67 f3 a4");
	assert_int_equal(vcpu->gpr[REG_RSI], 0xfffd);
	assert_int_equal(load(low + 0x8000, 4), 0x04030201);
	setup_done(state);
}

static void test_segments(void **state)
{
	setup_32(3);
	vcpu->seg[SEG_FS].base = AREA;
	vcpu->seg[SEG_FS].limit = 0xff;
	fill(256);
	vcpu->gpr[REG_RSI] = 0xf0;
	vcpu->gpr[REG_RDI] = AREA + 0x2000;
	vcpu->gpr[REG_RCX] = 100;
	/* 16 bytes fit, then the limit. */
	assert_int_equal(exec("f3 64 a4"), EMU_FAULT);
	assert_int_equal(exc.vector, EXC_GP);
	assert_int_equal(vcpu->gpr[REG_RCX], 84);
	assert_int_equal(vcpu->gpr[REG_RSI], 0x100);
	assert_int_equal(vcpu->gpr[REG_RDI], AREA + 0x2010);
	assert_memory_equal(low + AREA + 0x2000, model + 0xf0, 16);
	/* ES cannot be overridden, and must be writable. */
	vcpu->seg[SEG_ES].attr &= ~SEG_W;
	vcpu->gpr[REG_RSI] = 0;
	exec_faults("f3 64 a4", EXC_GP, 0);
	exec_faults("f3 aa", EXC_GP, 0);
	setup_done(state);
}

static void test_fault_in_the_middle(void **state)
{
	u64 end = 0x1000000;	/* of what is mapped */

	setup_64(0);
	fill(256);
	vcpu->gpr[REG_RSI] = AREA;
	vcpu->gpr[REG_RDI] = end - 0x1804;
	vcpu->gpr[REG_RCX] = 0x1000;
	assert_int_equal(exec("f3 48 a5"), EMU_FAULT);
	assert_int_equal(exc.vector, EXC_PF);
	assert_int_equal(exc.error, PFERR_W);
	assert_int_equal(exc.cr2, end);
	assert_int_equal(vcpu->gpr[REG_RCX], 0x1000 - 0x300);
	assert_int_equal(vcpu->gpr[REG_RDI], end - 4);
	assert_int_equal(vcpu->gpr[REG_RSI], AREA + 0x1800);
	assert_memory_equal(low + end - 0x1804, model, 0x1800);
	assert_int_equal(load(low + end - 4, 4), 0);	/* the half element was not written */
	/* A comparison that faults leaves the flags alone. */
	memset(low + end - 0x100, 0x33, 0x100);
	vcpu->gpr[REG_RDI] = end - 0x100;
	vcpu->gpr[REG_RAX] = 0x33;
	vcpu->gpr[REG_RCX] = 0x1000;
	vcpu->arith = arith_from_rflags(X86_FL_CF | X86_FL_OF);
	assert_int_equal(exec("f3 ae"), EMU_FAULT);
	assert_int_equal(vcpu->gpr[REG_RCX], 0xf00);
	assert_int_equal(arith_to_rflags(vcpu->arith), X86_FL_CF | X86_FL_OF);
	setup_done(state);
}

static void test_yields(void **state)
{
	u32 calls = 0;

	setup_64(0);
	vcpu->gpr[REG_RDI] = 0x100000;
	vcpu->gpr[REG_RCX] = 0x100000;
	vcpu->gpr[REG_RAX] = 0xee;
	while (exec("f3 aa") == EMU_JUMP)
		calls++;
	assert_in_range(calls, 0x100000 / 0x10000 - 1, 0x100000 / 0x10000);
	assert_int_equal(low[0x1fffff], 0xee);
	/* A request stops it after a chunk, single stepping after an element. */
	vcpu->rip = CODE;
	vcpu->request = REQ_EVENT;
	vcpu->gpr[REG_RCX] = 0x3000;
	assert_int_equal(exec("f3 aa"), EMU_JUMP);
	assert_in_range(vcpu->gpr[REG_RCX], 0x2000, 0x2fff);
	assert_int_equal(vcpu->rip, CODE);
	vcpu->sysflags = X86_FL_TF;
	vcpu->gpr[REG_RCX] = 2;
	assert_int_equal(exec("f3 aa"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RCX], 1);
	assert_int_equal(exec("f3 aa"), EMU_NEXT);
	setup_done(state);
}

static void test_mmio(void **state)
{
	setup_32(0);
	vcpu->gpr[REG_RSI] = HOLE_GPA;
	vcpu->gpr[REG_RDI] = AREA;
	vcpu->gpr[REG_RCX] = 2;
	/* Each element waits for user space and then restarts. */
	assert_int_equal(exec("f3 a5"), EMU_EXIT);
	assert_int_equal(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(vcpu->gpr[REG_RCX], 2);
	memcpy(vcpu->mmio[0].data, "\x11\x22\x33\x44", 4);
	vcpu->mmio_reads = 1;
	assert_int_equal(exec("f3 a5"), EMU_JUMP);
	assert_int_equal(vcpu->gpr[REG_RCX], 1);
	assert_int_equal(load(low + AREA, 4), 0x44332211);
	vcpu->mmio_reads = vcpu->mmio_read_next = 0;
	assert_int_equal(exec("f3 a5"), EMU_EXIT);
	assert_true(vcpu->mmio[0].gpa == HOLE_GPA + 4);
	/* Writes stop after the element, too. */
	vcpu->gpr[REG_RDI] = HOLE_GPA;
	vcpu->gpr[REG_RCX] = 3;
	assert_int_equal(exec("f3 ab"), EMU_JUMP);
	assert_int_equal(vcpu->mmio_writes, 1);
	assert_int_equal(vcpu->gpr[REG_RCX], 2);
	setup_done(state);
}

static void test_code_page(void **state)
{
	/* A page with translated code is written through mem_write. */
	setup_32(0);
	code_gfn = AREA >> 12;
	vcpu->gpr[REG_RDI] = AREA;
	vcpu->gpr[REG_RCX] = 5;
	vcpu->gpr[REG_RAX] = 0x77;
	run("f3 aa");
	assert_int_equal(written_calls, 5);
	assert_int_equal(low[AREA + 4], 0x77);
	assert_int_equal(low[AREA + 5], 0);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_movs_stos),
		cmocka_unit_test(test_cmps_scas),
		cmocka_unit_test(test_lods_and_single),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_fault_in_the_middle),
		cmocka_unit_test(test_yields),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_code_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
