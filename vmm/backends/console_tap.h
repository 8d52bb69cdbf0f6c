/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tap on the serial console: between the device and the terminal, it lets
 * others read what the guest prints and type to it. What was printed is kept
 * for those who come later. The terminal works as without it.
 */
#ifndef VMM_BACKENDS_CONSOLE_TAP_H
#define VMM_BACKENDS_CONSOLE_TAP_H

#include "chardev.h"

struct console_tap;

/* NULL when there is no memory. inner must outlive it. */
struct console_tap *console_tap_new(struct chardev *inner);
void console_tap_free(struct console_tap *t);
/* What the device connects to instead of the inner one. */
struct chardev *console_tap_chardev(struct console_tap *t);

/*
 * fn(ctx) when there is more after a read that found nothing, once: on the sender's
 * thread, it must not wait. NULL ends it.
 */
void console_tap_watch(struct console_tap *t, void (*fn)(void *ctx), void *ctx);
/*
 * Copies up to n bytes from a position on, which moves behind them; one that is
 * not kept any more moves to the first that is. 0 begins at the oldest.
 */
size_t console_tap_read(struct console_tap *t, u64 *position, u8 *to, size_t n);
/* Types; what finds no room is lost. From any thread. */
void console_tap_type(struct console_tap *t, const u8 *p, size_t n);

#endif
