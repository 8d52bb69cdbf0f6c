/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts a stream of bytes into JSON objects and arrays, by their brackets and
 * strings: clients of QMP end what they send with a line's end, or with
 * nothing at all. What is inside is left to the parser.
 */
#ifndef VMM_CONTROL_FRAME_H
#define VMM_CONTROL_FRAME_H

#include "../types.h"

#define FRAME_MAX 65536		/* bytes of a value */
#define FRAME_DEPTH 64		/* brackets in brackets */

enum frame_result {
	FRAME_MORE,		/* all was taken, and no value is complete */
	FRAME_VALUE,		/* text[0..len-1] is one */
	FRAME_BAD,		/* neither an object nor an array, or a string with a line's end */
	FRAME_DEEP,		/* too many brackets in brackets */
	FRAME_LONG,		/* too many bytes */
};

/* All zeroes at first. */
struct frame {
	size_t len;
	unsigned int depth;
	bool string, escape;	/* inside a string; after a backslash in it */
	bool skip;		/* after an error, the rest of the line */
	char text[FRAME_MAX];
};

/*
 * Takes bytes of p[0..n-1] up to the first result, and counts them in *taken.
 * The value stays until the next call. After an error the rest of the line is
 * passed over.
 */
enum frame_result frame_feed(struct frame *f, const char *p, size_t n, size_t *taken);

#endif
