/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of 9P: their parts, and which function handles which. A message that
 * is shorter than its parts reads as zeros from there on and is refused before
 * anything is done, as long as its handler takes all parts first and then looks
 * at p->bad.
 */
#include <errno.h>
#include <string.h>

#include "p9.h"

/* --- taking apart ---------------------------------------------------------------------- */

static u64 get(struct p9 *p, u32 size)
{
	u64 v = 0;

	if (size > p->end - p->at) {
		p->bad = true;
		return 0;
	}
	memcpy(&v, p->head + p->at, size);
	p->at += size;
	return v;
}

u8 p9_get8(struct p9 *p)
{
	return (u8)get(p, 1);
}

u16 p9_get16(struct p9 *p)
{
	return (u16)get(p, 2);
}

u32 p9_get32(struct p9 *p)
{
	return (u32)get(p, 4);
}

u64 p9_get64(struct p9 *p)
{
	return get(p, 8);
}

int p9_get_text(struct p9 *p, char *text, u32 max)
{
	u32 len = p9_get16(p);

	*text = 0;
	if (p->bad || len > p->end - p->at) {
		p->bad = true;
		return -EINVAL;
	}
	p->at += len;
	if (len > max)
		return -ENAMETOOLONG;
	memcpy(text, p->head + p->at - len, len);
	text[len] = 0;
	return strlen(text) == len ? 0 : -EINVAL;
}

int p9_get_name(struct p9 *p, char name[P9_NAME_MAX + 1])
{
	int err = p9_get_text(p, name, P9_NAME_MAX);

	if (err < 0)
		return err;
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ?
		-EINVAL : 0;
}

/* --- putting together --------------------------------------------------------------------- */

static void put(struct p9 *p, const void *v, size_t size)
{
	if (size > sizeof(p->reply) - p->len)
		return;		/* no answer is as long as this; those of a list are checked */
	memcpy(p->reply + p->len, v, size);
	p->len += (u32)size;
}

void p9_put8(struct p9 *p, u8 v)
{
	put(p, &v, sizeof(v));
}

void p9_put16(struct p9 *p, u16 v)
{
	put(p, &v, sizeof(v));
}

void p9_put32(struct p9 *p, u32 v)
{
	put(p, &v, sizeof(v));
}

void p9_put64(struct p9 *p, u64 v)
{
	put(p, &v, sizeof(v));
}

void p9_put_text(struct p9 *p, const char *text, size_t len)
{
	p9_put16(p, (u16)len);
	put(p, text, len);
}

void p9_put_qid(struct p9 *p, const struct p9_qid *q)
{
	put(p, q, sizeof(*q));
}

/* --- messages -------------------------------------------------------------------------------- */

static const struct {
	int (*fn)(struct p9 *p);
	bool changes;		/* refused for a folder that is only to be read */
} handlers[256] = {
	[P9_STATFS] = { p9_statfs, false },
	[P9_LOPEN] = { p9_lopen, false },
	[P9_LCREATE] = { p9_lcreate, true },
	[P9_SYMLINK] = { p9_symlink, true },
	[P9_MKNOD] = { p9_mknod, true },
	[P9_READLINK] = { p9_readlink, false },
	[P9_GETATTR] = { p9_getattr, false },
	[P9_SETATTR] = { p9_setattr, true },
	[P9_XATTRWALK] = { p9_xattrwalk, false },
	[P9_XATTRCREATE] = { p9_xattrcreate, true },
	[P9_READDIR] = { p9_readdir, false },
	[P9_FSYNC] = { p9_fsync, false },
	[P9_LOCK] = { p9_lock, false },
	[P9_GETLOCK] = { p9_getlock, false },
	[P9_LINK] = { p9_link, true },
	[P9_MKDIR] = { p9_mkdir, true },
	[P9_RENAMEAT] = { p9_renameat, true },
	[P9_UNLINKAT] = { p9_unlinkat, true },
	[P9_VERSION] = { p9_version, false },
	[P9_ATTACH] = { p9_attach, false },
	[P9_FLUSH] = { p9_flush, false },
	[P9_WALK] = { p9_walk, false },
	[P9_READ] = { p9_read, false },
	[P9_WRITE] = { p9_write, true },
	[P9_CLUNK] = { p9_clunk, false },
	[P9_REMOVE] = { p9_remove, false },
};

static int run(struct p9 *p, u8 type, u32 size)
{
	u64 have = p->chain->out_len;

	if (size > have || size < P9_HEADER || size > P9_MSIZE_MAX)
		return -EINVAL;
	if (type != P9_WRITE && size > P9_HEAD_MAX)
		return -EMSGSIZE;
	p->end = size < P9_HEAD_MAX ? size : P9_HEAD_MAX;
	virtq_read(p->chain, 0, p->head, p->end);
	if (!handlers[type].fn)
		return -EOPNOTSUPP;
	if (handlers[type].changes && p->share->readonly)
		return -EROFS;
	return handlers[type].fn(p);
}

static void fail(struct p9 *p, u8 *type, int err)
{
	*type = P9_LERROR;
	p->len = P9_HEADER;
	p->data = 0;
	p9_put32(p, (u32)-err);
}

ssize_t p9_handle(struct p9 *p, const struct virtq_chain *chain)
{
	struct {
		u32 size;
		u8 type;
		u16 tag;
	} __attribute__((packed)) h;
	u8 type;
	int err;

	if (!virtq_read(chain, 0, &h, sizeof(h)))
		return -1;
	p->chain = chain;
	p->at = P9_HEADER;
	p->len = P9_HEADER;
	p->data = 0;
	p->bad = false;
	type = h.type;
	err = run(p, type, h.size);
	if (err < 0)
		fail(p, &type, err);
	if (p->len > chain->in_len || p->len + p->data > chain->in_len)
		fail(p, &type, -EMSGSIZE);
	h.size = p->len + p->data;
	h.type = type + 1;
	memcpy(p->reply, &h, sizeof(h));
	return virtq_write(chain, 0, p->reply, p->len) ? (ssize_t)h.size : -1;
}
