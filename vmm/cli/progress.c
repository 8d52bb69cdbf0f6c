/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The progress line: at most ten times a second, and only for somebody who watches. */
#include <stdio.h>
#include <unistd.h>

#include "../backends/loop.h"
#include "progress.h"

#define EVERY_NS (NSEC / 10)

const char *size_text(u64 bytes, char *text)
{
	static const char units[] = "KMGTPE";
	unsigned int unit = 0;
	u64 scaled = bytes;

	while (scaled >= 1024 * KIB && unit + 1 < sizeof(units) - 1) {
		scaled /= 1024;
		unit++;
	}
	if (bytes < KIB)
		snprintf(text, 32, "%llu bytes", (unsigned long long)bytes);
	else if (scaled % 1024)
		snprintf(text, 32, "%.3g %ciB", (double)scaled / 1024, units[unit]);
	else
		snprintf(text, 32, "%llu %ciB", (unsigned long long)scaled / 1024, units[unit]);
	return text;
}

void progress_show(void *arg, u64 done, u64 total)
{
	struct progress *p = arg;
	char a[32], b[32];
	u64 now;

	if (!total || !isatty(STDERR_FILENO))
		return;
	now = monotonic_ns();
	if (now < p->next && done < total)
		return;
	p->next = now + EVERY_NS;
	p->shown = true;
	fprintf(stderr, "\r%s: %3d%%", p->what, (int)((double)done * 100 / (double)total));
	if (p->bytes)
		fprintf(stderr, " of %s, %s done", size_text(total, a), size_text(done, b));
	fprintf(stderr, "\033[K");
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
}
