/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsing of port forwards; hostfwd.h tells their form. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "hostfwd.h"

/* [ADDRESS]:PORT up to the end character; what follows it, or NULL. */
static const char *parse_end(const char *s, char end, const char *fallback, struct in_addr *a,
			     int *port)
{
	const char *colon = strchr(s, ':');
	char text[INET_ADDRSTRLEN];
	size_t len;
	int n = 0;

	if (!colon)
		return NULL;
	len = (size_t)(colon - s);
	if (len >= sizeof(text))
		return NULL;
	memcpy(text, s, len);
	text[len] = 0;
	if (inet_pton(AF_INET, len ? text : fallback, a) != 1)
		return NULL;
	for (s = colon + 1; *s >= '0' && *s <= '9' && n <= 65535; s++)
		n = n * 10 + *s - '0';
	*port = n;
	if (n < 1 || n > 65535 || *s != end)
		return NULL;
	return end ? s + 1 : s;
}

int hostfwd_parse(struct hostfwd *f, const char *text)
{
	if (strncmp(text, "tcp:", 4) && strncmp(text, "udp:", 4))
		return -1;
	f->udp = *text == 'u';
	text = parse_end(text + 4, '-', "127.0.0.1", &f->host, &f->host_port);
	if (!text || !parse_end(text, 0, "10.0.2.15", &f->guest, &f->guest_port))
		return -1;
	return 0;
}
