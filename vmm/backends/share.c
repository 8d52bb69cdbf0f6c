/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared folders: see share.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../devices/props.h"
#include "../error.h"
#include "../helper.h"
#include "registry.h"
#include "share.h"

static void share_free(void *backend)
{
	struct share *s = backend;

	if (s->root >= 0)
		close(s->root);
	if (s->descriptors >= 0)
		close(s->descriptors);
	if (s->server >= 0)
		close(s->server);
	free(s->id);
	free(s->device);
	free(s);
}

/* A guest has a descriptor here for each file that it knows. */
static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int check_mapped(const char *path)
{
	if (getxattr(path, "user.virtfs.uid", NULL, 0) >= 0 || errno == ENODATA)
		return 0;
	return error("--share %s: security=mapped needs extended attributes: %s", path,
		     strerror(errno));
}

static int open_folder(struct share *s, const char *path)
{
	s->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0)
		return error("--share %s: %s", path, strerror(errno));
	if (s->mapped && check_mapped(path) < 0)
		return -1;
	s->descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->descriptors < 0)
		return error("--share needs /proc: %s", strerror(errno));
	raise_limit();
	return 0;
}

static int start_server(struct share *s)
{
	const struct helper h = {
		.name = "anykvm-share", .type = SOCK_STREAM, .kept = { s->root },
		.nkept = 1, .serve = share_serve, .arg = s,
	};

	s->server = helper_start(&h);
	return s->server < 0 ? -1 : 0;
}

static int open_share(struct share *s, struct registry *r, struct props *p)
{
	static const char *const securities[] = { "none", "mapped", NULL };
	bool apart = props_bool(p, "apart", true);
	const char *tag;

	s->id = registry_choose_id(r, "share", NULL);
	if (!s->id)
		return -1;
	tag = props_string(p, "tag", s->id);
	s->readonly = props_bool(p, "readonly", false);
	s->mapped = props_choice(p, "security", 0, securities) == 1;
	if (!*p->type)
		return error("--share needs the path of a folder");
	if (!*tag || strlen(tag) > SHARE_TAG_MAX)
		return error("--share: tag= takes 1 to %d characters", SHARE_TAG_MAX);
	strcpy(s->tag, tag);
	if (p->failed || open_folder(s, p->type) < 0 || (apart && start_server(s) < 0))
		return -1;
	s->device = props_device(p, "virtio-9p", "share", s->id);
	return s->device ? registry_add(r, "share", s->id, s, share_free) : -1;
}

struct share *share_open(struct registry *r, const char *text)
{
	struct share *s = calloc(1, sizeof(*s));
	struct props p;

	if (!s) {
		error("out of memory");
		return NULL;
	}
	s->root = s->descriptors = s->server = -1;
	if (props_parse(&p, text) < 0 || open_share(s, r, &p) < 0) {
		share_free(s);
		s = NULL;
	}
	props_free(&p);
	return s;
}
