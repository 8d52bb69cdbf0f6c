/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images of ours before QEMU's eyes, and QEMU's before ours: making, resizing,
 * copying, features that are refused, backing files, the dirty bit.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../../vmm/block/qcow2/qcow2.h"
#include "block_test.h"

static struct block *try_open(const char *path, bool readonly)
{
	const struct block_options o = { .readonly = readonly };
	struct block *b;

	quiet();
	b = block_open(path, &o);
	loud();
	return b;
}

static void poke(const char *path, u64 off, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, (off_t)off), len);
	close(fd);
}

static void poke64(const char *path, u64 off, u64 v)
{
	v = htobe64(v);
	poke(path, off, &v, sizeof(v));
}

/* --- making ---------------------------------------------------------------------------- */

static void created(void **state)
{
	static const u64 sizes[] = { 512, 65536, 1 * MIB + 512, 10 * GIB, 100 * 1024 * GIB };
	static const u32 clusters[] = { 512, 4096, 65536, 2 * MIB };
	static const unsigned int bits[] = { 1, 2, 8, 16, 64 };
	unsigned int s, c, b;

	(void)state;
	for (s = 0; s < ARRAY_SIZE(sizes); s++)
		for (c = 0; c < ARRAY_SIZE(clusters); c++)
			for (b = 0; b < ARRAY_SIZE(bits); b++) {
				if (sizes[s] / clusters[c] / clusters[c] > 64 * KIB)
					continue;	/* the L1 table would be too large */
				make_image("disk", sizes[s], clusters[c], bits[b], NULL);
				must("qemu-img check -q disk && qemu-img info disk >info && "
				     "grep -q 'cluster_size: %u$' info && "
				     "grep -q 'refcount bits: %u$' info && "
				     "grep -q '(%llu bytes)' info", clusters[c], bits[b],
				     (unsigned long long)sizes[s]);
				assert_int_equal(count_errors("disk", NULL), 0);
			}
}

static void too_large(void **state)
{
	const struct image_spec s = {
		.format = "qcow2", .size = 100 * 1024 * GIB, .cluster_size = 512, .force = true,
	};
	const struct image_spec zero = { .format = "vdi", .size = MIB, .force = true };

	(void)state;
	quiet();
	assert_int_equal(image_create("large", &s), -1);
	loud();
	assert_true(told("too large for clusters of 512 bytes"));
	assert_int_not_equal(access("large", F_OK), 0);
	quiet();
	assert_int_equal(image_create("large", &zero), -1);
	loud();
	assert_true(told("'vdi' is no image format"));
}

static void resized(void **state)
{
	static u8 data[70000], now[70000];
	struct block *b;
	u64 off;

	(void)state;
	pattern(data, sizeof(data), 0, 3);
	must("head -c 3000000 /dev/urandom >base && "
	     "qemu-img create -f qcow2 -o cluster_size=4k -b base -F raw disk 1M");
	b = open_rw("disk");
	assert_int_equal(block_write(b, MIB - 66048, data, 66048), 0);
	assert_int_equal(image_resize(b, "disk", 900 * KIB + 512, false), -1);
	/* larger: what comes is zeros, not the backing file */
	assert_int_equal(image_resize(b, "disk", 5 * GIB, false), 0);
	for (off = MIB; off < 4 * MIB; off += sizeof(now)) {
		assert_int_equal(block_read(b, off, now, sizeof(now)), 0);
		assert_true(!now[0] && !memcmp(now, now + 1, sizeof(now) - 1));
	}
	assert_int_equal(block_write(b, 5 * GIB - 4096, data, 4096), 0);
	assert_int_equal(block_close(b), 0);
	assert_clean("disk");
	must("qemu-io -c 'read -P 0 1M 3M' disk >read && ! grep failed read");
	/* smaller, within a cluster, and larger again: what was cut off is gone */
	b = open_rw("disk");
	assert_int_equal(image_resize(b, "disk", MIB - 65536 - 512, true), 0);
	assert_int_equal(image_resize(b, "disk", 2 * MIB, false), 0);
	assert_int_equal(block_read(b, MIB - 66048, now, 1024), 0);
	assert_true(!now[0] && !memcmp(now, now + 1, 1023));
	assert_int_equal(block_close(b), 0);
	assert_clean("disk");
	must("qemu-io -c 'read -P 0 950k 1M' disk | grep -q '1 MiB'");
}

/* Clusters past the end that a smaller disk kept: they are not seen when it grows. */
static void regrown(void **state)
{
	static const char *const kinds[] = {
		"compat=0.10,backing_file=base,backing_fmt=raw", "compat=1.1",
		"compat=1.1,backing_file=base,backing_fmt=raw",
	};
	static u8 now[64 * KIB];
	unsigned int i;

	(void)state;
	must("head -c 3000000 /dev/urandom >base");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct block *b;

		must("rm -f disk; qemu-img create -f qcow2 -o cluster_size=4k,%s disk 8M && "
		     "qemu-io -c 'write -P 5 6M 64k' disk", kinds[i]);
		/* as a shrinking leaves it that ended after it had written the size: 4 MiB */
		must("printf '\\0\\0\\0\\0\\0\\100\\0\\0' | "
		     "dd of=disk bs=1 seek=24 conv=notrunc");
		b = open_rw("disk");
		assert_int_equal(image_resize(b, "disk", 8 * MIB, false), 0);
		assert_int_equal(block_read(b, 6 * MIB, now, sizeof(now)), 0);
		assert_true(!now[0] && !memcmp(now, now + 1, sizeof(now) - 1));
		assert_int_equal(block_close(b), 0);
		assert_clean("disk");
		must("qemu-io -c 'read -P 0 4M 4M' disk >read && ! grep failed read");
	}
}

static void copied(void **state)
{
	const struct image_copy c = { .zeroed = true };
	struct block *from, *to;

	(void)state;
	must("rm -f disk new; qemu-img create -f qcow2 disk 20M && "
	     "qemu-io -c 'write -P 4 1M 3M' -c 'write -P 0 3M 64k' -c 'write -P 9 15M 4k' disk");
	make_image("new", 20 * MIB, 0, 0, NULL);
	from = open_ro("disk");
	to = open_rw("new");
	assert_int_equal(image_copy(from, to, &c), 0);
	block_close(from);
	assert_int_equal(block_close(to), 0);
	must("qemu-img compare disk new");
	assert_clean("new");
	/* zeros were left out: 3 MiB - 64 KiB, and one cluster */
	must("qemu-img check new | grep -q '^48/320 '");
}

/* --- refusals ------------------------------------------------------------------------ */

static void refused(const char *make, bool readonly, const char *why)
{
	must("rm -f disk data; %s", make);
	assert_null(try_open("disk", readonly));
	assert_true(told(why));
}

static void features(void **state)
{
	(void)state;
	refused("qemu-img create -f qcow2 -o data_file=data disk 1M", true, "in another file");
	refused("qemu-img create -f qcow2 -o extended_l2=on disk 1M", true, "extended L2 entries");
	refused("qemu-img create -f vmdk disk 1M", true, "VMDK");
	refused("qemu-img create -f vhdx disk 1M", true, "VHDX");
	refused("mkdir disk", true, "neither a file nor a block device");
	must("rmdir disk && mkfifo disk");
	assert_null(try_open("disk", true));
	assert_true(told("neither a file nor a block device"));
	must("rm disk");
	assert_null(try_open("missing", true));
	assert_true(told("cannot open missing"));
}

static void header_fields(void **state)
{
	static const struct {
		u64 at;
		u8 byte;
		const char *why;
	} fields[] = {
		{ 7, 4, "unknown version" }, { 23, 8, "clusters is out of range" },
		{ 23, 22, "clusters is out of range" }, { 35, 1, "encrypted" },
		{ 35, 2, "encrypted" }, { 36, 0xff, "L1 table is too large" },
		{ 39, 0, "L1 table is too small" }, { 46, 2, "L1 table is not at" },
		{ 42, 1, "L1 table lies past the end" }, { 54, 2, "refcount table is not at" },
		{ 50, 1, "refcount table lies past" }, { 56, 1, "refcount table is too large" },
		{ 59, 0, "no refcount table" }, { 60, 1, "too many snapshots" },
		{ 63, 1, "snapshot table is not at" }, { 78, 0x10, "unknown features" },
		{ 99, 7, "wider than 64 bits" }, { 103, 103, "impossible length" },
		{ 103, 96, "impossible length" }, { 79, 8, "contradicts itself" },
		{ 104, 1, "contradicts itself" }, { 104, 2, "unknown kind of compression" },
		{ 14, 1, "backing file's name is not where" }, { 24, 0x80, "impossibly large" },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		make_image("disk", 64 * MIB, 0, 0, NULL);
		poke("disk", fields[i].at, &fields[i].byte, 1);
		assert_null(try_open("disk", true));
		assert_true(told(fields[i].why));
	}
}

static void corrupt_bit(void **state)
{
	struct block *b;

	(void)state;
	make_image("disk", 1 * MIB, 0, 0, NULL);
	poke64("disk", QCOW2_AT_INCOMPATIBLE, QCOW2_CORRUPT);
	assert_null(try_open("disk", false));
	assert_true(told("marked as damaged"));
	b = open_ro("disk");
	block_close(b);
}

/* --- backing files ------------------------------------------------------------------- */

static void backing(void **state)
{
	static u8 data[4096], now[4096];
	struct block *b;

	(void)state;
	pattern(data, sizeof(data), 0, 1);
	must("mkdir -p sub && head -c 1M /dev/zero >sub/base");
	poke("sub/base", 0, data, sizeof(data));
	make_image("sub/top", 0, 0, 0, "base");
	b = open_ro("sub/top");		/* the name begins at the image */
	assert_int_equal(block_read(b, 0, now, sizeof(now)), 0);
	assert_memory_equal(now, data, sizeof(data));
	block_close(b);
	must("qemu-img info sub/top | grep -q 'backing file format: raw'");

	/* without a noted format an image with a backing file of its own is refused */
	must("qemu-img create -f qcow2 -b base -F raw sub/mid && "
	     "qemu-img create -f qcow2 -o compat=0.10 -b mid -F qcow2 sub/old");
	poke64("sub/old", QCOW2_HEADER_V2, 0);
	assert_null(try_open("sub/old", true));
	assert_true(told("does not say which format"));
	must("qemu-img create -f qcow2 -o compat=0.10 -b base -F raw sub/old");
	poke64("sub/old", QCOW2_HEADER_V2, 0);
	b = open_ro("sub/old");
	block_close(b);

	must("qemu-img create -f qcow2 -u -b nbd://localhost/x -F raw sub/net 1M");
	assert_null(try_open("sub/net", true));
	assert_true(told("no file of this host"));
	must("qemu-img create -f qcow2 -u -b absent -F raw sub/none 1M");
	assert_null(try_open("sub/none", true));
	assert_true(told("cannot open its backing file 'absent'"));
	must("qemu-img create -f qcow2 -u -b ring2 -F qcow2 sub/ring1 1M && "
	     "qemu-img create -f qcow2 -u -b ring1 -F qcow2 sub/ring2 1M");
	assert_null(try_open("sub/ring1", true));
	assert_true(told("form a ring"));
}

/* A guest must not turn its raw disk into an image that names files of the host. */
static void guessed_raw(void **state)
{
	static u8 image[65536], now[512];
	const struct block_options raw = { .format = "raw" };
	struct block *b;
	FILE *f;

	(void)state;
	make_image("evil", 1 * MIB, 0, 0, NULL);
	f = fopen("evil", "re");
	assert_int_equal(fread(image, 1, sizeof(image), f), sizeof(image));
	fclose(f);
	must("rm -f disk; head -c 1M /dev/zero >disk");
	b = open_rw("disk");
	quiet();
	assert_int_equal(block_write(b, 0, image, sizeof(image)), -EPERM);
	assert_int_equal(block_write(b, 2, image + 2, sizeof(image) - 2), 0);
	assert_int_equal(block_write(b, 0, image, 2), -EPERM);	/* nor piece by piece */
	loud();
	assert_true(told("look like another image format"));
	assert_int_equal(block_write(b, 512, image, 512), 0);
	assert_int_equal(block_close(b), 0);
	b = block_open("disk", &raw);	/* who says that it is raw means it */
	assert_int_equal(block_write(b, 0, image, sizeof(image)), 0);
	assert_int_equal(block_read(b, 0, now, 512), 0);
	assert_memory_equal(now, image, 512);
	block_close(b);
}

/* --- what others left ---------------------------------------------------------------- */

static void dirty_bit(void **state)
{
	static u8 now[65536];
	struct block *b;
	u64 leaks;

	(void)state;
	must("rm -f disk; qemu-img create -f qcow2 -o lazy_refcounts=on disk 16M");
	/* it dies with data that no count knows of */
	sh("qemu-io -c 'write -P 7 0 4M' -c flush -c abort disk");
	must("qemu-img info disk >info; qemu-img check -q disk; test $? != 0");
	b = open_ro("disk");
	assert_int_equal(block_read(b, MIB, now, sizeof(now)), 0);
	assert_int_equal(now[100], 7);
	block_close(b);
	b = try_open("disk", false);
	assert_non_null(b);
	assert_true(told("reference counts are made anew"));
	assert_int_equal(block_write(b, 8 * MIB, now, sizeof(now)), 0);
	assert_int_equal(block_close(b), 0);
	assert_clean("disk");
	assert_int_equal(count_errors("disk", &leaks), 0);
	assert_int_equal(leaks, 0);
	must("qemu-io -c 'read -P 7 0 4M' -c 'read -P 7 8M 64k' disk | "
	     "grep -c 'verification failed' | grep -qx 0");
}

static void bitmaps(void **state)
{
	struct block *b;
	u64 leaks;

	(void)state;
	must("rm -f disk; qemu-img create -f qcow2 disk 16M && qemu-img bitmap --add disk b0 && "
	     "qemu-io -c 'write 1M 1M' disk");
	assert_int_equal(count_errors("disk", &leaks), 0);
	assert_int_equal(leaks, 0);		/* their clusters are known */
	b = try_open("disk", false);
	assert_non_null(b);
	assert_true(told("dirty bitmaps"));
	block_close(b);
	must("qemu-img check disk; test $? = 0 -o $? = 3");
}

static void snapshots(void **state)
{
	struct image_info i;
	struct block *b;

	(void)state;
	must("rm -f disk; qemu-img create -f qcow2 disk 16M && "
	     "qemu-io -c 'write -P 1 0 2M' disk && qemu-img snapshot -c first disk && "
	     "qemu-io -c 'write -P 2 1M 2M' disk && "
	     "qemu-img snapshot -c second disk");
	b = open_rw("disk");
	image_get_info(b, &i);
	assert_int_equal(i.snapshots, 2);
	assert_string_equal(image_get_snapshot(b, 0)->name, "first");
	assert_string_equal(image_get_snapshot(b, 1)->name, "second");
	assert_int_equal(block_zero(b, 0, 16 * MIB, true), 0);
	assert_int_equal(block_close(b), 0);
	assert_clean("disk");
	must("qemu-img snapshot -a first disk && qemu-io -c 'read -P 1 0 2M' disk >r && "
	     "qemu-img snapshot -a second disk && qemu-io -c 'read -P 2 1M 2M' disk >>r && "
	     "! grep -q fail r");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(created),
		cmocka_unit_test(too_large),
		cmocka_unit_test(resized),
		cmocka_unit_test(regrown),
		cmocka_unit_test(copied),
		cmocka_unit_test(features),
		cmocka_unit_test(header_fields),
		cmocka_unit_test(corrupt_bit),
		cmocka_unit_test(backing),
		cmocka_unit_test(guessed_raw),
		cmocka_unit_test(dirty_bit),
		cmocka_unit_test(bitmaps),
		cmocka_unit_test(snapshots),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
