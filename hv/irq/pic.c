/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two 8259A interrupt controllers of a PC, the second cascaded into pin 2
 * of the first, with the edge/level control registers (ELCR) of later chipsets.
 *
 * Specification: Intel 8259A data sheet (order 231468); ELCR: Intel 82371
 * (PIIX) data sheet, ports 0x4d0 and 0x4d1. State as in struct kvm_pic_state.
 * 8080 mode, buffered mode and single mode do not occur in a PC and are
 * accepted without effect, as KVM does.
 */
#include "internal.h"
#include "lapic.h"

#define CASCADE_PIN 2
#define NO_PRIORITY 8

#define ICW1_INIT 0x10
#define ICW1_ICW4 0x01
#define ICW4_SFNM 0x10
#define ICW4_AUTO_EOI 0x02
#define OCW3 0x08
#define OCW3_POLL 0x04
#define OCW3_READ 0x02
#define OCW3_READ_ISR 0x01
#define OCW3_SET_SMM 0x40
#define OCW3_SMM 0x20

/* init_state of struct kvm_pic_state: which byte port 1 expects. */
enum { READY, WANT_ICW2, WANT_ICW3, WANT_ICW4 };

struct pic {
	struct vm *vm;
	struct kvm_pic_state chip[2];
	bool output;	/* INTR; read without the lock */
};

static const u8 elcr_mask[2] = { 0xf8, 0xde };	/* pins 0, 1, 2, 8 and 13 are edges */

/* Distance of the best set pin from the top of the rotation. */
static int best_priority(const struct kvm_pic_state *s, u8 pins)
{
	int p;

	for (p = 0; p < 8; p++)
		if (pins >> ((p + s->priority_add) & 7) & 1)
			return p;
	return NO_PRIORITY;
}

/* The pin this chip wants served now, or -1. */
static int wanted_pin(const struct pic *p, int which)
{
	const struct kvm_pic_state *s = &p->chip[which];
	int best = best_priority(s, s->irr & ~s->imr);
	u8 serving = s->isr;

	if (best == NO_PRIORITY)
		return -1;
	if (s->special_mask)
		serving &= ~s->imr;
	/* Fully nested over the cascade: the slave sorts out its own priorities. */
	if (s->special_fully_nested_mode && which == 0)
		serving &= ~BIT(CASCADE_PIN);
	if (best >= best_priority(s, serving))
		return -1;
	return (best + s->priority_add) & 7;
}

/* 1 taken, 0 coalesced with an earlier edge, -1 masked. */
static int set_pin(struct kvm_pic_state *s, int pin, int level)
{
	u8 bit = (u8)BIT(pin);
	int ret = 1;

	if (!level) {
		if (s->elcr & bit)
			s->irr &= ~bit;
		s->last_irr &= ~bit;
	} else {
		if ((s->elcr & bit) || !(s->last_irr & bit)) {
			ret = !(s->irr & bit);
			s->irr |= bit;
		}
		s->last_irr |= bit;
	}
	return s->imr & bit ? -1 : ret;
}

static void set_output(struct pic *p, bool output)
{
	bool rise = output && !p->output;

	__atomic_store_n(&p->output, output, __ATOMIC_SEQ_CST);
	if (rise)
		lapic_kick_extint(p->vm);
}

static void update(struct pic *p)
{
	if (wanted_pin(p, 1) >= 0) {
		set_pin(&p->chip[0], CASCADE_PIN, 1);
		set_pin(&p->chip[0], CASCADE_PIN, 0);
	}
	set_output(p, wanted_pin(p, 0) >= 0);
}

int pic_set_irq(struct pic *p, int pin, int level)
{
	int ret = set_pin(&p->chip[pin >> 3 & 1], pin & 7, level);

	update(p);
	return ret;
}

bool pic_output(struct pic *p)
{
	return __atomic_load_n(&p->output, __ATOMIC_SEQ_CST);
}

static void end_of_interrupt(struct pic *p, int which, int pin)
{
	p->chip[which].isr &= ~BIT(pin);
	irq_notify_ack(p->vm, which ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER, (u32)pin);
}

static void take(struct pic *p, int which, int pin)
{
	struct kvm_pic_state *s = &p->chip[which];

	s->isr |= BIT(pin);
	if (!(s->elcr & BIT(pin)))
		s->irr &= ~BIT(pin);
	if (s->auto_eoi) {
		if (s->rotate_on_auto_eoi)
			s->priority_add = (pin + 1) & 7;
		end_of_interrupt(p, which, pin);
	}
}

/* The vector that pic_ack() would give. */
int pic_peek(struct pic *p)
{
	int pin = wanted_pin(p, 0), slave = wanted_pin(p, 1);

	if (pin != CASCADE_PIN)
		return p->chip[0].irq_base + (pin < 0 ? 7 : pin);
	return p->chip[1].irq_base + (slave < 0 ? 7 : slave);
}

int pic_ack(struct pic *p)
{
	int vector = pic_peek(p), pin = wanted_pin(p, 0), slave;

	/* A request that went away is answered by the spurious pin 7. */
	if (pin >= 0)
		take(p, 0, pin);
	if (pin == CASCADE_PIN) {
		slave = wanted_pin(p, 1);
		if (slave >= 0)
			take(p, 1, slave);
	}
	__atomic_store_n(&p->output, false, __ATOMIC_SEQ_CST);
	update(p);
	return vector & 0xff;
}

static void init_chip(struct pic *p, int which, u8 icw1)
{
	struct kvm_pic_state *s = &p->chip[which];
	u8 dropped = s->isr | (s->irr & ~s->elcr);
	int pin;

	s->last_irr = 0;
	s->irr &= s->elcr;
	s->imr = 0;
	s->isr = 0;
	s->priority_add = 0;
	s->special_mask = 0;
	s->read_reg_select = 0;
	s->poll = 0;
	s->init4 = icw1 & ICW1_ICW4;
	if (!s->init4) {
		s->special_fully_nested_mode = 0;
		s->auto_eoi = 0;
	}
	s->init_state = WANT_ICW2;
	for (pin = 0; pin < 8; pin++)
		if (dropped >> pin & 1)
			end_of_interrupt(p, which, pin);
}

static void write_ocw2(struct pic *p, int which, u8 val)
{
	struct kvm_pic_state *s = &p->chip[which];
	int pin = val & 7, best = best_priority(s, s->isr);
	bool rotate = val & 0x80, specific = val & 0x40, eoi = val & 0x20;

	if (!eoi) {
		if (!specific)
			s->rotate_on_auto_eoi = rotate;
		else if (rotate)
			s->priority_add = (pin + 1) & 7;
		return;
	}
	if (!specific) {
		if (best == NO_PRIORITY)
			return;
		pin = (best + s->priority_add) & 7;
	}
	if (rotate)
		s->priority_add = (pin + 1) & 7;
	end_of_interrupt(p, which, pin);
}

static void write_command(struct pic *p, int which, u8 val)
{
	struct kvm_pic_state *s = &p->chip[which];

	if (val & ICW1_INIT) {
		init_chip(p, which, val);
	} else if (val & OCW3) {
		if (val & OCW3_POLL)
			s->poll = 1;
		if (val & OCW3_READ)
			s->read_reg_select = val & OCW3_READ_ISR;
		if (val & OCW3_SET_SMM)
			s->special_mask = !!(val & OCW3_SMM);
	} else {
		write_ocw2(p, which, val);
	}
	update(p);
}

static void write_mask(struct pic *p, int which, u8 val)
{
	struct kvm_pic_state *s = &p->chip[which];
	u8 opened = s->imr & ~val;
	u32 pin;

	s->imr = val;
	for (pin = 0; pin < 8; pin++)
		if (opened >> pin & 1)
			irq_notify_unmask(p->vm,
					  which ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER,
					  pin);
	update(p);
}

static void write_data(struct pic *p, int which, u8 val)
{
	struct kvm_pic_state *s = &p->chip[which];

	switch (s->init_state) {
	case WANT_ICW2:
		s->irq_base = val & 0xf8;
		s->init_state = WANT_ICW3;
		break;
	case WANT_ICW3:
		s->init_state = s->init4 ? WANT_ICW4 : READY;
		break;
	case WANT_ICW4:
		s->special_fully_nested_mode = !!(val & ICW4_SFNM);
		s->auto_eoi = !!(val & ICW4_AUTO_EOI);
		s->init_state = READY;
		break;
	default:
		write_mask(p, which, val);
	}
}

/* The poll command: the read acknowledges, as INTA would. */
static u8 read_poll(struct pic *p, int which)
{
	struct kvm_pic_state *s = &p->chip[which];
	int pin = wanted_pin(p, which);

	s->poll = 0;
	if (pin < 0) {
		update(p);
		return 0x07;
	}
	if (which) {
		p->chip[0].isr &= ~BIT(CASCADE_PIN);
		p->chip[0].irr &= ~BIT(CASCADE_PIN);
	}
	s->irr &= ~BIT(pin);
	end_of_interrupt(p, which, pin);
	if (which || pin != CASCADE_PIN)
		update(p);
	return (u8)pin;
}

static u8 read_port(struct pic *p, int which, bool data)
{
	struct kvm_pic_state *s = &p->chip[which];

	if (s->poll)
		return read_poll(p, which);
	if (data)
		return s->imr;
	return s->read_reg_select ? s->isr : s->irr;
}

static void access(struct pic *p, u16 port, u8 *val, bool write)
{
	int which = port == 0x4d0 || port == 0x4d1 ? port & 1 : port >> 7 & 1;
	struct kvm_pic_state *s = &p->chip[which];

	if (port >= 0x4d0) {
		if (write)
			s->elcr = *val & elcr_mask[which];
		else
			*val = s->elcr;
	} else if (!write) {
		*val = read_port(p, which, port & 1);
	} else if (port & 1) {
		write_data(p, which, *val);
	} else {
		write_command(p, which, *val);
	}
}

int pic_io(struct pic *p, u16 port, u32 size, void *data, bool write)
{
	switch (port) {
	case 0x20: case 0x21: case 0xa0: case 0xa1: case 0x4d0: case 0x4d1:
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (size != 1) {
		if (!write)
			host_memset(data, 0, size);
		return 0;
	}
	access(p, port, data, write);
	return 0;
}

void pic_get_state(struct pic *p, int which, struct kvm_pic_state *s)
{
	host_memcpy(s, &p->chip[which & 1], sizeof(*s));
}

void pic_set_state(struct pic *p, int which, const struct kvm_pic_state *s)
{
	struct kvm_pic_state *mine = &p->chip[which & 1];

	host_memcpy(mine, s, sizeof(*s));
	mine->priority_add &= 7;
	mine->elcr_mask = elcr_mask[which & 1];
	update(p);
}

struct pic *pic_create(struct vm *vm)
{
	struct pic *p = host_zalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->vm = vm;
	p->chip[0].elcr_mask = elcr_mask[0];
	p->chip[1].elcr_mask = elcr_mask[1];
	return p;
}

void pic_destroy(struct pic *p)
{
	host_free(p);
}
