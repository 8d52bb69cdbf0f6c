/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * KVM_GET_SUPPORTED_CPUID: the CPUID that a guest may be shown.
 *
 * Unprivileged computation runs as itself on the host, so those features are
 * the host's, as long as the translator can carry them. What the system side
 * of a processor offers (paging, SMEP, PCID, timers) is ours and does not
 * depend on the host. Everything that would need another ring or chip is
 * left out: virtualization, enclaves, transactions, performance counters,
 * protection keys, shadow stacks, tiles, MONITOR.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm_para.h>

#include "state.h"

#define B(n) BIT(n)
#define HYPERVISOR_LEAF 0x40000000u
#define LAST_BASIC 0x1fu
#define LAST_EXTENDED 0x80000021u

/* keep: host features to pass on. always: ours, whatever the host has. */
struct mask {
	u32 leaf, subleaf, reg, keep, always;
};

static const struct mask masks[] = {
	/* SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND;
	 * PCID x2APIC, and that there is a hypervisor. The TSC deadline is the caller's to add
	 * where the APIC is ours (KVM_CAP_TSC_DEADLINE_TIMER). */
	{ 1, 0, CPUID_ECX,
	  B(0) | B(1) | B(9) | B(12) | B(13) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) |
		  B(28) | B(29) | B(30),
	  B(17) | B(21) | B(31) },
	/* FPU..CX8, MMX FXSR SSE SSE2 self-snoop; VME DE PSE MSR PAE MCE APIC SEP MTRR PGE
	 * MCA PAT PSE36 */
	{ 1, 0, CPUID_EDX,
	  B(0) | B(4) | B(8) | B(15) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27),
	  B(1) | B(2) | B(3) | B(5) | B(6) | B(7) | B(9) | B(11) | B(12) | B(13) | B(14) | B(16) |
		  B(17) },
	/* BMI1 AVX2 FDP-on-exception BMI2 ERMS no-FCS/FDS AVX512F,DQ RDSEED ADX IFMA CLFLUSHOPT
	 * CLWB CD SHA BW VL; FSGSBASE TSC_ADJUST SMEP INVPCID SMAP */
	{ 7, 0, CPUID_EBX,
	  B(3) | B(5) | B(6) | B(8) | B(9) | B(13) | B(16) | B(17) | B(18) | B(19) | B(21) |
		  B(23) | B(24) | B(28) | B(29) | B(30) | B(31),
	  B(0) | B(1) | B(7) | B(10) | B(20) },
	/* VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI; UMIP */
	{ 7, 0, CPUID_ECX,
	  B(1) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(25) | B(27),
	  B(2) },
	/* FSRM VP2INTERSECT MD_CLEAR SERIALIZE AVX512-FP16, IBRS+IBPB STIBP SSBD */
	{ 7, 0, CPUID_EDX, B(4) | B(8) | B(10) | B(14) | B(23) | B(26) | B(27) | B(31), 0 },
	/* AVX-VNNI AVX512-BF16 */
	{ 7, 1, CPUID_EAX, B(4) | B(5), 0 },
	/* XSAVEOPT XSAVEC XGETBV1 XSAVES */
	{ 0xd, 1, CPUID_EAX, B(0) | B(1) | B(2) | B(3), 0 },
	/* LAHF CMP_LEGACY CR8 ABM SSE4A misaligned SSE 3DNow-prefetch OSVW XOP FMA4 TBM */
	{ 0x80000001, 0, CPUID_ECX,
	  B(0) | B(1) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(16) | B(21), 0 },
	/* As leaf 1, SYSCALL, MMX extensions, 3DNow; NX 1G-pages RDTSCP LM */
	{ 0x80000001, 0, CPUID_EDX,
	  B(0) | B(4) | B(8) | B(15) | B(22) | B(23) | B(24) | B(30) | B(31),
	  B(1) | B(2) | B(3) | B(5) | B(6) | B(7) | B(9) | B(11) | B(12) | B(13) | B(16) | B(17) |
		  B(20) | B(26) | B(27) | B(29) },
	/* CLZERO, error pointers are always saved, IBPB IBRS STIBP SSBD, no store bypass */
	{ 0x80000008, 0, CPUID_EBX, B(0) | B(2) | B(12) | B(14) | B(15) | B(24) | B(26), 0 },
	/* No nested data breakpoints, LFENCE serialises, null selectors clear the base, SRSO_NO;
	 * no SMM_CTL */
	{ 0x80000021, 0, CPUID_EAX, B(0) | B(2) | B(6) | B(29), B(9) },
};

/* Features that stand on a vector state that the host must have enabled. */
static const struct {
	u64 feature, needs;
} states[] = {
	{ FEATURE(1, 0, CPUID_ECX, 12), XF_AVX },	   /* FMA */
	{ FEATURE(1, 0, CPUID_ECX, 28), XF_AVX },	   /* AVX */
	{ FEATURE(1, 0, CPUID_ECX, 29), XF_AVX },	   /* F16C */
	{ FEATURE(7, 0, CPUID_EBX, 5), XF_AVX },	   /* AVX2 */
	{ FEATURE(7, 0, CPUID_ECX, 9), XF_AVX },	   /* VAES */
	{ FEATURE(7, 0, CPUID_ECX, 10), XF_AVX },	   /* VPCLMULQDQ */
	{ FEATURE(7, 1, CPUID_EAX, 4), XF_AVX },	   /* AVX-VNNI */
	{ FEATURE(0x80000001, 0, CPUID_ECX, 11), XF_AVX }, /* XOP */
	{ FEATURE(0x80000001, 0, CPUID_ECX, 16), XF_AVX }, /* FMA4 */
	{ FEATURE(7, 0, CPUID_EBX, 16), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EBX, 17), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EBX, 21), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EBX, 28), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EBX, 30), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EBX, 31), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_ECX, 1), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_ECX, 6), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_ECX, 11), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_ECX, 12), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_ECX, 14), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EDX, 8), XF_AVX512 },
	{ FEATURE(7, 0, CPUID_EDX, 23), XF_AVX512 },
	{ FEATURE(7, 1, CPUID_EAX, 5), XF_AVX512 },
};

static u32 *reg_of(struct kvm_cpuid_entry2 *e, u32 reg)
{
	return reg == CPUID_EAX ? &e->eax : reg == CPUID_EBX ? &e->ebx :
	       reg == CPUID_ECX ? &e->ecx : &e->edx;
}

static void apply_masks(struct kvm_cpuid_entry2 *e)
{
	u64 have = xsave_supported();
	u32 i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		const struct mask *m = &masks[i];
		u32 *reg = reg_of(e, m->reg);

		if (m->leaf == e->function && m->subleaf == e->index)
			*reg = (*reg & m->keep) | m->always;
	}
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		u64 f = states[i].feature;

		if ((u32)(f >> 32) == e->function && (f >> 16 & 0xff) == e->index &&
		    (have & states[i].needs) != states[i].needs)
			*reg_of(e, f >> 8 & 0xff) &= ~BIT(f & 31);
	}
}

/* --- building the list ---------------------------------------------------------- */

struct list {
	struct kvm_cpuid_entry2 *e;
	u32 count, max;
};

static bool indexed(u32 leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f ||
	       leaf == 0x8000001d;
}

static struct kvm_cpuid_entry2 *add(struct list *l, u32 leaf, u32 subleaf)
{
	struct kvm_cpuid_entry2 *e;

	if (l->count >= l->max)
		return NULL;
	e = &l->e[l->count++];
	host_memset(e, 0, sizeof(*e));
	e->function = leaf;
	e->index = subleaf;
	if (indexed(leaf))
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

static struct kvm_cpuid_entry2 *add_host(struct list *l, u32 leaf, u32 subleaf)
{
	struct kvm_cpuid_entry2 *e = add(l, leaf, subleaf);

	if (e)
		__cpuid_count(leaf, subleaf, e->eax, e->ebx, e->ecx, e->edx);
	return e;
}

/* Cache levels, until one of type "none". */
static int add_caches(struct list *l, u32 leaf)
{
	struct kvm_cpuid_entry2 *e;
	u32 i;

	for (i = 0; i < 16; i++) {
		e = add_host(l, leaf, i);
		if (!e)
			return -E2BIG;
		if (!(e->eax & 0x1f))
			break;
	}
	return 0;
}

static int add_features(struct list *l)
{
	struct kvm_cpuid_entry2 *e = add_host(l, 7, 0);
	u32 last;

	if (!e)
		return -E2BIG;
	last = MIN(e->eax, 1u);
	e->eax = last;
	apply_masks(e);
	if (!last)
		return 0;
	e = add_host(l, 7, 1);
	if (!e)
		return -E2BIG;
	e->ebx = e->ecx = e->edx = 0;
	apply_masks(e);
	return 0;
}

static int add_xsave(struct list *l)
{
	u64 have = xsave_supported();
	struct kvm_cpuid_entry2 *e = add_host(l, 0xd, 0);
	u32 i;

	if (!e)
		return -E2BIG;
	e->eax &= (u32)have;
	e->edx &= (u32)(have >> 32);
	e->ebx = e->ecx = xsave_size(have, false);
	e = add_host(l, 0xd, 1);
	if (!e)
		return -E2BIG;
	apply_masks(e);
	e->ebx = e->eax & (B(1) | B(3)) ? xsave_size(have, true) : 0;
	e->ecx = e->edx = 0;
	for (i = 2; i < 63; i++) {
		if (!(have >> i & 1))
			continue;
		e = add_host(l, 0xd, i);
		if (!e)
			return -E2BIG;
		e->ecx &= B(1);
		e->edx = 0;
	}
	return 0;
}

/* What leaves hold besides feature bits. */
static void fix_entry(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 1:
		/* CLFLUSH size and brand; no APIC id, no thread count. */
		e->ebx &= 0xffff;
		break;
	case 6:
		e->eax = B(2);	/* the APIC timer always runs */
		e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000001:
		e->ebx &= ~0x0fff0000u;
		break;
	case 0x80000006:
		e->edx &= ~0x00030000u;
		break;
	case 0x80000007:
		e->eax = e->ebx = e->ecx = 0;
		e->edx &= B(8);	/* invariant TSC */
		break;
	case 0x80000008:
		e->eax = VM_PHYS_BITS | 48 << 8;
		e->ecx = e->edx = 0;
		break;
	case 0x80000019:
		e->ecx = e->edx = 0;
		break;
	case 0x8000001a:
		e->eax &= 7;
		e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000021:
		e->ebx = e->ecx = e->edx = 0;
		break;
	}
	apply_masks(e);
}

static bool passed_on(u32 leaf)
{
	switch (leaf) {
	case 0 ... 2:
	case 6:
	case 0x80000000 ... 0x80000008:
	case 0x80000019 ... 0x8000001a:
	case 0x80000021:
		return true;
	default:
		return false;
	}
}

/* A leaf that is not passed on reads as zeroes: it needs no entry. */
static int add_leaf(struct list *l, u32 leaf)
{
	struct kvm_cpuid_entry2 *e;

	switch (leaf) {
	case 4:
	case 0x8000001d:
		return add_caches(l, leaf);
	case 7:
		return add_features(l);
	case 0xd:
		return add_xsave(l);
	}
	if (!passed_on(leaf))
		return 0;
	e = add_host(l, leaf, 0);
	if (!e)
		return -E2BIG;
	fix_entry(e);
	return 0;
}

static int add_range(struct list *l, u32 first, u32 last)
{
	u32 leaf, top = first == 0 ? 1 : first;
	int r = add_leaf(l, first);
	struct kvm_cpuid_entry2 *e;

	if (r)
		return r;
	e = &l->e[l->count - 1];
	e->eax = MIN(e->eax, last);
	last = e->eax;
	for (leaf = MAX(top, first + 1); leaf <= last && !r; leaf++)
		r = add_leaf(l, leaf);
	return r;
}

/* The leaf with the TSC's frequency is the caller's to add, as with KVM. */
static int add_hypervisor(struct list *l)
{
	struct kvm_cpuid_entry2 *e = add(l, HYPERVISOR_LEAF, 0);
	u64 delay;

	if (!e)
		return -E2BIG;
	e->eax = KVM_CPUID_FEATURES;
	e->ebx = 0x4b4d564b;	/* "KVMKVMKVM\0\0\0" */
	e->ecx = 0x564b4d56;
	e->edx = 0x4d;
	e = add(l, KVM_CPUID_FEATURES, 0);
	if (!e)
		return -E2BIG;
	e->eax = B(KVM_FEATURE_CLOCKSOURCE) | B(KVM_FEATURE_NOP_IO_DELAY) |
		 B(KVM_FEATURE_CLOCKSOURCE2) | B(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) |
		 B(KVM_FEATURE_PV_EOI) | B(KVM_FEATURE_PV_UNHALT) | B(KVM_FEATURE_PV_TLB_FLUSH) |
		 B(KVM_FEATURE_PV_SEND_IPI) | B(KVM_FEATURE_POLL_CONTROL) |
		 B(KVM_FEATURE_PV_SCHED_YIELD) | B(KVM_FEATURE_ASYNC_PF) |
		 B(KVM_FEATURE_ASYNC_PF_VMEXIT) | B(KVM_FEATURE_ASYNC_PF_INT);
	if (host_run_delay(&delay))
		e->eax |= B(KVM_FEATURE_STEAL_TIME);
	return 0;
}

int cpuid_supported(struct kvm_cpuid_entry2 *e, u32 max)
{
	struct list l = { e, 0, max };
	int r = add_range(&l, 0, LAST_BASIC);

	if (!r)
		r = add_range(&l, 0x80000000, LAST_EXTENDED);
	if (!r)
		r = add_hypervisor(&l);
	return r ? r : (int)l.count;
}

/* Nothing is emulated that the processor does not have. */
int cpuid_emulated(struct kvm_cpuid_entry2 *e, u32 max)
{
	struct list l = { e, 0, max };

	return add(&l, 0, 0) ? (int)l.count : -E2BIG;
}

bool supported_has(u64 f)
{
	struct kvm_cpuid_entry2 e;

	host_memset(&e, 0, sizeof(e));
	e.function = (u32)(f >> 32);
	e.index = f >> 16 & 0xff;
	if (e.function >> 31 && __get_cpuid_max(0x80000000, NULL) < e.function)
		return false;
	__cpuid_count(e.function, e.index, e.eax, e.ebx, e.ecx, e.edx);
	fix_entry(&e);
	return *reg_of(&e, f >> 8 & 0xff) >> (f & 31) & 1;
}
