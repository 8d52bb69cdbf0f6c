/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox: from sandbox_enter on the process has what a machine needs to run,
 * and little else; docs/security.md says what. Whatever it opens from then on
 * goes through the opener (broker.h), by the policy (policy.h).
 */
#ifndef VMM_SANDBOX_SANDBOX_H
#define VMM_SANDBOX_SANDBOX_H

#include "policy.h"

/*
 * Confines all threads of the process, for ever: 0, or -1 after an error line; then the process
 * must end. before_death is called, from a signal handler, when a system call that is not
 * allowed ends the process; it may be NULL.
 */
int sandbox_enter(void (*before_death)(void));

/* --- filter.c ---------------------------------------------------------------------- */

/* The filter on system calls; opener: the socket to the opener. 0, or -1 after an error line. */
int filter_load(const struct sandbox_policy *p, int opener, void (*before_death)(void));
/*
 * A word on how to get what was refused, when the opener has refused this thread a file since
 * the last call; else NULL.
 */
const char *filter_hint(void);

#endif
