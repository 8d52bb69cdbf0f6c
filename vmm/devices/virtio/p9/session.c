/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The beginning of a session, and walking from file to file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "p9.h"

#define VERSION "9P2000.L"
#define WALK_MAX 16

/* A new session: nothing of an old one stays. */
int p9_version(struct p9 *p)
{
	u32 msize = p9_get32(p);
	char version[32];
	const char *answer = VERSION;

	if (p9_get_text(p, version, sizeof(version) - 1) < 0 || strcmp(version, VERSION))
		answer = "unknown";
	if (p->bad || msize < P9_MSIZE_MIN)
		return -EINVAL;
	p9_drop_all(p);
	p->msize = msize < P9_MSIZE_MAX ? msize : P9_MSIZE_MAX;
	p9_put32(p, p->msize);
	p9_put_text(p, answer, strlen(answer));
	return 0;
}

int p9_attach(struct p9 *p)
{
	u32 id = p9_get32(p), auth = p9_get32(p), uid;
	char user[P9_NAME_MAX + 1], name[P9_NAME_MAX + 1];
	struct p9_qid qid;
	struct stat st;
	int err = p9_get_text(p, user, P9_NAME_MAX), fd;

	if (!err)
		err = p9_get_text(p, name, P9_NAME_MAX);
	uid = p9_get32(p);
	if (err || p->bad || auth != P9_NO_FID)
		return -EINVAL;
	if (*name && strcmp(name, "/"))
		return -ENOENT;
	fd = openat(p->share->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = p9_stat(p, fd, &st);
	if (err < 0) {
		close(fd);
		return err;
	}
	p->device = st.st_dev;
	p9_make_qid(p, &st, &qid);
	p9_put_qid(p, &qid);
	return p9_new_fid(p, id, fd, uid, NULL);
}

/* One step: closes *fd and puts the next in its place, or -errno. */
static int step(struct p9 *p, int *fd)
{
	char name[P9_NAME_MAX + 1];
	struct p9_qid qid;
	struct stat st;
	int err = p9_get_name(p, name), next;

	if (err < 0)
		return p->bad ? -EINVAL : -ENOENT;
	next = p9_look_up(*fd, name);
	if (next < 0)
		return next;
	err = p9_stat(p, next, &st);
	if (err < 0) {
		close(next);
		return err;
	}
	close(*fd);
	*fd = next;
	p9_make_qid(p, &st, &qid);
	p9_put_qid(p, &qid);
	return 0;
}

/* As far as it goes; only at the end of the way there is a new fid. */
static int walk_to(struct p9 *p, struct p9_fid *from, u32 id, unsigned int steps)
{
	int fd = fcntl(from->path, F_DUPFD_CLOEXEC, 0), err = 0;
	unsigned int done = 0;
	u32 at = p->len;
	u32 uid = from->uid;

	if (fd < 0)
		return -errno;
	p9_put16(p, 0);
	while (done < steps && (err = step(p, &fd)) == 0)
		done++;
	if (err == 0) {
		if (id == from->id)
			p9_drop_fid(p, from);
		err = p9_new_fid(p, id, fd, uid, NULL);
		if (err < 0)
			return err;
	} else {
		close(fd);
		if (!done || p->bad)
			return err;
	}
	memcpy(p->reply + at, &(u16){ (u16)done }, 2);
	return 0;
}

int p9_walk(struct p9 *p)
{
	struct p9_fid *from = p9_get_fid(p);
	u32 id = p9_get32(p);
	u16 steps = p9_get16(p);

	if (p->bad || steps > WALK_MAX)
		return -EINVAL;
	if (!from || (from->use != P9_PATH && id == from->id))
		return -EBADF;
	if (id != from->id && p9_find_fid(p, id))
		return -EBADF;
	return walk_to(p, from, id, steps);
}

int p9_clunk(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	int err = 0;

	if (!f)
		return -EBADF;
	if (f->use == P9_XATTR_WRITE)
		err = p9_xattr_store(p, f);
	p9_drop_fid(p, f);
	return err;
}

/* By the name in a folder only (unlinkat); the fid goes in any case. */
int p9_remove(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);

	if (f)
		p9_drop_fid(p, f);
	return -EOPNOTSUPP;
}

/* Messages are handled in turn: what it names is done already. */
int p9_flush(struct p9 *p)
{
	p9_get16(p);
	return p->bad ? -EINVAL : 0;
}
