/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv/irq/ beside the kernel's own irqchip: the same random lines, MSIs and
 * states are given to both, and after every step the PICs, the IOAPIC, all
 * LAPICs and the results must be equal. No guest runs. Skipped where there is
 * no /dev/kvm.
 *
 * Left out are the cases in which this code differs from KVM on purpose: a
 * level interrupt that no CPU matches leaves remote IRR clear, a lowest-
 * priority message is never given to a disabled or missing CPU while there is
 * another, and GSI 8, whose coalescing KVM tracks by EOI.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "irq_fake.h"

#define CPUS 4
#define STEPS 4000

/* PPR and the timer's count are computed when asked for. */
#define VOLATILE_REG(off) ((off) == APIC_PPR || (off) == APIC_TMCCT)

struct mode {
	bool x2apic;
	u32 x2apic_api;		/* argument of KVM_CAP_X2APIC_API, 0: not used */
	bool lowest;		/* lowest priority, with every CPU enabled; or neither */
};

static int kvm_fd, vm_fd, vcpu_fd[CPUS];
static struct vm *vm;
static u32 step;
static u64 seed;

static u32 rnd(u32 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 16) % below;
}

static void equal(const char *what, u32 where, u64 kvm, u64 mine)
{
	if (kvm == mine)
		return;
	fail_msg("step %u: %s %#x: KVM %#llx, here %#llx", step, what, where,
		 (unsigned long long)kvm, (unsigned long long)mine);
}

static u32 reg(const struct kvm_lapic_state *s, u32 off)
{
	u32 val;

	memcpy(&val, s->regs + off, 4);
	return val;
}

static void put(struct kvm_lapic_state *s, u32 off, u32 val)
{
	memcpy(s->regs + off, &val, 4);
}

static void get_both(u32 id, struct kvm_irqchip *kvm, struct kvm_irqchip *mine)
{
	memset(kvm, 0, sizeof(*kvm));
	memset(mine, 0, sizeof(*mine));
	kvm->chip_id = mine->chip_id = id;
	assert_int_equal(ioctl(vm_fd, KVM_GET_IRQCHIP, kvm), 0);
	assert_int_equal(irqchip_get(vm, mine), 0);
}

static void set_both(struct kvm_irqchip *chip)
{
	struct kvm_irqchip copy = *chip;

	assert_int_equal(ioctl(vm_fd, KVM_SET_IRQCHIP, chip), 0);
	assert_int_equal(irqchip_set(vm, &copy), 0);
}

static void compare_lapic(u32 cpu)
{
	struct kvm_lapic_state kvm, mine;
	u32 off;

	assert_int_equal(ioctl(vcpu_fd[cpu], KVM_GET_LAPIC, &kvm), 0);
	assert_int_equal(lapic_get_state(vm->vcpus[cpu], &mine), 0);
	for (off = 0; off < KVM_APIC_REG_SIZE; off += 16)
		if (!VOLATILE_REG(off))
			equal("LAPIC", cpu << 12 | off, reg(&kvm, off), reg(&mine, off));
}

static void compare(void)
{
	struct kvm_irqchip kvm, mine;
	u32 id, i;

	for (id = 0; id < 2; id++) {
		get_both(id, &kvm, &mine);
		for (i = 0; i < sizeof(kvm.chip.pic); i++)
			equal("PIC", id << 8 | i, ((u8 *)&kvm.chip.pic)[i],
			      ((u8 *)&mine.chip.pic)[i]);
	}
	get_both(KVM_IRQCHIP_IOAPIC, &kvm, &mine);
	equal("IOAPIC irr", 0, kvm.chip.ioapic.irr, mine.chip.ioapic.irr);
	equal("IOAPIC id", 0, kvm.chip.ioapic.id, mine.chip.ioapic.id);
	equal("IOAPIC base", 0, kvm.chip.ioapic.base_address, mine.chip.ioapic.base_address);
	for (i = 0; i < IOAPIC_PINS; i++)
		equal("IOAPIC pin", i, kvm.chip.ioapic.redirtbl[i].bits,
		      mine.chip.ioapic.redirtbl[i].bits);
	for (i = 0; i < CPUS; i++)
		compare_lapic(i);
}

/* --- steps ------------------------------------------------------------------------- */

/* "Nobody" is -1 or 0 in KVM, by how it looked. */
static void equal_result(const char *what, u32 where, int kvm, int mine)
{
	if (mine != 0 || kvm > 0)
		equal(what, where, (u32)kvm, (u32)mine);
}

static void step_line(void)
{
	struct kvm_irq_level l;
	u32 gsi = rnd(25), level = rnd(2);

	if (gsi == 8)
		return;
	l.irq = gsi;
	l.level = level;
	assert_int_equal(ioctl(vm_fd, KVM_IRQ_LINE_STATUS, &l), 0);
	equal_result("line", gsi, l.status, irq_set_gsi(vm, gsi, (int)level));
}

static void step_ioapic(const struct mode *m)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	u64 e = (0x10 + rnd(0xe0)) | (u64)rnd(2) << 13 | (u64)(rnd(3) == 0) << 16;
	u32 dest = rnd(8) || (m->lowest && m->x2apic_api) ? rnd(CPUS) : 255;

	if (m->lowest) {
		e |= (u64)rnd(2) << 8;
		/* Logical only with somebody in it. */
		e |= (dest ? (u64)rnd(2) << 11 : 0) | (u64)rnd(2) << 15;
	}
	assert_int_equal(ioctl(vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.ioapic.redirtbl[rnd(IOAPIC_PINS)].bits = e | (u64)dest << 56;
	chip.chip.ioapic.ioregsel = rnd(256);
	chip.chip.ioapic.id = rnd(16);
	set_both(&chip);
}

static void step_pic(void)
{
	struct kvm_irqchip chip = { .chip_id = rnd(2) };

	assert_int_equal(ioctl(vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.pic.imr = rnd(256) & rnd(256);
	chip.chip.pic.isr = rnd(256) & rnd(256) & rnd(256);
	chip.chip.pic.elcr = rnd(256) & chip.chip.pic.elcr_mask;
	chip.chip.pic.priority_add = rnd(8);
	chip.chip.pic.special_fully_nested_mode = rnd(2);
	set_both(&chip);
}

static void step_msi(const struct mode *m)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000 | rnd(CPUS) << 12 | rnd(2) << 2 };
	int kvm;

	msi.data = (0x10 + rnd(0xf0)) | rnd(2) << 15;
	if (m->lowest) {
		msi.data |= rnd(2) << 8;
		msi.address_lo |= rnd(2) << 3;
	}
	if (!rnd(10) && !(m->lowest && m->x2apic_api))
		msi.address_lo = (msi.address_lo | 0xff000) & ~8u;
	if (m->x2apic_api && !rnd(8))
		msi.address_hi = rnd(3);
	kvm = ioctl(vm_fd, KVM_SIGNAL_MSI, &msi);
	equal_result("MSI", msi.address_lo, kvm < 0 ? -errno : kvm, irq_send_msi(vm, &msi));
}

static void step_lapic(const struct mode *m)
{
	u32 cpu = rnd(CPUS), off;
	struct kvm_lapic_state s, copy;

	assert_int_equal(ioctl(vcpu_fd[cpu], KVM_GET_LAPIC, &s), 0);
	for (off = 0; off < 0x80; off += 16) {
		put(&s, APIC_IRR + off, 0);
		put(&s, APIC_TMR + off, 0);
	}
	put(&s, APIC_TPR, rnd(256));
	put(&s, APIC_SPIV, m->lowest || rnd(5) ? 0x1ff : 0xff);
	if (!m->x2apic) {
		put(&s, APIC_LDR, m->lowest || rnd(3) ? 1u << (24 + cpu) :
				  (cpu / 2) << 28 | 1u << (24 + cpu % 2));
		put(&s, APIC_DFR, m->lowest || rnd(4) ? APIC_DFR_FLAT : APIC_DFR_CLUSTER);
	}
	copy = s;
	equal("KVM_SET_LAPIC", cpu, (u64)ioctl(vcpu_fd[cpu], KVM_SET_LAPIC, &s),
	      (u64)lapic_set_state(vm->vcpus[cpu], &copy));
}

static void one_step(const struct mode *m)
{
	switch (rnd(16)) {
	case 0: case 1:
		step_ioapic(m);
		break;
	case 2: case 3:
		step_pic();
		break;
	case 4: case 5:
		step_msi(m);
		break;
	case 6:
		step_lapic(m);
		break;
	default:
		step_line();
	}
}

/* --- both machines ------------------------------------------------------------------- */

static void enter_x2apic(u32 cpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid;
	struct kvm_sregs s;

	cpuid.head.nent = 256;
	assert_int_equal(ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid), 0);
	assert_int_equal(ioctl(vcpu_fd[cpu], KVM_SET_CPUID2, &cpuid), 0);
	assert_int_equal(ioctl(vcpu_fd[cpu], KVM_GET_SREGS, &s), 0);
	s.apic_base |= APIC_BASE_X2APIC | APIC_BASE_ENABLE;
	assert_int_equal(ioctl(vcpu_fd[cpu], KVM_SET_SREGS, &s), 0);
	assert_int_equal(lapic_set_base(vm->vcpus[cpu], s.apic_base, true), 0);
}

static void prepare(const struct mode *m)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { m->x2apic_api } };
	struct kvm_lapic_state s;
	u32 i;

	compare();
	for (i = 0; i < CPUS && m->x2apic; i++)
		enter_x2apic(i);
	if (m->x2apic_api) {
		assert_int_equal(ioctl(vm_fd, KVM_ENABLE_CAP, &cap), 0);
		vm->x2apic_api_32bit = m->x2apic_api & KVM_X2APIC_API_USE_32BIT_IDS;
		vm->x2apic_no_broadcast_quirk =
			m->x2apic_api & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	}
	compare();
	for (i = 0; i < CPUS; i++) {
		assert_int_equal(ioctl(vcpu_fd[i], KVM_GET_LAPIC, &s), 0);
		put(&s, APIC_SPIV, 0x1ff);
		if (!m->x2apic)
			put(&s, APIC_LDR, 1u << (24 + i));
		assert_int_equal(ioctl(vcpu_fd[i], KVM_SET_LAPIC, &s), 0);
		assert_int_equal(lapic_set_state(vm->vcpus[i], &s), 0);
	}
	compare();
}

static void test_beside(void **state)
{
	const struct mode *m = *state;
	u32 i;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		skip();
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0 || ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0))
		skip();
	for (i = 0; i < CPUS; i++) {
		vcpu_fd[i] = ioctl(vm_fd, KVM_CREATE_VCPU, i);
		assert_true(vcpu_fd[i] >= 0);
	}
	vm = fake_vm(CPUS);
	seed = 88172645463325252ull;
	step = 0;
	prepare(m);
	for (step = 1; step <= STEPS; step++) {
		one_step(m);
		compare();
	}
	fake_vm_free(vm);
	for (i = 0; i < CPUS; i++)
		close(vcpu_fd[i]);
	close(vm_fd);
	close(kvm_fd);
}

static struct mode modes[] = {
	{ false, 0, false }, { false, 0, true }, { true, 0, false }, { true, 0, true },
	{ true, 3, false }, { true, 3, true },
};

#define T(n, name) { name, test_beside, NULL, NULL, &modes[n] }

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(0, "xapic"), T(1, "xapic, lowest priority"), T(2, "x2apic"),
		T(3, "x2apic, lowest priority"), T(4, "x2apic api"),
		T(5, "x2apic api, lowest priority"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
