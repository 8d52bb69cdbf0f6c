/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other way to trap: a seccomp filter (Linux's
 * userspace-api/seccomp_filter.rst). It traps only the system calls that the
 * shim looks at, so the rest cost next to nothing; but it stays for ever, in
 * children, too, and a process without CAP_SYS_ADMIN must first give up that
 * programs it executes gain privileges.
 *
 * As children keep it, it must not concern their code: it asks where a call
 * comes from, and only knows the program's own text. So it serves programs
 * that are all in one piece, static ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "trap.h"

#define MAX_LENGTH 200
#define X32_BIT 0x40000000u

struct filter {
	struct sock_filter f[MAX_LENGTH];
	unsigned short n;
};

static void add(struct filter *f, unsigned short code, unsigned int k, unsigned char yes,
		unsigned char no)
{
	f->f[f->n++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (unsigned int)offset, 0, 0);
}

static void allow(struct filter *f)
{
	add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* Skips one instruction, which allows the call, when the word is value. */
static void unless_equal(struct filter *f, unsigned int value)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	allow(f);
}

static size_t argument(int i)
{
	return offsetof(struct seccomp_data, args) + (size_t)i * 8;
}

static size_t high(size_t offset)
{
	return offset + 4;
}

/* From outside of the text: allowed. The text lies within one 4 GiB. */
static void check_origin(struct filter *f, unsigned long start, unsigned long end)
{
	const size_t ip = offsetof(struct seccomp_data, instruction_pointer);

	load(f, high(ip));
	unless_equal(f, (unsigned int)(start >> 32));
	load(f, ip);
	add(f, BPF_JMP | BPF_JGE | BPF_K, (unsigned int)start, 1, 0);
	allow(f);
	add(f, BPF_JMP | BPF_JGT | BPF_K, (unsigned int)(end - 1), 0, 1);
	allow(f);
}

/* The calls of which only some matter; the word loaded is the call's number. */
static void check_ioctl(struct filter *f)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5);
	load(f, argument(1));
	add(f, BPF_ALU | BPF_AND | BPF_K, 0xff00, 0, 0);
	unless_equal(f, KVMIO << 8);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP | TRAP_FILTER_DATA, 0, 0);
}

static void check_fcntl(struct filter *f)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 5);
	load(f, argument(1));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, F_DUPFD, 2, 0);
	unless_equal(f, F_DUPFD_CLOEXEC);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP | TRAP_FILTER_DATA, 0, 0);
}

/* A call with a signal mask, when there is one. */
static void check_wait(struct filter *f, unsigned int nr, int mask)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 6);
	load(f, argument(mask));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	load(f, high(argument(mask)));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	allow(f);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP | TRAP_FILTER_DATA, 0, 0);
}

static void build(struct filter *f, unsigned long start, unsigned long end)
{
	unsigned int nr;
	unsigned short i, list;

	load(f, offsetof(struct seccomp_data, arch));
	unless_equal(f, AUDIT_ARCH_X86_64);
	/* First the list: for a number that is not in it the kernel need not run this. */
	load(f, offsetof(struct seccomp_data, nr));
	list = f->n;
	for (nr = 0; nr < 512; nr++)
		if (trap_by_filter(nr))
			add(f, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
	for (i = list; i < f->n; i++)
		f->f[i].jt = (unsigned char)(f->n - i);
	allow(f);
	check_origin(f, start, end);
	load(f, offsetof(struct seccomp_data, nr));
	check_ioctl(f);
	check_fcntl(f);
	check_wait(f, SYS_ppoll, 3);
	check_wait(f, SYS_epoll_pwait, 4);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP | TRAP_FILTER_DATA, 0, 0);
}

int trap_filter_on(unsigned long start, unsigned long end)
{
	static struct filter f;
	struct sock_fprog p = { .filter = f.f };
	long r;

	if (start >> 32 != (end - 1) >> 32)
		return -EINVAL;
	build(&f, start, end);
	p.len = f.n;
	r = SYS3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
	if (r == -EACCES) {
		SYS5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		r = SYS3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
	}
	return (int)r;
}
