/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server of the 9P protocol, version 9P2000.L, as Linux's v9fs speaks it
 * (diod's protocol.md, the kernel's include/net/9p/9p.h): a folder of the host
 * as a file system of the guest.
 *
 *	device.c	the virtio device: a message in a chain, its answer
 *	apart.c		the server in a process of its own
 *	message.c	integers and strings of messages
 *	fid.c		what the guest's numbers for files stand for
 *	session.c	version, attach, walk, clunk, flush
 *	file.c		open, create, read, write, sync, locks
 *	names.c		folders: read, and what makes, moves and removes names
 *	attributes.c	stat, chmod and the like, statfs, extended attributes
 *	mapped.c	owners, modes and kinds that are kept in extended attributes
 *
 * Never outside of the folder: a fid has a descriptor (O_PATH) of its file. A
 * name from the guest is one component, without '/' and none of "", ".", "..",
 * and is looked up below such a descriptor without following a symbolic link.
 * A file is opened by its descriptor, and only when it is a regular file or a
 * folder. Functions give 0 or -errno, which the guest gets.
 *
 * A server is used by one thread at a time: the one that handles its queue.
 */
#ifndef VMM_DEVICES_VIRTIO_P9_H
#define VMM_DEVICES_VIRTIO_P9_H

#include <sys/stat.h>

#include "../../../backends/share.h"
#include "../virtio.h"

#define P9_HEAD_MAX 8192	/* of a message, without the data of a write */
#define P9_REPLY_MAX 65536	/* the same of an answer, without that of a read */
#define P9_MSIZE_MAX (512 * KIB)
#define P9_MSIZE_MIN 4096
#define P9_HEADER 7		/* size, type, tag */
#define P9_FIDS_MAX 32768
#define P9_FID_HASH 1024
#define P9_NO_FID 0xffffffffu
#define P9_NAME_MAX 255
#define P9_XATTR_MAX 65536	/* bytes of a value */
#define P9_VALUES_MAX 1024	/* fids that hold one */
#define P9_CHAIN_MAX 256	/* buffers */

enum p9_type {
	P9_LERROR = 6, P9_STATFS = 8, P9_LOPEN = 12, P9_LCREATE = 14, P9_SYMLINK = 16,
	P9_MKNOD = 18, P9_READLINK = 22, P9_GETATTR = 24, P9_SETATTR = 26, P9_XATTRWALK = 30,
	P9_XATTRCREATE = 32, P9_READDIR = 40, P9_FSYNC = 50, P9_LOCK = 52, P9_GETLOCK = 54,
	P9_LINK = 70, P9_MKDIR = 72, P9_RENAMEAT = 74, P9_UNLINKAT = 76, P9_VERSION = 100,
	P9_ATTACH = 104, P9_FLUSH = 108, P9_WALK = 110, P9_READ = 116, P9_WRITE = 118,
	P9_CLUNK = 120, P9_REMOVE = 122,
};

/* What kind of thing a fid is, beside a name. */
enum p9_use { P9_PATH, P9_FILE, P9_FOLDER, P9_XATTR_READ, P9_XATTR_WRITE };

struct p9_fid {
	struct p9_fid *next;
	u32 id;
	u32 uid;		/* who attached */
	enum p9_use use;
	int path;		/* O_PATH */
	int fd;			/* of P9_FILE and P9_FOLDER, or -1 */
	bool writable;
	u64 position;		/* of P9_FOLDER: where fd is */
	/* of extended attributes */
	char name[P9_NAME_MAX + 1];
	u8 *value;
	u32 size, filled;
	int flags;
};

struct p9_qid {
	u8 type;
	u32 version;
	u64 path;
} __attribute__((packed));

/* A message: what is left of its head, and of its answer. */
struct p9 {
	const struct share *share;
	u64 device;		/* of the root: others are told apart in qids */
	u32 msize;
	unsigned int fids, values;	/* values: fids with one */
	struct p9_fid *fid[P9_FID_HASH];

	/* the request at hand */
	const struct virtq_chain *chain;
	u8 head[P9_HEAD_MAX];
	u32 at, end;		/* in head */
	bool bad;		/* it was shorter than its type needs */
	u8 reply[P9_REPLY_MAX];
	u32 len;		/* of reply */
	u32 data;		/* bytes after it that are in the chain already */
};

/* --- message.c ------------------------------------------------------------------------ */

u8 p9_get8(struct p9 *p);
u16 p9_get16(struct p9 *p);
u32 p9_get32(struct p9 *p);
u64 p9_get64(struct p9 *p);
/* A string of at most max bytes, without zeros in it; text has room for one more. */
int p9_get_text(struct p9 *p, char *text, u32 max);
/* The same for a name within a folder. */
int p9_get_name(struct p9 *p, char name[P9_NAME_MAX + 1]);
void p9_put8(struct p9 *p, u8 v);
void p9_put16(struct p9 *p, u16 v);
void p9_put32(struct p9 *p, u32 v);
void p9_put64(struct p9 *p, u64 v);
void p9_put_text(struct p9 *p, const char *text, size_t len);
void p9_put_qid(struct p9 *p, const struct p9_qid *q);
/* Handles one message: the bytes of its answer in the chain, or -1 when it can have none. */
ssize_t p9_handle(struct p9 *p, const struct virtq_chain *chain);

/* --- apart.c: the same, by another process --------------------------------------------- */

ssize_t p9_apart_handle(const struct share *s, const struct virtq_chain *chain);
/* Has it drop all fids. */
void p9_apart_forget(const struct share *s);

/* --- fid.c ------------------------------------------------------------------------------ */

/* The fid that the message names next; NULL when there is none. */
struct p9_fid *p9_get_fid(struct p9 *p);
struct p9_fid *p9_find_fid(struct p9 *p, u32 id);
/* Takes path over; 0, or -errno with path closed. */
int p9_new_fid(struct p9 *p, u32 id, int path, u32 uid, struct p9_fid **made);
void p9_drop_fid(struct p9 *p, struct p9_fid *f);
void p9_drop_all(struct p9 *p);

/* --- files of the host ---------------------------------------------------------------------- */

/* An O_PATH descriptor of a name in a folder; or -errno. */
int p9_look_up(int folder, const char *name);
/* Opens the regular file or folder of an O_PATH descriptor; or -errno. */
int p9_open_path(const struct p9 *p, int path, int flags);
/* As the guest is to see it. */
int p9_stat(const struct p9 *p, int path, struct stat *st);
void p9_make_qid(const struct p9 *p, const struct stat *st, struct p9_qid *q);
/* Names the link to a descriptor in share->descriptors. */
void p9_descriptor_name(int fd, char name[16]);
/* What a new file, open or O_PATH, is to be for the guest. */
int p9_set_new(const struct p9 *p, int path, u32 mode, u32 uid, u32 gid, u64 rdev);

/* --- mapped.c --------------------------------------------------------------------------------- */

/* Changes st to what is kept. fd: open for reading. */
void p9_mapped_stat(int fd, struct stat *st);
/* Keeps what is not ~0. */
int p9_mapped_set(int fd, u32 mode, u32 uid, u32 gid, u64 rdev);
bool p9_mapped_name(const char *xattr);

/* --- the messages: 0 or -errno ---------------------------------------------------------------- */

int p9_version(struct p9 *p);
int p9_attach(struct p9 *p);
int p9_walk(struct p9 *p);
int p9_clunk(struct p9 *p);
int p9_flush(struct p9 *p);
int p9_remove(struct p9 *p);
int p9_lopen(struct p9 *p);
int p9_lcreate(struct p9 *p);
int p9_read(struct p9 *p);
int p9_write(struct p9 *p);
int p9_fsync(struct p9 *p);
int p9_lock(struct p9 *p);
int p9_getlock(struct p9 *p);
int p9_readdir(struct p9 *p);
int p9_readlink(struct p9 *p);
int p9_symlink(struct p9 *p);
int p9_mknod(struct p9 *p);
int p9_mkdir(struct p9 *p);
int p9_link(struct p9 *p);
int p9_renameat(struct p9 *p);
int p9_unlinkat(struct p9 *p);
int p9_getattr(struct p9 *p);
int p9_setattr(struct p9 *p);
int p9_statfs(struct p9 *p);
int p9_xattrwalk(struct p9 *p);
int p9_xattrcreate(struct p9 *p);
/* The end of a P9_XATTR_WRITE: what was written takes effect. */
int p9_xattr_store(struct p9 *p, struct p9_fid *f);

#endif
