/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the machine's parts share: cmocka, a bus, an interrupt line that is noted. */
#ifndef TESTS_UNIT_VMM_TEST_H
#define TESTS_UNIT_VMM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../vmm/devices/bus.h"
#include "../../../vmm/devices/irq.h"

struct noted_irq {
	bool level;
	unsigned int rises;
};

static inline void note_irq(void *ctx, unsigned int gsi, bool level)
{
	struct noted_irq *n = ctx;

	(void)gsi;
	if (level && !n->level)
		n->rises++;
	n->level = level;
}

static inline u8 inb(const struct bus *b, u64 port)
{
	u8 v = 0;

	bus_access(b, port, &v, 1, false);
	return v;
}

static inline void outb(const struct bus *b, u64 port, u8 v)
{
	bus_access(b, port, &v, 1, true);
}

static inline u32 inl(const struct bus *b, u64 port)
{
	u32 v = 0;

	bus_access(b, port, &v, 4, false);
	return v;
}

#endif
