/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error lines. A line is put together first and written with one call, so that
 * lines of several threads do not mix.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

static const char *(*make_note)(void);
static __thread char *caught;
static __thread size_t caught_size;

void error_catch(char *text, size_t size)
{
	caught = text;
	caught_size = size;
	if (text)
		text[0] = 0;
}

void error_set_note(const char *(*note)(void))
{
	make_note = note;
}

const char *error_note(const char *text)
{
	const char *note = make_note ? make_note() : NULL;

	/* libraries are refused files, too, and do without: that is no part of other errors */
	return note && strstr(text, strerror(EACCES)) ? note : NULL;
}

/* The text, and the remark in brackets. */
static void print(char *text, size_t size, const char *fmt, va_list ap)
{
	const char *note;
	size_t len;

	vsnprintf(text, size, fmt, ap);
	len = strlen(text);
	note = error_note(text);
	if (note)
		snprintf(text + len, size - len, " (%s)", note);
}

int error(const char *fmt, ...)
{
	char line[1024];
	size_t len;
	va_list ap;

	if (caught) {
		va_start(ap, fmt);
		if (!caught[0])
			print(caught, caught_size, fmt, ap);
		va_end(ap);
		return -1;
	}
	strcpy(line, "anykvm: ");
	len = strlen(line);
	va_start(ap, fmt);
	print(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return -1;
	return -1;
}
