/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers through the API beyond the plain ones: PAE's page-directory
 * pointers, translations that another CPU wants gone, extended state, and the
 * caller's own control words, which a guest must not leave changed.
 */
#include "guest16.h"

#define CR0_PG 0x80000000u
#define CR0_PE 1u
#define CR4_PAE 0x20u
#define PTE_P 1u

/* --- PDPTRs ---------------------------------------------------------------------------- */

/* 32-bit code: out %al, $0x10; the dword at 0x3000 to EAX; out %al, $0x11. */
static const unsigned char reads[] = {
	0xe6, 0x10, 0xa1, 0x00, 0x30, 0x00, 0x00, 0xe6, 0x11,
};

/* Tables for the first 2 MiB as they are, or with the page at 0x3000 being that at 0x6000. */
static void tables(uint32_t pd, uint32_t pt, bool swapped)
{
	uint64_t *d = (void *)(memory + pd), *t = (void *)(memory + pt);

	d[0] = pt | 3;
	for (unsigned int i = 0; i < MEMORY / 4096; i++)
		t[i] = i * 4096 | 3;
	if (swapped)
		t[3] = 0x6003;
}

static void pae(struct kvm_sregs2 *s)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1,
	};

	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS2, s), 0);
	assert_int_equal(s->flags, 0);
	s->ds = s->es = s->fs = s->gs = s->ss = s->cs = flat;
	s->cs.type = 11;
	s->cr0 |= CR0_PG | CR0_PE;
	s->cr4 |= CR4_PAE;
	s->cr3 = 0x10000;
}

static void test_pdptrs(void **state)
{
	struct kvm_sregs2 s, got;
	struct kvm_sregs old;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	memcpy(memory + ENTRY, reads, sizeof(reads));
	memory[0x3000] = 0x33;
	memory[0x6000] = 0x66;
	tables(0x11000, 0x12000, false);
	tables(0x13000, 0x14000, true);
	((uint64_t *)(memory + 0x10000))[0] = 0x11000 | PTE_P;
	pae(&s);
	/* Those in memory, when none are given. */
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS2, &s), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS2, &got), 0);
	assert_int_equal(got.flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	assert_int_equal(got.pdptrs[0], 0x11000 | PTE_P);
	run_to_out(0x10);
	assert_int_equal(run_to_out(0x11), 0x33);
	/* Given ones hold until CR3 is loaded, whatever memory says. */
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	s.pdptrs[0] = 0x13000 | PTE_P;
	s.pdptrs[1] = s.pdptrs[2] = s.pdptrs[3] = 0;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS2, &s), 0);
	set_regs(ENTRY, 0);
	run_to_out(0x10);
	assert_int_equal(run_to_out(0x11), 0x66);
	/* The older request loads them from memory. */
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &old), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &old), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS2, &got), 0);
	assert_int_equal(got.pdptrs[0], 0x11000 | PTE_P);
	s.flags = 2;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS2, &s), EINVAL);
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	s.cr0 &= ~(uint64_t)CR0_PG;
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_SREGS2, &s), EINVAL);
	guest16_end();
}

/* --- another CPU's TLB flush ------------------------------------------------------------- */

#define STEAL_TIME 0x4b564d03
#define AREA 0x7000u
#define PREEMPTED 16u		/* offset in struct kvm_steal_time */

/* The dword at 0x3000 to EAX; out %al, $0x11; again. */
static const unsigned char reads_again[] = { 0xa1, 0x00, 0x30, 0x00, 0x00, 0xe6, 0x11, 0xeb, 0xf7 };

/* While a CPU does not run, others ask for a flush in its steal time (PV TLB flush). */
static void test_pv_flush(void **state)
{
	uint64_t *pte;
	struct kvm_sregs2 s;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	memcpy(memory + ENTRY, reads_again, sizeof(reads_again));
	memory[0x3000] = 0x33;
	memory[0x6000] = 0x66;
	tables(0x11000, 0x12000, false);
	((uint64_t *)(memory + 0x10000))[0] = 0x11000 | PTE_P;
	pte = (uint64_t *)(memory + 0x12000) + 3;
	pae(&s);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS2, &s), 0);
	set_regs(ENTRY, 0);
	set_msr(STEAL_TIME, AREA | 1, 1);
	assert_int_equal(run_to_out(0x11), 0x33);
	assert_int_equal(memory[AREA + PREEMPTED], 1);
	*pte = 0x6003;
	memory[AREA + PREEMPTED] |= 2;
	assert_int_equal(run_to_out(0x11), 0x66);
	assert_int_equal(memory[AREA + PREEMPTED], 1);
	guest16_end();
}

/* --- extended state ------------------------------------------------------------------------ */

#define XMM0 160u		/* offsets in the XSAVE area */
#define XSTATE_BV 512u
#define XCOMP_BV 520u

CODE16(adds, "paddb %xmm0, %xmm0\n\t"
	     "out %al, $0x10");

static void test_xsave2(void **state)
{
	unsigned char *a, *b;
	struct kvm_sregs s;
	int size;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, adds);
	size = anykvm_ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	assert_true(size >= (int)sizeof(struct kvm_xsave));
	a = calloc(2, (size_t)size);
	b = a + size;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr4 |= 0x600;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_XSAVE2, a), 0);
	memset(a + XMM0, 0x21, 16);
	a[XSTATE_BV] |= 2;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, a), 0);
	run_to_out(0x10);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_XSAVE2, b), 0);
	memset(a + XMM0, 0x42, 16);
	assert_memory_equal(a + XMM0, b + XMM0, 16);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_XSAVE, a), 0);
	assert_memory_equal(a, b, sizeof(struct kvm_xsave));
	a[XCOMP_BV + 7] = 0x80;		/* the compacted format */
	assert_errno(anykvm_ioctl(cpu_fd, KVM_SET_XSAVE, a), EINVAL);
	assert_errno(anykvm_ioctl(cpu_fd, KVM_GET_XSAVE2, (void *)1), EFAULT);
	free(a);
	guest16_end();
}

/* --- the caller's own ------------------------------------------------------------------------- */

#define ROUND_UP 0x4000u	/* in MXCSR */

CODE16(changes, "fninit\n\t"
		"fld1\n\t"
		"movl $0x1f80, %es:0x3000\n\t"
		"ldmxcsr %es:0x3000\n\t"
		"out %al, $0x10");

static void test_control_words(void **state)
{
	const uint16_t single = 0x007f;		/* precision 24 bits */
	const uint32_t mxcsr = __builtin_ia32_stmxcsr();
	uint16_t fcw, env[14];
	struct kvm_sregs s;

	(void)state;
	guest16(CHIPS_NONE, NULL);
	PUT(ENTRY, changes);
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_GET_SREGS, &s), 0);
	s.cr4 |= 0x600;
	assert_int_equal(anykvm_ioctl(cpu_fd, KVM_SET_SREGS, &s), 0);
	__builtin_ia32_ldmxcsr(mxcsr | ROUND_UP);
	__asm__ volatile("fldcw %0" ::"m"(single));
	run_to_out(0x10);
	__asm__ volatile("fnstcw %0\n\tfnstenv %1\n\tfninit" : "=m"(fcw), "=m"(env));
	assert_int_equal(fcw, single);
	assert_int_equal(env[4], 0xffff);	/* the guest's 1.0 is not on our stack */
	assert_int_equal(__builtin_ia32_stmxcsr() & ROUND_UP, ROUND_UP);
	__builtin_ia32_ldmxcsr(mxcsr);
	guest16_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pdptrs),
		cmocka_unit_test(test_pv_flush),
		cmocka_unit_test(test_xsave2),
		cmocka_unit_test(test_control_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
