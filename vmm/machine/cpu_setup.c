/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A CPU's registers before its first instruction. With firmware that is the
 * state after a reset, which vCPUs are made in. Without, the boot processor
 * starts in the entry state of struct boot_entry, and the MSRs and the local
 * APIC's pins are as firmware leaves them. The others wait for INIT and SIPI.
 */
#include <string.h>

#include "../error.h"
#include "vcpu.h"

#define CR0_PE (1 << 0)
#define CR0_ET (1 << 4)
#define RFLAGS_ONE (1 << 1)

#define MSR_MISC_ENABLE 0x1a0
#define MISC_FAST_STRINGS 1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE_WB 0x806	/* all memory is write-back */
#define MSR_HWCR 0xc0010015
#define HWCR_TSC_FREQ_SEL (1 << 24)	/* AMD: the TSC counts at the P0 frequency */

#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LVT_EXTINT 0x700
#define LVT_NMI 0x400

static int failed(const struct vcpu *v, const char *what, int err)
{
	return error("cannot set the %s of CPU %u: %s", what, v->id, strerror(-err));
}

static struct kvm_segment flat(u16 selector, u8 type)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = type,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
}

static int set_boot_registers(struct vcpu *v)
{
	const struct boot_entry *e = &v->m->entry;
	struct kvm_regs regs = {
		.rip = e->eip,
		.rbx = e->ebx,
		.rsi = e->esi,
		.rflags = RFLAGS_ONE,
	};
	struct kvm_sregs s;
	int err = kvm_ioctl(v->m->kvm, v->fd, KVM_GET_SREGS, &s);

	if (err < 0)
		return failed(v, "system registers", err);
	s.cs = flat(e->cs, 0xb);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(e->ds, 0x3);
	s.tr = (struct kvm_segment){
		.selector = e->tr, .limit = 0x67, .type = 0xb, .present = 1,
	};
	s.ldt = (struct kvm_segment){ .unusable = 1, .type = 2 };
	s.gdt.base = BOOT_GDT;
	s.gdt.limit = 5 * 8 - 1;
	s.idt.base = 0;
	s.idt.limit = 0;
	s.cr0 = CR0_PE | CR0_ET;
	s.cr3 = s.cr4 = s.cr8 = s.efer = 0;
	err = kvm_ioctl(v->m->kvm, v->fd, KVM_SET_SREGS, &s);
	if (err < 0)
		return failed(v, "system registers", err);
	err = kvm_ioctl(v->m->kvm, v->fd, KVM_SET_REGS, &regs);
	return err < 0 ? failed(v, "registers", err) : 0;
}

/* An engine may lack one of these; the guest then sets it itself. */
static void set_msrs(struct vcpu *v)
{
	static const struct kvm_msr_entry entry[] = {
		{ .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRINGS },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB },
		{ .index = MSR_HWCR, .data = HWCR_TSC_FREQ_SEL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(entry); i++) {
		union {
			struct kvm_msrs m;
			u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
		} one = { .m.nmsrs = 1 };

		memcpy(one.room + sizeof(struct kvm_msrs), &entry[i], sizeof(entry[i]));
		kvm_ioctl(v->m->kvm, v->fd, KVM_SET_MSRS, &one);
	}
}

static int set_lapic(struct vcpu *v)
{
	const u32 lint0 = LVT_EXTINT, lint1 = LVT_NMI;
	struct kvm_lapic_state s;
	int err = kvm_ioctl(v->m->kvm, v->fd, KVM_GET_LAPIC, &s);

	if (err < 0)
		return failed(v, "local APIC", err);
	if (v->id == 0)
		memcpy(s.regs + LAPIC_LVT_LINT0, &lint0, 4);
	memcpy(s.regs + LAPIC_LVT_LINT1, &lint1, 4);
	err = kvm_ioctl(v->m->kvm, v->fd, KVM_SET_LAPIC, &s);
	return err < 0 ? failed(v, "local APIC", err) : 0;
}

int cpu_setup(struct vcpu *v)
{
	struct kvm_mp_state mp = {
		v->id == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED,
	};
	int err;

	if (v->m->config->boot.kernel) {
		set_msrs(v);
		if (set_lapic(v) < 0 || (v->id == 0 && set_boot_registers(v) < 0))
			return -1;
	}
	err = kvm_ioctl(v->m->kvm, v->fd, KVM_SET_MP_STATE, &mp);
	return err < 0 ? failed(v, "state", err) : 0;
}
