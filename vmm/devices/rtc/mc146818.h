/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real-time clock and its battery-backed memory, at ports 0x70 and 0x71. */
#ifndef VMM_DEVICES_RTC_MC146818_H
#define VMM_DEVICES_RTC_MC146818_H

#include "../../backends/loop.h"
#include "../bus.h"
#include "../irq.h"

#define RTC_PORT 0x70
#define RTC_IRQ 8

struct rtc;

/*
 * A clock that shows the host's time (UTC). low and high are the bytes of RAM
 * below and above 4 GiB, for the memory sizes that firmware keeps here. NULL
 * when memory, descriptors or ports are lacking.
 */
struct rtc *rtc_new(struct bus *ports, const struct irq_line *irq, struct loop *l, u64 low,
		    u64 high);
void rtc_free(struct rtc *r);
/* Puts a byte into its memory. */
void rtc_set(struct rtc *r, u8 at, u8 value);

#endif
