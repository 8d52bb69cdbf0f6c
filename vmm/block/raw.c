/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw images: the file is the disk. A size that is no multiple of a sector is
 * rounded up; what is missing reads as zeros.
 *
 * When nobody said that an image is raw, the guest may not write the beginning
 * of another format to its first sector: the next start would take that for the
 * truth, with a backing file of the guest's choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "node.h"

#define MAGIC 4			/* bytes by which a format is known */

struct raw {
	struct node node;
	u64 file_size;		/* as it was opened */
	bool guessed;
	bool told;		/* of a refused write, atomic */
};

static int raw_read(struct node *n, u64 off, const struct span *s)
{
	return file_readv(n->file, off, s);
}

static int refuse(struct raw *r)
{
	if (!__atomic_exchange_n(&r->told, true, __ATOMIC_RELAXED))
		error("%s: a write that would make it look like another image format is refused; "
		      "say that its format is raw to allow it", r->node.file->path);
	return -EPERM;
}

/*
 * A write to the beginning, sector and all. What is judged is written: the guest
 * may change its memory meanwhile.
 */
static int write_beginning(struct raw *r, u64 off, const struct span *s)
{
	u8 head[BLOCK_SECTOR] = { 0 };
	size_t n = s->len < sizeof(head) - off ? s->len : sizeof(head) - (size_t)off;
	struct span part = span_cut(s, 0, n), rest = span_cut(s, n, s->len - n);
	int err = 0;

	if (off || n < MAGIC)
		err = file_read(r->node.file, 0, head, MAGIC);
	if (err)
		return err;
	span_get(&part, head + off);
	if (qcow2_probe(head, sizeof(head)))
		return refuse(r);
	err = file_write(r->node.file, off, head + off, n);
	return err || !rest.len ? err : file_writev(r->node.file, off + n, &rest);
}

static int raw_write(struct node *n, u64 off, const struct span *s)
{
	struct raw *r = (struct raw *)n;
	int err;

	err = r->guessed && off < MAGIC ? write_beginning(r, off, s) :
		file_writev(n->file, off, s);
	/* O_DIRECT writes whole blocks: the last one would make the file longer */
	if (!err && n->file->direct && off + s->len > align_down(r->file_size, n->file->align) &&
	    file_size(n->file) > n->size)
		err = file_resize(n->file, n->size);
	return err;
}

static int raw_zero(struct node *n, u64 off, u64 len, bool unmap)
{
	u64 size = file_size(n->file);
	u64 inside = off < size ? size - off : 0;

	return file_zero(n->file, off, len < inside ? len : inside, unmap);
}

static int raw_discard(struct node *n, u64 off, u64 len)
{
	int err = file_punch(n->file, off, len);

	return err == -EOPNOTSUPP ? 0 : err;
}

static int raw_flush(struct node *n)
{
	return file_sync(n->file);
}

static bool raw_clean(struct node *n)
{
	(void)n;
	return true;
}

static void raw_map(struct node *n, u64 off, u64 len, bool write, struct extent *e)
{
	struct raw *r = (struct raw *)n;
	bool slow = write && ((r->guessed && off < MAGIC) ||
			      (n->file->direct && off + len > align_down(r->file_size,
									 n->file->align)));

	*e = (struct extent){ slow ? MAP_SLOW : MAP_FILE, n->file, off, len };
}

static int raw_status(struct node *n, u64 off, u64 len, u64 *run)
{
	return (int)file_status(n->file, off, len, run);
}

static void raw_close(struct node *n)
{
	free(n);
}

static const struct node_ops raw_ops = {
	.name = "raw",
	.read = raw_read,
	.write = raw_write,
	.zero = raw_zero,
	.discard = raw_discard,
	.flush = raw_flush,
	.clean = raw_clean,
	.map = raw_map,
	.status = raw_status,
	.close = raw_close,
};

struct node *raw_open(struct file *f, const struct open_how *how, bool guessed)
{
	struct raw *r = calloc(1, sizeof(*r));

	(void)how;
	if (!r) {
		error("out of memory");
		file_close(f);
		return NULL;
	}
	r->file_size = f->size;
	r->guessed = guessed;
	r->node = (struct node){
		.ops = &raw_ops,
		.file = f,
		.size = align_up(f->size, BLOCK_SECTOR),
		.granularity = f->align > BLOCK_SECTOR ? f->align : BLOCK_SECTOR,
		.writable = f->writable,
	};
	if (f->device)
		r->node.size = align_down(f->size, BLOCK_SECTOR);
	return &r->node;
}
