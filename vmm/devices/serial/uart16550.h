/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A 16550A serial port on eight I/O ports, its line a chardev. */
#ifndef VMM_DEVICES_SERIAL_UART16550_H
#define VMM_DEVICES_SERIAL_UART16550_H

#include "../../backends/chardev.h"
#include "../bus.h"
#include "../irq.h"

#define UART_COM1_PORT 0x3f8
#define UART_COM1_IRQ 4

struct uart;

/* NULL when there is no memory or the ports are taken. line must outlive it. */
struct uart *uart_new(struct bus *ports, u16 base, const struct irq_line *irq,
		      struct chardev *line);
void uart_free(struct uart *u);

#endif
