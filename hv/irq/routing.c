/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Global system interrupts: the table from GSIs to pins of the PIC and IOAPIC
 * and to MSIs, and driving a GSI through it.
 *
 * Specification: virt/kvm/api.rst, KVM_SET_GSI_ROUTING, KVM_IRQ_LINE and
 * KVM_SIGNAL_MSI; MSI address and data: Intel SDM vol. 3, "Message Signalled
 * Interrupts", with bits 31:8 of the destination in the upper address half
 * when KVM_CAP_X2APIC_API asked for that.
 *
 * A GSI has at most one route to each chip, or a single MSI. Everything is
 * guarded by vm->irq_lock; an MSI is delivered after its release.
 */
#include "lapic.h"

#define CHIPS 3			/* KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE, _IOAPIC */
#define PIC_PINS 8
#define MSI_LEVEL BIT(15)

struct route {
	u32 type;		/* KVM_IRQ_ROUTING_* */
	union {
		struct kvm_irq_routing_irqchip chip;
		struct kvm_irq_routing_msi msi;
	};
};

struct gsi_routes {
	u32 count;
	struct route route[CHIPS];
};

struct irq_routing {
	struct gsi_routes *gsi;
	u32 count;
	s16 gsi_of[CHIPS][IOAPIC_PINS];		/* by chip and pin, -1: none */
	u8 asserting[CHIPS][IOAPIC_PINS];	/* which sources, a bit each */
};

/* --- MSIs ------------------------------------------------------------------- */

static bool msi_valid(struct vm *vm, u32 address_hi)
{
	return !vm->x2apic_api_32bit || !(address_hi & 0xff);
}

static void msi_message(struct vm *vm, u32 lo, u32 hi, u32 data, struct apic_msg *m)
{
	host_memset(m, 0, sizeof(*m));
	m->dest = lo >> 12 & 0xff;
	if (vm->x2apic_api_32bit)
		m->dest |= hi & ~0xffu;
	m->vector = (u8)data;
	m->delivery = data >> 8 & 7;
	/* The redirection hint: any one of the CPUs named. */
	if (m->delivery == APIC_DM_FIXED && (lo & BIT(3)))
		m->delivery = APIC_DM_LOWEST;
	m->logical = !!(lo & BIT(2));
	m->level = true;
	m->trig_level = !!(data & MSI_LEVEL);
	m->broadcast_x2 = !vm->x2apic_no_broadcast_quirk;
}

static int deliver_msi(struct vm *vm, u32 lo, u32 hi, u32 data)
{
	struct apic_msg m;

	msi_message(vm, lo, hi, data, &m);
	return apic_deliver(vm, NULL, &m);
}

int irq_send_msi(struct vm *vm, const struct kvm_msi *msi)
{
	if (!vm->irqchip && !vm->split_irqchip)
		return -EINVAL;
	if ((msi->flags & ~KVM_MSI_VALID_DEVID) || !msi_valid(vm, msi->address_hi))
		return -EINVAL;
	return deliver_msi(vm, msi->address_lo, msi->address_hi, msi->data);
}

/* --- driving a GSI ------------------------------------------------------------ */

static const struct gsi_routes *find(struct vm *vm, u32 gsi)
{
	struct irq_routing *r = vm->routing;

	return r && gsi < r->count ? &r->gsi[gsi] : NULL;
}

/* The level of a pin once source drives it to level. */
static int line_level(struct irq_routing *r, const struct kvm_irq_routing_irqchip *c,
		      enum irq_source source, int level)
{
	u8 *sources = &r->asserting[c->irqchip][c->pin];

	if (level)
		*sources |= BIT(source);
	else
		*sources &= ~BIT(source);
	return !!*sources;
}

static int drive_pin(struct vm *vm, const struct kvm_irq_routing_irqchip *c,
		     enum irq_source source, int level)
{
	level = line_level(vm->routing, c, source, level);
	if (c->irqchip == KVM_IRQCHIP_IOAPIC)
		return vm->ioapic ? ioapic_set_irq(vm->ioapic, (int)c->pin, level) : -1;
	if (!vm->pic)
		return -1;
	return pic_set_irq(vm->pic, (int)(c->irqchip * PIC_PINS + c->pin), level);
}

static int drive_route(struct vm *vm, const struct route *r, enum irq_source source, int level)
{
	if (r->type == KVM_IRQ_ROUTING_IRQCHIP)
		return drive_pin(vm, &r->chip, source, level);
	if (!level || !msi_valid(vm, r->msi.address_hi))
		return -1;
	return deliver_msi(vm, r->msi.address_lo, r->msi.address_hi, r->msi.data);
}

int irq_drive_locked(struct vm *vm, enum irq_source source, u32 gsi, int level)
{
	const struct gsi_routes *g = find(vm, gsi);
	int ret = -1, one;
	u32 i;

	for (i = 0; g && i < g->count; i++) {
		one = drive_route(vm, &g->route[i], source, level);
		if (one >= 0)
			ret = MAX(ret, 0) + one;
	}
	return ret;
}

int irq_pulse_locked(struct vm *vm, enum irq_source source, u32 gsi)
{
	int ret = irq_drive_locked(vm, source, gsi, 1);

	irq_drive_locked(vm, source, gsi, 0);
	return ret;
}

/* True when the GSI is an MSI, copied to *msi. */
static bool is_msi(struct vm *vm, u32 gsi, struct route *msi)
{
	const struct gsi_routes *g = find(vm, gsi);

	if (!g || g->count != 1 || g->route[0].type != KVM_IRQ_ROUTING_MSI)
		return false;
	host_memcpy(msi, &g->route[0], sizeof(*msi));
	return true;
}

int irq_drive(struct vm *vm, enum irq_source source, u32 gsi, int level)
{
	struct route msi;
	int ret = 0;
	bool is;

	host_mutex_lock(&vm->irq_lock);
	is = is_msi(vm, gsi, &msi);
	if (!is)
		ret = irq_drive_locked(vm, source, gsi, level);
	host_mutex_unlock(&vm->irq_lock);
	return is ? drive_route(vm, &msi, source, level) : ret;
}

int irq_pulse(struct vm *vm, enum irq_source source, u32 gsi)
{
	struct route msi;
	int ret = 0;
	bool is;

	host_mutex_lock(&vm->irq_lock);
	is = is_msi(vm, gsi, &msi);
	if (!is)
		ret = irq_pulse_locked(vm, source, gsi);
	host_mutex_unlock(&vm->irq_lock);
	return is ? drive_route(vm, &msi, source, 1) : ret;
}

int irq_set_gsi(struct vm *vm, u32 gsi, int level)
{
	return irq_drive(vm, IRQ_SOURCE_USER, gsi, level);
}

/* --- back from pins to GSIs ---------------------------------------------------- */

static int pin_to_gsi(struct vm *vm, u32 chip, u32 pin)
{
	struct irq_routing *r = vm->routing;

	return r && chip < CHIPS && pin < IOAPIC_PINS ? r->gsi_of[chip][pin] : -1;
}

void irq_notify_ack(struct vm *vm, u32 chip, u32 pin)
{
	int gsi = pin_to_gsi(vm, chip, pin);

	if (gsi < 0)
		return;
	if (gsi == 0 && vm->pit)
		pit_ack(vm->pit);
	irqfd_notify_eoi(vm, (u32)gsi);
}

void irq_notify_unmask(struct vm *vm, u32 chip, u32 pin)
{
	if (vm->pit && pin_to_gsi(vm, chip, pin) == 0)
		pit_unmasked(vm->pit);
}

bool irq_pin_watched(struct vm *vm, u32 pin)
{
	int gsi = pin_to_gsi(vm, KVM_IRQCHIP_IOAPIC, pin);

	if (gsi < 0)
		return false;
	return (gsi == 0 && vm->pit && pit_wants_ack(vm->pit)) || irqfd_resamples(vm, (u32)gsi);
}

/* --- user space's IOAPIC -------------------------------------------------------- */

static bool sends(struct vcpu *v, const struct route *r, u8 vector)
{
	struct apic_msg m;

	if (r->type != KVM_IRQ_ROUTING_MSI || (u8)r->msi.data != vector)
		return false;
	msi_message(v->vm, r->msi.address_lo, r->msi.address_hi, r->msi.data, &m);
	/* One that was delivered as level may have been routed elsewhere since. */
	return m.trig_level && (lapic_matches(v->lapic, NULL, &m) ||
				lapic_test_vector(v->lapic, APIC_TMR, vector));
}

/* Under vm->irq_lock. */
static void note_vectors(struct vm *vm, const struct irq_routing *r)
{
	u64 set[4] = { 0, 0, 0, 0 };
	u32 gsi, i;

	for (gsi = 0; gsi < MIN(r->count, vm->ioapic_pins); gsi++)
		for (i = 0; i < r->gsi[gsi].count; i++) {
			const struct route *e = &r->gsi[gsi].route[i];

			if (e->type == KVM_IRQ_ROUTING_MSI && e->msi.data & MSI_LEVEL)
				set[(u8)e->msi.data / 64] |= BIT64(e->msi.data % 64);
		}
	for (i = 0; i < 4; i++)
		__atomic_store_n(&vm->ioapic_vectors[i], set[i], __ATOMIC_SEQ_CST);
}

bool irq_user_ioapic_handles(struct vcpu *v, u8 vector)
{
	u64 set = __atomic_load_n(&v->vm->ioapic_vectors[vector / 64], __ATOMIC_SEQ_CST);
	struct irq_routing *r;
	bool found = false;
	u32 gsi, i;

	if (!(set >> (vector % 64) & 1))
		return false;
	host_mutex_lock(&v->vm->irq_lock);
	r = v->vm->routing;
	for (gsi = 0; r && !found && gsi < MIN(r->count, v->vm->ioapic_pins); gsi++)
		for (i = 0; i < r->gsi[gsi].count; i++)
			found |= sends(v, &r->gsi[gsi].route[i], vector);
	host_mutex_unlock(&v->vm->irq_lock);
	return found;
}

/* --- the table -------------------------------------------------------------------- */

static void free_table(struct irq_routing *r)
{
	if (r)
		host_free(r->gsi);
	host_free(r);
}

static bool chip_route_valid(struct vm *vm, const struct kvm_irq_routing_irqchip *c)
{
	if (vm->split_irqchip)
		return false;
	switch (c->irqchip) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return c->pin < PIC_PINS;
	case KVM_IRQCHIP_IOAPIC:
		return c->pin < IOAPIC_PINS;
	}
	return false;
}

/* One route to each chip, or a single MSI. */
static bool fits_beside(const struct gsi_routes *g, const struct kvm_irq_routing_entry *e)
{
	u32 i;

	for (i = 0; i < g->count; i++)
		if (g->route[i].type != KVM_IRQ_ROUTING_IRQCHIP ||
		    e->type != KVM_IRQ_ROUTING_IRQCHIP ||
		    g->route[i].chip.irqchip == e->u.irqchip.irqchip)
			return false;
	return g->count < CHIPS;
}

static int add_entry(struct vm *vm, struct irq_routing *r, const struct kvm_irq_routing_entry *e)
{
	struct gsi_routes *g = &r->gsi[e->gsi];
	struct route *to = &g->route[g->count];

	if (!fits_beside(g, e))
		return -EINVAL;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (e->flags || !chip_route_valid(vm, &e->u.irqchip))
			return -EINVAL;
		to->chip = e->u.irqchip;
		r->gsi_of[to->chip.irqchip][to->chip.pin] = (s16)e->gsi;
		break;
	case KVM_IRQ_ROUTING_MSI:
		if ((e->flags & ~KVM_MSI_VALID_DEVID) || !msi_valid(vm, e->u.msi.address_hi))
			return -EINVAL;
		to->msi = e->u.msi;
		break;
	default:
		return -EINVAL;
	}
	to->type = e->type;
	g->count++;
	return 0;
}

static struct irq_routing *make_table(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 n,
				      int *err)
{
	struct irq_routing *r = host_zalloc(sizeof(*r));
	u32 i;

	*err = -ENOMEM;
	if (!r)
		return NULL;
	for (i = 0; i < n; i++)
		r->count = MAX(r->count, e[i].gsi + 1);
	r->gsi = host_zalloc(MAX(r->count, 1u) * sizeof(*r->gsi));
	if (!r->gsi)
		goto fail;
	host_memset(r->gsi_of, 0xff, sizeof(r->gsi_of));
	for (i = 0; i < n; i++) {
		*err = add_entry(vm, r, &e[i]);
		if (*err)
			goto fail;
	}
	*err = 0;
	return r;
fail:
	free_table(r);
	return NULL;
}

static int install(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 n)
{
	struct irq_routing *new, *old;
	int err;

	new = make_table(vm, e, n, &err);
	if (!new)
		return err;
	host_mutex_lock(&vm->irq_lock);
	old = vm->routing;
	if (old)	/* lines keep their level */
		host_memcpy(new->asserting, old->asserting, sizeof(new->asserting));
	vm->routing = new;
	note_vectors(vm, new);
	if (vm->ioapic)
		ioapic_update_watch(vm->ioapic);
	host_mutex_unlock(&vm->irq_lock);
	free_table(old);
	return 0;
}

int routing_set(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 n)
{
	u32 i;

	if ((!vm->irqchip && !vm->split_irqchip) || n > VM_MAX_GSI)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (e[i].gsi >= VM_MAX_GSI)
			return -EINVAL;
	return install(vm, e, n);
}

/* GSIs 0..15 go to the PIC's pin and the IOAPIC's of that number, 16..23 to the latter. */
int routing_create(struct vm *vm)
{
	struct kvm_irq_routing_entry *e, *to;
	int err;
	u32 gsi;

	e = host_zalloc((IOAPIC_PINS + 2 * PIC_PINS) * sizeof(*e));
	if (!e)
		return -ENOMEM;
	to = e;
	for (gsi = 0; gsi < IOAPIC_PINS; gsi++, to++) {
		to->gsi = gsi;
		to->type = KVM_IRQ_ROUTING_IRQCHIP;
		to->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		to->u.irqchip.pin = gsi;
	}
	for (gsi = 0; gsi < 2 * PIC_PINS; gsi++, to++) {
		to->gsi = gsi;
		to->type = KVM_IRQ_ROUTING_IRQCHIP;
		to->u.irqchip.irqchip = gsi / PIC_PINS;
		to->u.irqchip.pin = gsi % PIC_PINS;
	}
	err = install(vm, e, (u32)(to - e));
	host_free(e);
	return err;
}

int routing_create_empty(struct vm *vm)
{
	return install(vm, NULL, 0);
}

void routing_destroy(struct vm *vm)
{
	free_table(vm->routing);
	vm->routing = NULL;
}
