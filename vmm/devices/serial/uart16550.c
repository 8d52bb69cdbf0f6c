/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The 16550A UART (data sheet PC16550D). Characters are sent the moment the
 * guest writes them, so the transmitter is always empty; received ones wait in
 * a FIFO of 16 and beyond that with the backend, so none is ever overrun. The
 * rate is of no effect. The receive time-out is immediate.
 */
#include <pthread.h>
#include <stdlib.h>

#include "uart16550.h"

#define FIFO_SIZE 16

enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };
#define REG_FCR REG_IIR

#define IER_RX (1 << 0)
#define IER_TX (1 << 1)
#define IER_LINE (1 << 2)
#define IER_MODEM (1 << 3)

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_TX 0x02
#define IIR_RX 0x04
#define IIR_TIMEOUT 0x0c
#define IIR_LINE 0x06
#define IIR_FIFO 0xc0

#define FCR_ENABLE (1 << 0)
#define FCR_CLEAR_RX (1 << 1)

#define LCR_DLAB (1 << 7)

#define MCR_LOOP (1 << 4)

#define LSR_DATA (1 << 0)
#define LSR_OVERRUN (1 << 1)
#define LSR_BREAK (1 << 4)
#define LSR_TX_EMPTY ((1 << 5) | (1 << 6))

#define MSR_DELTA 0x0f
#define MSR_DELTA_RI (1 << 2)
#define MSR_RI (1 << 6)
#define MSR_CONNECTED 0xb0	/* CTS, DSR, DCD */

struct uart {
	struct chardev *line;
	struct irq_line irq;

	pthread_mutex_t lock;
	u8 ier, lcr, mcr, lsr, msr, scr, fcr, dll, dlm;
	bool tx_pending;	/* transmitter-empty interrupt not yet seen */
	bool irq_level;
	bool backlog;		/* the backend has more than the FIFO took */
	u8 fifo[FIFO_SIZE];
	unsigned int head, count;
};

static unsigned int fifo_size(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned int trigger(const struct uart *u)
{
	static const u8 level[4] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* The pending interrupt of highest priority, as IIR gives it. */
static u8 pending(const struct uart *u)
{
	if ((u->ier & IER_LINE) && (u->lsr & (LSR_BREAK | LSR_OVERRUN)))
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->count)
		return u->count >= trigger(u) ? IIR_RX : IIR_TIMEOUT;
	if ((u->ier & IER_TX) && u->tx_pending)
		return IIR_TX;
	if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct uart *u)
{
	bool level = pending(u) != IIR_NONE;

	if (level == u->irq_level)
		return;
	u->irq_level = level;
	irq_set(&u->irq, level);
}

static void push(struct uart *u, u8 c)
{
	if (u->count == fifo_size(u)) {
		u->lsr |= LSR_OVERRUN;	/* looped back only */
		return;
	}
	u->fifo[(u->head + u->count++) % FIFO_SIZE] = c;
}

static u8 pop(struct uart *u)
{
	u8 c = u->fifo[u->head];

	if (!u->count)
		return 0;
	u->head = (u->head + 1) % FIFO_SIZE;
	u->count--;
	return c;
}

/* The modem inputs; looped back they are the outputs. */
static void update_modem(struct uart *u)
{
	u8 now = MSR_CONNECTED, changed;

	if (u->mcr & MCR_LOOP)
		now = (u8)((u->mcr & 1) << 5 | (u->mcr & 2) << 3 | (u->mcr & 0x0c) << 4);
	changed = (u8)((now ^ u->msr) >> 4);
	/* of the ring indicator only the trailing edge counts */
	if (now & MSR_RI)
		changed &= (u8)~MSR_DELTA_RI;
	u->msr = now | (u->msr & MSR_DELTA) | changed;
}

static u8 read_iir(struct uart *u)
{
	u8 iir = pending(u);

	if (iir == IIR_TX)
		u->tx_pending = false;
	return iir | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_reg(struct uart *u, u64 reg)
{
	u8 v;

	switch (reg) {
	case REG_DATA:
		return u->lcr & LCR_DLAB ? u->dll : pop(u);
	case REG_IER:
		return u->lcr & LCR_DLAB ? u->dlm : u->ier;
	case REG_IIR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		v = u->lsr | LSR_TX_EMPTY | (u->count ? LSR_DATA : 0);
		u->lsr = 0;
		return v;
	case REG_MSR:
		v = u->msr;
		u->msr &= (u8)~MSR_DELTA;
		return v;
	default:
		return u->scr;
	}
}

static void write_fcr(struct uart *u, u8 v)
{
	if (((v ^ u->fcr) & FCR_ENABLE) || (v & FCR_CLEAR_RX))
		u->head = u->count = 0;
	/* the other bits take effect only with the enable bit */
	u->fcr = v & FCR_ENABLE ? v & 0xc9 : 0;
}

/* True when v is to be sent on the line. */
static bool write_reg(struct uart *u, u64 reg, u8 v)
{
	switch (reg) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB) {
			u->dll = v;
			break;
		}
		u->tx_pending = true;
		if (!(u->mcr & MCR_LOOP))
			return true;
		push(u, v);
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB) {
			u->dlm = v;
			break;
		}
		if (v & ~u->ier & IER_TX)
			u->tx_pending = true;
		u->ier = v & 0x0f;
		break;
	case REG_FCR:
		write_fcr(u, v);
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		u->mcr = v & 0x1f;
		update_modem(u);
		break;
	case REG_SCR:
		u->scr = v;
		break;
	}
	return false;
}

/* True when the backend waits and there is room again; clears the wish. */
static bool wants_more(struct uart *u)
{
	if (!u->backlog || (u->mcr & MCR_LOOP) || u->count > fifo_size(u) / 2)
		return false;
	u->backlog = false;
	return true;
}

static u64 port_read(void *dev, u64 offset, unsigned int size)
{
	struct uart *u = dev;
	bool more;
	u8 v;

	(void)size;
	pthread_mutex_lock(&u->lock);
	v = read_reg(u, offset);
	update_irq(u);
	more = wants_more(u);
	pthread_mutex_unlock(&u->lock);
	if (more)
		u->line->ready(u->line);
	return v;
}

static void port_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct uart *u = dev;
	u8 v = (u8)value;
	bool more, send;

	(void)size;
	pthread_mutex_lock(&u->lock);
	send = write_reg(u, offset, v);
	if (!send)
		update_irq(u);
	more = wants_more(u);
	pthread_mutex_unlock(&u->lock);
	if (send) {
		/* may wait for a slow terminal, so not under the lock */
		u->line->send(u->line, &v, 1);
		pthread_mutex_lock(&u->lock);
		update_irq(u);
		pthread_mutex_unlock(&u->lock);
	}
	if (more)
		u->line->ready(u->line);
}

static size_t receive(void *front, const u8 *p, size_t n)
{
	struct uart *u = front;
	size_t taken = 0;

	pthread_mutex_lock(&u->lock);
	while (taken < n && u->count < fifo_size(u) && !(u->mcr & MCR_LOOP))
		push(u, p[taken++]);
	u->backlog = taken < n;
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
	return taken;
}

static void receive_break(void *front)
{
	struct uart *u = front;

	pthread_mutex_lock(&u->lock);
	if (u->count < fifo_size(u)) {
		push(u, 0);
		u->lsr |= LSR_BREAK;
	}
	update_irq(u);
	pthread_mutex_unlock(&u->lock);
}

struct uart *uart_new(struct bus *ports, u16 base, const struct irq_line *irq,
		      struct chardev *line)
{
	struct uart *u = calloc(1, sizeof(*u));
	const struct bus_region r = { "uart", base, 8, 1, port_read, port_write, u };
	const struct chardev_front front = {
		.receive = receive, .receive_break = receive_break, .front = u,
	};

	if (!u)
		return NULL;
	u->line = line;
	u->irq = *irq;
	u->dll = 1;
	u->msr = MSR_CONNECTED;
	u->tx_pending = true;
	pthread_mutex_init(&u->lock, NULL);
	if (bus_add(ports, &r) < 0) {
		free(u);
		return NULL;
	}
	line->connect(line, &front);
	return u;
}

void uart_free(struct uart *u)
{
	if (!u)
		return;
	u->line->connect(u->line, NULL);
	free(u);
}
