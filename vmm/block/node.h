/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A node: one image of a chain, in its format. The operations block, may come
 * from any thread and give 0 or -errno; offsets and lengths are within the
 * node's size. The caller keeps apart what must not meet: a write, zero or
 * discard that may change where data lies is alone on its range, rounded to the
 * granularity (queue.c).
 */
#ifndef VMM_BLOCK_NODE_H
#define VMM_BLOCK_NODE_H

#include "file.h"

#define CHAIN_MAX 32		/* images from the top to the last backing file */

/* Where a run of bytes lies at the moment. */
enum map_kind {
	MAP_FILE,		/* in a file, as it is */
	MAP_ZERO,		/* nowhere: it reads as zeros */
	MAP_SLOW,		/* only the blocking operation can tell, or do it */
};

struct extent {
	enum map_kind kind;
	struct file *file;
	u64 off, len;
};

struct node;

struct node_ops {
	const char *name;
	int (*read)(struct node *n, u64 off, const struct span *s);
	int (*write)(struct node *n, u64 off, const struct span *s);
	int (*zero)(struct node *n, u64 off, u64 len, bool unmap);
	int (*discard)(struct node *n, u64 off, u64 len);
	/* What the format keeps in memory goes to the file, and the file is synced. */
	int (*flush)(struct node *n);
	/* Whether a flush is no more than a sync of the file. Does not wait. */
	bool (*clean)(struct node *n);
	/*
	 * Where up to len bytes at off are to be read from or, if write, written to.
	 * Does no input or output. A failure is MAP_SLOW.
	 */
	void (*map)(struct node *n, u64 off, u64 len, bool write, struct extent *e);
	int (*status)(struct node *n, u64 off, u64 len, u64 *run);	/* as block_status */
	/* Does not flush. */
	void (*close)(struct node *n);
};

struct node {
	const struct node_ops *ops;
	struct file *file;
	struct node *backing;	/* or NULL */
	u64 size;		/* bytes, a multiple of BLOCK_SECTOR */
	u32 granularity;	/* bytes, a power of 2 */
	bool writable;
};

/* What the image is opened for. */
struct open_how {
	struct file_options file;
	bool examine;		/* as in block_options */
	bool no_backing;
	unsigned int depth;
	struct node *under;	/* the backing node, already open, or NULL */
};

/* Opens an image and its backing files: NULL after an error line. */
struct node *node_open(const char *path, const char *format, const struct open_how *how);
/*
 * The path of a backing file by the name that an image notes: relative ones begin
 * at the image. Allocated; NULL when there is no memory.
 */
char *node_backing_path(const char *image, const char *name);
/* Closes the chain. Takes NULL. */
void node_close(struct node *n);

/* Reads up to the end of the node; what lies past it is zeros. */
int node_read(struct node *n, u64 off, const struct span *s);
/* As the operation, for ranges that may reach past the end. */
int node_status(struct node *n, u64 off, u64 len, u64 *run);
void node_map_read(struct node *n, u64 off, u64 len, struct extent *e);

/* --- the formats: each owns the file from then on, also when it fails ---------------- */

/* guessed: nobody said that it is raw. */
struct node *raw_open(struct file *f, const struct open_how *how, bool guessed);
struct node *qcow2_open(struct file *f, const struct open_how *how);

bool qcow2_probe(const u8 *head, size_t len);

#endif
