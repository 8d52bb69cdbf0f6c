/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See chance.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../vmm/error.h"
#include "chance.h"

__thread u64 chance_state;

u64 chance(u64 n)
{
	u64 z = chance_state += 0x9e3779b97f4a7c15ULL;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return n ? z % n : z;
}

u64 chance_seed(const char *text)
{
	return text ? strtoull(text, NULL, 0) : (u64)time(NULL) << 20 ^ (u64)getpid();
}

/* What is told is put together, and shown to nobody. */
int error(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return -1;
}
