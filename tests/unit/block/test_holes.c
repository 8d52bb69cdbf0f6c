/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overlays of raw files with holes that are smaller than a cluster: what is
 * around a write comes from the backing file, wherever in the cluster it is.
 */
#include <fcntl.h>
#include <unistd.h>

#include "block_test.h"

#define SIZE (16 * MIB)
#define CLUSTER 65536
#define BLOCK 4096

static u8 *model, *seen;

static void make_base(void)
{
	int fd = open("base", O_RDWR | O_CREAT | O_TRUNC, 0644);
	u64 at;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	memset(model, 0, SIZE);
	for (at = 0; at < SIZE; at += BLOCK) {
		if (chance(4))
			continue;
		pattern(model + at, BLOCK, at, 1);
		assert_int_equal(pwrite(fd, model + at, BLOCK, (off_t)at), BLOCK);
	}
	close(fd);
}

static void writes(void **state)
{
	struct block *b;
	unsigned int i;

	(void)state;
	model = malloc(SIZE);
	seen = malloc(SIZE);
	make_base();
	make_image("over", SIZE, CLUSTER, 16, "base");
	b = open_rw("over");
	for (i = 0; i < 400; i++) {
		u64 at = chance(SIZE / 512) * 512, len = (1 + chance(300)) * 512;

		if (len > SIZE - at)
			len = SIZE - at;
		pattern(model + at, len, at, 2 + i);
		assert_int_equal(block_write(b, at, model + at, len), 0);
	}
	for (i = 0; i < 100; i++) {
		u64 at = chance(SIZE / 512) * 512, len = 512 * (1 + chance(200));

		if (len > SIZE - at)
			len = SIZE - at;
		memset(model + at, 0, len);
		assert_int_equal(block_zero(b, at, len, chance(2)), 0);
	}
	assert_int_equal(block_read(b, 0, seen, SIZE), 0);
	assert_memory_equal(seen, model, SIZE);
	assert_int_equal(block_close(b), 0);
	must("qemu-img convert -O raw over flat");
	b = open_ro("flat");
	assert_int_equal(block_read(b, 0, seen, SIZE), 0);
	assert_memory_equal(seen, model, SIZE);
	block_close(b);
	assert_clean("over");
	free(model);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes, folder_make, folder_remove),
	};

	chance_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
