/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a file: stat and its changes, the file system, extended
 * attributes. Of the latter only those of users ("user.") are the guest's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "p9.h"

#define GETATTR_BASIC 0x7ff
#define FS_MAGIC 0x01021997

enum {
	SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 0x10, SET_MTIME = 0x20,
	SET_ATIME_TO = 0x80, SET_MTIME_TO = 0x100,
};

static void put_time(struct p9 *p, const struct timespec *t)
{
	p9_put64(p, (u64)t->tv_sec);
	p9_put64(p, (u64)t->tv_nsec);
}

int p9_getattr(struct p9 *p)
{
	static const struct timespec none;
	struct p9_fid *f = p9_get_fid(p);
	struct p9_qid qid;
	struct stat st;
	int err = f ? p9_stat(p, f->path, &st) : -EBADF;

	p9_get64(p);
	if (err || p->bad)
		return err ? err : -EINVAL;
	p9_make_qid(p, &st, &qid);
	p9_put64(p, GETATTR_BASIC);
	p9_put_qid(p, &qid);
	p9_put32(p, st.st_mode);
	p9_put32(p, st.st_uid);
	p9_put32(p, st.st_gid);
	p9_put64(p, st.st_nlink);
	p9_put64(p, st.st_rdev);
	p9_put64(p, (u64)st.st_size);
	p9_put64(p, (u64)st.st_blksize);
	p9_put64(p, (u64)st.st_blocks);
	put_time(p, &st.st_atim);
	put_time(p, &st.st_mtim);
	put_time(p, &st.st_ctim);
	put_time(p, &none);
	p9_put64(p, 0);
	p9_put64(p, 0);
	return 0;
}

/* --- changing ------------------------------------------------------------------------------ */

struct change {
	u32 valid, mode, uid, gid;
	u64 size;
	struct timespec time[2];
};

static int set_size(struct p9 *p, const struct p9_fid *f, u64 size)
{
	int fd = f->use == P9_FILE && f->writable ? f->fd : p9_open_path(p, f->path, O_WRONLY);
	int err = 0;

	if (fd < 0)
		return fd;
	if (size > INT64_MAX)
		err = -EFBIG;
	else if (ftruncate(fd, (off_t)size) < 0)
		err = -errno;
	if (fd != f->fd)
		close(fd);
	return err;
}

static int set_mapped(struct p9 *p, const struct p9_fid *f, const struct change *c)
{
	u32 mode = ~0u, uid = c->valid & SET_UID ? c->uid : ~0u;
	u32 gid = c->valid & SET_GID ? c->gid : ~0u;
	struct stat st;
	int err = p9_stat(p, f->path, &st), fd;

	if (err < 0)
		return err;
	if (c->valid & SET_MODE)
		mode = (st.st_mode & S_IFMT) | (c->mode & 07777);
	fd = p9_open_path(p, f->path, O_RDONLY);
	if (fd < 0)
		return fd;
	err = p9_mapped_set(fd, mode, uid, gid, ~0ULL);
	close(fd);
	return err;
}

static int set_own(struct p9 *p, const struct p9_fid *f, const struct change *c)
{
	char name[16];

	p9_descriptor_name(f->path, name);
	if (c->valid & (SET_UID | SET_GID) &&
	    fchownat(f->path, "", c->valid & SET_UID ? c->uid : ~0u,
		     c->valid & SET_GID ? c->gid : ~0u, AT_EMPTY_PATH) < 0)
		return -errno;
	/* without the bits that give a program its owner's rights */
	if (c->valid & SET_MODE &&
	    fchmodat(p->share->descriptors, name, c->mode & 01777, 0) < 0)
		return -errno;
	return 0;
}

static int set_times(struct p9 *p, const struct p9_fid *f, struct change *c)
{
	const u32 set[2] = { SET_ATIME, SET_MTIME }, to[2] = { SET_ATIME_TO, SET_MTIME_TO };
	char name[16];
	int i;

	for (i = 0; i < 2; i++) {
		if (!(c->valid & set[i]))
			c->time[i].tv_nsec = UTIME_OMIT;
		else if (!(c->valid & to[i]))
			c->time[i].tv_nsec = UTIME_NOW;
		else if (c->time[i].tv_nsec < 0 || c->time[i].tv_nsec >= (long)NSEC)
			return -EINVAL;
	}
	p9_descriptor_name(f->path, name);
	return utimensat(p->share->descriptors, name, c->time, 0) < 0 ? -errno : 0;
}

int p9_setattr(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	struct change c;
	int err = 0, i;

	c.valid = p9_get32(p);
	c.mode = p9_get32(p);
	c.uid = p9_get32(p);
	c.gid = p9_get32(p);
	c.size = p9_get64(p);
	for (i = 0; i < 2; i++) {
		c.time[i].tv_sec = (time_t)p9_get64(p);
		c.time[i].tv_nsec = (long)p9_get64(p);
	}
	if (p->bad)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (c.valid & (SET_MODE | SET_UID | SET_GID))
		err = p->share->mapped ? set_mapped(p, f, &c) : set_own(p, f, &c);
	if (!err && c.valid & SET_SIZE)
		err = set_size(p, f, c.size);
	if (!err && c.valid & (SET_ATIME | SET_MTIME))
		err = set_times(p, f, &c);
	return err;
}

int p9_statfs(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	struct statfs s;

	if (!f)
		return -EBADF;
	if (fstatfs(f->path, &s) < 0)
		return -errno;
	p9_put32(p, FS_MAGIC);
	p9_put32(p, (u32)s.f_bsize);
	p9_put64(p, s.f_blocks);
	p9_put64(p, s.f_bfree);
	p9_put64(p, s.f_bavail);
	p9_put64(p, s.f_files);
	p9_put64(p, s.f_ffree);
	p9_put64(p, (u64)(u32)s.f_fsid.__val[1] << 32 | (u32)s.f_fsid.__val[0]);
	p9_put32(p, P9_NAME_MAX);
	return 0;
}

/* --- extended attributes -------------------------------------------------------------------- */

static bool may_have(const struct p9 *p, const char *name)
{
	return !strncmp(name, "user.", 5) && !(p->share->mapped && p9_mapped_name(name));
}

/* Names are listed one after another, each with a zero: those that the guest may have. */
static u32 filter(const struct p9 *p, char *list, u32 size)
{
	u32 at, kept = 0, len;

	for (at = 0; at < size; at += len) {
		len = (u32)strnlen(list + at, size - at - 1) + 1;
		if (!may_have(p, list + at))
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return kept;
}

/* The value of a name, or the names for "": 0, with value and size, or -errno. */
static int load(const struct p9 *p, int path, const char *name, u8 **value, u32 *size)
{
	int fd = p9_open_path(p, path, O_RDONLY), err = 0;
	u8 *room;
	ssize_t n;

	if (fd < 0)
		return fd == -ELOOP || fd == -ENXIO ? -EOPNOTSUPP : fd;
	room = malloc(P9_XATTR_MAX);
	n = !room ? -1 : *name ? fgetxattr(fd, name, room, P9_XATTR_MAX) :
		flistxattr(fd, (char *)room, P9_XATTR_MAX);
	if (n < 0)
		err = room ? -errno : -ENOMEM;
	close(fd);
	if (err) {
		free(room);
		return err;
	}
	*size = *name ? (u32)n : filter(p, (char *)room, (u32)n);
	*value = room;
	return 0;
}

int p9_xattrwalk(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p), *made;
	u32 id = p9_get32(p), size = 0;
	char name[P9_NAME_MAX + 1];
	int err = p9_get_text(p, name, P9_NAME_MAX), path;
	u8 *value = NULL;

	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!f)
		return -EBADF;
	if (*name && !may_have(p, name))
		return -EOPNOTSUPP;
	if (p->values == P9_VALUES_MAX)
		return -ENOMEM;
	err = load(p, f->path, name, &value, &size);
	if (err < 0)
		return err;
	path = fcntl(f->path, F_DUPFD_CLOEXEC, 0);
	err = path < 0 ? -errno : p9_new_fid(p, id, path, f->uid, &made);
	if (err < 0) {
		free(value);
		return err;
	}
	made->use = P9_XATTR_READ;
	made->value = value;
	p->values++;
	made->size = size;
	p9_put64(p, size);
	return 0;
}

/* The fid becomes the attribute; its value comes by writes and takes effect at the clunk. */
int p9_xattrcreate(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1];
	int err = p9_get_text(p, name, P9_NAME_MAX);
	u64 size = p9_get64(p);
	u32 flags = p9_get32(p);

	if (err || p->bad || flags & ~(u32)(XATTR_CREATE | XATTR_REPLACE))
		return err ? err : -EINVAL;
	if (!f || f->use != P9_PATH)
		return -EBADF;
	if (!may_have(p, name))
		return -EOPNOTSUPP;
	if (size > P9_XATTR_MAX)
		return -E2BIG;
	if (p->values < P9_VALUES_MAX)
		f->value = malloc(size ? size : 1);
	if (!f->value)
		return -ENOMEM;
	p->values++;
	strcpy(f->name, name);
	f->size = (u32)size;
	f->filled = 0;
	f->flags = (int)flags;
	f->use = P9_XATTR_WRITE;
	return 0;
}

/* Of no size: it is removed. */
int p9_xattr_store(struct p9 *p, struct p9_fid *f)
{
	int fd, err = 0;

	if (f->filled != f->size)
		return -EINVAL;
	fd = p9_open_path(p, f->path, O_RDONLY);
	if (fd < 0)
		return fd;
	if (f->size ? fsetxattr(fd, f->name, f->value, f->size, f->flags) :
	    fremovexattr(fd, f->name))
		err = -errno;
	close(fd);
	return err;
}
