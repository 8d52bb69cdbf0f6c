/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random operations on images of every kind, beside an array in memory that is
 * what the disk should hold. At the end QEMU checks the image and compares it.
 */
#include <unistd.h>

#include "../../../vmm/block/image.h"
#include "block_test.h"

#define DISK (6 * MIB + 5 * BLOCK_SECTOR)
#define IO_MAX (300 * KIB)

struct kind {
	const char *name;
	const char *make;		/* the command that makes "disk" */
	const char *format;
	enum block_cache cache;
	unsigned int operations;
	bool snapshots;			/* QEMU makes internal ones meanwhile */
};

static const struct kind kinds[] = {
	{ "raw", "qemu-img create -f raw disk 6294016", "raw", BLOCK_WRITEBACK, 600, false },
	{ "raw, O_DIRECT", "qemu-img create -f raw disk 6294016", "raw", BLOCK_NONE, 300, false },
	{ "qcow2", "qemu-img create -f qcow2 disk 6294016", "qcow2", BLOCK_WRITEBACK, 1500, false },
	{ "qcow2, O_DIRECT", "qemu-img create -f qcow2 disk 6294016", "qcow2", BLOCK_NONE, 300,
	  false },
	{ "512-byte clusters, O_DIRECT",
	  "qemu-img create -f qcow2 -o cluster_size=512 disk 6294016", "qcow2", BLOCK_NONE, 60,
	  false },
	{ "qcow2, writethrough", "qemu-img create -f qcow2 disk 6294016", "qcow2",
	  BLOCK_WRITETHROUGH, 60, false },
	{ "qcow2, unsafe, 2M clusters",
	  "qemu-img create -f qcow2 -o cluster_size=2M disk 6294016", "qcow2", BLOCK_UNSAFE, 400,
	  false },
	{ "512-byte clusters, 64-bit counts",
	  "qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 disk 6294016", "qcow2",
	  BLOCK_UNSAFE, 400, false },
	{ "4K clusters, 1-bit counts",
	  "qemu-img create -f qcow2 -o cluster_size=4k,refcount_bits=1 disk 6294016", "qcow2",
	  BLOCK_WRITEBACK, 600, false },
	{ "version 2", "qemu-img create -f qcow2 -o compat=0.10,cluster_size=4k disk 6294016",
	  "qcow2", BLOCK_WRITEBACK, 600, false },
	{ "version 2 with backing file",
	  "qemu-img create -f qcow2 -o compat=0.10,cluster_size=8k -b base -F raw disk 6294016",
	  "qcow2", BLOCK_WRITEBACK, 600, false },
	{ "backing file", "qemu-img create -f qcow2 -o cluster_size=8k -b base -F raw disk 6294016",
	  "qcow2", BLOCK_WRITEBACK, 1000, false },
	{ "chain of three", "qemu-img create -f qcow2 -b base -F raw mid 5M && "
	  "qemu-io -c 'write -P 3 1M 1M' -c 'write -z 3M 512k' mid && "
	  "qemu-img create -f qcow2 -o cluster_size=16k -b mid -F qcow2 disk 6294016", "qcow2",
	  BLOCK_WRITEBACK, 600, false },
	{ "compressed by zlib", "qemu-img convert -c -O qcow2 full disk", "qcow2",
	  BLOCK_WRITEBACK, 600, false },
	{ "compressed by zstd",
	  "qemu-img convert -c -O qcow2 -o compression_type=zstd,cluster_size=16k full disk",
	  "qcow2", BLOCK_WRITEBACK, 600, false },
	{ "preallocated", "qemu-img create -f qcow2 -o preallocation=metadata disk 6294016",
	  "qcow2", BLOCK_WRITEBACK, 600, false },
	{ "lazy refcounts", "qemu-img create -f qcow2 -o lazy_refcounts=on disk 6294016", "qcow2",
	  BLOCK_WRITEBACK, 600, false },
	{ "internal snapshots", "qemu-img create -f qcow2 -o cluster_size=4k disk 6294016", "qcow2",
	  BLOCK_WRITEBACK, 600, true },
};

static u8 model[DISK], buf[IO_MAX];

static struct block *reopen(struct block *b, const struct kind *k)
{
	const struct block_options o = { .format = k->format, .cache = k->cache };

	if (b)
		assert_int_equal(block_close(b), 0);
	b = block_open("disk", &o);
	assert_non_null(b);
	return b;
}

static void read_all(struct block *b)
{
	static u8 all[DISK];

	assert_int_equal(block_read(b, 0, all, DISK), 0);
	assert_memory_equal(all, model, DISK);
}

/* What block_status says to be zeros is that. */
static void check_status(struct block *b)
{
	u64 off = 0, run, i;

	while (off < DISK) {
		int status = block_status(b, off, DISK - off, &run);

		assert_true(status >= 0 && run > 0);
		for (i = off; status == BLOCK_ZERO && i < off + run; i++)
			assert_int_equal(model[i], 0);
		off += run;
	}
}

static void pick(u64 *off, u64 *len)
{
	u64 grain = chance(3) ? 4096 : chance(2) ? BLOCK_SECTOR : 1;

	*off = align_down(chance(DISK), grain);
	*len = align_up(1 + (chance(4) ? chance(16384) : chance(IO_MAX)), grain);
	if (*len > IO_MAX)
		*len = IO_MAX;
	if (*len > DISK - *off)
		*len = DISK - *off;
}

/*
 * A discard leaves old data or zeros. What it left is taken for the truth, but
 * nothing else may have changed.
 */
static void discard(struct block *b, u64 off, u64 len)
{
	static u8 now[DISK];
	u64 i;

	assert_int_equal(block_discard(b, off, len), 0);
	assert_int_equal(block_read(b, 0, now, DISK), 0);
	for (i = 0; i < DISK; i++)
		if (now[i] != model[i]) {
			assert_true(i >= off && i < off + len);
			assert_int_equal(now[i], 0);
			model[i] = 0;
		}
}

static void operate(struct block **b, const struct kind *k, unsigned int n)
{
	u64 off, len;

	pick(&off, &len);
	switch (chance(16)) {
	case 0 ... 6:
		pattern(buf, len, off, n);
		assert_int_equal(block_write(*b, off, buf, len), 0);
		memcpy(model + off, buf, len);
		break;
	case 7 ... 10:
		assert_int_equal(block_read(*b, off, buf, len), 0);
		assert_memory_equal(buf, model + off, len);
		break;
	case 11:
	case 12:
		assert_int_equal(block_zero(*b, off, len, chance(2)), 0);
		memset(model + off, 0, len);
		break;
	case 13:
		discard(*b, off, len);
		break;
	case 14:
		assert_int_equal(block_flush(*b), 0);
		break;
	default:
		if (chance(8))
			break;
		*b = reopen(*b, k);
	}
}

static void take_snapshot(struct block **b, const struct kind *k, unsigned int n)
{
	assert_int_equal(block_close(*b), 0);
	if (n > 200 && chance(2))
		sh("qemu-img snapshot -d s%u disk", n - 100);
	must("qemu-img snapshot -c s%u disk", n);
	*b = reopen(NULL, k);
}

static void compare(const struct kind *k)
{
	FILE *f = fopen("model", "we");

	assert_int_equal(fwrite(model, 1, DISK, f), DISK);
	fclose(f);
	must("qemu-img compare -f %s -F raw disk model", k->format);
	if (!strcmp(k->format, "qcow2")) {
		assert_clean("disk");
		assert_int_equal(count_errors("disk", NULL), 0);
	}
}

static void make_base(void)
{
	FILE *f = fopen("base", "we");

	pattern(buf, IO_MAX, 0, 99);
	/* shorter than the disk, and its end within a cluster */
	fwrite(buf, 1, IO_MAX, f);
	fseek(f, 2 * MIB, SEEK_SET);
	fwrite(buf, 1, IO_MAX - 1536, f);
	fclose(f);
	must("cp base full && truncate -s %llu full", (unsigned long long)DISK);
}

static void one_kind(const struct kind *k)
{
	struct block *b;
	unsigned int i;
	FILE *f;

	print_message("%s\n", k->name);
	make_base();
	must("rm -f disk mid; %s", k->make);
	/* QEMU says what it holds at first */
	must("qemu-img convert -f %s -O raw disk model", k->format);
	memset(model, 0, DISK);
	f = fopen("model", "re");
	assert_true(fread(model, 1, DISK, f) > 0);
	fclose(f);
	b = reopen(NULL, k);
	read_all(b);
	for (i = 1; i <= k->operations; i++) {
		operate(&b, k, i);
		if (k->snapshots && i % 100 == 0)
			take_snapshot(&b, k, i);
	}
	read_all(b);
	check_status(b);
	assert_int_equal(block_close(b), 0);
	compare(k);
}

static void all_kinds(void **state)
{
	unsigned int i;

	(void)state;
	chance_seed();
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		one_kind(&kinds[i]);
}

/* A temporary overlay takes all writes; the image stays as it is. */
static void snapshot_option(void **state)
{
	const struct block_options o = { .snapshot = true };
	struct block *b;
	unsigned int i;
	FILE *f;

	(void)state;
	make_base();
	must("cp full disk && cp full model");
	f = fopen("model", "re");
	assert_int_equal(fread(model, 1, DISK, f), DISK);
	fclose(f);
	b = block_open("disk", &o);
	assert_non_null(b);
	for (i = 0; i < 200; i++) {
		u64 off, len;

		pick(&off, &len);
		pattern(buf, len, off, i);
		assert_int_equal(block_write(b, off, buf, len), 0);
		memcpy(model + off, buf, len);
	}
	read_all(b);
	assert_int_equal(block_flush(b), 0);
	assert_int_equal(block_close(b), 0);
	must("cmp disk full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds),
		cmocka_unit_test(snapshot_option),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
