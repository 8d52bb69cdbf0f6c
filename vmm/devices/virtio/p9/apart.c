/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server in a process of its own, so that the machine's process needs no
 * right to open files: messages and answers go over a stream socket, each after
 * its length. With root the process has the shared folder as its root folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../helper.h"
#include "p9.h"

enum { ASK_MESSAGE, ASK_FORGET };

struct ask {
	u32 what;
	u32 out_len, in_len;
};

/* Moves all bytes of iov, which it changes: false when the other side is gone. */
static bool move_all(int fd, struct iovec *iov, int n, bool out)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	ssize_t done;

	while (m.msg_iovlen) {
		done = out ? sendmsg(fd, &m, MSG_NOSIGNAL) : recvmsg(fd, &m, 0);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		while (m.msg_iovlen && (size_t)done >= m.msg_iov->iov_len) {
			done -= (ssize_t)m.msg_iov->iov_len;
			m.msg_iov++;
			m.msg_iovlen--;
		}
		if (m.msg_iovlen) {
			m.msg_iov->iov_base = (u8 *)m.msg_iov->iov_base + done;
			m.msg_iov->iov_len -= (size_t)done;
		}
	}
	return true;
}

/* --- the process of the server -------------------------------------------------------------- */

static bool move(void *p, size_t n, bool out)
{
	struct iovec iov = { p, n };

	return !n || move_all(HELPER_SOCKET, &iov, 1, out);
}

static bool serve_message(struct p9 *p, const struct ask *a, u8 *out, u8 *in)
{
	struct iovec iov[2] = { { out, a->out_len }, { in, a->in_len } };
	const struct virtq_chain c = {
		.iov = iov, .max = 2, .nout = 1, .nin = 1, .out_len = a->out_len,
		.in_len = a->in_len,
	};
	int n;

	if (!move(out, a->out_len, false))
		return false;
	n = (int)p9_handle(p, &c);
	return move(&n, sizeof(n), true) && (n <= 0 || move(in, (size_t)n, true));
}

/* What is done with files and folders, and the memory that values take. */
static void confine(void)
{
	static const struct helper_call calls[] = {
		{ .call = SCMP_SYS(openat) }, { .call = SCMP_SYS(read) },
		{ .call = SCMP_SYS(write) }, { .call = SCMP_SYS(preadv) },
		{ .call = SCMP_SYS(pwritev) }, { .call = SCMP_SYS(lseek) },
		{ .call = SCMP_SYS(getdents64) }, { .call = SCMP_SYS(fstat) },
		{ .call = SCMP_SYS(newfstatat) }, { .call = SCMP_SYS(fstatfs) },
		{ .call = SCMP_SYS(readlinkat) }, { .call = SCMP_SYS(fsync) },
		{ .call = SCMP_SYS(fdatasync) }, { .call = SCMP_SYS(ftruncate) },
		{ .call = SCMP_SYS(fchmodat) }, { .call = SCMP_SYS(fchownat) },
		{ .call = SCMP_SYS(utimensat) }, { .call = SCMP_SYS(mkdirat) },
		{ .call = SCMP_SYS(mknodat) }, { .call = SCMP_SYS(symlinkat) },
		{ .call = SCMP_SYS(linkat) }, { .call = SCMP_SYS(renameat) },
		{ .call = SCMP_SYS(unlinkat) }, { .call = SCMP_SYS(fgetxattr) },
		{ .call = SCMP_SYS(fsetxattr) }, { .call = SCMP_SYS(flistxattr) },
		{ .call = SCMP_SYS(fremovexattr) }, { .call = SCMP_SYS(brk) },
		{ .call = SCMP_SYS(munmap) }, { .call = SCMP_SYS(mremap) },
		{ .call = SCMP_SYS(madvise) },
		{ .call = SCMP_SYS(mmap), .arg = 2, .mask = PROT_EXEC, .value = 0 },
		{ .call = SCMP_SYS(fcntl), .arg = 1, .mask = ~0U, .value = F_DUPFD_CLOEXEC },
		{ .call = SCMP_SYS(fcntl), .arg = 1, .mask = ~0U, .value = F_OFD_SETLK },
		{ .call = SCMP_SYS(fcntl), .arg = 1, .mask = ~0U, .value = F_OFD_GETLK },
	};

	helper_confine(calls, ARRAY_SIZE(calls));
}

void share_serve(const void *arg)
{
	struct share share = *(const struct share *)arg;
	struct p9 *p = calloc(1, sizeof(*p));
	u8 *out = malloc(P9_MSIZE_MAX), *in = malloc(P9_MSIZE_MAX);
	struct ask a;

	share.root = HELPER_KEPT;
	/* the other's numbers are not ours */
	share.descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (geteuid() == 0 && (fchdir(share.root) < 0 || chroot(".") < 0))
		errno = 0;	/* a container may forbid it; names do not lead out anyway */
	if (!p || !out || !in || share.descriptors < 0)
		return;
	p->share = &share;
	p->msize = P9_MSIZE_MIN;
	confine();
	while (move(&a, sizeof(a), false)) {
		if (a.what == ASK_FORGET)
			p9_drop_all(p);
		else if (a.out_len > P9_MSIZE_MAX || a.in_len > P9_MSIZE_MAX ||
			 !serve_message(p, &a, out, in))
			return;
	}
}

/* --- the process of the machine --------------------------------------------------------------- */

/* The helper has ended, which helper_reap tells: nothing can be done with files any more. */
static ssize_t fail(const struct virtq_chain *chain)
{
	struct {
		u32 size;
		u8 type;
		u16 tag;
		u32 err;
	} __attribute__((packed)) m = { 0 };

	if (!virtq_read(chain, 0, &m, P9_HEADER))
		return -1;
	m.size = sizeof(m);
	m.type = P9_LERROR + 1;
	m.err = EIO;
	return virtq_write(chain, 0, &m, sizeof(m)) ? (ssize_t)sizeof(m) : -1;
}

ssize_t p9_apart_handle(const struct share *s, const struct virtq_chain *chain)
{
	struct ask a = { .what = ASK_MESSAGE, .out_len = (u32)chain->out_len };
	struct iovec iov[1 + P9_CHAIN_MAX];
	int answer;
	int n;

	if (chain->out_len > P9_MSIZE_MAX)
		return -1;
	a.in_len = chain->in_len < P9_MSIZE_MAX ? (u32)chain->in_len : P9_MSIZE_MAX;
	n = virtq_out(chain, 0, chain->out_len, iov + 1, P9_CHAIN_MAX);
	iov[0] = (struct iovec){ &a, sizeof(a) };
	if (n < 0)
		return -1;
	if (!move_all(s->server, iov, 1 + n, true))
		return fail(chain);
	iov[0] = (struct iovec){ &answer, sizeof(answer) };
	if (!move_all(s->server, iov, 1, false))
		return fail(chain);
	if (answer < 0 || (u32)answer > a.in_len)
		return -1;
	n = virtq_in(chain, 0, (u64)answer, iov, P9_CHAIN_MAX);
	if (n < 0)
		return -1;
	return move_all(s->server, iov, n, false) ? answer : fail(chain);
}

void p9_apart_forget(const struct share *s)
{
	struct ask a = { .what = ASK_FORGET };
	struct iovec iov = { &a, sizeof(a) };

	move_all(s->server, &iov, 1, true);
}
