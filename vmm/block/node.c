/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening images: what format a file is in, and what all formats share. The
 * format of an image that a guest could write is never guessed twice: see
 * raw.c for how a raw image is kept from becoming another one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "node.h"

#define HEAD 512

/* Formats that would be taken for raw images, and are certainly none. */
static const struct {
	const char *name, *magic;
	size_t len;
} foreign[] = {
	{ "VMDK", "KDMV", 4 },
	{ "VMDK", "# Disk DescriptorFile", 21 },
	{ "VHDX", "vhdxfile", 8 },
	{ "VHD", "conectix", 8 },
	{ "QED", "QED\0", 4 },
	{ "LUKS", "LUKS\xba\xbe", 6 },
	{ "VDI", "<<< ", 4 },
};

static struct node *probe(struct file *f, const struct open_how *how)
{
	u8 head[HEAD];
	unsigned int i;
	int err = file_read(f, 0, head, sizeof(head));

	if (err < 0) {
		error("%s: cannot read its beginning: %s", f->path, strerror(-err));
		file_close(f);
		return NULL;
	}
	if (qcow2_probe(head, sizeof(head)))
		return qcow2_open(f, how);
	for (i = 0; i < ARRAY_SIZE(foreign); i++)
		if (!memcmp(head, foreign[i].magic, foreign[i].len)) {
			error("%s looks like a %s image, which is not supported (the format raw "
			      "takes it as it is)", f->path, foreign[i].name);
			file_close(f);
			return NULL;
		}
	return raw_open(f, how, true);
}

struct node *node_open(const char *path, const char *format, const struct open_how *how)
{
	struct file *f;

	if (format && strcmp(format, "raw") && strcmp(format, "qcow2")) {
		error("%s: '%s' is no image format that is known: there are raw and qcow2", path,
		      format);
		return NULL;
	}
	f = file_open(path, &how->file);
	if (!f)
		return NULL;
	if (!format)
		return probe(f, how);
	return strcmp(format, "raw") ? qcow2_open(f, how) : raw_open(f, how, false);
}

char *node_backing_path(const char *image, const char *name)
{
	const char *slash = strrchr(image, '/');
	char *path;

	if (!strncmp(name, "file:", 5))
		name += 5;
	if (*name == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - image), image, name) < 0)
		return NULL;
	return path;
}

void node_close(struct node *n)
{
	while (n) {
		struct node *backing = n->backing;
		struct file *f = n->file;

		n->ops->close(n);
		file_close(f);
		n = backing;
	}
}

int node_read(struct node *n, u64 off, const struct span *s)
{
	u64 here = off < n->size ? n->size - off : 0;
	struct span part, rest;

	if (s->len <= here)
		return s->len ? n->ops->read(n, off, s) : 0;
	part = span_cut(s, 0, (size_t)here);
	rest = span_cut(s, (size_t)here, s->len - (size_t)here);
	span_zero(&rest);
	return part.len ? n->ops->read(n, off, &part) : 0;
}

int node_status(struct node *n, u64 off, u64 len, u64 *run)
{
	*run = len;
	if (off >= n->size)
		return BLOCK_ZERO;
	if (len > n->size - off)
		len = n->size - off;
	return n->ops->status(n, off, len, run);
}

void node_map_read(struct node *n, u64 off, u64 len, struct extent *e)
{
	*e = (struct extent){ MAP_ZERO, NULL, 0, len };
	if (off >= n->size)
		return;
	if (len > n->size - off)
		len = n->size - off;
	n->ops->map(n, off, len, false, e);
}
