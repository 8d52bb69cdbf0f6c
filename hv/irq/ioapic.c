/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The I/O APIC: 24 pins, each with a redirection entry that makes an APIC
 * message of it.
 *
 * Specification: Intel 82093AA data sheet (order 290566), with version 0x11:
 * no EOI register, so the end of a level-triggered interrupt comes as the
 * LAPICs' broadcast. State as in struct kvm_ioapic_state. A pin's level is
 * "asserted" or not: the polarity bit is kept for the guest and has no effect,
 * as in KVM.
 */
#include "internal.h"

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define MMIO_LENGTH 0x100

#define INDEX_ID 0
#define INDEX_VERSION 1
#define INDEX_ARBITRATION 2
#define INDEX_REDIR 0x10

#define VERSION 0x11

#define RTE_VECTOR(e) ((u8)(e))
#define RTE_DELIVERY(e) ((u8)((e) >> 8 & 7))
#define RTE_LOGICAL BIT64(11)
#define RTE_STATUS BIT64(12)
#define RTE_REMOTE_IRR BIT64(14)
#define RTE_LEVEL BIT64(15)
#define RTE_MASKED BIT64(16)
#define RTE_DEST(e) ((u8)((e) >> 56))
#define RTE_READ_ONLY (RTE_STATUS | RTE_REMOTE_IRR)

/*
 * A line that is still asserted after its EOI interrupts anew at once. When
 * that went on for this long, the guest gets time to do something else.
 */
#define STORM_COUNT 10000
#define STORM_DELAY_NS 10000000ull

struct ioapic {
	struct vm *vm;
	u64 base_address;
	u32 select, id;
	u32 irr;		/* asserted lines */
	u32 delivered;		/* edges that went out */
	u64 redir[IOAPIC_PINS];
	u32 again[IOAPIC_PINS];	/* EOIs in a row with the line asserted */
	u64 watch[4];		/* vectors whose EOI matters; read without the lock */
	struct host_timer storm;
};

static int service(struct ioapic *io, u32 pin)
{
	u64 e = io->redir[pin];
	struct apic_msg m;
	int n;

	if ((e & RTE_MASKED) || ((e & RTE_LEVEL) && (e & RTE_REMOTE_IRR)))
		return -1;
	host_memset(&m, 0, sizeof(m));
	m.dest = RTE_DEST(e);
	m.vector = RTE_VECTOR(e);
	m.delivery = RTE_DELIVERY(e);
	m.logical = !!(e & RTE_LOGICAL);
	m.level = true;
	m.trig_level = !!(e & RTE_LEVEL);
	m.broadcast_x2 = !io->vm->x2apic_no_broadcast_quirk;
	if (!(e & RTE_LEVEL))
		io->delivered |= BIT(pin);
	/* Its EOI waits for vm->irq_lock, thus for the bit below. */
	n = apic_deliver(io->vm, NULL, &m);
	if (n && (e & RTE_LEVEL))
		io->redir[pin] |= RTE_REMOTE_IRR;
	return n;
}

int ioapic_set_irq(struct ioapic *io, int pin, int level)
{
	u32 bit = BIT(pin);
	bool was = io->irr & bit;

	if (!level) {
		io->irr &= ~bit;
		return 1;
	}
	io->irr |= bit;
	if (!(io->redir[pin] & RTE_LEVEL)) {
		io->delivered &= ~bit;
		if (was)
			return 0;
	}
	return service(io, (u32)pin);
}

bool ioapic_wants_eoi(struct ioapic *io, u8 vector)
{
	return __atomic_load_n(&io->watch[vector / 64], __ATOMIC_SEQ_CST) >> (vector % 64) & 1;
}

void ioapic_update_watch(struct ioapic *io)
{
	u64 watch[4] = { 0, 0, 0, 0 };
	u32 pin, i;
	u8 v;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		v = RTE_VECTOR(io->redir[pin]);
		if ((io->redir[pin] & RTE_LEVEL) || irq_pin_watched(io->vm, pin))
			watch[v / 64] |= BIT64(v % 64);
	}
	for (i = 0; i < 4; i++)
		__atomic_store_n(&io->watch[i], watch[i], __ATOMIC_SEQ_CST);
}

static void eoi_pin(struct ioapic *io, u32 pin)
{
	irq_notify_ack(io->vm, KVM_IRQCHIP_IOAPIC, pin);
	if (!(io->redir[pin] & RTE_LEVEL))
		return;
	io->redir[pin] &= ~RTE_REMOTE_IRR;
	if ((io->redir[pin] & RTE_MASKED) || !(io->irr & BIT(pin))) {
		io->again[pin] = 0;
	} else if (++io->again[pin] < STORM_COUNT) {
		service(io, pin);
	} else {
		io->again[pin] = 0;
		host_timer_set(&io->storm, host_monotonic_ns() + STORM_DELAY_NS);
	}
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (RTE_VECTOR(io->redir[pin]) == vector)
			eoi_pin(io, pin);
}

/* On the poller's thread: serves the lines that eoi_pin() put off. */
static void storm_over(void *arg)
{
	struct ioapic *io = arg;
	u32 pin;

	host_mutex_lock(&io->vm->irq_lock);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if ((io->redir[pin] & RTE_LEVEL) && (io->irr & BIT(pin)))
			service(io, pin);
	host_mutex_unlock(&io->vm->irq_lock);
}

static u32 read_window(const struct ioapic *io)
{
	u32 pin = (io->select - INDEX_REDIR) >> 1;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return (io->id & 0xf) << 24;
	case INDEX_VERSION:
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	}
	if (io->select < INDEX_REDIR || pin >= IOAPIC_PINS)
		return ~0u;
	return (u32)(io->select & 1 ? io->redir[pin] >> 32 : io->redir[pin]);
}

static void write_redir(struct ioapic *io, u32 pin, u32 val, bool high)
{
	u64 old = io->redir[pin], e;

	if (high)
		e = (u32)old | (u64)val << 32;
	else
		e = (old & ~0xffffffffull) | (val & ~(u32)RTE_READ_ONLY) | (old & RTE_READ_ONLY);
	/*
	 * Guests make a level entry an edge one and back to end its interrupt
	 * where there is no EOI register.
	 */
	if (!(e & RTE_LEVEL))
		e &= ~RTE_REMOTE_IRR;
	io->redir[pin] = e;
	ioapic_update_watch(io);
	if ((old & RTE_MASKED) && !(e & RTE_MASKED))
		irq_notify_unmask(io->vm, KVM_IRQCHIP_IOAPIC, pin);
	if ((e & RTE_LEVEL) && (io->irr & BIT(pin)))
		service(io, pin);
}

static void write_window(struct ioapic *io, u32 val)
{
	u32 pin = (io->select - INDEX_REDIR) >> 1;

	if (io->select == INDEX_ID)
		io->id = val >> 24 & 0xf;
	else if (io->select >= INDEX_REDIR && pin < IOAPIC_PINS)
		write_redir(io, pin, val, io->select & 1);
}

static void write_reg(struct ioapic *io, u32 offset, const void *data, u32 size)
{
	u32 val = 0;

	host_memcpy(&val, data, MIN(size, sizeof(val)));
	if (offset == REG_SELECT)
		io->select = val & 0xff;
	else if (offset == REG_WINDOW)
		write_window(io, val);
}

static void read_reg(struct ioapic *io, u32 offset, void *data, u32 size)
{
	u32 val = 0;

	if (offset == REG_SELECT)
		val = io->select;
	else if (offset == REG_WINDOW)
		val = read_window(io);
	host_memset(data, 0, size);
	host_memcpy(data, &val, MIN(size, sizeof(val)));
}

int ioapic_mmio(struct ioapic *io, u64 gpa, u32 size, void *data, bool write)
{
	u64 offset = gpa - IOAPIC_BASE;

	if (offset >= MMIO_LENGTH)
		return -EOPNOTSUPP;
	if (write)
		write_reg(io, (u32)offset, data, size);
	else
		read_reg(io, (u32)offset, data, size);
	return 0;
}

void ioapic_get_state(struct ioapic *io, struct kvm_ioapic_state *s)
{
	u32 pin;

	host_memset(s, 0, sizeof(*s));
	s->base_address = io->base_address;
	s->ioregsel = io->select;
	s->id = io->id;
	s->irr = io->irr & ~io->delivered;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		s->redirtbl[pin].bits = io->redir[pin];
}

void ioapic_set_state(struct ioapic *io, const struct kvm_ioapic_state *s)
{
	u32 pin;

	io->base_address = s->base_address;
	io->select = s->ioregsel & 0xff;
	io->id = s->id;
	io->irr = 0;
	io->delivered = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = s->redirtbl[pin].bits;
	ioapic_update_watch(io);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (s->irr & BIT(pin))
			ioapic_set_irq(io, (int)pin, 1);
}

struct ioapic *ioapic_create(struct vm *vm)
{
	struct ioapic *io = host_zalloc(sizeof(*io));
	u32 pin;

	if (!io)
		return NULL;
	io->vm = vm;
	io->base_address = IOAPIC_BASE;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = RTE_MASKED;
	host_timer_init(&io->storm, vm->poller, storm_over, io);
	return io;
}

/* Under no lock: waits for the timer's callback. */
void ioapic_destroy(struct ioapic *io)
{
	if (!io)
		return;
	host_timer_cancel(&io->storm);
	host_free(io);
}
