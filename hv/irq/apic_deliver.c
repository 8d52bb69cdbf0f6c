/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages to local APICs: which CPUs a destination names, and what each does
 * with the message. IPIs, IOAPIC pins and MSIs all end here, from any thread.
 *
 * Specification: Intel SDM vol. 3, "Issuing Interprocessor Interrupts" and
 * "Extended XAPIC (x2APIC)": physical and logical destinations, clusters.
 * Two habits are KVM's: lowest priority is a choice by vector, and CPUs whose
 * id needs more than 8 bits are reached by it even before they enter x2APIC
 * mode.
 *
 * No lock is taken. One vCPU is found by its id in constant time, a cluster
 * of x2APIC ids in 16 steps; other destinations look at every vCPU.
 */
#include <linux/kvm_para.h>

#include "lapic.h"

#define XAPIC_BROADCAST 0xffu
#define X2APIC_BROADCAST 0xffffffffu

/* vCPUs by index. */
struct cpu_set {
	u64 bits[VM_MAX_VCPUS / 64];
	u32 count;
};

struct apic_map *apic_map_get(struct vm *vm)
{
	struct apic_map *map = __atomic_load_n(&vm->apic_map, __ATOMIC_SEQ_CST), *none = NULL;

	if (map)
		return map;
	map = host_zalloc(sizeof(*map));
	if (map && !__atomic_compare_exchange_n(&vm->apic_map, &none, map, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		host_free(map);
		map = none;
	}
	return map;
}

static struct vcpu *vcpu_at(struct vm *vm, u32 index)
{
	return __atomic_load_n(&vm->vcpus[index], __ATOMIC_SEQ_CST);
}

static u32 vcpu_count(struct vm *vm)
{
	return MIN(__atomic_load_n(&vm->vcpu_count, __ATOMIC_SEQ_CST), (u32)VM_MAX_VCPUS);
}

static struct lapic *present(struct vcpu *v)
{
	return v && v->lapic && lapic_hw_enabled(v->lapic) ? v->lapic : NULL;
}

/* --- what a LAPIC does with a message ---------------------------------------- */

static void add_nmi(struct vcpu *v)
{
	u8 n = __atomic_load_n(&v->nmi.pending, __ATOMIC_SEQ_CST);

	while (n < 2 && !__atomic_compare_exchange_n(&v->nmi.pending, &n, n + 1, false,
						     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	vcpu_request(v, REQ_EVENT);
}

static int accept_fixed(struct lapic *l, const struct apic_msg *m)
{
	if ((m->trig_level && !m->level) || !lapic_sw_enabled(l))
		return 0;
	if (m->vector < 16) {
		lapic_error(l, APIC_ESR_RECV_VECTOR);
		return 0;
	}
	if (lapic_test_vector(l, APIC_TMR, m->vector) != m->trig_level) {
		if (m->trig_level)
			lapic_set_vector(l, APIC_TMR, m->vector);
		else
			lapic_clear_vector(l, APIC_TMR, m->vector);
	}
	if (!m->inside)
		lapic_note_outside(l, m->vector);
	if (!lapic_set_vector(l, APIC_IRR, m->vector))
		vcpu_request(l->vcpu, REQ_EVENT);
	return 1;
}

int lapic_accept(struct lapic *l, const struct apic_msg *m)
{
	struct vcpu *v = l->vcpu;

	switch (m->delivery) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		return lapic_hw_enabled(l) ? accept_fixed(l, m) : 0;
	case APIC_DM_NMI:
		add_nmi(v);
		return 1;
	case APIC_DM_INIT:
		/* The de-assert message concerned arbitration only. */
		if (m->trig_level && !m->level)
			return 0;
		/* INIT makes an earlier SIPI meaningless. */
		__atomic_store_n(&l->pending_events, APIC_EVENT_INIT, __ATOMIC_SEQ_CST);
		vcpu_request(v, REQ_EVENT);
		return 1;
	case APIC_DM_SMI:
		vcpu_request(v, REQ_SMI);
		return 1;
	case APIC_DM_STARTUP:
		__atomic_store_n(&v->sipi_vector, m->vector, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&l->pending_events, APIC_EVENT_SIPI, __ATOMIC_SEQ_CST);
		vcpu_request(v, REQ_EVENT);
		return 1;
	}
	/* Remote read: not offered. ExtINT: the PIC's line needs no message. */
	return 0;
}

int lapic_local_deliver(struct lapic *l, u32 lvt_offset)
{
	u32 lvt = lapic_reg(l, lvt_offset);
	struct apic_msg m;

	if (!lapic_hw_enabled(l) || (lvt & APIC_LVT_MASKED))
		return 0;
	host_memset(&m, 0, sizeof(m));
	m.vector = (u8)lvt;
	m.delivery = APIC_LVT_MODE(lvt);
	m.level = true;
	m.trig_level = m.delivery == APIC_DM_FIXED && (lvt & APIC_LVT_LEVEL);
	m.inside = lvt_offset == APIC_LVT_TIMER;
	return lapic_accept(l, &m);
}

/* --- who is meant -------------------------------------------------------------- */

static bool matches_logical(struct lapic *l, u32 dest)
{
	u32 ldr = lapic_reg(l, APIC_LDR);

	if (lapic_x2apic(l))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	switch (lapic_reg(l, APIC_DFR)) {
	case APIC_DFR_FLAT:
		return ldr & dest;
	case APIC_DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	}
	return false;
}

bool lapic_matches(struct lapic *l, struct vcpu *source, const struct apic_msg *m)
{
	bool x2 = lapic_x2apic(l);

	if (m->shorthand)
		return m->shorthand != 3 || l->vcpu != source;
	if (m->dest == (x2 ? X2APIC_BROADCAST : XAPIC_BROADCAST))
		return true;
	if (x2 && m->broadcast_x2 && m->dest == XAPIC_BROADCAST)
		return true;
	if (m->logical)
		return matches_logical(l, m->dest);
	if (x2 || m->dest > 0xff)
		return m->dest == l->vcpu->id;
	return m->dest == lapic_reg(l, APIC_ID) >> 24;
}

static bool is_broadcast(const struct apic_msg *m)
{
	return m->shorthand >= 2 || m->dest == XAPIC_BROADCAST || m->dest == X2APIC_BROADCAST;
}

/* The vCPU with that id, remembered for the next time. */
static struct vcpu *vcpu_by_id(struct vm *vm, struct apic_map *map, u32 id)
{
	u32 i, n = vcpu_count(vm);
	struct vcpu *v;

	if (id >= VM_MAX_VCPU_ID)
		return NULL;
	v = __atomic_load_n(&map->by_id[id], __ATOMIC_SEQ_CST);
	for (i = 0; !v && i < n; i++) {
		v = vcpu_at(vm, i);
		if (v && v->id != id)
			v = NULL;
		if (v)
			__atomic_store_n(&map->by_id[id], v, __ATOMIC_SEQ_CST);
	}
	return v;
}

/*
 * A physical destination of one CPU. False when it must be searched: xAPIC
 * ids that guests changed or that are the low bits of larger ones.
 */
static bool find_one(struct vm *vm, struct apic_map *map, u32 dest, struct lapic **l)
{
	*l = present(vcpu_by_id(vm, map, dest));
	if (dest > 0xff)
		return true;
	return *l && !__atomic_load_n(&map->id_changed, __ATOMIC_SEQ_CST);
}

static void set_add(struct cpu_set *set, u32 index)
{
	set->bits[index / 64] |= BIT64(index % 64);
	set->count++;
}

/* A lowest-priority message goes to one of the CPUs that can take it. */
static void find_many(struct vm *vm, struct vcpu *source, const struct apic_msg *m, bool lowest,
		      struct cpu_set *set)
{
	u32 i, n = vcpu_count(vm);
	struct lapic *l;

	for (i = 0; i < n; i++) {
		l = present(vcpu_at(vm, i));
		if (l && lapic_matches(l, source, m) && (!lowest || lapic_sw_enabled(l)))
			set_add(set, i);
	}
}

/* Logical destinations where every CPU is in x2APIC mode. */
static void find_cluster(struct vm *vm, struct apic_map *map, u32 dest, bool lowest,
			 struct cpu_set *set)
{
	u32 base = dest >> 16 << 4, i;
	struct lapic *l;

	for (i = 0; i < 16; i++) {
		if (!(dest >> i & 1))
			continue;
		l = present(vcpu_by_id(vm, map, base + i));
		if (l && (!lowest || lapic_sw_enabled(l)) && l->vcpu->index < VM_MAX_VCPUS)
			set_add(set, l->vcpu->index);
	}
}

static int deliver_nth(struct vm *vm, const struct cpu_set *set, u32 nth, const struct apic_msg *m)
{
	u32 i;
	u64 bits;

	for (i = 0; i < ARRAY_SIZE(set->bits); i++)
		for (bits = set->bits[i]; bits; bits &= bits - 1)
			if (!nth--)
				return lapic_accept(vcpu_at(vm, i * 64 +
							    (u32)__builtin_ctzll(bits))->lapic, m);
	return 0;
}

static int deliver_all(struct vm *vm, const struct cpu_set *set, const struct apic_msg *m)
{
	int taken = 0;
	u32 i;
	u64 bits;

	for (i = 0; i < ARRAY_SIZE(set->bits); i++)
		for (bits = set->bits[i]; bits; bits &= bits - 1)
			taken += lapic_accept(vcpu_at(vm, i * 64 +
						      (u32)__builtin_ctzll(bits))->lapic, m);
	return taken;
}

int apic_deliver(struct vm *vm, struct vcpu *source, const struct apic_msg *m)
{
	struct apic_map *map = __atomic_load_n(&vm->apic_map, __ATOMIC_SEQ_CST);
	bool lowest = m->delivery == APIC_DM_LOWEST;
	struct cpu_set set;
	struct lapic *l;

	if (!map)
		return 0;
	if (m->shorthand == 1)
		return source && source->lapic ? lapic_accept(source->lapic, m) : 0;
	if (!m->logical && !is_broadcast(m) && find_one(vm, map, m->dest, &l))
		return l ? lapic_accept(l, m) : 0;

	host_memset(&set, 0, sizeof(set));
	/* There is no lowest-priority arbitration over a physical broadcast. */
	lowest = lowest && (m->logical || !is_broadcast(m));
	if (m->logical && !is_broadcast(m) &&
	    __atomic_load_n(&map->x2apic, __ATOMIC_SEQ_CST) ==
		    __atomic_load_n(&map->lapics, __ATOMIC_SEQ_CST))
		find_cluster(vm, map, m->dest, lowest, &set);
	else
		find_many(vm, source, m, lowest, &set);
	if (lowest)
		return set.count ? deliver_nth(vm, &set, m->vector % set.count, m) : 0;
	return deliver_all(vm, &set, m);
}

/* --- many at once ------------------------------------------------------------- */

#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SHORTHAND (3u << 18)

static s64 send_mask(struct vm *vm, struct apic_map *map, u64 mask, u64 first,
		     const struct apic_msg *m)
{
	struct lapic *l;
	s64 taken = 0;

	for (; mask; mask &= mask - 1) {
		u64 id = first + (u64)__builtin_ctzll(mask);

		if (id >= VM_MAX_VCPU_ID)
			break;
		l = present(vcpu_by_id(vm, map, (u32)id));
		if (l)
			taken += lapic_accept(l, m);
	}
	return taken;
}

s64 apic_send_mask(struct vm *vm, u64 low, u64 high, u64 min, u64 icr, u32 bits)
{
	struct apic_map *map = __atomic_load_n(&vm->apic_map, __ATOMIC_SEQ_CST);
	struct apic_msg m;

	if (!map)
		return -KVM_EOPNOTSUPP;
	if (icr & (ICR_LOGICAL | ICR_SHORTHAND))
		return -KVM_EINVAL;
	if (min >= VM_MAX_VCPU_ID)
		return 0;
	host_memset(&m, 0, sizeof(m));
	m.vector = (u8)icr;
	m.delivery = icr >> 8 & 7;
	m.level = !!(icr & ICR_ASSERT);
	m.trig_level = !!(icr & ICR_LEVEL);
	m.inside = true;
	return send_mask(vm, map, low, min, &m) + send_mask(vm, map, high, min + bits, &m);
}

/* --- the PIC's line and the PIT's -------------------------------------------- */

bool lapic_takes_extint(struct lapic *l)
{
	u32 lint0 = lapic_reg(l, APIC_LVT_LINT0);

	if (!lapic_hw_enabled(l))
		return true;
	return !(lint0 & APIC_LVT_MASKED) && APIC_LVT_MODE(lint0) == APIC_DM_EXTINT;
}

void lapic_kick_extint(struct vm *vm)
{
	u32 i, n = vcpu_count(vm);
	struct vcpu *v;

	for (i = 0; i < n; i++) {
		v = vcpu_at(vm, i);
		if (v && v->lapic && lapic_takes_extint(v->lapic)) {
			vcpu_request(v, REQ_EVENT);
			return;
		}
	}
}

void lapic_pit_nmi(struct vm *vm)
{
	struct apic_map *map = __atomic_load_n(&vm->apic_map, __ATOMIC_SEQ_CST);
	u32 i, n = vcpu_count(vm), lint0;
	struct lapic *l;

	if (!map || !__atomic_load_n(&map->lint0_nmi, __ATOMIC_SEQ_CST))
		return;
	for (i = 0; i < n; i++) {
		l = present(vcpu_at(vm, i));
		if (!l)
			continue;
		lint0 = lapic_reg(l, APIC_LVT_LINT0);
		if (APIC_LVT_MODE(lint0) == APIC_DM_NMI)
			lapic_local_deliver(l, APIC_LVT_LINT0);
	}
}
