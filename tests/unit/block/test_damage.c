/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged tables: what is found on opening, what while the image is used, that
 * nothing gets worse, and what a check finds and repairs. QEMU counts, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../../vmm/block/qcow2/qcow2.h"
#include "block_test.h"

#define CLUSTER 65536ULL

/* What qemu-img makes: header, refcount table, refcount block, L1, then L2 and data. */
#define REFTABLE (1 * CLUSTER)
#define BLOCK0 (2 * CLUSTER)
#define L1 (3 * CLUSTER)

static u64 l2, data;		/* of the first clusters of the disk */

static u64 peek64(u64 off)
{
	int fd = open("disk", O_RDONLY | O_CLOEXEC);
	u64 v = 0;

	assert_int_equal(pread(fd, &v, sizeof(v), (off_t)off), sizeof(v));
	close(fd);
	return be64toh(v);
}

static void poke(u64 off, u64 v, unsigned int bytes)
{
	int fd = open("disk", O_WRONLY | O_CLOEXEC);

	v = htobe64(v << 8 * (8 - bytes));
	assert_int_equal(pwrite(fd, &v, bytes, (off_t)off), bytes);
	close(fd);
}

static void set_count(u64 cluster, u64 count)
{
	poke(BLOCK0 + cluster * 2, count, 2);
}

static void make_disk(void)
{
	must("rm -f disk; qemu-img create -f qcow2 disk 1G && "
	     "qemu-io -c 'write -P 1 0 256k' -c 'write -P 2 512M 64k' disk && cp disk good");
	l2 = peek64(L1) & QCOW2_OFFSET;
	data = peek64(l2) & QCOW2_OFFSET;
}

static struct block *try_open(bool readonly)
{
	const struct block_options o = { .readonly = readonly };
	struct block *b;

	quiet();
	b = block_open("disk", &o);
	loud();
	return b;
}

static void must_refuse(const char *why)
{
	struct block *b;
	int status = sh("qemu-img check disk");

	assert_null(try_open(false));
	assert_true(told(why));
	b = try_open(true);		/* but it can be rescued */
	assert_non_null(b);
	block_close(b);
	(void)status;
}

static void tables(void **state)
{
	(void)state;
	make_disk();
	poke(L1 + 8, l2 | QCOW2_COPIED, 8);
	must_refuse("L2 table 1 at offset");
	make_disk();
	poke(L1, 0x40000000000ULL | QCOW2_COPIED, 8);
	must_refuse("past the end");
	make_disk();
	poke(L1, (l2 + 512) | QCOW2_COPIED, 8);
	must_refuse("not at a cluster's beginning");
	make_disk();
	poke(L1, BLOCK0 | QCOW2_COPIED, 8);
	must_refuse("overlaps another table");
	make_disk();
	poke(REFTABLE + 8, BLOCK0, 8);
	must_refuse("refcount block 1");
	make_disk();
	poke(REFTABLE, L1, 8);
	must_refuse("overlaps another table");
	make_disk();
	poke(REFTABLE, 0, 8);
	/* no counts at all: nothing may be given away */
	make_disk();
	poke(QCOW2_AT_L1 + 4, REFTABLE, 8);
	must_refuse("refcount table 0 at offset");
}

/* Writes to the disk fail, the file stays as it is but for its mark. */
static void must_stop(const char *why, u64 off)
{
	static u8 buf[CLUSTER];
	struct block *b;

	must("cp disk before");
	b = open_rw("disk");
	quiet();
	assert_int_equal(block_write(b, off, buf, sizeof(buf)), -EIO);
	assert_int_equal(block_write(b, 900 * MIB, buf, sizeof(buf)), -EIO);
	assert_int_equal(block_zero(b, 0, MIB, true), -EIO);
	assert_int_equal(block_flush(b), -EIO);
	block_close(b);
	loud();
	assert_true(told(why));
	assert_true(peek64(QCOW2_AT_INCOMPATIBLE) & QCOW2_CORRUPT);
	poke(QCOW2_AT_INCOMPATIBLE, 0, 8);
	must("cmp disk before");
}

static void entries(void **state)
{
	(void)state;
	make_disk();
	poke(l2, 0 | QCOW2_COPIED | 0x200, 8);
	must_stop("the L2 entry of offset 0x0", 0);
	make_disk();
	poke(l2, L1 | QCOW2_COPIED, 8);		/* data where the L1 table is */
	must_stop("where none can be", 0);
	make_disk();
	poke(l2, 0x123400000000ULL | QCOW2_COPIED, 8);
	must_stop("where none can be", 0);
	make_disk();
	set_count(3, 0);			/* the L1 table counts as free */
	must_stop("holds a table and counts as free", 700 * MIB);
	make_disk();
	poke(REFTABLE, 0, 8);
	must_stop("holds a table and is not counted", 700 * MIB);
}

/* Data that was cut off with the end of the file is no zeros: reads fail, too. */
static void cut_off(void **state)
{
	static u8 buf[2 * CLUSTER];
	struct block *b;
	u64 run;

	(void)state;
	must("rm -f disk; qemu-img create -f qcow2 disk 1G && "
	     "qemu-io -c 'write -P 1 0 256k' disk");
	data = peek64(peek64(L1) & QCOW2_OFFSET) & QCOW2_OFFSET;
	must("truncate -s %llu disk", (unsigned long long)(data + CLUSTER + 512));
	b = try_open(true);
	assert_non_null(b);
	quiet();
	/* up to where the last cluster would end there may be zeros */
	assert_int_equal(block_read(b, 0, buf, 2 * CLUSTER), 0);
	assert_true(buf[CLUSTER + 511] == 1 && !buf[CLUSTER + 512]);
	assert_int_equal(block_status(b, 0, MIB, &run), BLOCK_DATA);
	assert_int_equal(run, 2 * CLUSTER);
	assert_int_equal(block_read(b, CLUSTER, buf, 2 * CLUSTER), -EIO);
	assert_int_equal(block_status(b, 2 * CLUSTER, MIB, &run), -EIO);
	block_close(b);
	loud();
	assert_true(told("past the end of the file"));
	must_stop("past the end of the file", 2 * CLUSTER);
}

/* A cluster that is given back and was not counted: found at the flush. */
static void given_back(void **state)
{
	struct block *b;

	(void)state;
	make_disk();
	set_count(data / CLUSTER, 0);
	b = open_rw("disk");
	quiet();
	assert_int_equal(block_discard(b, 0, CLUSTER), 0);
	assert_int_equal(block_flush(b), -EIO);
	assert_int_equal(block_write(b, MIB, "x", 1), -EIO);
	block_close(b);
	loud();
	assert_true(told("is given back and counts as free"));
}

/* --- the check --------------------------------------------------------------------------- */

static void check(enum image_repair repair, struct image_check *c)
{
	const struct block_options o = {
		.examine = true, .readonly = repair == REPAIR_NONE, .no_backing = true,
	};
	struct block *b;

	*c = (struct image_check){ 0 };
	quiet();
	b = block_open("disk", &o);
	assert_non_null(b);
	assert_int_equal(image_check(b, repair, c), 0);
	assert_int_equal(block_close(b), 0);
	loud();
}

static void leaks(void **state)
{
	struct image_check c;

	(void)state;
	make_disk();
	check(REPAIR_NONE, &c);
	assert_int_equal(c.errors + c.leaks, 0);
	assert_int_equal(c.clusters, GIB / CLUSTER);
	assert_int_equal(c.allocated, 5);
	poke(l2, 0, 8);
	set_count(data / CLUSTER + 1000, 3);
	check(REPAIR_NONE, &c);
	assert_int_equal(c.errors, 0);
	assert_int_equal(c.leaks, 2);
	assert_int_equal(sh("qemu-img check disk"), 3);
	check(REPAIR_LEAKS, &c);
	assert_int_equal(c.fixed_leaks, 2);
	assert_clean("disk");
}

static void low_counts(void **state)
{
	struct image_check c;

	(void)state;
	make_disk();
	set_count(data / CLUSTER, 0);
	set_count(data / CLUSTER + 1, 2);
	poke(l2 + 16, peek64(l2 + 16) & ~QCOW2_COPIED, 8);
	check(REPAIR_NONE, &c);
	assert_int_equal(sh("qemu-img check disk"), 2);
	/* a count too low, two "copied" bits that do not fit the counts, another that is off */
	assert_int_equal(c.errors, 4);
	assert_int_equal(c.leaks, 1);
	check(REPAIR_LEAKS, &c);
	assert_int_equal(c.fixed_errors, 0);
	assert_int_equal(c.fixed_leaks, 1);
	check(REPAIR_ALL, &c);
	assert_true(c.fixed_errors > 0);
	assert_clean("disk");
	must("qemu-img compare disk good");
}

/* Data that two guest clusters share: both keep it, and the next write parts them. */
static void shared_data(void **state)
{
	static u8 buf[CLUSTER], now[CLUSTER];
	struct image_check c;
	struct block *b;

	(void)state;
	make_disk();
	poke(l2 + 8, data | QCOW2_COPIED, 8);
	check(REPAIR_NONE, &c);
	assert_true(c.errors > 0);
	check(REPAIR_ALL, &c);
	assert_clean("disk");
	b = open_rw("disk");
	pattern(buf, sizeof(buf), 0, 8);
	assert_int_equal(block_write(b, 0, buf, sizeof(buf)), 0);
	assert_int_equal(block_read(b, CLUSTER, now, sizeof(now)), 0);
	assert_int_equal(now[5], 1);
	assert_int_equal(block_close(b), 0);
	/* the other one is alone now, which its entry does not say */
	check(REPAIR_ALL, &c);
	assert_int_equal(c.errors, 1);
	assert_clean("disk");
}

static void no_counts(void **state)
{
	struct image_check c;

	(void)state;
	make_disk();
	poke(REFTABLE, 0, 8);
	poke(QCOW2_AT_INCOMPATIBLE, QCOW2_CORRUPT | QCOW2_DIRTY, 8);
	check(REPAIR_ALL, &c);
	assert_true(c.fixed_errors >= 8);
	assert_clean("disk");
	assert_int_equal(peek64(QCOW2_AT_INCOMPATIBLE), 0);
	must("qemu-img compare disk good");
}

/* What counting cannot mend is told and left alone. */
static void beyond_repair(void **state)
{
	struct image_check c;

	(void)state;
	make_disk();
	poke(L1 + 8, l2 | QCOW2_COPIED, 8);
	set_count(data / CLUSTER + 100, 1);
	must("cp disk before");
	check(REPAIR_ALL, &c);
	assert_true(c.errors > c.fixed_errors);
	assert_int_equal(c.fixed_leaks, 0);
	must("cmp disk before");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(entries),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(given_back),
		cmocka_unit_test(leaks),
		cmocka_unit_test(low_counts),
		cmocka_unit_test(shared_data),
		cmocka_unit_test(no_counts),
		cmocka_unit_test(beyond_repair),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
