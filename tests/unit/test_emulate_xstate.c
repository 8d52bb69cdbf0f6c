/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FXSAVE, XSAVE and the x87 environment: a state that is loaded and stored
 * comes back the same in every format, images hold no host pointers, bytes that
 * the instruction does not own stay, and bad images and modes fault.
 *
 * The test program uses vector registers, too: what loads and what stores are
 * decoded first and run back to back.
 */
#include "emu_fake.h"

#define IMAGE 0x50000u
#define OUT 0x60000u
#define OUT2 0x70000u

struct prepared {
	struct insn in;
	emu_fn fn;
};

static void prepare(struct prepared *p, const char *hex)
{
	u8 bytes[16];
	unsigned int b;
	u32 n = 0;
	int used;

	while (sscanf(hex, "%2x%n", &b, &used) == 1) {
		bytes[n++] = (u8)b;
		hex += used;
	}
	assert_int_equal(insn_decode(&p->in, bytes, n, code_bits()), 0);
	p->fn = emu_lookup(&p->in, code_bits());
	assert_non_null(p->fn);
}

/* Runs up to three instructions with nothing in between. */
static __attribute__((noinline)) void back_to_back(const struct prepared *p, u32 n)
{
	enum emu e[3] = { EMU_NEXT, EMU_NEXT, EMU_NEXT };
	u32 i;

	for (i = 0; i < n; i++)
		e[i] = p[i].fn(vcpu, &p[i].in);
	for (i = 0; i < n; i++)
		assert_int_equal(e[i], EMU_NEXT);
}

static void three(const char *a, const char *b, const char *c)
{
	struct prepared p[3];

	prepare(&p[0], a);
	prepare(&p[1], b);
	prepare(&p[2], c);
	back_to_back(p, 3);
}

/* A legacy area with recognisable registers. */
static void fill_legacy(u32 at)
{
	u32 i;

	memset(low + at, 0, 512);
	put(at, 0x027f, 2);
	put(at + 2, 0x3800, 2);			/* TOP = 7: one register in use */
	low[at + 4] = 0x80;
	put(at + 24, 0x1fa0, 4);
	for (i = 0; i < 8; i++) {
		put(at + 32 + 16 * i, 0x8000000000000000ull | i, 8);
		put(at + 40 + 16 * i, 0x3fff, 2);
	}
	for (i = 0; i < 256; i++)
		low[at + 160 + i] = (u8)(i ^ 0x5a);
}

static void point(u32 src, u32 dst)
{
	vcpu->gpr[REG_RSI] = src;
	vcpu->gpr[REG_RDI] = dst;
	vcpu->gpr[REG_RBX] = OUT2;
	vcpu->gpr[REG_RAX] = 0xffffffff;
	vcpu->gpr[REG_RDX] = 0xffffffff;
}

static void reset_fpu(void)
{
	static const u32 mxcsr = 0x1f80;

	__asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
}

static void test_fxsave(void **state)
{
	setup_64(0);
	fill_legacy(IMAGE);
	memset(low + OUT, 0xee, 512);
	memset(low + OUT2, 0xee, 512);
	point(IMAGE, OUT);
	three("0f ae 0e", "0f ae 07", "48 0f ae 03");	/* fxrstor, fxsave, fxsave64 */
	reset_fpu();
	assert_memory_equal(low + OUT, low + IMAGE, 6);
	assert_int_equal(get(OUT + 8, 8) | get(OUT + 16, 8), 0);
	assert_int_equal(get(OUT + 24, 4), 0x1fa0);
	assert_memory_equal(low + OUT + 160, low + IMAGE + 160, 256);
	assert_memory_equal(low + OUT + 32, low + IMAGE + 32, 10);
	assert_int_equal(low[OUT + 416], 0xee);
	assert_memory_equal(low + OUT, low + OUT2, 512);
	point(IMAGE + 8, OUT + 8);
	exec_faults("0f ae 0e", EXC_GP, 0);
	exec_faults("0f ae 07", EXC_GP, 0);
	point(IMAGE, 0x1000000);
	exec_faults("0f ae 07", EXC_PF, PFERR_W);
	put(IMAGE + 24, 0xffff1f80, 4);
	exec_faults("0f ae 0e", EXC_GP, 0);
	vcpu->cr0 |= X86_CR0_TS;
	exec_faults("0f ae 0e", EXC_NM, 0);
	exec_faults("0f ae 07", EXC_NM, 0);
	setup_done(state);

	/* Outside 64-bit mode XMM8 and up are not saved. */
	setup_32(0);
	fill_legacy(IMAGE);
	memset(low + OUT, 0xee, 512);
	point(IMAGE, OUT);
	three("0f ae 0e", "0f ae 07", "0f ae 07");
	reset_fpu();
	assert_memory_equal(low + OUT + 160, low + IMAGE + 160, 128);
	assert_int_equal(low[OUT + 288], 0xee);
	setup_done(state);
}

/* What the host can do; 0: no XSAVE. */
static u64 host_xcr0(void)
{
	u32 a = 1, b, c = 0, d, lo, hi;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c >> 27 & 1))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo & 0xe7;
}

static u32 host_offset(u32 component, u32 *size)
{
	u32 a = 0xd, b, c = component, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	*size = a;
	return b;
}

static void fill_xsave(u32 at, u64 bv)
{
	u32 i, j, size, offset;

	memset(low + at, 0, 4096);
	fill_legacy(at);
	put(at + 512, bv, 8);
	for (i = 2; i < 8; i++) {
		if (!(bv >> i & 1))
			continue;
		offset = host_offset(i, &size);
		for (j = 0; j < size; j++)
			low[at + offset + j] = (u8)(i * 16 + j);
	}
}

static bool setup_xsave(u8 cpl)
{
	u64 xcr0 = host_xcr0();

	setup_64(cpl);
	vcpu->cr4 |= X86_CR4_OSXSAVE;
	vcpu->xcr0 = xcr0;
	return xcr0;
}

static void compare_components(u32 at, u64 bv)
{
	u32 i, size, offset;

	assert_memory_equal(low + at + 160, low + IMAGE + 160, 256);
	for (i = 2; i < 8; i++) {
		if (!(bv >> i & 1))
			continue;
		offset = host_offset(i, &size);
		assert_memory_equal(low + at + offset, low + IMAGE + offset, size);
	}
}

static void test_xsave(void **state)
{
	u64 all;

	if (!setup_xsave(0))
		skip();
	all = vcpu->xcr0;
	fill_xsave(IMAGE, all);
	memset(low + OUT, 0, 4096);
	low[OUT + 420] = 0x77;		/* bytes that XSAVE does not own */
	low[OUT + 600 - 64 + 24] = 0x78;
	point(IMAGE, OUT);
	three("48 0f ae 2e", "48 0f ae 27", "0f ae 33");	/* xrstor, xsave, xsaveopt */
	reset_fpu();
	assert_int_equal(get(OUT + 512, 8), all);
	assert_int_equal(get(OUT + 520, 8), 0);
	assert_int_equal(get(OUT + 8, 8) | get(OUT + 16, 8), 0);
	assert_int_equal(low[OUT + 420], 0x77);
	assert_int_equal(low[OUT + 560], 0x78);
	compare_components(OUT, all);
	compare_components(OUT2, all);
	/* Only the components asked for; the others of the header stay. */
	fill_xsave(IMAGE, all);
	memset(low + OUT, 0, 4096);
	put(OUT + 512, 1, 8);
	point(IMAGE, OUT);
	vcpu->gpr[REG_RAX] = 2;
	vcpu->gpr[REG_RDX] = 0;
	three("48 0f ae 2e", "48 0f ae 27", "48 0f ae 27");
	reset_fpu();
	assert_int_equal(get(OUT + 512, 8), 3);
	assert_int_equal(get(OUT, 2), 0);
	assert_memory_equal(low + OUT + 160, low + IMAGE + 160, 256);
	setup_done(state);
}

static void test_compacted(void **state)
{
	u64 all;

	if (!setup_xsave(0))
		skip();
	all = vcpu->xcr0;
	fill_xsave(IMAGE, all);
	memset(low + OUT, 0, 4096);
	point(IMAGE, OUT);
	three("48 0f ae 2e", "48 0f c7 27", "48 0f c7 2b");	/* xrstor, xsavec, xsaves */
	reset_fpu();
	assert_true(get(OUT + 520, 8) == (all | BIT64(63)));
	assert_memory_equal(low + OUT, low + OUT2, 4096);
	assert_int_equal(get(OUT + 8, 8) | get(OUT + 16, 8), 0);
	/* Back from the compacted image, by either form, into a standard one. */
	point(OUT, OUT2);
	vcpu->gpr[REG_RBX] = OUT2;
	memset(low + OUT2, 0, 4096);
	three("48 0f ae 2e", "48 0f ae 23", "48 0f ae 23");
	reset_fpu();
	compare_components(OUT2, all);
	memset(low + OUT2, 0, 4096);
	three("48 0f c7 1e", "48 0f ae 23", "48 0f ae 23");	/* xrstors */
	reset_fpu();
	compare_components(OUT2, all);
	/* xrstors takes no standard image; neither works for users. */
	point(IMAGE, OUT);
	exec_faults("48 0f c7 1e", EXC_GP, 0);
	vcpu->cpl = 3;
	point(OUT, OUT2);
	exec_faults("48 0f c7 1e", EXC_GP, 0);
	exec_faults("48 0f c7 2f", EXC_GP, 0);
	setup_done(state);
}

static void xrstor_faults(u32 offset, u64 val)
{
	u64 old = get(IMAGE + offset, 8);

	put(IMAGE + offset, val, 8);
	exec_faults("48 0f ae 2e", EXC_GP, 0);
	put(IMAGE + offset, old, 8);
}

static void test_bad_images(void **state)
{
	if (!setup_xsave(0))
		skip();
	fill_xsave(IMAGE, vcpu->xcr0);
	point(IMAGE, OUT);
	xrstor_faults(512, BIT64(9));		/* a component that XCR0 lacks */
	xrstor_faults(512, BIT64(62));
	xrstor_faults(520, 1);
	xrstor_faults(528, 1);
	xrstor_faults(24, 0xffffffff);		/* MXCSR */
	xrstor_faults(520, BIT64(63));		/* XSTATE_BV outside XCOMP_BV */
	xrstor_faults(520, BIT64(63) | 0xffff);
	put(IMAGE + 520, BIT64(63) | vcpu->xcr0, 8);
	xrstor_faults(568, 1);
	put(IMAGE + 520, 0, 8);
	vcpu->xcr0 = 3;
	exec_faults("48 0f ae 2e", EXC_GP, 0);	/* what the guest's XCR0 leaves out */
	point(IMAGE + 16, OUT + 16);
	exec_faults("48 0f ae 2e", EXC_GP, 0);
	exec_faults("48 0f ae 27", EXC_GP, 0);
	point(0x1000000 - 576, 0x1000000 - 576);
	vcpu->xcr0 = host_xcr0();
	put(0x1000000 - 64, 4, 8);
	exec_faults("48 0f ae 2e", EXC_PF, 0);
	exec_faults("48 0f ae 27", EXC_PF, PFERR_W);
	vcpu->cr0 |= X86_CR0_TS;
	exec_faults("48 0f ae 2e", EXC_NM, 0);
	vcpu->cr4 &= ~X86_CR4_OSXSAVE;
	exec_faults("48 0f ae 2e", EXC_UD, 0);
	exec_faults("48 0f ae 27", EXC_UD, 0);
	setup_done(state);
}

/* A hostile guest may write anything: nothing but #GP may come of it. */
static void test_random_headers(void **state)
{
	u64 seed = 0x9e3779b97f4a7c15ull;
	struct prepared load;
	u32 i, j;

	if (!setup_xsave(0))
		skip();
	prepare(&load, "48 0f ae 2e");
	fill_xsave(IMAGE, vcpu->xcr0);
	point(IMAGE, OUT);
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < 2; j++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			put(IMAGE + 512 + 8 * j, seed >> (seed & 7 ? 40 : 0) & (seed & 8 ? 0xff : ~0ull),
			    8);
		}
		if (seed & 16)
			low[IMAGE + 527] |= 0x80;
		put(IMAGE + 24, seed & 32 ? 0x1f80 : seed, 4);
		vcpu->gpr[REG_RAX] = (u32)(seed >> 20);
		load.fn(vcpu, &load.in);
	}
	reset_fpu();
	setup_done(state);
}

static void test_environment(void **state)
{
	setup_64(0);
	fill_legacy(IMAGE);
	memset(low + OUT, 0xee, 128);
	memset(low + OUT2, 0xee, 128);
	point(IMAGE, OUT);
	three("0f ae 0e", "d9 37", "66 d9 33");		/* fxrstor, fnstenv, 16-bit fnstenv */
	reset_fpu();
	assert_int_equal(get(OUT, 2), 0x027f);
	assert_int_equal(get(OUT + 4, 2), 0x3800);
	assert_int_equal(get(OUT + 8, 2), 0x3fff);
	assert_int_equal(get(OUT + 12, 8) | get(OUT + 20, 4), 0);
	assert_int_equal(low[OUT + 28], 0xee);
	assert_int_equal(get(OUT2, 2), 0x027f);
	assert_int_equal(get(OUT2 + 2, 2), 0x3800);
	assert_int_equal(get(OUT2 + 4, 2), 0x3fff);
	assert_int_equal(get(OUT2 + 6, 8), 0);
	assert_int_equal(low[OUT2 + 14], 0xee);
	/* fnsave and back through both forms. */
	three("0f ae 0e", "dd 37", "dd 27");		/* fxrstor, fnsave, frstor: rdi */
	reset_fpu();
	assert_int_equal(get(OUT + 28, 8), 0x8000000000000000ull);
	assert_int_equal(get(OUT + 36, 2), 0x3fff);
	point(OUT, OUT2);
	three("dd 26", "66 dd 37", "66 dd 27");		/* frstor, 16-bit fnsave and frstor */
	reset_fpu();
	assert_memory_equal(low + OUT2 + 14, low + OUT + 28, 80);
	three("d9 26", "d9 37", "d9 37");
	reset_fpu();
	assert_int_equal(get(OUT2 + 8, 2), 0x3fff);
	vcpu->cr0 |= X86_CR0_EM;
	exec_faults("d9 37", EXC_NM, 0);
	exec_faults("dd 26", EXC_NM, 0);
	setup_done(state);
}

/* An unmasked exception left pending is the guest's, not ours. */
static void test_pending_exception(void **state)
{
	struct prepared p[2];
	enum emu e, f;

	setup_64(0);
	fill_legacy(IMAGE);
	put(IMAGE, 0x0270, 2);
	put(IMAGE + 2, 0x3881, 2);	/* invalid operation, ES */
	memset(low + OUT, 0, 256);
	point(IMAGE, OUT);
	prepare(&p[0], "0f ae 0e");
	prepare(&p[1], "dd 27");
	e = p[0].fn(vcpu, &p[0].in);
	exc.raised = false;
	f = p[1].fn(vcpu, &p[1].in);
	__asm__ volatile("fninit");
	assert_int_equal(e, EMU_NEXT);
	assert_int_equal(f, EMU_FAULT);
	assert_int_equal(raised(), EXC_MF);
	setup_done(state);
}

static void test_maskmov(void **state)
{
	struct prepared p[2];
	u32 i;

	setup_64(0);
	vcpu->cr4 |= X86_CR4_OSFXSR;
	fill_legacy(IMAGE);
	for (i = 0; i < 16; i++)
		low[IMAGE + 160 + 16 * 9 + i] = i % 3 ? 0 : 0x80;
	memset(low + OUT, 0xee, 32);
	point(IMAGE, OUT);
	prepare(&p[0], "0f ae 0e");
	prepare(&p[1], "66 41 0f f7 d1");	/* maskmovdqu xmm2, xmm9 */
	back_to_back(p, 2);
	reset_fpu();
	for (i = 0; i < 17; i++)
		assert_int_equal(low[OUT + i],
				 i < 16 && !(i % 3) ? low[IMAGE + 160 + 32 + i] : 0xee);
	setup_done(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fxsave),
		cmocka_unit_test(test_xsave),
		cmocka_unit_test(test_compacted),
		cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_random_headers),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_pending_exception),
		cmocka_unit_test(test_maskmov),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
