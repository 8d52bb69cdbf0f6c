/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The option --display: KIND[=WHERE][,KEY=VALUE]... It makes sure that nobody
 * but the user gets at the screen: a socket of the file system is the user's
 * alone, a port is on loopback and wants a password or a token.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../cli/options.h"
#include "../control/address.h"
#include "../devices/props.h"
#include "../error.h"
#include "show.h"
#include "vnc.h"
#include "web.h"

#define VNC_PORT 5900
#define VNC_DISPLAYS 99
#define VNC_SUFFIX ".vnc"
#define BACKLOG 16

struct show {
	struct vnc *vnc;
	struct web *web;
	int fd;				/* that listens, or -1 */
	char path[2 * PATH_MAX];	/* of its socket, or "" */
	struct stat made;
};

/* --- passwords ----------------------------------------------------------------------- */

/* The first line of a file: 0, or -1 after an error line. */
static int read_password(const char *path, char password[VNC_PASSWORD_MAX + 2])
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (!f)
		return error("cannot read the password in '%s': %s", path, strerror(errno));
	if (fgets(password, VNC_PASSWORD_MAX + 2, f))
		n = strcspn(password, "\r\n");
	fclose(f);
	password[n] = 0;
	if (!n)
		return error("'%s' holds no password", path);
	if (n > VNC_PASSWORD_MAX)
		return error("the password in '%s' is too long: VNC looks at %d bytes", path,
			     VNC_PASSWORD_MAX);
	return 0;
}

/* --- where it listens ------------------------------------------------------------------ */

static int listen_unix(struct show *s, const char *path)
{
	if (snprintf(s->path, sizeof(s->path), "%s", path) >= (int)sizeof(s->path))
		return error("the path '%s' is too long", path);
	s->fd = address_listen(s->path, &s->made);
	if (s->fd < 0)
		s->path[0] = 0;
	return s->fd < 0 ? -1 : 0;
}

/* Beside the control socket. */
static int listen_default(struct show *s, const struct show_config *c)
{
	char dir[PATH_MAX], path[2 * PATH_MAX], pid[24];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	address_dir(dir);
	snprintf(path, sizeof(path), "%s/%s" VNC_SUFFIX, dir, c->name ? c->name : pid);
	if (address_make_dir(dir) < 0)
		return -1;
	return listen_unix(s, path);
}

/* ADDR:N, where ADDR is of the loopback network or left out, and N at most max. */
static int parse_port(const char *kind, const char *where, u64 max, struct sockaddr_in *in)
{
	const char *colon = strrchr(where, ':');
	char addr[INET_ADDRSTRLEN] = "127.0.0.1";
	u64 n;

	if (!colon || parse_number(colon + 1, &n) < 0 || n > max)
		return error("--display %s: '%s' is not ADDRESS:NUMBER", kind, where);
	if (colon - where >= (long)sizeof(addr))
		return error("--display %s: '%s' is no address", kind, where);
	if (colon > where)
		snprintf(addr, sizeof(addr), "%.*s", (int)(colon - where), where);
	*in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((u16)n) };
	if (inet_pton(AF_INET, strcmp(addr, "localhost") ? addr : "127.0.0.1", &in->sin_addr) != 1)
		return error("--display %s: '%s' is no address", kind, addr);
	if (ntohl(in->sin_addr.s_addr) >> 24 != 127)
		return error("--display %s: %s can be reached from the network, where it is not "
			     "safe; use 127.0.0.1 and forward the port by ssh", kind, addr);
	return 0;
}

static int listen_port(struct show *s, const char *where)
{
	struct sockaddr_in in;
	int one = 1;

	if (parse_port("vnc", where, VNC_DISPLAYS, &in) < 0)
		return -1;
	in.sin_port = htons((u16)(VNC_PORT + ntohs(in.sin_port)));
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd >= 0)
		setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    listen(s->fd, BACKLOG) < 0)
		return error("--display vnc: cannot listen at %s: %s", where, strerror(errno));
	return 0;
}

static int open_vnc(struct show *s, const struct show_config *c, struct props *p)
{
	const char *where = props_string(p, "at", NULL);
	const char *file = props_string(p, "password-file", NULL);
	char password[VNC_PASSWORD_MAX + 2];
	bool port = where && strncmp(where, "unix:", 5) != 0;
	int err;

	if (props_finish(p) < 0 || (file && read_password(file, password) < 0))
		return -1;
	if (port && !file)
		return error("--display vnc: every user of this host can reach a port: it needs a "
			     "password-file=FILE (or use unix:PATH)");
	if (port)
		err = listen_port(s, where);
	else
		err = where ? listen_unix(s, where + 5) : listen_default(s, c);
	if (err < 0)
		return -1;
	s->vnc = vnc_new(c->display, c->input, c->name ? c->name : "anykvm",
			 file ? password : NULL);
	if (!s->vnc || vnc_listen(s->vnc, s->fd) < 0)
		return -1;
	fprintf(stderr, "anykvm: VNC: %s%s\n", port ? where : "unix:", port ? "" : s->path);
	return 0;
}

static int open_web(struct show *s, const struct show_config *c, struct props *p)
{
	const char *where = props_string(p, "at", "127.0.0.1:0");
	char addr[INET_ADDRSTRLEN];
	struct sockaddr_in in;

	if (props_finish(p) < 0 || parse_port("web", where, 0xffff, &in) < 0)
		return -1;
	inet_ntop(AF_INET, &in.sin_addr, addr, sizeof(addr));
	s->vnc = vnc_new(c->display, c->input, c->name ? c->name : "anykvm", NULL);
	if (!s->vnc)
		return -1;
	s->web = web_new(c, s->vnc, addr, ntohs(in.sin_port));
	if (!s->web)
		return -1;
	fprintf(stderr, "anykvm: web: http://%s:%d/%s/\n", addr, web_port(s->web),
		web_token(s->web));
	return 0;
}

/* --- the option -------------------------------------------------------------------------- */

/* KIND=WHERE,... as properties: KIND,at=WHERE,... */
static char *as_props(const char *option)
{
	size_t kind = strcspn(option, "=,"), room = strlen(option) + 8;
	char *text = malloc(room);

	if (text && option[kind] == '=')
		snprintf(text, room, "%.*s,at%s", (int)kind, option, option + kind);
	else if (text)
		strcpy(text, option);
	return text;
}

static int open_kind(struct show *s, const struct show_config *c, struct props *p)
{
	if (!strcmp(p->type, "vnc"))
		return open_vnc(s, c, p);
	if (!strcmp(p->type, "web"))
		return open_web(s, c, p);
	return error("--display takes none, vnc or web, not '%s'", p->type);
}

struct show *show_open(const struct show_config *c, const char *option)
{
	struct show *s = calloc(1, sizeof(*s));
	char *text = as_props(option);
	struct props p = { 0 };
	int err = -1;

	if (!s || !text)
		error("out of memory");
	else
		s->fd = -1;
	if (s && text && props_parse(&p, text) == 0)
		err = open_kind(s, c, &p);
	props_free(&p);
	free(text);
	if (err == 0)
		return s;
	show_free(s);
	return NULL;
}

void show_free(struct show *s)
{
	if (!s)
		return;
	web_free(s->web);
	vnc_free(s->vnc);
	if (s->fd >= 0)
		close(s->fd);
	if (s->path[0])
		address_remove(s->path, &s->made);
	free(s);
}
