/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's CPUID: the entries that user space set (KVM_SET_CPUID2), looked
 * up as the processor answers (SDM vol. 2, CPUID; APM vol. 3 appendix E), and
 * the few bits of them that follow the guest's own control registers.
 */
#include <errno.h>

#include "state.h"

static struct kvm_cpuid_entry2 *find(struct vcpu *v, u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < v->cpuid_count; i++) {
		struct kvm_cpuid_entry2 *e = &v->cpuid[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf))
			return e;
	}
	return NULL;
}

const struct kvm_cpuid_entry2 *vcpu_cpuid_entry(struct vcpu *v, u32 leaf, u32 subleaf)
{
	return find(v, leaf, subleaf);
}

static u32 *entry_reg(struct kvm_cpuid_entry2 *e, u32 reg)
{
	switch (reg) {
	case CPUID_EAX:
		return &e->eax;
	case CPUID_EBX:
		return &e->ebx;
	case CPUID_ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

bool vcpu_has(struct vcpu *v, u64 f)
{
	struct kvm_cpuid_entry2 *e = find(v, (u32)(f >> 32), f >> 16 & 0xff);

	return e && *entry_reg(e, f >> 8 & 0xff) >> (f & 31) & 1;
}

static void change(struct vcpu *v, u64 f, bool on)
{
	struct kvm_cpuid_entry2 *e = find(v, (u32)(f >> 32), f >> 16 & 0xff);
	u32 *reg, bit = BIT(f & 31);

	if (!e)
		return;
	reg = entry_reg(e, f >> 8 & 0xff);
	*reg = on ? *reg | bit : *reg & ~bit;
}

static bool vendor_is(const struct kvm_cpuid_entry2 *e, u32 b, u32 d, u32 c)
{
	return e->ebx == b && e->edx == d && e->ecx == c;
}

bool vcpu_is_amd(struct vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = find(v, 0, 0);

	/* "AuthenticAMD", "HygonGenuine" */
	return e && (vendor_is(e, 0x68747541, 0x69746e65, 0x444d4163) ||
		     vendor_is(e, 0x6f677948, 0x6e65476e, 0x656e6975));
}

/* KVM's leaves are at the base that has its signature, which another interface may displace. */
bool vcpu_pv_has(struct vcpu *v, u32 feature)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base;

	if (!v->pv_enforce)
		return true;
	for (base = 0x40000000; base < 0x40010000; base += 0x100) {
		e = find(v, base, 0);
		if (!e || !vendor_is(e, 0x4b4d564b, 0x4d, 0x564b4d56))
			continue;
		e = find(v, base + 1, 0);
		return e && e->eax >> feature & 1;
	}
	return false;
}

u64 vcpu_reserved_gpa(struct vcpu *v)
{
	return v->cpuid_maxphyaddr < 64 ? ~0ull << v->cpuid_maxphyaddr : 0;
}

/*
 * Intel answers a leaf beyond the last of its class as the last basic leaf,
 * AMD with zeroes.
 */
static struct kvm_cpuid_entry2 *out_of_range(struct vcpu *v, u32 leaf, u32 subleaf)
{
	struct kvm_cpuid_entry2 *basic = find(v, 0, 0), *class;

	if (!basic || vcpu_is_amd(v))
		return NULL;
	if (leaf >> 28 == 4)
		class = find(v, leaf & 0xffffff00, 0);
	else if (leaf >= 0xc0000000)
		class = find(v, 0xc0000000, 0);
	else
		class = find(v, leaf & 0x80000000, 0);
	if (class && leaf <= class->eax)
		return NULL;
	return find(v, basic->eax, subleaf);
}

void vcpu_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
	const struct kvm_cpuid_entry2 *e = find(v, leaf, subleaf);

	if (!e)
		e = out_of_range(v, leaf, subleaf);
	out[0] = e ? e->eax : 0;
	out[1] = e ? e->ebx : 0;
	out[2] = e ? e->ecx : 0;
	out[3] = e ? e->edx : 0;
	if (!e && (leaf == 0xb || leaf == 0x1f)) {
		/* Levels past the last still tell the level and the x2APIC id. */
		e = find(v, leaf, 1);
		out[2] = e ? subleaf & 0xff : 0;
		out[3] = e ? e->edx : 0;
	}
}

void vcpu_cpuid_update(struct vcpu *v)
{
	struct kvm_cpuid_entry2 *e;

	if (!v->cpuid_count)
		return;
	change(v, FEAT_OSXSAVE, v->cr4 & X86_CR4_OSXSAVE);
	change(v, FEAT_APIC, v->apic_base & BIT(11));
	if (v->vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT)
		change(v, FEAT_PV_UNHALT, false);
	if (v->vm->disabled_quirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
		change(v, FEAT_MWAIT, v->misc_enable & BIT64(18));
	e = find(v, 0xd, 0);
	if (e)
		e->ebx = xsave_size(v->xcr0, false);
	e = find(v, 0xd, 1);
	if (e && (vcpu_has(v, FEAT_XSAVEC) || vcpu_has(v, FEAT_XSAVES)))
		e->ebx = xsave_size(v->xcr0 | v->xss, true);
}

static u64 max_phys_addr(struct vcpu *v)
{
	const struct kvm_cpuid_entry2 *e = find(v, 0x80000000, 0);

	e = e && e->eax >= 0x80000008 ? find(v, 0x80000008, 0) : NULL;
	return e ? e->eax & 0xff : 36;
}

static bool same(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b)
{
	return a->function == b->function && a->index == b->index && a->flags == b->flags &&
	       a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

/* After the first KVM_RUN only what is there already may be set again. */
static int check_unchanged(struct vcpu *v, const struct kvm_cpuid_entry2 *old, u32 count)
{
	u32 i;

	if (v->cpuid_count != count)
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (!same(&old[i], &v->cpuid[i]))
			return -EINVAL;
	return 0;
}

int vcpu_set_cpuid(struct vcpu *v, struct kvm_cpuid_entry2 *entries, u32 count)
{
	struct kvm_cpuid_entry2 *old = v->cpuid, *e;
	u32 old_count = v->cpuid_count, bits;
	int r = 0;

	v->cpuid = entries;
	v->cpuid_count = count;
	vcpu_cpuid_update(v);
	e = find(v, 0x80000008, 0);
	bits = e ? e->eax >> 8 & 0xff : 0;
	if (v->has_run)
		r = check_unchanged(v, old, old_count);
	else if (bits && bits != 48 && bits != 57)
		r = -EINVAL;
	if (r || v->has_run) {
		v->cpuid = old;
		v->cpuid_count = old_count;
		if (!r)
			host_free(entries);
		return r;
	}
	host_free(old);
	v->cpuid_set = true;
	v->cpuid_maxphyaddr = max_phys_addr(v);
	v->mode_stale = true;
	v->vm->engine->state_changed(v);
	return 0;
}
