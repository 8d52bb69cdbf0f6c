/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registers of a local APIC: the xAPIC page, the x2APIC MSRs, and priorities.
 *
 * Specification: Intel SDM vol. 3, "Advanced Programmable Interrupt
 * Controller". As in KVM, sending takes no time (the delivery-status bit reads
 * 0), and the directed-EOI feature is not offered beside an IOAPIC without EOI
 * register.
 */
#include "lapic.h"

#define VERSION 0x14
#define SPIV_WRITABLE 0x3ffu
#define LVT_COMMON (APIC_LVT_MASKED | 0xffu)
#define LVT_MODE_BITS 0x700u
#define LVT_LINT_BITS 0xe000u		/* polarity, remote IRR, trigger */
#define ICR_BUSY BIT(12)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define X2APIC_ICR_RESERVED 0xfff32000ull
#define X2APIC_MSR 0x800

u32 lapic_x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | BIT(id & 15);
}

int lapic_highest(struct lapic *l, u32 bitmap)
{
	int i;
	u32 word;

	for (i = 7; i >= 0; i--) {
		word = __atomic_load_n((u32 *)(l->regs + bitmap + i * 16), __ATOMIC_SEQ_CST);
		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

u8 lapic_ppr(struct lapic *l)
{
	u8 tpr = (u8)lapic_reg(l, APIC_TPR);
	int isr = lapic_highest(l, APIC_ISR);

	if (isr < 0 || (tpr & 0xf0) >= (isr & 0xf0))
		return tpr;
	return isr & 0xf0;
}

int lapic_deliverable(struct lapic *l)
{
	int irr;

	if (!lapic_hw_enabled(l))
		return -1;
	irr = lapic_highest(l, APIC_IRR);
	if (irr < 0 || (irr & 0xf0) <= (lapic_ppr(l) & 0xf0))
		return -1;
	return irr;
}

void lapic_recheck(struct lapic *l)
{
	struct pic *pic = l->vcpu->vm->pic;

	if (lapic_deliverable(l) >= 0 || (pic && pic_output(pic) && lapic_takes_extint(l)))
		vcpu_request(l->vcpu, REQ_EVENT);
}

/* An error: latched for ESR, and the LVT's error interrupt. Any thread. */
void lapic_error(struct lapic *l, u32 esr_bit)
{
	u32 was = __atomic_fetch_or(&l->esr_pending, esr_bit, __ATOMIC_SEQ_CST);

	/* An illegal vector of its own would go round in a circle. */
	if (!(was & esr_bit) && (lapic_reg(l, APIC_LVT_ERROR) & 0xff) >= 16)
		lapic_local_deliver(l, APIC_LVT_ERROR);
}

void lapic_update_counts(struct lapic *l)
{
	struct apic_map *map = l->vcpu->vm->apic_map;
	bool x2apic = lapic_x2apic(l);
	u32 lint0 = lapic_reg(l, APIC_LVT_LINT0);
	bool nmi = !(lint0 & APIC_LVT_MASKED) && APIC_LVT_MODE(lint0) == APIC_DM_NMI;

	if (!map)
		return;
	if (x2apic != l->x2apic)
		__atomic_fetch_add(&map->x2apic, x2apic ? 1u : -1u, __ATOMIC_SEQ_CST);
	if (nmi != l->lint0_nmi)
		__atomic_fetch_add(&map->lint0_nmi, nmi ? 1u : -1u, __ATOMIC_SEQ_CST);
	l->x2apic = x2apic;
	l->lint0_nmi = nmi;
	if (!x2apic && lapic_reg(l, APIC_ID) >> 24 != (l->vcpu->id & 0xff))
		__atomic_store_n(&map->id_changed, 1, __ATOMIC_SEQ_CST);
}

bool lapic_eoi_concerns(struct lapic *l, u8 vector)
{
	struct vm *vm = l->vcpu->vm;

	if (vm->ioapic)
		return lapic_test_vector(l, APIC_TMR, vector) ||
		       ioapic_wants_eoi(vm->ioapic, vector);
	return vm->ioapic_pins && irq_user_ioapic_handles(l->vcpu, vector);
}

void lapic_eoi(struct lapic *l)
{
	int vector = lapic_highest(l, APIC_ISR);
	struct vm *vm = l->vcpu->vm;

	if (vector < 0)
		return;
	lapic_clear_vector(l, APIC_ISR, (u8)vector);
	if (!lapic_eoi_concerns(l, (u8)vector)) {
		/* ours alone */
	} else if (vm->ioapic) {
		host_mutex_lock(&vm->irq_lock);
		ioapic_eoi(vm->ioapic, (u8)vector);
		host_mutex_unlock(&vm->irq_lock);
	} else {
		l->vcpu->eoi_vector = (u8)vector;
		l->vcpu->wants |= WANT_IOAPIC_EOI;
		vcpu_request(l->vcpu, REQ_EVENT);
	}
	lapic_recheck(l);
}

void lapic_set_tpr(struct vcpu *v, u8 tpr)
{
	lapic_set_reg(v->lapic, APIC_TPR, tpr);
	if (unlikely(v->vapic_addr))
		vapic_to_guest(v);
	lapic_recheck(v->lapic);
}

u8 lapic_get_tpr(struct vcpu *v)
{
	return (u8)lapic_reg(v->lapic, APIC_TPR);
}

/* --- writes ---------------------------------------------------------------- */

static void send_ipi(struct lapic *l, u32 icr, u32 dest)
{
	struct apic_msg m;

	host_memset(&m, 0, sizeof(m));
	m.dest = dest;
	m.vector = (u8)icr;
	m.delivery = icr >> 8 & 7;
	m.logical = !!(icr & BIT(11));
	m.level = !!(icr & ICR_ASSERT);
	m.trig_level = !!(icr & ICR_LEVEL);
	m.shorthand = icr >> 18 & 3;
	m.inside = true;
	if (m.delivery <= APIC_DM_LOWEST && m.vector < 16) {
		lapic_error(l, APIC_ESR_SEND_VECTOR);
		return;
	}
	apic_deliver(l->vcpu->vm, l->vcpu, &m);
}

static void write_spiv(struct lapic *l, u32 val)
{
	u32 off;

	lapic_set_reg(l, APIC_SPIV, val & SPIV_WRITABLE);
	if (!(val & APIC_SPIV_ENABLED)) {
		lapic_timer_write_lvt(l, lapic_reg(l, APIC_LVT_TIMER) | APIC_LVT_MASKED);
		for (off = APIC_LVT_THERMAL; off <= APIC_LVT_ERROR; off += 0x10)
			lapic_set_reg(l, off, lapic_reg(l, off) | APIC_LVT_MASKED);
		lapic_set_reg(l, APIC_LVT_CMCI, lapic_reg(l, APIC_LVT_CMCI) | APIC_LVT_MASKED);
		lapic_update_counts(l);
	}
	lapic_recheck(l);
}

static void write_lvt(struct lapic *l, u32 off, u32 val)
{
	u32 bits = LVT_COMMON;

	if (off == APIC_LVT_TIMER)
		bits = lapic_timer_lvt_bits(l);
	else if (off == APIC_LVT_LINT0 || off == APIC_LVT_LINT1)
		bits |= LVT_MODE_BITS | LVT_LINT_BITS;
	else if (off != APIC_LVT_ERROR)
		bits |= LVT_MODE_BITS;
	if (!lapic_sw_enabled(l))
		val |= APIC_LVT_MASKED;
	val &= bits;
	if (off == APIC_LVT_TIMER)
		lapic_timer_write_lvt(l, val);
	else
		lapic_set_reg(l, off, val);
	if (off == APIC_LVT_LINT0) {
		lapic_update_counts(l);
		lapic_recheck(l);
		if (l->vcpu->vm->split_irqchip)		/* user space's PIC may have waited */
			vcpu_request(l->vcpu, REQ_EVENT);
	}
}

/* Registers that exist only as MMIO, or read-only in x2APIC mode. 0 or 1. */
static int write_xapic_only(struct lapic *l, u32 off, u32 val)
{
	if (lapic_x2apic(l))
		return 1;
	switch (off) {
	case APIC_ID:
		lapic_set_reg(l, APIC_ID, val & 0xff000000u);
		lapic_update_counts(l);
		return 0;
	case APIC_LDR:
		lapic_set_reg(l, APIC_LDR, val & 0xff000000u);
		return 0;
	case APIC_DFR:
		lapic_set_reg(l, APIC_DFR, val | 0x0fffffffu);
		return 0;
	case APIC_ICR2:
		lapic_set_reg(l, APIC_ICR2, val & 0xff000000u);
		return 0;
	}
	return 1;
}

/* A 32-bit write. 1: no such register, or a reserved bit. */
static int write_reg(struct lapic *l, u32 off, u32 val)
{
	switch (off) {
	case APIC_TPR:
		lapic_set_tpr(l->vcpu, (u8)val);
		return 0;
	case APIC_EOI:
		lapic_eoi(l);
		return 0;
	case APIC_SPIV:
		write_spiv(l, val);
		return 0;
	case APIC_ESR:
		if (lapic_x2apic(l) && val)
			return 1;
		lapic_set_reg(l, APIC_ESR,
			      __atomic_exchange_n(&l->esr_pending, 0, __ATOMIC_SEQ_CST));
		return 0;
	case APIC_ICR:
		val &= ~ICR_BUSY;
		lapic_set_reg(l, APIC_ICR, val);
		send_ipi(l, val, lapic_reg(l, APIC_ICR2) >> 24);
		return 0;
	case APIC_LVT_CMCI:
		if (!lapic_has_cmci(l))
			return 1;
		/* fall through */
	case APIC_LVT_TIMER:
	case APIC_LVT_THERMAL:
	case APIC_LVT_PMC:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		write_lvt(l, off, val);
		return 0;
	case APIC_TMICT:
		lapic_timer_write_tmict(l, val);
		return 0;
	case APIC_TDCR:
		lapic_timer_write_tdcr(l, val);
		return 0;
	case APIC_SELF_IPI:
		if (!lapic_x2apic(l) || val > 0xff)
			return 1;
		send_ipi(l, val | 1u << 18, 0);
		return 0;
	}
	return write_xapic_only(l, off, val);
}

/* --- reads ----------------------------------------------------------------- */

static bool readable(struct lapic *l, u32 off)
{
	switch (off) {
	case APIC_ID:
	case APIC_VERSION:
	case APIC_TPR:
	case APIC_PPR:
	case APIC_LDR:
	case APIC_SPIV:
	case APIC_ISR ... APIC_IRR + 0x70:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_LVT_TIMER ... APIC_TMCCT:
	case APIC_TDCR:
		return true;
	case APIC_APR:
	case APIC_DFR:
	case APIC_ICR2:
		return !lapic_x2apic(l);
	case APIC_LVT_CMCI:
		return lapic_has_cmci(l);
	}
	return false;
}

static u32 read_reg(struct lapic *l, u32 off)
{
	switch (off) {
	case APIC_VERSION:
		return VERSION | (lapic_has_cmci(l) ? 6u : 5u) << 16;
	case APIC_PPR:
		return lapic_ppr(l);
	case APIC_TMCCT:
		return lapic_timer_current_count(l);
	}
	return lapic_reg(l, off);
}

/* --- ways in ---------------------------------------------------------------- */

static void mmio_read(struct lapic *l, u32 off, u32 size, void *data)
{
	u32 val;

	host_memset(data, 0, size);
	if ((off & 15) + size > 4)
		return;
	if (!readable(l, off & ~15u)) {
		if (off != APIC_EOI)
			lapic_error(l, APIC_ESR_REGISTER);
		return;
	}
	val = read_reg(l, off & ~15u);
	host_memcpy(data, (u8 *)&val + (off & 15), size);
}

static void mmio_write(struct lapic *l, u32 off, u32 size, const void *data)
{
	u32 val;

	if (size != 4 || (off & 15))
		return;
	host_memcpy(&val, data, sizeof(val));
	if (write_reg(l, off, val) && !readable(l, off))
		lapic_error(l, APIC_ESR_REGISTER);
}

/* For user space that would rather patch the guest's code (KVM_TPR_ACCESS_REPORTING). */
static void report_tpr(struct vcpu *v, bool write)
{
	v->wants |= WANT_TPR_ACCESS;
	v->tpr_rip = v->rip;
	v->tpr_write = write;
	vcpu_request(v, REQ_EVENT);
}

int lapic_mmio(struct vcpu *v, u64 gpa, u32 size, void *data, bool write)
{
	struct lapic *l = v->lapic;
	u64 off = gpa - (v->apic_base & PAGE_MASK);

	if (!l || off >= PAGE_SIZE)
		return -EOPNOTSUPP;
	if (unlikely(v->pv_eoi_pending))
		pv_eoi_from_guest(v);
	if (unlikely(v->tpr_reporting) && (off & ~15ull) == APIC_TPR)
		report_tpr(v, write);
	/* Nobody at home: KVM's default quirk keeps the page from user space even so. */
	if (!lapic_hw_enabled(l) || lapic_x2apic(l)) {
		if (v->vm->disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE)
			return -EOPNOTSUPP;
		if (!write)
			host_memset(data, 0xff, size);
		return 0;
	}
	if (write)
		mmio_write(l, (u32)off, size, data);
	else
		mmio_read(l, (u32)off, size, data);
	return 0;
}

int lapic_x2apic_read(struct vcpu *v, u32 msr, u64 *val)
{
	struct lapic *l = v->lapic;
	u32 off = (msr - X2APIC_MSR) << 4;

	if (!l || msr - X2APIC_MSR > 0x3f || !lapic_x2apic(l) || !readable(l, off))
		return 1;
	if (unlikely(v->pv_eoi_pending))
		pv_eoi_from_guest(v);
	*val = read_reg(l, off);
	if (off == APIC_ICR)
		*val |= (u64)lapic_reg(l, APIC_ICR2) << 32;
	return 0;
}

int lapic_x2apic_write(struct vcpu *v, u32 msr, u64 val)
{
	struct lapic *l = v->lapic;
	u32 off = (msr - X2APIC_MSR) << 4;

	if (!l || msr - X2APIC_MSR > 0x3f || !lapic_x2apic(l))
		return 1;
	if (unlikely(v->pv_eoi_pending))
		pv_eoi_from_guest(v);
	if (off != APIC_ICR)
		return val >> 32 ? 1 : write_reg(l, off, (u32)val);
	if (val & X2APIC_ICR_RESERVED)
		return 1;
	val &= ~(u64)ICR_BUSY;
	lapic_set_reg(l, APIC_ICR, (u32)val);
	lapic_set_reg(l, APIC_ICR2, val >> 32);
	send_ipi(l, (u32)val, val >> 32);
	return 0;
}
