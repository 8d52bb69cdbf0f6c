/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Page walks over tables built in fake memory: addresses in every paging mode,
 * the whole matrix of rights against an independent statement of the rules
 * (Intel SDM vol. 3, 4.6), reserved bits, accessed and dirty bits.
 */
#include <pthread.h>

#include "fake_vm.h"

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull
#define NX BIT64(63)

#define ROOT 0x1000ull
#define L3 0x2000ull
#define L2 0x3000ull
#define L1 0x4000ull

static u64 *e64(u64 table, u32 i)
{
	return (u64 *)(low + table) + i;
}

static u32 *e32(u64 table, u32 i)
{
	return (u32 *)(low + table) + i;
}

/* Tables for one 4K page at linear: entries with all rights above the leaf. */
static u64 *map_4k(u64 linear, u64 leaf)
{
	*e64(ROOT, linear >> 39 & 511) = L3 | P | W | U;
	*e64(L3, linear >> 30 & 511) = L2 | P | W | U;
	*e64(L2, linear >> 21 & 511) = L1 | P | W | U;
	*e64(L1, linear >> 12 & 511) = leaf;
	return e64(L1, linear >> 12 & 511);
}

static void test_no_paging(void **state)
{
	struct xlate x;

	(void)state;
	assert_int_equal(mmu_walk(vcpu, 0x123456789abcull, MMU_WRITE, &x), 0);
	assert_int_equal(x.gpa, 0x56789abc);
	assert_true(x.user && x.writable && x.executable && x.dirty);
	assert_int_equal(x.page_shift, 12);
}

static void test_long_sizes(void **state)
{
	u64 linear = 0xffff812345678abcull;
	struct xlate x;

	(void)state;
	fake_long_mode(ROOT);
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), -EFAULT);
	assert_int_equal(x.error, 0);

	map_4k(linear, 0x777777777000ull | P | W | G);
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0x777777777abcull);
	assert_int_equal(x.page_shift, 12);
	assert_true(x.writable && x.executable && !x.user && !x.global && !x.dirty);
	vcpu->cr4 |= X86_CR4_PGE;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_true(x.global);

	*e64(L2, linear >> 21 & 511) = 0x777777600000ull | P | W | U | PS | NX | D;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0x777777600000ull + (linear & 0x1fffff));
	assert_int_equal(x.page_shift, 21);
	assert_true(x.dirty && x.user && !x.executable);

	*e64(L3, linear >> 30 & 511) = 0x777740000000ull | P | W | U | PS | BIT64(12);
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0x777740000000ull + (linear & 0x3fffffff));
	assert_int_equal(x.page_shift, 30);
	/* CR3's low bits (PCID) are no part of the address. */
	vcpu->cr3 |= 0xfff;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
}

static void test_pae(void **state)
{
	u64 linear = 0xc0345678ull;
	struct xlate x;

	(void)state;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_PG;
	vcpu->cr4 = X86_CR4_PAE;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), -EFAULT);
	assert_int_equal(x.error, 0);
	vcpu->pdpte[3] = L2 | P;
	*e64(L2, linear >> 21 & 511) = L1 | P | W | U;
	*e64(L1, linear >> 12 & 511) = 0xabcdef000ull | P | U;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0xabcdef678ull);
	assert_true(!x.writable && x.user && x.executable);
	/* Linear addresses are 32 bits wide. */
	assert_int_equal(mmu_walk(vcpu, linear | 0xff00000000ull, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0xabcdef678ull);

	*e64(L2, linear >> 21 & 511) = 0xabce00000ull | P | W | PS;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_WRITE, &x), 0);
	assert_int_equal(x.gpa, 0xabce00000ull + (linear & 0x1fffff));
	assert_int_equal(x.page_shift, 21);
	/* Bits that 4-level paging ignores are reserved here. */
	*e64(L2, linear >> 21 & 511) |= BIT64(52);
	assert_int_equal(mmu_walk(vcpu, linear, MMU_WRITE, &x), -EFAULT);
	assert_int_equal(x.error, PFERR_P | PFERR_W | PFERR_RSVD);
}

static void test_narrow(void **state)
{
	u64 linear = 0xc0345678ull;
	struct xlate x;

	(void)state;
	vcpu->cr0 = X86_CR0_PE | X86_CR0_PG;
	vcpu->cr3 = ROOT | 0x18;
	vcpu->efer = X86_EFER_NX;
	*e32(ROOT, linear >> 22) = L1 | P | W | U | PS;
	*e32(L1, linear >> 12 & 1023) = 0xfedcb000 | P | W;
	/* Without PSE the size bit means nothing. */
	assert_int_equal(mmu_walk(vcpu, linear, MMU_EXEC, &x), 0);
	assert_int_equal(x.gpa, 0xfedcb678ull);
	assert_int_equal(x.page_shift, 12);
	assert_int_equal(*e32(ROOT, linear >> 22), L1 | P | W | U | PS | A);
	assert_int_equal(*e32(L1, linear >> 12 & 1023), 0xfedcb000 | P | W | A);

	vcpu->cr4 = X86_CR4_PSE;
	*e32(ROOT, linear >> 22) = 0xfec00000 | P | W | U | PS | 0x1000;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_WRITE, &x), 0);
	assert_int_equal(x.gpa, 0xfec00000ull + (linear & 0x3fffff));
	assert_int_equal(x.page_shift, 22);
	assert_int_equal(*e32(ROOT, linear >> 22), 0xfec00000 | P | W | U | PS | A | D | 0x1000);
	/* PSE-36: bits 13..20 are address bits 32..39. */
	*e32(ROOT, linear >> 22) = 0xfec00000 | P | W | PS | 0xa5 << 13;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(x.gpa, 0xa5fec00000ull + (linear & 0x3fffff));
	vcpu->cpuid_maxphyaddr = 36;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), -EFAULT);
	assert_int_equal(x.error, PFERR_P | PFERR_RSVD);
	*e32(ROOT, linear >> 22) = 0xfec00000 | P | W | PS | BIT(21);
	assert_int_equal(mmu_walk(vcpu, linear, MMU_EXEC, &x), -EFAULT);
	/* No I bit: NX needs PAE. */
	assert_int_equal(x.error, PFERR_P | PFERR_RSVD);
}

/* The rules as the manual tells them, one sentence each. */
static bool rule_allows(bool user_access, u32 access, bool pu, bool pw, bool px)
{
	bool ac = vcpu->sysflags & X86_FL_AC, implicit = access & MMU_SUPER;

	if (user_access && !pu)
		return false;
	if (access & MMU_EXEC) {
		if (!px)
			return false;
		if (!user_access && pu && (vcpu->cr4 & X86_CR4_SMEP))
			return false;
	}
	if (!user_access && pu && (vcpu->cr4 & X86_CR4_SMAP) && (implicit || !ac) &&
	    (access & (MMU_READ | MMU_WRITE)))
		return false;
	if ((access & MMU_WRITE) && !pw)
		return !user_access && !(vcpu->cr0 & X86_CR0_WP);
	return true;
}

static void check_rights(u64 linear, u32 access, u64 upper, u64 leaf)
{
	bool user_access = vcpu->cpl == 3 && !(access & MMU_SUPER);
	bool nx = vcpu->efer & X86_EFER_NX;
	bool pu = upper & leaf & U, pw = upper & leaf & W, px = !((upper | leaf) & NX);
	u32 error = (access & MMU_WRITE ? PFERR_W : 0) | (user_access ? PFERR_U : 0);
	struct xlate x, y;
	int r, expected;

	if ((access & MMU_EXEC) && (nx || (vcpu->cr4 & X86_CR4_SMEP)))
		error |= PFERR_I;
	*e64(L2, linear >> 21 & 511) = upper;
	*e64(L1, linear >> 12 & 511) = leaf;
	if (!nx && ((upper | leaf) & NX)) {
		expected = -EFAULT;
		error |= PFERR_P | PFERR_RSVD;
	} else if (rule_allows(user_access, access, pu, pw, px)) {
		expected = 0;
		error = 0;
	} else {
		expected = -EFAULT;
		error |= PFERR_P;
	}
	r = mmu_peek(vcpu, linear, access, &y);
	assert_int_equal(*e64(L2, linear >> 21 & 511), upper);
	assert_int_equal(*e64(L1, linear >> 12 & 511), leaf);
	assert_int_equal(r, expected);
	assert_int_equal(y.error, error);
	r = mmu_walk(vcpu, linear, access, &x);
	assert_int_equal(r, expected);
	assert_int_equal(x.error, error);
	/* A faulting walk sets nothing. */
	assert_int_equal(*e64(L2, linear >> 21 & 511), r ? upper : upper | A);
	assert_int_equal(*e64(L1, linear >> 12 & 511),
			 r ? leaf : leaf | A | (access & MMU_WRITE ? D : 0));
	if (!r) {
		assert_int_equal(x.user, pu);
		assert_int_equal(x.writable, pw);
		assert_int_equal(x.executable, px);
		assert_int_equal(x.dirty, !!(access & MMU_WRITE));
	}
}

static void test_rights(void **state)
{
	static const u32 accesses[] = {
		MMU_READ, MMU_WRITE, MMU_READ | MMU_WRITE, MMU_EXEC, MMU_READ | MMU_SUPER,
		MMU_WRITE | MMU_SUPER,
	};
	u64 linear = 0x7f1234567000ull;
	u32 i, mode;

	(void)state;
	fake_long_mode(ROOT);
	map_4k(linear, 0);
	for (i = 0; i < 64 * ARRAY_SIZE(accesses); i++) {
		u64 upper = L1 | P | (i & 1 ? W : 0) | (i & 2 ? U : 0) | (i & 4 ? NX : 0);
		u64 leaf = 0x9000 | P | (i & 8 ? W : 0) | (i & 16 ? U : 0) | (i & 32 ? NX : 0);

		for (mode = 0; mode < 128; mode++) {
			vcpu->cpl = mode & 1 ? 3 : mode >> 6;
			vcpu->cr0 = X86_CR0_PE | X86_CR0_PG | (mode & 2 ? X86_CR0_WP : 0);
			vcpu->cr4 = X86_CR4_PAE | (mode & 4 ? X86_CR4_SMEP : 0) |
				    (mode & 8 ? X86_CR4_SMAP : 0);
			vcpu->sysflags = mode & 16 ? X86_FL_AC : 0;
			vcpu->efer = X86_EFER_LMA | X86_EFER_LME | (mode & 32 ? X86_EFER_NX : 0);
			check_rights(linear, accesses[i / 64], upper, leaf);
		}
	}
}

static void test_access_none(void **state)
{
	u64 linear = 0x1000;
	struct xlate x;

	(void)state;
	fake_long_mode(ROOT);
	map_4k(linear, 0x9000 | P);
	vcpu->cpl = 3;
	assert_int_equal(mmu_peek(vcpu, linear, 0, &x), 0);
	assert_int_equal(x.gpa, 0x9000);
	assert_int_equal(mmu_peek(vcpu, linear, MMU_READ, &x), -EFAULT);
}

/* Sets each bit of the entry in turn and expects a reserved-bit fault for those in rsvd. */
static void check_reserved(u64 linear, u64 *entry, u64 rsvd, bool wide)
{
	u64 old = *entry;
	u32 bit;

	for (bit = 8; bit < (wide ? 64u : 32u); bit++) {
		struct xlate x;
		int r;

		*entry = old | BIT64(bit);
		r = mmu_walk(vcpu, linear, MMU_READ, &x);
		if (rsvd & BIT64(bit)) {
			assert_int_equal(r, -EFAULT);
			assert_int_equal(x.error, PFERR_P | PFERR_RSVD);
		} else if (r) {
			/* Another table then, which may hold nothing. */
			assert_int_equal(x.error, 0);
		}
	}
	*entry = old;
}

static void test_reserved(void **state)
{
	u64 linear = 0x7f1234567000ull, high_bits, nx;
	struct xlate x;
	u32 i;

	(void)state;
	fake_long_mode(ROOT);
	for (i = 0; i < 4; i++) {
		vcpu->cpuid_maxphyaddr = i & 1 ? 40 : 48;
		vcpu->efer = X86_EFER_LMA | X86_EFER_LME | (i & 2 ? X86_EFER_NX : 0);
		high_bits = (BIT64(52) - 1) & ~(BIT64(vcpu->cpuid_maxphyaddr) - 1);
		nx = i & 2 ? 0 : NX;
		map_4k(linear, 0x9000 | P);
		check_reserved(linear, e64(ROOT, linear >> 39 & 511), high_bits | nx, true);
		check_reserved(linear, e64(L3, linear >> 30 & 511), high_bits | nx, true);
		check_reserved(linear, e64(L2, linear >> 21 & 511), high_bits | nx, true);
		check_reserved(linear, e64(L1, linear >> 12 & 511), high_bits | nx, true);
		*e64(L2, linear >> 21 & 511) = 0x200000 | P | PS;
		check_reserved(linear, e64(L2, linear >> 21 & 511),
			       high_bits | nx | 0x1fe000, true);
		*e64(L3, linear >> 30 & 511) = 0x40000000 | P | PS;
		check_reserved(linear, e64(L3, linear >> 30 & 511),
			       high_bits | nx | 0x3fffe000, true);
		*e64(ROOT, linear >> 39 & 511) |= PS;
		assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), -EFAULT);
		assert_int_equal(x.error, PFERR_P | PFERR_RSVD);
	}
}

static void test_accessed_dirty(void **state)
{
	u64 linear = 0x7f1234567000ull;
	struct xlate x;
	u64 *leaf;

	(void)state;
	fake_long_mode(ROOT);
	leaf = map_4k(linear, 0x9000 | P | W);
	code_gfn = L1 >> 12;
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(*leaf, 0x9000 | P | W | A);
	assert_true(*e64(ROOT, linear >> 39 & 511) & A);
	assert_true(*e64(L3, linear >> 30 & 511) & A);
	assert_true(*e64(L2, linear >> 21 & 511) & A);
	assert_true(is_dirty(ROOT) && is_dirty(L3) && is_dirty(L2) && is_dirty(L1));
	assert_false(is_dirty(0x9000));
	assert_int_equal(written_calls, 1);
	assert_int_equal(written_gpa, L1 + (linear >> 12 & 511) * 8);
	assert_int_equal(written_len, 8);

	memset(dirty_low, 0, sizeof(dirty_low));
	assert_int_equal(mmu_walk(vcpu, linear, MMU_READ, &x), 0);
	assert_int_equal(written_calls, 1);
	assert_false(is_dirty(L1));
	assert_int_equal(mmu_walk(vcpu, linear, MMU_WRITE, &x), 0);
	assert_true(x.dirty);
	assert_int_equal(*leaf, 0x9000 | P | W | A | D);
	assert_int_equal(written_calls, 2);
	assert_true(is_dirty(L1) && !is_dirty(L2));
	assert_int_equal(mmu_walk(vcpu, linear, MMU_WRITE, &x), 0);
	assert_int_equal(written_calls, 2);
}

static void test_readonly_and_absent_tables(void **state)
{
	struct xlate x;

	(void)state;
	fake_long_mode(ROM_GPA);
	*(u64 *)rom = L3 | P | W | U;
	*e64(L3, 0) = 0x0 | P | W | PS;
	assert_int_equal(mmu_walk(vcpu, 0x5000, MMU_WRITE, &x), 0);
	assert_int_equal(x.gpa, 0x5000);
	assert_int_equal(*(u64 *)rom, L3 | P | W | U);
	assert_int_equal(*e64(L3, 0), P | W | PS | A | D);
	/* A table in a hole faults as an entry that is not present. */
	*(u64 *)rom = HOLE_GPA | P | W | U;
	assert_int_equal(mmu_walk(vcpu, 0x5000, MMU_WRITE, &x), -EFAULT);
	assert_int_equal(x.error, PFERR_W);
	vcpu->cr3 = 0xfffffffff000ull;
	assert_int_equal(mmu_walk(vcpu, 0x5000, MMU_WRITE, &x), -EFAULT);
}

static void test_hint(void **state)
{
	struct slot_array *two;
	struct memslot moved;
	struct xlate x;
	u8 *mem;

	(void)state;
	fake_long_mode(ROOT);
	map_4k(0, 0x9000 | P);
	assert_int_equal(mmu_walk(vcpu, 0, MMU_READ, &x), 0);
	find_calls = 0;
	assert_int_equal(mmu_walk(vcpu, 0, MMU_READ, &x), 0);
	assert_int_equal(find_calls, 0);
	/* Other memory at the same place: seen at once. */
	fake_slot(&moved, 0, LOW_SIZE, &mem, 0);
	two = calloc(1, sizeof(*two) + sizeof(struct memslot *));
	two->count = 1;
	two->slot[0] = &moved;
	free(fake_vm.slots);
	fake_vm.slots = two;
	assert_int_equal(mmu_walk(vcpu, 0, MMU_READ, &x), -EFAULT);
	munmap(mem, LOW_SIZE);
}

static volatile bool flipper_stop;
static u64 flips_lost;

/* Replaces the entry by turns and checks that nobody brought an old one back. */
static void *flipper(void *arg)
{
	u64 *leaf = arg, frame = 0x9000, old;

	while (!flipper_stop) {
		u64 next = frame == 0x9000 ? 0xa000 : 0x9000;

		old = __atomic_exchange_n(leaf, next | P | W, __ATOMIC_SEQ_CST);
		if ((old & ~0xfffull) != frame)
			flips_lost++;
		frame = next;
	}
	return NULL;
}

static void test_race(void **state)
{
	pthread_t t;
	u64 *leaf;
	u32 i;

	(void)state;
	fake_long_mode(ROOT);
	leaf = map_4k(0, 0x9000 | P | W);
	flipper_stop = false;
	assert_int_equal(pthread_create(&t, NULL, flipper, leaf), 0);
	for (i = 0; i < 200000; i++) {
		struct xlate x;

		assert_int_equal(mmu_walk(vcpu, 0, i & 1 ? MMU_WRITE : MMU_READ, &x), 0);
		assert_true(x.gpa == 0x9000 || x.gpa == 0xa000);
	}
	flipper_stop = true;
	pthread_join(t, NULL);
	assert_int_equal(flips_lost, 0);
}

static void test_speed(void **state)
{
	u64 linear = 0x7f1234400000ull;
	struct timespec a, b;
	struct xlate x;
	u32 i, n = 2000000;

	(void)state;
	fake_long_mode(ROOT);
	map_4k(linear, 0);
	for (i = 0; i < 512; i++)
		*e64(L1, i) = i << 12 | P | W | U | A | D;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < n; i++)
		mmu_walk(vcpu, linear + (i & 511) * 4096, MMU_WRITE, &x);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("4-level walk: %.1f ns\n",
		      ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / n);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_vm_setup, fake_vm_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_no_paging), T(test_long_sizes), T(test_pae), T(test_narrow),
		T(test_rights), T(test_access_none), T(test_reserved), T(test_accessed_dirty),
		T(test_readonly_and_absent_tables), T(test_hint), T(test_race), T(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
