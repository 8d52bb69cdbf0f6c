/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers that a guest has for files, and how their files are reached. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "p9.h"

struct p9_fid *p9_find_fid(struct p9 *p, u32 id)
{
	struct p9_fid *f = p->fid[id % P9_FID_HASH];

	while (f && f->id != id)
		f = f->next;
	return f;
}

struct p9_fid *p9_get_fid(struct p9 *p)
{
	u32 id = p9_get32(p);

	return p->bad ? NULL : p9_find_fid(p, id);
}

int p9_new_fid(struct p9 *p, u32 id, int path, u32 uid, struct p9_fid **made)
{
	struct p9_fid *f = NULL;
	int err = -EBADF;

	if (id != P9_NO_FID && !p9_find_fid(p, id)) {
		err = -EMFILE;
		if (p->fids < P9_FIDS_MAX)
			f = calloc(1, sizeof(*f));
	}
	if (!f) {
		close(path);
		return err;
	}
	f->id = id;
	f->path = path;
	f->uid = uid;
	f->fd = -1;
	f->next = p->fid[id % P9_FID_HASH];
	p->fid[id % P9_FID_HASH] = f;
	p->fids++;
	if (made)
		*made = f;
	return 0;
}

void p9_drop_fid(struct p9 *p, struct p9_fid *f)
{
	struct p9_fid **at = &p->fid[f->id % P9_FID_HASH];

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	p->fids--;
	p->values -= !!f->value;
	close(f->path);
	if (f->fd >= 0)
		close(f->fd);
	free(f->value);
	free(f);
}

void p9_drop_all(struct p9 *p)
{
	unsigned int i;

	for (i = 0; i < P9_FID_HASH; i++)
		while (p->fid[i])
			p9_drop_fid(p, p->fid[i]);
}

/* --- files of the host ------------------------------------------------------------------- */

int p9_look_up(int folder, const char *name)
{
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void p9_descriptor_name(int fd, char name[16])
{
	snprintf(name, 16, "%d", fd);
}

int p9_open_path(const struct p9 *p, int path, int flags)
{
	char name[16];
	struct stat st;
	int fd;

	if (fstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -ENXIO;
	p9_descriptor_name(path, name);
	fd = openat(p->share->descriptors, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int p9_stat(const struct p9 *p, int path, struct stat *st)
{
	int fd;

	if (fstat(path, st) < 0)
		return -errno;
	if (!p->share->mapped)
		return 0;
	fd = p9_open_path(p, path, O_RDONLY);
	if (fd < 0)
		return 0;	/* what nobody could keep attributes for is as it is */
	p9_mapped_stat(fd, st);
	close(fd);
	return 0;
}

void p9_make_qid(const struct p9 *p, const struct stat *st, struct p9_qid *q)
{
	q->type = S_ISDIR(st->st_mode) ? 0x80 : S_ISLNK(st->st_mode) ? 0x02 : 0;
	q->version = (u32)(st->st_mtim.tv_sec ^ st->st_mtim.tv_nsec ^ st->st_size << 8);
	q->path = st->st_ino ^ (st->st_dev - p->device) << 40;
}
