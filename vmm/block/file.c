/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of the host: complete reads and writes, sync, holes. Whatever the
 * system call does by halves (short transfers, signals) is finished here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../error.h"
#include "fdset.h"
#include "file.h"

#define VEC_MAX 1024		/* IOV_MAX */
#define DIRECT_ALIGN 4096	/* enough for every file system */
#define ZERO_CHUNK (1 * MIB)
#define SIZE_MAX_BYTES ((u64)INT64_MAX - 2 * MIB)

/* --- opening ---------------------------------------------------------------------- */

static int examine_device(struct file *f)
{
	int sector = 512;
	u64 size;

	if (ioctl(f->fd, BLKGETSIZE64, &size) < 0 || ioctl(f->fd, BLKSSZGET, &sector) < 0)
		return error("%s: cannot learn the size of the device: %s", f->path,
			     strerror(errno));
	f->device = true;
	f->size = size;
	if (f->direct)
		f->align = (u32)sector;
	return 0;
}

static int examine(struct file *f)
{
	struct stat st;
	int flags = fcntl(f->fd, F_GETFL);

	/* O_NONBLOCK was there for FIFOs only; io_uring would take it at its word */
	if (fstat(f->fd, &st) < 0 || flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return error("%s: %s", f->path, strerror(errno));
	/* of a descriptor that was passed: all writes would go to the end */
	if (f->writable && flags & O_APPEND)
		return error("%s was opened to append (O_APPEND), and cannot be written elsewhere",
			     f->path);
	f->id[0] = st.st_dev;
	f->id[1] = st.st_ino;
	f->align = f->direct ? DIRECT_ALIGN : 1;
	if (S_ISBLK(st.st_mode))
		return examine_device(f);
	if (!S_ISREG(st.st_mode))
		return error("%s is neither a file nor a block device", f->path);
	f->size = (u64)st.st_size;
	return 0;
}

static struct file *new_file(const char *path)
{
	struct file *f = calloc(1, sizeof(*f));

	if (f)
		f->path = strdup(path);
	if (!f || !f->path) {
		error("out of memory");
		free(f);
		return NULL;
	}
	f->fd = -1;
	pthread_mutex_init(&f->edges, NULL);
	return f;
}

static int open_flags(const struct file_options *o)
{
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (o->writable ? O_RDWR : O_RDONLY);

	if (o->create)
		flags |= O_CREAT;
	if (o->exclusive)
		flags |= O_EXCL;
	if (o->cache == BLOCK_NONE || o->cache == BLOCK_DIRECTSYNC)
		flags |= O_DIRECT;
	return flags;
}

struct file *file_open(const char *path, const struct file_options *o)
{
	struct file *f = new_file(path);
	int flags = open_flags(o);

	if (!f)
		return NULL;
	f->writable = o->writable;
	f->direct = flags & O_DIRECT;
	f->unsafe = o->cache == BLOCK_UNSAFE;
	f->fd = fdset_open(path, flags, FILE_MODE);
	if (f->fd < 0 && errno == EINVAL && f->direct)
		error("%s: its file system has no O_DIRECT, which this cache mode needs", path);
	else if (f->fd < 0)
		error("cannot open %s%s: %s", path, o->writable ? " for writing" : "",
		      strerror(errno));
	if (f->fd < 0 || examine(f) < 0 || file_lock(f, o->lock) < 0) {
		file_close(f);
		return NULL;
	}
	return f;
}

struct file *file_temporary(void)
{
	const char *const places[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	struct file *f = new_file("the temporary file");
	char name[4096];
	unsigned int i;

	for (i = 0; f && f->fd < 0 && i < ARRAY_SIZE(places); i++) {
		if (!places[i] || snprintf(name, sizeof(name), "%s/anykvm-XXXXXX", places[i]) >=
		    (int)sizeof(name))
			continue;
		f->fd = mkostemp(name, O_CLOEXEC);
		if (f->fd >= 0)
			unlink(name);
	}
	if (!f)
		return NULL;
	f->writable = true;
	f->unsafe = true;
	if (f->fd < 0)
		error("cannot make a temporary file: %s", strerror(errno));
	if (f->fd < 0 || examine(f) < 0) {
		file_close(f);
		return NULL;
	}
	return f;
}

void file_close(struct file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	pthread_mutex_destroy(&f->edges);
	free(f->path);
	free(f);
}

u64 file_size(const struct file *f)
{
	return __atomic_load_n(&f->size, __ATOMIC_ACQUIRE);
}

void file_grown(struct file *f, u64 end)
{
	u64 size = file_size(f);

	while (size < end && !f->device &&
	       !__atomic_compare_exchange_n(&f->size, &size, end, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE))
		;
}

/* --- transfers ---------------------------------------------------------------------- */

bool file_fits(const struct file *f, u64 off, const struct span *s)
{
	return f->align == 1 || (!(off & (f->align - 1)) && span_aligned(s, f->align));
}

ssize_t file_pread(struct file *f, u64 off, const struct span *s)
{
	struct iovec v[VEC_MAX];
	unsigned int cnt = span_vec(s, v, VEC_MAX);
	ssize_t n;

	do {
		n = preadv(f->fd, v, (int)cnt, (off_t)off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t file_pwrite(struct file *f, u64 off, const struct span *s)
{
	struct iovec v[VEC_MAX];
	unsigned int cnt = span_vec(s, v, VEC_MAX);
	ssize_t n;

	do {
		n = pwritev(f->fd, v, (int)cnt, (off_t)off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int file_readv(struct file *f, u64 off, const struct span *s)
{
	struct span rest = *s;

	if (off > SIZE_MAX_BYTES || s->len > SIZE_MAX_BYTES - off)
		return -EFBIG;
	while (rest.len) {
		ssize_t n;

		if (!file_fits(f, off, &rest))
			return direct_readv(f, off, &rest);
		n = file_pread(f, off, &rest);
		if (n < 0)
			return (int)n;
		if (!n) {
			span_zero(&rest);
			return 0;
		}
		off += (u64)n;
		rest = span_cut(&rest, (size_t)n, rest.len - (size_t)n);
	}
	return 0;
}

int file_writev(struct file *f, u64 off, const struct span *s)
{
	struct span rest = *s;

	if (off > SIZE_MAX_BYTES || s->len > SIZE_MAX_BYTES - off)
		return -EFBIG;
	if (f->device && (off > f->size || s->len > f->size - off))
		return -ENOSPC;
	while (rest.len) {
		ssize_t n;

		if (!file_fits(f, off, &rest))
			return direct_writev(f, off, &rest);
		n = file_pwrite(f, off, &rest);
		if (n <= 0)
			return n ? (int)n : -EIO;
		off += (u64)n;
		file_grown(f, off);
		rest = span_cut(&rest, (size_t)n, rest.len - (size_t)n);
	}
	return 0;
}

int file_read(struct file *f, u64 off, void *buf, size_t len)
{
	struct iovec v;
	struct span s = span_mem(&v, buf, len);

	return file_readv(f, off, &s);
}

int file_write(struct file *f, u64 off, const void *buf, size_t len)
{
	struct iovec v;
	struct span s = span_mem(&v, buf, len);

	return file_writev(f, off, &s);
}

/* --- sync, size, holes ------------------------------------------------------------------ */

int file_sync(struct file *f)
{
	int err = __atomic_load_n(&f->sync_error, __ATOMIC_ACQUIRE);

	if (f->unsafe || err)
		return err;
	do {
		err = fdatasync(f->fd) < 0 ? errno : 0;
	} while (err == EINTR);
	if (err)
		__atomic_store_n(&f->sync_error, -err, __ATOMIC_RELEASE);
	return -err;
}

int file_resize(struct file *f, u64 size)
{
	if (f->device)
		return size <= f->size ? 0 : -ENOSPC;
	if (size > SIZE_MAX_BYTES)
		return -EFBIG;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return -errno;
	__atomic_store_n(&f->size, size, __ATOMIC_RELEASE);
	return 0;
}

static int allocate(struct file *f, int mode, u64 off, u64 len, bool *refused)
{
	int err;

	if (__atomic_load_n(refused, __ATOMIC_RELAXED))
		return -EOPNOTSUPP;
	do {
		err = fallocate(f->fd, mode, (off_t)off, (off_t)len) < 0 ? errno : 0;
	} while (err == EINTR);
	if (err == EOPNOTSUPP || err == ENOSYS || err == EINVAL || err == ENODEV) {
		__atomic_store_n(refused, true, __ATOMIC_RELAXED);
		err = EOPNOTSUPP;
	}
	return -err;
}

int file_punch(struct file *f, u64 off, u64 len)
{
	const u64 align = f->device ? 4096 : 1;
	u64 end = align_down(off + len, align);

	off = align_up(off, align);
	if (off >= end)
		return 0;
	return allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, end - off,
			&f->no_punch);
}

static int write_zeros(struct file *f, u64 off, u64 len)
{
	size_t room = len < ZERO_CHUNK ? (size_t)align_up(len, DIRECT_ALIGN) : ZERO_CHUNK;
	void *zeros = aligned_alloc(DIRECT_ALIGN, room);
	int err = 0;

	if (!zeros)
		return -ENOMEM;
	memset(zeros, 0, room);
	while (len && !err) {
		size_t n = len < room ? (size_t)len : room;

		err = file_write(f, off, zeros, n);
		off += n;
		len -= n;
	}
	free(zeros);
	return err;
}

int file_zero(struct file *f, u64 off, u64 len, bool unmap)
{
	int err = -EOPNOTSUPP;

	if (!len)
		return 0;
	if (f->device && ((off | len) & 4095))
		return write_zeros(f, off, len);
	if (unmap)
		err = file_punch(f, off, len);
	if (err == -EOPNOTSUPP)
		err = allocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len,
			       &f->no_zero);
	if (err == -EOPNOTSUPP)
		err = write_zeros(f, off, len);
	return err;
}

enum block_status file_status(struct file *f, u64 off, u64 len, u64 *run)
{
	u64 size = file_size(f);
	off_t data, hole;

	*run = len;
	if (off >= size)
		return BLOCK_ZERO;
	data = lseek(f->fd, (off_t)off, SEEK_DATA);
	if (data < 0)		/* no more data, or not known */
		return errno == ENXIO ? BLOCK_ZERO : BLOCK_DATA;
	if ((u64)data > off) {
		*run = (u64)data - off < len ? (u64)data - off : len;
		return BLOCK_ZERO;
	}
	hole = lseek(f->fd, (off_t)off, SEEK_HOLE);
	if (hole > (off_t)off && (u64)hole - off < len)
		*run = (u64)hole - off;
	return BLOCK_DATA;
}

u64 file_allocated(const struct file *f)
{
	struct stat st;

	if (f->device || fstat(f->fd, &st) < 0)
		return f->size;
	return (u64)st.st_blocks * 512;
}
