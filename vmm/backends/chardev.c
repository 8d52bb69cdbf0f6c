/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The --chardev option, and the two kinds of character device that need no
 * event loop: a file that keeps what the guest says, and nothing at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../devices/props.h"
#include "../error.h"
#include "chardev.h"
#include "registry.h"

struct file_dev {
	struct chardev c;	/* first */
	int fd;
	bool failed;		/* atomic; told once */
	char *path;
};

/* --- nothing ------------------------------------------------------------------------ */

static void null_send(struct chardev *c, const u8 *p, size_t n)
{
	(void)c, (void)p, (void)n;
}

static size_t null_write(struct chardev *c, const u8 *p, size_t n)
{
	(void)c, (void)p;
	return n;
}

static void null_ready(struct chardev *c)
{
	(void)c;
}

static void open_at_once(struct chardev *c, const struct chardev_front *front)
{
	(void)c;
	if (front && front->opened)
		front->opened(front->front, true);
}

struct chardev *chardev_null(void)
{
	static struct chardev c = {
		.send = null_send, .write = null_write, .ready = null_ready,
		.connect = open_at_once,
	};

	return &c;
}

/* --- a file --------------------------------------------------------------------------- */

static void file_send(struct chardev *c, const u8 *p, size_t n)
{
	struct file_dev *f = (struct file_dev *)c;
	ssize_t done;

	for (; n && !__atomic_load_n(&f->failed, __ATOMIC_RELAXED); p += done, n -= (size_t)done) {
		done = write(f->fd, p, n);
		if (done < 0 && errno == EINTR)
			done = 0;
		if (done < 0 && !__atomic_exchange_n(&f->failed, true, __ATOMIC_RELAXED))
			error("%s: cannot write what the guest says: %s", f->path,
			      strerror(errno));
		if (done < 0)
			return;
	}
}

static size_t file_write(struct chardev *c, const u8 *p, size_t n)
{
	file_send(c, p, n);
	return n;
}

static void file_free(struct file_dev *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
}

static void file_destroy(void *backend)
{
	file_free(backend);
}

static struct chardev *file_new(const char *path, bool append)
{
	struct file_dev *f = calloc(1, sizeof(*f));
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (append ? O_APPEND : O_TRUNC);

	if (!f) {
		error("out of memory");
		return NULL;
	}
	f->c = (struct chardev){
		.send = file_send, .write = file_write, .ready = null_ready,
		.connect = open_at_once,
	};
	f->fd = open(path, flags, 0600);
	f->path = strdup(path);
	if (f->fd >= 0 && f->path)
		return &f->c;
	error("%s: cannot open it: %s", path, strerror(errno));
	file_free(f);
	return NULL;
}

/* --- the option ----------------------------------------------------------------------- */

enum { KIND_FILE, KIND_UNIX, KIND_PTY, KIND_NULL, KINDS };

static void null_destroy(void *backend)
{
	(void)backend;
}

static void stream_destroy(void *backend)
{
	stream_free(backend);
}

static void (*const destroy[KINDS])(void *) = {
	file_destroy, stream_destroy, stream_destroy, null_destroy,
};

static unsigned int kind_of(const char *name)
{
	static const char *const kinds[KINDS] = { "file", "unix", "pty", "null" };
	unsigned int i;

	for (i = 0; i < KINDS && strcmp(name, kinds[i]); i++)
		;
	return i;
}

static struct chardev *make(struct props *p, struct loop *l, unsigned int kind, const char *id)
{
	const char *path = props_string(p, kind == KIND_PTY ? "link" : "path", NULL);
	bool append = kind == KIND_FILE && props_bool(p, "append", false);

	if ((kind == KIND_FILE || kind == KIND_UNIX) && !path)
		props_missing(p, "path", kind == KIND_FILE ? "a file" : "of a socket");
	if (props_finish(p) < 0)
		return NULL;
	switch (kind) {
	case KIND_FILE:
		return file_new(path, append);
	case KIND_UNIX:
		return stream_unix(l, path);
	case KIND_PTY:
		return stream_pty(l, path, id);
	default:
		return chardev_null();
	}
}

static int open_one(struct registry *r, struct loop *l, struct props *p)
{
	const char *id = props_string(p, "id", NULL);
	unsigned int kind = kind_of(p->type);
	struct chardev *c;

	if (kind == KINDS)
		return error("--chardev takes file, unix, pty or null, not '%s'", p->type);
	if (!id)
		props_missing(p, "id", "a name, for a --device");
	c = make(p, l, kind, id);
	if (!c)
		return -1;
	if (registry_add(r, "chardev", id, c, destroy[kind]) == 0)
		return 0;
	destroy[kind](c);
	return -1;
}

int chardev_open(struct registry *r, struct loop *l, const char *text)
{
	struct props p;
	int err = props_parse(&p, text);

	if (!err)
		err = open_one(r, l, &p);
	props_free(&p);
	return err;
}
