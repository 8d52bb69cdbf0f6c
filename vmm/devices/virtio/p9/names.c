/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Folders: their entries, and what makes, moves and removes them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "p9.h"

#define ENTRY_HEADER (sizeof(struct p9_qid) + 8 + 1 + 2)
#define LIST_MAX 16384		/* bytes of the host's entries that are looked at together */
#define TARGET_MAX 4095

/* --- reading ------------------------------------------------------------------------------ */

static void put_entry(struct p9 *p, const struct dirent64 *d)
{
	struct p9_qid qid = { .path = d->d_ino };
	u8 type = d->d_type;

	/* a file may be anything for the guest */
	if (p->share->mapped && type == DT_REG)
		type = DT_UNKNOWN;
	qid.type = type == DT_DIR ? 0x80 : type == DT_LNK ? 0x02 : 0;
	p9_put_qid(p, &qid);
	p9_put64(p, (u64)d->d_off);
	p9_put8(p, type);
	p9_put_text(p, d->d_name, strlen(d->d_name));
}

/*
 * Entries from the folder's position on, up to limit in the answer: more than 0
 * when it can go on, -EINVAL when not even the first one fits.
 */
static ssize_t put_entries(struct p9 *p, struct p9_fid *f, u32 limit)
{
	const u32 start = p->len;
	union {
		u8 bytes[LIST_MAX];
		struct dirent64 align;
	} list;
	ssize_t n = getdents64(f->fd, list.bytes, sizeof(list.bytes)), at;
	const struct dirent64 *d;

	if (n < 0)
		return -errno;
	for (at = 0; at < n; at += d->d_reclen) {
		d = (const struct dirent64 *)(list.bytes + at);
		if (p->len + ENTRY_HEADER + strlen(d->d_name) > limit) {
			/* the rest is for the next message */
			if (lseek(f->fd, (off_t)f->position, SEEK_SET) < 0)
				return -errno;
			return p->len == start ? -EINVAL : 0;
		}
		put_entry(p, d);
		f->position = (u64)d->d_off;
	}
	return n;
}

int p9_readdir(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u64 offset = p9_get64(p);
	u32 count = p9_get32(p), at = p->len, most = P9_REPLY_MAX;
	ssize_t n;

	if (p->bad || offset > INT64_MAX)
		return -EINVAL;
	if (!f || f->use != P9_FOLDER)
		return -EBADF;
	if (f->position != offset && lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	f->position = offset;
	if (most > p->msize)
		most = p->msize;
	if (most > p->chain->in_len)
		most = (u32)p->chain->in_len;
	p9_put32(p, 0);
	if (count < most - p->len && most > p->len)
		most = p->len + count;
	do
		n = put_entries(p, f, most);
	while (n > 0);
	if (n == -EINVAL && p->len > at + 4)
		n = 0;		/* it fits into the next answer */
	if (n < 0)
		return (int)n;
	memcpy(p->reply + at, &(u32){ p->len - at - 4 }, 4);
	return 0;
}

static ssize_t read_target(struct p9 *p, int path, char *target)
{
	struct stat st;
	ssize_t n;
	int fd;

	if (fstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
		n = readlinkat(path, "", target, TARGET_MAX);
		return n < 0 ? -errno : n;
	}
	if (!p->share->mapped || p9_stat(p, path, &st) < 0 || !S_ISLNK(st.st_mode))
		return -EINVAL;
	fd = p9_open_path(p, path, O_RDONLY);
	if (fd < 0)
		return fd;
	n = read(fd, target, TARGET_MAX);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

int p9_readlink(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char target[TARGET_MAX + 1];
	ssize_t n = f ? read_target(p, f->path, target) : -EBADF;

	if (n < 0)
		return (int)n;
	p9_put_text(p, target, (size_t)n);
	return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

/* The name was made: gives it what the guest wants and answers with its qid. */
static int finish(struct p9 *p, const struct p9_fid *f, const char *name, u32 mode, u32 gid,
		  u64 rdev)
{
	int path = p9_look_up(f->path, name), err;
	struct p9_qid qid;
	struct stat st;

	if (path < 0)
		return path;
	err = p9_set_new(p, path, mode, f->uid, gid, rdev);
	if (!err)
		err = p9_stat(p, path, &st);
	close(path);
	if (err < 0) {
		unlinkat(f->path, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
		return err;
	}
	p9_make_qid(p, &st, &qid);
	p9_put_qid(p, &qid);
	return 0;
}

/* A file that holds text and stands for something else. */
static int make_stand_in(const struct p9_fid *f, const char *name, const char *text)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(f->path, name, flags, 0600), err = 0;
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	errno = ENOSPC;		/* what a short write means */
	if (write(fd, text, len) != (ssize_t)len)
		err = -errno;
	close(fd);
	if (err)
		unlinkat(f->path, name, 0);
	return err;
}

int p9_symlink(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1], target[TARGET_MAX + 1];
	int err = p9_get_name(p, name);
	u32 gid;

	if (!err)
		err = p9_get_text(p, target, TARGET_MAX);
	gid = p9_get32(p);
	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!f)
		return -EBADF;
	if (p->share->mapped)
		err = make_stand_in(f, name, target);
	else if (symlinkat(target, f->path, name) < 0)
		err = -errno;
	return err ? err : finish(p, f, name, S_IFLNK | 0777, gid, ~0ULL);
}

/* Real devices of the host are not made for a guest. */
int p9_mknod(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1];
	int err = p9_get_name(p, name);
	u32 mode = p9_get32(p), major = p9_get32(p), minor = p9_get32(p), gid = p9_get32(p);
	u64 rdev = (u64)(major & 0xfff) << 8 | (minor & 0xff) | (u64)(minor & ~0xffu) << 12;

	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!f)
		return -EBADF;
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode) &&
	    !S_ISBLK(mode))
		return -EINVAL;
	if (p->share->mapped)
		err = make_stand_in(f, name, "");
	else if (S_ISCHR(mode) || S_ISBLK(mode))
		err = -EPERM;
	else if (mknodat(f->path, name, (mode & S_IFMT) | 0600, 0) < 0)
		err = -errno;
	return err ? err : finish(p, f, name, mode & (S_IFMT | 07777), gid, rdev);
}

int p9_mkdir(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1];
	int err = p9_get_name(p, name);
	u32 mode = p9_get32(p), gid = p9_get32(p);

	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!f)
		return -EBADF;
	if (mkdirat(f->path, name, 0700) < 0)
		return -errno;
	return finish(p, f, name, S_IFDIR | (mode & 07777), gid, ~0ULL);
}

int p9_link(struct p9 *p)
{
	struct p9_fid *folder = p9_get_fid(p), *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1], from[16];
	int err = p9_get_name(p, name);

	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!folder || !f)
		return -EBADF;
	p9_descriptor_name(f->path, from);
	return linkat(p->share->descriptors, from, folder->path, name, AT_SYMLINK_FOLLOW) < 0 ?
		-errno : 0;
}

/* --- moving and removing ---------------------------------------------------------------------- */

int p9_renameat(struct p9 *p)
{
	struct p9_fid *from = p9_get_fid(p), *to;
	char name[P9_NAME_MAX + 1], new_name[P9_NAME_MAX + 1];
	int err = p9_get_name(p, name);

	to = p9_get_fid(p);
	if (!err)
		err = p9_get_name(p, new_name);
	if (err || p->bad)
		return err ? err : -EINVAL;
	if (!from || !to)
		return -EBADF;
	return renameat(from->path, name, to->path, new_name) < 0 ? -errno : 0;
}

int p9_unlinkat(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1];
	int err = p9_get_name(p, name);
	u32 flags = p9_get32(p);

	if (err || p->bad || flags & ~(u32)AT_REMOVEDIR)
		return err ? err : -EINVAL;
	if (!f)
		return -EBADF;
	return unlinkat(f->path, name, (int)flags) < 0 ? -errno : 0;
}
