/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a local APIC, shared by lapic.c (registers), lapic_base.c
 * (modes and reset), lapic_timer.c, lapic_state.c (KVM_GET/SET_LAPIC),
 * apic_deliver.c (messages) and events.c (what the vCPU asks).
 *
 * Specification: Intel SDM vol. 3, chapter "Advanced Programmable Interrupt
 * Controller" (xAPIC, x2APIC, TSC deadline).
 *
 * Any thread may set bits of IRR and TMR, pending_events and esr_pending, and
 * reads the registers that select destinations; all these accesses are
 * atomic. Everything else belongs to the vCPU's thread, or to who holds
 * v->lock while it does not run.
 */
#ifndef HV_IRQ_LAPIC_H
#define HV_IRQ_LAPIC_H

#include "internal.h"

#define APIC_DEFAULT_BASE 0xfee00000ull
#define APIC_BASE_BSP BIT64(8)
#define APIC_BASE_X2APIC BIT64(10)
#define APIC_BASE_ENABLE BIT64(11)

/* Registers by their offset in the xAPIC page. */
#define APIC_ID 0x020
#define APIC_VERSION 0x030
#define APIC_TPR 0x080
#define APIC_APR 0x090
#define APIC_PPR 0x0a0
#define APIC_EOI 0x0b0
#define APIC_LDR 0x0d0
#define APIC_DFR 0x0e0
#define APIC_SPIV 0x0f0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_LVT_CMCI 0x2f0
#define APIC_ICR 0x300
#define APIC_ICR2 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PMC 0x340
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR 0x3e0
#define APIC_SELF_IPI 0x3f0

#define APIC_SPIV_ENABLED BIT(8)
#define APIC_LVT_MASKED BIT(16)
#define APIC_LVT_LEVEL BIT(15)
#define APIC_LVT_MODE(lvt) ((lvt) >> 8 & 7)
#define APIC_TIMER_ONESHOT 0u
#define APIC_TIMER_PERIODIC BIT(17)
#define APIC_TIMER_TSCDEADLINE BIT(18)
#define APIC_DFR_FLAT 0xffffffffu
#define APIC_DFR_CLUSTER 0x0fffffffu

#define APIC_ESR_SEND_VECTOR BIT(5)
#define APIC_ESR_RECV_VECTOR BIT(6)
#define APIC_ESR_REGISTER BIT(7)

enum {
	APIC_DM_FIXED, APIC_DM_LOWEST, APIC_DM_SMI, APIC_DM_REMOTE_READ,
	APIC_DM_NMI, APIC_DM_INIT, APIC_DM_STARTUP, APIC_DM_EXTINT,
};

#define APIC_EVENT_INIT BIT(0)
#define APIC_EVENT_SIPI BIT(1)

struct lapic {
	struct vcpu *vcpu;
	u8 regs[KVM_APIC_REG_SIZE] __attribute__((aligned(64)));
	u32 outside[8];		/* atomic, by vector: in IRR, and not only by messages from inside */
	u32 pending_events;	/* APIC_EVENT_* */
	u32 esr_pending;	/* errors since the guest last wrote ESR */
	bool lint0_nmi;		/* counted in apic_map.lint0_nmi */
	bool x2apic;		/* counted in apic_map.x2apic */

	/* lapic_timer.c */
	u32 timer_mode;		/* APIC_TIMER_* */
	u32 divide;		/* 1..128 */
	u64 period_ns;		/* of the initial count; 0: stopped */
	u64 tscdeadline;
	u64 deadline_ns;	/* atomic: when it next expires, 0: not armed */
	bool timer_due;		/* atomic: the host timer rang */
	struct host_mutex timer_lock;	/* what follows */
	u64 host_deadline_ns;	/* atomic: what the host timer is set to, 0: not */
	struct host_timer host_timer;
};

/* Per VM, what delivery needs beside the vCPUs. All atomic. */
struct apic_map {
	struct vcpu *by_id[VM_MAX_VCPU_ID];	/* a cache: NULL says nothing */
	u32 lapics;		/* how many there are, */
	u32 x2apic;		/* how many of them are in x2APIC mode, */
	u32 lint0_nmi;		/* and how many take LINT0 as NMI */
	u32 id_changed;		/* some xAPIC ID is not its vCPU's */
};

static inline u32 lapic_reg(const struct lapic *l, u32 offset)
{
	return __atomic_load_n((const u32 *)(l->regs + offset), __ATOMIC_RELAXED);
}

static inline void lapic_set_reg(struct lapic *l, u32 offset, u32 val)
{
	__atomic_store_n((u32 *)(l->regs + offset), val, __ATOMIC_RELAXED);
}

static inline u32 *lapic_vector_word(struct lapic *l, u32 bitmap, u8 vector)
{
	return (u32 *)(l->regs + bitmap + (vector >> 5) * 16);
}

static inline bool lapic_test_vector(struct lapic *l, u32 bitmap, u8 vector)
{
	return __atomic_load_n(lapic_vector_word(l, bitmap, vector), __ATOMIC_SEQ_CST) >>
		       (vector & 31) & 1;
}

/* Returns whether it was set already. */
static inline bool lapic_set_vector(struct lapic *l, u32 bitmap, u8 vector)
{
	u32 bit = BIT(vector & 31);

	return __atomic_fetch_or(lapic_vector_word(l, bitmap, vector), bit, __ATOMIC_SEQ_CST) & bit;
}

static inline void lapic_clear_vector(struct lapic *l, u32 bitmap, u8 vector)
{
	__atomic_fetch_and(lapic_vector_word(l, bitmap, vector), ~BIT(vector & 31),
			   __ATOMIC_SEQ_CST);
}

static inline void lapic_note_outside(struct lapic *l, u8 vector)
{
	__atomic_fetch_or(&l->outside[vector >> 5], BIT(vector & 31), __ATOMIC_SEQ_CST);
}

static inline bool lapic_take_outside(struct lapic *l, u8 vector)
{
	u32 bit = BIT(vector & 31);

	return __atomic_fetch_and(&l->outside[vector >> 5], ~bit, __ATOMIC_SEQ_CST) & bit;
}

static inline u64 lapic_base(const struct lapic *l)
{
	return __atomic_load_n(&l->vcpu->apic_base, __ATOMIC_RELAXED);
}

static inline bool lapic_hw_enabled(const struct lapic *l)
{
	return lapic_base(l) & APIC_BASE_ENABLE;
}

static inline bool lapic_x2apic(const struct lapic *l)
{
	return (lapic_base(l) & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) ==
	       (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
}

static inline bool lapic_sw_enabled(const struct lapic *l)
{
	return lapic_reg(l, APIC_SPIV) & APIC_SPIV_ENABLED;
}

/* The sixth and later LVT, CMCI, exists where MCG_CAP says so. */
static inline bool lapic_has_cmci(const struct lapic *l)
{
	return l->vcpu->mcg_cap & BIT64(10);
}

/* lapic.c */
u32 lapic_x2apic_ldr(u32 id);
/* Highest vector of a bitmap, or -1. */
int lapic_highest(struct lapic *l, u32 bitmap);
u8 lapic_ppr(struct lapic *l);
/* The vector that the LAPIC would deliver now, or -1. */
int lapic_deliverable(struct lapic *l);
/* Asks the vCPU to look again when its own action made something deliverable. */
void lapic_recheck(struct lapic *l);
void lapic_error(struct lapic *l, u32 esr_bit);
/* Keeps the counts of the apic_map after registers or modes changed. */
void lapic_update_counts(struct lapic *l);
/* True when somebody besides the APIC must hear of the vector's EOI. */
bool lapic_eoi_concerns(struct lapic *l, u8 vector);
/* ISR's highest vector ends: EOI as the guest writes it. */
void lapic_eoi(struct lapic *l);

/* pv.c: before the guest's registers are looked at. */
void pv_eoi_from_guest(struct vcpu *v);
/* ... and after they changed; v->vapic_addr is there. */
void vapic_to_guest(struct vcpu *v);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *l);
void lapic_timer_destroy(struct lapic *l);
void lapic_timer_stop(struct lapic *l);
void lapic_timer_write_lvt(struct lapic *l, u32 val);
void lapic_timer_write_tmict(struct lapic *l, u32 val);
void lapic_timer_write_tdcr(struct lapic *l, u32 val);
u32 lapic_timer_current_count(struct lapic *l);
/* Takes over the timer registers as KVM_SET_LAPIC wrote them. */
void lapic_timer_restore(struct lapic *l);
/* The bits of LVTT that the guest may set: mask, vector and the modes it has. */
u32 lapic_timer_lvt_bits(struct lapic *l);

/* apic_deliver.c */
struct apic_map *apic_map_get(struct vm *vm);
/* Delivers to one LAPIC: 1 when it took the message. Any thread. */
int lapic_accept(struct lapic *l, const struct apic_msg *m);
/* A local source: raises the interrupt that an LVT entry describes. */
int lapic_local_deliver(struct lapic *l, u32 lvt_offset);
/* True when the message is for l; source: its sender or NULL. */
bool lapic_matches(struct lapic *l, struct vcpu *source, const struct apic_msg *m);
/* True when the PIC's INTR reaches this CPU. */
bool lapic_takes_extint(struct lapic *l);
/* The PIC's output rose: tells the CPU that listens. Any thread. */
void lapic_kick_extint(struct vm *vm);
/* A PIT tick for the CPUs whose LINT0 is an NMI (the watchdog of old kernels). */
void lapic_pit_nmi(struct vm *vm);

#endif
