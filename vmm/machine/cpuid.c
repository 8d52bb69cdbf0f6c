/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPUID of each CPU: what the engine supports (KVM_GET_SUPPORTED_CPUID), made
 * true for this machine. The leaves that tell of other CPUs (Intel SDM volume
 * 2, CPUID; AMD APM volume 3, appendix E) describe one package of as many
 * cores as there are CPUs, one thread each, with APIC ids from 0. Timing leaf
 * 0x40000010 is added where the engine gives no TSC frequency.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "vcpu.h"

#define ENTRIES_START 100
#define ENTRIES_MAX 4096
#define ROOM 16			/* entries that cpuid_adjust may add */

#define ECX1_X2APIC (1u << 21)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR (1u << 31)
#define EDX1_HTT (1u << 28)
#define AMD_ECX_CMP_LEGACY (1u << 1)

#define ADDRESS_LEAF 0x80000008
#define ADDRESS_BITS 40		/* of physical addresses, where the memory needs no more */

#define KVM_LEAF 0x40000000
#define KVM_TIMING_LEAF 0x40000010
#define APIC_BUS_KHZ 1000000	/* the local APIC timer of KVM counts nanoseconds */

/* The list while it is adjusted. */
struct list {
	struct kvm_cpuid_entry2 *e;
	unsigned int n, max;
};

static struct kvm_cpuid_entry2 *find(struct list *l, u32 leaf, u32 index)
{
	unsigned int i;

	for (i = 0; i < l->n; i++)
		if (l->e[i].function == leaf && l->e[i].index == index)
			return &l->e[i];
	return NULL;
}

static struct kvm_cpuid_entry2 *find_or_add(struct list *l, u32 leaf, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e = find(l, leaf, index);

	if (!e && l->n < l->max) {
		e = &l->e[l->n++];
		memset(e, 0, sizeof(*e));
		e->function = leaf;
		e->index = index;
		e->flags = flags;
	}
	return e;
}

static void remove_leaf(struct list *l, u32 leaf)
{
	unsigned int i, to = 0;

	for (i = 0; i < l->n; i++)
		if (l->e[i].function != leaf)
			l->e[to++] = l->e[i];
	l->n = to;
}

/* The bits that number n things. */
static u32 bits_for(u32 n)
{
	u32 bits = 0;

	while (bits < 31 && (1u << bits) < n)
		bits++;
	return bits;
}

static u32 at_most(u32 v, u32 max)
{
	return v < max ? v : max;
}

static void adjust_features(struct list *l, u32 id, u32 cpus)
{
	struct kvm_cpuid_entry2 *e = find(l, 1, 0);
	u32 logical = at_most(1u << bits_for(cpus), 255);

	if (!e)
		return;
	e->ebx = (e->ebx & 0xffff) | logical << 16 | (id & 0xff) << 24;
	e->ecx |= ECX1_X2APIC | ECX1_TSC_DEADLINE | ECX1_HYPERVISOR;
	if (cpus > 1)
		e->edx |= EDX1_HTT;
	else
		e->edx &= ~EDX1_HTT;
}

/* Caches: level 3 is shared by all CPUs, lower ones by none. */
static void adjust_caches(struct list *l, u32 leaf, u32 cpus)
{
	unsigned int i;

	for (i = 0; i < l->n; i++) {
		struct kvm_cpuid_entry2 *e = &l->e[i];
		u32 level = e->eax >> 5 & 7;

		if (e->function != leaf || !(e->eax & 0x1f))
			continue;
		e->eax &= 0x3fff;
		if (level >= 3)
			e->eax |= at_most((1u << bits_for(cpus)) - 1, 0xfff) << 14;
		if (leaf == 4)
			e->eax |= at_most((1u << bits_for(cpus)) - 1, 0x3f) << 26;
	}
}

/* Leaf 0xb or 0x1f: the levels "thread" and "core", then the end. */
static void adjust_topology(struct list *l, u32 leaf, u32 id, u32 cpus)
{
	const u32 flag = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	struct kvm_cpuid_entry2 *e;
	u32 i;

	if (!find(l, leaf, 0))
		return;
	remove_leaf(l, leaf);
	for (i = 0; i < 3; i++) {
		e = find_or_add(l, leaf, i, flag);
		if (!e)
			return;
		e->ecx = i | (i < 2 ? (i + 1) << 8 : 0);
		e->edx = id;
		if (i == 0) {
			e->ebx = 1;
		} else if (i == 1) {
			e->eax = bits_for(cpus);
			e->ebx = cpus;
		}
	}
}

static bool is_amd(struct list *l)
{
	const struct kvm_cpuid_entry2 *e = find(l, 0, 0);
	char name[13] = "";

	if (!e)
		return false;
	memcpy(name, &e->ebx, 4);
	memcpy(name + 4, &e->edx, 4);
	memcpy(name + 8, &e->ecx, 4);
	return !strcmp(name, "AuthenticAMD") || !strcmp(name, "HygonGenuine");
}

static void adjust_amd(struct list *l, u32 id, u32 cpus)
{
	struct kvm_cpuid_entry2 *e = find(l, 0x80000001, 0);

	if (e && cpus > 1)
		e->ecx |= AMD_ECX_CMP_LEGACY;
	else if (e)
		e->ecx &= ~AMD_ECX_CMP_LEGACY;
	e = find(l, 0x80000008, 0);
	if (e)		/* size of the APIC id's core part, CPUs minus one */
		e->ecx = bits_for(cpus) << 12 | at_most(cpus - 1, 0xff);
	e = find(l, 0x8000001e, 0);
	if (e) {	/* APIC id; core id, one thread a core; node 0 of one */
		e->eax = id;
		e->ebx = id & 0xff;
		e->ecx = 0;
	}
}

static void add_timing(struct list *l, u32 tsc_khz)
{
	struct kvm_cpuid_entry2 *base = find(l, KVM_LEAF, 0);
	struct kvm_cpuid_entry2 *e;

	if (!base || !tsc_khz || find(l, KVM_TIMING_LEAF, 0))
		return;
	e = find_or_add(l, KVM_TIMING_LEAF, 0, 0);
	if (!e)
		return;
	e->eax = tsc_khz;
	e->ebx = APIC_BUS_KHZ;
	if (base->eax < KVM_TIMING_LEAF)
		base->eax = KVM_TIMING_LEAF;
}

/*
 * The width of physical addresses is kept down, as firmware takes a wide one
 * for an order to map it all, and runs out of memory for page tables.
 */
unsigned int cpuid_address_bits(u64 memory_end)
{
	unsigned int bits = ADDRESS_BITS;

	while (bits < 52 && memory_end > 1ULL << (bits - 1))
		bits++;
	return bits;
}

static void adjust_address(struct list *l, u64 memory_end)
{
	struct kvm_cpuid_entry2 *e = find(l, ADDRESS_LEAF, 0);
	u32 bits = cpuid_address_bits(memory_end);

	if (e && (e->eax & 0xff) > bits)
		e->eax = (e->eax & ~0xffu) | bits;
}

unsigned int cpuid_adjust(struct kvm_cpuid_entry2 *e, unsigned int n, unsigned int max,
			  unsigned int id, unsigned int cpus, u32 tsc_khz, u64 memory_end)
{
	struct list l = { e, n, max };

	adjust_features(&l, id, cpus);
	adjust_topology(&l, 0xb, id, cpus);
	adjust_topology(&l, 0x1f, id, cpus);
	if (is_amd(&l)) {
		adjust_amd(&l, id, cpus);
		adjust_caches(&l, 0x8000001d, cpus);
	} else {
		adjust_caches(&l, 4, cpus);
	}
	adjust_address(&l, memory_end);
	add_timing(&l, tsc_khz);
	return l.n;
}

static struct kvm_cpuid2 *get_supported(const struct kvm *k)
{
	unsigned int n;

	for (n = ENTRIES_START; n <= ENTRIES_MAX; n *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + (n + ROOM) * sizeof(c->entries[0]));
		int err;

		if (!c) {
			error("out of memory");
			return NULL;
		}
		c->nent = n;
		err = kvm_ioctl(k, k->fd, KVM_GET_SUPPORTED_CPUID, c);
		if (err >= 0)
			return c;
		free(c);
		if (err != -E2BIG) {
			error("cannot learn the CPU's features: %s", strerror(-err));
			return NULL;
		}
	}
	error("the CPU has too many features");
	return NULL;
}

int cpuid_setup(struct vcpu *v)
{
	struct kvm_cpuid2 *c = get_supported(v->m->kvm);
	int khz = kvm_ioctl(v->m->kvm, v->fd, KVM_GET_TSC_KHZ, 0);
	int err;

	if (!c)
		return -1;
	c->nent = cpuid_adjust(c->entries, c->nent, c->nent + ROOM, v->id,
			       v->m->config->boot.cpus, khz > 0 ? (u32)khz : 0,
			       MEMORY_HIGH_BASE + v->m->mem.high);
	err = kvm_ioctl(v->m->kvm, v->fd, KVM_SET_CPUID2, c);
	free(c);
	if (err < 0)
		return error("cannot set the features of CPU %u: %s", v->id, strerror(-err));
	return 0;
}
