/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, resizing, checking and copying images: what commands do beside reading and writing. */
#ifndef VMM_BLOCK_CREATE_H
#define VMM_BLOCK_CREATE_H

#include "file.h"

struct image_spec {
	const char *format;		/* "raw" or "qcow2" */
	u64 size;			/* bytes; with a backing file 0 takes its size */
	u32 cluster_size;		/* bytes; 0: 64 KiB. Of qcow2, as the next ones */
	unsigned int refcount_bits;	/* 0: 16 */
	const char *backing;		/* the name to note, or NULL */
	const char *backing_format;
	bool force;			/* write over a file that is there */
};

/*
 * Makes an image file: 0, or -1 after an error line. Its backing file is looked
 * at for what spec does not say of it.
 */
int image_create(const char *path, const struct image_spec *spec);
/* Writes an empty image into a file that is open: 0, or -1 after an error line. */
int image_format(struct file *f, const struct image_spec *spec);

/* --- changing ----------------------------------------------------------------------- */

/* Without shrink a smaller size is refused: 0, or -1 after an error line. */
int image_resize(struct block *b, const char *path, u64 size, bool shrink);

/* --- information ---------------------------------------------------------------------- */

struct image_snapshot {
	char id[64], name[256];		/* cut if longer */
	u64 date, vm_clock, vm_size;	/* seconds, nanoseconds, bytes */
};

struct image_info {
	const char *format;
	u64 size, file_size, allocated;	/* bytes */
	const char *backing, *backing_format;	/* as noted in the image, or NULL */
	/* of qcow2; version is 0 for others */
	unsigned int version, refcount_bits;
	u32 cluster_size;
	bool zstd, lazy_refcounts, dirty, corrupt;
	unsigned int snapshots;		/* how many */
};

/* Valid until the image is closed. */
void image_get_info(const struct block *b, struct image_info *i);
/* One of its internal snapshots. */
const struct image_snapshot *image_get_snapshot(const struct block *b, unsigned int i);
/* The image under it, NULL when there is none that is open. Its fields, too. */
bool image_get_backing(const struct block *b, unsigned int depth, struct image_info *i,
		       const char **path);

/* --- check ------------------------------------------------------------------------------ */

enum image_repair { REPAIR_NONE, REPAIR_LEAKS, REPAIR_ALL };

struct image_check {
	u64 errors, leaks;		/* found */
	u64 fixed_errors, fixed_leaks;
	u64 clusters, allocated, compressed;	/* of the disk; those with data; of these */
	u64 end;			/* bytes: where the last used cluster ends */
	/* errors and leaks one by one, or NULL */
	void (*report)(void *arg, bool leak, const char *text);
	void (*progress)(void *arg, u64 done, u64 total);
	void *arg;
};

/*
 * Compares what an image refers to with its reference counts. 0, -ENOTSUP for a
 * format without such, or another -errno when it could not be checked.
 */
int image_check(struct block *b, enum image_repair repair, struct image_check *c);

/* --- copy.c: ------------------------------------------------------------------------- */

struct image_copy {
	bool zeroed;		/* the target is new: what it does not hold reads as zeros */
	void (*progress)(void *arg, u64 done, u64 total);
	void *arg;
};

/* Copies the disk of one image to another of at least its size: 0, or -1 after an error line. */
int image_copy(struct block *from, struct block *to, const struct image_copy *c);

#endif
