/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or block device of the host that holds an image. Reads and writes
 * block, and are complete or fail; what lies past the end reads as zeros.
 * Any thread may call them.
 */
#ifndef VMM_BLOCK_FILE_H
#define VMM_BLOCK_FILE_H

#include <pthread.h>
#include <sys/stat.h>

#include "block.h"
#include "span.h"

/* What other processes may do meanwhile, anykvm and QEMU alike. */
enum file_lock {
	FILE_LOCK_NONE,
	FILE_LOCK_SHARED,	/* anything: we only look */
	FILE_LOCK_READ,		/* read */
	FILE_LOCK_WRITE,	/* not write, nor read what must stay the same */
};

struct file {
	int fd;
	char *path;		/* for messages */
	u64 size;		/* bytes, atomic; grows with writes */
	u64 id[2];		/* device and inode: which file it is */
	bool writable;
	bool device;		/* a block device: its size is fixed */
	bool direct;		/* O_DIRECT: align rules */
	bool unsafe;		/* never synced */
	bool no_punch, no_zero;	/* the host refused that once; atomic */
	u32 align;		/* of offsets, lengths and addresses; 1 without direct */
	int sync_error;		/* atomic: of the first sync that failed */
	pthread_mutex_t edges;	/* held while a block is read, changed and written */
};

/* The permissions of a new file: the umask decides. */
#define FILE_MODE 0666

struct file_options {
	bool writable;
	bool create;		/* make it if it is missing */
	bool exclusive;		/* and fail if it is there */
	enum block_cache cache;
	enum file_lock lock;
};

/* NULL after an error line. */
struct file *file_open(const char *path, const struct file_options *o);
/* An empty file without a name in $TMPDIR, /var/tmp or /tmp; never synced. */
struct file *file_temporary(void);
void file_close(struct file *f);

u64 file_size(const struct file *f);
/* Whether a transfer can go to the host as it is. */
bool file_fits(const struct file *f, u64 off, const struct span *s);

/* 0 or -errno, all of these. A write past the end makes the file longer. */
int file_readv(struct file *f, u64 off, const struct span *s);
int file_writev(struct file *f, u64 off, const struct span *s);
int file_read(struct file *f, u64 off, void *buf, size_t len);
int file_write(struct file *f, u64 off, const void *buf, size_t len);
/* A sync that failed makes all later ones fail: what was lost stays lost. */
int file_sync(struct file *f);
int file_resize(struct file *f, u64 size);
/* Frees the space of a range, which reads as zeros then; -EOPNOTSUPP. */
int file_punch(struct file *f, u64 off, u64 len);
/* Makes a range within the file read as zeros. */
int file_zero(struct file *f, u64 off, u64 len, bool unmap);
/* Whether off lies in a hole, and how far that goes, up to len. */
enum block_status file_status(struct file *f, u64 off, u64 len, u64 *run);
/* Bytes that it takes on the host. */
u64 file_allocated(const struct file *f);

/* Notes that what lies before end was written. */
void file_grown(struct file *f, u64 end);

/* --- lock.c ---------------------------------------------------------------------- */

/* 0, or -1 after an error line. The lock goes with the descriptor. */
int file_lock(struct file *f, enum file_lock lock);

/* --- direct.c: transfers that O_DIRECT does not take as they are --------------------- */

int direct_readv(struct file *f, u64 off, const struct span *s);
int direct_writev(struct file *f, u64 off, const struct span *s);

/* Plain transfers, once each: bytes or -errno. */
ssize_t file_pread(struct file *f, u64 off, const struct span *s);
ssize_t file_pwrite(struct file *f, u64 off, const struct span *s);

#endif
