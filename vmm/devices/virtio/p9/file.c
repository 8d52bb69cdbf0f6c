/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files: opening, making, bytes, locks. Flags of open are those of Linux on x86. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "p9.h"

#define FLAGS (O_ACCMODE | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC)
#define READ_HEADER (P9_HEADER + 4)
#define WRITE_HEADER (P9_HEADER + 16)
#define MODE_MASK 01777		/* no set-user-ID programs come out of a guest */

/* What stands in the way of opening it; a guest's special files are its own affair. */
static int check_open(const struct p9 *p, const struct p9_fid *f, int flags, struct stat *st)
{
	int err = p9_stat(p, f->path, st);
	bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;

	if (err < 0)
		return err;
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return -ENXIO;
	if (writes && S_ISDIR(st->st_mode))
		return -EISDIR;
	return writes && p->share->readonly ? -EROFS : 0;
}

static void become_open(struct p9_fid *f, int fd, int flags, bool folder)
{
	f->use = folder ? P9_FOLDER : P9_FILE;
	f->fd = fd;
	f->writable = (flags & O_ACCMODE) != O_RDONLY;
	f->position = 0;
}

static void put_opened(struct p9 *p, const struct stat *st)
{
	struct p9_qid qid;

	p9_make_qid(p, st, &qid);
	p9_put_qid(p, &qid);
	p9_put32(p, 0);		/* as much at once as the size of messages allows */
}

int p9_lopen(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	int flags = (int)p9_get32(p) & FLAGS, err, fd;
	struct stat st;

	if (p->bad)
		return -EINVAL;
	if (!f || f->use != P9_PATH)
		return -EBADF;
	err = check_open(p, f, flags, &st);
	if (err < 0)
		return err;
	fd = p9_open_path(p, f->path, flags);
	if (fd < 0)
		return fd;
	become_open(f, fd, flags, S_ISDIR(st.st_mode));
	put_opened(p, &st);
	return 0;
}

int p9_set_new(const struct p9 *p, int path, u32 mode, u32 uid, u32 gid, u64 rdev)
{
	char name[16];
	int fd, err;

	if (!p->share->mapped) {
		/* only root can, and not in every container */
		if (fchownat(path, "", uid, gid, AT_EMPTY_PATH) < 0)
			errno = 0;
		p9_descriptor_name(path, name);
		if (!S_ISLNK(mode) &&
		    fchmodat(p->share->descriptors, name, mode & MODE_MASK, 0) < 0)
			return -errno;
		return 0;
	}
	fd = p9_open_path(p, path, O_RDONLY);
	if (fd < 0)
		return fd;
	err = p9_mapped_set(fd, mode, uid, gid, rdev);
	close(fd);
	return err;
}

/* The file was made just now, under this name: what the fid then is. */
static int take_new(struct p9 *p, struct p9_fid *f, int fd, int flags)
{
	char name[16];
	struct stat st;
	int path, err;

	p9_descriptor_name(fd, name);
	path = openat(p->share->descriptors, name, O_PATH | O_CLOEXEC);
	err = path < 0 ? -errno : p9_stat(p, path, &st);
	if (err < 0) {
		if (path >= 0)
			close(path);
		close(fd);
		return err;
	}
	close(f->path);
	f->path = path;
	become_open(f, fd, flags, false);
	put_opened(p, &st);
	return 0;
}

/* It is there already: opened as by lopen. */
static int open_existing(struct p9 *p, struct p9_fid *f, const char *name, int flags)
{
	struct stat st;
	int path = p9_look_up(f->path, name), old = f->path, err, fd;

	if (path < 0)
		return path;
	f->path = path;
	err = check_open(p, f, flags, &st);
	fd = err ? err : S_ISDIR(st.st_mode) ? -EISDIR : p9_open_path(p, path, flags);
	if (fd < 0) {
		f->path = old;
		close(path);
		return fd;
	}
	close(old);
	become_open(f, fd, flags, false);
	put_opened(p, &st);
	return 0;
}

int p9_lcreate(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	char name[P9_NAME_MAX + 1];
	int err = p9_get_name(p, name), flags = (int)p9_get32(p), fd;
	u32 mode = p9_get32(p), gid = p9_get32(p);
	const int make = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (p->bad || err)
		return err ? err : -EINVAL;
	if (!f || f->use != P9_PATH)
		return -EBADF;
	fd = openat(f->path, name, (flags & FLAGS) | make, 0600);
	if (fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		return open_existing(p, f, name, flags & FLAGS);
	if (fd < 0)
		return -errno;
	err = p9_set_new(p, fd, S_IFREG | (mode & 07777), f->uid, gid, ~0ULL);
	if (err < 0) {
		close(fd);
		unlinkat(f->path, name, 0);
		return err;
	}
	return take_new(p, f, fd, flags);
}

/* --- bytes ---------------------------------------------------------------------------- */

static int read_xattr(struct p9 *p, const struct p9_fid *f, u64 offset, u32 count)
{
	u32 n = offset < f->size ? f->size - (u32)offset : 0;

	if (n > count)
		n = count;
	if (n && !virtq_write(p->chain, READ_HEADER, f->value + offset, n))
		return -EMSGSIZE;
	p9_put32(p, n);
	p->data = n;
	return 0;
}

int p9_read(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u64 offset = p9_get64(p);
	u32 count = p9_get32(p);
	struct iovec iov[P9_CHAIN_MAX];
	ssize_t got;
	int n;

	if (p->bad || offset > INT64_MAX)
		return -EINVAL;
	if (!f || (f->use != P9_FILE && f->use != P9_XATTR_READ))
		return -EBADF;
	if (count > p->msize - READ_HEADER)
		count = p->msize - READ_HEADER;
	if (f->use == P9_XATTR_READ)
		return read_xattr(p, f, offset, count);
	n = virtq_in(p->chain, READ_HEADER, count, iov, P9_CHAIN_MAX);
	if (n < 0)
		return -EMSGSIZE;
	do
		got = preadv(f->fd, iov, n, (off_t)offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	p9_put32(p, (u32)got);
	p->data = (u32)got;
	return 0;
}

static int write_xattr(struct p9 *p, struct p9_fid *f, u64 offset, u32 count)
{
	if (offset != f->filled || count > f->size - f->filled)
		return -ENOSPC;
	if (!virtq_read(p->chain, WRITE_HEADER, f->value + f->filled, count))
		return -EINVAL;
	f->filled += count;
	p9_put32(p, count);
	return 0;
}

int p9_write(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u64 offset = p9_get64(p);
	u32 count = p9_get32(p);
	struct iovec iov[P9_CHAIN_MAX];
	ssize_t done;
	int n;

	if (p->bad || offset > INT64_MAX)
		return -EINVAL;
	if (!f || !((f->use == P9_FILE && f->writable) || f->use == P9_XATTR_WRITE))
		return -EBADF;
	if (f->use == P9_XATTR_WRITE)
		return write_xattr(p, f, offset, count);
	n = virtq_out(p->chain, WRITE_HEADER, count, iov, P9_CHAIN_MAX);
	if (n < 0)
		return -EINVAL;
	do
		done = pwritev(f->fd, iov, n, (off_t)offset);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	p9_put32(p, (u32)done);
	return 0;
}

int p9_fsync(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u32 data = p9_get32(p);

	if (p->bad)
		return -EINVAL;
	if (!f || f->fd < 0)
		return -EBADF;
	return (data ? fdatasync(f->fd) : fsync(f->fd)) < 0 ? -errno : 0;
}

/* --- locks: of the open file, which for the guest is the fid ------------------------------ */

enum { LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR };

/* The numbers of the protocol are not those of every C library. */
static const short lock_types[] = { F_RDLCK, F_WRLCK, F_UNLCK };

static int get_lock(struct p9 *p, struct flock *l, u8 type, u64 start, u64 length)
{
	if (p->bad || type >= ARRAY_SIZE(lock_types) || start > INT64_MAX || length > INT64_MAX)
		return -EINVAL;
	*l = (struct flock){
		.l_type = lock_types[type], .l_whence = SEEK_SET, .l_start = (off_t)start,
		.l_len = (off_t)length,
	};
	return 0;
}

/* The guest asks again by itself when a lock is held. */
int p9_lock(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u8 type = p9_get8(p);
	u64 start, length;
	char client[P9_NAME_MAX + 1];
	struct flock l;
	int err;

	p9_get32(p);
	start = p9_get64(p);
	length = p9_get64(p);
	p9_get32(p);
	err = p9_get_text(p, client, P9_NAME_MAX);
	if (!err)
		err = get_lock(p, &l, type, start, length);
	if (err)
		return err;
	if (!f || f->use != P9_FILE)
		return -EBADF;
	if (fcntl(f->fd, F_OFD_SETLK, &l) == 0)
		p9_put8(p, LOCK_SUCCESS);
	else
		p9_put8(p, errno == EAGAIN || errno == EACCES ? LOCK_BLOCKED : LOCK_ERROR);
	return 0;
}

int p9_getlock(struct p9 *p)
{
	struct p9_fid *f = p9_get_fid(p);
	u8 type = p9_get8(p);
	u64 start = p9_get64(p), length = p9_get64(p);
	u32 process = p9_get32(p);
	char client[P9_NAME_MAX + 1];
	struct flock l;
	int err = p9_get_text(p, client, P9_NAME_MAX);

	if (!err)
		err = get_lock(p, &l, type, start, length);
	if (err)
		return err;
	if (!f || f->use != P9_FILE)
		return -EBADF;
	if (fcntl(f->fd, F_OFD_GETLK, &l) < 0)
		return -errno;
	p9_put8(p, l.l_type == F_RDLCK ? 0 : l.l_type == F_WRLCK ? 1 : 2);
	p9_put64(p, (u64)l.l_start);
	p9_put64(p, (u64)l.l_len);
	p9_put32(p, process);
	p9_put_text(p, client, strlen(client));
	return 0;
}
