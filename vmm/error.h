/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Telling the user: every error is one line on standard error, "anykvm: ...",
 * said where it happens; callers only pass the failure on.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <stddef.h>

/* One line "anykvm: <text>". Returns -1, so that "return error(...)" reads well. */
int error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * From now on this thread's errors go to text, of which the first counts, instead
 * of standard error; text becomes "". NULL ends it.
 */
void error_catch(char *text, size_t size);

/* note() may add a remark to an error that tells of a refusal (EACCES); NULL is none. */
void error_set_note(const char *(*note)(void));
/* The remark for what has failed right now with this text, or NULL. */
const char *error_note(const char *text);

#endif
