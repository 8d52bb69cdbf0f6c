/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The high precision event timer, with three comparators. */
#ifndef VMM_DEVICES_TIMER_HPET_H
#define VMM_DEVICES_TIMER_HPET_H

#include "../device.h"

struct hpet;

/* At HPET_BASE; NULL after an error line. */
struct hpet *hpet_new(struct board *b);
void hpet_free(struct hpet *h);

/* The clock's interrupt line, which the timer takes over in its legacy mode. */
struct irq_line hpet_rtc_line(struct hpet *h, unsigned int gsi);

#endif
