/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An interrupt line, as a device sees it. */
#ifndef VMM_DEVICES_IRQ_H
#define VMM_DEVICES_IRQ_H

#include "../types.h"

struct irq_line {
	void (*set)(void *ctx, unsigned int gsi, bool level);
	void *ctx;
	unsigned int gsi;
};

static inline void irq_set(const struct irq_line *l, bool level)
{
	if (l->set)
		l->set(l->ctx, l->gsi, level);
}

#endif
