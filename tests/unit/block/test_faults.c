/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every system call on the image fails once, in every way: no space, an error,
 * half of it done; and from every one on the disk is dead. What the guest is told
 * must be true, what it flushed be there, and the image never have an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../../vmm/block/span.h"
#include "block_test.h"

#define DISK (256 * KIB)
#define SECTORS (unsigned int)(DISK / 512)
#define STEPS 28

/* --- the fault ------------------------------------------------------------------------ */

enum fault { FAULT_NONE, FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT, FAULT_DEAD };

static enum fault fault;
static unsigned int calls, fault_at;
static bool armed, hit;

/* The errno with which this call is to fail, 0 for none, -1 to do half of it. */
static int judge(bool reads, bool transfers)
{
	if (!armed)
		return 0;
	calls++;
	if (calls < fault_at || (calls > fault_at && fault != FAULT_DEAD))
		return 0;
	hit = true;
	switch (fault) {
	case FAULT_ENOSPC:
		return reads ? 0 : ENOSPC;
	case FAULT_EIO:
	case FAULT_DEAD:
		return EIO;
	case FAULT_SHORT:
		return transfers ? -1 : 0;
	default:
		return 0;
	}
}

static struct iovec half;

/* The first piece of v, and not all of it. */
static const struct iovec *some_of(const struct iovec *v)
{
	half = *v;
	if (half.iov_len > 1)
		half.iov_len = half.iov_len / 2 + 1;
	return &half;
}

ssize_t __real_preadv64(int fd, const struct iovec *v, int cnt, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *v, int cnt, off_t off)
{
	int err = judge(true, true);

	if (err > 0) {
		errno = err;
		return -1;
	}
	return err ? __real_preadv64(fd, some_of(v), 1, off) : __real_preadv64(fd, v, cnt, off);
}

ssize_t __real_pwritev64(int fd, const struct iovec *v, int cnt, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int cnt, off_t off)
{
	int err = judge(false, true);

	if (err > 0) {
		errno = err;
		return -1;
	}
	return err ? __real_pwritev64(fd, some_of(v), 1, off) : __real_pwritev64(fd, v, cnt, off);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	(void)fd;
	errno = judge(false, false);
	return errno ? -1 : 0;
}

int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	errno = judge(false, false);
	return errno ? -1 : __real_fallocate64(fd, mode, off, len);
}

int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len)
{
	errno = judge(false, false);
	return errno ? -1 : __real_ftruncate64(fd, len);
}

/* --- what the guest does: the same in every run -------------------------------------- */

enum kind { STEP_WRITE, STEP_ZERO, STEP_UNMAP, STEP_READ, STEP_FLUSH };

static struct step {
	enum kind kind;
	unsigned int first, count;
	bool began;
} step[STEPS];

static u8 start_data[DISK];
static u32 latest[SECTORS];	/* the step (+ 1) whose data a sector has, when all went well */
static u32 flushed[SECTORS];

static void make_steps(void)
{
	unsigned int i;

	for (i = 0; i < STEPS; i++) {
		struct step *s = &step[i];

		*s = (struct step){ .kind = STEP_WRITE, .first = (unsigned int)chance(SECTORS) };
		if (i % 7 == 6 || i == STEPS - 1)
			s->kind = STEP_FLUSH;
		else if (chance(3) == 0)
			s->kind = (enum kind)(STEP_ZERO + chance(3));
		s->count = 1 + (unsigned int)chance(chance(3) ? 20 : 150);
		if (s->count > SECTORS - s->first)
			s->count = SECTORS - s->first;
	}
}

/* What step n (from 1 on) leaves in a sector; 0 is the beginning. */
static void content(u8 *p, unsigned int sector, u32 n)
{
	if (!n)
		memcpy(p, start_data + sector * 512, 512);
	else if (step[n - 1].kind == STEP_WRITE)
		pattern(p, 512, sector * 512, n);
	else
		memset(p, 0, 512);
}

static bool changes(const struct step *s)
{
	return s->kind == STEP_WRITE || s->kind == STEP_ZERO || s->kind == STEP_UNMAP;
}

/* Reads must give what was written, if they give anything. */
static int do_read(struct block *b, const struct step *s, bool sure)
{
	static u8 now[DISK], expect[512];
	unsigned int i;
	int err = block_read(b, s->first * 512, now, s->count * 512);

	for (i = 0; !err && sure && i < s->count; i++) {
		content(expect, s->first + i, latest[s->first + i]);
		assert_memory_equal(now + i * 512, expect, 512);
	}
	return err;
}

static int do_step(struct block *b, unsigned int n, bool sure)
{
	static u8 buf[DISK];
	struct step *s = &step[n];
	u64 off = s->first * 512, len = s->count * 512;
	unsigned int i;

	s->began = true;
	switch (s->kind) {
	case STEP_WRITE:
		for (i = 0; i < s->count; i++)
			content(buf + i * 512, s->first + i, n + 1);
		return block_write(b, off, buf, len);
	case STEP_ZERO:
	case STEP_UNMAP:
		return block_zero(b, off, len, s->kind == STEP_UNMAP);
	case STEP_READ:
		return do_read(b, s, sure);
	default:
		return block_flush(b);
	}
}

/* A value that the sector may have: what was flushed, or any later step's. */
static bool allowed(const u8 *now, unsigned int sector)
{
	u8 expect[512];
	u32 n = flushed[sector];

	for (; n <= STEPS; n++) {
		if (n && n != flushed[sector] &&
		    (!step[n - 1].began || !changes(&step[n - 1]) || sector < step[n - 1].first ||
		     sector >= step[n - 1].first + step[n - 1].count))
			continue;
		content(expect, sector, n);
		if (!memcmp(now, expect, 512))
			return true;
	}
	return false;
}

static void check_image(bool sure)
{
	static u8 now[DISK], expect[512];
	struct block *b;
	unsigned int i;

	if (count_errors("disk", NULL))
		fail_msg("fault %d at call %u: the image has errors", fault, fault_at);
	b = open_ro("disk");
	assert_int_equal(block_read(b, 0, now, DISK), 0);
	block_close(b);
	for (i = 0; i < SECTORS; i++) {
		content(expect, i, latest[i]);
		if (sure ? memcmp(now + i * 512, expect, 512) : !allowed(now + i * 512, i))
			fail_msg("fault %d at call %u: sector %u is wrong", fault, fault_at, i);
	}
}

static void note_done(unsigned int n)
{
	unsigned int i;

	if (step[n].kind == STEP_FLUSH)
		memcpy(flushed, latest, sizeof(flushed));
	for (i = 0; changes(&step[n]) && i < step[n].count; i++)
		latest[step[n].first + i] = n + 1;
}

static void prepare(void)
{
	unsigned int i;

	must("cp start disk");
	memset(latest, 0, sizeof(latest));
	memset(flushed, 0, sizeof(flushed));
	for (i = 0; i < STEPS; i++)
		step[i].began = false;
	calls = 0;
	hit = false;
}

/* One run; false when it had fewer calls than the fault waits for. */
static bool run(void)
{
	const struct block_options o = { .format = "qcow2" };
	bool sure = true;
	struct block *b;
	unsigned int i;
	int err;

	prepare();
	quiet();
	armed = true;
	b = block_open("disk", &o);
	for (i = 0; b && i < STEPS; i++) {
		err = do_step(b, i, sure);
		if (err && fault != FAULT_DEAD)
			err = do_step(b, i, sure);	/* it is over: once more */
		if (err)
			sure = false;	/* a sync that failed, or the header: nothing more */
		else
			note_done(i);
	}
	if (fault != FAULT_DEAD)
		armed = false;
	err = b ? block_close(b) : -EIO;
	armed = false;
	loud();
	if (fault == FAULT_SHORT || fault == FAULT_NONE)
		assert_true(sure && !err);
	check_image(sure && !err);
	return hit;
}

static void one_kind(const char *make)
{
	const enum fault faults[] = { FAULT_ENOSPC, FAULT_EIO, FAULT_SHORT, FAULT_DEAD };
	struct block *b;
	unsigned int i, total;

	print_message("%s\n", make);
	must("head -c 262144 /dev/urandom >base; rm -f start; %s", make);
	b = open_ro("start");
	assert_int_equal(block_read(b, 0, start_data, DISK), 0);
	block_close(b);
	make_steps();
	fault = FAULT_NONE;
	run();
	total = calls;
	print_message("  %u calls\n", total);
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		fault = faults[i];
		for (fault_at = 1; run(); fault_at++)
			;
		assert_true(fault_at > total / 2);
	}
}

static void every_call(void **state)
{
	(void)state;
	chance_seed();
	one_kind("qemu-img create -f qcow2 -o cluster_size=64k start 256k");
	one_kind("qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 start 256k");
	one_kind("qemu-img create -f qcow2 -o cluster_size=4k -b base -F raw start 256k");
	one_kind("qemu-img create -f qcow2 -o cluster_size=2k start 256k && "
		 "qemu-io -c 'write -P 9 0 256k' start && qemu-img snapshot -c s start");
	one_kind("qemu-img convert -c -O qcow2 -o cluster_size=4k base start");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
