/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MSRs: every one of the index list is saved and restored, reserved bits and
 * addresses that are not canonical are refused, the TSC in its relations to
 * TSC_ADJUST and between vCPUs, MTRRs, machine checks, kvmclock's pages.
 */
#include "api.h"
#include "cpu/msr.h"
#include "cpu/state.h"

static struct vm *vm;
static struct vcpu *cpu, *other;

static int setup(void **state)
{
	struct kvm_cpuid_entry2 *e = calloc(256, sizeof(*e));
	int n = cpuid_supported(e, 256);

	if (setup_vm(state))
		return -1;
	vm = vm_create(NULL);
	return !vm || vm_create_vcpu(vm, 0, &cpu) || vm_create_vcpu(vm, 1, &other) || n < 0 ||
	       vcpu_set_cpuid(cpu, e, (u32)n);
}

static int teardown(void **state)
{
	close(cpu->fd);
	close(other->fd);
	vm_put(vm);
	vm_put(vm);
	vm_put(vm);
	return teardown_vm(state);
}

static u64 get(u32 index)
{
	u64 val = ~0ull;

	assert_int_equal(vcpu_get_msr(cpu, index, &val, false), 0);
	return val;
}

static int set(u32 index, u64 val)
{
	return vcpu_set_msr(cpu, index, val, false);
}

static void test_index_list(void **state)
{
	u32 count, i;
	const u32 *list = msr_index_list(&count);

	(void)state;
	for (i = 0; i < count; i++) {
		u64 val;

		assert_int_equal(vcpu_get_msr(cpu, list[i], &val, true), 0);
		if (vcpu_set_msr(cpu, list[i], val, true))
			fail_msg("MSR %#x does not take back %#llx", list[i],
				 (unsigned long long)val);
	}
}

static void test_unknown(void **state)
{
	u64 val;

	(void)state;
	assert_int_equal(vcpu_get_msr(cpu, 0xdeadbeef, &val, true), MSR_UNKNOWN);
	assert_int_equal(vcpu_set_msr(cpu, 0xdeadbeef, 0, true), MSR_UNKNOWN);
	assert_int_equal(vcpu_get_msr(cpu, 0x480, &val, false), MSR_UNKNOWN);	/* VMX */
	assert_int_equal(vcpu_get_msr(cpu, 0x38f, &val, false), MSR_UNKNOWN);	/* PMU */
	assert_int_equal(vcpu_get_msr(cpu, MSR_SMBASE, &val, false), 1);
	assert_int_equal(vcpu_get_msr(cpu, MSR_SMBASE, &val, true), 0);
	assert_int_equal(vcpu_get_msr(cpu, 0x802, &val, false), 1);	/* no APIC here */
}

static void test_plain(void **state)
{
	static const u32 addresses[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_GS_BASE,
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		assert_int_equal(set(addresses[i], 0xffff800000000123ull), 0);
		assert_true(get(addresses[i]) == 0xffff800000000123ull);
		assert_int_equal(set(addresses[i], 0x0000800000000000ull), 1);
		assert_int_equal(set(addresses[i], 0x0123456789abcdefull), 1);
		assert_true(get(addresses[i]) == 0xffff800000000123ull);
	}
	assert_true(cpu->seg[SEG_FS].base == 0xffff800000000123ull);
	assert_int_equal(set(MSR_SYSENTER_EIP, 0x0000ff0000000001ull), 0);
	assert_true(get(MSR_SYSENTER_EIP) == 0xffffff0000000001ull);
	assert_int_equal(set(MSR_SFMASK, 1ull << 32), 1);
	assert_int_equal(set(MSR_PAT, 0x0007040600070406ull), 0);
	assert_int_equal(set(MSR_PAT, 0x0007040600070402ull), 1);
	assert_int_equal(set(MSR_PAT, 0x0807040600070406ull), 1);
}

static void test_efer(void **state)
{
	(void)state;
	assert_int_equal(set(MSR_EFER, X86_EFER_SCE | X86_EFER_LME | X86_EFER_NX), 0);
	assert_int_equal(set(MSR_EFER, BIT64(12)), 1);		/* SVME */
	assert_int_equal(set(MSR_EFER, BIT64(15)), 1);
	assert_int_equal(set(MSR_EFER, X86_EFER_LMA), 0);
	assert_int_equal(get(MSR_EFER), 0);			/* LMA is not written */
	cpu->cr0 |= X86_CR0_PG | X86_CR0_PE;
	assert_int_equal(set(MSR_EFER, X86_EFER_LME), 1);
	assert_int_equal(vcpu_set_msr(cpu, MSR_EFER, X86_EFER_LME, true), 0);
}

/* --- time ----------------------------------------------------------------------------- */

static bool near(u64 a, u64 b)
{
	return a - b + (1ull << 33) < (1ull << 34);
}

static void test_tsc(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_TSC_ADJUST), 0);
	/* The guest's writes of one show in the other. */
	assert_int_equal(set(MSR_TSC, 1ull << 50), 0);
	assert_true(near(get(MSR_TSC), 1ull << 50));
	assert_true(near(get(MSR_TSC_ADJUST), 1ull << 50));
	assert_int_equal(set(MSR_TSC_ADJUST, 1ull << 51), 0);
	assert_true(near(get(MSR_TSC), 1ull << 51));
	/* User space's do not. */
	assert_int_equal(vcpu_set_msr(cpu, MSR_TSC_ADJUST, 5, true), 0);
	assert_true(near(get(MSR_TSC), 1ull << 51));
	assert_int_equal(vcpu_set_msr(cpu, MSR_TSC, 1ull << 52, true), 0);
	assert_int_equal(get(MSR_TSC_ADJUST), 5);
	/* The same value, told to two vCPUs in turn: one offset. */
	usleep(1000);
	assert_int_equal(vcpu_set_msr(other, MSR_TSC, 1ull << 52, true), 0);
	assert_true(cpu->tsc_offset == other->tsc_offset);
	assert_int_equal(vcpu_set_msr(other, MSR_TSC, 1ull << 55, true), 0);
	assert_false(cpu->tsc_offset == other->tsc_offset);
}

static void test_tsc_rate(void **state)
{
	u32 host = host_tsc_khz();
	u64 a, b, t;

	(void)state;
	assert_int_equal(vcpu_set_tsc_khz(cpu, host / 2), 0);
	assert_int_equal(cpu->tsc_khz, host / 2);
	vcpu_write_tsc_guest(cpu, 0);
	a = vcpu_guest_tsc(cpu);
	t = host_rdtsc();
	usleep(20000);
	b = vcpu_guest_tsc(cpu);
	t = host_rdtsc() - t;
	assert_true((b - a) * 2 > t - t / 50 && (b - a) * 2 < t + t / 50);
	/* There and back again. */
	t = vcpu_guest_to_host_tsc(cpu, b);
	assert_true(tsc_scale(t, cpu->tsc_scale) + cpu->tsc_offset - b + 2 < 4);
	assert_int_equal(vcpu_set_tsc_khz(cpu, 0), 0);
	assert_int_equal(cpu->tsc_khz, host);
	assert_true(cpu->tsc_scale == TSC_SCALE_ONE);
}

static u64 kvmclock_read(const u8 *page, u64 tsc)
{
	u64 stamp, time, delta;
	u32 mul;
	s8 shift = (s8)page[28];

	memcpy(&stamp, page + 8, 8);
	memcpy(&time, page + 16, 8);
	memcpy(&mul, page + 24, 4);
	delta = tsc - stamp;
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return time + (u64)((u128)delta * mul >> 32);
}

static void test_kvmclock(void **state)
{
	struct kvm_userspace_memory_region r = { 0, 0, 0, MEMORY, (u64)memory };
	u32 version, wall[3];
	u64 guest, host;

	(void)state;
	assert_int_equal(vm_set_memory_region(vm, &r), 0);
	assert_int_equal(set(MSR_KVM_SYSTEM_TIME_NEW, 0x2000 | 1), 0);
	memcpy(&version, memory + 0x2000, 4);
	assert_int_equal(version, 2);
	assert_int_equal(memory[0x2000 + 29], 1);	/* stable */
	host = pvclock_now(vm);
	guest = kvmclock_read(memory + 0x2000, vcpu_guest_tsc(cpu));
	assert_true(guest >= host && guest < host + 50000000);
	/* Both vCPUs read one clock. */
	assert_int_equal(vcpu_set_msr(other, MSR_KVM_SYSTEM_TIME, 0x2100 | 1, false), 0);
	host = kvmclock_read(memory + 0x2100, vcpu_guest_tsc(other));
	assert_true(host >= guest && host < guest + 50000000);
	assert_int_equal(set(MSR_KVM_WALL_CLOCK_NEW, 0x3000), 0);
	memcpy(wall, memory + 0x3000, 12);
	assert_int_equal(wall[0], 2);
	host = host_realtime_ns();
	guest = wall[1] * 1000000000ull + wall[2] + pvclock_now(vm);
	assert_true(guest - host + 50000000 < 100000000);
	/* A page that is not there harms nobody. */
	assert_int_equal(set(MSR_KVM_SYSTEM_TIME_NEW, 0xfffffffffffffff1ull), 0);
	assert_int_equal(set(MSR_KVM_WALL_CLOCK_NEW, 0xfffffffffffffff0ull), 0);
	assert_int_equal(set(MSR_KVM_STEAL_TIME, 0), 0);
}

/* --- the rest ---------------------------------------------------------------------------- */

static void test_mtrr(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_MTRR_CAP), 0x508);
	assert_int_equal(set(MSR_MTRR_CAP, 0), 1);
	assert_int_equal(set(0x200, 0xc0000006), 0);
	assert_int_equal(get(0x200), 0xc0000006);
	assert_int_equal(set(0x200, 0xc0000002), 1);
	assert_int_equal(set(0x200, 1ull << 50), 1);
	assert_int_equal(set(0x201, 0xc0000800), 0);
	assert_int_equal(set(0x201, 0xc0000001), 1);
	assert_int_equal(set(0x210, 0), 1);
	assert_int_equal(set(0x250, 0x0606060606060606ull), 0);
	assert_int_equal(set(0x250, 0x0206060606060606ull), 1);
	assert_int_equal(set(0x2ff, 0xc06), 0);
	assert_int_equal(set(0x2ff, 0x1c06), 1);
	assert_int_equal(set(0x2ff, 0x2), 1);
	assert_int_equal(set(0x251, 0), 1);
}

static void test_machine_check(void **state)
{
	struct kvm_x86_mce m = { .status = BIT64(63) | BIT64(61) | BIT64(57), .bank = 1,
				 .addr = 0x1234 };

	(void)state;
	assert_int_equal(vcpu_setup_mce(cpu, 0), -EINVAL);
	assert_int_equal(vcpu_setup_mce(cpu, 33), -EINVAL);
	assert_int_equal(vcpu_setup_mce(cpu, BIT64(40) | 10), -EINVAL);
	assert_int_equal(vcpu_setup_mce(cpu, MCG_CTL_P | 10), 0);
	assert_int_equal(get(MSR_MCG_CAP), MCG_CTL_P | 10);
	assert_true(get(MSR_MCG_CTL) == ~0ull && get(MSR_MC0_CTL + 36) == ~0ull);
	assert_int_equal(set(MSR_MC0_CTL + 40, 0), 1);
	assert_int_equal(set(MSR_MC0_CTL, 5), 1);
	assert_int_equal(set(MSR_MC0_CTL + 1, 1), 1);
	assert_int_equal(set(MSR_MC0_CTL + 1, 0), 0);
	assert_int_equal(set(MSR_MC0_CTL2, 1), 1);		/* no CMCI */
	m.bank = 10;
	assert_int_equal(vcpu_set_mce(cpu, &m), -EINVAL);
	m.bank = 1;
	assert_int_equal(vcpu_set_mce(cpu, &m), 0);
	assert_true(cpu->triple_fault);				/* CR4.MCE is clear */
	cpu->triple_fault = false;
	cpu->cr4 = X86_CR4_MCE;
	assert_int_equal(vcpu_set_mce(cpu, &m), 0);
	assert_true(cpu->exc.pending && cpu->exc.vector == EXC_MC);
	assert_true(get(MSR_MC0_CTL + 6) == 0x1234);
}

static void test_rules(void **state)
{
	u64 val;

	(void)state;
	assert_int_equal(set(MSR_APIC_BASE, 0xfee00000 | BIT64(10)), 1);
	assert_int_equal(set(MSR_APIC_BASE, 0xfee00000 | BIT64(11) | 1), 1);
	assert_int_equal(set(MSR_XSS, 1), 1);
	assert_int_equal(set(MSR_MISC_FEATURES, 1), 1);
	assert_int_equal(set(MSR_PLATFORM_INFO, 0), 1);
	assert_int_equal(set(MSR_UCODE_REV, 5), 0);
	assert_int_equal(get(MSR_UCODE_REV), 0);
	assert_int_equal(vcpu_set_msr(cpu, MSR_UCODE_REV, 5, true), 0);
	assert_int_equal(get(MSR_UCODE_REV), 5);
	assert_int_equal(set(MSR_HWCR, 8), 0);
	assert_int_equal(set(MSR_HWCR, 1), 1);
	vm->platform_info_hidden = true;
	assert_int_equal(vcpu_get_msr(cpu, MSR_PLATFORM_INFO, &val, false), 1);
	assert_int_equal(vcpu_get_msr(cpu, MSR_PLATFORM_INFO, &val, true), 0);
	assert_int_equal(set(MSR_MISC_ENABLE, get(MSR_MISC_ENABLE) ^ BIT64(11)), 1);
	assert_int_equal(set(MSR_MISC_ENABLE, get(MSR_MISC_ENABLE) ^ BIT64(0)), 0);
}

/* Neither reading nor writing any register of the first ranges does harm. */
static void test_sweep(void **state)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000, 0xc0011000, 0x4b564d00 };
	u32 b, i;

	(void)state;
	for (b = 0; b < ARRAY_SIZE(bases); b++) {
		for (i = 0; i < 0x1000; i++) {
			u64 val = 0;

			if (!vcpu_get_msr(cpu, bases[b] + i, &val, false))
				set(bases[b] + i, val);
			set(bases[b] + i, ~0ull);
			set(bases[b] + i, 0x5555555555555555ull);
		}
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_index_list),
		T(test_unknown),
		T(test_plain),
		T(test_efer),
		T(test_tsc),
		T(test_tsc_rate),
		T(test_kvmclock),
		T(test_mtrr),
		T(test_machine_check),
		T(test_rules),
		T(test_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
