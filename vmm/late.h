/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Libraries that few machines need and that bring many others with them: they are
 * loaded when one does need them (dlopen(3)), as loading them all would take
 * longer than starting a machine. Their functions are called through a struct
 * of pointers, of the types that the library's header declares.
 */
#ifndef VMM_LATE_H
#define VMM_LATE_H

/* A function's name in the library, also where the header makes it a macro. */
#define LATE_NAME(function) LATE_TEXT(function)
#define LATE_TEXT(text) #text

/*
 * Loads a library and finds n functions, whose addresses go to the n pointers at
 * functions: 0, or -1 after an error line. Again, it costs little. Not inside the
 * sandbox.
 */
int late_load(const char *library, const char *const *names, void *functions, unsigned int n);

#endif
