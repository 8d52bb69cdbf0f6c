/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line on the terminal that tells how far something is. */
#ifndef VMM_CLI_PROGRESS_H
#define VMM_CLI_PROGRESS_H

#include "../types.h"

struct progress {
	const char *what;	/* "copying" */
	bool bytes;		/* what is counted are bytes */
	bool shown;
	u64 next;		/* when to show it again, monotonic nanoseconds */
};

/* done of total; arg is the struct progress. Nothing unless standard error is a terminal. */
void progress_show(void *arg, u64 done, u64 total);
/* Clears the line. */
void progress_end(struct progress *p);

/* A size for people, such as "1.5 GiB"; text has room for 32 characters. */
const char *size_text(u64 bytes, char *text);

#endif
