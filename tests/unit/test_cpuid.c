/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPUID: what KVM_GET_SUPPORTED_CPUID offers and must not offer, how a guest's
 * leaves are looked up, and the bits that follow its control registers.
 */
#include "api.h"
#include "cpu/state.h"

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 e[256];
} c;

static struct vm *vm;
static struct vcpu *cpu;

static int setup(void **state)
{
	if (setup_vm(state))
		return -1;
	memset(&c, 0, sizeof(c));
	c.head.nent = 256;
	vm = vm_create(NULL);
	return !vm || vm_create_vcpu(vm, 0, &cpu) ||
	       anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, &c);
}

static int teardown(void **state)
{
	close(cpu->fd);
	vm_put(vm);	/* the vCPU's */
	vm_put(vm);
	return teardown_vm(state);
}

static struct kvm_cpuid_entry2 *leaf(u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < c.head.nent; i++)
		if (c.e[i].function == function && c.e[i].index == index)
			return &c.e[i];
	return NULL;
}

static int install(void)
{
	struct kvm_cpuid_entry2 *copy = malloc(sizeof(c.e));
	int r;

	memcpy(copy, c.e, sizeof(c.e));
	r = vcpu_set_cpuid(cpu, copy, c.head.nent);
	if (r)
		free(copy);
	return r;
}

/* --- what is offered ------------------------------------------------------------------ */

static void test_hidden(void **state)
{
	(void)state;
	/* MONITOR VMX SMX EST TM2 PDCM OSXSAVE; HTT and debug store */
	assert_int_equal(leaf(1, 0)->ecx & (BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(15) |
					    BIT(27)), 0);
	assert_int_equal(leaf(1, 0)->edx & (BIT(21) | BIT(28)), 0);
	/* SGX HLE RTM MPX PT; PKU OSPKE WAITPKG CET-SS KeyLocker LA57 ENQCMD SGX-LC */
	assert_int_equal(leaf(7, 0)->ebx & (BIT(2) | BIT(4) | BIT(11) | BIT(14) | BIT(25)), 0);
	assert_int_equal(leaf(7, 0)->ecx & (BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(23) |
					    BIT(29) | BIT(30)), 0);
	/* UINTR RTM-abort CET-IBT AMX */
	assert_int_equal(leaf(7, 0)->edx & (BIT(5) | BIT(11) | BIT(20) | BIT(22) | BIT(24) |
					    BIT(25)), 0);
	assert_null(leaf(0xa, 0));
	assert_null(leaf(5, 0));
	assert_null(leaf(0x12, 0));
	/* SVM IBS PERFCTR */
	assert_int_equal(leaf(0x80000001, 0)->ecx & (BIT(2) | BIT(10) | BIT(23) | BIT(28)), 0);
	assert_null(leaf(0x8000000a, 0));
	/* No component beyond AVX-512: no PKRU, no tiles. */
	assert_int_equal(leaf(0xd, 0)->eax & ~0xe7u, 0);
	assert_int_equal(leaf(0xd, 0)->edx, 0);
	assert_int_equal(leaf(0xd, 1)->ecx | leaf(0xd, 1)->edx, 0);
}

static void test_offered(void **state)
{
	(void)state;
	/* PCID x2APIC hypervisor; the TSC deadline needs an APIC of ours */
	assert_int_equal(~leaf(1, 0)->ecx & (BIT(17) | BIT(21) | BIT(31)), 0);
	assert_int_equal(leaf(1, 0)->ecx & BIT(24), 0);
	/* FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 */
	assert_int_equal(~leaf(1, 0)->edx & 0x0003fbff, 0);
	assert_int_equal(~leaf(7, 0)->ebx & (BIT(0) | BIT(1) | BIT(7) | BIT(10) | BIT(20)), 0);
	assert_int_equal(~leaf(7, 0)->ecx & BIT(2), 0);
	assert_int_equal(~leaf(0x80000001, 0)->edx & (BIT(20) | BIT(26) | BIT(27) |
						      BIT(29)), 0);
	assert_int_equal(leaf(0x80000008, 0)->eax & 0xffff, 48 | 48 << 8);
	assert_int_equal(leaf(6, 0)->eax, 4);
	assert_true(supported_has(FEAT_PCID) && supported_has(FEAT_NX));
	assert_false(supported_has(FEATURE(1, 0, CPUID_ECX, 5)));
}

static void test_xsave_sizes(void **state)
{
	struct kvm_cpuid_entry2 *e;
	u32 end = 576, i;

	(void)state;
	for (i = 2; i < 63; i++) {
		e = leaf(0xd, i);
		if (e && e->ebx + e->eax > end)
			end = e->ebx + e->eax;
	}
	assert_int_equal(leaf(0xd, 0)->ebx, end);
	assert_int_equal(leaf(0xd, 0)->ecx, end);
	assert_true(end <= 4096);
	assert_int_equal(xsave_size(3, false), 576);
	assert_int_equal(xsave_size(3, true), 576);
}

static void test_hypervisor_leaves(void **state)
{
	struct kvm_cpuid_entry2 *e = leaf(0x40000000, 0);

	(void)state;
	assert_memory_equal(&e->ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(e->eax, 0x40000001);
	/*
	 * The clock, its stable bit, no delay for port accesses; EOI, unhalt, TLB
	 * flush, IPI, poll control, yield; page faults; perhaps steal time.
	 */
	assert_int_equal(leaf(0x40000001, 0)->eax & ~BIT(5),
			 BIT(0) | BIT(1) | BIT(3) | BIT(24) | BIT(6) | BIT(7) | BIT(9) | BIT(11) |
			 BIT(12) | BIT(13) | BIT(4) | BIT(10) | BIT(14));
}

static void test_room(void **state)
{
	u32 all = c.head.nent, n;

	(void)state;
	assert_true(all < 80);
	for (n = 1; n < all; n++) {
		c.head.nent = n;
		assert_errno(anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, &c), E2BIG);
	}
	c.head.nent = all;
	assert_int_equal(anykvm_ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, &c), 0);
	assert_int_equal(c.head.nent, all);
}

/* --- the guest's ---------------------------------------------------------------------- */

static void test_lookup(void **state)
{
	u32 out[4];

	(void)state;
	vcpu_cpuid(cpu, 0, 0, out);
	assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
	assert_int_equal(install(), 0);
	vcpu_cpuid(cpu, 0x40000000, 5, out);
	assert_int_equal(out[1], 0x4b4d564b);
	vcpu_cpuid(cpu, 7, 1, out);
	assert_int_equal(out[0], leaf(7, 1) ? leaf(7, 1)->eax : 0);
	vcpu_cpuid(cpu, 7, 99, out);
	assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
}

/* Past the last leaf: AMD gives zeroes, Intel its last basic leaf. */
static void test_out_of_range(void **state)
{
	struct kvm_cpuid_entry2 *copy = calloc(3, sizeof(*copy));
	u32 out[4];

	(void)state;
	copy[0].eax = 2;
	memcpy(&copy[0].ebx, "Genu", 4);
	memcpy(&copy[0].edx, "ineI", 4);
	memcpy(&copy[0].ecx, "ntel", 4);
	copy[1].function = 2;
	copy[1].eax = 0x1234;
	copy[2].function = 0x80000000;
	copy[2].eax = 0x80000008;
	assert_int_equal(vcpu_set_cpuid(cpu, copy, 3), 0);
	assert_false(vcpu_is_amd(cpu));
	vcpu_cpuid(cpu, 1, 0, out);
	assert_int_equal(out[0], 0);
	vcpu_cpuid(cpu, 77, 0, out);
	assert_int_equal(out[0], 0x1234);
	vcpu_cpuid(cpu, 0x80000007, 0, out);
	assert_int_equal(out[0], 0);
	vcpu_cpuid(cpu, 0x80001234, 0, out);
	assert_int_equal(out[0], 0x1234);
	memcpy(&copy[0].ebx, "Auth", 4);
	memcpy(&copy[0].edx, "enti", 4);
	memcpy(&copy[0].ecx, "cAMD", 4);
	assert_true(vcpu_is_amd(cpu));
	vcpu_cpuid(cpu, 77, 0, out);
	assert_int_equal(out[0], 0);
}

static void test_dynamic_bits(void **state)
{
	u32 out[4];

	(void)state;
	if (!(leaf(1, 0)->ecx & BIT(26)))
		skip();
	assert_int_equal(install(), 0);
	vcpu_cpuid(cpu, 1, 0, out);
	assert_int_equal(out[2] & BIT(27), 0);
	assert_true(out[3] & BIT(9));
	assert_int_equal(vcpu_set_cr4(cpu, X86_CR4_OSXSAVE), 0);
	vcpu_cpuid(cpu, 1, 0, out);
	assert_true(out[2] & BIT(27));
	vcpu_cpuid(cpu, 0xd, 0, out);
	assert_int_equal(out[1], 576);
	assert_int_equal(vcpu_set_xcr0(cpu, 7), 0);
	vcpu_cpuid(cpu, 0xd, 0, out);
	assert_int_equal(out[1], xsave_size(7, false));
	assert_int_equal(vcpu_set_xcr0(cpu, 2), EXC_GP);
	assert_int_equal(vcpu_set_xcr0(cpu, 5), EXC_GP);
	assert_int_equal(vcpu_set_xcr0(cpu, 0x27), EXC_GP);
	assert_int_equal(vcpu_set_xcr0(cpu, 0x207), EXC_GP);
	assert_int_equal(vcpu_set_apic_base(cpu, 0xfee00000, true), 0);
	vcpu_cpuid(cpu, 1, 0, out);
	assert_int_equal(out[3] & BIT(9), 0);
}

/* What CPUID lacks may not be switched on. */
static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(vcpu_set_cr4(cpu, X86_CR4_SMEP), 0);
	assert_int_equal(vcpu_set_cr4(cpu, 0), 0);
	leaf(7, 0)->ebx &= ~BIT(7);
	leaf(0x80000001, 0)->edx &= ~(BIT(20) | BIT(29));
	leaf(0x80000008, 0)->eax = 40 | 48 << 8;
	assert_int_equal(install(), 0);
	assert_int_equal(vcpu_set_cr4(cpu, X86_CR4_SMEP), EXC_GP);
	assert_int_equal(vcpu_set_efer(cpu, X86_EFER_NX), EXC_GP);
	assert_int_equal(vcpu_set_efer(cpu, X86_EFER_LME), EXC_GP);
	assert_int_equal(vcpu_set_efer(cpu, X86_EFER_SCE), 0);
	assert_int_equal(vcpu_set_cr3(cpu, 1ull << 40), EXC_GP);
	assert_int_equal(vcpu_set_cr3(cpu, 1ull << 39), 0);
}

/* After the first KVM_RUN only the same again. */
static void test_settled(void **state)
{
	(void)state;
	leaf(0x80000008, 0)->eax = 48 | 52 << 8;
	assert_int_equal(install(), -EINVAL);
	leaf(0x80000008, 0)->eax = 48 | 48 << 8;
	assert_int_equal(install(), 0);
	cpu->has_run = true;
	assert_int_equal(install(), 0);
	leaf(1, 0)->ecx ^= 1;
	assert_int_equal(install(), -EINVAL);
	leaf(1, 0)->ecx ^= 1;
	c.head.nent--;
	assert_int_equal(install(), -EINVAL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hidden),
		T(test_offered),
		T(test_xsave_sizes),
		T(test_hypervisor_leaves),
		T(test_room),
		T(test_lookup),
		T(test_out_of_range),
		T(test_dynamic_bits),
		T(test_limits),
		T(test_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
