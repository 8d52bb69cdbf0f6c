/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys by the names that others have for them: the codes of Linux's
 * <linux/input-event-codes.h>; 0 when there is none.
 */
#ifndef VMM_DISPLAY_KEYS_H
#define VMM_DISPLAY_KEYS_H

#include "../types.h"

/* QMP's QKeyCode, such as "ret", "shift", "a". */
u16 key_of_name(const char *qcode);
/* A scan code of set 1, with bit 7 for those that follow 0xe0. */
u16 key_of_number(unsigned int number);
/* QMP's InputButton, such as "left". */
u16 button_of_name(const char *name);

/*
 * An X11 keysym, as VNC sends it, on a keyboard with the layout of the United
 * States. *shift: whether that key gives the symbol with shift (only for what
 * is printed on the keys).
 */
u16 key_of_keysym(u32 keysym, bool *shift);

#endif
